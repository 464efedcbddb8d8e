"""Curves and candles drawn with block characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from . import format as f
from .format import BLOCKS, resample
from .lines import Line


def area(values: Sequence[float], width: int, height: int) -> list[str]:
    """The values as a filled curve of ``height`` lines, an eighth of a line fine.

    Fewer values than cells are spread over the whole width. The lowest value keeps one eighth,
    so that a flat curve is a line and not nothing.
    """
    if not values or width <= 0 or height <= 0:
        return []
    points = resample(values, width)
    if len(points) < width:
        points = [points[i * len(points) // width] for i in range(width)]
    low, high = min(points), max(points)
    span = high - low
    steps = height * 8
    levels = [1 + round((v - low) / span * (steps - 1)) if span else 1 for v in points]
    lines = []
    for row in range(height - 1, -1, -1):
        line = ""
        for level in levels:
            part = level - row * 8
            line += " " if part <= 0 else BLOCKS[7] if part >= 8 else BLOCKS[part - 1]
        lines.append(line)
    return lines


class Candle(NamedTuple):
    """One bar. ``time`` is its opening, epoch seconds of the market's clock; prices are known."""

    time: float
    open: float
    high: float
    low: float
    close: float


@dataclass(frozen=True, slots=True)
class PriceLevel:
    """A price that is drawn as a line across the candles."""

    label: str
    price: float
    style: str


_HALVES = {
    (0, 0): " ", (1, 1): "│", (2, 2): "█", (0, 1): "╷", (1, 0): "╵",
    (2, 0): "▀", (0, 2): "▄", (2, 1): "▀", (1, 2): "▄",
}  # fmt: skip
"""The sign of a cell by its upper and lower half: empty, wick, body."""


def candles(
    bars: Sequence[Candle],
    width: int,
    height: int,
    *,
    digits: int | None = None,
    levels: Sequence[PriceLevel] = (),
) -> list[Line]:
    """The newest bars as candles, one cell wide, half a line fine, prices at the right.

    Args:
        bars: Oldest first.
        width: Cells, the price scale included.
        height: Lines.
        digits: Of the prices.
        levels: Lines across; those far outside the bars (over half their span) are not drawn,
            so that the candles stay readable.
    """
    if not bars:
        return []
    room = width - len(f.price(bars[-1].high, digits)) - 6
    if room < 4 or height < 3:
        return []
    bars = bars[-room:]
    low, high = min(bar.low for bar in bars), max(bar.high for bar in bars)
    reach = (high - low) / 2 or abs(high) * 1e-4 or 1.0
    drawn = [v for v in levels if low - reach <= v.price <= high + reach]
    low = min([low, *(v.price for v in drawn)])
    high = max([high, *(v.price for v in drawn)])
    span = high - low or 1.0
    halves = height * 2

    def half(price: float) -> int:
        """Half lines from the top."""
        return min(halves - 1, max(0, round((high - price) / span * (halves - 1))))

    grid: list[list[tuple[str, str]]] = []
    columns = []
    for bar in bars:
        cells = [0] * halves
        for h in range(half(bar.high), half(bar.low) + 1):
            cells[h] = 1
        for h in range(half(max(bar.open, bar.close)), half(min(bar.open, bar.close)) + 1):
            cells[h] = 2
        columns.append((cells, "up" if bar.close >= bar.open else "down"))
    at_row = {half(v.price) // 2: v for v in drawn}
    last = bars[-1].close
    for row in range(height):
        level = at_row.get(row)
        line = []
        for cells, style in columns:
            sign = _HALVES[cells[row * 2], cells[row * 2 + 1]]
            line.append((sign, style) if sign != " " or not level else ("╌", level.style))
        line.extend([("╌" if level else " ", level.style if level else "")] * (room - len(columns)))
        grid.append(line)
    out: list[Line] = []
    for row, cells_ in enumerate(grid):
        line = _joined(cells_)
        level = at_row.get(row)
        if level:
            line.append((f" {f.price(level.price, digits)} {level.label}", level.style))
        elif row == half(last) // 2:
            line.append((f" {f.price(last, digits)} ◀", "bold"))
        elif row in (0, height - 1):
            line.append((f" {f.price(high if row == 0 else low, digits)}", "faint"))
        out.append(line)
    return out


def _joined(cells: Sequence[tuple[str, str]]) -> Line:
    """Neighbours of one style in one piece."""
    line: Line = []
    for sign, style in cells:
        if line and line[-1][1] == style:
            line[-1] = (line[-1][0] + sign, style)
        else:
            line.append((sign, style))
    return line
