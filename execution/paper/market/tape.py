"""The tape of one symbol: ticks that are still to come, the current quote, ticks and bars of
the past. Times are server milliseconds (the market's UTC plus the server's offset).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from functools import partial

import numpy as np

from ...api import constants as mt5
from ...api.structs import TICKS_DTYPE
from ...api.terminal import Array
from .bars import SECONDS, BarStore, Layers, aggregate, from_ticks
from .model import Floats, Ints, Layer, Past, Ticks
from .symbols import Spec

KEPT_TICKS = 100_000
"""Ticks of the past that a symbol keeps, at least, before the oldest stretch is dropped."""

OLDEST_DAYS = 366
"""Days before the market's first tick of which minutes can be had."""

OLDEST_TICK_DAYS = 31
"""Days before the market's first tick of which ticks can be had."""

_UNDOCUMENTED = 0x80
"""Real terminals set this bit in the tick history; clients must mask it."""

DAY_MS = 86_400_000
_DAY = 86_400
_HOUR = 3600
_NO_INTS = np.empty(0, dtype=np.int64)
_NO_FLOATS = np.empty(0, dtype=np.float64)


class Tape:
    """``at`` is the index of the next tick in ``time_ms``/``bid``/``ask``; everything before it
    has happened. ``quote_ms`` is 0 as long as there was no tick at all."""

    def __init__(
        self,
        spec: Spec,
        layers: Layers,
        before: int,
        offset_s: int,
        past: Past | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        self.spec = spec
        self.before = before
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
        self._past = past
        self._shelf = Shelf() if shelf is None else shelf
        self.store = BarStore(partial(_shifted, layers, offset_s), before)

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

    def rates(self, timeframe: int, *, since: int | None = None, count: int | None = None) -> Array:
        """Bars from ``since`` (server seconds) on, or the last ``count``, and maybe more; minutes of
        up to a year ago are drawn or read for it where the market's own begin later."""
        bars = self.bars(timeframe, count)
        past = self._past
        if past is None or SECONDS[timeframe] >= _HOUR:
            return bars
        first = int(bars["time"][0]) if len(bars) else self.before
        if count is not None:
            a_day = _DAY // SECONDS[timeframe]
            while len(bars) < count and first > self._oldest():
                days = 3 + 2 * (count - len(bars)) // a_day
                bars, first = self._with_older(timeframe, first - days * _DAY)
        elif since is not None and since < first:
            bars, _ = self._with_older(timeframe, since)
        return bars

    def _oldest(self) -> int:
        return self.before - OLDEST_DAYS * _DAY

    def _with_older(self, timeframe: int, since: int) -> tuple[Array, int]:
        """Bars from about ``since`` on, and the moment from which on there are minutes."""
        bars = self.bars(timeframe)
        since = max(since, self._oldest())
        older = self._older_minutes(since)
        if len(bars):
            older = older[older["time"] < bars["time"][0]]
        if timeframe != mt5.TIMEFRAME_M1:
            older = aggregate(older, timeframe)
        return np.concatenate((older, bars)), since

    def _older_minutes(self, since: int) -> Array:
        """Minute bars from ``since`` (server seconds) to the first of the market's own."""
        minutes = self.store.minutes
        end = int(minutes["time"][0]) if len(minutes) else self.before
        known = self._shelf.minutes.get(self.spec.name)
        start = int(known[0]) if known is not None else end
        if since < start:
            hours = self.store.layer(_HOUR)
            utc = hours["time"] - self._offset_ms // 1000
            pieces = []
            first, last = (
                (moment - self._offset_ms // 1000) // _DAY for moment in (since, start - 1)
            )
            for day in range(first, last + 1):
                low, high = np.searchsorted(utc, (day * _DAY, (day + 1) * _DAY))
                part = hours[low:high].copy()
                part["time"] = utc[low:high]
                assert self._past is not None
                drawn = self._past.minutes(day, part)
                if len(drawn):
                    drawn = drawn.copy()
                    drawn["time"] += self._offset_ms // 1000
                    pieces.append(drawn)
            bars = np.concatenate(pieces) if pieces else minutes[:0]
            bars = bars[bars["time"] < start]
            if known is not None:
                bars = np.concatenate((bars, known[1]))
            known = (min(since, first * _DAY + self._offset_ms // 1000), bars)
            self._shelf.minutes[self.spec.name] = known
        if known is None:
            return minutes[:0]
        self._shelf.used(self.spec.name)
        return known[1]

    def bars_ahead(self, timeframe: int) -> Array:
        """All bars as they will be when the ticks that are loaded have happened; the last
        one may go on after them. For a backtest, which computes over them in batches."""
        self._build()
        store = self.store.copy()
        store.add(self._minutes(self.at, self.time_ms.size))
        return store.rates(timeframe)

    def quote_at(self, at_ms: int) -> tuple[int, float, float]:
        """Time, bid and ask of the quote at ``at_ms``, which must not be before now."""
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
        known = self.store.last_minute
        if len(bars) and known is not None and known["time"] == bars["time"][0]:
            _extend(bars, known)
        return bars

    # Ticks

    def ticks_between(self, from_ms: int, to_ms: int | None, count: int | None = None) -> Array:
        """Ticks that have happened, ``from_ms <= time_ms < to_ms``; the first ``count``, or some
        more. Those of up to a month ago are drawn or read."""
        times, bids, asks = [], [], []
        size = 0
        for piece in self._pieces(from_ms):
            low = int(np.searchsorted(piece.time_ms, from_ms))
            high = piece.time_ms.size
            if to_ms is not None:
                high = int(np.searchsorted(piece.time_ms, to_ms))
            if high > low:
                times.append(piece.time_ms[low:high])
                bids.append(piece.bid[low:high])
                asks.append(piece.ask[low:high])
                size += high - low
            if high < piece.time_ms.size or (count is not None and size >= count):
                break
        if not times:
            return np.empty(0, dtype=TICKS_DTYPE)
        return as_ticks(np.concatenate(times), np.concatenate(bids), np.concatenate(asks))

    def _pieces(self, from_ms: int) -> Iterator[Ticks]:
        """Ticks from about ``from_ms`` on, stretch by stretch."""
        now = Ticks(self.time_ms[: self.at], self.bid[: self.at], self.ask[: self.at])
        kept = [piece for piece in (*self._old, now) if piece.time_ms.size]
        first = int(kept[0].time_ms[0]) if kept else self.before * 1000
        if self._past is not None and from_ms < first:
            since = max(from_ms, self.before * 1000 - OLDEST_TICK_DAYS * DAY_MS)
            begin, last = ((moment - self._offset_ms) // DAY_MS for moment in (since, first - 1))
            for day in range(begin, last + 1):
                older = self._ticks_of_day(day)
                end = int(np.searchsorted(older.time_ms, first))
                yield Ticks(older.time_ms[:end], older.bid[:end], older.ask[:end])
        yield from (piece for piece in kept if piece.time_ms[-1] >= from_ms)

    def _ticks_of_day(self, day: int) -> Ticks:
        """Ticks of a day in UTC, at server time."""
        key = (self.spec.name, day)
        known = self._shelf.ticks.get(key)
        if known is None:
            start = day * _DAY + self._offset_ms // 1000
            minutes = self.rates(mt5.TIMEFRAME_M1, since=start)
            low, high = np.searchsorted(minutes["time"], (start, start + _DAY))
            part = minutes[low:high].copy()
            part["time"] -= self._offset_ms // 1000
            assert self._past is not None
            ticks = self._past.ticks(day, part)
            known = Ticks(ticks.time_ms + self._offset_ms, ticks.bid, ticks.ask)
            self._shelf.keep_ticks(key, known)
        return known

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


class Shelf:
    """What was drawn or read of the past on demand, for the symbols that were asked for last.
    Shared by the tapes of a market, so that its memory stays bounded."""

    MINUTES = 1_200_000
    """Minute bars, 60 bytes each."""

    TICKS = 1_500_000
    """Ticks, 24 bytes each."""

    def __init__(self) -> None:
        self.minutes: OrderedDict[str, tuple[int, Array]] = OrderedDict()
        """By symbol: the server second from which on they are there, and minute bars."""
        self.ticks: OrderedDict[tuple[str, int], Ticks] = OrderedDict()

    def used(self, symbol: str) -> None:
        """The symbol was asked for now; let go of those that were not for longest."""
        self.minutes.move_to_end(symbol)
        size = sum(len(bars) for _, bars in self.minutes.values())
        while size > self.MINUTES and len(self.minutes) > 1:
            size -= len(self.minutes.popitem(last=False)[1][1])

    def keep_ticks(self, key: tuple[str, int], ticks: Ticks) -> None:
        self.ticks[key] = ticks
        size = sum(each.time_ms.size for each in self.ticks.values())
        while size > self.TICKS and len(self.ticks) > 1:
            size -= self.ticks.popitem(last=False)[1].time_ms.size


def _shifted(layers: Layers, offset_s: int) -> list[Layer]:
    """Layers at server time."""
    out = []
    for layer in layers() if callable(layers) else layers:
        bars = layer.bars
        if offset_s:
            bars = bars.copy()
            bars["time"] += offset_s
        out.append(Layer(layer.seconds, bars, layer.drawn))
    return out


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
