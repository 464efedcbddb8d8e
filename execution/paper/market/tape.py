"""The tape of one symbol: ticks that are still to come, the current quote, ticks and bars of
the past. Times are server milliseconds (the market's UTC plus the server's offset).
"""

from __future__ import annotations

from collections import deque

import numpy as np

from ...api import constants as mt5
from ...api.structs import TICKS_DTYPE
from ...api.terminal import Array
from .bars import BarStore, from_ticks
from .model import Floats, Ints, Layer, Ticks
from .symbols import Spec

KEPT_TICKS = 100_000
"""Ticks of the past that a symbol keeps, at least, before the oldest stretch is dropped."""

_UNDOCUMENTED = 0x80
"""Real terminals set this bit in the tick history; clients must mask it."""

DAY_MS = 86_400_000
_NO_INTS = np.empty(0, dtype=np.int64)
_NO_FLOATS = np.empty(0, dtype=np.float64)


class Tape:
    """``at`` is the index of the next tick in ``time_ms``/``bid``/``ask``; everything before it
    has happened. ``quote_ms`` is 0 as long as there was no tick at all."""

    def __init__(self, spec: Spec, layers: list[Layer], before: int, offset_s: int) -> None:
        self.spec = spec
        self.selected = True
        self.quote_ms = 0
        self.quote_bid = 0.0
        self.quote_ask = 0.0
        self.time_ms: Ints = _NO_INTS
        self.bid: Floats = _NO_FLOATS
        self.ask: Floats = _NO_FLOATS
        self.at = 0
        self._before = 0
        self._offset_ms = offset_s * 1000
        self._built = 0
        self._old: deque[Ticks] = deque()
        self._old_size = 0
        self._day = -1
        self._day_ask = (0.0, 0.0)
        self._day_seen = 0
        shifted = []
        for layer in layers:
            bars = layer.bars
            if offset_s:
                bars = bars.copy()
                bars["time"] += offset_s
            shifted.append(Layer(layer.seconds, bars, layer.drawn))
        self.store = BarStore(shifted, before)

    def load(self, ticks: Ticks) -> None:
        """Take the next stretch of ticks; the present one must have happened."""
        self._build()
        self._look_at_day()
        if self.time_ms.size:
            self._before += self.time_ms.size
            self._old.append(Ticks(self.time_ms, self.bid, self.ask))
            self._old_size += self.time_ms.size
            while self._old_size - self._old[0].time_ms.size > KEPT_TICKS:
                self._old_size -= self._old.popleft().time_ms.size
        self.time_ms = ticks.time_ms + self._offset_ms if self._offset_ms else ticks.time_ms
        self.bid, self.ask = ticks.bid, ticks.ask
        self.at = self._built = self._day_seen = 0

    def until(self, now_ms: int) -> int:
        """Index after the last tick that is not later than ``now_ms``."""
        if self.at >= self.time_ms.size or self.time_ms[self.at] > now_ms:
            return self.at
        return int(self.time_ms.searchsorted(now_ms, side="right"))

    @property
    def count(self) -> int:
        """Ticks that have happened."""
        return self._before + self.at

    def next_ms(self) -> int | None:
        return int(self.time_ms[self.at]) if self.at < self.time_ms.size else None

    def take(self, end: int) -> None:
        """Let the ticks before index ``end`` happen."""
        if end > self.at:
            self.at = end
            self.quote_ms = int(self.time_ms[end - 1])
            self.quote_bid = float(self.bid[end - 1])
            self.quote_ask = float(self.ask[end - 1])

    # Bars

    def bars(self, timeframe: int, limit: int | None = None) -> Array:
        self._build()
        return self.store.rates(timeframe, limit)

    def bars_ahead(self, timeframe: int) -> Array:
        """All bars as they will stand when the ticks that are loaded have happened; the last
        one may go on after them. For a backtest, which computes over them in batches."""
        self._build()
        store = self.store.copy()
        store.add(self._minutes(self.at, self.time_ms.size))
        return store.rates(timeframe)

    def quote_at(self, at_ms: int) -> tuple[int, float, float]:
        """Time, bid and ask that will stand at ``at_ms``, which must not be before now."""
        index = self.until(at_ms) - 1
        if index < self.at:
            return self.quote_ms, self.quote_bid, self.quote_ask
        return int(self.time_ms[index]), float(self.bid[index]), float(self.ask[index])

    def _build(self) -> None:
        """Bring the minute bars up to the current tick."""
        start, end = self._built, self.at
        if end <= start:
            return
        self.store.add(self._minutes(start, end))
        self._built = end

    def _minutes(self, start: int, end: int) -> Array:
        """Minute bars of these ticks, the first one going on from the last one built."""
        bars = from_ticks(
            self.time_ms[start:end], self.bid[start:end], self.ask[start:end], self.spec.point
        )
        known = self.store.minutes
        if len(bars) and len(known) and known["time"][-1] == bars["time"][0]:
            _extend(bars, known[-1])
        return bars

    # Ticks

    def ticks_between(self, from_ms: int, to_ms: int | None) -> Array:
        """Ticks that have happened, ``from_ms <= time_ms < to_ms``."""
        pieces = [
            *self._old,
            Ticks(self.time_ms[: self.at], self.bid[: self.at], self.ask[: self.at]),
        ]
        times, bids, asks = [], [], []
        for piece in pieces:
            if not piece.time_ms.size or piece.time_ms[-1] < from_ms:
                continue
            low = int(np.searchsorted(piece.time_ms, from_ms))
            high = piece.time_ms.size
            if to_ms is not None:
                high = int(np.searchsorted(piece.time_ms, to_ms))
            times.append(piece.time_ms[low:high])
            bids.append(piece.bid[low:high])
            asks.append(piece.ask[low:high])
        if not times:
            return np.empty(0, dtype=TICKS_DTYPE)
        return as_ticks(np.concatenate(times), np.concatenate(bids), np.concatenate(asks))

    # The day so far

    def day_asks(self) -> tuple[float, float]:
        """Highest and lowest ask of the server day, 0.0 before its first tick."""
        self._look_at_day()
        return self._day_ask

    def _look_at_day(self) -> None:
        start, end = self._day_seen, self.at
        if end <= start:
            return
        day = int(self.time_ms[end - 1]) // DAY_MS
        if day != self._day:
            start = max(start, int(np.searchsorted(self.time_ms, day * DAY_MS)))
            self._day, self._day_ask = day, (0.0, 0.0)
        asks = self.ask[start:end]
        high, low = self._day_ask
        self._day_ask = (
            max(high, float(asks.max())),
            min(low, float(asks.min())) if low else float(asks.min()),
        )
        self._day_seen = end


def _extend(bars: Array, known: np.void) -> None:
    """Make the first of ``bars`` the continuation of the minute bar ``known``."""
    first = bars[0]
    first["open"] = known["open"]
    first["high"] = max(first["high"], known["high"])
    first["low"] = min(first["low"], known["low"])
    first["tick_volume"] += known["tick_volume"]
    first["spread"] = min(first["spread"], known["spread"])


def as_ticks(time_ms: Ints, bid: Floats, ask: Floats) -> Array:
    """Quotes as the package's tick array, with the flags of what changed."""
    out = np.zeros(time_ms.size, dtype=TICKS_DTYPE)
    out["time"] = time_ms // 1000
    out["time_msc"] = time_ms
    out["bid"] = bid
    out["ask"] = ask
    if time_ms.size:
        flags = np.full(time_ms.size, _UNDOCUMENTED, dtype=np.uint32)
        flags[0] |= mt5.TICK_FLAG_BID | mt5.TICK_FLAG_ASK
        flags[1:] |= np.where(np.diff(bid) != 0, mt5.TICK_FLAG_BID, 0).astype(np.uint32)
        flags[1:] |= np.where(np.diff(ask) != 0, mt5.TICK_FLAG_ASK, 0).astype(np.uint32)
        out["flags"] = flags
    return out
