"""Every command against everyone who may ask for it, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from support.feed_kit import OpenFeed, closed, frame, frame_of, join
from websockets.asyncio.client import ClientConnection

from streamer.protocol.commands import COMMANDS
from streamer.protocol.messages import Command, CommandResult
from streamer.service import Feed

ARGS: dict[str, dict[str, Any]] = {
    "close_position": {"ticket": 5, "volume": 0.1},
    "modify_position": {"ticket": 5, "sl": 1.1},
    "cancel_order": {"order": 7},
    "flatten": {"symbol": "EURUSD"},
    "halt": {"reason": "test"},
}
CASES = [(name, ARGS.get(name, {})) for name in COMMANDS]
CASES.append(("halt", {"reason": "test", "flatten": True}))
TWO_STEPS = [case for case in CASES if case[0] == "flatten" or case[1].get("flatten")]
ONE_STEP = [case for case in CASES if case not in TWO_STEPS]


def named(case: tuple[str, dict[str, Any]]) -> str:
    return case[0] + ("+flatten" if case[1].get("flatten") else "")


@dataclass
class Desk:
    """A feed with somebody who acts, and what was done."""

    feed: Feed
    control: str
    view: str
    publish: str
    done: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    now: float = 1000.0

    async def act(self, command: Command, actor: str) -> CommandResult:
        self.done.append((command.name, command.args))
        return CommandResult(id=command.id, ok=True, result={"n": len(self.done)})


@pytest.fixture
async def desk(open_feed: OpenFeed) -> Desk:
    feed = await open_feed("j.db")
    tokens: dict[str, Any] = {
        role: feed.tokens.new(role)[0] for role in ("control", "view", "publish")
    }
    made = Desk(feed, **tokens)
    feed.set_commander(made.act)
    feed.commands.confirmations.clock = lambda: made.now
    return made


def wire(case: tuple[str, dict[str, Any]], id: str, **more: Any) -> str:
    return json.dumps({"type": "COMMAND", "id": id, "name": case[0], "args": case[1], **more})


async def ask(ws: ClientConnection, text: str) -> dict[str, Any]:
    await ws.send(text)
    return await frame_of(ws, "COMMAND_RESULT")


async def question(ws: ClientConnection, case: tuple[str, dict[str, Any]], id: str) -> str:
    """Ask without a confirmation; the nonce of the question that comes back."""
    answer = await ask(ws, wire(case, id))
    assert (answer["ok"], answer["error"]["code"]) == (False, "CONFIRM")
    assert answer["confirm"]["expires_s"] == 30
    return str(answer["confirm"]["nonce"])


@pytest.mark.parametrize("case", CASES, ids=named)
@pytest.mark.parametrize("role", ["view", "publish", "none"])
async def test_only_control_may_command(desk: Desk, case: Any, role: str) -> None:
    token = {"view": desk.view, "publish": desk.publish, "none": None}[role]
    async with await join(desk.feed, token=token) as ws:
        await frame(ws)
        await ws.send(wire(case, "a"))
        code, frames = await closed(ws)
    assert code == 4503
    assert frames[-1]["error"]["code"] == "ROLE"
    assert desk.done == []
    assert list(desk.feed.state.events) == []


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_without_the_token_that_is_asked_for_nothing_is_heard(
    open_feed: OpenFeed, case: Any
) -> None:
    feed = await open_feed(require_token=True)
    async with await join(feed) as ws:
        await ws.send(wire(case, "a"))
        code, frames = await closed(ws)
    assert (code, [f["type"] for f in frames]) == (4501, ["ERROR"])
    assert list(feed.state.events) == []


@pytest.mark.parametrize("case", ONE_STEP, ids=named)
async def test_control_acts_once_however_often_it_asks(desk: Desk, case: Any) -> None:
    async with await join(desk.feed, token=desk.control) as ws:
        first = await ask(ws, wire(case, "a"))
        assert first["ok"]
        assert await ask(ws, wire(case, "a")) == first
        other = ("halt", {"reason": "other"})
        changed = await ask(ws, wire(other, "a"))
    assert changed["error"]["code"] == "ID_REUSED"
    async with await join(desk.feed, token=desk.control) as ws:
        assert await ask(ws, wire(case, "a")) == first, "also on another connection"
    assert desk.done == [case]


@pytest.mark.parametrize("case", TWO_STEPS, ids=named)
async def test_what_closes_everything_is_done_after_the_question_only(
    desk: Desk, case: Any
) -> None:
    async with await join(desk.feed, token=desk.control) as ws:
        nonce = await question(ws, case, "a")
        assert desk.done == []
        assert list(desk.feed.state.events) == [], "a question is no deed"
        first = await ask(ws, wire(case, "a", confirm=nonce))
        assert first["ok"]
        assert await ask(ws, wire(case, "a", confirm=nonce)) == first, "a repeat: the first result"
        assert await ask(ws, wire(case, "a")) == first
        again = await ask(ws, wire(case, "b", confirm=nonce))
        assert again["error"]["code"] == "CONFIRM_FAILED", "a nonce is used once"
    assert desk.done == [case]


@pytest.mark.parametrize("case", TWO_STEPS, ids=named)
async def test_a_confirmation_that_is_too_old_confirms_nothing(desk: Desk, case: Any) -> None:
    async with await join(desk.feed, token=desk.control) as ws:
        nonce = await question(ws, case, "a")
        desk.now += 30.1
        answer = await ask(ws, wire(case, "a", confirm=nonce))
        assert answer["error"]["code"] == "CONFIRM_FAILED"
        assert "30 s" in answer["error"]["message"]
        assert desk.done == []
        nonce = await question(ws, case, "a")
        desk.now += 29.9
        assert (await ask(ws, wire(case, "a", confirm=nonce)))["ok"]


@pytest.mark.parametrize("case", TWO_STEPS, ids=named)
async def test_another_connections_confirmation_is_none_and_stays_good_there(
    desk: Desk, case: Any
) -> None:
    async with (
        await join(desk.feed, token=desk.control) as mine,
        await join(desk.feed, token=desk.control) as other,
    ):
        nonce = await question(mine, case, "a")
        answer = await ask(other, wire(case, "a", confirm=nonce))
        assert answer["error"]["code"] == "CONFIRM_FAILED"
        assert desk.done == []
        assert (await ask(mine, wire(case, "a", confirm=nonce)))["ok"]
    assert desk.done == [case]


CHANGES: list[Callable[[dict[str, Any]], None]] = [
    lambda c: c.update(args={**c["args"], "symbol": "XAUUSD"} if c["name"] == "flatten" else {}),
    lambda c: c.update(args={"flatten": True} if c["name"] == "halt" else {}),
    lambda c: c.update(id="b"),
    lambda c: c.update(
        name="halt" if c["name"] == "flatten" else "flatten",
        args={"flatten": True} if c["name"] == "flatten" else {},
    ),
]


@pytest.mark.parametrize("case", TWO_STEPS, ids=named)
@pytest.mark.parametrize("change", CHANGES)
async def test_a_confirmation_is_for_what_was_asked_and_is_spent_by_another(
    desk: Desk, case: Any, change: Callable[[dict[str, Any]], None]
) -> None:
    async with await join(desk.feed, token=desk.control) as ws:
        nonce = await question(ws, case, "a")
        changed = json.loads(wire(case, "a", confirm=nonce))
        change(changed)
        plain_halt = changed["name"] == "halt" and "flatten" not in changed["args"]
        answer = await ask(ws, json.dumps(changed))
        if plain_halt:  # needs no question, and its confirmation is not looked at
            assert answer["ok"]
            return
        assert answer["error"]["code"] == "CONFIRM_FAILED"
        again = await ask(ws, wire(case, "c", confirm=nonce))
        assert again["error"]["code"] == "CONFIRM_FAILED"
    assert desk.done == []


async def test_questions_of_one_connection_do_not_crowd_out_those_of_another(desk: Desk) -> None:
    case: tuple[str, dict[str, Any]] = ("flatten", {})
    async with (
        await join(desk.feed, token=desk.control) as patient,
        await join(desk.feed, token=desk.control) as greedy,
    ):
        nonce = await question(patient, case, "mine")
        first = await question(greedy, case, "g0")
        for n in range(20):
            await question(greedy, case, f"g{n}")
        assert (await ask(greedy, wire(case, "g0", confirm=first)))["ok"] is False
        assert (await ask(patient, wire(case, "mine", confirm=nonce)))["ok"]


async def test_the_question_tells_what_would_be_closed(desk: Desk) -> None:
    row = {"symbol": "EURUSD", "direction": "BUY", "volume": 0.1, "owner": "bot"}
    rows = [{"ticket": n, **row} for n in range(6)] + [{"ticket": 9, **row, "symbol": "XAUUSD"}]
    desk.feed.publish({"type": "POSITION_UPDATE", "positions": rows})
    desk.feed.publish({"type": "ORDERS_UPDATE", "orders": [{"order": 1, "symbol": "EURUSD"}]})
    async with await join(desk.feed, token=desk.control) as ws:
        answer = await ask(ws, wire(("flatten", {"symbol": "EURUSD"}), "a"))
        text = answer["confirm"]["text"]
        assert text.startswith("closes 6 positions (EURUSD BUY 0.1, ")
        assert text.endswith("and 1 more) and cancels 1 pending order")
        both = await ask(ws, wire(("halt", {"flatten": True}), "b"))
        assert both["confirm"]["text"].startswith("stops new trades, closes 7 positions")


async def test_this_process_asks_in_its_own_face_and_is_not_asked(desk: Desk) -> None:
    assert (await desk.feed.command("flatten")).ok
    assert desk.done == [("flatten", {})]


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("pause", {"now": 1}, "pause takes no now"),
        ("close_position", {}, "ticket must be a whole number above 0, got None"),
        ("close_position", {"ticket": "5"}, "ticket must be a whole number above 0, got '5'"),
        ("close_position", {"ticket": 5, "volume": -1}, "volume must be a number above 0"),
        ("close_position", {"ticket": 5, "lots": 1}, "takes no lots; it takes ticket, volume"),
        ("close_position", {"ticket": 5, "expect": {"side": "LONG"}}, "expect must be an object"),
        ("close_position", {"ticket": 5, "expect": {"sid": "BUY"}}, "expect must be an object"),
        ("modify_position", {"ticket": 5}, "needs sl, tp or both"),
        ("modify_position", {"ticket": 5, "sl": 1e13}, "sl must be a number 0 or more"),
        ("cancel_order", {"order": 2**70}, "order must be a whole number"),
        ("flatten", {"owner": "me"}, "owner must be all or bot"),
        ("halt", {"reason": "x" * 201}, "reason must be text of at most 200"),
        ("halt", {"flatten": 1}, "flatten must be true or false"),
    ],
)
async def test_wrong_arguments_are_named_and_nothing_acts(
    desk: Desk, name: str, args: dict[str, Any], words: str
) -> None:
    async with await join(desk.feed, token=desk.control) as ws:
        answer = await ask(ws, wire((name, args), "a"))
        assert answer["error"]["code"] == "BAD_ARGS"
        assert words in answer["error"]["message"]
        audit = await frame_of(ws, "COMMAND_AUDIT")
        assert (audit["state"], audit["ok"]) == ("refused", False)
        good = await ask(ws, wire(("pause", {}), "a"))
        assert good["ok"], "an id that was refused is not used up"
    assert desk.done == [("pause", {})]


async def test_a_name_of_another_bots_own_goes_to_its_commander(desk: Desk) -> None:
    async with await join(desk.feed, token=desk.control) as ws:
        assert (await ask(ws, wire(("retrain", {"epochs": 3}), uuid4().hex)))["ok"]
    assert desk.done == [("retrain", {"epochs": 3})]
