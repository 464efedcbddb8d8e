"""Trades from the events of a position's life."""

from __future__ import annotations

from typing import Any

import pytest

from streamer.state.trades import MAX_TRADES, TradeLedger


def life(ticket: int, profit: float | None = 5.0, **more: Any) -> list[dict[str, Any]]:
    return [
        {"type": "POSITION_OPENED", "ticket": ticket, "symbol": "EURUSD", "direction": "BUY",
         "volume": 0.2, "entry_price": 1.1, "opened_at": "2026-03-02T23:50:00+00:00"},
        {"type": "POSITION_MODIFIED", "ticket": ticket, "volume": 0.3, "old_volume": 0.2},
        {"type": "POSITION_MODIFIED", "ticket": ticket, "volume": 0.1, "old_volume": 0.3,
         "profit": 2.0},
        {"type": "POSITION_CLOSED", "ticket": ticket, "volume": 0.3, "exit_price": 1.2,
         "profit": profit, "swap": -1.0, "commission": None,
         "closed_at": "2026-03-03T00:10:00+00:00", **more},
    ]  # fmt: skip


def test_a_closed_trade_counts_its_whole_life_once() -> None:
    ledger = TradeLedger()
    for event in life(1):
        ledger.apply(event)
    row = ledger.newest(1)[0]
    assert row["lot_size"] == pytest.approx(0.3)
    assert row["profit"] == 4.0, "the partial close is in the total already"
    assert row["outcome"] == "WIN"


def test_an_open_trade_has_no_profit_yet() -> None:
    ledger = TradeLedger()
    for event in life(1)[:3]:
        ledger.apply(event)
    row = ledger.newest(1)[0]
    assert (row["outcome"], row["profit"], row["exit_price"]) == ("OPEN", None, None)
    assert row["lot_size"] == pytest.approx(0.3)


def test_a_trade_over_midnight_counts_on_both_days_and_wins_on_the_second() -> None:
    ledger = TradeLedger()
    for event in life(1):
        ledger.apply(event)
    assert ledger.daily("2026-03-02") | {"total": 1, "wins": 0} == ledger.daily("2026-03-02")
    assert ledger.daily("2026-03-03") | {"total": 1, "wins": 1} == ledger.daily("2026-03-03")
    assert ledger.daily("2026-03-04")["total"] == 0


def test_the_same_events_again_change_nothing() -> None:
    ledger = TradeLedger()
    for event in [*life(1), *life(1)]:
        ledger.apply(event)
    assert len(ledger) == 1
    assert ledger.newest(1)[0]["profit"] == 4.0


@pytest.mark.parametrize(
    "event",
    [
        {"type": "POSITION_OPENED"},
        {"type": "POSITION_OPENED", "ticket": "7"},
        {"type": "POSITION_OPENED", "ticket": True},
        {"type": "POSITION_CLOSED", "ticket": 9, "profit": "much", "closed_at": 5},
        {"type": "OTHER", "ticket": 9},
    ],
)
def test_malformed_events_break_nothing(event: dict[str, Any]) -> None:
    ledger = TradeLedger()
    ledger.apply(event)
    ledger.daily("2026-03-02")
    ledger.confluence(10)
    assert all(row["profit"] is None for row in ledger.newest(10))


def test_a_close_whose_profit_is_not_known_is_no_win_and_no_number() -> None:
    ledger = TradeLedger()
    for event in life(1, profit=None):
        ledger.apply(event)
    assert ledger.newest(1)[0]["profit"] is None
    assert ledger.daily("2026-03-03")["total_profit"] == 0


def test_the_oldest_trades_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.state.trades.MAX_TRADES", 3)
    ledger = TradeLedger()
    for ticket in range(1, 6):
        ledger.apply(life(ticket)[0])
    assert [row["ticket"] for row in ledger.newest(10)] == [5, 4, 3]
    assert MAX_TRADES > 3
