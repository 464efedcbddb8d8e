"""What became of an order whose answer was lost, as the terminal's lists show it."""

from __future__ import annotations

from typing import Any

import pytest
from support.fake_terminal import blank

from execution.api import constants as c
from execution.api.structs import TradeDeal, TradeOrder
from execution.orders.intents import Intent
from execution.orders.kinds import (
    BUY_TYPES,
    KINDS,
    LIMIT_TYPES,
    MARKET_TYPES,
    PENDING_TYPES,
    TYPES,
    type_of,
)
from execution.orders.reconcile import Finding, candidates, judge

ID = "sABCDEFGHIJ"
SENT = 1_700_000_000


def intent(kind: str = "market", **more: Any) -> Intent:
    values: dict[str, Any] = {
        "id": ID, "account": "1@x", "kind": kind, "symbol": "EURUSD", "direction": "BUY",
        "volume": 0.3, "price": 1.1, "sl": 0.0, "tp": 0.0, "magic": 7, "position": 0,
        "sent_at": float(SENT), "sent_server": float(SENT),
    }  # fmt: skip
    return Intent(**(values | more))


def order(ticket: int = 5, state: int = c.ORDER_STATE_PLACED, **more: Any) -> TradeOrder:
    values: dict[str, Any] = {
        "ticket": ticket, "state": state, "type": c.ORDER_TYPE_BUY, "symbol": "EURUSD",
        "magic": 7, "volume_initial": 0.3, "volume_current": 0.3, "price_open": 1.09,
        "time_setup": SENT, "comment": f"md:{ID}",
    }  # fmt: skip
    made: TradeOrder = blank(TradeOrder, **(values | more))
    return made


def deal(volume: float, price: float = 1.1, ticket: int = 9, order: int = 5) -> TradeDeal:
    made: TradeDeal = blank(
        TradeDeal, ticket=ticket, order=order, volume=volume, price=price, symbol="EURUSD"
    )
    return made


TWO = [deal(0.1, 1.10), deal(0.2, 1.13, ticket=10)]

ROWS: list[tuple[str, Intent, list[TradeOrder], list[TradeOrder], list[TradeDeal], Any]] = [
    # name, intent, pending, history, deals, (status, deal, price, filled)
    (
        "filled by one deal",
        intent(), [], [order(state=c.ORDER_STATE_FILLED)], [deal(0.3)], ("filled", 9, 1.1, 0.3),
    ),
    (
        "filled by two deals at their mean price",
        intent(), [], [order(state=c.ORDER_STATE_FILLED)], TWO, ("filled", 9, 1.12, 0.3),
    ),
    (
        "filled, its deals not in the history yet",
        intent(), [], [order(state=c.ORDER_STATE_FILLED)], [], ("filled", None, None, 0.3),
    ),
    (
        "filled in part, the rest cancelled by the broker",
        intent(), [], [order(state=c.ORDER_STATE_CANCELED)], [deal(0.1)], ("partial", 9, 1.1, 0.1),
    ),
    (
        "filled in part, the order's last state is partial",
        intent(), [], [order(state=c.ORDER_STATE_PARTIAL)], [deal(0.1)], ("partial", 9, 1.1, 0.1),
    ),
    (
        "cancelled with nothing filled",
        intent("limit"), [], [order(state=c.ORDER_STATE_CANCELED)], [],
        ("cancelled", None, None, None),
    ),
    (
        "expired with nothing filled",
        intent("stop"), [], [order(state=c.ORDER_STATE_EXPIRED)], [],
        ("expired", None, None, None),
    ),
    (
        "rejected by the broker",
        intent(), [], [order(state=c.ORDER_STATE_REJECTED)], [], ("rejected", None, None, None),
    ),
    (
        "a pending order that was placed",
        intent("limit"), [order()], [], [], ("placed", None, 1.09, None),
    ),
    (
        "a stop limit that was placed",
        intent("stop_limit"), [order()], [], [], ("placed", None, 1.09, None),
    ),
    (
        "a market order that is still worked on",
        intent(), [order(state=c.ORDER_STATE_STARTED)], [], [], None,
    ),
    (
        "a closing order that is still worked on",
        intent("close"), [order(state=c.ORDER_STATE_STARTED)], [], [], None,
    ),
    (
        "filled by deals alone: no list of orders shows it",
        intent(), [], [], TWO, ("filled", 9, 1.12, 0.3),
    ),
    (
        "deals alone that are less than was asked for: more may come",
        intent(), [], [], [deal(0.1)], None,
    ),
    (
        "a market order in work with all of its deals",
        intent(), [order(state=c.ORDER_STATE_STARTED)], [], TWO, ("filled", 9, 1.12, 0.3),
    ),
    (
        "in the history with a state that says nothing",
        intent(), [], [order(state=c.ORDER_STATE_STARTED)], [], None,
    ),
    (
        "only another order is there",
        intent("limit"), [order(6)], [order(7, c.ORDER_STATE_FILLED)], [], None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "pending", "done", "deals", "want"),
    [row[1:] for row in ROWS],
    ids=[row[0] for row in ROWS],
)
def test_what_became_of_the_order(
    asked: Intent,
    pending: list[TradeOrder],
    done: list[TradeOrder],
    deals: list[TradeDeal],
    want: Any,
) -> None:
    found = judge(asked, 5, pending, done, deals, "its id")
    if want is None:
        assert found is None
        return
    status, number, price, filled = want
    near: Any = None if price is None else pytest.approx(price)
    assert found == Finding(status, 5, "its id", number, near, filled)


def found(asked: Intent, *orders: TradeOrder, claimed: tuple[int, ...] = ()) -> list[int]:
    return [ticket for _, ticket in candidates(asked, orders, [], claimed)]


def test_its_id_finds_an_order_whatever_else_fits() -> None:
    assert found(intent(), order(5), order(6, comment="")) == [5]
    by_deal = deal(0.3, order=8)._replace(comment=f"md:{ID} x")
    assert candidates(intent(), [], [by_deal], ()) == [("its id", 8)]


@pytest.mark.parametrize(
    "other",
    [
        {"magic": 8},
        {"symbol": "GBPUSD"},
        {"type": c.ORDER_TYPE_SELL},
        {"type": c.ORDER_TYPE_BUY_LIMIT},
        {"volume_initial": 0.2},
        {"time_setup": SENT - 3},
        {"comment": "md:sZZZZZZZZZZ"},
    ],
)
def test_without_its_id_one_that_differs_in_anything_is_not_taken(other: dict[str, Any]) -> None:
    lost: dict[str, Any] = {"comment": "broker's own"}
    assert found(intent(), order(**lost)) == [5]
    assert found(intent(), order(**(lost | other))) == []


def test_without_its_id_it_is_taken_only_when_exactly_one_fits_that_is_not_claimed() -> None:
    a, b = order(5, comment=""), order(6, comment="")
    assert found(intent(), a, b) == []
    assert found(intent(), a, b, claimed=(6,)) == [5]
    assert found(intent(), a, claimed=(5,)) == []


def test_a_closing_order_is_one_of_its_position() -> None:
    asked = intent("close", direction="SELL", position=77)
    sell = order(comment="", type=c.ORDER_TYPE_SELL)
    assert found(asked, sell) == []
    assert found(asked, sell._replace(position_id=77)) == [5]


def test_the_table_of_kinds_is_one_to_one_and_its_sets_are_of_it() -> None:
    assert len(KINDS) == len(TYPES) == 8
    assert {type_of(*words) for words in TYPES} == set(KINDS)
    assert type_of("close", "SELL") == c.ORDER_TYPE_SELL
    assert {t for t in KINDS if t % 2 == 0 and t != c.ORDER_TYPE_SELL_STOP_LIMIT} == BUY_TYPES
    assert {c.ORDER_TYPE_BUY, c.ORDER_TYPE_SELL} == MARKET_TYPES
    assert set(KINDS) - MARKET_TYPES == PENDING_TYPES
    assert {
        c.ORDER_TYPE_BUY_LIMIT,
        c.ORDER_TYPE_SELL_LIMIT,
        c.ORDER_TYPE_BUY_STOP_LIMIT,
        c.ORDER_TYPE_SELL_STOP_LIMIT,
    } == LIMIT_TYPES
    with pytest.raises(LookupError):
        type_of("limit", "UP")
