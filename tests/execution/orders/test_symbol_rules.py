"""The symbol's rules at their bounds: what the server would refuse is refused here, to the point."""

from __future__ import annotations

import pytest
from support.fake_terminal import symbol

from execution.api import constants as c
from execution.orders.symbol_rules import (
    RuleError,
    check_freeze,
    check_pending,
    check_stops,
    price,
    volume,
)

POINT = 1e-5
BID, ASK = 1.1, 1.1001
NO_PRICE = symbol(bid=0.0, ask=0.0)


def refusal(retcode: int) -> pytest.RaisesExc[RuleError]:
    return pytest.RaisesExc(RuleError, check=lambda error: error.retcode == retcode)


def test_a_price_that_is_none_stays_none_and_one_that_cannot_be_is_refused() -> None:
    assert price(symbol(), 0.0) == 0.0
    for wrong in (-1.1, float("nan")):
        with refusal(c.TRADE_RETCODE_INVALID_PRICE):
            price(symbol(), wrong)


def test_without_a_tick_size_the_grid_is_the_point_and_without_both_the_digits() -> None:
    assert price(symbol(trade_tick_size=0.0, point=0.5, digits=1), 1.3) == 1.5
    assert price(symbol(trade_tick_size=0.0, point=0.0, digits=2), 1.237) == 1.24


def test_a_symbol_without_a_greatest_volume_has_none() -> None:
    assert volume(symbol(volume_max=0.0), 5_000.0) == 5_000.0


@pytest.mark.parametrize(
    ("kind", "at", "sl", "tp"),
    [
        # a market order is measured from where it would close
        (c.ORDER_TYPE_BUY, 0.0, BID - 10 * POINT, BID + 10 * POINT),
        (c.ORDER_TYPE_SELL, 0.0, ASK + 10 * POINT, ASK - 10 * POINT),
        # a pending order from its own price
        (c.ORDER_TYPE_BUY_LIMIT, 1.09, 1.09 - 10 * POINT, 1.09 + 10 * POINT),
        (c.ORDER_TYPE_SELL_STOP, 1.09, 1.09 + 10 * POINT, 1.09 - 10 * POINT),
    ],
)
def test_stops_may_be_as_near_as_the_stops_level_and_no_nearer(
    kind: int, at: float, sl: float, tp: float
) -> None:
    inward = POINT if sl < tp else -POINT
    check_stops(symbol(), kind, at, sl, tp)
    check_stops(symbol(), kind, at, 0.0, 0.0)
    with refusal(c.TRADE_RETCODE_INVALID_STOPS):
        check_stops(symbol(), kind, at, sl + inward, tp)
    with refusal(c.TRADE_RETCODE_INVALID_STOPS):
        check_stops(symbol(), kind, at, sl, tp - inward)


def test_without_a_stops_level_a_stop_is_still_on_its_side() -> None:
    free = symbol(trade_stops_level=0)
    check_stops(free, c.ORDER_TYPE_BUY, 0.0, BID - POINT, 0.0)
    with refusal(c.TRADE_RETCODE_INVALID_STOPS):
        check_stops(free, c.ORDER_TYPE_BUY, 0.0, BID, 0.0)


@pytest.mark.parametrize(
    ("kind", "market", "side"),
    [
        (c.ORDER_TYPE_BUY_LIMIT, ASK, -1),
        (c.ORDER_TYPE_BUY_STOP, ASK, 1),
        (c.ORDER_TYPE_BUY_STOP_LIMIT, ASK, 1),
        (c.ORDER_TYPE_SELL_LIMIT, BID, 1),
        (c.ORDER_TYPE_SELL_STOP, BID, -1),
        (c.ORDER_TYPE_SELL_STOP_LIMIT, BID, -1),
    ],
)
def test_a_pending_order_may_be_as_near_as_the_stops_level_on_its_side(
    kind: int, market: float, side: int
) -> None:
    check_pending(symbol(), kind, market + side * 10 * POINT)
    for at in (market + side * 9 * POINT, market, market - side * 20 * POINT):
        with refusal(c.TRADE_RETCODE_INVALID_PRICE):
            check_pending(symbol(), kind, at)


def test_where_the_symbol_has_no_price_nothing_is_measured_from_it() -> None:
    with refusal(c.TRADE_RETCODE_PRICE_OFF):
        check_stops(NO_PRICE, c.ORDER_TYPE_BUY, 0.0, 1.0, 0.0)
    with refusal(c.TRADE_RETCODE_PRICE_OFF):
        check_pending(NO_PRICE, c.ORDER_TYPE_BUY_LIMIT, 1.0)


@pytest.mark.parametrize(("buy", "at"), [(True, BID), (False, ASK)])
def test_a_position_that_is_within_the_freeze_level_is_not_changed(buy: bool, at: float) -> None:
    frozen = symbol(trade_freeze_level=20)
    check_freeze(frozen, buy, at - 21 * POINT, at + 21 * POINT)
    check_freeze(frozen, buy, 0.0, 0.0)
    for sl, tp in ((at - 20 * POINT, 0.0), (0.0, at + 20 * POINT)):
        with refusal(c.TRADE_RETCODE_FROZEN):
            check_freeze(frozen, buy, sl, tp)
        check_freeze(symbol(trade_freeze_level=0), buy, sl, tp)
    check_freeze(symbol(bid=0.0, ask=0.0, trade_freeze_level=20), buy, at, at)
