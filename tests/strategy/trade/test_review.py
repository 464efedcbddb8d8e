"""The review of a closed trade follows from its figures."""

from __future__ import annotations

import math
from typing import Any

import pytest
from support.present import present

from execution.api import constants as c
from strategy.trade.review import review
from strategy.trade.trade_book import OrderReason
from strategy.trade.trade_history import ClosedTrade


def trade(r: float, mfe: float, mae: float, **changes: Any) -> ClosedTrade:
    values: dict[str, Any] = {
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
    return ClosedTrade(**(values | changes))


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
def test_the_lesson_is_the_first_rule_that_fits(r: Any, mfe: Any, mae: Any, words: Any) -> None:
    assert words in present(review(trade(r, mfe, mae)).lesson)


@pytest.mark.parametrize(
    ("r", "score"), [(0.0, 5.0), (-1.0, 3.0), (1.5, 8.0), (9.0, 10.0), (-9, 0.0)]
)
def test_the_score_is_five_and_two_for_each_r(r: Any, score: Any) -> None:
    assert review(trade(r, 1.0, -1.0)).score == score


def test_the_analysis_says_who_closed_it_and_on_what_it_was_opened() -> None:
    told = review(trade(0.2, 0.4, -0.1, why="operator", sign=-1)).analysis
    assert told == (
        "SELL closed by the operator after 10 min; +0.20 R (+5.00); best +0.40 R, worst -0.10 R;"
        " opened on bias 20, sweep 12, zone 4"
    )


async def test_after_a_restart_a_review_still_says_what_a_trade_was_opened_on(bench: Any) -> None:
    b = await bench().open()
    opened = await b.cycle_until("PositionOpened", minutes=30)
    b.left_open = {opened.ticket: OrderReason(opened.score, opened.components)}
    await b.open()
    assert b.told("CriticReview") == []
    assert (await b.command("close_position", ticket=opened.ticket)).ok
    await b.step(1.0)
    (told,) = b.told("CriticReview")
    assert told.ticket == opened.ticket
    assert "opened on " in told.analysis


async def test_what_closed_while_the_program_was_away_is_reviewed_by_the_next_run(
    bench: Any,
) -> None:
    b = await bench().open()
    opened = await b.cycle_until("PositionOpened", minutes=30)
    b.clock.step(7200.0)  # its stop or target closes it; what the price did since is not its own
    assert b.terminal.positions_get(ticket=opened.ticket) == ()
    b.left_open = {opened.ticket: OrderReason(opened.score, opened.components)}
    await b.open()
    (told,) = b.told("CriticReview")
    assert told.ticket == opened.ticket
    assert "opened on " in told.analysis
    assert "unknown" not in told.analysis
    (closed,) = [t for t in b.worker.book.closed if t.ticket == opened.ticket]
    rates = b.terminal.copy_rates_range(
        opened.symbol, c.TIMEFRAME_M1, int(closed.opened), int(closed.closed)
    )
    risk = abs(closed.entry - opened.sl_price)
    most = max(float(rates["high"].max()) - closed.entry, closed.entry - float(rates["low"].min()))
    assert -0.5 <= closed.mfe_r <= most / risk + 0.5
    assert closed.mae_r <= closed.r + 0.1
    assert closed.score == opened.score

    b.left_open = {}
    b.events.clear()
    await b.open()
    assert b.told("CriticReview") == []
