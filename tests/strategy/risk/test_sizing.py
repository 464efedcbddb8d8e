"""Sizing: the money at risk is never exceeded, the broker's steps are kept."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy.risk.sizing import allowed_risk, floor_to_step, kelly_share, size
from strategy.settings import RiskSettings

STEPS = st.sampled_from([0.01, 0.1, 1.0, 0.001, 0.25])


@given(volume=st.floats(0, 1000), step=STEPS)
def test_a_volume_is_a_whole_number_of_steps_and_not_above(volume: float, step: float) -> None:
    found = floor_to_step(volume, step)
    assert Decimal(repr(found)) % Decimal(repr(step)) == 0
    assert found <= volume + 1e-9
    assert found > volume - step - 1e-9


@pytest.mark.parametrize(
    ("volume", "step", "expected"),
    [(0.3, 0.1, 0.3), (0.07, 0.01, 0.07), (1.15, 0.05, 1.15)],
)
def test_noise_of_the_division_does_not_cost_a_step(volume: Any, step: Any, expected: Any) -> None:
    assert floor_to_step(volume, step) == expected


@given(
    money=st.floats(0.01, 1e5), loss=st.floats(0.01, 1e5), step=STEPS, least=st.floats(0.001, 1.0)
)
def test_the_stop_never_costs_more_than_allowed(
    info: Any, money: Any, loss: Any, step: Any, least: Any
) -> None:
    least = max(floor_to_step(least, step), step)
    found = size(money, loss, info(volume_step=step, volume_min=least, volume_max=50.0))
    if found.refused is None:
        assert least <= found.volume <= 50.0
        assert found.volume * loss <= money * (1 + 1e-9)
        assert found.risk == pytest.approx(found.volume * loss)
    else:
        assert found.volume == 0.0


def test_the_smallest_lot_is_not_forced(info: Any) -> None:
    found = size(10.0, 1500.0, info())
    assert found.refused == "Exec Block: Min Lot Risks Too Much (15.00 > 10.00)"


@pytest.mark.parametrize("bad", [math.nan, 0.0, -5.0, math.inf])
def test_an_unknown_loss_or_no_money_gives_no_trade(info: Any, bad: float) -> None:
    assert size(100.0, bad, info()).refused is not None
    assert size(bad, 100.0, info()).refused is not None


def test_max_lot_and_the_brokers_limit_cap_the_volume(info: Any) -> None:
    assert size(1e6, 1.0, info(volume_max=20.0)).volume == 20.0
    assert size(1e6, 1.0, info(volume_max=20.0), max_lot=3.0).volume == 3.0
    assert size(1e6, 1.0, info(volume_max=20.0, volume_limit=5.0)).volume == 5.0


def test_kelly_is_not_believed_before_enough_trades_and_caps_after() -> None:
    even = [1.0, -1.0] * 20
    assert kelly_share(even[:10], 0.25, 30) is None
    assert kelly_share(even, 0.25, 30) == 0.0
    good = [1.5, 1.5, -1.0] * 20
    # W = 2/3, payoff 1.5: f = 2/3 - (1/3)/1.5 = 0.444
    assert kelly_share(good, 0.25, 30) == pytest.approx(0.25 * (2 / 3 - (1 / 3) / 1.5))
    assert kelly_share([math.nan] * 50, 0.25, 30) is None


def test_kelly_only_ever_lowers_the_risk() -> None:
    risk = RiskSettings(risk_per_trade_pct=1.0)
    assert allowed_risk(10_000.0, risk) == 100.0
    assert allowed_risk(10_000.0, risk, 0.002) == 20.0
    assert allowed_risk(10_000.0, risk, 0.3) == 100.0


def test_a_volume_or_step_that_is_not_known_gives_no_volume() -> None:
    for volume, step in ((math.nan, 0.1), (math.inf, 0.1), (1.0, math.nan), (1.0, 0.0)):
        assert floor_to_step(volume, step) == 0.0


def test_the_least_of_the_bounds_that_there_are_holds(info: Any) -> None:
    free = info(volume_max=0.0, volume_limit=0.0)
    assert size(10_000.0, 100.0, free).volume == 100.0
    assert size(10_000.0, 100.0, free, max_lot=3.0).volume == 3.0
    assert size(10_000.0, 100.0, info(volume_max=7.0, volume_limit=5.0), max_lot=6.0).volume == 5.0


def test_kelly_lowers_the_risk_and_never_raises_it() -> None:
    risk = RiskSettings(risk_per_trade_pct=1.0)
    assert allowed_risk(10_000.0, risk) == 100.0
    assert allowed_risk(10_000.0, risk, kelly=0.002) == 20.0
    assert allowed_risk(10_000.0, risk, kelly=0.5) == 100.0
