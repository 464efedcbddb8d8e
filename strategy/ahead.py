"""The bars of a backtest before they happen, so that features are computed in batches.

Nothing leaks: what is computed ahead is kept by the bars it was computed from, and handed out
only for bars that are equal. It is the strategy's own pure function, called earlier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from execution import constants as c
from strategy.base import Bars, Bools, Context, Ints, Setup
from strategy.institutional import (
    TRIGGER_AGE,
    Ceiling,
    Features,
    InstitutionalStrategy,
    features_of,
)
from strategy.structure import breaks

BATCH = 256
"""Windows computed in one go."""


class Tape(Protocol):
    """What is used of the paper terminal's tape of one symbol."""

    time_ms: Ints
    quote_ms: int

    def bars_ahead(self, timeframe: int) -> npt.NDArray[np.void]: ...
    def quote_at(self, at_ms: int) -> tuple[int, float, float]: ...


class _Stretch(NamedTuple):
    """Bars of one symbol and timeframe, those of the loaded ticks included."""

    ticks: Ints
    """The loaded ticks: another array means that others were loaded."""
    bars: Bars
    opens: Ints
    near: Bools
    """Whether a swing was broken on the bar or little before, either way: else there is no
    trigger, whatever else is seen."""
    known: dict[int, Features]
    """Features by the number of the newest closed bar."""


class Ahead:
    """An :class:`InstitutionalStrategy` that has seen the loaded bars already.

    ``count`` is how many closed bars the scanner keeps.
    """

    def __init__(
        self, strategy: InstitutionalStrategy, tapes: Mapping[str, Tape], count: int
    ) -> None:
        self.name, self.timeframes = strategy.name, strategy.timeframes
        self._strategy, self._tapes, self._count = strategy, tapes, count
        self._stretches: dict[tuple[str, str], _Stretch] = {}
        self._ceilings: dict[str, tuple[tuple[int, ...], Ceiling]] = {}

    # -- as a strategy ----------------------------------------------------------------------

    def prepare(self, fresh: Sequence[Bars]) -> None:
        """Hand out what is known for these bars; the rest is computed as ever."""
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
        stretch = self._stretch(bars.symbol, bars.timeframe)
        number = int(np.searchsorted(stretch.opens, bars.time[-1]))
        if len(bars) != self._count or number < self._count - 1 or number >= len(stretch.opens):
            return None
        own = slice(number + 1 - self._count, number + 1)
        same = all(
            np.array_equal(getattr(stretch.bars, name)[own], getattr(bars, name))
            for name in ("time", "open", "high", "low", "close")
        )
        return self._features(stretch, number) if same else None

    # -- for the backtest -------------------------------------------------------------------

    def closed(self, symbol: str, timeframe: str, quote_ms: int) -> int:
        """The number of the newest bar that a quote at ``quote_ms`` proves to be closed."""
        opens = self._stretch(symbol, timeframe).opens
        return int(opens.searchsorted(quote_ms // 1000, side="right")) - 2

    def can_pass(self, symbol: str, quote_ms: int, bid: float, ask: float) -> bool:
        """Whether a scan at this quote could find a trade. May be wrong in saying yes only."""
        trigger = self.timeframes[0]
        number = self.closed(symbol, trigger, quote_ms)
        stretch = self._stretch(symbol, trigger)
        if number < self._count - 1:
            return True
        if not stretch.near[number]:
            return False
        numbers = (number, *(self.closed(symbol, t, quote_ms) for t in self.timeframes[1:]))
        if min(numbers) < self._count - 1:
            return True
        known = self._ceilings.get(symbol)
        if known is None or known[0] != numbers:
            found = [
                self._features(self._stretch(symbol, timeframe), n)
                for timeframe, n in zip(self.timeframes, numbers, strict=True)
            ]
            known = self._ceilings[symbol] = (numbers, self._strategy.ceiling(*found))
        return known[1].reaches(bid, ask)

    def atr(self, symbol: str, quote_ms: int) -> float | None:
        """The ATR that a scan at this quote would see; ``None`` while there are few bars."""
        timeframe = self.timeframes[1]
        number = self.closed(symbol, timeframe, quote_ms)
        if number < self._count - 1:
            return None
        return float(self._features(self._stretch(symbol, timeframe), number).atr[-1])

    # -- in batches -------------------------------------------------------------------------

    def _stretch(self, symbol: str, timeframe: str) -> _Stretch:
        key = (symbol, timeframe)
        stretch, tape = self._stretches.get(key), self._tapes[symbol]
        if stretch is None or stretch.ticks is not tape.time_ms:
            rates = tape.bars_ahead(getattr(c, f"TIMEFRAME_{timeframe}"))
            # what no window reaches back to any more is left out
            present = int(np.searchsorted(rates["time"], tape.quote_ms // 1000, side="right"))
            bars = Bars.from_rates(symbol, timeframe, rates[max(present - self._count - 2, 0) :])
            fired = breaks(bars.high, bars.low, bars.close, self._strategy.settings.swing_bars)
            near = fired.copy()
            for age in range(1, TRIGGER_AGE):
                near[age:] |= fired[:-age]
            stretch = self._stretches[key] = _Stretch(tape.time_ms, bars, bars.time, near, {})
            self._ceilings.pop(symbol, None)
        return stretch

    def _features(self, stretch: _Stretch, number: int) -> Features:
        """Features of the window that ends with this bar; those of the next ones with it."""
        found = stretch.known.get(number)
        if found is None:
            for gone in [n for n in stretch.known if n < number]:  # time goes on only
                del stretch.known[gone]
            numbers = self._next(stretch, number)
            for n, each in zip(numbers, self._compute(stretch, numbers), strict=True):
                stretch.known[n] = each
            found = stretch.known[number]
        return found

    def _next(self, stretch: _Stretch, number: int) -> list[int]:
        """This bar, and of the bars after it those that will be asked for."""
        last = len(stretch.opens) - 1  # the last bar is not proved to be closed
        if stretch.bars.timeframe != self.timeframes[0]:
            return list(range(number, max(min(number + BATCH, last), number + 1)))
        if not stretch.near[number]:
            return [number]
        later = number + 1 + np.flatnonzero(stretch.near[number + 1 : last])
        return [number, *later[: BATCH - 1].tolist()]

    def _compute(self, stretch: _Stretch, numbers: list[int]) -> list[Features]:
        rows = np.asarray(numbers)[None, :] + np.arange(1 - self._count, 1)[:, None]
        columns = (getattr(stretch.bars, name)[rows] for name in ("open", "high", "low", "close"))
        o, h, low, close = (np.ascontiguousarray(column) for column in columns)
        times = [int(at) for at in stretch.opens[numbers]]
        return features_of(o, h, low, close, times, self._strategy.settings.swing_bars)
