"""What every backbone promises, whatever keeps the events: memory, SQLite, a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from support.backbone_kit import Broker, Flaky, Node, SmallFeed, Where, store_of, wipe
from support.until import until

from streamer.backbone.model import STATES_KEPT
from streamer.backbone.timings import WriterTimings


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    server = Broker(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    """A new stream."""
    name = uuid4().hex
    if request.param == "sqlite":
        return "sqlite", f"sqlite:{tmp_path / 'deep' / name}.db"
    if request.param == "redis":
        server: Broker = request.getfixturevalue("broker")
        return "redis", f"{server.url}?stream={name}"
    return "memory", f"memory:{name}"


Opened = Callable[..., Awaitable[Any]]


@pytest.fixture
async def feed(where: Where) -> AsyncIterator[Callable[..., Awaitable[SmallFeed]]]:
    made: list[SmallFeed] = []

    async def open_one(epoch: str = "E", seq: int = 0, **options: Any) -> SmallFeed:
        store = options.pop("store", None) or store_of(where)
        one = SmallFeed(store, epoch, seq, **options)
        made.append(one)
        return await one.start()

    yield open_one
    for one in made:
        await one.writer.close(0.5)


@pytest.fixture
async def node(where: Where) -> AsyncIterator[Callable[..., Node]]:
    made: list[Node] = []

    def open_one(since: tuple[str, int] | None = None, **options: Any) -> Node:
        one = Node(options.pop("store", None) or store_of(where), since)
        made.append(one)
        return one

    yield open_one
    for one in made:
        await one.close()


async def test_a_node_that_joins_late_gets_the_snapshot_then_every_event_once(
    feed: Opened, node: Callable[..., Node]
) -> None:
    bot = await feed()
    bot.publish(700)
    await bot.delivered()
    late = node()
    await until(lambda: late.snapshots)
    _, seq, resumed = late.snapshots[0]
    for _ in range(20):
        bot.publish(50)
        await asyncio.sleep(0.002)
    await late.reached(1700)
    assert late.snapshots == [("E", seq, False)]
    assert late.seqs == list(range(seq + 1, 1701))
    assert not resumed
    assert late.gaps == []


async def test_a_node_waits_for_a_stream_that_does_not_exist_yet(
    feed: Opened, node: Callable[..., Node]
) -> None:
    early = node()
    await asyncio.sleep(0.1)
    assert early.reader.trouble is None
    bot = await feed()
    await until(lambda: early.snapshots)
    bot.publish(3)
    await early.reached(3)
    assert early.seqs == list(range(early.snapshots[0][1] + 1, 4))


async def test_a_node_goes_on_after_its_last_event(feed: Opened, node: Callable[..., Node]) -> None:
    bot = await feed()
    bot.publish(300)
    await bot.delivered()
    back = node(("E", 120))
    await back.reached(300)
    bot.publish(5)
    await back.reached(305)
    assert back.seqs == list(range(121, 306))
    assert back.snapshots[0][0] == "E"
    assert back.snapshots[0][2], "it says that it was resumed"


async def test_a_node_ahead_of_the_snapshot_brings_it_up_to_date_without_news(
    feed: Opened, node: Callable[..., Node]
) -> None:
    bot = await feed(timings=WriterTimings(snapshot_s=1000.0))
    await bot.delivered()
    bot.publish(50)
    await bot.delivered()
    at = await bot.writer._store.snapshot_offsets()
    assert at is not None
    assert at[1] < 50, "the snapshot is older than the events"
    back = node(("E", 40))
    await back.reached(50)
    assert back.seqs == list(range(41, 51))
    assert back.again == list(range(at[1] + 1, 41))


async def test_another_epoch_starts_from_the_snapshot(
    feed: Opened, node: Callable[..., Node]
) -> None:
    bot = await feed(epoch="new")
    bot.publish(10)
    await bot.delivered()
    back = node(("old", 7))
    bot.publish(1)
    await back.reached(11)
    assert back.snapshots[0][2] is False
    assert back.seqs == list(range(back.snapshots[0][1] + 1, 12))


async def test_a_node_behind_the_trim_sees_the_gap_and_then_a_snapshot_that_covers_it(
    feed: Opened, node: Callable[..., Node]
) -> None:
    bot = await feed(keep_events=200)
    bot.publish(100)
    await bot.delivered()
    slow = node(("E", 0))
    await slow.reached(100)
    slow.slow.clear()
    await asyncio.sleep(0)
    for _ in range(30):
        bot.publish(50)
        await bot.delivered()
    slow.slow.set()
    await slow.reached(1600)
    await until(lambda: slow.snapshots[-1][1] >= slow.gaps[-1][1])
    missing = {seq for first, last in slow.gaps for seq in range(first, last + 1)}
    assert missing
    assert sorted(missing | set(slow.seqs)) == list(range(1, 1601))
    assert not missing & set(slow.seqs)
    assert slow.seqs == sorted(slow.seqs)
    assert slow.snapshots[-1][2], "what follows the gap is told as news"


async def test_a_full_queue_is_told_counted_and_seen_as_a_gap(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    line = Flaky(store_of(where))
    bot = await feed(store=line, queue_events=100)
    bot.publish(10)
    await bot.delivered()
    reader = node()
    await reader.reached(10)
    line.away = True
    bot.publish(1)
    await until(lambda: bot.writer.trouble is not None)
    bot.publish(499)
    assert bot.writer.dropped == 400
    assert bot.writer.waiting == 100
    assert "nobody is there" in str(bot.writer.trouble)
    line.away = False
    await reader.reached(510)
    assert reader.gaps == [(11, 410)]
    assert reader.seqs[-100:] == list(range(411, 511))
    await until(lambda: reader.snapshots[-1][1] >= 410)
    await bot.delivered()


async def test_a_lost_answer_repeats_nothing(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    line = Flaky(store_of(where))
    bot = await feed(store=line)
    reader = node(("E", 0))
    await bot.delivered()
    line.eat = 3
    for _ in range(10):
        bot.publish(20)
        await asyncio.sleep(0.01)
    await bot.delivered()
    await reader.reached(200)
    assert line.eat == 0
    assert reader.seqs == list(range(1, 201))


async def test_a_write_that_arrives_late_changes_nothing(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    line = Flaky(store_of(where))
    bot = await feed(store=line)
    reader = node(("E", 0))
    await bot.delivered()
    await until(lambda: reader.snapshots)
    line.hold = 1
    bot.quote(1)
    bot.publish(20)
    await until(lambda: line.hold == 0 and bot.writer.trouble is None)
    bot.quote(2)
    await bot.delivered()
    await line.late()
    bot.publish(1)
    await reader.reached(21)
    assert reader.seqs == list(range(1, 22))
    await until(lambda: reader.states)
    assert b'"value":2' in reader.states[-1]


async def test_a_write_from_before_a_claim_is_refused_after_it(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    """It would take the number of a newer state event, which would then be refused instead."""
    line = Flaky(store_of(where))
    bot = await feed(store=line)
    reader = node(("E", 0))
    await bot.delivered()
    await until(lambda: reader.snapshots)
    line.hold, line.late_after_claim = 1, True
    bot.quote(1)
    bot.publish(5)
    await until(lambda: bot.writer.trouble is not None)
    bot.quote(2)
    await bot.delivered()
    bot.publish(1)
    await reader.reached(6)
    await until(lambda: reader.states and b'"value":2' in reader.states[-1], 5)
    assert reader.seqs == list(range(1, 7))


async def test_a_number_that_is_there_is_refused_and_counts_as_delivered(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    bot = await feed()
    reader = node(("E", 0))
    bot.publish(40)
    await bot.delivered()
    await reader.reached(40)
    bot.writer._sent = 10  # it forgets how far it was
    bot.publish(1)
    await reader.reached(41)
    await until(lambda: bot.writer.repeated == 30)
    late = node(("E", 5))
    await late.reached(41)
    assert reader.seqs == list(range(1, 42))
    assert late.seqs == list(range(6, 42))
    assert bot.writer.delivered == 41


async def test_state_events_that_wait_are_replaced_by_newer_ones(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    line = Flaky(store_of(where))
    asked: list[tuple[str, str | None]] = []

    def latest_state(kind: str, bot: str | None) -> bytes:
        asked.append((kind, bot))
        return b'{"whole":true}'

    bot = await feed(store=line, latest_state=latest_state)
    reader = node()
    await until(lambda: reader.snapshots)
    line.away = True
    bot.publish(1)
    await until(lambda: bot.writer.trouble is not None)
    for value in range(1000):
        bot.quote(value)
    bot.quote(7, "ACCOUNT_UPDATE")
    bot.quote(8, "QUOTE_UPDATE", "other")
    line.away = False
    await until(lambda: len(reader.states) >= 3)
    await reader.reached(1)
    assert len(reader.states) == 3
    assert asked == [("QUOTE_UPDATE", "")], "one was left out: the whole is sent"
    assert b'{"whole":true}' in reader.states
    assert any(b"ACCOUNT_UPDATE" in raw for raw in reader.states)
    assert any(b'"other"' in raw for raw in reader.states)


async def test_a_second_feed_is_refused_while_the_first_lives_and_comes_after_it(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    first = await feed(epoch="first")
    first.publish(5)
    await first.delivered()
    reader = node(("first", 0))
    second = await feed(epoch="second", timings=WriterTimings(claim_s=0.05))
    second.publish(3)
    await until(lambda: second.writer.trouble and "another feed" in second.writer.trouble)
    assert "process" in str(second.writer.trouble)
    first.publish(5)
    await first.delivered()
    await reader.reached(10)
    await first.writer.close()
    await second.delivered()
    second.publish(1)
    await until(lambda: ("second", 4) in reader.news)
    assert [n for n in reader.news if n[0] == "first"] == [("first", s) for s in range(1, 11)]
    assert reader.snapshots[-1][0] == "second"
    assert reader.snapshots[-1][2] is False
    assert first.troubles.count(None) == 1, "the first one never noticed"


async def test_a_feed_that_was_killed_is_replaced(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    first = await feed(epoch="first")
    first.publish(5)
    await first.delivered()
    await first.vanish()
    if where[0] == "sqlite":  # the system lets a killed process's lock go
        await first.writer._store.close()
    timings = WriterTimings(claim_s=0.05, dead_s=0.3)
    second = await feed(epoch="second", timings=timings)
    second.publish(2)
    await second.delivered()
    reader = node()
    second.publish(1)
    await reader.reached(3)
    assert reader.snapshots[0][0] == "second"


async def test_a_restarted_feed_goes_on_with_its_stream_and_sends_what_was_not_sent(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    first = await feed()
    first.publish(50)
    await first.delivered()
    reader = node(("E", 0))
    await reader.reached(50)
    await first.vanish()
    if where[0] == "sqlite":
        await first.writer._store.close()
    # The journal had ten more on disk when the process was killed.
    second = await feed(seq=60)
    await second.delivered()
    second.publish(5)
    await reader.reached(65)
    assert reader.seqs == list(range(1, 66))
    assert reader.gaps == []
    assert all(epoch == "E" for epoch, _, _ in reader.snapshots)


async def test_what_happened_without_a_backbone_is_a_gap(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    first = await feed()
    first.publish(50)
    await first.writer.close()
    reader = node(("E", 50))
    second = await feed(seq=80, history=False)
    second.publish(5)
    await reader.reached(85)
    assert reader.gaps == [(51, 80)]
    assert reader.seqs == list(range(81, 86))


async def test_the_stream_of_a_feed_that_went_back_begins_anew(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    first = await feed()
    first.publish(50)
    await first.delivered()
    reader = node(("E", 0))
    await reader.reached(50)
    await first.writer.close()
    # Its journal was restored from a backup: the same epoch, other events behind 30.
    second = await feed(seq=30)
    await second.delivered()
    second.publish(5)
    await until(lambda: reader.snapshots[-1] != reader.snapshots[0])
    assert reader.snapshots[-1][2] is False
    await until(lambda: reader.reader.seq == 35)
    assert reader.seqs[50:] == list(range(reader.snapshots[-1][1] + 1, 36))


async def test_an_emptied_store_is_filled_again_without_a_gap(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    bot = await feed()
    reader = node(("E", 0))
    bot.publish(100)
    await bot.delivered()
    await reader.reached(60)
    wipe(where)
    bot.publish(20)
    await bot.delivered()
    await reader.reached(120)
    late = node(("E", 10))
    await late.reached(120)
    bot.publish(1)
    await reader.reached(121)
    await late.reached(121)
    assert reader.seqs == list(range(1, 122))
    assert late.seqs == list(range(11, 122)), "what was lost was sent again"
    assert reader.gaps == late.gaps == []


async def test_an_emptied_store_has_a_snapshot_again_also_when_nothing_happens(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    bot = await feed(timings=WriterTimings(beat_s=0.05))
    bot.publish(10)
    await bot.delivered()
    await asyncio.sleep(0.1)
    wipe(where)
    late = node()
    await until(lambda: late.snapshots, 10)
    await late.reached(10)
    assert late.snapshots == [("E", 10, False)]


async def test_a_reader_far_behind_the_state_gets_a_snapshot_instead(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    bot = await feed()
    reader = node()
    await until(lambda: reader.snapshots)
    reader.slow.clear()
    for value in range(4 * STATES_KEPT):
        bot.quote(value, f"KIND_{value}")
        if value % 64 == 0:
            await bot.delivered()
    await bot.delivered()
    reader.slow.set()
    await until(lambda: len(reader.snapshots) > 1)
    assert reader.snapshots[-1][2]
    bot.quote(1, "LAST")
    await until(lambda: reader.states and b"LAST" in reader.states[-1])


async def test_the_last_words_of_a_feed_reach_the_stream(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    bot = await feed()
    await bot.delivered()
    bot.publish(40)
    bot.quote(1)
    await bot.writer.close()
    reader = node()
    await until(lambda: reader.snapshots)
    assert reader.snapshots == [("E", 40, False)], "and stand in its last snapshot"


async def test_silence_of_the_writer_is_seen(
    where: Where, feed: Opened, node: Callable[..., Node]
) -> None:
    bot = await feed(timings=WriterTimings(beat_s=0.05))
    reader = node()
    await until(lambda: reader.reader.beat_at is not None)
    heard = reader.reader.beat_at
    await until(lambda: reader.reader.beat_at != heard)
    await bot.vanish()
    await asyncio.sleep(0.1)
    late = node()
    await until(lambda: late.snapshots)
    assert late.reader.beat_at is None, "what is old does not count as a sign of life"
