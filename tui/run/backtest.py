"""Runs the strategy over history from settings: the paper terminal on a clock that is stepped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from execution.paper import PaperTerminal, open_paper
from execution.paper.market.clock import SteppedClock
from execution.paper.market.replay import ReplayMarket
from execution.paper.opening import moment
from strategy.backtest.backtest import BacktestReport, run
from strategy.registry import load
from streamer.errors import USAGE, Mt5dashError

from ..settings import Settings

GENERATED_START, GENERATED_HOURS = "2025-01-07T08:00", 24.0
"""Default begin of a generated market, and its hours. Not the present, so that a seed gives the
same trades on any day."""


class BacktestError(Mt5dashError):
    """Hours, end or symbols do not fit the market; the text says what to do."""

    exit_code = USAGE


@dataclass(frozen=True, slots=True)
class BacktestRun:
    """A finished run.

    Attributes:
        report: Its trades and statistics.
        market: The market in words.
        currency: The currency of the account.
        ticks: How many ticks were replayed.
    """

    report: BacktestReport
    market: str
    currency: str
    ticks: int


async def run_backtest(
    settings: Settings,
    *,
    hours: float | None = None,
    to: str | None = None,
    symbols: Sequence[str] = (),
    poll_s: float = 5.0,
    every: bool = False,
    go_on: Callable[[float, int], bool] = lambda now, trades: True,
    opening: Callable[[str, int, int], None] | None = None,
    opened: Callable[[float], None] = lambda seconds: None,
) -> BacktestRun:
    """Open a new paper account and trade from the market's start. A kept account
    (``paper.state``) is not touched.

    Args:
        hours: Market hours; without it to the end of recorded quotes, or 24 of generated ones.
        to: Server time of the end, instead of ``hours``.
        every, go_on: See :func:`strategy.backtest.backtest.run`.
        opening: Called with the progress of opening the market: what is done, done, total.
        opened: Called with the most seconds of market time that the run can take.

    Raises:
        BacktestError: hours, end or symbols do not fit the market.
        execution.paper.MarketError: the market cannot be opened.
        strategy.registry.StrategyNotFound: there is no such strategy.
        execution.api.terminal.TerminalError: the terminal cannot be opened.
    """
    end = moment(to)
    strategy = load(settings.strategy)
    paper = settings.paper.model_copy(update={"state": None})
    if paper.market is None and paper.start is None:
        paper = paper.model_copy(update={"start": GENERATED_START})
    terminal = open_paper(paper, SteppedClock, progress=opening)
    began = terminal.server_now()
    if end is not None:
        if end <= began:
            raise BacktestError(f"--to {to} is not after the market's start ({_words(began)})")
        until = end
    elif hours is None and paper.market is not None:
        until = math.inf
    else:
        until = began + (GENERATED_HOURS if hours is None else hours) * 3600.0
    last = until
    if isinstance(terminal.market, ReplayMarket):
        last = min(until, terminal.market.last_s + terminal.offset_s)
    opened(last - began)
    wanted = list(symbols) or settings.terminal.symbols
    _known(terminal, [*wanted, *settings.strategy.symbols])
    scanned = list(symbols) or settings.strategy.symbols
    plan = settings.strategy.model_copy(update={"symbols": scanned})
    before = _ticks(terminal)
    report = await run(
        terminal,
        cast(SteppedClock, terminal.clock),
        strategy,
        plan,
        settings.risk,
        until=until,
        poll_s=poll_s,
        every=every,
        symbols=wanted,
        go_on=go_on,
    )
    return BacktestRun(report, terminal.market_text, paper.currency, _ticks(terminal) - before)


def _ticks(terminal: PaperTerminal) -> int:
    return sum(tape.count for tape in terminal.tapes.values())


def _known(terminal: PaperTerminal, wanted: Sequence[str]) -> None:
    missing = [symbol for symbol in wanted if symbol not in terminal.tapes]
    if missing:
        have = ", ".join(terminal.tapes)
        raise BacktestError(f"no quotes of {', '.join(missing)} in this market; it has {have}")


def _words(server: float) -> str:
    return datetime.fromtimestamp(server, UTC).strftime("%Y-%m-%dT%H:%M")
