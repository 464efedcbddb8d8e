"""One symbol's recorded quotes, day by day: from Lean's daily zips or from a table of bars or
ticks. Days are counted from 1970-01-01 UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from ...api.structs import RATES_DTYPE
from ...api.terminal import Array
from . import calibration
from .bars import from_ticks
from .files import Table, bad_line, member_name, numbers, read_bytes
from .model import Floats, Ints, Layer, MarketError, Ticks
from .symbols import spec_for

DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_LEAN_DAY = re.compile(r"(\d{4})(\d{2})(\d{2})_quote\.zip$")
_MOST_DIGITS = 8
_MOST_TICKS = 120
"""Ticks a minute, at most, that are drawn from one bar."""


class Stream(Protocol):
    """Quotes of one symbol. ``note`` says what is not in the files."""

    symbol: str
    digits: int
    note: str

    def days(self) -> list[int]: ...
    def ticks(self, day: int) -> Ticks: ...
    def minutes(self, day: int) -> Array: ...
    def opens(self, day: int) -> Ints: ...
    def layers(self) -> list[Layer]: ...
    def own_seconds(self) -> int: ...


class LeanStream:
    """Lean's daily zips: tick quotes where there are any, else minute quotes, whose open, high,
    low and close become four ticks a minute."""

    note = ""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.digits = 0
        self.tick_files: dict[int, Path] = {}
        self.minute_files: dict[int, Path] = {}

    def add(self, path: Path, resolution: str) -> None:
        match = _LEAN_DAY.search(path.name)
        if match is None:
            return
        day = int(np.datetime64("-".join(match.groups()), "D").astype(int))
        (self.tick_files if resolution == "tick" else self.minute_files)[day] = path

    def learn_digits(self) -> None:
        """Decimals of the prices, from one day of quotes."""
        for path in [*self.tick_files.values(), *self.minute_files.values()][:1]:
            head = read_bytes(path)[:20_000].splitlines()[:-1]
            prices = [line.split(b",") for line in head]
            volumes = (0, 5, 10)  # of minute lines; tick lines have three columns
            cells = [
                cell
                for line in prices
                for at, cell in enumerate(line)
                if at not in volumes and b"." in cell
            ]
            decimals = [len(cell.split(b".")[1]) for cell in cells]
            self.digits = min(max(decimals, default=2), _MOST_DIGITS)

    def days(self) -> list[int]:
        return sorted({*self.tick_files, *self.minute_files})

    def own_seconds(self) -> int:
        return 60

    def ticks(self, day: int) -> Ticks:
        path = self.tick_files.get(day)
        if path is not None:
            table = _day_table(path, 3)
            times = day * DAY_MS + table[:, 0].astype(np.int64)
            return Ticks(times, table[:, 1].copy(), table[:, 2].copy())
        if day not in self.minute_files:
            return Ticks(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0))
        table = _day_table(self.minute_files[day], 11)
        times = day * DAY_MS + table[:, 0].astype(np.int64)
        counts = np.full(len(times), 4)
        return walk(times, _MINUTE_MS, table[:, 1:5], table[:, 6:10], counts, self.digits)

    def minutes(self, day: int) -> Array:
        return from_ticks(*self.ticks(day), 10.0**-self.digits)

    def opens(self, day: int) -> Ints:
        """UTC seconds of the minutes that have quotes."""
        return np.unique(self.ticks(day).time_ms // 60_000 * 60)

    def layers(self) -> list[Layer]:
        """Bars longer than a minute that the stream itself is made of."""
        return []


def _day_table(path: Path, columns: int) -> Floats:
    raw = read_bytes(path)
    table = numbers(raw, columns, b",")
    do = "Download the file again"
    if table is None:
        found = bad_line(raw.splitlines(), columns, b",") or (0, "is no table of numbers")
        raise MarketError(found[1], file=path, line=found[0] + 1, do=do)
    milliseconds = table[:, 0]
    wrong = (milliseconds < 0) | (milliseconds >= DAY_MS)
    wrong[1:] |= np.diff(milliseconds) < 0
    prices = table[:, [1, 2]] if columns == 3 else table[:, [1, 2, 3, 4, 6, 7, 8, 9]]
    late, odd = wrong, ~(np.isfinite(prices) & (prices > 0)).all(axis=1)
    for bad, problem in ((late, "the time is out of order"), (odd, "a price is not positive")):
        if bad.any():
            raise MarketError(problem, file=path, line=int(np.argmax(bad)) + 1, do=do)
    return table


def walk(
    times_ms: Ints, length_ms: int, bid: Floats, ask: Floats, counts: Ints, digits: int
) -> Ticks:
    """Ticks that walk through each bar's open, its extremes and its close.

    A rising bar goes to its low first, a falling one to its high, in straight lines with
    ``counts`` ticks a bar. ``bid`` and ``ask`` have the columns open, high, low, close.
    """
    total = int(counts.sum())
    if not total:
        return Ticks(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0))
    bar = np.repeat(np.arange(len(counts)), counts)
    step = np.arange(total) - (np.cumsum(counts) - counts)[bar]
    last = counts - 1
    nodes = np.column_stack([0 * last, np.rint(last / 3), np.rint(last * 2 / 3), last])
    leg = (step >= nodes[bar, 1]).astype(np.int64) + (step >= nodes[bar, 2])
    length = np.maximum(nodes[bar, leg + 1] - nodes[bar, leg], 1)
    within = (step - nodes[bar, leg]) / length
    rising = bid[:, 3] >= bid[:, 0]
    prices = []
    for side in (bid, ask):
        path = np.where(rising[:, None], side[:, [0, 2, 1, 3]], side)
        begin, end = path[bar, leg], path[bar, leg + 1]
        prices.append(np.round(begin + (end - begin) * within, digits))
    share = step / np.maximum(last, 1)[bar]
    at = times_ms[bar] + (share * (length_ms - 500)).astype(np.int64)
    return Ticks(at, prices[0], np.maximum(prices[1], prices[0]))


class BarStream:
    """A table of bars; each becomes as many ticks as it says it had, at least four."""

    def __init__(self, symbol: str, table: Table) -> None:
        self.symbol = symbol
        self.note = ""
        self.table = table
        self._scale, self.digits = _scale(symbol, table)
        self._seconds = _bar_seconds(table)
        names = table.layout.names
        if "spread" not in names and "ask_open" not in names:
            self.note = "spread assumed"

    def own_seconds(self) -> int:
        return self._seconds

    def days(self) -> list[int]:
        if self.table.large:
            return list(range(self.table.first_ms // DAY_MS, self.table.last_ms // DAY_MS + 1))
        times, _ = self.table.rows(0, None)
        return [int(day) for day in np.unique(times // DAY_MS)]

    def bars(self, from_ms: int, to_ms: int | None) -> Array:
        times, columns = self.table.rows(from_ms, to_ms)
        out = np.zeros(times.size, dtype=RATES_DTYPE)
        out["time"] = times // 1000
        for name in ("open", "high", "low", "close"):
            out[name] = np.round(columns[name] / self._scale, self.digits)
        out["tick_volume"] = _volumes(columns, times.size)
        out["spread"] = np.rint(self._spread(times, columns))
        return out

    def ticks(self, day: int) -> Ticks:
        times, columns = self.table.rows(day * DAY_MS, (day + 1) * DAY_MS)
        bid, ask = self._sides(times, columns)
        most = _MOST_TICKS * max(self._seconds // 60, 1)
        counts = np.clip(_volumes(columns, times.size), 4, most).astype(np.int64)
        return walk(times, self._seconds * 1000, bid, ask, counts, self.digits)

    def minutes(self, day: int) -> Array:
        """Minute bars of one day: the table's own, or drawn through its longer bars."""
        if self._seconds == 60:
            return self.bars(day * DAY_MS, (day + 1) * DAY_MS)
        times, columns = self.table.rows(day * DAY_MS, (day + 1) * DAY_MS)
        bid, ask = self._sides(times, columns)
        a_bar = self._seconds // 60
        counts = np.full(times.size, 4 * a_bar)
        ticks = walk(times, self._seconds * 1000, bid, ask, counts, self.digits)
        bars = from_ticks(*ticks, 10.0**-self.digits)
        rates = np.maximum(_volumes(columns, times.size) // a_bar, 1)
        at = np.searchsorted(times // 1000, bars["time"], side="right") - 1
        bars["tick_volume"] = rates[at]
        return bars

    def opens(self, day: int) -> Ints:
        times, _ = self.table.rows(day * DAY_MS, (day + 1) * DAY_MS)
        return times // 1000

    def layers(self) -> list[Layer]:
        return [Layer(self._seconds, self.bars(0, None))] if self._seconds > 60 else []

    def _sides(self, times: Ints, columns: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        fields = ("open", "high", "low", "close")
        bid = np.column_stack([columns[name] for name in fields]) / self._scale
        if "ask_open" in columns:
            return bid, np.column_stack([columns[f"ask_{name}"] for name in fields]) / self._scale
        spread = self._spread(times, columns) * 10.0**-self.digits
        return bid, bid + spread[:, None]

    def _spread(self, times: Ints, columns: Mapping[str, Floats]) -> Floats:
        """Spread in points: the table's, or the calibrated median of the hour."""
        if "ask_open" in columns:
            sides = zip(("open", "high", "low", "close"), strict=False)
            gaps = [columns[f"ask_{name}"] - columns[name] for (name,) in sides]
            narrowest: Floats = np.min(gaps, axis=0) * 10.0**self.digits
            return narrowest
        if "spread" in columns:
            return np.maximum(columns["spread"], 0.0)
        quoting = calibration.QUOTING.get(self.symbol, calibration.OTHER)
        usual: Floats = np.array(quoting.spread)[times // 3_600_000 % 24]
        return np.maximum(usual, float(quoting.floor))


def _volumes(columns: Mapping[str, Floats], size: int) -> Ints:
    volume = columns.get("tick_volume")
    return np.full(size, 4) if volume is None else np.maximum(volume, 1).astype(np.int64)


def _bar_seconds(table: Table) -> int:
    times, _ = table.rows(table.first_ms, table.first_ms + 60 * DAY_MS)
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not steps.size:
        raise MarketError("has too few bars to know their length", file=table.path)
    return int(steps.min()) // 1000


def _scale(symbol: str, table: Table) -> tuple[float, int]:
    """What prices are divided by, and their digits. Some exports give whole points
    (127801.0 for 1.27801): the scale that comes nearest to a usual price is taken."""
    if table.decimals:
        return 1.0, table.decimals
    digits = spec_for(symbol).digits
    usual = calibration.START.get(symbol, 150.0 if symbol.endswith("JPY") else 1.0)
    if symbol not in calibration.START and not (len(symbol) == 6 and symbol.isalpha()):
        return 1.0, 0
    _, columns = table.rows(table.last_ms - 30 * DAY_MS, None)
    close = float(np.median(columns["close"]))
    far = [abs(np.log(close / 10.0**power / usual)) for power in (0, digits)]
    return (1.0, digits) if far[0] <= far[1] else (10.0**digits, digits)


class TickStream:
    """A table of ticks."""

    note = ""

    def __init__(self, symbol: str, table: Table) -> None:
        self.symbol = symbol
        self.table = table
        self.digits = table.decimals or spec_for(symbol).digits

    def own_seconds(self) -> int:
        return 60

    def days(self) -> list[int]:
        if self.table.large:
            return list(range(self.table.first_ms // DAY_MS, self.table.last_ms // DAY_MS + 1))
        times, _ = self.table.rows(0, None)
        return [int(day) for day in np.unique(times // DAY_MS)]

    def ticks(self, day: int) -> Ticks:
        times, columns = self.table.rows(day * DAY_MS, (day + 1) * DAY_MS)
        return Ticks(times, columns["bid"].copy(), columns["ask"].copy())

    def minutes(self, day: int) -> Array:
        return from_ticks(*self.ticks(day), 10.0**-self.digits)

    def opens(self, day: int) -> Ints:
        """UTC seconds of the minutes that have quotes."""
        return np.unique(self.ticks(day).time_ms // 60_000 * 60)

    def layers(self) -> list[Layer]:
        """Bars longer than a minute that the stream itself is made of."""
        return []


def zip_symbol(path: Path) -> str:
    """The symbol of one of Lean's zips: from its folder's name for daily files."""
    if _LEAN_DAY.search(path.name):
        inner = member_name(path).split("_")
        return (inner[1] if len(inner) > 1 else path.parent.name).upper()
    return path.stem.upper()
