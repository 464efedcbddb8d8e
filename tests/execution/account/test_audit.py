"""The ledger against the terminal's history: what differs is named, what agrees is not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from support.paper_desk import Desk
from support.present import present

from execution.account.audit import differences
from execution.api import constants as mt5
from streamer.state.trades import TradeLedger


def traded() -> tuple[Desk, int]:
    """A position of two lots, closed in two parts; the ticket."""
    desk = Desk({"EURUSD": [(0, 1.10000, 1.10010), (100, 1.10200, 1.10210), (200, 1.1, 1.1001)]})
    opened = desk.send(
        action=mt5.TRADE_ACTION_DEAL, type=mt5.ORDER_TYPE_BUY, volume=2.0, price=1.1001
    )
    for seconds, volume in ((100, 0.5), (200, 1.5)):
        desk.at(seconds)
        desk.send(
            action=mt5.TRADE_ACTION_DEAL,
            type=mt5.ORDER_TYPE_SELL,
            volume=volume,
            position=opened.order,
        )
    assert not desk.mt5.positions_get()
    return desk, opened.order


def book(ticket: int, opened: float, **closing: Any) -> TradeLedger:
    ledger = TradeLedger()
    at = datetime.fromtimestamp(opened, UTC).isoformat()
    ledger.apply({"type": "POSITION_OPENED", "ticket": ticket, "opened_at": at, "volume": 2.0})
    if closing:
        ledger.apply({"type": "POSITION_CLOSED", "ticket": ticket, **closing})
    return ledger


@pytest.fixture
def deals() -> tuple[list[Any], int, float]:
    desk, ticket = traded()
    found = [d for d in present(desk.mt5.history_deals_get(1, 2**31 - 1)) if d.position_id]
    assert len(found) == 3
    return found, ticket, round(sum(d.profit + d.commission + d.swap + d.fee for d in found), 2)


def test_the_same_money_is_nothing_to_tell(deals: tuple[list[Any], int, float]) -> None:
    found, ticket, money = deals
    begin, now = found[0].time, found[-1].time + 3600.0
    assert differences(found, book(ticket, begin, profit=money), now) == []


def test_other_money_a_missing_and_an_open_trade_are_named(
    deals: tuple[list[Any], int, float],
) -> None:
    found, ticket, money = deals
    begin, now = found[0].time, found[-1].time + 3600.0
    (line,) = differences(found, book(ticket, begin, profit=money + 1), now)
    assert f"{money:+.2f} at the broker; the ledger has {money + 1:+.2f}" in line
    (line,) = differences(found, book(ticket, begin), now)
    assert "is open in the ledger" in line
    (line,) = differences(found, book(ticket + 999, begin), now)
    assert "is not in the ledger" in line


def test_what_is_young_cut_off_or_older_than_the_ledger_is_left_alone(
    deals: tuple[list[Any], int, float],
) -> None:
    found, ticket, _ = deals
    begin, end = found[0].time, found[-1].time
    wrong = book(ticket, begin, profit=0.0)
    assert differences(found, wrong, end + 5.0) == []
    assert differences(found[1:], wrong, end + 3600.0) == []
    assert differences(found, book(ticket, begin + 10, profit=0.0), end + 3600.0) == []
    assert differences(found, TradeLedger(), end + 3600.0) == []
