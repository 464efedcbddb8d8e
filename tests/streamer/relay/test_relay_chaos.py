"""Cuts, stalls and halves of frames, before the relay and behind it: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio

import pytest
from support.chaos import Proxy
from support.feed_kit import OpenFeed
from support.relay_kit import OpenRelay, Viewer, open_relay, quick, url_of
from support.until import until

from streamer.relay.relay import Relay
from streamer.service import Feed

__all__ = ["open_relay", "quick"]

pytestmark = pytest.mark.usefixtures("quick")

EVENTS, FAULTS, VIEWERS = 3000, 15, 6


async def chaos(
    feed: Feed, relay: Relay, hurt: list[Proxy], viewers: list[Viewer]
) -> list[list[int]]:
    """Publish while the proxies hurt in turn; each viewer's numbers."""
    for n in range(1, EVENTS + 1):
        feed.publish({"type": "X", "n": n, "data": "x" * 100})
        if n % 50 == 0:
            await asyncio.sleep(0.001)
        if n % (EVENTS // FAULTS) == 0:
            proxy = hurt[n // (EVENTS // FAULTS) % len(hurt)]
            if proxy.faults % 4 == 3:
                await proxy.stall(0.05)
            else:
                proxy.cut(0.7)
            await asyncio.sleep(0.03)
    for viewer in viewers:
        await until(lambda viewer=viewer: len(viewer.of("X")) >= EVENTS, 60)
    await asyncio.sleep(0.05)
    assert sum(proxy.faults for proxy in hurt) >= FAULTS
    return [viewer.numbers() for viewer in viewers]


def check(viewers: list[Viewer], numbers: list[list[int]], epoch: str) -> None:
    for viewer, found in zip(viewers, numbers, strict=True):
        assert found == list(range(1, EVENTS + 1)), "a gap, a repeat or a reorder"
        assert [e["origin"] for e in viewer.of("X")] == [f"{epoch}:{n}" for n in found]
        seqs = [event["seq"] for event in viewer.events]
        assert seqs == list(range(1, len(seqs) + 1))
        assert viewer.client.gaps == 0
        assert not [e for e in viewer.of("RISK_ALERT") if e["code"] == "GAP"]


@pytest.mark.parametrize("where", ["before", "behind", "both"])
async def test_nothing_is_lost_or_told_twice(
    open_feed: OpenFeed, open_relay: OpenRelay, where: str
) -> None:
    feed = await open_feed("bot.db")
    before = Proxy(feed.port)
    await before.start()
    relay = await open_relay(url_of(before.port))
    behind = Proxy(relay.feed.port, seed=11)
    await behind.start()
    since = f"{relay.feed.state.epoch}:0"
    viewers = [Viewer(url_of(behind.port), since=since) for _ in range(VIEWERS)]
    for viewer in viewers:
        await viewer.start()
    hurt = {"before": [before], "behind": [behind], "both": [before, behind]}[where]
    try:
        numbers = await chaos(feed, relay, hurt, viewers)
        check(viewers, numbers, feed.state.epoch)
        if where != "behind":
            assert relay.upstreams[0].published == EVENTS
    finally:
        for viewer in viewers:
            await viewer.client.close()
        await behind.close()
        await before.close()


async def test_a_relay_of_a_relay_keeps_order_and_origin(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    feed = await open_feed("bot.db")
    near = await open_relay(feed.url, journal="near.db")
    between = Proxy(near.feed.port)
    await between.start()
    far = await open_relay(url_of(between.port), journal="far.db")
    viewer = await Viewer(far.feed.url, since=f"{far.feed.state.epoch}:0").start()
    try:
        numbers = await chaos(feed, far, [between], [viewer])
        check([viewer], numbers, feed.state.epoch)
        vias = [e["via"] for e in viewer.of("X")]
        assert {via.partition(":")[0] for via in vias} == {near.feed.state.epoch}
        assert far.feed.snapshots.path == tuple(sorted((feed.state.epoch, near.feed.state.epoch)))
        assert {e["bot"] for e in viewer.of("X")} == {"main"}
    finally:
        await viewer.client.close()
        await between.close()


async def test_a_slow_journal_holds_the_upstream_back_and_loses_nothing(
    open_feed: OpenFeed, open_relay: OpenRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = await open_feed("bot.db")
    relay = await open_relay(feed.url)
    journal = relay.feed.journal
    assert journal is not None
    journal.settings = journal.settings.model_copy(update={"waiting_events": 100})
    written = journal._write
    held = True

    def write(batch: list, samples: list) -> None:  # type: ignore[type-arg]
        if held:
            raise OSError("no space left on device")
        written(batch, samples)

    monkeypatch.setattr(journal, "_write", write)
    for n in range(1, 2001):
        feed.publish({"type": "X", "n": n})
        if n % 100 == 0:
            await asyncio.sleep(0.002)
    await until(lambda: relay.feed.waiting >= 50)
    await asyncio.sleep(0.3)
    assert relay.feed.waiting <= 60, "the rest waits upstream"
    assert relay.feed.refused == 0
    held = False
    await until(lambda: relay.upstreams[0].published == 2000, 30)
    await until(lambda: relay.feed.waiting == 0)
    raws = await journal.read(0, 5000)
    found = [raw for _, raw in raws if b'"type":"X"' in raw]
    assert len(found) == 2000
    assert relay.upstreams[0].missing == 0
