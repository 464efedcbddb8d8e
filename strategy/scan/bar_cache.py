"""Closed bars of all symbols and timeframes, read again only when a new one must exist.

The bars that are kept begin at a place that the clock decides (:func:`anchor`), not the moment
of the first reading: a run that began earlier, one that was restarted and a backtest use the same
bars, and between two such places bars are only appended.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from execution.api import constants as c
from execution.api.terminal import TerminalError

from ..base import Bars
from ..settings import TIMEFRAME_SECONDS

PAGE = 128
"""Bars that may be appended before the oldest are dropped."""
CHUNK = 12
"""Calls in one round trip: an order may go in between two."""

Rates = npt.NDArray[np.void]
Key = tuple[str, str]


class BatchReader(Protocol):
    """The one call of ``TerminalClient`` that is needed here."""

    async def batch(self, calls: Sequence[Any], /) -> list[Any]: ...


@dataclass
class CachedSeries:
    """Bars of one symbol and timeframe. ``due`` is the server time from which a tick proves
    that the bar that was forming at the last reading has closed."""

    bars: Bars | None = None
    rates: Rates | None = None
    due: float = 0.0
    fault: str | None = None
    """Why the last reading failed; the bars before are kept."""
    bad: str | None = None
    """The fault of the bars themselves: they must not be computed with."""
    usual_spread: float = float("nan")
    """Points: median over the bars."""


@dataclass
class BarCache:
    """The bars. At least ``count`` closed bars are kept for each series, and at most
    ``PAGE`` more."""

    count: int
    utc_offset: float = math.nan
    """Seconds by which the server's clock is ahead of UTC; NaN while it is unknown."""
    series: dict[Key, CachedSeries] = field(default_factory=dict)
    reads: int = 0
    """Calls made so far: a figure for tests and benchmarks."""

    def bars(self, symbol: str, timeframe: str) -> Bars | None:
        """The closed bars, or ``None`` while there are none."""
        found = self.series.get((symbol, timeframe))
        return found.bars if found is not None else None

    async def refresh(
        self,
        client: BatchReader,
        ticks: Mapping[str, float],
        timeframes: Iterable[str],
        utc_offset: float | None = None,
    ) -> list[Bars]:
        """Read what is due for the symbols of ``ticks`` (symbol -> server time of its last
        tick) and return the series that changed, all of them when another ``utc_offset`` than
        before has become known.

        A reading that fails leaves the bars as they were and its reason in ``fault``.

        Raises:
            TerminalError: the terminal cannot be reached at all.
        """
        due = [
            (symbol, timeframe)
            for symbol, at in ticks.items()
            for timeframe in timeframes
            if at >= self.series.setdefault((symbol, timeframe), CachedSeries()).due
        ]
        changed: list[Bars] = []
        if utc_offset is not None and utc_offset != self.utc_offset:
            self.utc_offset = utc_offset
            changed = self._moved()
        for start in range(0, len(due), CHUNK):
            keys = due[start : start + CHUNK]
            calls = [self._call(key, ticks[key[0]]) for key in keys]
            self.reads += len(calls)
            for key, answer in zip(keys, await client.batch(calls), strict=True):
                changed += self._take(key, answer)
        # what does not join up with the bars before is read again from the start
        torn = [key for key in due if self.series[key].rates is None]
        for start in range(0, len(torn), CHUNK):
            keys = torn[start : start + CHUNK]
            calls = [self._call(key, ticks[key[0]]) for key in keys]
            self.reads += len(calls)
            for key, answer in zip(keys, await client.batch(calls), strict=True):
                changed += self._take(key, answer)
        # of two versions of a series the newer
        return list({(bars.symbol, bars.timeframe): bars for bars in changed}.values())

    def _moved(self) -> list[Bars]:
        """The bars by the server's offset as it is known now."""
        out = []
        for known in self.series.values():
            if known.bars is not None:
                known.bars = replace(known.bars, utc_offset=self.utc_offset)
                if known.bad is None:
                    out.append(known.bars)
        return out

    def _call(self, key: Key, at: float) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        symbol, timeframe = key
        known = self.series[key]
        count = self.count + PAGE + 1
        if known.rates is not None:
            missed = (at - float(known.rates["time"][-1])) / TIMEFRAME_SECONDS[timeframe]
            # the newest known bar again (to see that it joins), those after it, the forming one,
            # and one to spare: a bar may begin while the question is on its way
            count = min(count, int(missed) + 2)
        number = getattr(c, f"TIMEFRAME_{timeframe}")
        return "copy_rates_from_pos", (symbol, number, 0, count), {}

    def _take(self, key: Key, answer: Any) -> list[Bars]:
        known = self.series[key]
        if isinstance(answer, TerminalError):
            known.fault = f"Fetch Error: {answer}"
            return []
        if answer is None or len(answer) == 0:
            known.fault = f"Insufficient Data (no {key[1]} bars)"
            return []
        known.fault = None
        known.due = float(answer["time"][-1]) + TIMEFRAME_SECONDS[key[1]]
        closed = answer[:-1]
        old = known.rates
        if old is not None:
            closed = _join(old, closed)
            if closed is None:
                known.rates = known.bars = None
                return []
            if len(closed) == len(old) and closed["time"][-1] == old["time"][-1]:
                return []
        if len(closed) == 0:
            known.fault = f"Insufficient Data (no closed {key[1]} bar)"
            return []
        start = anchor(closed["time"], TIMEFRAME_SECONDS[key[1]], self.count)
        known.rates = np.ascontiguousarray(closed[start:])
        known.bars = Bars.from_rates(*key, known.rates, self.utc_offset)
        wrong = known.bars.fault()
        known.bad = None if wrong is None else f"Bad Data ({key[1]}: {wrong})"
        spreads = known.bars.spread[-240:]
        spreads = spreads[spreads > 0]
        known.usual_spread = float(np.median(spreads)) if len(spreads) else float("nan")
        return [known.bars] if known.bad is None else []


def anchor(time: npt.NDArray[np.int64], seconds: int, count: int) -> int:
    """The row from which closed bars are kept: ``count`` before the first one of the newest
    page. Pages are ``PAGE`` bars long and counted from the epoch.

    Args:
        time: Server seconds at which the bars opened, rising.
        seconds: Length of a bar.
    """
    page = seconds * PAGE
    return max(int(np.searchsorted(time, time[-1] // page * page)) - count, 0)


def _join(old: Rates, new: Rates) -> Rates | None:
    """``old`` with the bars of ``new`` after it; ``None`` when they do not overlap in an
    equal bar (bars were missed, or the broker changed its history)."""
    if len(new) == 0:
        return old
    same = np.flatnonzero(old["time"] == new["time"][0])
    if len(same) == 0:
        return None
    at = int(same[0])
    overlap = min(len(old) - at, len(new))
    for name in ("time", "open", "high", "low", "close"):
        if not np.array_equal(old[name][at : at + overlap], new[name][:overlap]):
            return None
    return np.concatenate((old, new[overlap:]))
