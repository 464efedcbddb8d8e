"""A market of recorded quotes: files replayed a day at a time, older files as history."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ...api.structs import RATES_DTYPE
from ...api.terminal import Array
from .discovery import Found, Quotes, discover
from .model import Chunk, Layer, MarketError, Past, Progress, Ticks, no_progress
from .streams import DAY_MS, Stream
from .symbols import Spec, spec_for

log = logging.getLogger(__name__)

_GAP_DAYS = 7
"""Days without any quote that part one recording from the next."""

_WARM_M15 = 300
_WARM_OWN = 500
_HISTORY_DAYS = 60
_DRAWN_DAYS = 10
"""Days of minute bars that are drawn through longer bars."""

_QUIET_MS = 15 * 60_000
_COARSEST = 900


class ReplayMarket:
    """Recorded quotes from ``path``, from ``start`` (UTC seconds) on or, without one, from the
    first moment with enough history. ``quotes`` is what :func:`discover` found there. Times of MT5 exports are the broker's and taken as they
    are."""

    def __init__(
        self,
        path: Path,
        start: float | None = None,
        progress: Progress = no_progress,
        quotes: Quotes | None = None,
    ) -> None:
        self._path = path
        self._progress = progress
        found, ignored = quotes or discover(path, progress)
        days, self._found, dropped = _window(found, start, path)
        self._history_days = days
        self.start = self._first_start() if start is None else start
        self._first_day = int(self.start - 3600) * 1000 // DAY_MS
        self._days = [day for day in days if day >= self._first_day]
        if not self._days:
            raise MarketError(
                f"no quotes after {_words(self.start)}",
                file=path,
                do=f"Quotes end on {_day_words(days[-1])}: choose an earlier start",
            )
        self.begin_ms = self._first_day * DAY_MS
        self.lazy = False
        self.last_s = (self._days[-1] + 1) * 86_400
        """The end of the last day with quotes, UTC seconds: as late as it can get."""
        self.end_ms: int | None = None
        self._next = 0
        self._last_tick = self.begin_ms
        self._broken = ""
        self.specs: dict[str, Spec] = {
            symbol: spec_for(symbol, each.stream.digits) for symbol, each in self._found.items()
        }
        self.left_out = [*dropped, *ignored]
        self._assumed = [name for name, each in self._found.items() if each.stream.note]

    def use_specs(self, specs: Iterable[Spec]) -> None:
        """Take the specifications of a broker for recorded symbols of the same price; names and
        digits stay the recording's."""
        known = {spec.price_name: spec for spec in specs}
        for symbol, own in self.specs.items():
            found = known.get(own.price_name) or known.get(symbol)
            if found is not None:
                self.specs[symbol] = replace(
                    found, name=symbol, digits=own.digits, tick_size=own.tick_size
                )

    @property
    def text(self) -> str:
        span = f"{_day_words(self._history_days[0])}..{_day_words(self._history_days[-1])}"
        words = f"quotes of {', '.join(self.specs)}, {span}"
        if self._assumed:
            which = (
                "" if len(self._assumed) == len(self.specs) else " of " + ", ".join(self._assumed)
            )
            words += f" (spread{which} assumed)"
        if self.left_out:
            words += f"; left out: {', '.join(self.left_out[:6])}"
            if len(self.left_out) > 6:
                words += f" and {len(self.left_out) - 6} more"
        if self.end_ms is not None:
            words += f"; recorded quotes ended at {_words(self.end_ms / 1000)}"
        if self._broken:
            words += f" because {self._broken}"
        return words

    def is_open(self, spec: Spec, utc_ms: int, quoted_ms: int) -> bool:
        """A symbol is open where it has quotes: one within the last quarter of an hour."""
        return quoted_ms > 0 and utc_ms - quoted_ms < _QUIET_MS

    def history(self, symbol: str) -> list[Layer]:
        each = self._found[symbol]
        seconds = each.stream.own_seconds()
        keep = _HISTORY_DAYS if seconds <= _COARSEST else _DRAWN_DAYS
        own = set(each.stream.days())
        days = [day for day in self._history_days if day < self._first_day and day in own]
        minutes = []
        for at, day in enumerate(days[-keep:]):
            self._progress(f"bars of {symbol}", at, len(days[-keep:]))
            minutes.append(each.stream.minutes(day))
        layers = [*each.stream.layers()]
        for older in each.older:
            layers += older.layers()
        if minutes:
            layers.append(Layer(60, np.concatenate(minutes), drawn=seconds > 60))
        return layers

    def past(self, symbol: str) -> Past:
        """Earlier days of the recording, read when they are asked for."""
        return _RecordedPast(self._found[symbol].stream, self._history_days)

    def quote(self, symbol: str) -> list[Ticks]:
        """Every recorded symbol has its ticks."""
        return []

    def chunk(self) -> Chunk | None:
        """The next day with quotes; the market ends with its last tick, or before a day whose
        file is broken, which the market's text then names."""
        if self._next >= len(self._days):
            self.end_ms = self._last_tick
            return None
        day = self._days[self._next]
        try:
            ticks = {name: each.stream.ticks(day) for name, each in self._found.items()}
        except MarketError as error:
            if self._next == 0:
                raise
            log.error("replay stops: %s", error)
            self._broken = str(error)
            self._days = self._days[: self._next]
            return self.chunk()
        self._next += 1
        ticks = {name: each for name, each in ticks.items() if each.time_ms.size}
        self._last_tick = max(
            (int(each.time_ms[-1]) for each in ticks.values()), default=self._last_tick
        )
        last = self._next >= len(self._days)
        return Chunk(max(self._last_tick, day * DAY_MS) + 1 if last else (day + 1) * DAY_MS, ticks)

    def _first_start(self) -> float:
        """The first moment at which each symbol that is there early has enough bars behind it."""
        moments = []
        for at, (symbol, each) in enumerate(self._found.items()):
            self._progress(f"looking where {symbol} has enough bars", at, len(self._found))
            moments.append(_warm(each, self._history_days))
        first, last = self._history_days[0] * 86_400, (self._history_days[-1] + 1) * 86_400
        # A symbol whose quotes begin much later joins when they do.
        latest = min(min(moments) + (last - first) / 2, last - 3600)
        return max((each for each in moments if each <= latest), default=first + 3600.0)


class _RecordedPast:
    """Earlier days of one recorded symbol."""

    def __init__(self, stream: Stream, days: list[int]) -> None:
        self._stream = stream
        self._days = frozenset(days) & frozenset(stream.days())

    def minutes(self, day: int, hours: Array) -> Array:
        if day not in self._days or self._stream.own_seconds() > 60:
            return np.zeros(0, dtype=RATES_DTYPE)
        return self._stream.minutes(day)

    def ticks(self, day: int, minutes: Array) -> Ticks:
        if day not in self._days:
            return Ticks(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0))
        return self._stream.ticks(day)


def _warm(found: Found, days: list[int]) -> float:
    """UTC seconds at which 300 M15 bars, or 500 of a longer kind, are history."""
    stream = found.stream
    have = set(stream.days())
    own = [day for day in days if day in have]
    seconds = stream.own_seconds()
    length, need = (900, _WARM_M15) if seconds <= 900 else (seconds, _WARM_OWN)
    count = 0
    for day in own:
        opens = np.unique(stream.opens(day) // length)
        if count + len(opens) >= need:
            return float((opens[need - count - 1] + 1) * length)
        count += len(opens)
    return float((own[len(own) // 3] if own else days[0]) * 86_400 + 3600)


def _window(
    found: dict[str, Found], start: float | None, path: Path
) -> tuple[list[int], dict[str, Found], list[str]]:
    """The stretch of days to replay, the symbols that have quotes in it, and the others."""
    own = {symbol: each.stream.days() for symbol, each in found.items()}
    every = sorted({day for days in own.values() for day in days})
    if not every:
        raise MarketError("holds no quotes", file=path)
    cuts = [0, *(at for at in range(1, len(every)) if every[at] - every[at - 1] > _GAP_DAYS)]
    stretches = [every[a:b] for a, b in zip(cuts, [*cuts[1:], len(every)], strict=True)]
    if start is None:
        sets = [set(stretch) for stretch in stretches]
        sizes = [sum(len(each & set(days)) for days in own.values()) for each in sets]
        chosen = stretches[int(np.argmax(sizes))]
    else:
        day = int(start) // 86_400
        fitting = [stretch for stretch in stretches if stretch[-1] >= day]
        if not fitting:
            raise MarketError(
                f"no quotes after {_words(start)}",
                file=path,
                do=f"Quotes end on {_day_words(every[-1])}: choose an earlier start",
            )
        chosen = fitting[0]
    inside = set(chosen)
    kept = {symbol: each for symbol, each in found.items() if inside & set(own[symbol])}
    return chosen, kept, [symbol for symbol in found if symbol not in kept]


def _words(utc: float) -> str:
    return datetime.fromtimestamp(utc, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _day_words(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")
