"""What the screen knows of trades it did not see: from the feed's ledger, here and over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.fake_source import FakeSource, FrozenClock, trading_day
from support.screen_bench import bench

from streamer.client.feed_client import FeedClient
from streamer.service import Feed
from streamer.settings import FeedSettings
from streamer.state.source import Capabilities
from streamer.state.trades import TradeLedger
from tui.options import Clock
from tui.session.trade_lookup import TradeLookup

OLD = 900


def opened(ticket: int, **more: Any) -> dict[str, Any]:
    return {"type": "POSITION_OPENED", "ticket": ticket, "symbol": "EURUSD", "direction": "BUY",
            "volume": 0.1, "entry_price": 1.1, "initial_risk": 20.0, "score": 71.0,
            "components": {"bias": 30.0, "zone": 41.0}, **more}  # fmt: skip


def closed(ticket: int, profit: float) -> dict[str, Any]:
    return {"type": "POSITION_CLOSED", "ticket": ticket, "symbol": "EURUSD", "direction": "BUY",
            "volume": 0.1, "exit_price": 1.2, "profit": profit, "r_multiple": profit / 20,
            "close_reason": "tp", "timestamp": "2026-03-04T09:00:00+00:00"}  # fmt: skip


def with_ledger(source: FakeSource) -> TradeLedger:
    """Let the source keep trades, none yet."""
    ledger = TradeLedger()
    source.capabilities = Capabilities(trades=lambda bot="": ledger)
    return ledger


def test_a_ledger_of_this_process_is_read_when_something_closed_not_before() -> None:
    source = FakeSource(FrozenClock().clock)
    ledger = with_ledger(source)
    lookup = TradeLookup(source, Clock())
    assert lookup.closed(0) == []
    ledger.apply(opened(OLD))
    ledger.apply(closed(OLD, 50.0))
    assert lookup.closed(0) == []
    assert [t.ticket for t in lookup.closed(1)] == [OLD]
    assert lookup.trade(7) is None


async def test_statistics_count_the_trades_before_this_screen_once() -> None:
    async with bench((200, 60)) as b:
        before = await b.now()
        assert "won 2 of 3" in before
        ledger = with_ledger(b.source)
        for event in (opened(OLD), closed(OLD, 50.0), opened(11), closed(11, 96.10)):
            ledger.apply(event)  # 11 is a trade this screen saw itself
        b.app.session.trades._stamp = None
        assert "won 3 of 4" in await b.now()
        text = await b.press("4", "m")
        assert "1 before this screen" in text


async def test_a_position_tells_how_far_it_went_and_why_it_was_opened() -> None:
    time = FrozenClock()
    source = trading_day(FakeSource(time.clock))
    ticket = source.state.positions[0]["ticket"]
    ledger = with_ledger(source)
    ledger.apply(opened(ticket))
    for profit in (-12.0, 66.0, 40.0):
        ledger.apply({"type": "POSITION_UPDATE", "positions": [{"ticket": ticket, "profit": profit}]})  # fmt: skip
    async with bench() as b:
        b.app.session.source = b.app.session.trades.source = source
        text = await b.press("1", "j", "enter")
        assert "Lowest, highest   -12.00▼" in text
        assert "+66.00▲" in text
        assert "seen here" not in text


async def test_without_a_ledger_the_screen_tells_what_it_saw_itself() -> None:
    async with bench() as b:
        positions = [dict(p) for p in b.source.state.positions]
        for profit in (-30.0, 90.0, 42.2):
            positions[0]["profit"] = profit
            b.source.publish("POSITION_UPDATE", positions=[dict(p) for p in positions])
            b.app.tick()
        text = await b.press("1", "j", "enter")
        assert "-30.00▼" in text
        assert "+90.00▲" in text
        assert "seen here" in text


@pytest.mark.parametrize("locked", [False, True])
async def test_the_ledger_of_a_feed_elsewhere_comes_over_http(tmp_path: Path, locked: bool) -> None:
    feed = Feed(FeedSettings(port=0, require_token=locked, tokens_file=tmp_path / "tokens"))
    token = feed.tokens.new("view", "screen")[0] if locked else None
    await feed.start()
    feed.publish(opened(OLD))
    feed.publish(closed(OLD, 50.0))
    feed.publish(opened(OLD + 1))
    client = FeedClient(f"ws://127.0.0.1:{feed.port}/ws", token=token)
    lookup = TradeLookup(client, Clock())
    try:
        assert lookup.closed("a") == []  # asked for, not waited for
        async with asyncio.timeout(10):
            while not lookup.revision:
                await asyncio.sleep(0.01)
        assert [(t.ticket, t.profit) for t in lookup.closed("a")] == [(OLD, 50.0)]
        trade = lookup.trade(OLD + 1)
        assert trade is not None
        assert trade.components == {"bias": 30.0, "zone": 41.0}
    finally:
        lookup.close()
        await client.close()
        await feed.close()
