"""The event log: one line per event, repeats folded into a count, followed or held."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

from ..board import PanelSpec
from ..render import describe
from ..render import format as f
from ..render.lines import Line, Part
from ..session.session import LogLine
from ..session.view import View, word
from .columns import Column
from .table import TablePanel


def _time_cell(line: LogLine, view: View, cells: int) -> Line:
    return [(f.clock(line.event.get("timestamp")), "faint")]


def _tag_cell(line: LogLine, view: View, cells: int) -> Line:
    return [(word(describe.tag(line.event), 6), describe.style(line.event))]


def _text_cell(line: LogLine, view: View, cells: int) -> Line:
    text = word(line.text(view.mask), 400)
    style = describe.LEVEL_STYLE[line.level]
    if describe.event_type(line.event) == "POSITION_CLOSED":
        style = describe.style(line.event)
    if line.count > 1:
        return [(text, style), (f"  (x{line.count})", "dim")]
    return [(text, style)]


class EventsPanel(TablePanel[LogLine]):
    """The log events, the newest last."""

    FOLLOWS = True
    HEADING = False
    COLUMNS: ClassVar[tuple[Column[Any], ...]] = (
        Column("time", "Time UTC", _time_cell, 1),
        Column("tag", "Kind", _tag_cell, 0, least=6),
        Column(
            "text",
            "What",
            _text_cell,
            0,
            least=20,
            most=10**6,
            value=lambda line, v: line.level,
            name="Level",
        ),
    )

    def __init__(self, spec: PanelSpec) -> None:
        super().__init__(spec)
        self.least: describe.Level = describe.INFO
        self._wanted: object = None

    def next_level(self) -> str:
        """Raise the least level that is shown; after the last one, show everything."""
        self.least = describe.Level((self.least + 1) % len(describe.LEVELS))
        self.recollect()
        return describe.LEVELS[self.least]

    def fetch(self, view: View) -> Sequence[LogLine]:
        return [line for line in view.session.lines if line.level >= self.least]

    def version(self, view: View) -> object:
        return view.session.changed, view.mask

    def row_text(self, row: LogLine, view: View) -> str:
        return f"{describe.tag(row.event)} {describe.event_type(row.event)} {row.text(view.mask)}"

    def key(self, row: LogLine) -> Hashable:
        return row.number

    def empty(self, view: View) -> str:
        return f"no event of level {describe.LEVELS[self.least]} yet"

    def count(self) -> str:
        """The number of events, folded ones counted one by one."""
        if self.view is None:
            return ""
        session = self.view.session
        if self.filter_text or self.least > describe.INFO:
            shown = sum(line.count for line in self.rows)
            return f"{shown:,} of {session.notable:,}"
        return f"{session.notable if self.least == describe.INFO else session.received:,}"

    def marks(self) -> Line:
        line: Line = []
        if self.least != describe.INFO:
            line.append((f"level {describe.LEVELS[self.least]}  ", "key"))
        if self.view is not None and self.view.session.missed:
            line.append((f"{self.view.session.missed} not shown  ", "crit"))
        return line + super().marks()

    def foot(self, view: View) -> Sequence[Part]:
        if self.follow or not self.rows:
            return ()
        below = len(self.rows) - self.top - self._page
        if below <= 0:
            return ()
        return (Part(([(f"▼ {below} newer below", "warn"), ("  f follows again", "dim")],), 0),)
