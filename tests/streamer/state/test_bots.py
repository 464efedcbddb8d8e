"""Several bots on one feed, over real sockets: whose an event is, and who sees which."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from support.feed_kit import OpenFeed, frame, frame_of, http, join
from support.until import until
from websockets.asyncio.client import ClientConnection

from streamer.client.feed_client import FeedClient
from streamer.journal.limits import JournalLimits
from streamer.journal.writer import Journal
from streamer.server.tokens import AccessError
from streamer.service import Feed
from streamer.settings import FeedSettings
from streamer.state.bot_source import BotSource


def account(login: int, equity: float) -> dict[str, Any]:
    return {
        "type": "ACCOUNT_UPDATE",
        "account": {"login": login, "server": "S", "balance": equity, "equity": equity},
    }


def opened(ticket: int) -> dict[str, Any]:
    return {
        "type": "POSITION_OPENED",
        "ticket": ticket,
        "symbol": "EURUSD",
        "direction": "BUY",
        "volume": 0.1,
    }


def closed(ticket: int, profit: float) -> dict[str, Any]:
    return {**opened(ticket), "type": "POSITION_CLOSED", "profit": profit}


async def publisher(feed: Feed, bot: str) -> ClientConnection:
    text, _ = feed.tokens.new("publish", bot=bot)
    ws = await join(feed, token=text)
    await frame_of(ws, "STATE_SNAPSHOT")
    return ws


async def say(ws: ClientConnection, *events: dict[str, Any]) -> None:
    for event in events:
        await ws.send(json.dumps({"type": "PUBLISH", "event": event}))


async def get(feed: Feed, path: str) -> Any:
    status, _, body = await http(feed, path)
    assert status == 200, body
    return json.loads(body)


# -- scoping ------------------------------------------------------------------------------


async def test_what_a_bots_token_publishes_is_that_bots(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    feed.publish(account(1, 10.0))
    async with await join(feed) as viewer, await publisher(feed, "beta") as beta:
        assert (await frame(viewer))["data"]["bot_name"] == "main"
        await say(beta, account(2, 20.0), {"type": "SCAN_START", "count": 3})
        update = await frame_of(viewer, "ACCOUNT_UPDATE")
        assert (update["bot"], update["account"]["login"]) == ("beta", 2)
        started = await frame_of(viewer, "SCAN_START")
        assert (started["bot"], started["account"], started["seq"]) == ("beta", "2@S", 1)
        feed.publish({"type": "SCAN_START", "count": 4})
        own = await frame_of(viewer, "SCAN_START")
        assert (own["bot"], own["account"], own["seq"]) == ("main", "1@S", 2)
    assert feed.state.account["login"] == feed.own.account["login"] == 1
    assert feed.state.bots["beta"].account["login"] == 2
    assert [e["seq"] for e in feed.state.events] == [2]
    assert [e["seq"] for e in feed.state.bots["beta"].events] == [1]


async def test_a_bot_that_claims_another_name_is_refused_in_words(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    async with await publisher(feed, "beta") as beta:
        await say(beta, {"type": "SCAN_START", "count": 1, "bot": "main"})
        refused = await frame_of(beta, "ERROR")
        assert refused["code"] == "REFUSED"
        assert "publishes as beta, not as main" in refused["message"]
        await say(beta, {"type": "SCAN_START", "count": 2, "bot": "beta"})
        assert (await frame_of(beta, "SCAN_START"))["bot"] == "beta"
    assert feed.state.seq == 1
    assert not feed.own.events


async def test_a_publish_token_of_no_bot_speaks_for_the_feeds_own(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    text, _ = feed.tokens.new("publish")
    async with await join(feed, token=text) as ws:
        await frame(ws)
        await say(ws, {"type": "SCAN_START", "count": 1})
        assert (await frame_of(ws, "SCAN_START"))["bot"] == "main"
    assert feed.bots.names == ["main"]


async def test_what_the_process_itself_publishes_is_its_own_bots_whatever_it_names(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed()
    feed.publish({"type": "CHAT", "bot": "gemini", "account": {"any": 1}})
    (event,) = feed.own.events
    assert (event["bot"], event["account"]) == ("main", {"any": 1})
    assert feed.bots.names == ["main"]


@pytest.mark.parametrize("name", ["", "a b", ".x", "x" * 33, "a@b", "é", "a/b", "a\n"])
async def test_a_token_is_made_only_for_a_name(tmp_path: Path, name: str) -> None:
    from streamer.server.tokens import TokenStore

    store = TokenStore(tmp_path / "t.json")
    if name:
        with pytest.raises(AccessError, match="is not a bot name"):
            store.new("publish", bot=name)
    with pytest.raises(AccessError, match="role publish"):
        store.new("control", bot="beta")


async def test_more_bots_than_the_feed_takes_are_refused_and_the_others_go_on(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed(max_bots=2)
    async with await publisher(feed, "beta") as beta, await publisher(feed, "gamma") as gamma:
        await say(beta, {"type": "A"})
        assert (await frame_of(beta, "A"))["bot"] == "beta"
        await say(gamma, {"type": "B"})
        assert "takes 2 bots" in (await frame_of(gamma, "ERROR"))["message"]
        await say(beta, {"type": "C"})
        assert (await frame_of(beta, "C"))["seq"] == 2
    assert feed.bots.names == ["main", "beta"]


# -- who sees which -----------------------------------------------------------------------


async def test_a_legacy_client_sees_one_bot_and_its_routes_too(open_feed: OpenFeed) -> None:
    feed = await open_feed("j.db")
    feed.publish(account(1, 10.0))
    async with (
        await publisher(feed, "beta") as beta,
        await join(feed, legacy=True) as old,
        await join(feed, "?bots=beta", legacy=True) as other,
        await join(feed) as viewer,
    ):
        snapshot = await frame(old)
        assert snapshot["data"]["account"]["login"] == 1
        assert not snapshot["data"]["bots"]
        await frame(other)
        await frame(viewer)
        await say(beta, account(2, 20.0), opened(7), closed(7, 5.0), {"type": "FROM_BETA"})
        assert (await frame_of(viewer, "FROM_BETA"))["bot"] == "beta"
        feed.publish(opened(8))
        feed.publish({"type": "LAST"})
        assert [(await frame(old))["type"] for _ in range(2)] == ["POSITION_OPENED", "LAST"]
        kinds = [(await frame(other))["type"] for _ in range(4)]
        assert kinds == ["ACCOUNT_UPDATE", "POSITION_OPENED", "POSITION_CLOSED", "FROM_BETA"]
        async with await join(feed, legacy=True) as late:
            events = (await frame(late))["data"]["events"]
            assert [e["type"] for e in events] == ["POSITION_OPENED", "LAST"]
    assert (await get(feed, "/api/account"))["login"] == 1
    assert (await get(feed, "/api/account?bot=beta"))["login"] == 2
    assert [t["ticket"] for t in await get(feed, "/api/journal/trades")] == [8]
    assert [t["ticket"] for t in await get(feed, "/api/journal/trades?bot=beta")] == [7]
    assert (await get(feed, "/api/journal/daily"))["wins"] == 0
    assert (await get(feed, "/api/journal/daily?bot=beta"))["wins"] == 1
    assert (await get(feed, "/api/state"))["bots"] == {}
    assert set((await get(feed, "/api/state?bot=*"))["bots"]) == {"beta"}
    assert (await get(feed, "/api/state?bot=beta"))["bot_name"] == "beta"
    assert [e["type"] for e in (await get(feed, "/api/events?bot=main"))["events"]] == [
        "POSITION_OPENED",
        "LAST",
    ]
    assert len((await get(feed, "/api/events?bot=*"))["events"]) == 5
    assert [e["bot"] for e in (await get(feed, "/api/events"))["events"]] == ["main"] * 2
    status, _, body = await http(feed, "/api/account?bot=nobody")
    assert status == 404
    assert "main, beta" in json.loads(body)["error"]["message"]


async def test_the_settings_choose_which_bot_legacy_clients_see(open_feed: OpenFeed) -> None:
    feed = await open_feed(legacy_bot="beta")
    feed.publish(account(1, 10.0))
    async with await publisher(feed, "beta") as beta, await join(feed, legacy=True) as old:
        assert (await frame(old))["data"]["account"] == {}
        await say(beta, account(2, 20.0))
        assert (await frame_of(old, "ACCOUNT_UPDATE"))["account"]["login"] == 2
    assert feed.own.account["login"] == 1
    assert feed.state.account["login"] == 2
    assert feed.ledger is feed.bots.default_bot.ledger


async def test_a_feed_without_a_bot_of_its_own_shows_the_first_that_publishes(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed(bot="")
    async with await join(feed, legacy=True) as old:
        await frame(old)
        feed.publish({"type": "BY_THE_FEED"})
        assert "bot" not in await frame_of(old, "BY_THE_FEED")
        async with await publisher(feed, "beta") as beta, await publisher(feed, "gamma") as gamma:
            await say(beta, {"type": "FROM_BETA"})
            await frame_of(gamma, "FROM_BETA")
            await say(gamma, {"type": "FROM_GAMMA"})
            await frame_of(beta, "FROM_GAMMA")
            await say(beta, {"type": "AGAIN"})
            assert [(await frame(old))["type"] for _ in range(2)] == ["FROM_BETA", "AGAIN"]
    assert feed.state.name == "beta"


async def test_subscribing_to_bots_narrows_and_puts_the_first_on_top(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    for bot in ("", "beta", "gamma"):
        feed.publish({**account(1 if not bot else 2, 5.0), "type": "ACCOUNT_UPDATE"}, bot=bot)
    async with await join(feed) as ws:
        assert set((await frame(ws))["data"]["bots"]) == {"beta", "gamma"}
        await ws.send(json.dumps({"type": "SUBSCRIBE", "bots": ["beta", "main"]}))
        snapshot = await frame_of(ws, "STATE_SNAPSHOT")
        assert snapshot["data"]["bot_name"] == "beta"
        assert set(snapshot["data"]["bots"]) == {"main"}
        for bot in ("gamma", "beta", "main"):
            feed.publish({"type": f"FROM_{bot}"}, bot=bot)
        assert [(await frame(ws))["type"] for _ in range(2)] == ["FROM_beta", "FROM_main"]


async def test_clients_and_feed_agree_on_every_bots_state(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    feed.publish(opened(1), bot="beta")
    async with (
        FeedClient(feed.url) as whole,
        FeedClient(feed.url, bots=["beta"]) as one,
    ):
        await until(lambda: whole.state.epoch and one.state.epoch)
        for n in range(50):
            bot = ("main", "beta", "gamma")[n % 3]
            feed.publish(account(n, float(n)), bot=bot)
            feed.publish({"type": "TRADE_EXECUTION", "symbol": "X", "n": n}, bot=bot)
        feed.publish({"type": "END"}, bot="beta")
        await until(lambda: whole.state.seq == feed.state.seq == one.state.seq)
        assert whole.state.snapshot() == feed.state.snapshot()
        beta = feed.state.bots["beta"]
        assert one.state.name == "beta"
        assert one.state.sections() == beta.sections() == whole.state.bots["beta"].sections()
        assert whole.gaps == one.gaps == 0
        heard: list[Any] = []
        source = BotSource(whole, "gamma")
        source.watch(heard.append)
        feed.publish({"type": "FOR_GAMMA"}, bot="gamma")
        feed.publish({"type": "FOR_BETA"}, bot="beta")
        await until(lambda: whole.state.seq == feed.state.seq)
        assert [event["type"] for event in heard] == ["FOR_GAMMA"]
        assert source.state.account == feed.state.bots["gamma"].account


# -- over restarts ------------------------------------------------------------------------


async def test_every_bot_is_restored_after_a_restart_as_it_was(open_feed: OpenFeed) -> None:
    feed = await open_feed("j.db")
    for n, bot in enumerate(("main", "beta", "gamma")):
        feed.publish({**account(n, 10.0 * n), "timestamp": "2026-03-02T10:00:00+00:00"}, bot=bot)
        feed.publish({"type": "SCAN_SUMMARY", "symbols": {bot: "no"}, "count": 1}, bot=bot)
        feed.publish(opened(n), bot=bot)
        position = {"ticket": n, "profit": -1.5 - n}
        feed.publish({"type": "POSITION_UPDATE", "positions": [position]}, bot=bot)
    await until(lambda: not feed.waiting)
    before = feed.state.snapshot()
    epoch, seq = feed.state.epoch, feed.state.seq
    await feed.close()
    again = await open_feed("j.db")
    assert (again.state.epoch, again.state.seq) == (epoch, seq)
    after = again.state.snapshot()
    for name in ("beta", "gamma"):
        for section in ("scan_summary", "events", "equity"):
            assert after["bots"][name][section] == before["bots"][name][section], section
        assert after["bots"][name]["account"] == {}, "asked for anew"
    assert after["events"] == before["events"]
    again.publish(closed(1, -2.0), bot="beta")
    await until(lambda: again.state.seq == seq + 1)
    row = again.bots.get_or_add("beta").ledger.newest(1)[0]
    assert (row["ticket"], row["mae"], row["outcome"]) == (1, -2.5, "LOSS")
    assert [t["ticket"] for t in again.ledger.newest(5)] == [0]
    async with await join(again, f"?since={epoch}:2") as ws:
        assert (await frame(ws))["resumed"] is True
        assert [(await frame(ws))["seq"] for _ in range(5)] == [3, 4, 5, 6, 7]


async def test_a_quiet_bots_log_is_there_after_a_loud_ones_and_a_restart(
    open_feed: OpenFeed,
) -> None:
    limits = JournalLimits(tail_events=300)
    feed = await open_feed("j.db", limits)
    feed.publish({"type": "QUIET", "n": 1}, bot="beta")
    feed.publish({"type": "TRADE_EXECUTION", "symbol": "X"}, bot="beta")
    for n in range(500):
        feed.publish({"type": "LOUD", "n": n})
    await until(lambda: not feed.waiting)
    async with await join(feed) as ws:
        told = (await frame(ws))["data"]["bots"]["beta"]["events"]
    assert [e["type"] for e in told] == ["QUIET", "TRADE_EXECUTION"]
    await feed.close()
    again = await open_feed("j.db", limits)
    async with await join(again) as ws:
        data = (await frame(ws))["data"]
    assert data["bots"]["beta"]["events"] == told
    assert len(data["events"]) == 200
    assert data["bots"]["beta"]["recent_trades"][0]["symbol"] == "X"


# -- commands -----------------------------------------------------------------------------


async def test_a_command_goes_to_the_bot_it_names(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    given: list[tuple[str, str | None]] = []

    async def act(command: Any, actor: str) -> Any:
        from streamer.protocol.messages import CommandResult

        given.append((command.name, command.bot))
        return CommandResult(id=command.id, ok=True)

    feed.set_commander(act)
    feed.publish({"type": "HELLO"}, bot="beta")
    feed.publish({"type": "HELLO"}, bot="gamma")
    feed.set_commander(act, "gamma")
    text, _ = feed.tokens.new("control")
    async with FeedClient(feed.url, token=text) as client:
        await until(lambda: client.state.epoch)
        assert (await client.command("pause", id="a")).ok
        assert (await client.command("pause", bot="gamma", id="b")).ok
        refused = await client.command("pause", bot="beta", id="c")
        assert refused.error is not None
        assert refused.error.code == "OTHER_BOT"
        assert "beta only publishes here" in refused.error.message
        unknown = await client.command("pause", bot="delta", id="d")
        assert unknown.error is not None
        assert unknown.error.code == "NO_BOT"
        reused = await client.command("pause", bot="gamma", id="a")
        assert reused.error is not None
        assert reused.error.code == "ID_REUSED"
        assert (await client.command("pause", bot="main", id="a")).ok
        await until(lambda: len(client.state.bots["gamma"].events) == 3)
    assert given == [("pause", "main"), ("pause", "gamma")]
    audits = [e["state"] for e in feed.state.bots["gamma"].events if e["type"] == "COMMAND_AUDIT"]
    assert audits == ["given", "done"]
    assert "delta" not in feed.bots.names


async def test_a_command_to_another_bot_acts_once_over_a_restart(open_feed: OpenFeed) -> None:
    given: list[str] = []

    async def act(command: Any, actor: str) -> Any:
        from streamer.protocol.messages import CommandResult

        given.append(command.id)
        return CommandResult(id=command.id, ok=True, result={"n": len(given)})

    async def open_it() -> Feed:
        feed = await open_feed("j.db")
        feed.publish({"type": "HELLO"}, bot="beta")
        feed.set_commander(act, "beta")
        return feed

    feed = await open_it()
    assert (await feed.command("pause", id="a", bot="beta")).result == {"n": 1}
    await feed.close()
    feed = await open_it()
    assert (await feed.command("pause", id="a", bot="beta")).result == {"n": 1}
    assert given == ["a"]


# -- a journal of before ------------------------------------------------------------------


async def test_events_of_before_bots_had_names_are_the_own_bots(tmp_path: Path) -> None:
    def feed_of(bot: str) -> Feed:
        return Feed(FeedSettings(port=0, bot=bot), Journal(tmp_path / "j.db"))

    old = feed_of("")  # writes as feeds did then: without a name
    await old.start()
    old.publish(opened(5))
    old.publish({**account(9, 50.0), "timestamp": "2026-03-02T10:00:00+00:00"})
    await until(lambda: not old.waiting)
    await old.close()
    new = feed_of("main")
    await new.start()
    try:
        assert [e["type"] for e in new.own.events] == ["POSITION_OPENED"]
        assert new.own.equity["value"] == [50.0]
        assert new.ledger.get(5) is not None
        assert not new.state.bots
    finally:
        await new.close()
        await asyncio.sleep(0)
