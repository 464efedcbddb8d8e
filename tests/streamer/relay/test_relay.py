"""A relay: each event of its upstream once, in order, with its origin; also after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.feed_kit import OpenFeed, frame, http, join
from support.relay_kit import OpenRelay, Viewer, make_relay, open_relay, quick
from support.until import until

from streamer.protocol.messages import Account, AccountUpdate
from streamer.service import Feed

__all__ = ["open_relay", "quick"]

pytestmark = pytest.mark.usefixtures("quick")


def publish(feed: Feed, first: int, last: int) -> None:
    for n in range(first, last + 1):
        feed.publish({"type": "X", "n": n})


async def test_viewers_get_each_event_once_in_order_with_its_origin(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    feed = await open_feed("bot.db")
    relay = await open_relay(feed.url)
    viewers = [await Viewer(relay.feed.url).start() for _ in range(50)]
    publish(feed, 1, 300)
    for viewer in viewers:
        await until(lambda viewer=viewer: len(viewer.of("X")) == 300)
    for viewer in viewers:
        events = viewer.of("X")
        assert viewer.numbers() == list(range(1, 301))
        epoch = feed.state.epoch
        assert [e["origin"] for e in events] == [f"{epoch}:{n}" for n in range(1, 301)]
        numbers = [e["seq"] for e in viewer.events]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert {e["bot"] for e in events} == {"main"}
        assert viewer.client.gaps == 0
        await viewer.client.close()


async def test_the_state_behind_a_relay_is_that_of_the_feed(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    feed = await open_feed("bot.db")
    position = {"ticket": 5, "symbol": "EURUSD", "profit": 1.0, "volume": 0.1}
    trade = {"type": "TRADE_EXECUTION", "symbol": "EURUSD", "direction": "BUY", "price": 1.1}
    feed.publish(AccountUpdate(account=Account(balance=10.0, equity=11.0, login=7, server="S")))
    feed.publish({"type": "POSITION_UPDATE", "positions": [position]})
    feed.publish({"type": "QUOTE_UPDATE", "quotes": {"EURUSD": {"bid": 1.0, "ask": 1.1}}})
    feed.publish({**trade, "lot": 0.1})
    feed.publish({"type": "SCAN_SUMMARY", "symbols": {"A": "b"}, "count": 1, "candidates": 0})
    feed.publish({"type": "BOT_STATUS", "state": "scanning", "mode": "paper"})
    feed.publish({"type": "TERMINAL_STATUS", "state": "connected", "backend": "paper"})
    await until(lambda: feed.state.terminal is not None)
    relay = await open_relay(feed.url)
    await until(lambda: relay.feed.state.terminal is not None)
    feed.publish({**trade, "lot": 0.2})
    feed.publish({"type": "POSITION_UPDATE", "positions": [{**position, "profit": 2.0}]})
    await until(lambda: len(relay.feed.state.recent_trades) == 2)
    await until(lambda: relay.feed.state.positions == feed.state.positions)
    assert relay.feed.state.name == "main"
    assert relay.feed.state.bots == {}
    ours, theirs = plain(relay.feed.state.sections()), plain(feed.state.sections())
    ours["events"] = [e for e in ours["events"] if e["type"] != "RISK_ALERT"]  # of the link
    assert ours == theirs


def plain(value: Any) -> Any:
    """Without what belongs to the feed that numbered it."""
    if isinstance(value, dict):
        own = ("seq", "origin", "via", "timestamp")
        return {key: plain(v) for key, v in value.items() if key not in own}
    return [plain(v) for v in value] if isinstance(value, list) else value


async def test_after_a_restart_the_journal_tells_where_to_go_on(
    open_feed: OpenFeed, tmp_path: Path
) -> None:
    feed = await open_feed("bot.db")
    relay = make_relay(tmp_path, feed.url)
    await relay.start()
    publish(feed, 1, 100)
    await until(lambda: relay.feed.state.seq >= 100)
    viewer = await Viewer(relay.feed.url, since=f"{relay.feed.state.epoch}:0").start()
    await until(lambda: len(viewer.of("X")) == 100)
    port, epoch = relay.feed.port, relay.feed.state.epoch
    await relay.close()
    publish(feed, 101, 400)
    again = make_relay(tmp_path, feed.url, port=port)
    await again.start()
    publish(feed, 401, 450)
    await until(lambda: len(viewer.of("X")) == 450)
    assert again.feed.state.epoch == epoch
    assert viewer.numbers() == list(range(1, 451)), "no gap, no repeat, no reorder"
    assert viewer.client.gaps == 0
    assert [e["seq"] for e in viewer.events] == list(range(1, len(viewer.events) + 1))
    assert not viewer.of("RISK_ALERT") or {e["code"] for e in viewer.of("RISK_ALERT")} == {
        "UPSTREAM"
    }
    await viewer.client.close()
    await again.close()


async def test_every_bot_of_an_upstream_comes_through_and_keeps_its_own_state(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    feed = await open_feed("bot.db", bot="gold")
    feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 1.0}})
    feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 2.0}}, bot="silver")
    feed.publish({"type": "X", "n": 1}, bot="silver")
    await until(lambda: feed.state.seq == 1)
    relay = await open_relay(feed.url)
    feed.publish({"type": "X", "n": 2})
    feed.publish({"type": "X", "n": 3}, bot="copper")  # one that comes later
    viewer = await Viewer(relay.feed.url, since=f"{relay.feed.state.epoch}:0").start()
    await until(lambda: len(viewer.of("X")) == 3)
    assert [(e["bot"], e["n"]) for e in viewer.of("X")] == [
        ("silver", 1),
        ("gold", 2),
        ("copper", 3),
    ]
    equity = {s.name: s.account.get("equity") for s in relay.feed.state.each()}
    assert equity == {"gold": 1.0, "silver": 2.0, "copper": None}
    await viewer.client.close()


async def test_an_old_dashboard_behind_a_relay_sees_what_it_knows(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    feed = await open_feed("bot.db")
    relay = await open_relay(feed.url, heartbeat_s=0.05)
    legacy = await join(relay.feed, legacy=True)
    assert (await frame(legacy))["type"] == "STATE_SNAPSHOT"
    feed.publish({"type": "QUOTE_UPDATE", "quotes": {"A": {"bid": 1.0}}})
    feed.publish({"type": "ACCOUNT_UPDATE", "account": {"balance": 5.0}})
    feed.publish({"type": "SCAN_START", "count": 3})
    kinds = [(await frame(legacy))["type"] for _ in range(2)]
    assert sorted(kinds) == ["ACCOUNT_UPDATE", "SCAN_START"], "no quotes, no heartbeats"
    status, _, body = await http(relay.feed, "/api/account")
    assert (status, b'"balance":5.0' in body) == (200, True)
    await legacy.close()
