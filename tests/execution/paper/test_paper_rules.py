"""Each return code of the paper server, from the request or the account that earns it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.paper_desk import START, Desk

from execution.api import constants as mt5
from execution.paper.account.ledger import AccountConfig
from execution.paper.market.symbols import SPECS
from execution.paper.server.faults import Faults

EUR = SPECS["EURUSD"]
STRICT = replace(EUR, stops_level=50, freeze_level=20, volume_limit=1.0)


def _retcode(desk: Desk, **fields: Any) -> int:
    return desk.send(**{"action": 1, "type": 0, "volume": 0.1, **fields}).retcode


@pytest.mark.parametrize(
    ("fields", "retcode"),
    [
        ({"symbol": "NOSUCH"}, mt5.TRADE_RETCODE_INVALID),
        ({"action": 99}, mt5.TRADE_RETCODE_INVALID),
        ({"type": mt5.ORDER_TYPE_BUY_LIMIT}, mt5.TRADE_RETCODE_INVALID),
        ({"volume": 0.0}, mt5.TRADE_RETCODE_INVALID_VOLUME),
        ({"volume": 0.015}, mt5.TRADE_RETCODE_INVALID_VOLUME),
        ({"volume": 1000.0}, mt5.TRADE_RETCODE_INVALID_VOLUME),
        ({"type_filling": mt5.ORDER_FILLING_RETURN}, mt5.TRADE_RETCODE_INVALID_FILL),
        ({"type_filling": mt5.ORDER_FILLING_BOC}, mt5.TRADE_RETCODE_INVALID_FILL),
        ({"sl": float("nan")}, mt5.TRADE_RETCODE_INVALID),
        ({"volume": float("inf")}, mt5.TRADE_RETCODE_INVALID),
        ({"sl": 1.2}, mt5.TRADE_RETCODE_INVALID_STOPS),
        ({"tp": 1.0}, mt5.TRADE_RETCODE_INVALID_STOPS),
        ({"sl": 1.0900001}, mt5.TRADE_RETCODE_INVALID_STOPS),
        ({"volume": 20.0}, mt5.TRADE_RETCODE_NO_MONEY),
    ],
)
def test_a_bad_market_order_is_refused(fields: dict[str, Any], retcode: int) -> None:
    desk = Desk()
    assert _retcode(desk, **fields) == retcode
    assert desk.positions() == ()
    assert len(desk.deals()) == 1


@pytest.mark.parametrize(
    ("fields", "retcode"),
    [
        ({"price": 1.2}, mt5.TRADE_RETCODE_INVALID_PRICE),  # a buy limit above the market
        ({"price": 0.0}, mt5.TRADE_RETCODE_INVALID_PRICE),
        ({"price": 1.0950001}, mt5.TRADE_RETCODE_INVALID_PRICE),
        ({"type": mt5.ORDER_TYPE_SELL_LIMIT}, mt5.TRADE_RETCODE_INVALID_PRICE),
        ({"type": mt5.ORDER_TYPE_BUY_STOP}, mt5.TRADE_RETCODE_INVALID_PRICE),
        ({"type": mt5.ORDER_TYPE_BUY_STOP_LIMIT, "price": 1.2, "stoplimit": 1.3}, 10015),
        ({"sl": 1.099}, mt5.TRADE_RETCODE_INVALID_STOPS),
        ({"type_time": 7}, mt5.TRADE_RETCODE_INVALID_EXPIRATION),
        ({"type_time": 2, "expiration": int(START)}, mt5.TRADE_RETCODE_INVALID_EXPIRATION),
        ({"type_filling": mt5.ORDER_FILLING_BOC}, mt5.TRADE_RETCODE_INVALID_FILL),
    ],
)
def test_a_bad_pending_order_is_refused(fields: dict[str, Any], retcode: int) -> None:
    desk = Desk()
    request = {"kind": mt5.ORDER_TYPE_BUY_LIMIT, "price": 1.095, **fields}
    request["kind"] = request.pop("type", request["kind"])
    assert desk.pend(**request).retcode == retcode
    assert desk.mt5.orders_get() == ()


@pytest.mark.parametrize(
    ("mode", "side", "retcode"),
    [
        (mt5.SYMBOL_TRADE_MODE_DISABLED, "buy", mt5.TRADE_RETCODE_TRADE_DISABLED),
        (mt5.SYMBOL_TRADE_MODE_LONGONLY, "sell", mt5.TRADE_RETCODE_LONG_ONLY),
        (mt5.SYMBOL_TRADE_MODE_SHORTONLY, "buy", mt5.TRADE_RETCODE_SHORT_ONLY),
        (mt5.SYMBOL_TRADE_MODE_CLOSEONLY, "buy", mt5.TRADE_RETCODE_CLOSE_ONLY),
        (mt5.SYMBOL_TRADE_MODE_LONGONLY, "buy", mt5.TRADE_RETCODE_DONE),
    ],
)
def test_the_trade_mode_of_a_symbol_is_kept(mode: int, side: str, retcode: int) -> None:
    desk = Desk(specs=[replace(EUR, trade_mode=mode)])
    assert desk.deal(side).retcode == retcode


def test_outside_its_session_a_symbol_does_not_trade() -> None:
    saturday = START + 4 * 86_400
    desk = Desk({"EURUSD": [(-86_400, 1.1, 1.1001)]}, sessions=True, start=saturday)
    assert desk.deal("buy").retcode == mt5.TRADE_RETCODE_MARKET_CLOSED
    assert desk.deal("buy", 0.01, symbol="BTCUSD").retcode == mt5.TRADE_RETCODE_DONE


def test_without_a_quote_there_is_no_price() -> None:
    desk = Desk({"EURUSD": []})
    assert desk.deal("buy").retcode == mt5.TRADE_RETCODE_PRICE_OFF
    pending = desk.pend(mt5.ORDER_TYPE_BUY_LIMIT, 1.0)
    assert pending.retcode == mt5.TRADE_RETCODE_PRICE_OFF


@pytest.mark.parametrize(
    ("side", "sl", "tp", "good"),
    [
        ("buy", 1.09950, 1.10050, True),
        ("buy", 1.09951, 0.0, False),
        ("buy", 0.0, 1.10049, False),
        ("sell", 1.10060, 1.09960, True),
        ("sell", 1.10059, 0.0, False),
    ],
)
def test_stops_keep_their_distance_from_the_closing_side(
    side: str, sl: float, tp: float, good: bool
) -> None:
    desk = Desk(specs=[STRICT])
    expect = mt5.TRADE_RETCODE_DONE if good else mt5.TRADE_RETCODE_INVALID_STOPS
    assert desk.deal(side, sl=sl, tp=tp).retcode == expect


def test_within_the_freeze_level_nothing_is_changed() -> None:
    desk = Desk({"EURUSD": [(0, 1.1, 1.1001), (5, 1.0952, 1.0953)]}, specs=[STRICT])
    opened = desk.deal("buy", sl=1.09510)
    pending = desk.pend(mt5.ORDER_TYPE_BUY_LIMIT, 1.09520)
    desk.at(6)
    frozen = mt5.TRADE_RETCODE_FROZEN
    stops = desk.send(action=mt5.TRADE_ACTION_SLTP, position=opened.order, sl=1.08)
    assert stops.retcode == frozen
    assert desk.deal("sell", position=opened.order).retcode == frozen
    assert desk.send(action=mt5.TRADE_ACTION_REMOVE, order=pending.order).retcode == frozen


def test_the_volume_limit_counts_positions_and_orders_of_one_side() -> None:
    desk = Desk(specs=[STRICT])
    desk.deal("buy", 0.5)
    desk.pend(mt5.ORDER_TYPE_BUY_LIMIT, 1.09, 0.4)
    assert desk.deal("buy", 0.2).retcode == mt5.TRADE_RETCODE_LIMIT_VOLUME
    assert desk.deal("buy", 0.1).retcode == mt5.TRADE_RETCODE_DONE
    assert desk.deal("sell", 0.2).retcode == mt5.TRADE_RETCODE_DONE


def test_the_number_of_pending_orders_is_limited() -> None:
    desk = Desk(account=AccountConfig(limit_orders=1))
    assert desk.pend(mt5.ORDER_TYPE_BUY_LIMIT, 1.09).retcode == mt5.TRADE_RETCODE_DONE
    assert desk.pend(mt5.ORDER_TYPE_BUY_LIMIT, 1.09).retcode == mt5.TRADE_RETCODE_LIMIT_ORDERS


def test_a_fifo_account_closes_the_oldest_first() -> None:
    desk = Desk(account=AccountConfig(fifo_close=True))
    first, second = desk.deal("buy"), desk.deal("buy")
    late = desk.deal("sell", position=second.order)
    assert late.retcode == mt5.TRADE_RETCODE_FIFO_CLOSE
    assert desk.deal("sell", position=first.order).retcode == mt5.TRADE_RETCODE_DONE


@pytest.mark.parametrize(
    ("faults", "retcode"),
    [
        (Faults(no_broker=True), mt5.TRADE_RETCODE_CONNECTION),
        (Faults(autotrading_off=True), mt5.TRADE_RETCODE_CLIENT_DISABLES_AT),
        (Faults(server_forbids=True), mt5.TRADE_RETCODE_SERVER_DISABLES_AT),
        (Faults(account_disabled=True), mt5.TRADE_RETCODE_TRADE_DISABLED),
        (Faults(requotes=1), mt5.TRADE_RETCODE_REQUOTE),
        (Faults(price_off=1), mt5.TRADE_RETCODE_PRICE_OFF),
        (Faults(retcodes=[10024]), mt5.TRADE_RETCODE_TOO_MANY_REQUESTS),
    ],
)
def test_a_switch_or_a_bad_day_refuses_and_leaves_the_account_alone(
    faults: Faults, retcode: int
) -> None:
    desk = Desk(faults=faults)
    assert desk.deal("buy").retcode == retcode
    assert desk.positions() == ()


def test_the_first_failure_wins() -> None:
    desk = Desk(faults=Faults(autotrading_off=True))
    assert _retcode(desk, symbol="NOSUCH", volume=-1.0) == mt5.TRADE_RETCODE_CLIENT_DISABLES_AT
    desk.mt5.faults.autotrading_off = False
    assert _retcode(desk, volume=1000.0, sl=9.0) == mt5.TRADE_RETCODE_INVALID_VOLUME


def test_lowering_the_margin_needs_no_free_money() -> None:
    account = AccountConfig(leverage=100, balance=1_120.0, stop_out=0.0)
    desk = Desk({"EURUSD": [(0, 1.1, 1.1001), (5, 1.095, 1.0951)]}, account=account)
    desk.deal("buy", 1.0)
    desk.at(6)
    assert desk.deal("buy", 0.1).retcode == mt5.TRADE_RETCODE_NO_MONEY
    assert desk.deal("sell", 0.9).retcode == mt5.TRADE_RETCODE_DONE


_REQUEST, _INSTANT, _BY_MARKET, _EXCHANGE = range(4)
_FOK, _IOC, _RETURN, _BOC = range(4)


@pytest.mark.parametrize(
    ("execution", "mask", "taken"),
    [
        (_REQUEST, 0, {_FOK, _RETURN}),
        (_INSTANT, 0, {_FOK, _RETURN}),
        (_INSTANT, 2, {_FOK, _IOC, _RETURN}),
        (_BY_MARKET, 0, set()),
        (_BY_MARKET, 1, {_FOK}),
        (_BY_MARKET, 2, {_IOC}),
        (_BY_MARKET, 7, {_FOK, _IOC}),
        (_EXCHANGE, 0, {_RETURN}),
        (_EXCHANGE, 3, {_FOK, _IOC, _RETURN}),
    ],
)
def test_the_execution_mode_says_which_filling_a_market_order_takes(
    execution: int, mask: int, taken: set[int]
) -> None:
    spec = replace(EUR, exemode=execution, filling_mode=mask)
    for policy in (_FOK, _IOC, _RETURN, _BOC):
        retcode = _retcode(Desk(specs=[spec]), type_filling=policy, price=1.1001)
        wanted = mt5.TRADE_RETCODE_DONE if policy in taken else mt5.TRADE_RETCODE_INVALID_FILL
        assert retcode == wanted, policy


@pytest.mark.parametrize("policy", [_FOK, _RETURN])
@pytest.mark.parametrize("execution", [_REQUEST, _INSTANT])
def test_instant_and_request_execution_fill_whole(execution: int, policy: int) -> None:
    desk = Desk(specs=[replace(EUR, exemode=execution)], faults=Faults(partial=0.5))
    done = desk.deal("buy", 0.4, type_filling=policy, price=1.1001)
    assert (done.retcode, done.volume) == (mt5.TRADE_RETCODE_DONE, 0.4)
    assert desk.mt5.orders_total() == 0
