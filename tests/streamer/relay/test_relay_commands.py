"""Commands through a relay: each as everyone, repeated, changed, and with the upstream gone."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.chaos import Proxy
from support.feed_kit import OpenFeed, closed, frame, frame_of, join
from support.relay_kit import QUICK, OpenRelay, make_relay, open_relay, quick, url_of
from support.until import until
from websockets.asyncio.client import ClientConnection

from streamer.protocol.messages import Command, CommandResult
from streamer.relay.relay import Relay
from streamer.service import Feed

__all__ = ["open_relay", "quick"]

pytestmark = pytest.mark.usefixtures("quick")

ONE_STEP: list[tuple[str, dict[str, Any]]] = [
    ("pause", {}),
    ("resume", {}),
    ("scan_now", {}),
    ("close_position", {"ticket": 5, "volume": 0.1}),
    ("modify_position", {"ticket": 5, "sl": 1.1}),
    ("cancel_order", {"order": 7}),
    ("halt", {"reason": "test"}),
    ("release", {}),
]
TWO_STEPS: list[tuple[str, dict[str, Any]]] = [
    ("flatten", {"symbol": "EURUSD"}),
    ("halt", {"flatten": True}),
]


def named(case: Any) -> str:
    return str(case[0]) + ("+flatten" if case[1].get("flatten") else "")


@dataclass
class Desk:
    """A bot's feed, a relay of it through a proxy, and what the bot did."""

    bot: Feed
    relay: Relay
    proxy: Proxy
    control: str
    view: str
    done: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    cut: bool = False
    hang: bool = False

    async def act(self, command: Command, actor: str) -> CommandResult:
        self.done.append((command.name, command.args))
        if self.cut:
            self.proxy.cut(1.0)
            await asyncio.sleep(0.05)
        if self.hang:
            await asyncio.sleep(60)
        return CommandResult(id=command.id, ok=True, result={"n": len(self.done)})

    def audits(self, feed: Feed, id: str) -> list[dict[str, Any]]:
        return [
            event
            for event in feed.state.events
            if event["type"] == "COMMAND_AUDIT" and event["id"] == id
        ]


@pytest.fixture
async def desk(open_feed: OpenFeed, open_relay: OpenRelay, request: pytest.FixtureRequest) -> Any:
    """A desk; its parameter, if any, is the relay's timings."""
    bot = await open_feed("bot.db")
    proxy = Proxy(bot.port)
    await proxy.start()
    upstream, _ = bot.tokens.new("control")
    timings = getattr(request, "param", QUICK)
    relay = await open_relay(url_of(proxy.port), tokens=[upstream], timings=timings)
    tokens: dict[str, Any] = {role: relay.feed.tokens.new(role)[0] for role in ("control", "view")}
    made = Desk(bot, relay, proxy, **tokens)
    bot.set_commander(made.act)
    yield made
    await proxy.close()


def wire(case: tuple[str, dict[str, Any]], id: str, **more: Any) -> str:
    return json.dumps({"type": "COMMAND", "id": id, "name": case[0], "args": case[1], **more})


async def ask(ws: ClientConnection, text: str, timeout: float = 5.0) -> dict[str, Any]:
    await ws.send(text)
    return await frame_of(ws, "COMMAND_RESULT", timeout=timeout)


@pytest.mark.parametrize("case", [*ONE_STEP, *TWO_STEPS], ids=named)
@pytest.mark.parametrize("role", ["view", "none"])
async def test_only_control_of_the_relay_may_command(desk: Desk, case: Any, role: str) -> None:
    token = desk.view if role == "view" else None
    async with await join(desk.relay.feed, token=token) as ws:
        await frame(ws)
        await ws.send(wire(case, "a"))
        code, frames = await closed(ws)
    assert code == 4503
    assert frames[-1]["error"]["code"] == "ROLE"
    assert desk.done == []
    assert not desk.audits(desk.bot, "a")


@pytest.mark.parametrize("case", ONE_STEP, ids=named)
async def test_control_acts_once_however_often_it_asks(desk: Desk, case: Any) -> None:
    async with await join(desk.relay.feed, token=desk.control) as ws:
        first = await ask(ws, wire(case, "a"))
        assert (first["ok"], first["result"]) == (True, {"n": 1})
        assert await ask(ws, wire(case, "a")) == first
        changed = await ask(ws, wire(("scan_now", {"x": 1}), "a"))
        assert changed["error"]["code"] == "ID_REUSED"
    assert desk.done == [case]


@pytest.mark.parametrize("case", TWO_STEPS, ids=named)
async def test_the_relay_asks_its_caller_and_the_bot_acts_after_the_answer_only(
    desk: Desk, case: Any
) -> None:
    row = {"ticket": 1, "symbol": "EURUSD", "direction": "BUY", "volume": 0.1, "owner": "bot"}
    desk.bot.publish({"type": "POSITION_UPDATE", "positions": [row]})
    await until(lambda: desk.relay.feed.state.positions)
    async with (
        await join(desk.relay.feed, token=desk.control) as ws,
        await join(desk.relay.feed, token=desk.control) as other,
    ):
        asked = await ask(ws, wire(case, "a"))
        assert asked["error"]["code"] == "CONFIRM"
        assert "closes 1 position (EURUSD BUY 0.1)" in asked["confirm"]["text"]
        nonce = asked["confirm"]["nonce"]
        stolen = await ask(other, wire(case, "a", confirm=nonce))
        assert stolen["error"]["code"] == "CONFIRM_FAILED", "another connection's"
        assert desk.done == []
        assert (await ask(ws, wire(case, "a", confirm=nonce)))["ok"]
        stale = await ask(ws, wire(case, "b", confirm=nonce))
        assert stale["error"]["code"] == "CONFIRM_FAILED"
        spent = (await ask(ws, wire(case, "c")))["confirm"]["nonce"]
        body = ("flatten", {"symbol": "XAUUSD"})
        assert (await ask(ws, wire(body, "c", confirm=spent)))["error"]["code"] == "CONFIRM_FAILED"
    assert desk.done == [case]


async def test_both_feeds_keep_who_asked(desk: Desk) -> None:
    async with await join(desk.relay.feed, token=desk.control) as ws:
        assert (await ask(ws, wire(("pause", {}), "a")))["ok"]
    await until(lambda: len(desk.audits(desk.bot, "a")) == 2)
    await until(lambda: len(desk.audits(desk.relay.feed, "a")) == 4)
    assert [e["state"] for e in desk.audits(desk.bot, "a")] == ["given", "done"]
    own = [e for e in desk.audits(desk.relay.feed, "a") if "origin" not in e]
    theirs = [e for e in desk.audits(desk.relay.feed, "a") if "origin" in e]
    assert [e["state"] for e in own] == ["given", "done"]
    assert [e["state"] for e in theirs] == ["given", "done"]
    assert own[0]["actor"] != theirs[0]["actor"], "the caller there, the relay here"
    numbers = [e["seq"] for e in (own[0], theirs[0])]
    assert numbers == sorted(numbers), "on the relay's disk before it was passed on"


async def test_an_answer_lost_upstream_is_found_in_its_log_and_nothing_is_sent_twice(
    desk: Desk,
) -> None:
    desk.cut = True
    async with await join(desk.relay.feed, token=desk.control) as ws:
        answer = await ask(ws, wire(("close_position", {"ticket": 5}), "a"), timeout=15)
        assert (answer["ok"], answer["result"]) == (True, {"n": 1})
        assert await ask(ws, wire(("close_position", {"ticket": 5}), "a")) == answer
    assert desk.done == [("close_position", {"ticket": 5})]


@pytest.mark.parametrize("desk", [dataclasses.replace(QUICK, audit_s=0.3)], indirect=True)
async def test_an_upstream_that_dies_with_the_command_leaves_it_unknown_then_known(
    desk: Desk,
) -> None:
    desk.cut = True
    desk.proxy._target = 1  # no way back yet
    target = desk.bot.port
    async with await join(desk.relay.feed, token=desk.control) as ws:
        answer = await ask(ws, wire(("scan_now", {}), "a"), timeout=15)
        assert answer["error"]["code"] == "OUTCOME_UNKNOWN"
        again = await ask(ws, wire(("scan_now", {}), "a"))
        assert again["error"]["code"] == "OUTCOME_UNKNOWN"
        desk.proxy._target = target
        await until(lambda: len(desk.audits(desk.relay.feed, "a")) == 4)
        known = await ask(ws, wire(("scan_now", {}), "a"))
        assert (known["ok"], known["result"]) == (True, {"n": 1}), "found by its id"
    assert desk.done == [("scan_now", {})]


async def test_an_upstream_that_is_away_refuses_in_words_and_nothing_is_kept_for_later(
    desk: Desk,
) -> None:
    target, desk.proxy._target = desk.proxy._target, 1
    desk.proxy.cut(1.0)
    await until(lambda: not desk.relay.upstreams[0].live)
    async with await join(desk.relay.feed, token=desk.control) as ws:
        answer = await ask(ws, wire(("pause", {}), "a"))
        assert answer["error"]["code"] == "UPSTREAM_DOWN"
        assert "nothing was sent" in answer["error"]["message"]
        desk.proxy._target = target
        await until(lambda: desk.relay.upstreams[0].live)
        assert (await ask(ws, wire(("resume", {}), "b")))["ok"]
    assert desk.done == [("resume", {})]


async def test_an_upstream_that_may_only_be_viewed_is_known_before_anything_is_tried(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    bot = await open_feed("bot.db")
    relay = await open_relay(bot.url)
    token, _ = relay.feed.tokens.new("control")
    async with await join(relay.feed, token=token) as ws:
        answer = await ask(ws, wire(("pause", {}), "a"))
        assert answer["error"]["code"] == "UPSTREAM_ROLE"
        assert "--token-file" in answer["error"]["message"]
        flatten = await ask(ws, wire(("flatten", {}), "b"))
        nonce = flatten["confirm"]["nonce"]
        answer = await ask(ws, wire(("flatten", {}), "b", confirm=nonce))
        assert answer["error"]["code"] == "UPSTREAM_ROLE"
    assert not [e for e in bot.state.events if e["type"] == "COMMAND_AUDIT"]
    assert relay.upstreams[0].live, "the link was not closed for it"


async def test_a_command_goes_to_the_bot_that_it_names(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    done: list[tuple[str, str]] = []
    bots, tokens = [], []
    for name in ("gold", "silver"):
        bot = await open_feed(f"{name}.db", bot=name)

        async def act(command: Command, actor: str, name: str = name) -> CommandResult:
            done.append((name, command.name))
            return CommandResult(id=command.id, ok=True)

        bot.set_commander(act)
        bots.append(bot)
        tokens.append(bot.tokens.new("control")[0])
    relay = await open_relay(*(bot.url for bot in bots), tokens=tokens)
    token, _ = relay.feed.tokens.new("control")
    async with await join(relay.feed, token=token) as ws:
        unclear = await ask(ws, wire(("pause", {}), "a"))
        assert not unclear["ok"]
        assert "gold, silver" in unclear["error"]["message"]
        assert (await ask(ws, wire(("pause", {}), "b", bot="silver")))["ok"]
        assert (await ask(ws, wire(("resume", {}), "c", bot="gold")))["ok"]
        nobody = await ask(ws, wire(("pause", {}), "d", bot="copper"))
        assert nobody["error"]["code"] == "NO_BOT"
    assert done == [("silver", "pause"), ("gold", "resume")]


async def test_through_two_relays_a_command_acts_once(desk: Desk, open_relay: OpenRelay) -> None:
    token, _ = desk.relay.feed.tokens.new("control")
    far = await open_relay(desk.relay.feed.url, tokens=[token], journal="far.db")
    control, _ = far.feed.tokens.new("control")
    async with await join(far.feed, token=control) as ws:
        nonce = (await ask(ws, wire(("flatten", {}), "a")))["confirm"]["nonce"]
        answer = await ask(ws, wire(("flatten", {}), "a", confirm=nonce))
        assert (answer["ok"], answer["result"]) == (True, {"n": 1})
    assert desk.done == [("flatten", {})]


async def test_a_command_the_relay_does_not_know_is_not_confirmed_for_its_caller(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer bot may ask before a command that this relay has never heard of."""
    check = desk.bot.commands._check

    def newer(command: Command, body: bytes, session: str | None) -> CommandResult | None:
        if command.name == "liquidate" and command.confirm is None:
            return check(Command(id=command.id, name="flatten", args={}, bot="main"), body, session)
        return check(command, body, session)

    monkeypatch.setattr(desk.bot.commands, "_check", newer)
    async with await join(desk.relay.feed, token=desk.control) as ws:
        answer = await ask(ws, wire(("liquidate", {}), "a"))
        assert not answer["ok"]
        assert "does not know" in answer["error"]["message"]
    assert desk.done == []


async def test_a_restarted_relay_knows_what_became_of_a_command(
    open_feed: OpenFeed, tmp_path: Path
) -> None:
    bot = await open_feed("bot.db")
    done: list[str] = []

    async def act(command: Command, actor: str) -> CommandResult:
        done.append(command.name)
        return CommandResult(id=command.id, ok=True, result={"n": len(done)})

    bot.set_commander(act)
    upstream, _ = bot.tokens.new("control")
    first = make_relay(tmp_path, bot.url, tokens=[upstream])
    await first.start()
    await until(lambda: first.upstreams[0].live)
    token, _ = first.feed.tokens.new("control")
    async with await join(first.feed, token=token) as ws:
        answer = await ask(ws, wire(("pause", {}), "a"))
    await first.close()
    second = make_relay(tmp_path, bot.url, tokens=[upstream])
    await second.start()
    async with await join(second.feed, token=token) as ws:
        assert await ask(ws, wire(("pause", {}), "a")) == answer
    assert done == ["pause"]
    await second.close()
