"""Finds the quote files under a path and puts them together by symbol."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from .files import Table, member_name
from .model import MarketError, Progress, no_progress
from .streams import BarStream, LeanStream, Stream, TickStream, zip_symbol

_ENDINGS = (".csv", ".csv.gz", ".txt", ".txt.gz", ".zip")
_LEAN = ("tick", "minute", "hour", "daily")
_FINE = 900
"""Where some symbols have bars of so many seconds or ticks, coarser ones are left out."""

_SKIPPED_WORDS = {"DAT", "ASCII", "HISTDATA", "COM", "MT", "MT4", "MT5", "XLSX", "TICK", "TICKS"}
_TIMEFRAME = re.compile(r"[_-]?(MN1?|[MHDW]\d{1,2}|\d{1,2}[MHDW])$", re.IGNORECASE)
_DO = (
    "Give a Lean data folder or zip, or CSV files exported from MetaTrader 5, Dukascopy or "
    "HistData (EURUSD_M1.csv)"
)


@dataclass(slots=True)
class Found:
    """One symbol's files: what is replayed and, coarser, what is history only."""

    stream: Stream
    older: list[BarStream] = field(default_factory=list)


Quotes: TypeAlias = tuple[dict[str, Found], list[str]]
"""Symbols with quotes, and names of what was left out."""


def discover(path: Path, progress: Progress = no_progress) -> Quotes:
    """Symbols with quotes under ``path``, and names of what was left out.

    Raises:
        MarketError: no such path, nothing usable, or a file that cannot be read.
    """
    if not path.exists():
        raise MarketError("does not exist", file=path, do=_DO)
    files = (
        [path]
        if path.is_file()
        else sorted(
            each for each in path.rglob("*") if each.is_file() and each.name.endswith(_ENDINGS)
        )
    )
    lean: dict[tuple[str, str], LeanStream] = {}
    tables: dict[str, list[Table]] = {}
    left_out: list[str] = []
    for at, file in enumerate(files):
        progress(f"looking at {file.name}", at, len(files))
        resolution = _resolution(file)
        if resolution in ("tick", "minute"):
            if "_quote" in file.name:
                symbol = zip_symbol(file)
                venue = str(file.parent.parent.parent)
                lean.setdefault((symbol, venue), LeanStream(symbol)).add(file, resolution)
            continue
        symbol = _symbol(file)
        table = _table(file)
        if table is None:
            left_out.append(file.name)
        else:
            tables.setdefault(symbol, []).append(table)
    found = _together(lean, tables)
    if not found:
        raise MarketError("holds no quotes that can be replayed", file=path, do=_DO)
    fine = {symbol for symbol, each in found.items() if each.stream.own_seconds() <= _FINE}
    if fine:
        left_out = [symbol for symbol in found if symbol not in fine] + left_out
        found = {symbol: found[symbol] for symbol in fine}
    return dict(sorted(found.items())), left_out


def _resolution(file: Path) -> str | None:
    """Lean's resolution of a zip, by its folder or by its content's name."""
    if file.suffix != ".zip":
        return None
    for name in (file.parent.name, file.parent.parent.name):
        if name in _LEAN:
            return name
    if re.match(r"\d{8}_quote\.zip$", file.name):
        inner = member_name(file)
        return "tick" if "_tick_" in inner else "minute"
    return None


def _table(file: Path) -> Table | None:
    try:
        return Table(file)
    except MarketError as error:
        if error.problem.startswith("is no quote file"):
            return None
        raise


def _symbol(file: Path) -> str:
    """The symbol in a file's name: EURUSDh4.csv.gz, DAT_ASCII_EURUSD_M1_2012.csv."""
    name = file.name.split(".")[0] if file.suffix != ".zip" else file.stem
    for word in re.split(r"[\s_-]+", name):
        plain = _TIMEFRAME.sub("", word) if len(word) > 3 else word
        if plain and plain.upper() not in _SKIPPED_WORDS and not plain.isdigit():
            if _TIMEFRAME.fullmatch(plain):
                continue
            return plain.upper()
    return file.parent.name.upper()


def _together(
    lean: dict[tuple[str, str], LeanStream], tables: dict[str, list[Table]]
) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for (symbol, _), stream in sorted(lean.items()):
        best = found.get(symbol)
        if best is None or len(stream.days()) > len(best.stream.days()):
            stream.learn_digits()
            found[symbol] = Found(stream)
    for symbol, own in tables.items():
        ticks = [table for table in own if table.layout.ticks]
        bars = [BarStream(symbol, table) for table in own if not table.layout.ticks]
        bars.sort(key=lambda each: (each.own_seconds(), -each.table.last_ms))
        if symbol in found:
            pass
        elif ticks:
            found[symbol] = Found(TickStream(symbol, ticks[0]))
        elif bars:
            found[symbol] = Found(bars.pop(0))
        if symbol in found:
            found[symbol].older = bars
    return found
