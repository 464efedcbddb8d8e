"""Clients that do not keep up: they cost little, hurt nobody, and lose nothing they were owed."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from support.feed_kit import OpenFeed, closed, frame, join, raw_request
from support.stalled_client import Stalled
from support.until import until

from streamer.protocol.messages import Account, AccountUpdate, ScanStart
from streamer.state.ring import Item, Ring

STALE_MAX = 400_000
"""Bytes that may be on their way to a client that does not read: the kernel's share."""


async def test_a_client_that_never_reads_is_closed_and_the_others_notice_nothing(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed(outbox_events=500)
    stalled = Stalled(feed)
    await stalled.open()
    async with await join(feed) as good:
        await frame(good)
        connection = next(c for c in feed.endpoint.connections if c.subscriber is not None)
        seen = 0

        async def read() -> None:
            nonlocal seen
            while seen < 3000:
                event = await frame(good, 20)
                if event["type"] == "X":
                    seen += 1
                    assert event["seq"] == seen

        reading = asyncio.create_task(read())
        for number in range(3000):
            feed.publish({"type": "X", "n": number, "data": "y" * 400})
            if number % 10 == 0:
                await asyncio.sleep(0.001)
            size = connection.transport.get_write_buffer_size()
            assert size < 1 << 20
        await reading
        await until(lambda: feed.fanout.closed_slow == 1)
        await until(lambda: len(feed.endpoint.connections) == 1, 3.0)
    stalled.close()


async def test_the_close_code_4008_reaches_a_client_that_reads_again(open_feed: OpenFeed) -> None:
    feed = await open_feed(outbox_events=100)
    stalled = Stalled(feed)
    await stalled.open()
    await until(lambda: len(feed.fanout) == 1)
    for number in range(4000):
        feed.publish({"type": "X", "n": number, "data": "y" * 1000})
        if number % 50 == 0:
            await asyncio.sleep(0)
        if feed.fanout.closed_slow:
            break
    assert feed.fanout.closed_slow == 1
    messages = await stalled.messages()
    opcode, payload = messages[-1]
    assert opcode == 8
    assert int.from_bytes(payload[:2], "big") == 4008
    numbers = [json.loads(body)["seq"] for op, body in messages[1:] if op == 1]
    assert numbers == list(range(1, len(numbers) + 1)), "what came before the close is whole"
    stalled.close()


async def test_a_client_that_stalls_and_reads_again_gets_new_state_and_every_log_event(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed(outbox_events=5000, heartbeat_s=60)
    stalled = Stalled(feed)
    await stalled.open()
    await until(lambda: len(feed.fanout) == 1)
    for number in range(4000):
        feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": number, "pad": "z" * 1000}})
        if number % 10 == 0:
            feed.publish(ScanStart(count=number))
        if number % 20 == 0:
            await asyncio.sleep(0)
    client = next(iter(feed.fanout))
    assert client.paused
    messages = [json.loads(body) for op, body in await stalled.messages(2.0) if op == 1]
    states = [m["account"]["equity"] for m in messages if m["type"] == "ACCOUNT_UPDATE"]
    numbers = [m["seq"] for m in messages if m["type"] == "SCAN_START"]
    assert numbers == list(range(1, 401))
    assert states[-1] == 3999
    assert states == sorted(states)
    assert len(states) * 1000 < STALE_MAX, "old state is dropped, not queued"
    stalled.close()


async def test_missed_partial_updates_come_whole(open_feed: OpenFeed) -> None:
    """An update that was skipped may have held a key that the newest one does not."""
    feed = await open_feed(outbox_events=5000)
    stalled = Stalled(feed)
    await stalled.open()
    await until(lambda: len(feed.fanout) == 1)
    for number in range(2000):
        feed.publish({"type": "PAD", "data": "z" * 500})
        if number % 50 == 0:
            await asyncio.sleep(0)
    client = next(iter(feed.fanout))
    assert client.paused
    feed.publish({"type": "ACCOUNT_UPDATE", "account": {"balance": 77.0}})
    await asyncio.sleep(0.01)
    feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 88.0}})
    await asyncio.sleep(0.01)
    messages = [json.loads(body) for op, body in await stalled.messages(2.0) if op == 1]
    update = next(m for m in messages if m["type"] == "ACCOUNT_UPDATE")
    assert update["account"] == {"balance": 77.0, "equity": 88.0}
    stalled.close()


async def test_a_client_that_answers_no_ping_is_cut(open_feed: OpenFeed) -> None:
    feed = await open_feed(ping_s=0.3, ping_timeout_s=0.3)
    stalled = Stalled(feed)
    await stalled.open()
    async with await join(feed) as good:
        await frame(good)
        await until(lambda: feed.fanout.closed_silent == 1)
        await asyncio.sleep(1.0)
        assert len(feed.fanout) == 1, "the one that answers pings stays"
        feed.publish(ScanStart(count=1))
        while (await frame(good))["type"] != "SCAN_START":
            pass
    stalled.close()


async def test_one_turn_of_the_loop_is_one_write(
    open_feed: OpenFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = await open_feed(heartbeat_s=60)
    async with await join(feed) as ws:
        await frame(ws)
        before = feed.fanout.frames_sent
        for number in range(10):
            feed.publish({"type": "X", "n": number})
        assert [(await frame(ws))["n"] for _ in range(10)] == list(range(10))
        assert feed.fanout.frames_sent == before + 1


async def test_a_turn_larger_than_a_blob_arrives_whole_and_in_order(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    async with await join(feed) as ws:
        await frame(ws)
        for number in range(300):
            feed.publish({"type": "X", "n": number, "data": "x" * 3000})
        feed.publish(AccountUpdate(account=Account(balance=1.0)))
        seen: list[Any] = []
        while len(seen) < 300:
            event = await frame(ws)
            if event["type"] == "X":
                seen.append(event["n"])
        assert seen == list(range(300))


async def test_resume_is_whole_from_memory_and_from_the_journal_or_not_at_all(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed("j.db", ring_events=256, resume_events=3000)
    for number in range(2000):
        feed.publish(ScanStart(count=number))
    await until(lambda: feed.state.seq == 2000)
    epoch = feed.state.epoch
    for after in (1999, 1800, 100, 0):
        async with await join(feed, f"?since={epoch}:{after}") as ws:
            snapshot = await frame(ws)
            assert (snapshot["resumed"], snapshot["seq"]) == (True, 2000)
            feed_numbers = [(await frame(ws))["seq"] for _ in range(2000 - after)]
            assert feed_numbers == list(range(after + 1, 2001))
    for since in ("other:5", f"{epoch}:2001", f"{epoch}:", f"{epoch}:-1", "x", f"{epoch}:1e3"):
        async with await join(feed, f"?since={since}") as ws:
            assert (await frame(ws))["resumed"] is False
    async with await join(feed) as ws:
        assert "resumed" not in await frame(ws)
    memory_only = await open_feed(ring_events=256)
    for number in range(500):
        memory_only.publish(ScanStart(count=number))
    async with await join(memory_only, f"?since={memory_only.state.epoch}:10") as ws:
        assert (await frame(ws))["resumed"] is False
    async with await join(memory_only, f"?since={memory_only.state.epoch}:400") as ws:
        assert (await frame(ws))["resumed"] is True
        assert (await frame(ws))["seq"] == 401


async def test_resume_goes_on_into_live_events_without_a_seam(open_feed: OpenFeed) -> None:
    feed = await open_feed("j.db", ring_events=256)
    for number in range(1500):
        feed.publish({"type": "X", "n": number, "data": "x" * 300})
    await until(lambda: feed.state.seq == 1500)
    ended = False

    async def load() -> None:
        while not ended:
            for _ in range(3):
                feed.publish({"type": "X", "data": "x" * 300})
            await asyncio.sleep(0.002)

    loading = asyncio.create_task(load())

    async def one(after: int) -> None:
        async with await join(feed, f"?since={feed.state.epoch}:{after}") as ws:
            assert (await frame(ws, 20))["resumed"] is True
            seen: list[int] = []
            while len(seen) < 1800 - after:
                event: dict[str, Any] = await frame(ws, 20)
                if "seq" in event and event["type"] != "HEARTBEAT":
                    seen.append(event["seq"])
            assert seen == list(range(after + 1, after + 1 + len(seen)))

    await asyncio.gather(*(one(after) for after in range(0, 1500, 100)))
    ended = True
    await loading


def test_the_ring_is_bounded_by_number_and_by_bytes() -> None:
    ring = Ring(10, 1000)
    ring.reset(5)
    for seq in range(6, 30):
        ring.add(Item("X", b"x" * 20, seq))
    assert (ring.first, ring.last) == (20, 29)
    assert ring.get(19) is None
    assert ring.bytes_after(27) == 40
    assert ring.bytes_after(3) == 200
    ring.add(Item("X", b"x" * 990, 30))
    assert ring.first == 30
    assert [item.seq for item in ring.newest(200, 10)] == [30]


async def test_200_silent_connections_do_not_keep_others_out(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    silent = [await asyncio.open_connection("127.0.0.1", feed.port) for _ in range(200)]
    started = time.monotonic()
    answer = await raw_request(feed.port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert time.monotonic() - started < 5
    for _, writer in silent:
        writer.transport.abort()
    await until(lambda: len(feed.endpoint.connections) == 0)


async def test_nothing_is_written_for_a_client_that_has_left(open_feed: OpenFeed) -> None:
    """Its descriptor may be the next client's, and a transport raises after its end."""
    feed = await open_feed()
    left = await join(feed)
    await frame(left)
    (client,) = feed.fanout
    await left.close()
    await until(lambda: client.closed)
    async with await join(feed) as other:
        await frame(other)
        assert isinstance(client.fd, int)
        client.fd = next(iter(feed.fanout)).fd
        client.write(b"not for you")
        feed.publish({"type": "X"})
        assert (await frame(other))["type"] == "X"


async def test_a_client_that_leaves_while_it_resumes_is_no_error(
    open_feed: OpenFeed, caplog: pytest.LogCaptureFixture
) -> None:
    feed = await open_feed("j.db", ring_events=256)
    for number in range(3000):
        feed.publish({"type": "X", "n": number, "data": "x" * 2000})
    await until(lambda: feed.state.seq == 3000)
    for _ in range(5):
        stalled = Stalled(feed, path=f"/ws?since={feed.state.epoch}:0")
        await stalled.open()
        await until(lambda: len(feed.endpoint.connections) == 1)
        await asyncio.sleep(0.02)
        # A close frame, as a client that was closed by its user sends it.
        await asyncio.get_running_loop().sock_sendall(
            stalled.sock, b"\x88\x82\0\0\0\0" + (1000).to_bytes(2, "big")
        )
        await asyncio.sleep(0.02)
        stalled.close()
        await until(lambda: len(feed.endpoint.connections) == 0)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_answers_that_wait_are_sent_before_the_close(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    async with await join(feed) as ws:
        await frame(ws)
        (client,) = feed.fanout
        client.pumping = True  # a backlog is being written: answers wait for its end
        feed.fanout.reply(client, b'{"type":"PONG","id":"1"}')
        feed.fanout.reply(client, b'{"type":"PONG","id":"2"}')
        feed.fanout.close(client, 4503, "enough")
        code, frames = await closed(ws)
    assert code == 4503
    assert [each["id"] for each in frames if each["type"] == "PONG"] == ["1", "2"]


async def test_a_client_that_asks_for_snapshots_and_reads_none_is_closed(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed()
    async with await join(feed) as ws:
        await frame(ws)
        (client,) = feed.fanout
        client.paused = True
        for _ in range(65):
            feed.fanout.resubscribe(client, b"a snapshot", feed.state.seq)
        assert client.closed
        assert feed.fanout.closed_slow == 1
        assert (await closed(ws))[0] == 4008
