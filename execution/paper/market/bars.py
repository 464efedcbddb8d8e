"""Bars of one symbol: minute bars from ticks, every other timeframe from minute bars and from
older, coarser layers. Closed bars are built once; a read rebuilds only the forming one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np

from ...api import constants as mt5
from ...api.structs import RATES_DTYPE
from ...api.terminal import Array
from .model import Floats, Ints, Layer

_M = 60
_H = 3600
_D = 86_400
SECONDS: dict[int, int] = {
    mt5.TIMEFRAME_M1: _M, mt5.TIMEFRAME_M2: 2 * _M, mt5.TIMEFRAME_M3: 3 * _M,
    mt5.TIMEFRAME_M4: 4 * _M, mt5.TIMEFRAME_M5: 5 * _M, mt5.TIMEFRAME_M6: 6 * _M,
    mt5.TIMEFRAME_M10: 10 * _M, mt5.TIMEFRAME_M12: 12 * _M, mt5.TIMEFRAME_M15: 15 * _M,
    mt5.TIMEFRAME_M20: 20 * _M, mt5.TIMEFRAME_M30: 30 * _M, mt5.TIMEFRAME_H1: _H,
    mt5.TIMEFRAME_H2: 2 * _H, mt5.TIMEFRAME_H3: 3 * _H, mt5.TIMEFRAME_H4: 4 * _H,
    mt5.TIMEFRAME_H6: 6 * _H, mt5.TIMEFRAME_H8: 8 * _H, mt5.TIMEFRAME_H12: 12 * _H,
    mt5.TIMEFRAME_D1: _D, mt5.TIMEFRAME_W1: 7 * _D, mt5.TIMEFRAME_MN1: 31 * _D,
}  # fmt: skip
"""Length of each timeframe in seconds; that of a month is its longest."""

Layers: TypeAlias = Iterable[Layer] | Callable[[], Iterable[Layer]]

_SUNDAY = 3 * _D  # 1970-01-04 was a Sunday
_EMPTY = np.empty(0, dtype=RATES_DTYPE)


def open_times(times: Ints, timeframe: int) -> Ints:
    """The open time of the bar that each moment (server seconds) belongs to."""
    if timeframe == mt5.TIMEFRAME_MN1:
        months = times.astype("datetime64[s]").astype("datetime64[M]")
        return months.astype("datetime64[s]").astype(np.int64)
    length = SECONDS[timeframe]
    shift = _SUNDAY if timeframe == mt5.TIMEFRAME_W1 else 0
    return (times - shift) // length * length + shift


def from_ticks(time_ms: Ints, bid: Floats, ask: Floats, point: float) -> Array:
    """Minute bars of the bid; ``spread`` is the bar's narrowest, in points; times unchanged."""
    if time_ms.size == 0:
        return _EMPTY.copy()
    minute = time_ms // 60_000 * 60
    first = np.flatnonzero(np.diff(minute, prepend=minute[0] - 1))
    bars = np.zeros(first.size, dtype=RATES_DTYPE)
    bars["time"] = minute[first]
    bars["open"] = bid[first]
    bars["high"] = np.maximum.reduceat(bid, first)
    bars["low"] = np.minimum.reduceat(bid, first)
    after = np.append(first[1:], time_ms.size)
    bars["close"] = bid[after - 1]
    bars["tick_volume"] = after - first
    bars["spread"] = np.rint(np.minimum.reduceat(ask - bid, first) / point)
    return bars


def aggregate(bars: Array, timeframe: int) -> Array:
    """Shorter bars put together into bars of ``timeframe``."""
    if bars.size == 0:
        return _EMPTY.copy()
    opens = open_times(bars["time"], timeframe)
    first = np.flatnonzero(np.diff(opens, prepend=opens[0] - 1))
    out = np.zeros(first.size, dtype=RATES_DTYPE)
    out["time"] = opens[first]
    out["open"] = bars["open"][first]
    out["high"] = np.maximum.reduceat(bars["high"], first)
    out["low"] = np.minimum.reduceat(bars["low"], first)
    out["close"] = bars["close"][np.append(first[1:], bars.size) - 1]
    out["tick_volume"] = np.add.reduceat(bars["tick_volume"], first)
    out["spread"] = np.minimum.reduceat(bars["spread"], first)
    out["real_volume"] = np.add.reduceat(bars["real_volume"], first)
    return out


class _Column:
    """An array of bars that grows at its end. It takes over the array it is given."""

    def __init__(self, bars: Array) -> None:
        self._room = bars
        self.size = len(bars)

    @property
    def bars(self) -> Array:
        return self._room[: self.size]

    def append(self, bars: Array) -> None:
        need = self.size + len(bars)
        if need > len(self._room):
            # There are months of minutes already: doubling would double the whole program.
            room = np.zeros(need + max(256, need // 16), dtype=RATES_DTYPE)
            room[: self.size] = self.bars
            self._room = room
        self._room[self.size : need] = bars
        self.size = need

    def pop(self) -> None:
        self.size -= 1


class BarStore:
    """All bars of one symbol. ``layers`` are older bars, of which only those before
    ``before`` (server seconds) are taken; a function that returns them is called when the first
    bars are wanted."""

    def __init__(self, layers: Layers, before: int) -> None:
        self._source: Layers | None = layers
        self._before = before
        self._layers: list[Layer] = []
        self._drawn_until = 0
        self._minutes = _Column(_EMPTY)
        self._closed: dict[int, tuple[_Column, Array, int]] = {}

    def _older(self) -> None:
        """Put the older layers under what has come since."""
        if self._source is None:
            return
        found, self._source = self._source, None
        minutes = _EMPTY
        for layer in sorted(found() if callable(found) else found, key=lambda each: -each.seconds):
            bars = layer.bars[layer.bars["time"] + layer.seconds <= self._before]
            if layer.seconds == 60:
                minutes = bars
                if layer.drawn and len(bars):
                    self._drawn_until = self._before
            elif len(bars):
                self._layers.append(Layer(layer.seconds, bars))
        if not self._minutes.size:
            self._minutes = _Column(minutes)
        elif len(minutes):
            self._minutes = _Column(np.concatenate((minutes, self._minutes.bars)))

    def copy(self) -> BarStore:
        """The same bars, to be gone on with apart."""
        self._older()
        other = BarStore((), 0)
        other._layers, other._drawn_until = self._layers, self._drawn_until
        other._minutes = _Column(self.minutes)
        return other

    @property
    def minutes(self) -> Array:
        self._older()
        return self._minutes.bars

    @property
    def last_minute(self) -> np.void | None:
        """The newest minute bar that came since the store was made."""
        return self._minutes.bars[-1] if self._minutes.size else None

    def layer(self, seconds: int) -> Array:
        """The older bars of this length."""
        self._older()
        return next((each.bars for each in self._layers if each.seconds == seconds), _EMPTY)

    def add(self, bars: Array) -> None:
        """Take newer minute bars; the first may be the last one's newer state."""
        if len(bars) == 0:
            return
        if self._minutes.size and self._minutes.bars["time"][-1] == bars["time"][0]:
            self._minutes.pop()
        self._minutes.append(bars)

    def rates(self, timeframe: int, limit: int | None = None) -> Array:
        """Bars of ``timeframe`` oldest first, the last one forming; the last ``limit`` only."""
        minutes = self.minutes
        if timeframe == mt5.TIMEFRAME_M1:
            return minutes if limit is None else minutes[max(0, minutes.size - limit) :]
        closed, lead, used = self._closed.get(timeframe) or self._first(timeframe)
        fresh = minutes[used:]
        fresh = aggregate(np.concatenate((lead, fresh)) if len(lead) else fresh, timeframe)
        if len(fresh) > 1:
            closed.append(fresh[:-1])
            forming = fresh["time"][-1]
            used = max(used, int(np.searchsorted(minutes["time"], forming)))
            lead = lead[open_times(lead["time"], timeframe) == forming]
        self._closed[timeframe] = (closed, lead, used)
        keep = closed.bars if limit is None else closed.bars[max(0, closed.size + 1 - limit) :]
        return np.concatenate((keep, fresh[-1:]))

    def _first(self, timeframe: int) -> tuple[_Column, Array, int]:
        """Nothing closed yet, the older bars that lead in, and the first minute bar to use."""
        lead, seconds, used = _EMPTY, 1, 0
        for layer in self._layers:  # coarsest first; a finer one takes over where it begins
            if layer.seconds <= SECONDS[timeframe]:
                cut = _take_over(layer.bars, seconds)
                fine = layer.bars["time"] >= cut
                lead = np.concatenate((lead[lead["time"] < cut], layer.bars[fine]))
                seconds = layer.seconds
        minutes = self._minutes.bars
        if len(lead) and len(minutes):
            cut = max(_take_over(minutes, seconds), self._drawn_until)
            lead = lead[lead["time"] < cut]
            used = int(np.searchsorted(minutes["time"], cut))
        return _Column(_EMPTY), lead, used


def _take_over(finer: Array, seconds: int) -> int:
    """Where finer bars take over from bars of ``seconds``: a coarser bar is kept whole."""
    return -(-int(finer["time"][0]) // seconds) * seconds
