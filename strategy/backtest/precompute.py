"""Precomputes features for whole pages of backtest bars.

Nothing leaks: features are kept with the bars they were computed from, and used only for bars that
are equal. They are the strategy's own pure function, called earlier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from execution.api import constants as c

from ..base import Bars, Bools, Context, Floats, Ints, Setup
from ..institutional.features import Features, Series, as_features, compute_chunk, look_back
from ..institutional.strategy import TRIGGER_AGE, Ceiling, InstitutionalStrategy
from ..institutional.structure import breaks
from ..scan.bar_cache import PAGE
from ..settings import TIMEFRAME_SECONDS


class TickTape(Protocol):
    """What is used of the paper terminal's tape of one symbol."""

    time_ms: Ints
    quote_ms: int

    def bars_ahead(self, timeframe: int) -> npt.NDArray[np.void]: ...
    def quote_at(self, at_ms: int) -> tuple[int, float, float]: ...


class _BarRange(NamedTuple):
    """Bars of one symbol and timeframe, those of the loaded ticks included."""

    ticks: Ints
    """The loaded ticks: another array means that other ticks were loaded."""
    bars: Bars
    opens: Ints
    pages_at: Ints
    """The number of the first bar of each bar's page."""
    near: Bools
    """Whether a swing was broken on the bar or little before, either way: else there is no
    trigger, whatever else is seen."""
    known: dict[int, Features]
    """Features by the number of the newest closed bar."""


class _Page(NamedTuple):
    """Numbers of the bars of a page, as far as they were loaded."""

    opened: int
    """Server time of the first bar that the scanner keeps."""
    until: int
    """Server time of the newest bar computed."""
    numbers: Floats
    """(bars, rows), from the first bar of the page on."""
    left: Floats | None


class PrecomputedStrategy:
    """An :class:`InstitutionalStrategy` with the features of the loaded bars precomputed.

    ``count`` is how many closed bars the scanner keeps at the least.
    """

    def __init__(
        self,
        strategy: InstitutionalStrategy,
        tapes: Mapping[str, TickTape],
        count: int,
        utc_offset: float,
    ) -> None:
        self.name, self.timeframes = strategy.name, strategy.timeframes
        self._strategy, self._tapes, self._count = strategy, tapes, count
        self._utc_offset = utc_offset
        self._bar_ranges: dict[tuple[str, str], _BarRange] = {}
        self._pages: dict[tuple[str, str], _Page] = {}
        self._ceilings: dict[str, tuple[tuple[int, ...], Ceiling]] = {}

    # -- as a strategy ----------------------------------------------------------------------

    def prepare(self, fresh: Sequence[Bars]) -> None:
        """Use what is precomputed for these bars; compute the rest as usual."""
        rest = []
        for bars in fresh:
            found = self._known(bars)
            if found is None:
                rest.append(bars)
            else:
                self._strategy.know(bars, found)
        if rest:
            self._strategy.prepare(rest)

    def evaluate(self, context: Context) -> Setup:
        self.prepare([bars for bars in context.bars.values() if not self._strategy.knows(bars)])
        return self._strategy.evaluate(context)

    def _known(self, bars: Bars) -> Features | None:
        stretch = self._bar_range(bars.symbol, bars.timeframe)
        number = int(np.searchsorted(stretch.opens, bars.time[-1]))
        if number >= len(stretch.opens) - 1 or bars.utc_offset != self._utc_offset:
            return None
        start = self._start(stretch, number)
        own = slice(start, number + 1)
        if start is None or len(bars) != number + 1 - start:
            return None
        same = all(
            np.array_equal(getattr(stretch.bars, name)[own], getattr(bars, name))
            for name in ("time", "open", "high", "low", "close")
        )
        return self._features(stretch, number) if same else None

    # -- for the backtest -------------------------------------------------------------------

    def closed(self, symbol: str, timeframe: str, quote_ms: int) -> int:
        """The number of the newest bar that a quote at ``quote_ms`` proves to be closed."""
        opens = self._bar_range(symbol, timeframe).opens
        return int(opens.searchsorted(quote_ms // 1000, side="right")) - 2

    def may_trade(self, symbol: str, quote_ms: int, bid: float, ask: float) -> bool:
        """Whether a scan at this quote could find a trade. ``True`` may be wrong, ``False`` never is."""
        trigger = self.timeframes[0]
        number = self.closed(symbol, trigger, quote_ms)
        stretch = self._bar_range(symbol, trigger)
        if number < 0 or self._start(stretch, number) is None:
            return True
        if not stretch.near[number]:
            return False
        numbers = (number, *(self.closed(symbol, t, quote_ms) for t in self.timeframes[1:]))
        known = self._ceilings.get(symbol)
        if known is None or known[0] != numbers:
            found = []
            for timeframe, n in zip(self.timeframes, numbers, strict=True):
                stretch = self._bar_range(symbol, timeframe)
                if n < 0 or self._start(stretch, n) is None:
                    return True
                found.append(self._features(stretch, n))
            known = self._ceilings[symbol] = (numbers, self._strategy.ceiling(*found))
        return known[1].reaches(bid, ask)

    def atr(self, symbol: str, quote_ms: int) -> float | None:
        """The ATR that a scan at this quote would see; ``None`` while there are few bars."""
        timeframe = self.timeframes[1]
        number = self.closed(symbol, timeframe, quote_ms)
        stretch = self._bar_range(symbol, timeframe)
        if number < 0 or self._start(stretch, number) is None:
            return None
        return self._features(stretch, number).atr

    # -- by pages ----------------------------------------------------------------------------

    def _bar_range(self, symbol: str, timeframe: str) -> _BarRange:
        key = (symbol, timeframe)
        stretch, tape = self._bar_ranges.get(key), self._tapes[symbol]
        if stretch is None or stretch.ticks is not tape.time_ms:
            rates = tape.bars_ahead(getattr(c, f"TIMEFRAME_{timeframe}"))
            # what no window reaches back to any more is left out
            present = int(np.searchsorted(rates["time"], tape.quote_ms // 1000, side="right"))
            rates = rates[max(present - self._count - PAGE - 2, 0) :]
            bars = Bars.from_rates(symbol, timeframe, rates, self._utc_offset)
            page = bars.time // (TIMEFRAME_SECONDS[timeframe] * PAGE)
            pages_at = np.searchsorted(page, page)
            fired = breaks(bars.high, bars.low, bars.close, self._strategy.settings.swing_bars)
            near = fired.copy()
            for age in range(1, TRIGGER_AGE):
                near[age:] |= fired[:-age]
            stretch = self._bar_ranges[key] = _BarRange(
                tape.time_ms, bars, bars.time, pages_at, near, {}
            )
            self._ceilings.pop(symbol, None)
        return stretch

    def _start(self, stretch: _BarRange, number: int) -> int | None:
        """The first bar that the scanner keeps when this one is the newest (as
        :func:`strategy.scan.bar_cache.anchor`); ``None`` where it keeps fewer than ``count`` before
        the page."""
        page = int(stretch.pages_at[number])
        return page - self._count if page >= self._count else None

    def _features(self, stretch: _BarRange, number: int) -> Features:
        """Features of the bars that end with this one; a whole page is computed at once, for
        its bars all begin at the same one."""
        found = stretch.known.get(number)
        if found is None:
            key = (stretch.bars.symbol, stretch.bars.timeframe)
            page, time = int(stretch.pages_at[number]), int(stretch.opens[number])
            known = self._pages.get(key)
            opened = int(stretch.opens[page - self._count])
            if known is not None and known.opened != opened:
                known = None
            if known is None or known.until < time:
                stretch.known.clear()  # time only increases
                known = self._pages[key] = self._compute(stretch, page, known)
            found = stretch.known[number] = as_features(known.numbers[number - page], time)
        return found

    def _compute(self, stretch: _BarRange, page: int, known: _Page | None) -> _Page:
        """The page as far as it is loaded, continued from the part that is computed."""
        bars, opens, k = stretch.bars, stretch.opens, self._strategy.settings.swing_bars
        seconds = TIMEFRAME_SECONDS[bars.timeframe]
        after = (int(opens[page]) // (seconds * PAGE) + 1) * seconds * PAGE
        # the last bar is not proved to be closed
        stop = min(int(np.searchsorted(opens, after)), len(opens) - 1)
        leveled = [bars.timeframe == self.timeframes[1]]
        if known is None or known.left is None:
            series = Series.of([bars], leveled, page - self._count, stop)
            numbers, left = compute_chunk(series, k, tail=stop - page)
            opened, numbers = int(opens[page - self._count]), numbers[:, :, 0]
        else:
            done, opened = int(np.searchsorted(opens, known.until)) + 1, known.opened
            series = Series.of([bars], leveled, done - look_back(k), stop)
            more, left = compute_chunk(series, k, known.left, tail=stop - done)
            numbers = np.concatenate((known.numbers, more[:, :, 0]))
        return _Page(opened, int(opens[stop - 1]), numbers, left)
