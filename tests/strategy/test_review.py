"""The review of a closed trade follows from its figures."""

from __future__ import annotations

import math

import pytest

from strategy.recall import Closed
from strategy.review import review


def trade(r: float, mfe: float, mae: float, **changes) -> Closed:
    values = {
        "ticket": 5,
        "symbol": "EURUSD",
        "sign": 1,
        "opened": 0.0,
        "closed": 600.0,
        "entry": 1.1,
        "exit": 1.1,
        "volume": 0.1,
        "net": r * 25,
        "why": "sl",
        "r": r,
        "mfe_r": mfe,
        "mae_r": mae,
        "components": {"bias": 20.0, "zone": 4.0, "sweep": 12.0, "rsi": 1.0},
    }
    return Closed(**(values | changes))


@pytest.mark.parametrize(
    ("r", "mfe", "mae", "words"),
    [
        (-1.4, 0.2, -1.4, "Lost more than was planned (-1.4 R)"),
        (-1.0, 1.2, -1.0, "Was 1.2 R ahead and lost"),
        (-1.0, 0.1, -1.0, "Never went anywhere"),
        (-0.8, 0.5, -1.0, "plain loss"),
        (0.05, 0.9, -0.1, "About even after 0.9 R"),
        (0.5, 2.0, -0.1, "Kept 25 % of the 2.0 R"),
        (1.3, 1.4, -0.9, "Won after being 0.9 R behind"),
        (1.3, 1.4, -0.2, "as planned"),
        (math.nan, math.nan, math.nan, "No first stop is known"),
    ],
)
def test_the_lesson_is_the_first_rule_that_fits(r, mfe, mae, words) -> None:
    assert words in review(trade(r, mfe, mae)).lesson


@pytest.mark.parametrize(
    ("r", "score"), [(0.0, 5.0), (-1.0, 3.0), (1.5, 8.0), (9.0, 10.0), (-9, 0.0)]
)
def test_the_score_is_five_and_two_for_each_r(r, score) -> None:
    assert review(trade(r, 1.0, -1.0)).score == score


def test_the_analysis_says_who_closed_it_and_on_what_it_was_opened() -> None:
    told = review(trade(0.2, 0.4, -0.1, why="operator", sign=-1)).analysis
    assert told == (
        "SELL closed by the operator after 10 min; +0.20 R (+5.00); best +0.40 R, worst -0.10 R;"
        " opened on bias 20, sweep 12, zone 4"
    )
