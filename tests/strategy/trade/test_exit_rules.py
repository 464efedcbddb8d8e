"""Position rules: one action at most, never a wider stop, nothing done twice."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy.settings import ExitSettings, StrategySettings
from strategy.trade.exit_rules import Close, Move, PositionView, decide

LONG = PositionView(
    ticket=1,
    symbol="EURUSD",
    sign=1,
    volume=1.0,
    first_volume=1.0,
    entry=1.10000,
    first_sl=1.09900,
    sl=1.09900,
    tp=1.10300,
    price=1.10000,
    best=1.10000,
    worst=1.10000,
    opened=0.0,
    atr=0.0004,
)


def rules(**exits: Any) -> StrategySettings:
    skip = {
        "breakeven_r": None,
        "partial_r": None,
        "trail_start_r": None,
        "early_cut_r": None,
        "time_stop_bars": None,
    }
    return StrategySettings(exits=ExitSettings(**(skip | exits)))


def at(held: PositionView, price: float, **changes: Any) -> PositionView:
    best = max(held.best, price) if held.sign > 0 else min(held.best, price)
    return replace(held, price=price, best=best, **changes)


def mirrored(held: PositionView) -> PositionView:
    """The same position upside down around 1.1."""

    def turn(price: float) -> float:
        return round(2.2 - price, 5) if price > 0 else 0.0

    names = ("entry", "first_sl", "sl", "tp", "price", "best", "worst")
    turned: dict[str, Any] = {n: turn(getattr(held, n)) for n in names}
    return replace(held, sign=-held.sign, **turned)


def test_breakeven_moves_the_stop_beyond_the_entry_once(info: Any) -> None:
    settings = rules(breakeven_r=0.7, breakeven_buffer_r=0.05)
    assert decide(at(LONG, 1.1006), 0, settings, info()) is None
    moved = decide(at(LONG, 1.1008), 0, settings, info())
    assert moved == Move(1.10005, "breakeven")
    assert decide(at(LONG, 1.1008, sl=1.10005), 0, settings, info()) is None


def test_a_trail_follows_the_best_price_and_not_the_way_back(info: Any) -> None:
    settings = rules(trail_start_r=1.0, trail_atr=1.5)
    assert decide(at(LONG, 1.1009), 0, settings, info()) is None
    assert decide(at(LONG, 1.1015), 0, settings, info()) == Move(1.1009, "trail")
    back = replace(at(LONG, 1.1015, sl=1.1009), price=1.1012)
    assert decide(back, 0, settings, info()) is None


def test_the_progressive_trail_narrows_with_r(info: Any) -> None:
    settings = rules(trail_start_r=1.0, trail_atr=1.5, trail_tight_atr=0.5, trail_tight_r=3.0)
    near = decide(at(LONG, 1.1012), 0, settings, info())
    half = decide(at(LONG, 1.1020), 0, settings, info())
    far = decide(
        at(LONG, 1.1029, tp=0.0),
        0,
        rules(trail_start_r=1.0, trail_atr=1.5, trail_tight_atr=0.5, trail_tight_r=2.0),
        info(),
    )
    assert near == Move(1.10064, "trail")  # 1.4 ATR
    assert half == Move(1.1016, "trail")  # 1.0 ATR
    assert far == Move(1.1027, "trail")  # 0.5 ATR


def test_the_tighter_of_breakeven_and_trail_counts(info: Any) -> None:
    settings = rules(breakeven_r=0.5, trail_start_r=0.5, trail_atr=1.0)
    assert decide(at(LONG, 1.1008), 0, settings, info()) == Move(1.1004, "trail")


def test_a_partial_is_done_once_and_leaves_a_lot_the_broker_takes(info: Any) -> None:
    settings = rules(partial_r=1.0, partial_fraction=0.5)
    action = decide(at(LONG, 1.1011), 0, settings, info())
    assert isinstance(action, Close)
    assert action.volume == 0.5
    # what the terminal shows afterwards is enough to know that it was done
    assert decide(at(LONG, 1.1011, volume=0.5), 0, settings, info()) is None
    small = replace(LONG, volume=0.01, first_volume=0.01)
    assert decide(at(small, 1.1011), 0, settings, info()) is None


def test_the_time_stop_spares_what_is_ahead(info: Any) -> None:
    settings = rules(time_stop_bars=10, time_stop_keep_r=0.5)
    assert decide(LONG, 599, settings, info()) is None
    assert isinstance(decide(LONG, 600, settings, info()), Close)
    assert decide(at(LONG, 1.1006), 600, settings, info()) is None
    assert isinstance(
        decide(at(LONG, 1.1006), 600, rules(time_stop_bars=10, time_stop_keep_r=None), info()),
        Close,
    )


def test_an_early_cut_needs_a_loss_and_a_turned_structure(info: Any) -> None:
    settings = rules(early_cut_r=0.5)
    assert decide(at(LONG, 1.0994), 0, settings, info()) is None
    assert decide(at(LONG, 1.0996, turned=True), 0, settings, info()) is None
    assert isinstance(decide(at(LONG, 1.0994, turned=True), 0, settings, info()), Close)


def test_a_stop_keeps_the_brokers_distance(info: Any) -> None:
    settings = rules(breakeven_r=0.7)
    # the price has come back to the entry: a stop there would be too near
    held = replace(at(LONG, 1.1008), price=1.10010)
    assert decide(held, 0, settings, info(trade_stops_level=20)) is None
    assert decide(held, 0, settings, info()) is not None


def test_without_a_first_stop_no_rule_in_r_fires(info: Any) -> None:
    held = replace(at(LONG, 1.1025), first_sl=0.0, sl=0.0)
    settings = rules(breakeven_r=0.5, trail_start_r=0.5, partial_r=0.5, early_cut_r=0.1)
    assert math.isnan(held.risk)
    assert decide(held, 0, settings, info()) is None


def test_switched_off_is_off(info: Any) -> None:
    settings = StrategySettings(exits=ExitSettings(enabled=False, time_stop_bars=1))
    assert decide(LONG, 1e9, settings, info()) is None


@given(price=st.floats(1.095, 1.105), best=st.floats(1.1, 1.105), sl=st.floats(1.099, 1.1025))
def test_a_stop_is_never_widened_and_never_beyond_the_price(
    info: Any, price: Any, best: Any, sl: Any
) -> None:
    best = max(best, price)
    sl = min(round(sl, 5), round(price, 5) - 1e-5)
    held = replace(LONG, price=price, best=best, sl=sl)
    action = decide(held, 0, rules(breakeven_r=0.3, trail_start_r=0.3, trail_atr=1.0), info())
    if isinstance(action, Move):
        assert action.sl > held.sl
        assert action.sl < price


@given(price=st.floats(1.095, 1.105), volume=st.sampled_from([0.5, 1.0]))
def test_a_short_is_a_long_upside_down(info: Any, price: Any, volume: Any) -> None:
    price = round(price, 5)
    settings = rules(
        breakeven_r=0.5, trail_start_r=0.8, partial_r=1.2, early_cut_r=0.5, time_stop_bars=10
    )
    held = at(replace(LONG, volume=volume, turned=True), price)
    up, down = decide(held, 500, settings, info()), decide(mirrored(held), 500, settings, info())
    assert type(up) is type(down)
    if isinstance(up, Move) and isinstance(down, Move):
        assert up.sl == pytest.approx(2.2 - down.sl, abs=2e-5)
    if isinstance(up, Close) and isinstance(down, Close):
        assert up.volume == down.volume
