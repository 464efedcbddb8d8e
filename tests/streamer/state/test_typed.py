"""The typed view of a state: the same content, converted when it is read after a change."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.protocol.messages import EVENT_TYPES, Curve
from streamer.state.reducer import FeedState

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
POSITION = {"ticket": 5, "symbol": "EURUSD", "sl_price": 1.0, "foreign": "kept"}


def test_before_the_first_event_nothing_is_known() -> None:
    typed = FeedState().typed
    assert (typed.account, typed.scan, typed.bot, typed.terminal) == (None, None, None, None)
    assert (typed.positions, typed.orders, typed.trades) == ((), (), ())
    assert typed.quotes == {}
    assert typed.equity == Curve()


def test_each_section_has_its_structs() -> None:
    state = FeedState()
    at = "2026-01-01T00:00:00+00:00"
    for event in (
        {"type": "ACCOUNT_UPDATE", "account": {"equity": 10, "balance": 9.5}, "timestamp": at},
        {"type": "POSITION_UPDATE", "positions": [POSITION]},
        {"type": "ORDERS_UPDATE", "orders": [{"order": 7, "symbol": "X", "sl": 0.0}]},
        {"type": "QUOTE_UPDATE", "quotes": {"X": {"bid": 1.5, "ask": None}}},
        {
            "type": "SCAN_SUMMARY",
            "symbols": {"X": "ok"},
            "count": 1,
            "candidates": 0,
            "timestamp": at,
            "details": {"X": {"code": "OK", "score": 60}},
        },
        {"type": "TRADE_EXECUTION", "symbol": "X", "direction": "BUY", "price": 1, "lot": 0.1},
        {"type": "BOT_STATUS", "state": "waiting", "reason": {"code": "NEWS", "text": "CPI"}},
        {"type": "TERMINAL_STATUS", "state": "connected", "backend": "paper"},
    ):
        state.apply(event)
    typed = state.typed
    assert typed.account is not None
    assert (typed.account.equity, typed.account.balance) == (10.0, 9.5)
    assert [(p.ticket, p.sl_price, p.extra) for p in typed.positions] == [
        (5, 1.0, {"foreign": "kept"})
    ]
    assert [(o.order, o.sl) for o in typed.orders] == [(7, 0.0)]
    assert (typed.quotes["X"].bid, typed.quotes["X"].ask) == (1.5, None)
    assert typed.scan is not None
    assert (typed.scan.symbols, typed.scan.count) == ({"X": "ok"}, 1)
    assert typed.scan.details["X"].score == 60.0
    assert typed.trades[0].lot == 0.1
    assert typed.bot is not None
    assert typed.bot.reason is not None
    assert typed.bot.reason.text == "CPI"
    assert typed.terminal is not None
    assert typed.terminal.backend == "paper"
    assert typed.equity == Curve(time=(1767225600,), value=(10.0,))


def test_a_section_is_converted_once_for_each_change_of_it() -> None:
    state = FeedState()
    state.apply({"type": "POSITION_UPDATE", "positions": [POSITION]})
    first = state.typed.positions
    state.apply({"type": "QUOTE_UPDATE", "quotes": {"X": {"bid": 1}}})
    assert state.typed.positions is first
    state.apply({"type": "POSITION_UPDATE", "positions": [{**POSITION, "ticket": 6}]})
    assert [p.ticket for p in state.typed.positions] == [6]
    assert [p.ticket for p in first] == [5]


def test_the_curve_follows_although_it_grows_in_place() -> None:
    state = FeedState()
    for second, equity in ((0, 1.0), (1, 2.0), (5, 3.0)):
        at = f"2026-01-01T00:00:0{second}+00:00"
        state.apply({"type": "ACCOUNT_UPDATE", "account": {"equity": equity}, "timestamp": at})
        assert state.typed.equity.value[-1] == equity
    assert len(state.typed.equity.time) == 2


def test_a_loaded_snapshot_replaces_what_was_read() -> None:
    state = FeedState()
    state.apply({"type": "POSITION_UPDATE", "positions": [POSITION]})
    assert state.typed.positions
    state.load({"data": {"equity": {"time": [1, "x", 3], "value": [1, 2, math.nan]}}})
    assert state.typed.positions == ()
    assert state.typed.equity == Curve(time=(1,), value=(1.0,))


def test_the_wire_content_is_not_touched() -> None:
    state = FeedState()
    raw = {"type": "POSITION_UPDATE", "positions": [{**POSITION, "volume": "much", "profit": 5}]}
    state.apply(raw)
    (position,) = state.typed.positions
    assert (position.volume, position.profit) == (None, 5.0)
    assert state.snapshot()["positions"] == [{**POSITION, "volume": "much", "profit": 5}]
    assert type(state.snapshot()["positions"][0]["profit"]) is int


@settings(deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(
                ["account", "positions", "orders", "quotes", "symbols", "details", "timestamp"]
            ),
            JSON | st.lists(st.dictionaries(st.sampled_from(["ticket", "symbol"]), JSON)),
        ),
        max_size=6,
    ),
    st.sampled_from(list(EVENT_TYPES)),
    JSON,
)
def test_any_state_can_be_read(events: list[dict[str, Any]], kind: str, loaded: Any) -> None:
    state = FeedState()
    if isinstance(loaded, dict):
        state.load(loaded)
    for event in events:
        state.apply({**event, "type": kind})
    typed = state.typed
    assert len(typed.positions) == len(state.positions)
    assert len(typed.orders) == len(state.orders)
    assert set(typed.quotes) == set(state.quotes)
    assert len(typed.trades) == len(state.recent_trades)
    assert len(typed.equity.time) == len(typed.equity.value)
    assert (typed.bot is None) == (not state.bot)
    assert (typed.terminal is None) == (not state.terminal)
    assert (typed.scan is None) == (not state.scan_summary)
    assert (typed.account is None) == (not state.account)
