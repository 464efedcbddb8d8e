"""Quote files as tables: one CSV, plain, gzipped or in a zip, read by stretches of time.

Knows the layouts of MetaTrader 5 exports (comma or tab, bars or ticks), Dukascopy, HistData and
Lean; columns are found by the header's names, or by the shape of the first line where a format
has no header. Nothing is guessed about a broken line: it is an error with file and line.
"""

from __future__ import annotations

import gzip
import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .model import Floats, Ints, MarketError
from .moments import decode, fitting

_BLOCK = 1 << 20
_SEPARATORS = b",;\t"
_EST_S = 5 * 3600
_AGAIN = "Download or export the file again"

_NAMES = {
    "open": "open", "high": "high", "low": "low", "close": "close",
    "tick_volume": "tick_volume", "tickvol": "tick_volume", "volume": "volume", "vol": "volume",
    "real_volume": "real_volume", "spread": "spread", "bid": "bid", "ask": "ask",
    "bidprice": "bid", "askprice": "ask", "last": "last", "flags": "flags",
    "askvolume": "ask_volume", "bidvolume": "bid_volume", "ask volume": "ask_volume",
    "bid volume": "bid_volume",
}  # fmt: skip
_BARS = ("open", "high", "low", "close")
_LEAN_BARS = (
    "open", "high", "low", "close", "bid_volume",
    "ask_open", "ask_high", "ask_low", "ask_close", "ask_volume",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file's lines are built. ``template`` of the time, None for epoch milliseconds;
    ``names`` of the columns after it; ``shift_s`` from the file's time to UTC."""

    separator: bytes
    template: str | None
    names: tuple[str, ...]
    shift_s: int
    skip: int

    @property
    def ticks(self) -> bool:
        return "bid" in self.names and "ask" in self.names


def read_bytes(path: Path) -> bytes:
    """The content of a file, of a gzipped one, or of the one CSV in a zip."""
    try:
        if path.suffix == ".gz":
            return gzip.decompress(path.read_bytes())
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                return archive.read(_member(archive, path))
        return path.read_bytes()
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise MarketError(f"cannot be read: {error}", file=path, do=_AGAIN) from error


def member_name(path: Path) -> str:
    """Name of the CSV in a zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _member(archive, path)
    except (OSError, zipfile.BadZipFile) as error:
        raise MarketError(f"cannot be read: {error}", file=path, do=_AGAIN) from error


def _member(archive: zipfile.ZipFile, path: Path) -> str:
    names = [name for name in archive.namelist() if name.lower().endswith((".csv", ".txt"))]
    names = [name for name in names if name.lower().endswith(".csv")] or names
    if len(names) != 1:
        raise MarketError(
            f"holds {len(names)} CSV files", file=path, do="Unpack it and give the folder"
        )
    return names[0]


def numbers(text: bytes, columns: int, separator: bytes) -> Floats | None:
    """A table of numbers only, or None when any cell is no number or one is missing."""
    flat = text.replace(b"\r", b"").strip()
    rows = flat.count(b"\n") + 1 if flat else 0
    if not rows:
        return np.empty((0, columns))
    joined = (
        flat.replace(b"\n", b",")
        if separator == b","
        else (flat.replace(separator, b",").replace(b"\n", b","))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            values = np.fromstring(joined, sep=",")
        except (DeprecationWarning, ValueError):
            return None
    if values.size != rows * columns or joined.count(b",") != rows * columns - 1:
        return None
    return values.reshape(rows, columns)


def bad_line(lines: list[bytes], columns: int, separator: bytes) -> tuple[int, str] | None:
    """Index of the first line that is not so many numbers, and what is wrong with it."""
    for index, line in enumerate(lines):
        cells = line.strip().split(separator)
        if len(cells) != columns:
            return index, f"{len(cells)} columns where {columns} are expected"
        for cell in cells:
            try:
                float(cell)
            except ValueError:
                return index, f"{cell.decode('latin-1')!r} is no number"
    return None


def sniff(path: Path, head: bytes) -> Layout | None:
    """The layout of a file by its first lines, None when it is no quote file."""
    lines = head.lstrip(b"\xef\xbb\xbf").splitlines()
    if not lines:
        return None
    header = not lines[0][:1].isdigit()
    if header and len(lines) < 2:
        return None
    first = lines[1] if header else lines[0]
    template = fitting(first, _SEPARATORS)
    width = len(template) if template else 13
    if template is None and not re.match(rb"\d{13}[,;\t]", first):
        return None
    separator = first[width : width + 1]
    count = first[width + 1 :].strip().count(separator) + 1
    shift = 0
    if header:
        names = _header_names(lines[0], separator, count)
    elif template in ("YYYYMMDD hhmmss", "YYYYMMDD hhmmssfff"):
        # HistData: New York's winter time all year.
        shift = _EST_S
        ticks = template.endswith("fff")
        names = ("bid", "ask", "volume")[:count] if ticks else (*_BARS, "volume")[:count]
    elif template == "YYYYMMDD hh:mm" and count == len(_LEAN_BARS):
        names = _LEAN_BARS
    else:
        names = (*_BARS, "tick_volume", "real_volume", "spread")[:count]
    if names is None or len(names) != count:
        return None
    layout = Layout(separator, template, names, shift, 1 if header else 0)
    return layout if layout.ticks or set(_BARS) <= set(names) else None


def _header_names(line: bytes, separator: bytes, count: int) -> tuple[str, ...] | None:
    cells = [
        cell.strip().strip('<>"').lower()
        for cell in line.decode("latin-1").split(separator.decode())
    ]
    names = cells[len(cells) - count :]
    known = [_NAMES.get(name, name) for name in names]
    if "tick_volume" not in known and "volume" in known and "open" in known:
        known[known.index("volume")] = "tick_volume"
    return tuple(known)


class Table:
    """One quote file with a layout. Small files are held in memory, large plain ones are read
    where a stretch of time is in them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            large = path.suffix not in (".gz", ".zip") and path.stat().st_size > 32 * _BLOCK
            stream: BinaryIO = path.open("rb") if large else io.BytesIO(read_bytes(path))
        except OSError as error:
            raise MarketError(f"cannot be read: {error}", file=path, do=_AGAIN) from error
        self.large = large
        self._stream = stream
        self._size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        head = stream.read(4096)
        layout = sniff(path, head)
        if layout is None:
            raise MarketError("is no quote file of a known layout", file=path)
        self.layout = layout
        self.decimals = _decimals(head, layout)
        self._whole: tuple[Ints, Floats] | None = None
        self._offsets, self._firsts = self._index()
        if not self._offsets:
            raise MarketError("holds no quotes", file=path, do=_AGAIN)
        self.first_ms = self._firsts[0]
        self.last_ms = int(self.rows(self._firsts[-1], None)[0][-1])

    def _index(self) -> tuple[list[int], list[int]]:
        """Offset and time of the first line of each block."""
        self._stream.seek(0)
        for _ in range(self.layout.skip):
            self._stream.readline()
        begin = self._stream.tell()
        offsets, firsts = [], []
        for block in range(begin, self._size, _BLOCK):
            self._stream.seek(block)
            if block > begin:
                self._stream.readline()
            offset = self._stream.tell()
            line = self._stream.readline().strip()
            if line:
                offsets.append(offset)
                firsts.append(int(self._times([line], offset)[0]))
        return offsets, firsts

    def rows(self, from_ms: int, to_ms: int | None) -> tuple[Ints, Mapping[str, Floats]]:
        """Rows with ``from_ms <= time < to_ms`` (UTC): times and columns by name."""
        times, values = self._near(from_ms, to_ms)
        first = int(np.searchsorted(times, from_ms))
        last = times.size if to_ms is None else int(np.searchsorted(times, to_ms))
        return times[first:last], {
            name: values[first:last, at] for at, name in enumerate(self.layout.names)
        }

    def _near(self, from_ms: int, to_ms: int | None) -> tuple[Ints, Floats]:
        """Rows of the blocks in which this stretch is; a small file whole."""
        if self._whole is not None:
            return self._whole
        low, high = 0, len(self._offsets)
        if self.large:
            low = max(0, int(np.searchsorted(self._firsts, from_ms)) - 1)
            if to_ms is not None:
                high = int(np.searchsorted(self._firsts, to_ms))
            if high <= low:
                return np.empty(0, dtype=np.int64), np.empty((0, len(self.layout.names)))
        end = self._offsets[high] if high < len(self._offsets) else self._size
        begin = self._offsets[low]
        self._stream.seek(begin)
        parsed = self._parse(self._stream.read(end - begin), begin)
        if not self.large:
            self._whole = parsed
        return parsed

    def _parse(self, raw: bytes, offset: int) -> tuple[Ints, Floats]:
        layout = self.layout
        lines = raw.replace(b"\r", b"").rstrip(b"\n").split(b"\n")
        width = len(layout.template) if layout.template else 13
        times = self._times(lines, offset)
        rest = [line[width + 1 :] for line in lines]
        if layout.ticks and layout.separator == b"\t":
            rest = _filled(rest, layout)
        columns = len(layout.names)
        values = numbers(b"\n".join(rest), columns, layout.separator)
        if values is None:
            found = bad_line(rest, columns, layout.separator)
            index, problem = found or (0, "is not as wide as the first line")
            raise self._broken(offset, index, problem)
        order = np.flatnonzero(np.diff(times) < 0)
        if order.size:
            raise self._broken(offset, int(order[0]) + 1, "is earlier than the line before it")
        prices = [at for at, name in enumerate(layout.names) if _is_price(name)]
        wrong = ~(np.isfinite(values[:, prices]) & (values[:, prices] > 0)).all(axis=1)
        if wrong.any():
            raise self._broken(offset, int(np.argmax(wrong)), "has a price that is not positive")
        return times, values

    def _times(self, lines: list[bytes], offset: int) -> Ints:
        layout = self.layout
        if layout.template is None:
            values = numbers(b"\n".join(line[:13] for line in lines), 1, b",")
            times = None if values is None else values[:, 0].astype(np.int64)
            bad = 0 if times is None else None
        else:
            width = len(layout.template)
            times, bad = decode([line[:width] for line in lines], layout.template)
        if times is None or bad is not None:
            shown = lines[bad or 0][:24].decode("latin-1")
            raise self._broken(offset, bad or 0, f"{shown!r} does not begin with a time")
        return times + layout.shift_s * 1000

    def _broken(self, offset: int, index: int, problem: str) -> MarketError:
        self._stream.seek(0)
        before = 0
        left = offset
        while left > 0:
            piece = self._stream.read(min(left, _BLOCK))
            if not piece:
                break
            before += piece.count(b"\n")
            left -= len(piece)
        do = "Correct or remove the line, or export the file again"
        return MarketError(problem, file=self.path, line=before + index + 1, do=do)


def _is_price(name: str) -> bool:
    return name in ("bid", "ask") or name.split("_")[-1] in _BARS


def _filled(rest: list[bytes], layout: Layout) -> list[bytes]:
    """MT5 tick exports leave unchanged cells empty: repeat what was there before."""
    empty = [b"0"] * len(layout.names)
    last = list(empty)
    out = []
    for line in rest:
        cells = line.split(b"\t")
        cells += [b""] * (len(last) - len(cells))
        last = [cell or before for cell, before in zip(cells, last, strict=False)]
        out.append(b"\t".join(last))
    return out


def _decimals(head: bytes, layout: Layout) -> int:
    """Decimals of the prices in the first lines; 0 for whole (scaled) prices."""
    most = 0
    width = len(layout.template) if layout.template else 13
    for line in head.splitlines()[layout.skip : -1]:
        cells = line[width + 1 :].split(layout.separator)
        for cell, name in zip(cells, layout.names, strict=False):
            if _is_price(name) and b"." in cell and len(cell) < 12:
                decimals = (
                    cell.strip().split(b".")[1].rstrip(b"0")
                    if cell.endswith(b".0")
                    else (cell.strip().split(b".")[1])
                )
                most = max(most, len(decimals))
    return most
