"""Columns of a table: which of them fit, how wide each is, and the lines they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..render.lines import Line, fit_line, line_width
from ..session.view import View

R = TypeVar("R")

EXTRA = 4


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column.

    Attributes:
        key: Its name in filters, sort order and memory.
        title: Its heading.
        cell: The row's cell in a given width.
        rank: The column of the highest rank is left out first when room is short.
        align: l or r.
        least, most: Bounds of the width of a column that takes the room there is; a column
            without ``most`` is as wide as its content.
        want: The width at which such a column reads well: columns of rank 4 and up are shown
            only when it has that.
        value: The number or text that it sorts and filters by.
        falling: Whether the first sort has the greatest value first.
        name: Its name in the column dialog, where its heading is not clear enough.
    """

    key: str
    title: str
    cell: Callable[[R, View, int], Line]
    rank: int = 5
    align: str = "l"
    least: int = 0
    most: int | None = None
    want: int = 0
    value: Callable[[R, View], Any] | None = None
    falling: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class PlacedColumn(Generic[R]):
    """A column with its first cell and its width."""

    column: Column[R]
    x: int
    width: int


def place(
    columns: Sequence[Column[R]], natural: dict[str, int], room: int
) -> list[PlacedColumn[R]]:
    """The columns that fit in ``room`` cells, in their order, with a gap of 1 to 3 cells."""

    def need(column: Column[R]) -> int:
        if column.most is not None:
            return column.least
        return max(column.least, natural.get(column.key, 0), len(column.title))

    chosen: list[Column[R]] = []
    used = 0
    for column in sorted(columns, key=lambda c: c.rank):
        more = need(column) + (1 if chosen else 0)
        spare = sum(max(0, c.want - c.least) for c in chosen) if column.rank >= EXTRA else 0
        if used + more + spare > room and chosen:
            break
        chosen.append(column)
        used += more
    chosen.sort(key=columns.index)
    widths = {c.key: need(c) for c in chosen}
    left = room - used
    gap = 1
    # Stretching columns (a bar, a reason) take what they can use, then the gaps widen.
    for column in chosen:
        if column.most is not None and left > 0:
            more = min(left, column.most - widths[column.key])
            widths[column.key] += more
            left -= more
    while gap < 3 and left >= len(chosen) - 1 > 0:
        gap += 1
        left -= len(chosen) - 1
    placed: list[PlacedColumn[R]] = []
    x = 0
    for column in chosen:
        placed.append(PlacedColumn(column, x, widths[column.key]))
        x += widths[column.key] + gap
    return placed


Cells = dict[str, tuple[Line, int]]
"""The cells of one row by column, each with its width; without those that depend on a width."""


def measure(
    columns: Sequence[Column[R]], rows: Sequence[R], view: View, natural: dict[str, int]
) -> list[Cells]:
    """Make the cells of each row, and let ``natural`` grow to the widest of each column.

    It never shrinks here: columns that move while numbers change cannot be read.
    """
    fixed = [(c.key, c.cell) for c in columns if c.most is None]
    made: list[Cells] = []
    for row in rows:
        cells: Cells = {}
        for key, cell in fixed:
            line = cell(row, view, 0)
            cells[key] = line, line_width(line)
        made.append(cells)
    for key, _ in fixed:
        widest = max((cells[key][1] for cells in made), default=0)
        natural[key] = max(widest, natural.get(key, 0))
    return made


def heading(placed: Sequence[PlacedColumn[R]], sort: str | None, falling: bool) -> Line:
    """The line of titles; the sorted column carries its arrow."""
    line: Line = []
    x = 0
    for p in placed:
        title = p.column.title
        style = "head"
        if p.column.key == sort:
            style = "head mark"
            if len(title) < p.width:
                title = f"{title}{'↓' if falling else '↑'}"
        if p.x > x:
            line.append((" " * (p.x - x), ""))
        line.extend(fit_line([(title, style)], p.width, p.column.align))
        x = p.x + p.width
    return line


def row_line(placed: Sequence[PlacedColumn[R]], row: R, view: View, cells: Cells) -> Line:
    """The cells of one row, each in its place."""
    line: Line = []
    x = 0
    for p in placed:
        column, width = p.column, p.width
        known = cells.get(column.key)
        if known is None:
            cell = column.cell(row, view, width)
            used = line_width(cell)
        else:
            cell, used = known
        pad = p.x - x
        if used > width:
            cell, used = fit_line(cell, width), width
        elif used < width and column.align == "r":
            pad += width - used
            used = width
        if pad:
            line.append((" " * pad, ""))
        line.extend(cell)
        x = p.x + used
    return line
