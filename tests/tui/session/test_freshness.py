"""The badges of the screen by the vectors that the page passes, too; the age of a snapshot."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.fake_source import FakeSource, FrozenClock, account
from support.paths import ROOT

from streamer.protocol.lenient import read
from streamer.protocol.messages import BotStatus, TerminalStatus
from streamer.state.source import Link
from tui.session import freshness
from tui.session.freshness import Badge
from tui.session.session import Session

VECTORS = json.loads(
    (ROOT / "tests/streamer/words/vectors/freshness.json").read_text(encoding="utf-8")
)


def parts(badge: Badge) -> list[Any]:
    return [badge.word, badge.grade, badge.age, badge.detail]


@pytest.mark.parametrize("vector", VECTORS["terminal"], ids=lambda v: v["badge"][0])
def test_the_terminal_is_graded(vector: Any) -> None:
    facts = {k: v for k, v in vector.items() if k not in ("status", "badge")}
    status = read(vector["status"], TerminalStatus)
    assert parts(freshness.terminal(status, **facts)) == vector["badge"]


@pytest.mark.parametrize("vector", VECTORS["bot"], ids=lambda v: v["badge"][0])
def test_the_bot_is_graded(vector: Any) -> None:
    facts = {k: v for k, v in vector.items() if k not in ("status", "badge")}
    assert parts(freshness.bot(read(vector["status"], BotStatus), **facts)) == vector["badge"]


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS["feed"] if "page" not in v], ids=lambda v: v["badge"][0]
)
def test_the_feed_is_graded(vector: Any) -> None:
    age = vector.get("frame_age")
    link = Link(
        vector["state"],
        vector.get("url", ""),
        since=100.0 - vector.get("for_s", 0),
        last_frame=None if age is None else 100.0 - age,
        detail=vector.get("detail", ""),
    )
    trouble = vector.get("journal_trouble")
    word, grade, found, detail = parts(freshness.feed(link, now=100.0, journal_trouble=trouble))
    assert [word, grade, detail] == [vector["badge"][i] for i in (0, 1, 3)]
    assert found == pytest.approx(vector["badge"][2])


def test_a_link_state_that_is_not_known_is_never_called_fine() -> None:
    link = Link("somewhere", "", since=0.0)
    assert freshness.feed(link, now=3.0).grade == "crit"


def test_the_age_of_a_snapshot_is_unknown_until_a_heartbeat_tells_it() -> None:
    time = FrozenClock()
    source = FakeSource(time.clock, link="live")
    one = Session(source, time.clock)
    one.open()
    source.state.load({"epoch": "e1", "data": {"account": account()}}, time.mono())
    assert parts(one.terminal_badge())[:3] == ["UNKNOWN", "dim", None]
    time.go(2)
    source.publish("HEARTBEAT", seq=0, epoch="e1", sent=0, clients=1, data_age_s=3600.0)
    time.go(1)
    assert parts(one.terminal_badge())[:3] == ["STALE", "crit", 3601.0]
    source.publish("ACCOUNT_UPDATE", account=account())
    time.go(1)
    assert parts(one.terminal_badge())[:3] == ["LIVE", "ok", 1.0]


def test_the_age_of_a_snapshot_is_that_of_its_own_bot() -> None:
    time = FrozenClock()
    source = FakeSource(time.clock, link="live")
    one = Session(source, time.clock)
    one.open()
    data = {"bot_name": "a", "account": account()}
    source.state.load({"epoch": "e1", "data": data}, time.mono())
    source.publish(
        "HEARTBEAT", data_age_s=0.1, bots={"a": {"data_age_s": 50.0}, "b": {"data_age_s": 0.1}}
    )
    assert one.terminal_badge().word == "STALE"
