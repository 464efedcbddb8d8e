"""A framed panel that paints lines, and refreshes only the lines that changed."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from ..board import PanelSpec
from ..render.lines import Line, clip, fit_line, line_width, width
from ..session.view import View
from .theme import Painted

Styled = tuple[Line, str]
"""A line and the style laid over all of it (cursor, closed, stale)."""


class LineView(Painted):
    """A widget made of lines. Subclasses make the lines; this class paints those that changed."""

    view: View | None = None

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Styled] = []
        self._strips: list[Strip | None] = []

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        """The whole content: ``rows`` lines of ``cells`` cells."""
        raise NotImplementedError

    def draw(self, view: View) -> None:
        """Draw from a new view of the feed."""
        self.view = view
        self.paint()

    def paint(self) -> None:
        """Make all lines, and refresh those that differ from the ones on the screen."""
        cells, rows = self.size
        if self.view is None or not cells or not rows:
            return
        fresh = list(self.lines(self.view, cells, rows))[:rows]
        fresh += [([], "")] * (rows - len(fresh))
        if len(fresh) != len(self._lines):
            self._lines = fresh
            self._strips = [None] * len(fresh)
            self.refresh()
            return
        dirty = []
        for y, line in enumerate(fresh):
            if line != self._lines[y]:
                self._lines[y] = line
                self._strips[y] = None
                dirty.append(Region(0, y, cells, 1))
        if dirty:
            self.refresh(*dirty)

    def render_line(self, y: int) -> Strip:
        cells = self.size.width
        if y >= len(self._lines):
            return self.ink.strip([], cells)
        strip = self._strips[y]
        if strip is None or strip.cell_length != cells:
            line, base = self._lines[y]
            strip = self._strips[y] = self.ink.strip(line, cells, base)
        return strip

    def forget_ink(self) -> None:
        super().forget_ink()
        # Textual also calls this before __init__ of the subclass has run.
        if "_strips" in self.__dict__:
            self._strips = [None] * len(self._lines)

    def on_resize(self, event: events.Resize) -> None:
        self._lines = []
        self.paint()


class Panel(LineView, can_focus=True):
    """A framed panel with a number, a title, marks at the right of its frame, and a body."""

    class Opened(Message):
        """Enter or a double click on a row."""

        def __init__(self, panel: Panel) -> None:
            super().__init__()
            self.panel = panel

        @property
        def control(self) -> Panel:
            return self.panel

    class TitlePressed(Message):
        """A double click on the frame's upper edge."""

    class TabChosen(Message):
        """A click on the title of a panel that shares this one's place."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, spec: PanelSpec) -> None:
        super().__init__(id=spec.name)
        self.spec = spec
        self.tabs: tuple[Panel, ...] = ()
        """The panels that share one place on a small screen, this one among them."""

    def count(self) -> str:
        """The text in brackets after the title."""
        return ""

    def marks(self) -> Line:
        """The marks at the right end of the upper edge."""
        return []

    def body(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        """The lines within the frame."""
        raise NotImplementedError

    def thumb(self, rows: int) -> tuple[int, int] | None:
        """First line and length of the scroll mark within ``rows`` lines, if it scrolls."""
        return None

    # -- frame -----------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """Its number on the board, from 1."""
        return self.spec.number

    @property
    def heading(self) -> str:
        count = self.count()
        return self.spec.label + (f" ({count})" if count else "")

    @property
    def tab_label(self) -> str:
        count = self.count()
        return self.spec.label + (f" {count}" if count else "")

    def _title(self) -> Line:
        style = "title" if self.has_focus else "dim"
        if len(self.tabs) < 2:
            return [(f" {self.heading} ", style)]
        line: Line = [(" ", style)]
        for i, panel in enumerate(self.tabs):
            if i:
                line.append((" │ ", "frame"))
            on = panel is self
            line.append((f"[{panel.tab_label}]" if on else panel.tab_label, style if on else "dim"))
        line.append((" ", style))
        return line

    def tab_at(self, x: int) -> int | None:
        """The number of the panel whose title is at cell ``x`` of the frame."""
        at = 3
        for i, panel in enumerate(self.tabs):
            at += 3 if i else 0
            cells = width(panel.tab_label) + (2 if panel is self else 0)
            if at <= x < at + cells:
                return panel.number
            at += cells
        return None

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        frame = "frame-on" if self.has_focus else "frame"
        inner = cells - 2
        if inner < 4 or rows < 3:
            return [([], "")] * rows
        body = list(self.body(view, inner, rows - 2))[: rows - 2]
        body += [([], "")] * (rows - 2 - len(body))
        title, marks = self._title(), self.marks()
        if marks:
            marks = [(" ", ""), *marks, (" ", "")]
        room = inner - 2 - line_width(title)
        if line_width(marks) > room:
            marks = []
        if room < 0:
            title, room = [(clip(f" {self.heading} ", inner - 2), "title")], 0
            room = inner - 2 - line_width(title)
        line: Line = [("╭─", frame), *title]
        line += [("─" * (room - line_width(marks)), frame), *marks, ("─╮", frame)]
        out: list[Styled] = [(line, "")]
        thumb = self.thumb(rows - 2)
        for y, (content, base) in enumerate(body):
            right = "│"
            if thumb and thumb[0] <= y < thumb[0] + thumb[1]:
                right = "┃"
            # The frame keeps its own colour: the style laid over a row is added to each of its pieces.
            inner_line = fit_line(content, inner)
            if base:
                inner_line = [(text, f"{style} {base}".strip()) for text, style in inner_line]
            out.append(([("│", frame), *inner_line, (right, frame)], ""))
        out.append(([("╰" + "─" * inner + "╯", frame)], ""))
        return out

    # -- focus and mouse -------------------------------------------------------------------

    def on_focus(self) -> None:
        self.paint()

    def on_blur(self) -> None:
        self.paint()
