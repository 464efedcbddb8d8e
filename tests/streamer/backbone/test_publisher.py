"""A real feed and its backbone: the same state at the other end, and outages that are reported."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from support.backbone_kit import Broker, SmallFeed
from support.feed_kit import OpenFeed, http
from support.until import until

from streamer.backbone.address import open_store
from streamer.backbone.model import Gap
from streamer.backbone.publisher import BackbonePublisher
from streamer.backbone.settings import BackboneSettings
from streamer.backbone.source import BackboneSource
from streamer.backbone.timings import PublisherTimings
from streamer.service import Feed

ACCOUNT = {"type": "ACCOUNT_UPDATE", "account": {"balance": 10_000.0, "equity": 10_010.0}}
BOT = {"type": "BOT_STATUS", "state": "waiting", "mode": "paper"}


def scan(count: int) -> dict[str, Any]:
    return {"type": "SCAN_START", "count": count}


def quote(symbol: str, bid: float) -> dict[str, Any]:
    value = {"bid": bid, "ask": bid + 0.0002, "time": None}
    return {"type": "QUOTE_UPDATE", "quotes": {symbol: value}}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    server = Broker(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


Join = Callable[..., Awaitable[BackbonePublisher]]


@pytest.fixture
async def join() -> AsyncIterator[Join]:
    made: list[tuple[Feed, BackbonePublisher]] = []

    async def one(
        feed: Feed, url: str, timings: PublisherTimings | None = None, **settings: Any
    ) -> BackbonePublisher:
        stream = BackboneSettings.model_validate({"url": url, **settings})
        backbone = BackbonePublisher(feed, stream, timings)
        await backbone.start()
        made.append((feed, backbone))
        return backbone

    yield one
    for feed, backbone in made:
        await feed.close()
        await backbone.close()


@pytest.fixture
async def source() -> AsyncIterator[Callable[..., Awaitable[BackboneSource]]]:
    made: list[BackboneSource] = []

    async def one(url: str, **options: Any) -> BackboneSource:
        joined = BackboneSource(url, **options)
        await joined.start()
        made.append(joined)
        return joined

    yield one
    for joined in made:
        await joined.close()


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'backbone.db'}"
    server: Broker = request.getfixturevalue("broker")
    return f"{server.url}?stream={uuid4().hex}"


async def test_a_node_has_the_state_and_the_log_of_the_feed(
    open_feed: OpenFeed,
    join: Join,
    source: Callable[..., Awaitable[BackboneSource]],
    url: str,
) -> None:
    feed = await open_feed("a.db")
    for count in range(30):
        feed.publish(scan(count))
    feed.publish(BOT)
    await until(lambda: feed.state.seq == 31)
    await join(feed, url)
    heard: list[dict[str, Any]] = []
    node = await source(url)
    node.watch(heard.append)
    await until(lambda: node.state.seq == 31)
    feed.publish(ACCOUNT)
    for count in range(200):
        feed.publish(quote("EURUSD" if count % 2 else "XAUUSD", 1.0 + count))
        feed.publish(scan(count))
    await until(lambda: node.state.seq == 231 and node.state.quotes == feed.state.quotes)
    await until(lambda: node.state.account == feed.state.account)
    assert node.state.epoch == feed.state.epoch
    assert list(node.state.events) == list(feed.state.events)
    assert node.state.bot == feed.state.bot
    assert node.state.scan_summary == feed.state.scan_summary
    assert heard[0]["type"] == "STATE_SNAPSHOT"
    assert [e["seq"] for e in heard if e["type"] == "SCAN_START"] == list(range(32, 232))
    assert node.link.state == "live"
    assert node.role == "view"


async def test_a_node_that_was_away_resumes_with_what_it_missed(
    open_feed: OpenFeed,
    join: Join,
    source: Callable[..., Awaitable[BackboneSource]],
    url: str,
) -> None:
    feed = await open_feed("a.db")
    await join(feed, url)
    feed.publish(scan(1))
    first = await source(url)
    await until(lambda: first.state.seq == 1)
    await first.close()
    for count in range(50):
        feed.publish(scan(count))
    await until(lambda: feed.state.seq == 51)
    heard: list[dict[str, Any]] = []
    gaps: list[Gap] = []
    node = BackboneSource(url, since=f"{feed.state.epoch}:1", on_gap=gaps.append)
    node.watch(heard.append)
    async with node:
        await until(lambda: node.state.seq == 51 and heard[-1].get("seq") == 51)
    assert heard[0]["resumed"] is True
    assert [e["seq"] for e in heard[1:] if e.get("seq")] == list(range(2, 52))
    assert gaps == []


async def test_a_node_takes_no_commands(
    open_feed: OpenFeed, join: Join, source: Callable[..., Awaitable[BackboneSource]], url: str
) -> None:
    node = await source(url)
    result = await node.command("pause")
    assert not result.ok
    assert result.error is not None
    assert "ws://" in result.error.message


async def test_a_restarted_feed_sends_what_its_journal_had_and_the_stream_had_not(
    open_feed: OpenFeed, source: Callable[..., Awaitable[BackboneSource]], url: str
) -> None:
    feed = await open_feed("a.db")
    backbone = BackbonePublisher(feed, BackboneSettings.model_validate({"url": url}))
    await backbone.start()
    feed.publish(scan(1))
    await until(lambda: backbone.writer.delivered == 1)
    await backbone.close()
    for count in range(10):
        feed.publish(scan(count))
    await feed.close()
    again = await open_feed("a.db")
    assert again.state.seq == 11
    after = BackbonePublisher(again, BackboneSettings.model_validate({"url": url}))
    await after.start()
    heard: list[dict[str, Any]] = []
    node = await source(url, since=f"{again.state.epoch}:1")
    node.watch(heard.append)
    await until(lambda: heard and heard[-1].get("seq") == 11)
    assert [e["seq"] for e in heard[1:]] == list(range(2, 12))
    await again.close()
    await after.close()


async def test_a_broker_that_is_lost_is_told_in_the_log_the_health_and_the_metrics(
    open_feed: OpenFeed, join: Join, broker: Broker
) -> None:
    timings = PublisherTimings(check_s=0.05, outage_s=0.2)
    alerts: list[dict[str, Any]] = []
    feed = await open_feed("a.db")
    feed.watch(lambda e: alerts.append(e) if e["type"] == "RISK_ALERT" else None)
    backbone = await join(feed, broker.url, timings, queue_events=100)
    await until(lambda: backbone.writer.trouble is None)
    broker.kill()
    feed.publish(scan(1))
    await until(lambda: alerts)
    assert alerts[0]["code"] == "BACKBONE"
    assert alerts[0]["level"] == "warning"
    assert "wait for it" in alerts[0]["text"]
    for count in range(300):
        feed.publish(scan(count))
    await until(lambda: len(alerts) == 2)
    assert alerts[1]["level"] == "critical"
    assert "the journal has them all" in alerts[1]["text"]
    report = feed.health.report()["checks"]["backbone"]
    assert report["status"] == "degraded"
    assert f"127.0.0.1:{broker.port}" in report["text"]
    status, _, body = await http(feed, "/metrics")
    assert status == 200
    metrics = dict(
        line.rsplit(" ", 1) for line in body.decode().splitlines() if not line.startswith("#")
    )
    assert float(metrics["mt5dash_backbone_waiting"]) == 100
    assert float(metrics["mt5dash_backbone_dropped_total"]) == backbone.writer.dropped > 0
    broker.start()
    await until(lambda: len(alerts) == 3)
    assert alerts[2]["level"] == "info"
    assert "lost to it" in alerts[2]["text"]
    assert feed.health.report()["checks"]["backbone"]["status"] == "ok"
    status, _, body = await http(feed, "/api/health")
    assert json.loads(body)["checks"]["backbone"]["status"] == "ok"


async def test_a_backbone_that_is_back_soon_is_not_told(
    open_feed: OpenFeed, join: Join, broker: Broker
) -> None:
    alerts: list[dict[str, Any]] = []
    feed = await open_feed("a.db")
    feed.watch(lambda e: alerts.append(e) if e["type"] == "RISK_ALERT" else None)
    backbone = await join(feed, broker.url, PublisherTimings(check_s=0.02))
    await until(lambda: backbone.writer.trouble is None)
    broker.kill()
    feed.publish(scan(1))
    await until(lambda: backbone.writer.trouble is not None)
    broker.start()
    await until(lambda: backbone.writer.trouble is None)
    await asyncio.sleep(0.1)
    assert alerts == []


async def test_the_last_events_of_a_feed_that_stops_reach_the_stream(
    open_feed: OpenFeed, source: Callable[..., Awaitable[BackboneSource]], url: str
) -> None:
    feed = await open_feed("a.db")
    backbone = BackbonePublisher(feed, BackboneSettings.model_validate({"url": url}))
    await backbone.start()
    await until(lambda: backbone.writer.trouble is None)
    for count in range(100):
        feed.publish(scan(count))
    await feed.close()
    await backbone.close()
    node = await source(url)
    await until(lambda: node.state.seq == 100)
    assert node.link.state == "connecting", "nobody writes there now"


async def test_a_source_tells_each_gap(
    source: Callable[..., Awaitable[BackboneSource]],
) -> None:
    url = f"memory:{uuid4().hex}"
    first = await SmallFeed(open_store(url)).start()
    first.publish(5)
    await first.delivered()
    await first.writer.close()
    gaps: list[Gap] = []
    node = await source(url, since="E:5", on_gap=gaps.append)
    second = await SmallFeed(open_store(url), seq=20, history=False).start()
    second.publish(1)
    await until(lambda: node.gaps == 1)
    assert [(gap.first, gap.last) for gap in gaps] == [(6, 20)]
    await second.writer.close()
