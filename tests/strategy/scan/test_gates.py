"""Each gate: what it lets through, what it stops, and that nothing unknown gets by."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from support.present import present

from strategy.risk.risk_limits import Figures, RiskLimits
from strategy.scan.gate_context import Block, Exposure
from strategy.scan.gates import GATES, first_block, funnel
from strategy.settings import NewsSettings, RiskSettings, StrategySettings

NAN = math.nan


def settings(**changes: Any) -> dict[str, Any]:
    known = {"min_score": 45.0, "max_cost_pct": 30.0, "min_stop_spreads": 5.0, "cooldown_s": 60.0}
    return {"settings": StrategySettings(**{**known, **changes})}


STOPPED = [
    # what is changed against a case that passes; the gate; the code; words of the text
    ({"account": {"enabled": False}}, "paused", "PAUSED", "Disabled"),
    ({"account": {"paused": True}}, "paused", "PAUSED", "Paused"),
    ({"account": {"halted": "test"}}, "halted", "RISK", "Kill Switch Active (test)"),
    ({"account": {"terminal": "stale"}}, "terminal", "TERMINAL", "Stale"),
    ({"account": {"terminal": "disconnected"}}, "terminal", "TERMINAL", "Disconnected"),
    ({"account": {"journal_ok": False}}, "journal", "BLOCKED", "Journal"),
    ({"error": "KeyError: 'x'"}, "fault", "ERROR", "Error: KeyError: 'x'"),
    (
        {"account": settings(sessions=["new_york"])},
        "session",
        "SESSION",
        "Off-Session (UTC 13:00 | Active: new_york)",
    ),
    (
        {"account": settings(sessions=["new_york"]), "utc": NAN, "sessions": frozenset()},
        "session",
        "SESSION",
        "Off-Session (UTC ?",
    ),
    ({"news": "NFP USD in 5 min"}, "news", "NEWS", "News Blackout (NFP"),
    (
        {
            "news_unreadable": True,
            "account": settings(news=NewsSettings(when_unreadable="stop")),
        },
        "news",
        "NEWS",
        "Unreadable",
    ),
    ({"tick": None}, "data", "DATA", "No Tick Data"),
    ({"tick_age": 121.0}, "data", "DATA", "Old Tick (121s > 120s)"),
    ({"tick_age": NAN}, "data", "DATA", "Old Tick (? > 120s)"),
    ({"data_fault": "Insufficient Data (3 < 64 bars M1)"}, "data", "DATA", "3 < 64"),
    ({"setup": None}, "data", "DATA", "Insufficient Data"),
    ({"info": None}, "tradable", "DATA", "Symbol Info Not Found"),
    ({"usual_spread": 2.0, "setup": {"atr": NAN}}, "spread", "SPREAD", "(1.1 > 0.6 pips)"),
    ({"usual_spread": NAN, "setup": {"atr": NAN}}, "spread", "SPREAD", "unknown"),
    ({"account": settings(max_spread_pips=1.0)}, "spread", "SPREAD", "(1.1 > 1.0 pips)"),
    ({"since_last_trade_s": 10.0}, "cooldown", "COOLDOWN", "Cooldown (50s left)"),
    ({"since_last_trade_s": NAN}, "cooldown", "COOLDOWN", "Cooldown (? left)"),
    (
        {"since_last_trade_s": 10.0, "account": settings(cooldown_s=900.0)},
        "cooldown",
        "COOLDOWN",
        "(15min left)",
    ),
    (
        {"since_last_trade_s": 10.0, "account": settings(cooldown_s=21600.0)},
        "cooldown",
        "COOLDOWN",
        "(6h00m left)",
    ),
    ({"setup": {"regime": None}}, "regime", "REGIME", "UNKNOWN"),
    ({"setup": {"regime": "VOLATILE"}}, "regime", "REGIME", "Bad Regime: VOLATILE"),
    ({"setup": {"score": 38.0}}, "score", "SCORE", "Low Score (38 < 45)"),
    ({"setup": {"score": NAN}}, "score", "SCORE", "Low Score"),
    ({"setup": {"direction": None}}, "score", "SCORE", "Low Score"),
    ({"setup": {"trigger": None}}, "trigger", "SCORE", "No Trigger"),
    ({"setup": {"probability": 0.4}}, "probability", "SCORE", "Low ML Prob (0.40 < 0.50)"),
    ({"setup": {"probability": NAN}}, "probability", "SCORE", "Low ML Prob"),
    ({"setup": {"sl": 1.2}}, "levels", "RISK", "No Valid Stop"),
    ({"setup": {"sl": NAN}}, "levels", "RISK", "No Valid Stop"),
    ({"setup": {"tp": NAN}}, "levels", "RISK", "No Valid Stop"),
    ({"setup": {"tp": 1.10061}}, "minimum_r", "COST", "Low R:R (0.50 < 1.20)"),
    (
        {"account": settings(commission_per_lot=70.0)},
        "minimum_r",
        "COST",
        "Low R:R (0.47 < 1.20)",
    ),
    ({"account": settings(max_cost_pct=5.0)}, "cost", "COST", "Cost Too High (7% of TP > 5%)"),
    (
        {"account": {"unknown": frozenset({"EURUSD"})}},
        "unknown_order",
        "BLOCKED",
        "Outcome Unknown",
    ),
    (
        {"account": {"open_symbols": {"GBPUSD": 5, "XAUUSD": 3}}},
        "open_positions",
        "BLOCKED",
        "Max Concurrent Trades (8) reached",
    ),
    ({"account": {"open_symbols": {"EURUSD": 1}}}, "open_positions", "BLOCKED", "Already Open"),
    (
        {"account": {"exposure": Exposure({("USD", -1): 80.0})}},
        "exposure",
        "BLOCKED",
        "Currency Exposure SHORT USD (1.1%",
    ),
    (
        {"account": {"exposure": Exposure({("EUR", 1): NAN})}},
        "exposure",
        "BLOCKED",
        "LONG EUR (unknown",
    ),
    ({"account": {"equity": NAN}}, "exposure", "BLOCKED", "unknown"),
    (
        {"account": {"open_sides": {"GBPUSD": 1}}, "correlations": {"GBPUSD": 0.91}},
        "correlation",
        "BLOCKED",
        "Correlation Conflict: 0.91 with GBPUSD (BUY)",
    ),
    (
        {"account": {"open_sides": {"USDCHF": -1}}, "correlations": {"USDCHF": -0.95}},
        "correlation",
        "BLOCKED",
        "0.95 with USDCHF (SELL)",
    ),
    (
        {"account": {"open_sides": {"GBPUSD": 1}}},
        "correlation",
        "BLOCKED",
        "unknown with GBPUSD",
    ),
]

PASSED = [
    {"news_unreadable": True},
    {"account": settings(sessions=["london", "new_york"])},
    {"usual_spread": NAN, "setup": {"atr": 0.002}},
    {"setup": {"probability": 0.5}},
    {"account": {"open_symbols": {"GBPUSD": 7}}},
    {"account": {"exposure": Exposure({("USD", 1): 500.0, ("EUR", -1): 500.0})}},
    {"account": {"open_sides": {"GBPUSD": -1}}, "correlations": {"GBPUSD": 0.95}},
    {"account": {"open_sides": {"EURUSD": 1}, "risk": RiskSettings(max_per_symbol=2)}},
    {"account": {"unknown": frozenset({"GBPUSD"})}},
]


def test_the_good_case_passes_every_gate(case: Any) -> None:
    assert first_block(case()) is None


@pytest.mark.parametrize(("changes", "gate", "code", "words"), STOPPED)
def test_a_gate_stops_with_its_code_and_text(
    case: Any, changes: Any, gate: Any, code: Any, words: Any
) -> None:
    block = first_block(
        case(**{k: dict(v) if isinstance(v, dict) else v for k, v in changes.items()})
    )
    assert block is not None
    assert (block.gate, block.code) == (gate, code)
    assert words in block.text


@pytest.mark.parametrize("changes", PASSED)
def test_what_is_allowed_passes(case: Any, changes: Any) -> None:
    assert (
        first_block(case(**{k: dict(v) if isinstance(v, dict) else v for k, v in changes.items()}))
        is None
    )


@pytest.mark.parametrize(
    "mode", [(0, "Disabled"), (3, "Close Only"), (2, None), (1, None), (4, None)]
)
def test_the_brokers_trade_mode_is_kept(case: Any, info: Any, mode: Any) -> None:
    number, words = mode
    block = first_block(case(info=info(trade_mode=number)))
    if number == 2:
        assert block is not None
        assert block.text == "Exec Block: Short Only"
    else:
        assert (block is None) == (words is None)


def test_a_trade_that_only_sells_may_not_buy(case: Any, info: Any) -> None:
    sell = {"direction": "SELL", "entry": 1.1, "sl": 1.101, "tp": 1.0985}
    assert first_block(case(setup=dict(sell))) is None
    block = first_block(case(setup=dict(sell), info=info(trade_mode=1)))
    assert block is not None
    assert block.text == "Exec Block: Long Only"


@pytest.mark.parametrize("name", ["daily_loss", "drawdown", "consecutive_losses"])
def test_a_risk_limit_that_is_hit_blocks(case: Any, name: str) -> None:
    block = first_block(
        case(account={"blocks": (Block("RISK", "Risk Block: hit", name, 5.0, 4.0),)})
    )
    assert block == Block("RISK", "Risk Block: hit", name, 5.0, 4.0)


def test_any_number_of_a_setup_that_is_nan_stops(case: Any) -> None:
    for name in ("score", "entry", "sl", "tp"):
        assert first_block(case(setup={name: NAN})) is not None, name


NO_TICK_VALUE = {"trade_tick_value": 0.0, "trade_tick_value_loss": 0.0}
NAN_TICK_VALUE = {"trade_tick_value": NAN, "trade_tick_value_loss": NAN}
FEE = {"account": settings(commission_per_lot=7.0)}

UNKNOWN: dict[str, list[dict[str, Any]]] = {
    # missing, not a number, or too old: each gate is asked by itself
    "terminal": [{"account": {"terminal": t}} for t in ("stale", "disconnected", "connecting", "")],
    "session": [
        {"account": settings(sessions=["london"]), "utc": NAN, "sessions": frozenset()},
        {"account": settings(sessions=["london"]), "sessions": frozenset()},
    ],
    "news": [{"news_unreadable": True, "account": settings(news={"when_unreadable": "stop"})}],
    "data": [
        {"tick": None},
        {"tick": {"bid": NAN}},
        {"tick": {"ask": NAN}},
        {"tick": {"bid": 0.0}},
        {"tick": {"ask": 1.0}},
        {"tick_age": NAN},
        {"tick_age": math.inf},
        {"tick_age": 120.5},
        {"data_fault": "Old Bars (M1 400s behind)"},
        {"setup": None},
    ],
    "tradable": [{"info": None}],
    "spread": [
        {"usual_spread": NAN, "setup": {"atr": NAN}},
        {"usual_spread": NAN, "setup": None},
        {"info": {"point": NAN}},
        {"tick": {"ask": NAN}},
    ],
    "cooldown": [{"since_last_trade_s": NAN}],
    "regime": [{"setup": {"regime": None}}],
    "score": [{"setup": {"score": NAN}}, {"setup": {"direction": None}}],
    "trigger": [{"setup": {"trigger": None}}],
    "probability": [{"setup": {"probability": NAN}}],
    "levels": [{"setup": {name: NAN}} for name in ("entry", "sl", "tp")],
    "minimum_r": [
        *({"setup": {name: NAN}} for name in ("entry", "sl", "tp")),
        {"setup": {"sl": 1.10011}},
        {**FEE, "info": NO_TICK_VALUE},
        {**FEE, "info": NAN_TICK_VALUE},
        {**FEE, "info": {"trade_tick_size": 0.0}},
    ],
    "cost": [
        {"setup": {"tp": NAN}},
        {"setup": {"tp": 1.10011}},
        {"tick": {"ask": NAN}},
        {"info": {"point": NAN}},
        {**FEE, "info": NAN_TICK_VALUE},
    ],
    "exposure": [
        {"account": {"equity": NAN}},
        {"account": {"equity": 0.0}},
        {"account": {"exposure": Exposure({("EUR", 1): NAN})}},
    ],
    "correlation": [
        {"account": {"open_sides": {"GBPUSD": 1}}},
        {"account": {"open_sides": {"GBPUSD": -1}}, "correlations": {"GBPUSD": NAN}},
    ],
}
YES_OR_NO = {"paused", "halted", "journal", "fault", "unknown_order", "open_positions"}
"""What these look at is always known: switches and counts of what was seen."""
RISK_LIMITS = {"daily_loss", "drawdown", "consecutive_losses"}


@pytest.mark.parametrize(
    ("gate", "changes"), [(g, c) for g, several in UNKNOWN.items() for c in several]
)
def test_what_is_missing_not_a_number_or_stale_passes_no_gate(
    case: Any, info: Any, gate: Any, changes: Any
) -> None:
    given = {k: dict(v) if isinstance(v, dict) else v for k, v in changes.items()}
    if isinstance(given.get("info"), dict):
        given["info"] = info(**given["info"])
    if isinstance(given.get("tick"), dict):
        given["tick"] = case().tick._replace(**given["tick"])
    asked = next(g for g in GATES if g.__name__ == gate)
    block = first_block(case(**given), (asked,))
    assert block is not None
    assert block.gate == gate
    assert block.text
    assert first_block(case(), (asked,)) is None


@pytest.mark.parametrize("name", sorted(RISK_LIMITS))
def test_limits_that_cannot_be_judged_stop(case: Any, name: str) -> None:
    limits = RiskLimits(RiskSettings(max_consecutive_losses=2))
    unknown = Figures(
        now=NAN, balance=NAN, equity=NAN, day_pl=NAN, realised=NAN, peak=NAN, open_positions=0
    )
    blocks = limits.judge(unknown, [100.0, 50.0])
    block = first_block(case(account={"blocks": blocks}), [g for g in GATES if g.__name__ == name])
    assert block is not None
    assert block.gate == name


def test_every_gate_is_in_the_table_of_what_is_unknown() -> None:
    assert set(UNKNOWN) | YES_OR_NO | RISK_LIMITS == {gate.__name__ for gate in GATES}


def test_a_gate_that_fails_blocks_and_its_error_is_logged_once_with_its_place(
    case: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Any) -> None:
        raise ZeroDivisionError("oh")

    for _ in range(3):
        block = first_block(case(), (broken,))
        assert block is not None
        assert (block.code, block.gate) == ("ERROR", "broken")
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "gate broken, symbol EURUSD" in caplog.text
    assert 'raise ZeroDivisionError("oh")' in caplog.text


def test_the_first_gate_in_the_declared_order_gives_the_reason(case: Any) -> None:
    everything = case(
        account={"paused": True, "halted": "x", "journal_ok": False}, error="y", tick=None
    )
    assert present(first_block(everything)).gate == "paused"
    assert (
        present(
            first_block(replace(everything, account=replace(everything.account, paused=False)))
        ).gate
        == "halted"
    )


def test_the_declared_order_and_the_docstrings_are_complete() -> None:
    names = [gate.__name__ for gate in GATES]
    assert len(set(names)) == len(names)
    assert all(gate.__doc__ for gate in GATES)
    wanted = [
        "paused",
        "halted",
        "terminal",
        "session",
        "news",
        "spread",
        "cooldown",
        "regime",
        "score",
        "probability",
        "minimum_r",
        "cost",
        "open_positions",
        "exposure",
        "correlation",
        "daily_loss",
        "drawdown",
        "consecutive_losses",
    ]
    assert [name for name in names if name in wanted] == wanted


def test_the_funnel_counts_each_symbol_once() -> None:
    stops = [
        None,
        Block("SCORE", "", "score"),
        Block("SCORE", "", "score"),
        Block("ERROR", "", "size"),
    ]
    assert funnel(stops) == {"score": 2, "size": 1}


def legacy_class(reason: str) -> str:
    """The classifier of a deployed dashboard, rule by rule."""
    text = reason.lower()
    if text in ("", "ok"):
        return "OK"
    if text.startswith(("buy", "sell")) or text == "candidate":
        return "SIGNAL"
    for words, name in (
        (("session",), "OFF-SESSION"),
        (("volatil", "atr"), "LOW VOL"),
        (("spread",), "SPREAD"),
        (("news", "ff:"), "NEWS"),
        (("exec block", "corr", "max concurrent"), "BLOCKED"),
    ):
        if any(word in text for word in words):
            return name
    return "SKIP"


SHOWN = {
    "session": "OFF-SESSION",
    "spread": "SPREAD",
    "news": "NEWS",
    "journal": "BLOCKED",
    "levels": "BLOCKED",
    "cost": "BLOCKED",
    "unknown_order": "BLOCKED",
    "open_positions": "BLOCKED",
    "exposure": "BLOCKED",
    "correlation": "BLOCKED",
}


@pytest.mark.parametrize(("changes", "gate", "code", "words"), STOPPED)
def test_a_deployed_dashboard_puts_each_reason_in_the_right_drawer(
    case: Any, changes: Any, gate: Any, code: Any, words: Any
) -> None:
    block = first_block(
        case(**{k: dict(v) if isinstance(v, dict) else v for k, v in changes.items()})
    )
    expected = "LOW VOL" if "VOLATILE" in present(block).text else SHOWN.get(gate, "SKIP")
    assert legacy_class(present(block).text) == expected
