"""Risk limits: limits trip on the observation that shows them, and stay as they should."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from strategy.risk.risk_limits import DAY, Figures, RiskLimits
from strategy.settings import RiskSettings

FINE = Figures(
    now=10 * DAY + 3600.0,
    balance=10_000.0,
    equity=10_000.0,
    day_pl=0.0,
    realised=0.0,
    peak=10_000.0,
    open_positions=2,
    currency="USD",
)
RISK = RiskSettings(
    daily_loss_pct=3.0, max_drawdown_pct=10.0, max_consecutive_losses=3, loss_pause_s=600.0
)


def gates(limits: RiskLimits, figures: Figures, losses: list[float] | None = None) -> list[str]:
    return [block.gate for block in limits.judge(figures, losses or [])]


def test_a_day_is_measured_from_the_balance_at_server_midnight() -> None:
    limits = RiskLimits(RISK)
    # 200 lost and booked, 95 floating: 295 of the 10,200 that the day began with
    day = replace(
        FINE, balance=10_000.0, realised=-200.0, day_pl=-295.0, equity=9_905.0, peak=9_905
    )
    assert gates(limits, day) == []
    assert limits.limits["daily_loss"].limit == pytest.approx(306.0)
    assert limits.limits["daily_loss"].value == pytest.approx(295.0)
    assert gates(limits, replace(day, day_pl=-306.0)) == ["daily_loss"]


def test_a_day_lost_stays_lost_until_the_servers_next_day() -> None:
    limits = RiskLimits(RISK)
    assert gates(limits, replace(FINE, day_pl=-301.0)) == ["daily_loss"]
    assert gates(limits, replace(FINE, day_pl=-10.0)) == ["daily_loss"]
    limits.release(FINE.now)
    assert gates(limits, replace(FINE, day_pl=-10.0)) == ["daily_loss"]
    assert gates(limits, replace(FINE, now=11 * DAY + 1.0)) == []


def test_a_drawdown_stays_until_it_is_released_and_then_counts_from_there() -> None:
    limits = RiskLimits(RISK)
    deep = replace(FINE, equity=8_900.0, balance=8_900.0)
    assert gates(limits, deep) == ["drawdown"]
    assert gates(limits, replace(FINE, equity=9_500.0)) == ["drawdown"]
    limits.release(FINE.now)
    assert gates(limits, deep) == []
    assert gates(limits, replace(deep, equity=8_100.0)) == []
    assert gates(limits, replace(deep, equity=8_000.0)) == ["drawdown"]


def test_losses_in_a_row_make_a_pause_that_ends() -> None:
    limits = RiskLimits(RISK)
    losses = [FINE.now - 100.0, FINE.now - 300.0, FINE.now - 500.0]
    assert gates(limits, FINE, losses[:2]) == []
    assert gates(limits, FINE, losses) == ["consecutive_losses"]
    assert gates(limits, replace(FINE, now=FINE.now + 499.0), losses) == ["consecutive_losses"]
    assert gates(limits, replace(FINE, now=FINE.now + 501.0), losses) == []


def test_a_release_forgives_the_losses_before_it() -> None:
    limits = RiskLimits(RISK, halted="test")
    losses = [FINE.now - 100.0, FINE.now - 300.0, FINE.now - 500.0]
    limits.release(FINE.now)
    assert limits.halted is None
    assert gates(limits, FINE, losses) == []


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"day_pl": math.nan}, "daily_loss"),
        ({"realised": math.nan}, "daily_loss"),
        ({"now": math.nan}, "daily_loss"),
        ({"equity": math.nan}, "drawdown"),
    ],
)
def test_what_is_not_known_stops(changes: Any, gate: Any) -> None:
    assert gate in gates(RiskLimits(RISK), replace(FINE, **changes))


def test_a_limit_that_is_off_never_stops_and_is_not_shown() -> None:
    limits = RiskLimits(
        RiskSettings(daily_loss_pct=None, max_drawdown_pct=None, max_consecutive_losses=None)
    )
    bad = replace(FINE, day_pl=-9_000.0, equity=1_000.0)
    assert gates(limits, bad, [1.0] * 50) == []
    assert set(limits.limits) == {"open_positions"}
