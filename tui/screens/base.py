"""Screens that draw a feed: what all of them share, and the sheet with scrolling lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen

from .. import format as f
from .. import freshness
from ..lines import Line, clip, fit_line, line_width
from ..panels.base import LineView, Styled
from ..panels.header import mode_badge
from ..theme import STYLE_CLASSES
from ..view import View

if TYPE_CHECKING:
    from ..app import DashApp


class Looking(Screen[Any]):
    """A screen that the app shows the feed to, a few times a second while it is in front."""

    COMPONENT_CLASSES: ClassVar[set[str]] = STYLE_CLASSES

    @property
    def dash(self) -> DashApp:
        return cast("DashApp", self.app)

    def look(self, view: View) -> None:
        """Draw what the feed says now."""
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
        self._total = 0

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        inner, page = cells - 4, rows - 3
        content = list(self.sheet.content(view, inner, page))
        self._total = len(content)
        self.top = min(max(0, self.top), max(0, len(content) - page))
        shown = content[self.top : self.top + page]
        shown += [[]] * (page - len(shown))
        title = [(f" {self.sheet.heading} ", "title")]
        # Mode and freshness stand on every page: what is read here may be old, or real money.
        badge = freshness.terminal(view.session)
        age = "" if badge.age is None else f" {f.age(badge.age)}"
        marks: Line = [
            (" ", ""),
            *mode_badge(view),
            (f" {badge.sign} {badge.word}{age} ", badge.grade),
        ]
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
            out.append(
                (
                    [
                        ("│ ", "frame-on"),
                        *fit_line(line, inner),
                        (" ", ""),
                        (right, "frame-on"),
                    ],
                    "",
                )
            )
        out.append(([("╰" + "─" * (cells - 2) + "╯", "frame-on")], ""))
        out.append((self._keys(cells, len(content) > page), ""))
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


class Sheet(Looking):
    """A full-screen page of lines. Escape goes back."""

    heading = ""
    keys: Sequence[tuple[str, str]] = ()
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", show=False),
        Binding("ctrl+c,ctrl+q", "app.leave", show=False, priority=True),
    ]

    def compose(self) -> ComposeResult:
        yield SheetView(self)

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        """All lines of the page in this width; ``rows`` of them are seen at once."""
        raise NotImplementedError

    def look(self, view: View) -> None:
        self.query_one(SheetView).draw(view)

    def on_mount(self) -> None:
        self.look(self.dash.view())

    def action_back(self) -> None:
        self.dismiss()


class DialogView(LineView):
    """The lines of a question in a frame."""

    def __init__(self, dialog: Dialog) -> None:
        super().__init__()
        self.dialog = dialog

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        frame = "crit" if self.dialog.dangerous else "frame-on"
        inner = cells - 6
        out: list[Styled] = []
        title = [(f" {self.dialog.heading} ", "title")]
        room = max(0, cells - 4 - line_width(title))
        out.append(([("╭─", frame), *title, ("─" * room, frame), ("─╮", frame)], ""))
        out.extend(
            ([("│  ", frame), *fit_line(line, inner), ("  │", frame)], "")
            for line in ([], *self.dialog.content(view, inner), [])
        )
        out.append(([("╰" + "─" * (cells - 2) + "╯", frame)], ""))
        return out


class Dialog(Looking, ModalScreen[Any]):
    """A question in the middle of the screen."""

    heading = ""
    dangerous = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    def compose(self) -> ComposeResult:
        yield DialogView(self)

    def content(self, view: View, cells: int) -> Sequence[Line]:
        raise NotImplementedError

    def look(self, view: View) -> None:
        box = self.query_one(DialogView)
        cells = min(72, max(20, self.app.size.width * 96 // 100))
        box.styles.height = len(self.content(view, cells - 6)) + 4
        box.draw(view)

    def on_mount(self) -> None:
        self.look(self.dash.view())
