"""Margin, profit, tick values and account identities, to the cent of MetaQuotes' own examples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.paper_desk import Desk

from execution.api import constants as mt5
from execution.paper.account.ledger import AccountConfig
from execution.paper.account.money import hedged_margin, raw_margin, raw_profit, swap_nights
from execution.paper.market.symbols import SPECS, Spec

BUY, SELL = mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL


@pytest.mark.parametrize(
    ("symbol", "price", "expect"),
    [("EURUSD", 1.0991, 109.91), ("USDJPY", 108.0, 100.0), ("EURJPY", 121.0, 109.91)],
)
def test_margin_of_a_tenth_of_a_lot_is_the_documented_one(
    symbol: str, price: float, expect: float
) -> None:
    desk = Desk({"EURUSD": [(0, 1.0990, 1.0991)]})
    assert desk.mt5.order_calc_margin(BUY, symbol, 0.1, price) == expect


@pytest.mark.parametrize(
    ("action", "symbol", "volume", "opened", "closed", "expect"),
    [
        (BUY, "EURUSD", 1.0, 1.10000, 1.10300, 300.0),
        (SELL, "EURUSD", 1.0, 1.10300, 1.10000, 300.0),
        (BUY, "USDJPY", 1.0, 108.183, 108.483, 276.54),
        (SELL, "USDCHF", 0.1, 0.93475, 0.93751, -29.44),
    ],
)
def test_profit_is_the_documented_one(
    action: int, symbol: str, volume: float, opened: float, closed: float, expect: float
) -> None:
    assert Desk().mt5.order_calc_profit(action, symbol, volume, opened, closed) == expect


def test_a_realised_deal_is_the_documented_one() -> None:
    desk = Desk({"USDCHF": [(0, 0.93475, 0.93480), (60, 0.93745, 0.93751)]})
    opened = desk.deal("sell", 0.1, symbol="USDCHF")
    desk.at(61)
    desk.deal("buy", 0.1, symbol="USDCHF", position=opened.order)
    assert desk.deals()[-1].profit == -29.44
    assert desk.balance() == 10_000 - 29.44


def test_floating_profit_is_the_documented_one() -> None:
    desk = Desk(
        {
            "EURUSD": [
                (0, 1.09301, 1.09306),
                (10, 1.08670, 1.08676),
                (20, 1.10099, 1.10104),
            ]
        }
    )
    desk.deal("sell", 0.01)
    desk.at(11)
    desk.deal("buy", 0.01)
    desk.at(21)
    assert [each.profit for each in desk.positions()] == [-8.03, 14.23]
    info = desk.mt5.account_info()
    assert info is not None
    assert (info.profit, info.equity) == (6.20, 10_006.20)


def test_tick_values_of_a_cross_use_the_worse_side() -> None:
    desk = Desk({"USDJPY": [(0, 111.38, 111.387)]})
    info = desk.mt5.symbol_info("EURJPY")
    assert info is not None
    assert info.trade_tick_value_profit == pytest.approx(0.8977708350166538, abs=1e-15)
    assert info.trade_tick_value_loss == pytest.approx(0.8978272580355541, abs=1e-15)
    assert info.trade_tick_value == info.trade_tick_value_profit


def test_account_identities_hold_with_a_position() -> None:
    desk = Desk({"EURUSD": [(0, 1.0, 1.0001), (5, 1.002, 1.0021)]})
    desk.deal("buy", 0.5)
    desk.at(6)
    info = desk.mt5.account_info()
    assert info is not None
    assert info.margin == 500.05
    assert info.equity == info.balance + info.credit + info.profit
    assert info.margin_free == round(info.equity - info.margin, 2)
    assert info.margin_level == info.equity / info.margin * 100


def test_margin_level_is_zero_without_margin() -> None:
    info = Desk().mt5.account_info()
    assert info is not None
    assert (info.margin, info.margin_level) == (0.0, 0.0)


def _spec(mode: int, **more: Any) -> Spec:
    return replace(SPECS["XAUUSD"], calc_mode=mode, contract=10.0, **more)


@pytest.mark.parametrize(
    ("spec", "expect"),
    [
        (_spec(mt5.SYMBOL_CALC_MODE_FOREX), 2 * 10 / 50),
        (_spec(mt5.SYMBOL_CALC_MODE_FOREX_NO_LEVERAGE), 2 * 10),
        (_spec(mt5.SYMBOL_CALC_MODE_CFD), 2 * 10 * 300),
        (_spec(mt5.SYMBOL_CALC_MODE_EXCH_STOCKS), 2 * 10 * 300),
        (_spec(mt5.SYMBOL_CALC_MODE_CFDLEVERAGE, margin_rate=3.0), 2 * 10 * 300 / 50 * 3),
        (
            _spec(mt5.SYMBOL_CALC_MODE_CFDINDEX, tick_value=5.0, tick_size=0.5),
            2 * 10 * 300 * 5 / 0.5,
        ),
        (_spec(mt5.SYMBOL_CALC_MODE_FUTURES, margin_initial=700.0), 2 * 700),
        (_spec(mt5.SYMBOL_CALC_MODE_EXCH_BONDS, face_value=1000.0), 2 * 10 * 1000 * 300 / 100),
        (_spec(mt5.SYMBOL_CALC_MODE_SERV_COLLATERAL), 0.0),
        (_spec(mt5.SYMBOL_CALC_MODE_FOREX, margin_initial=700.0), 2 * 700),
    ],
)
def test_margin_follows_the_formula_of_each_calculation_mode(spec: Spec, expect: float) -> None:
    assert raw_margin(spec, 2.0, 300.0, 50) == pytest.approx(expect)


def test_profit_of_futures_counts_ticks() -> None:
    spec = _spec(mt5.SYMBOL_CALC_MODE_FUTURES, tick_value=12.5, tick_size=0.25)
    assert raw_profit(spec, True, 2.0, 100.0, 101.0) == 2 * 4 * 12.5
    assert raw_profit(spec, False, 2.0, 100.0, 101.0) == -2 * 4 * 12.5


@pytest.mark.parametrize(
    ("hedged", "use_leg", "expect"),
    [(100_000.0, False, 110.0), (50_000.0, False, 55.0), (0.0, False, 0.0), (0.0, True, 110.0)],
)
def test_two_opposite_lots_cost_the_hedged_margin(
    hedged: float, use_leg: bool, expect: float
) -> None:
    spec = replace(SPECS["EURUSD"], margin_hedged=hedged, hedged_use_leg=use_leg)
    assert hedged_margin(spec, (1.0, 110.0), (1.0, 110.0), True) == pytest.approx(expect)


def test_uncovered_volume_costs_its_sides_average() -> None:
    spec = replace(SPECS["EURUSD"], margin_hedged=50_000.0)
    # 3 lots long for 330, 1 short for 120: two uncovered at 110, one covered at half of 112.5.
    assert hedged_margin(spec, (3.0, 330.0), (1.0, 120.0), True) == pytest.approx(276.25)


def test_a_position_in_yen_on_a_euro_account_goes_over_the_dollar() -> None:
    account = AccountConfig(currency="EUR", leverage=100)
    desk = Desk({"GBPJPY": [(0, 187.500, 187.515)], "EURJPY": []}, account=account)
    margin = desk.mt5.order_calc_margin(BUY, "GBPJPY", 1.0, 187.515)
    assert margin == round(1000 * 1.25010 / 1.10000, 2)
    profit = desk.mt5.order_calc_profit(BUY, "GBPJPY", 1.0, 187.0, 188.0)
    assert profit == round(100_000 / 150.010 / 1.10010, 2)


def test_without_a_rate_a_calculation_fails_instead_of_inventing_one() -> None:
    desk = Desk({"USDJPY": []})
    assert desk.mt5.order_calc_profit(BUY, "EURJPY", 1.0, 160.0, 161.0) is None
    assert desk.mt5.last_error()[0] == mt5.RES_E_FAIL
    assert desk.deal("buy", 0.1, symbol="EURJPY").retcode == mt5.TRADE_RETCODE_PRICE_OFF


def test_swap_is_charged_once_a_weekday_and_three_times_on_wednesday() -> None:
    nights = [swap_nights(SPECS["EURUSD"], day) for day in range(7)]
    assert nights == [0, 1, 1, 3, 1, 1, 0]


def test_commission_is_charged_on_both_sides() -> None:
    desk = Desk(account=AccountConfig(leverage=100, commission=3.5))
    opened = desk.deal("buy", 0.2)
    desk.deal("sell", 0.2, position=opened.order)
    assert [each.commission for each in desk.deals()] == [0.0, -0.7, -0.7]
    assert desk.balance() == pytest.approx(10_000 - 1.4 - 0.2 * 100_000 * 0.0001)
