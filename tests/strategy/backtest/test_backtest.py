"""The worker over history: the same trades each time, and figures that add up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from support.present import present

from execution.paper import PaperTerminal, open_paper
from execution.paper.market.clock import SteppedClock
from execution.paper.market.generator import GeneratedMarket
from execution.paper.opening import account_config
from execution.settings import PaperSettings
from strategy.backtest.backtest import BacktestReport, run
from strategy.base import Context, Setup
from strategy.institutional.strategy import InstitutionalStrategy
from strategy.registry import load
from strategy.settings import RiskSettings, StrategySettings

START = 1_763_470_800.0


Busy = Callable[..., StrategySettings]


async def backtest(
    settings: StrategySettings, minutes: float, seed: int = 7
) -> tuple[BacktestReport, PaperTerminal]:
    market = GeneratedMarket(seed, START)
    clock = SteppedClock(market.start)
    terminal = PaperTerminal(market, clock, account_config(PaperSettings()))
    report = await run(
        terminal,
        clock,
        load(settings),
        settings,
        RiskSettings(),
        until=terminal.server_now() + minutes * 60,
    )
    return report, terminal


async def test_two_runs_give_the_same_trades_and_another_seed_gives_others(busy: Busy) -> None:
    first, _ = await backtest(busy(), 14)
    second, _ = await backtest(busy(), 14)
    other, _ = await backtest(busy(), 14, seed=8)
    assert first.trades
    assert first.trades == second.trades
    assert first.equity == second.equity
    assert first.stopped == second.stopped
    assert other.trades != first.trades


async def test_the_figures_add_up(busy: Busy) -> None:
    report, terminal = await backtest(busy(), 16)
    assert terminal.initialize()
    account = terminal.account_info()
    realised = report.statistics()["net"]
    still_open = terminal.positions_get()
    parts = sum(
        d.profit + d.commission + d.swap + d.fee
        for p in present(still_open)
        for d in present(terminal.history_deals_get(position=p.ticket))
    )
    assert present(account).balance == pytest.approx(
        report.start_balance + realised + parts, abs=0.01
    )
    assert sum(report.stopped.values()) == report.scans * len(terminal.tapes)
    for trade in report.trades:
        assert trade.opened < trade.closed
        assert trade.mae_r <= trade.mfe_r
        assert (trade.r > 0) == (trade.net > 0)
    unmoved = [t for t in report.trades if t.why == "sl" and t.mfe_r < 0.5]
    for trade in unmoved:  # the first stop was hit: one R and what the tick jumped over it
        assert trade.r == pytest.approx(-1.0, abs=0.35)


@pytest.mark.parametrize(
    ("settings", "risk"),
    [
        ({}, {}),
        ({"exits": {"early_cut_r": 0.3, "partial_r": 0.5, "time_stop_bars": None}}, {}),
        ({"cycle_s": 5.0}, {"max_consecutive_losses": 2, "loss_pause_s": 400.0}),
        ({"min_score": 30.0}, {"daily_loss_pct": 0.5, "flatten_on_limit": True}),
        ({"min_score": 30.0}, {"max_drawdown_pct": 0.7, "max_per_symbol": 2}),
    ],
)
async def test_what_is_left_out_changes_no_trade_and_no_equity(
    settings: dict[str, Any],
    risk: dict[str, Any],
    real_quotes: Path,
    busy: Busy,
) -> None:
    """Looks and scans that are left out, features computed ahead: the same to the last digit."""
    found = []
    for every in (True, False):
        paper = PaperSettings(market=real_quotes / "lean", start="2014-05-07T21:45")
        terminal = open_paper(paper, SteppedClock)
        plan = busy(**settings)
        report = await run(
            terminal,
            cast(SteppedClock, terminal.clock),
            load(plan),
            plan,
            RiskSettings.model_validate(risk),
            until=terminal.server_now() + 2.5 * 3600,  # over a midnight
            every=every,
        )
        found.append((repr(report.trades), report.equity, report.scans))
        assert sum(report.stopped.values()) == 2 * report.scans
        assert (report.stopped["waiting"] == 0) == every
    assert len(report.trades) > 3
    assert found[0] == found[1]


async def test_nothing_is_left_out_wrongly_on_ten_symbols_that_convert(
    busy: Busy,
) -> None:
    """Positions in yen on a dollar account, exposure and correlation among them."""
    found = []
    for every in (True, False):
        market = GeneratedMarket(11, START)
        clock = SteppedClock(market.start)
        terminal = PaperTerminal(market, clock, account_config(PaperSettings()))
        plan = busy(min_score=40.0)
        until = terminal.server_now() + 1500
        report = await run(
            terminal, clock, load(plan), plan, RiskSettings(), until=until, every=every
        )
        found.append((repr(report.trades), report.equity))
    assert len(report.trades) > 5
    assert found[0] == found[1]


class Own(InstitutionalStrategy):
    """Stands for anyone's strategy."""

    looked = 0

    def evaluate(self, context: Context) -> Setup:
        self.looked += 1
        return super().evaluate(context)


async def test_a_strategy_of_your_own_is_asked_at_each_scan() -> None:
    market = GeneratedMarket(7, START)
    clock = SteppedClock(market.start)
    terminal = PaperTerminal(market, clock, account_config(PaperSettings()))
    plan = StrategySettings(symbols=["EURUSD", "XAUUSD"])
    strategy, until = Own(plan), terminal.server_now() + 300
    report = await run(terminal, clock, strategy, plan, RiskSettings(), until=until)
    assert report.scans == 31
    assert strategy.looked == 2 * report.scans
    assert not report.stopped["waiting"]
