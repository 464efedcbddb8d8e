"""What the paper server does with requests: fills, deals, tickets, hedging and netting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.paper_desk import START, Desk
from support.present import present

from execution.api import constants as mt5
from execution.paper.account.ledger import AccountConfig
from execution.paper.market.symbols import SPECS
from execution.paper.server.faults import Faults

NETTING = AccountConfig(leverage=100, margin_mode=mt5.ACCOUNT_MARGIN_MODE_RETAIL_NETTING)


def test_a_market_order_makes_order_deal_and_position() -> None:
    desk = Desk()
    result = desk.deal("buy", 0.1, magic=77, comment="mine", sl=1.09, tp=1.11)
    assert (result.retcode, result.comment) == (10009, "Request executed")
    assert (result.price, result.bid, result.ask) == (1.10010, 1.10000, 1.10010)
    (position,) = desk.positions()
    (order,) = desk.orders_done()
    deposit, deal = desk.deals()
    assert position.ticket == position.identifier == order.ticket == result.order
    assert deal.ticket == result.deal != deal.order == order.ticket
    assert (order.state, order.volume_initial, order.volume_current) == (
        mt5.ORDER_STATE_FILLED,
        0.1,
        0.0,
    )
    assert (deal.entry, deal.profit, deal.position_id) == (
        mt5.DEAL_ENTRY_IN,
        0.0,
        position.ticket,
    )
    for each in (position, order, deal):
        assert (each.magic, each.comment, each.reason) == (77, "mine", 3)
    assert (position.sl, position.tp, position.price_current) == (1.09, 1.11, 1.10000)
    assert (deposit.type, deposit.profit, deposit.symbol, deposit.order) == (
        mt5.DEAL_TYPE_BALANCE,
        10_000.0,
        "",
        0,
    )


def test_hedging_keeps_opposite_positions_apart() -> None:
    desk = Desk()
    desk.deal("buy", 0.1)
    desk.deal("sell", 0.1)
    assert [each.type for each in desk.positions()] == [0, 1]


def test_part_of_a_position_can_be_closed() -> None:
    desk = Desk({"EURUSD": [(0, 1.1, 1.1001), (60, 1.102, 1.1021)]})
    opened = desk.deal("buy", 0.3)
    desk.at(60)
    desk.deal("sell", 0.1, position=opened.order)
    (position,) = desk.positions()
    assert (position.volume, position.price_open, position.time_update_msc) == (
        0.2,
        1.1001,
        int((START + 60) * 1000),
    )
    info = desk.mt5.account_info()
    assert info is not None
    assert info.margin == 220.02  # two thirds of what three tenths of a lot cost
    assert desk.deals()[-1].profit == 19.0
    assert desk.deals()[-1].entry == mt5.DEAL_ENTRY_OUT
    desk.deal("sell", 0.2, position=opened.order)
    assert desk.positions() == ()
    assert desk.balance() == 10_057.0


@pytest.mark.parametrize(
    ("fields", "retcode"),
    [
        ({"volume": 0.2}, mt5.TRADE_RETCODE_INVALID_CLOSE_VOLUME),
        ({"position": 1}, mt5.TRADE_RETCODE_POSITION_CLOSED),
        ({"side": "buy"}, mt5.TRADE_RETCODE_INVALID),
        ({"symbol": "GBPUSD"}, mt5.TRADE_RETCODE_INVALID),
    ],
)
def test_a_wrong_close_is_refused(fields: dict[str, Any], retcode: int) -> None:
    desk = Desk()
    opened = desk.deal("buy", 0.1)
    request = {"side": "sell", "volume": 0.1, "position": opened.order, **fields}
    assert desk.deal(**request).retcode == retcode
    assert len(desk.positions()) == 1


def test_close_by_pays_no_spread_and_leaves_the_larger_rest() -> None:
    desk = Desk({"EURUSD": [(0, 1.1, 1.1001), (60, 1.105, 1.1051)]})
    long = desk.deal("buy", 0.3)
    desk.at(60)
    short = desk.deal("sell", 0.1)
    result = desk.send(
        action=mt5.TRADE_ACTION_CLOSE_BY, position=long.order, position_by=short.order
    )
    assert result.retcode == 10009
    (rest,) = desk.positions()
    assert (rest.ticket, rest.volume) == (long.order, 0.2)
    *_, first, second = desk.deals()
    assert first.entry == second.entry == mt5.DEAL_ENTRY_OUT_BY
    assert (first.price, second.price) == (1.105, 1.105)
    assert (first.profit, second.profit) == (49.0, 0.0)
    assert desk.orders_done()[-1].type == mt5.ORDER_TYPE_CLOSE_BY


def test_netting_averages_reduces_and_reverses() -> None:
    desk = Desk({"EURUSD": [(0, 1.1, 1.1001), (10, 1.102, 1.1021)]}, account=NETTING)
    first = desk.deal("buy", 0.1)
    desk.at(10)
    desk.deal("buy", 0.3, sl=1.09)
    (position,) = desk.positions()
    assert position.volume == 0.4
    assert position.price_open == pytest.approx((1.1001 * 0.1 + 1.1021 * 0.3) / 0.4)
    assert position.sl == 1.09
    desk.deal("sell", 0.1)
    (position,) = desk.positions()
    assert position.volume == 0.3
    assert position.price_open == pytest.approx(1.1016)
    turned = desk.deal("sell", 0.5)
    (position,) = desk.positions()
    assert (position.type, position.volume, position.price_open) == (1, 0.2, 1.102)
    assert (position.ticket, position.identifier) == (turned.order, first.order)
    deal = desk.deals()[-1]
    assert (deal.entry, deal.volume) == (mt5.DEAL_ENTRY_INOUT, 0.5)
    assert deal.profit == round((1.102 - 1.1016) * 100_000 * 0.3, 2)


def test_netting_closes_whole_with_one_opposite_deal() -> None:
    desk = Desk(account=NETTING)
    desk.deal("buy", 0.1)
    desk.deal("sell", 0.1)
    assert desk.positions() == ()
    assert desk.deals()[-1].entry == mt5.DEAL_ENTRY_OUT


def test_stops_of_a_position_are_set_and_an_unchanged_request_is_told() -> None:
    desk = Desk()
    opened = desk.deal("buy", 0.1)
    request = {"action": mt5.TRADE_ACTION_SLTP, "position": opened.order, "sl": 1.09, "tp": 1.12}
    assert desk.send(**request).retcode == 10009
    assert (desk.positions()[0].sl, desk.positions()[0].tp) == (1.09, 1.12)
    assert desk.send(**request).retcode == mt5.TRADE_RETCODE_NO_CHANGES


def test_a_pending_order_stands_is_modified_and_removed() -> None:
    desk = Desk()
    placed = desk.pend(mt5.ORDER_TYPE_BUY_LIMIT, 1.095, sl=1.09, magic=5)
    assert placed.retcode == 10009
    (order,) = present(desk.mt5.orders_get())
    assert (order.price_open, order.price_current, order.state) == (
        1.095,
        1.10010,
        mt5.ORDER_STATE_PLACED,
    )
    changed = desk.send(action=mt5.TRADE_ACTION_MODIFY, order=placed.order, price=1.094, sl=1.08)
    assert changed.retcode == 10009
    assert present(desk.mt5.orders_get())[0].price_open == 1.094
    same = desk.send(action=mt5.TRADE_ACTION_MODIFY, order=placed.order, price=1.094, sl=1.08)
    assert same.retcode == mt5.TRADE_RETCODE_NO_CHANGES
    assert desk.send(action=mt5.TRADE_ACTION_REMOVE, order=placed.order).retcode == 10009
    assert desk.mt5.orders_get() == ()
    assert desk.orders_done()[-1].state == mt5.ORDER_STATE_CANCELED
    gone = desk.send(action=mt5.TRADE_ACTION_REMOVE, order=placed.order)
    assert gone.retcode == mt5.TRADE_RETCODE_INVALID_ORDER


@pytest.mark.parametrize(
    ("policy", "retcode", "state"),
    [
        (mt5.ORDER_FILLING_FOK, mt5.TRADE_RETCODE_REJECT, None),
        (mt5.ORDER_FILLING_IOC, mt5.TRADE_RETCODE_DONE_PARTIAL, mt5.ORDER_STATE_CANCELED),
    ],
)
def test_a_thin_market_fills_by_the_policy(policy: int, retcode: int, state: int | None) -> None:
    desk = Desk(faults=Faults(partial=0.4))
    result = desk.deal("buy", 0.5, type_filling=policy)
    assert result.retcode == retcode
    if state is None:
        assert desk.positions() == ()
    else:
        assert (result.volume, desk.positions()[0].volume) == (0.2, 0.2)
        (order,) = desk.orders_done()
        assert (order.state, order.volume_current) == (state, 0.3)


def test_the_rest_of_a_return_order_is_filled_by_the_next_tick() -> None:
    spec = replace(SPECS["EURUSD"], exemode=mt5.SYMBOL_TRADE_EXECUTION_EXCHANGE)
    desk = Desk(
        {"EURUSD": [(0, 1.1, 1.1001), (5, 1.1002, 1.1003)]},
        specs=[spec],
        account=NETTING,
        faults=Faults(partial=0.4),
    )
    result = desk.deal("buy", 0.5, type_filling=mt5.ORDER_FILLING_RETURN)
    assert result.retcode == mt5.TRADE_RETCODE_DONE_PARTIAL
    (order,) = present(desk.mt5.orders_get())
    assert (order.state, order.volume_current) == (mt5.ORDER_STATE_PARTIAL, 0.3)
    desk.at(6)
    assert desk.mt5.orders_get() == ()
    (position,) = desk.positions()
    assert position.volume == 0.5
    assert position.price_open == pytest.approx((1.1001 * 0.2 + 1.1003 * 0.3) / 0.5)


def test_instant_execution_fills_near_the_asked_price_or_requotes() -> None:
    spec = replace(SPECS["USDJPY"], exemode=mt5.SYMBOL_TRADE_EXECUTION_INSTANT)
    desk = Desk({"USDJPY": [(0, 108.015, 108.020)]}, specs=[spec])
    filled = desk.deal("sell", 0.1, symbol="USDJPY", price=108.018, deviation=20)
    assert (filled.retcode, filled.price) == (10009, 108.015)
    far = desk.deal("sell", 0.1, symbol="USDJPY", price=108.050, deviation=20)
    assert (far.retcode, far.bid, far.ask) == (mt5.TRADE_RETCODE_REQUOTE, 108.015, 108.020)
    none = desk.deal("sell", 0.1, symbol="USDJPY", deviation=20)
    assert none.retcode == mt5.TRADE_RETCODE_INVALID_PRICE


def test_history_is_found_by_dates_order_and_position() -> None:
    desk = Desk({"EURUSD": [(0, 1.1, 1.1001), (100, 1.102, 1.1021)]})
    opened = desk.deal("buy", 0.1)
    desk.at(100)
    closed = desk.deal("sell", 0.1, position=opened.order)
    get = desk.mt5.history_deals_get
    assert [deal.order for deal in present(get(position=opened.order))] == [
        opened.order,
        closed.order,
    ]
    assert [deal.ticket for deal in present(get(ticket=closed.order))] == [closed.deal]
    assert [deal.order for deal in present(get(START + 50, START + 200))] == [closed.order]
    assert desk.mt5.history_deals_total(START + 50, START + 200) == 1
    assert get(START, START + 200, group="*GBP*") == ()
    assert len(present(desk.mt5.history_orders_get(position=opened.order))) == 2
    assert get(ticket=999) == ()


def test_check_shows_the_account_after_the_trade_and_changes_nothing() -> None:
    desk = Desk()
    check = desk.mt5.order_check(action=mt5.TRADE_ACTION_DEAL, symbol="EURUSD", type=0, volume=1.0)
    assert check is not None
    assert (check.retcode, check.comment) == (0, "Done")
    assert (check.margin, check.margin_free) == (1100.10, 8899.90)
    assert desk.positions() == ()
