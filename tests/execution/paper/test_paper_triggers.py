"""What ticks set off: stops, pending orders, expiry, stop-out, swaps; and at which price."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.paper_desk import START, Desk
from support.present import present

from execution.api import constants as mt5
from execution.paper.account.ledger import AccountConfig
from execution.paper.market.symbols import SPECS

EUR = SPECS["EURUSD"]
MIDNIGHT = 14 * 3600  # seconds from the start, 10:00, to the server's midnight


def _run(*ticks: tuple[float, float, float]) -> Desk:
    return Desk({"EURUSD": [(0, 1.1, 1.1001), *ticks]})


@pytest.mark.parametrize(
    ("side", "stops", "tick", "price", "reason", "comment"),
    [
        ("buy", {"sl": 1.095}, (1.0949, 1.0950), 1.0949, mt5.DEAL_REASON_SL, "[sl 1.09500]"),
        ("buy", {"tp": 1.105}, (1.1060, 1.1061), 1.1050, mt5.DEAL_REASON_TP, "[tp 1.10500]"),
        ("sell", {"sl": 1.105}, (1.1059, 1.1060), 1.1060, mt5.DEAL_REASON_SL, "[sl 1.10500]"),
        ("sell", {"tp": 1.095}, (1.0940, 1.0941), 1.0950, mt5.DEAL_REASON_TP, "[tp 1.09500]"),
    ],
)
def test_a_stop_slips_to_the_tick_and_a_target_keeps_its_price(
    side: str,
    stops: dict[str, float],
    tick: tuple[float, float],
    price: float,
    reason: int,
    comment: str,
) -> None:
    desk = _run((30, *tick), (31, 1.1, 1.1001))
    opened = desk.deal(side, magic=9, **stops)
    desk.at(60)
    assert desk.positions() == ()
    deal = desk.deals()[-1]
    assert (deal.price, deal.reason, deal.comment, deal.magic) == (price, reason, comment, 9)
    assert deal.time_msc == int((START + 30) * 1000)
    assert deal.position_id == opened.order
    assert desk.orders_done()[-1].reason == reason


def test_the_spread_alone_does_not_trigger_the_other_side() -> None:
    # The ask falls to the long's stop and the bid rises to the short's: neither is its side.
    desk = _run((10, 1.09999, 1.10005), (20, 1.10004, 1.10010))
    desk.deal("buy", sl=1.0999)
    desk.deal("sell", sl=1.10011)
    desk.at(30)
    assert len(desk.positions()) == 2


@pytest.mark.parametrize(
    ("kind", "level", "tick", "price"),
    [
        (mt5.ORDER_TYPE_BUY_LIMIT, 1.095, (1.0939, 1.0940), 1.0950),
        (mt5.ORDER_TYPE_SELL_LIMIT, 1.105, (1.1060, 1.1061), 1.1050),
        (mt5.ORDER_TYPE_BUY_STOP, 1.105, (1.1060, 1.1061), 1.1061),
        (mt5.ORDER_TYPE_SELL_STOP, 1.095, (1.0939, 1.0940), 1.0939),
    ],
)
def test_a_pending_order_becomes_a_position_at_its_price(
    kind: int, level: float, tick: tuple[float, float], price: float
) -> None:
    desk = _run((30, *tick))
    placed = desk.pend(kind, level, magic=3, comment="later")
    desk.at(29)
    assert desk.positions() == ()
    desk.at(31)
    (position,) = desk.positions()
    assert (position.ticket, position.price_open) == (placed.order, price)
    assert (position.magic, position.comment) == (3, "later")
    assert desk.mt5.orders_get() == ()
    assert desk.orders_done()[-1].state == mt5.ORDER_STATE_FILLED


def test_of_two_ticks_in_one_millisecond_the_first_that_reaches_counts() -> None:
    desk = _run((10, 1.0949, 1.0950), (10, 1.0900, 1.0901))
    desk.deal("buy", sl=1.095)
    desk.at(11)
    assert desk.deals()[-1].price == 1.0949


def test_better_prices_are_given_where_the_broker_gives_them() -> None:
    account = AccountConfig(leverage=100, positive_slippage=True)
    desk = Desk({"EURUSD": [(0, 1.1, 1.1001), (5, 1.0939, 1.0940)]}, account=account)
    desk.pend(mt5.ORDER_TYPE_BUY_LIMIT, 1.095)
    desk.at(6)
    assert desk.positions()[0].price_open == 1.0940


def test_a_stop_limit_becomes_a_limit_and_then_a_position() -> None:
    desk = _run((10, 1.1050, 1.1051), (20, 1.1030, 1.1031), (30, 1.1019, 1.1020))
    placed = desk.pend(mt5.ORDER_TYPE_BUY_STOP_LIMIT, 1.105, stoplimit=1.102)
    desk.at(25)
    (order,) = present(desk.mt5.orders_get())
    assert (order.ticket, order.type, order.price_open) == (
        placed.order,
        mt5.ORDER_TYPE_BUY_LIMIT,
        1.102,
    )
    desk.at(35)
    assert desk.positions()[0].price_open == 1.102


@pytest.mark.parametrize(
    ("fields", "lives_until"),
    [
        ({"type_time": mt5.ORDER_TIME_GTC}, None),
        ({"type_time": mt5.ORDER_TIME_DAY}, MIDNIGHT),
        ({"type_time": mt5.ORDER_TIME_SPECIFIED, "expiration": int(START) + 90}, 90),
        (
            {"type_time": mt5.ORDER_TIME_SPECIFIED_DAY, "expiration": int(START) + 90},
            MIDNIGHT - 1,
        ),
    ],
)
def test_a_pending_order_expires_when_it_should(
    fields: dict[str, int], lives_until: int | None
) -> None:
    desk = Desk()
    desk.pend(mt5.ORDER_TYPE_BUY_LIMIT, 1.0, **fields)
    if lives_until is None:
        desk.at(40 * 86_400)
        assert len(present(desk.mt5.orders_get())) == 1
        return
    desk.at(lives_until - 1)
    assert len(present(desk.mt5.orders_get())) == 1
    desk.at(lives_until + 5)
    assert desk.mt5.orders_get() == ()
    (order,) = desk.orders_done()
    assert order.state == mt5.ORDER_STATE_EXPIRED
    assert order.time_done == START + lives_until


def test_an_order_that_no_money_is_left_for_is_rejected_when_reached() -> None:
    desk = _run((10, 1.0949, 1.0950))
    desk.pend(mt5.ORDER_TYPE_BUY_LIMIT, 1.095, 50.0)
    desk.at(11)
    assert desk.positions() == ()
    assert desk.orders_done()[-1].state == mt5.ORDER_STATE_REJECTED


def test_stop_out_closes_the_largest_loss_until_the_level_holds() -> None:
    # Margin 1100.10 + 2500.20; without the first, 930 are 37 % of what is left.
    desk = Desk(
        {
            "EURUSD": [(0, 1.1, 1.1001), (100, 1.01, 1.0101)],
            "GBPUSD": [(0, 1.25, 1.2501), (50, 1.2498, 1.2499)],
        }
    )
    worst = desk.deal("buy", 1.0)
    other = desk.deal("buy", 2.0, symbol="GBPUSD")
    desk.at(200)
    (left,) = desk.positions()
    assert left.ticket == other.order
    deal = desk.deals()[-1]
    assert (deal.position_id, deal.reason, deal.price) == (worst.order, mt5.DEAL_REASON_SO, 1.01)
    assert deal.time_msc == int((START + 100) * 1000)
    assert deal.comment.startswith("[so ")


def test_stop_out_comes_at_the_tick_that_crosses_the_level_not_after() -> None:
    fall = [(second, 1.1 - second * 1e-4, 1.1001 - second * 1e-4) for second in range(1, 2000)]
    desk = _run(*fall)
    desk.deal("buy", 1.0)
    desk.at(3600)
    deal = desk.deals()[-1]
    # equity 10,000 - 10 * (second + 1) <= 30 % of 1100.10
    assert deal.time_msc == int((START + 966) * 1000)


def test_swap_is_charged_at_midnight_and_realised_in_proportion() -> None:
    spec = replace(EUR, swap_long=-7.2, swap_short=3.0)
    desk = Desk(specs=[spec])
    opened = desk.deal("buy", 1.0)
    desk.deal("sell", 1.0)
    desk.at(MIDNIGHT - 1)
    assert [each.swap for each in desk.positions()] == [0.0, 0.0]
    desk.at(MIDNIGHT + 1)  # Tuesday's night
    assert [each.swap for each in desk.positions()] == [-7.2, 3.0]
    desk.at(MIDNIGHT + 86_401)  # Wednesday's counts three times
    assert [each.swap for each in desk.positions()] == [-28.8, 12.0]
    assert desk.deal("sell", 0.25, position=opened.order).retcode == 10009
    assert desk.deals()[-1].swap == -7.2
    assert desk.balance() == pytest.approx(10_000 + desk.deals()[-1].profit - 7.2)
    assert desk.positions()[0].swap == -21.6
    desk.at(MIDNIGHT + 4 * 86_400 + 1)  # Thursday and Friday; not Saturday
    assert desk.positions()[1].swap == 18.0


def test_swap_by_interest_and_in_deposit_currency() -> None:
    interest = replace(
        EUR, swap_mode=mt5.SYMBOL_SWAP_MODE_INTEREST_CURRENT, swap_long=-3.6, swap_short=0.0
    )
    money = replace(
        SPECS["GBPUSD"],
        swap_mode=mt5.SYMBOL_SWAP_MODE_CURRENCY_DEPOSIT,
        swap_long=-1.5,
        swap_short=0.0,
    )
    desk = Desk(specs=[interest, money])
    desk.deal("buy", 1.0)
    desk.deal("buy", 2.0, symbol="GBPUSD")
    desk.at(MIDNIGHT + 1)
    assert [each.swap for each in desk.positions()] == [round(-110_000 * 0.036 / 360, 2), -3.0]


def test_swap_by_reopening_moves_the_open_price() -> None:
    spec = replace(EUR, swap_mode=mt5.SYMBOL_SWAP_MODE_REOPEN_CURRENT, swap_long=-10.0)
    desk = Desk(specs=[spec])
    opened = desk.deal("buy", 1.0)
    desk.at(MIDNIGHT + 1)
    (position,) = desk.positions()
    assert position.ticket == opened.order
    assert position.price_open == pytest.approx(1.1001)
    *_, out, back = desk.deals()
    assert (out.entry, back.entry, out.reason) == (1, 0, mt5.DEAL_REASON_ROLLOVER)
    assert out.profit == -10.0


def test_daily_orders_and_stops_end_with_the_day() -> None:
    desk = Desk(specs=[replace(EUR, gtc_mode=mt5.SYMBOL_ORDERS_DAILY)])
    desk.deal("buy", sl=1.0)
    desk.pend(mt5.ORDER_TYPE_BUY_LIMIT, 1.0)
    desk.at(MIDNIGHT + 1)
    assert desk.positions()[0].sl == 0.0
    assert desk.mt5.orders_get() == ()
