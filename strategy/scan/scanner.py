"""One scan: reads ticks and bars, evaluates each symbol, runs the gates, makes a row of each.

A symbol that cannot be read, raises or hangs costs its own row. Nothing here sends orders.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from execution.api.structs import SymbolInfo, Tick
from execution.api.terminal import TerminalError
from streamer.protocol.messages import ScanDetail

from ..base import Bars, Context, Setup, Strategy
from ..sessions import sessions_at
from ..settings import TIMEFRAME_SECONDS, StrategySettings
from .bar_cache import BarCache
from .gate_context import AccountView, Block, GateInput
from .gates import first_block
from .news import Calendar
from .worker_thread import Compute, milliseconds

log = logging.getLogger(__name__)

MIN_BARS = 64
"""Fewer closed bars than this are insufficient."""
OLD_BARS = 5
"""The newest closed bar may be this many bars old; after a gap, triggers are not fresh."""
CORRELATION_BARS = 60


class MarketReader(Protocol):
    """What a scan reads of ``TerminalClient``."""

    async def batch(self, calls: Sequence[Any], /) -> list[Any]: ...
    async def spec(self, symbol: str, /) -> SymbolInfo: ...


@dataclass(frozen=True, slots=True)
class SymbolResult:
    """The result of a symbol: the gates' input and the block (``None``: a candidate)."""

    case: GateInput
    block: Block | None

    @property
    def text(self) -> str:
        """The reason in the words that dashboards sort by."""
        if self.block is not None:
            return self.block.text
        return f"CANDIDATE ({self.case.setup_or_raise.direction})"

    def detail(self) -> ScanDetail:
        """The row in numbers; ``None`` is unknown."""
        case, setup = self.case, self.case.setup
        r = setup.reward / setup.risk if setup is not None and setup.risk > 0 else math.nan
        return ScanDetail(
            code="CANDIDATE" if self.block is None else self.block.code,
            gate=None if self.block is None else self.block.gate,
            direction=None if setup is None else setup.direction,
            score=None if setup is None else known(setup.score, 1),
            spread=known(case.spread, 1),
            atr=None if setup is None else known(setup.atr, 8),
            regime=None if setup is None else setup.regime,
            age_s=known(case.tick_age, 1),
            components=None if setup is None else dict(setup.components),
            need=case.account.settings.min_score,
            entry=None if setup is None else known(setup.entry, 8),
            sl=None if setup is None else known(setup.sl, 8),
            tp=None if setup is None else known(setup.tp, 8),
            r=known(r, 2),
            evidence=None if setup is None else dict(setup.evidence),
        )


@dataclass(frozen=True, slots=True)
class ScanResult:
    """All rows of a scan, in the order of the symbols, and how long it took."""

    rows: dict[str, SymbolResult]
    duration_ms: float

    @property
    def candidates(self) -> list[SymbolResult]:
        """What may be traded, the best first; equal scores by name, so that runs agree."""
        found = [row for row in self.rows.values() if row.block is None]
        return sorted(found, key=lambda row: (-row.case.setup_or_raise.score, row.case.symbol))


@dataclass
class Scanner:
    """Scans with one strategy over one terminal."""

    market: MarketReader
    strategy: Strategy
    settings: StrategySettings
    compute: Compute
    calendar: Calendar | None = None
    judge: Callable[[Context, Setup], Setup] | None = None
    """Puts the learned probability on a set-up; runs where the strategy runs."""
    bar_cache: BarCache = field(init=False)
    _late: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.bar_cache = BarCache(self.settings.bars)

    async def scan(
        self,
        symbols: Sequence[str],
        account: AccountView,
        *,
        now: float | None,
        utc_offset: float | None,
        since_last_trade_s: Mapping[str, float],
    ) -> ScanResult:
        """Scan ``symbols``. ``now`` is server time, ``since_last_trade_s`` the seconds since the
        bot's last trade by symbol."""
        began = time.monotonic()
        deadline = began + self.settings.scan_deadline_s
        # those that were cut last time go first
        order = [s for s in self._late if s in symbols]
        order += [s for s in symbols if s not in order]
        utc = math.nan if now is None else now - (utc_offset or 0.0)
        sessions = frozenset() if math.isnan(utc) else sessions_at(utc)
        cases = {
            symbol: GateInput(
                symbol,
                account,
                sessions=sessions,
                utc=utc,
                since_last_trade_s=since_last_trade_s.get(symbol, math.inf),
                correlate=partial(self.correlate, symbol),
            )
            for symbol in order
        }
        if account.terminal == "connected":
            try:
                cases = await self._read(cases, now, utc_offset)
                cases = {s: self._with_news(case) for s, case in cases.items()}
                cases = await self._look(cases, now, deadline)
            except TerminalError as error:
                log.info("scan: %s", error)
                cases = {
                    s: case if case.setup is not None else replace(case, error=str(error))
                    for s, case in cases.items()
                }
        rows = {
            symbol: SymbolResult(cases[symbol], first_block(cases[symbol])) for symbol in symbols
        }
        return ScanResult(rows, milliseconds(began))

    def _with_news(self, case: GateInput) -> GateInput:
        if self.calendar is None or case.info is None:
            return case
        currencies = {case.info.currency_base, case.info.currency_profit}
        return replace(
            case,
            news=self.calendar.blackout(currencies, case.utc),
            news_unreadable=self.calendar.trouble(case.utc) is not None,
        )

    async def _read(
        self, cases: dict[str, GateInput], now: float | None, utc_offset: float | None
    ) -> dict[str, GateInput]:
        """Specifications, ticks, and the bars that are due."""
        out = dict(cases)
        for symbol in cases:
            try:
                info = await self.market.spec(symbol)
            except TerminalError as error:
                out[symbol] = replace(out[symbol], error=str(error))
            else:
                out[symbol] = replace(out[symbol], info=info)
        wanted = [s for s, case in out.items() if case.info is not None]
        ticks = await self.market.batch([("symbol_info_tick", (s,), {}) for s in wanted])
        at: dict[str, float] = {}
        for symbol, tick in zip(wanted, ticks, strict=True):
            if isinstance(tick, Tick) and tick.time > 0:
                at[symbol] = tick.time_msc / 1000.0 if tick.time_msc else float(tick.time)
                age = math.nan if now is None else max(now - at[symbol], 0.0)
                out[symbol] = replace(out[symbol], tick=tick, tick_age=age)
        frames = self.strategy.timeframes
        fresh = await self.bar_cache.refresh(self.market, at, frames, utc_offset)
        if fresh:
            work = await self.compute.run(
                [("prepare", partial(self.strategy.prepare, fresh))], self.settings.scan_deadline_s
            )
            for name, text in work.failed.items():
                log.warning("%s over %d series failed: %s", name, len(fresh), text)
        return {s: self._judge_data(case, now) for s, case in out.items()}

    def _judge_data(self, case: GateInput, now: float | None) -> GateInput:
        """Note the fault of a symbol's bars, and its usual spread."""
        symbol, fault = case.symbol, None
        for timeframe in self.strategy.timeframes:
            series = self.bar_cache.series.get((symbol, timeframe))
            if series is None:
                continue
            bars = series.bars
            if series.fault is not None:
                fault = series.fault
            elif bars is None or len(bars) < MIN_BARS:
                have = 0 if bars is None else len(bars)
                fault = f"Insufficient Data ({have} < {MIN_BARS} bars {timeframe})"
            elif series.bad is not None:
                fault = series.bad
            if fault is not None:
                break
        lead = self.strategy.timeframes[0]
        first = self.bar_cache.series.get((symbol, lead))
        usual = math.nan if first is None else first.usual_spread
        if fault is None and now is not None and first is not None and first.bars is not None:
            length = TIMEFRAME_SECONDS[lead]
            behind = now - (float(first.bars.time[-1]) + length)
            if behind > OLD_BARS * length:
                fault = f"Old Bars ({lead} {behind:.0f}s behind)"
        return replace(case, data_fault=fault, usual_spread=usual)

    async def _look(
        self, cases: dict[str, GateInput], now: float | None, deadline: float
    ) -> dict[str, GateInput]:
        """Evaluate off the loop, up to the deadline."""
        out = dict(cases)
        stuck = self.compute.stuck
        tasks = []
        for symbol, case in cases.items():
            bars = self._bars(symbol)
            if case.tick is None or case.info is None or bars is None or now is None:
                continue
            if symbol in stuck:
                out[symbol] = replace(case, error="the strategy hangs on this symbol")
                continue
            context = Context(symbol, case.info, case.tick, bars, now, case.sessions)
            tasks.append((symbol, partial(self._evaluate, context)))
        work = await self.compute.run(tasks, max(deadline - time.monotonic(), 0.05))
        for symbol, text in work.failed.items():
            out[symbol] = replace(out[symbol], error=text)
        for symbol, setup in work.done.items():
            out[symbol] = replace(out[symbol], setup=setup)
        missing = [n for n, _ in tasks if n not in work.done and n not in work.failed]
        for symbol in missing:
            words = "too slow" if symbol == work.at else "not reached"
            text = f"scan cut after {self.settings.scan_deadline_s:g}s ({words})"
            out[symbol] = replace(out[symbol], error=text)
        self._late = tuple(s for s in missing if s != work.at)
        return out

    def _evaluate(self, context: Context) -> Setup:
        setup = self.strategy.evaluate(context)
        return setup if self.judge is None else self.judge(context, setup)

    def _bars(self, symbol: str) -> dict[str, Bars] | None:
        """The symbol's bars where all timeframes can be computed with."""
        out = {}
        for timeframe in self.strategy.timeframes:
            series = self.bar_cache.series.get((symbol, timeframe))
            if series is None or series.bars is None or series.bad is not None:
                return None
            if len(series.bars) < MIN_BARS:
                return None
            out[timeframe] = series.bars
        return out

    def correlate(self, symbol: str, other: str) -> float:
        """Correlation of two symbols on the set-up timeframe; NaN when it is unknown."""
        frames = self.strategy.timeframes
        timeframe = frames[min(1, len(frames) - 1)]
        mine, theirs = (self.bar_cache.bars(s, timeframe) for s in (symbol, other))
        if mine is None or theirs is None:
            return math.nan
        return correlation(mine, theirs)


def correlation(a: Bars, b: Bars, count: int = CORRELATION_BARS) -> float:
    """Correlation of the log returns over the last ``count`` common bars; NaN under 20."""
    _, i, j = np.intersect1d(a.time[-count * 2 :], b.time[-count * 2 :], return_indices=True)
    i, j = i[-count:], j[-count:]
    if len(i) < 20:
        return math.nan
    x = np.diff(np.log(a.close[-count * 2 :][i]))
    y = np.diff(np.log(b.close[-count * 2 :][j]))
    if not (x.std() > 0 and y.std() > 0):
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])


def known(value: float, digits: int) -> float | None:
    """The number, rounded for the wire; ``None`` when it is not finite."""
    return round(value, digits) if math.isfinite(value) else None
