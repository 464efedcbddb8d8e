"""Pending orders from one reading to the next."""

from __future__ import annotations

from typing import Any

import pytest
from support.fake_terminal import blank

from execution.account.pending import PendingBook
from execution.api import constants as c
from execution.api.structs import TradeOrder


def order(ticket: int = 5, **more: Any) -> TradeOrder:
    values: dict[str, Any] = {
        "ticket": ticket, "type": c.ORDER_TYPE_BUY_LIMIT, "state": c.ORDER_STATE_PLACED,
        "symbol": "EURUSD", "volume_initial": 0.3, "volume_current": 0.3, "price_open": 1.09,
    }  # fmt: skip
    made: TradeOrder = blank(TradeOrder, **(values | more))
    return made


def book(*orders: TradeOrder) -> PendingBook:
    made = PendingBook()
    made.load(orders)
    return made


def steps(found: Any) -> list[tuple[str, int, str | None]]:
    return [(step.status, step.order.ticket, step.reason) for step in found]


def test_orders_of_the_first_reading_are_no_news_and_a_new_one_is_placed() -> None:
    pending = book(order(5))
    assert steps(pending.read([order(5), order(6)])) == [("placed", 6, None)]
    assert steps(pending.read([order(5), order(6)])) == []


@pytest.mark.parametrize(
    "change",
    [
        {"price_open": 1.08},
        {"sl": 1.07},
        {"tp": 1.12},
        {"price_stoplimit": 1.085},
        {"time_expiration": 99},
    ],
)
def test_changed_terms_are_told(change: dict[str, Any]) -> None:
    assert steps(book(order()).read([order(**change)])) == [("placed", 5, "changed")]


def test_a_part_that_is_filled_is_told_with_what_is_left() -> None:
    pending = book(order())
    (step,) = pending.read([order(volume_current=0.2, sl=1.07)])
    assert (step.status, step.order.volume_current) == ("partial", 0.2)
    assert steps(pending.read([order(volume_current=0.2, sl=1.07)])) == []
    assert steps(pending.read([order(volume_current=0.1, sl=1.07)])) == [("partial", 5, None)]


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (c.ORDER_STATE_CANCELED, "cancelled"),
        (c.ORDER_STATE_PARTIAL, "cancelled"),
        (c.ORDER_STATE_FILLED, "filled"),
        (c.ORDER_STATE_REJECTED, "rejected"),
        (c.ORDER_STATE_EXPIRED, "expired"),
    ],
)
def test_an_end_is_told_once_also_when_the_history_is_late(state: int, status: str) -> None:
    pending = book(order())
    assert steps(pending.read([])) == []
    assert pending.leaving == {5}, "looked for until the history shows it"
    assert pending.copy() == pending
    ended = order(state=state)
    assert steps([pending.end(ended)]) == [(status, 5, None)]
    assert pending.leaving == set()
    assert pending.end(ended) is None
    assert steps(pending.read([order()])) == [], "a list older than the end is no new order"


def test_an_order_of_which_the_history_says_nothing_final_is_looked_for_no_more() -> None:
    pending = book(order())
    pending.read([])
    assert pending.end(order(state=c.ORDER_STATE_STARTED)) is None
    assert pending.leaving == set()
    assert pending.ended == set()


def test_an_order_that_still_stands_in_the_list_has_not_ended() -> None:
    pending = book(order())
    assert pending.end(order(state=c.ORDER_STATE_FILLED)) is None
    assert steps([*pending.read([]), pending.end(order(state=c.ORDER_STATE_FILLED))]) == [
        ("filled", 5, None)
    ]


@pytest.mark.parametrize("kind", [c.ORDER_TYPE_BUY, c.ORDER_TYPE_SELL, c.ORDER_TYPE_CLOSE_BY])
def test_orders_that_never_are_pending_are_no_steps(kind: int) -> None:
    pending = book(order(type=kind))
    assert pending.orders == {}
    assert pending.read([order(6, type=kind)]) == []
    assert pending.end(order(7, type=kind, state=c.ORDER_STATE_FILLED)) is None


def test_what_is_remembered_of_ended_orders_is_bounded_and_the_newest_stay() -> None:
    pending = PendingBook()
    for ticket in range(1, 5000):
        pending.end(order(ticket, state=c.ORDER_STATE_FILLED))
    assert len(pending.ended) <= 4096
    assert 4999 in pending.ended
