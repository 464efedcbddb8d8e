"""Which events become alerts, and which of those go out at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from streamer.alerts.rules import Alert, AlertRules
from streamer.alerts.settings import AlertSettings
from streamer.alerts.throttle import AlertThrottle, quiet_at
from streamer.protocol.messages import Reason, TerminalStatus


def rules(**settings: Any) -> AlertRules:
    return AlertRules(AlertSettings(**settings))


def status(state: str, text: str = "") -> dict[str, Any]:
    reason = {"code": "X", "text": text} if text else None
    return {"type": "BOT_STATUS", "state": state, "reason": reason}


def account(**limits: tuple[Any, Any, str]) -> dict[str, Any]:
    told = {n: {"value": v, "limit": m, "unit": u} for n, (v, m, u) in limits.items()}
    return {"type": "ACCOUNT_UPDATE", "account": {"limits": told}}


CLOSED = {
    "type": "POSITION_CLOSED", "ticket": 5, "symbol": "EURUSD", "direction": "BUY",
    "exit_price": 1.0852, "profit": -1234.5, "r_multiple": -1.02, "close_reason": "sl",
}  # fmt: skip
OPENED = {
    "type": "TRADE_EXECUTION", "symbol": "XAUUSD", "direction": "SELL", "lot": 0.2,
    "price": 2340.52, "deal": 9,
}  # fmt: skip


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (OPENED, "info", "opened SELL XAUUSD 0.20 lots at 2340.52"),
        (CLOSED, "info", "closed BUY EURUSD at 1.08520 (stop hit), -1.0R, result -1,234.50"),
        (
            {"type": "ORDER_UPDATE", "status": "unknown", "symbol": "A", "direction": "BUY",
             "volume": 0.1, "reason": "answer lost"},
            "critical", "order BUY A 0.10 lots: unknown, answer lost",
        ),
        (
            {"type": "RISK_ALERT", "code": "SPREAD", "level": "warning", "text": "wide\x1b[2J"},
            "warning", "wide␛[2J",
        ),
        (status("halted", "enough"), "critical", "the bot is halted: enough"),
        (status("error", "boom"), "critical", "the bot fails: boom"),
        (account(drawdown=(8.0, 10.0, "%")), "warning",
         "Drawdown: 80% of the limit is used up (8 of 10 %)"),
    ],
)  # fmt: skip
def test_what_people_should_know_is_told_in_words(event: Any, level: str, text: str) -> None:
    [alert] = rules().on_event(event)
    assert (alert.level, alert.text) == (level, text)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "SCAN_SUMMARY", "symbols": {}},
        {"type": "RISK_ALERT", "code": "X", "level": "info", "text": "x"},
        {"type": "RISK_ALERT", "code": "ALERT_UNDELIVERED", "level": "warning", "text": "x"},
        {"type": "ORDER_UPDATE", "status": "filled"},
        status("waiting"),
        status("paused"),
        account(open_positions=(3, 3, "positions")),
        account(drawdown=(None, 10.0, "%"), daily_loss=(1.0, None, "USD")),
        account(drawdown=(float("nan"), 10.0, "%")),
        {"type": "ACCOUNT_UPDATE", "account": None},
        {"type": 7},
    ],
)
def test_everything_else_is_not(event: Any) -> None:
    assert rules().on_event(event) == []


@pytest.mark.parametrize(
    ("setting", "event"),
    [
        ({"trades": False}, OPENED),
        ({"errors": False}, {"type": "RISK_ALERT", "level": "critical", "text": "x"}),
        ({"halted": False}, status("halted")),
        ({"limit_near_pct": None}, account(drawdown=(10.0, 10.0, "%"))),
    ],
)
def test_each_rule_can_be_switched_off(setting: Any, event: Any) -> None:
    assert rules(**setting).on_event(event) == []


def test_trades_are_told_apart_by_whatever_number_they_have() -> None:
    def key(**fields: Any) -> str:
        [alert] = rules().on_event({**CLOSED, **fields})
        return alert.key

    assert key(ticket=5, seq=1) == key(ticket=5, seq=2) != key(ticket=6, seq=1)
    assert key(ticket="A", seq=1) != key(ticket="B", seq=2)
    assert key(ticket=None, seq=1) != key(ticket=None, seq=2)


@pytest.mark.parametrize("bad", [None, 5, [], {}, "x", float("nan"), 10**400, True])
def test_a_hostile_field_raises_nothing(bad: Any) -> None:
    fields = ("account", "limits", "state", "reason", "ticket", "symbol", "level", "code", "status")
    for event in (OPENED, CLOSED, status("halted"), account(drawdown=(8.0, 10.0, "%"))):
        for name in fields:
            rules().on_event({**event, name: bad})
    for part in ("value", "limit", "unit"):
        limit = {"value": 8.0, "limit": 10.0, "unit": "%", part: bad}
        rules().on_event({"type": "ACCOUNT_UPDATE", "account": {"limits": {"x": limit, "y": bad}}})
    rules().on_event({"type": "RISK_ALERT", "level": bad, "code": bad, "text": bad})
    rules().on_event({"type": "ORDER_UPDATE", "status": "rejected", "symbol": bad, "reason": bad})


def test_a_state_is_told_once_and_so_is_its_end() -> None:
    r = rules()
    assert len(r.on_event(status("halted", "a"))) == 1
    assert r.on_event(status("halted", "a")) == []
    [over] = r.on_event(status("waiting"))
    assert over.text == "no longer halted: waiting"
    assert len(r.on_event(status("halted"))) == 1


def test_a_limit_is_near_once_until_it_was_clearly_further_away() -> None:
    r = rules(limit_near_pct=80)
    told = [len(r.on_event(account(drawdown=(v, 10.0, "%")))) for v in (7, 8, 9, 7.9, 8, 7.1, 8)]
    assert told == [0, 1, 0, 0, 0, 0, 1]


def test_money_can_be_left_out() -> None:
    r = rules(hide_money=True)
    assert r.on_event(CLOSED)[0].text.endswith("result •••")
    [near] = r.on_event(account(daily_loss=(90.0, 100.0, "USD")))
    assert near.text == "Daily loss: 90% of the limit is used up"


def test_what_lasts_is_told_when_it_has_lasted_and_when_it_is_over() -> None:
    r = rules(stale_s=60)
    error = Reason(code=None, text="no IPC")
    gone = TerminalStatus(state="disconnected", backend="paper", last_error=error)

    def look(away: float, data: float | None = 1.0, journal: str | None = None) -> list[str]:
        found = r.on_check(terminal=gone, away_s=away, data_s=data, journal=journal)
        return [f"{a.level} {a.text}" for a in found]

    assert look(59) == []
    assert look(60) == ["critical for 60 s the terminal is disconnected: no IPC"]
    assert look(90) == []
    assert look(0) == ["info over: the terminal is disconnected: no IPC"]
    assert look(0, 61) == ["critical for 60 s nothing new of the account"]
    assert look(0, None) == ["info over: nothing new of the account"]
    assert look(0, journal="disk full") == ["critical journal: disk full"]
    assert look(0, journal="disk fuller") == []
    assert look(0) == ["info the journal is written again"]


def at(text: str) -> float:
    return datetime.fromisoformat(f"2026-03-02T{text}+00:00").astimezone(UTC).timestamp()


@pytest.mark.parametrize(
    ("hours", "zone", "moment", "quiet"),
    [
        ("22:00-07:00", "UTC", "21:59", False),
        ("22:00-07:00", "UTC", "22:00", True),
        ("22:00-07:00", "UTC", "06:59", True),
        ("22:00-07:00", "UTC", "07:00", False),
        ("12:00-13:00", "UTC", "12:30", True),
        ("12:00-13:00", "Europe/Berlin", "11:30", True),
        ("12:00-13:00", "Europe/Berlin", "12:30", False),
        ("", "UTC", "03:00", False),
    ],
)
def test_quiet_hours_go_by_their_own_zone(hours: str, zone: str, moment: str, quiet: bool) -> None:
    assert quiet_at(AlertSettings(quiet=hours, quiet_zone=zone), at(moment)) is quiet


def alert(key: str = "k", level: Any = "warning", text: str = "t") -> Alert:
    return Alert("error", level, key, text)


def test_repeats_are_counted_and_told_after_a_while() -> None:
    gate = AlertThrottle(AlertSettings(repeat_s=300))
    assert [a.text for a in gate.take(alert(), 0)] == ["t"]
    assert gate.take(alert(text="t2"), 1) == []
    assert gate.take(alert(text="t3"), 2) == []
    assert [a.text for a in gate.take(alert("other"), 3)] == ["t"]
    assert gate.due(299) == []
    assert [a.text for a in gate.due(300)] == ["t3 (2 more in 300 s)"]
    assert gate.take(alert(), 301) == [], "and the count goes on"
    assert [a.text for a in gate.due(601)] == ["t (1 more in 300 s)"]
    assert gate.due(1000) == []
    assert [a.text for a in gate.take(alert(), 1001)] == ["t"]


def test_in_quiet_hours_only_what_is_critical_goes_out_and_the_rest_after_them() -> None:
    gate = AlertThrottle(AlertSettings(quiet="22:00-07:00", quiet_zone="UTC", repeat_s=0))
    assert gate.take(alert("a", "info", "one"), at("23:00")) == []
    assert gate.take(alert("b", "warning", "two"), at("23:10")) == []
    assert [a.text for a in gate.take(alert("c", "critical", "fire"), at("23:20"))] == ["fire"]
    assert gate.due(at("23:30")) == []
    [summary] = gate.due(at("07:00"))
    assert (summary.level, summary.text) == ("warning", "2 in the quiet hours\none\ntwo")
    assert gate.due(at("07:01")) == []


def test_a_night_full_of_alerts_is_one_message_that_says_how_many() -> None:
    gate = AlertThrottle(AlertSettings(quiet="22:00-07:00", quiet_zone="UTC"))
    for n in range(700):
        gate.take(alert(f"k{n}", "info", f"n{n}"), at("23:00"))
    [summary] = gate.due(at("08:00"))
    lines = summary.text.splitlines()
    assert lines[:2] == ["700 in the quiet hours", "the newest 12 of 700:"]
    assert len(lines) == 14


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"quiet": "22-7"}, "22:00-07:00"),
        ({"quiet": "25:00-07:00"}, "22:00-07:00"),
        ({"quiet_zone": "Mars/Base"}, "Europe/Berlin"),
        ({"webhook": {"url": "hook.example"}}, "https://HOST/PATH"),
        ({"dead_man": {"url": "ftp://x/y"}}, "https://HOST/PATH"),
        ({"telegram": {"token": "1:a"}}, "both a token and a chat"),
        ({"email": {"host": "mail"}}, "needs a sender"),
        ({"pager": True}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused_with_what_they_should_be(settings: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words.replace("/", "/")):
        AlertSettings(**settings)


def test_secrets_do_not_show() -> None:
    settings = AlertSettings(
        webhook={"url": "https://h.example/SECRET", "secret": "SECRET"},
        telegram={"token": "SECRET", "chat": "1"},
        email={"host": "h", "sender": "a@b", "to": ["c@d"], "password": "SECRET"},
        dead_man={"url": "https://h.example/SECRET"},
    )
    assert "SECRET" not in repr(settings)
    assert "SECRET" not in settings.model_dump_json()
