"""What all screens share: redraws, the sheet with scrolling lines, the dialog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Input

from ..panels.base import LineView, Styled
from ..panels.header import mode_badge
from ..panels.status import message_line
from ..panels.theme import STYLE_CLASSES
from ..render import format as f
from ..render.lines import Line, clip, fit_line, line_width
from ..render.pieces import key_hints
from ..session.view import View
from .dash import Dash


class FeedScreen(Screen[Any]):
    """A screen that draws a feed; the app calls ``refresh_view`` on each redraw while it is in
    front."""

    COMPONENT_CLASSES: ClassVar[set[str]] = STYLE_CLASSES

    @property
    def dash(self) -> Dash:
        """The app."""
        return cast(Dash, self.app)

    def refresh_view(self, view: View) -> None:
        """Draw the feed as it is now."""
        raise NotImplementedError


class SheetView(LineView, can_focus=True):
    """Scrolling lines in a frame."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("pagedown,ctrl+d,space", "scroll_page(1)", show=False),
        Binding("pageup,ctrl+u", "scroll_page(-1)", show=False),
        Binding("g,home", "scroll(-100000)", show=False),
        Binding("G,end", "scroll(100000)", show=False),
    ]

    def __init__(self, sheet: Sheet) -> None:
        super().__init__()
        self.sheet = sheet
        self.top = 0

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        inner, page = cells - 4, rows - 3
        content = list(self.sheet.content(view, inner, page))
        self.top = min(max(0, self.top), max(0, len(content) - page))
        shown = content[self.top : self.top + page]
        shown += [[]] * (page - len(shown))
        title = [(f" {self.sheet.heading} ", "title")]
        # Mode and freshness are on every sheet: its values may be old, or real money.
        badge = view.session.terminal_badge()
        age = "" if badge.age is None else f" {f.age(badge.age)}"
        fresh = f" {badge.sign} {badge.word}{age} ", badge.grade
        if view.session.source.link.state == "replay":
            fresh = f" REPLAY {f.stamp(view.session.clock.wall())} ", "warn"
        marks: Line = [(" ", ""), *mode_badge(view), fresh]
        room = cells - 4 - line_width(title) - line_width(marks)
        if room < 0:
            title = [(clip(title[0][0], max(0, cells - 4 - line_width(marks))), "title")]
            room = max(0, cells - 4 - line_width(title) - line_width(marks))
        out: list[Styled] = [
            ([("╭─", "frame-on"), *title, ("─" * room, "frame-on"), *marks, ("─╮", "frame-on")], "")
        ]
        size = at = 0
        if len(content) > page > 0:
            size = max(1, page * page // len(content))
            at = round(self.top / (len(content) - page) * (page - size))
        for y, line in enumerate(shown):
            right = "┃" if size and at <= y < at + size else "│"
            framed = [("│ ", "frame-on"), *fit_line(line, inner), (" ", ""), (right, "frame-on")]
            out.append((framed, ""))
        out.append(([("╰" + "─" * (cells - 2) + "╯", "frame-on")], ""))
        keys = message_line(view, cells) or self._keys(cells, len(content) > page)
        out.append((keys, ""))
        return out

    def _keys(self, cells: int, scrolls: bool) -> Line:
        keys = [*self.sheet.keys, *([("j k", "scroll")] if scrolls else []), ("esc", "back")]
        line: Line = [(" ", "")]
        for key, name in keys:
            line += [(f"{key} ", "key"), (f"{name}  ", "dim")]
        return fit_line(line, cells)

    def action_scroll(self, steps: int) -> None:
        self.top += steps
        self.paint()

    def action_scroll_page(self, pages: int) -> None:
        self.action_scroll(pages * max(1, self.size.height - 4))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.action_scroll(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.action_scroll(-3)


class Sheet(FeedScreen):
    """Lines over the whole window. Escape goes back.

    Attributes:
        heading: Title in the frame.
        keys: Keys of this sheet and what they do, for its last line.
    """

    heading = ""
    keys: Sequence[tuple[str, str]] = ()
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", show=False),
        Binding("ctrl+c,ctrl+q", "app.leave", show=False, priority=True),
    ]

    def compose(self) -> ComposeResult:
        yield SheetView(self)

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        """All lines of the sheet in this width; ``rows`` of them are in sight at once."""
        raise NotImplementedError

    def refresh_view(self, view: View) -> None:
        self.query_one(SheetView).draw(view)

    def on_mount(self) -> None:
        self.refresh_view(self.dash.view())

    def action_back(self) -> None:
        self.dismiss()


class DialogView(LineView):
    """A block of lines in a dialog, as high as their number."""

    def __init__(self, content: Callable[[View, int], Sequence[Line]]) -> None:
        super().__init__()
        self._content = content

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        return [(fit_line(line, cells), "") for line in self._content(view, cells)]

    def show(self, view: View, cells: int) -> None:
        """Draw the lines in as many rows as they need."""
        self.styles.height = len(self._content(view, cells))
        self.draw(view)


FRAME = 6
"""Cells that the frame of a dialog and its padding take from its width."""


class Dialog(FeedScreen, ModalScreen[Any]):
    """A box in the middle of the screen: lines, fields, and the keys.

    Attributes:
        heading: Title in the frame.
        dangerous: Whether the frame has the colour of a warning.
        fields_first: Whether the fields are above the lines.
        WIDTH: Most cells of the box.
    """

    heading = ""
    dangerous = False
    fields_first = False
    WIDTH: ClassVar[int] = 84
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            if self.fields_first:
                yield from self.fields()
            yield DialogView(self.content)
            if not self.fields_first:
                yield from self.fields()
            yield DialogView(self.hints)
        box.border_title = self.heading
        box.set_class(self.dangerous, "-danger")
        box.set_class(self.dash.ascii_only, "-ascii")

    def fields(self) -> ComposeResult:
        """The fields, between the lines and the keys."""
        yield from ()

    def content(self, view: View, cells: int) -> Sequence[Line]:
        """The lines of the dialog, ``cells`` wide."""
        raise NotImplementedError

    def hints(self, view: View, cells: int) -> Sequence[Line]:
        """The keys that close it."""
        return [key_hints(("esc", "back"))]

    def refresh_view(self, view: View) -> None:
        cells = min(self.WIDTH, self.app.size.width * 96 // 100) - FRAME
        for part in self.query(DialogView):
            part.show(view, max(4, cells))

    def on_mount(self) -> None:
        for box in self.query(Input):
            box.cursor_blink = not self.dash.calm
        self.refresh_view(self.dash.view())
