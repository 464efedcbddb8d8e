"""A panel with rows: cursor, scrolling, sorting, filtering, choice of columns, export."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from textual import events

from ..board import PanelSpec
from ..render.filtering import Filter
from ..render.lines import Line, Part, clip, pack, plain
from ..session.view import View
from .base import Panel, Styled
from .columns import Column, PlacedColumn, heading, measure, place, row_line

R = TypeVar("R")

HOLD_S = 2.0
"""Rows keep their order for this long after the last key or click in their panel."""


class TablePanel(Panel, Generic[R]):
    """Rows of one kind under a heading, with foot lines below and a chart in the free room."""

    COLUMNS: ClassVar[tuple[Column[Any], ...]] = ()
    SORT: ClassVar[tuple[str, bool] | None] = None
    """Column and direction (True: greatest first) of the first sort; ``None``: as they come."""
    FOLLOWS: ClassVar[bool] = False
    """Newest rows are at the end, and the panel stays there unless it is scrolled away."""
    HEADING: ClassVar[bool] = True

    def __init__(self, spec: PanelSpec) -> None:
        super().__init__(spec)
        self.rows: list[R] = []
        self.total = 0
        self.filter_text = ""
        self._filter = Filter()
        self.sort = self.SORT
        self.hidden: set[str] = set()
        self.order: list[str] = [c.key for c in self.COLUMNS]
        self.cursor: Hashable | None = None
        self.top = 0
        self.follow = self.FOLLOWS
        self._natural: dict[str, int] = {}
        self._placed: list[PlacedColumn[R]] = []
        self._page = 1
        self._touched_at = -1e9
        self._version: object = None

    # -- what a subclass defines --------------------------------------------------------------

    def fetch(self, view: View) -> Sequence[R]:
        """All rows, in their natural order."""
        raise NotImplementedError

    def key(self, row: R) -> Hashable:
        """The identity of a row while its content changes."""
        raise NotImplementedError

    def version(self, view: View) -> object:
        """Equal as long as ``fetch`` would give the same rows."""
        return None

    def row_style(self, row: R, view: View) -> str:
        return ""

    def empty(self, view: View) -> str:
        """The text shown where there is no row."""
        return "nothing here yet"

    def foot(self, view: View) -> Sequence[Part]:
        """The parts of the foot line."""
        return ()

    def fill(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        """Lines for the free room below the rows."""
        return ()

    # -- rows ------------------------------------------------------------------------------

    @property
    def columns(self) -> list[Column[Any]]:
        """The columns in use, in the order the user gave them."""
        by_key = {c.key: c for c in self.COLUMNS}
        return [by_key[k] for k in self.order if k in by_key and k not in self.hidden]

    def draw(self, view: View) -> None:
        self.collect(view)
        super().draw(view)

    def stale_rows(self) -> None:
        """Collect the rows at the next redraw, also when the version is the same."""
        self._version = None

    def collect(self, view: View) -> None:
        """Fetch, filter and sort the rows."""
        version = (id(view.session), self.version(view))
        if version[1] is not None and version == self._version:
            return
        self._version = version
        rows = list(self.fetch(view))
        self.total = len(rows)
        if self._filter:
            rows = [r for r in rows if self._passes(r, view)]
        self.rows = self._sorted(rows, view)

    def _passes(self, row: R, view: View) -> bool:
        def value(name: str) -> Any:
            for column in self.COLUMNS:
                if name in (column.key, column.title.casefold()) and column.value is not None:
                    return column.value(row, view)
            return None

        return self._filter.passes(self.row_text(row, view), value)

    def row_text(self, row: R, view: View) -> str:
        """The whole text of a row, for the filter."""
        return " ".join(plain(c.cell(row, view, c.least)) for c in self.COLUMNS)

    def _sorted(self, rows: list[R], view: View) -> list[R]:
        if self.has_focus and view.session.clock.mono() - self._touched_at < HOLD_S:
            # Rows do not move under the cursor: known rows keep their places, new ones follow.
            place_of = {self.key(r): i for i, r in enumerate(self.rows)}
            return sorted(rows, key=lambda r: place_of.get(self.key(r), len(place_of)))
        if self.sort is None:
            return rows
        key, falling = self.sort
        column = next((c for c in self.COLUMNS if c.key == key), None)
        if column is None or column.value is None:
            return rows
        valued = [(column.value(row, view), row) for row in rows]
        known_rows = [pair for pair in valued if pair[0] is not None]
        rest = [row for value, row in valued if value is None]
        try:
            known_rows.sort(key=lambda item: item[0], reverse=falling)
        except TypeError:
            known_rows.sort(key=lambda item: str(item[0]), reverse=falling)
        return [row for _, row in known_rows] + rest

    @property
    def cursor_index(self) -> int | None:
        if self.cursor is None:
            return None
        for i, row in enumerate(self.rows):
            if self.key(row) == self.cursor:
                return i
        return None

    @property
    def current(self) -> R | None:
        """The row under the cursor; the first row while there is no cursor."""
        index = self.cursor_index
        if index is not None:
            return self.rows[index]
        if not self.rows:
            return None
        return self.rows[-1] if self.FOLLOWS else self.rows[0]

    # -- painting --------------------------------------------------------------------------

    def count(self) -> str:
        shown = len(self.rows)
        return str(shown) if shown == self.total else f"{shown} of {self.total}"

    def marks(self) -> Line:
        line: Line = []
        if self.filter_text:
            line.append((f"/{clip(self.filter_text, 20)}", "key"))
        if self.sort is not None:
            key, falling = self.sort
            title = next((c.name or c.title for c in self.COLUMNS if c.key == key), key)
            arrow = "↓" if falling else "↑"
            line.append((("  " if line else "") + f"{title or key} {arrow}", "dim"))
        if self.FOLLOWS:
            mark = "following ▼" if self.follow else "held, f follows"
            line.append((("  " if line else "") + mark, "dim" if self.follow else "warn"))
        return line

    def body(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        content = cells - 2
        foot = self._foot_lines(view, content)
        head = 1 if self.HEADING and rows > len(foot) + 1 else 0
        page = max(1, rows - head - len(foot))
        self._page = page
        self._keep_in_sight(page)
        shown = self.rows[self.top : self.top + page]
        columns = self.columns
        made = measure(columns, shown, view, self._natural)
        placed = self._placed = place(columns, self._natural, content)
        out: list[Styled] = []
        if head:
            key, falling = self.sort or (None, False)
            out.append(([(" ", ""), *heading(placed, key, falling)], ""))
        focused = self.has_focus
        index = self.cursor_index
        for i, row in enumerate(shown, self.top):
            here = i == index
            mark = (">", "key") if here and focused else (" ", "")
            base = self.row_style(row, view)
            if here:
                base = f"{base} {'cursor' if focused else 'cursor-off'}".strip()
            out.append(([mark, *row_line(placed, row, view, made[i - self.top])], base))
        if not self.rows:
            out.extend(([(" ", ""), *line], "") for line in self._nothing(view, content))
        free = rows - len(out) - len(foot)
        if free > 0:
            extra = list(self.fill(view, content, free))[:free]
            out.extend([([], "")] * (free - len(extra)))
            out.extend(([(" ", ""), *line], "") for line in extra)
        out.extend(([(" ", ""), *line], "") for line in foot)
        return out

    def _nothing(self, view: View, cells: int) -> list[Line]:
        if self.filter_text:
            return [[(clip(f"no row passes /{self.filter_text}", cells), "dim")]]
        return self.waiting(view, cells) or [[(clip(self.empty(view), cells), "dim")]]

    def waiting(self, view: View, cells: int) -> list[Line]:
        """The lines of an empty panel while the program still starts; else none."""
        return []

    def _foot_lines(self, view: View, cells: int) -> list[Line]:
        parts = self.foot(view)
        if not parts:
            return []
        line: Line = []
        for part in pack(parts, cells):
            line.extend([("  ", ""), *part] if line else part)
        return [line]

    def thumb(self, rows: int) -> tuple[int, int] | None:
        total, page = len(self.rows), self._page
        if total <= page:
            return None
        first = 1 if self.HEADING else 0
        size = max(1, page * page // total)
        return first + round(self.top / (total - page) * (page - size)), size

    def _keep_in_sight(self, page: int) -> None:
        last = max(0, len(self.rows) - page)
        if self.follow:
            self.top = last
            return
        index = self.cursor_index
        if index is not None and self.has_focus:
            self.top = min(max(self.top, index - page + 1), index)
        self.top = min(max(0, self.top), last)

    # -- moving ----------------------------------------------------------------------------

    def touched(self) -> None:
        """A key or a click came: rows keep their order for a while."""
        if self.view is not None:
            self._touched_at = self.view.session.clock.mono()

    def move(self, steps: int) -> None:
        """Move the cursor; the first move puts it on the first row in sight."""
        if not self.rows:
            return
        self.touched()
        index = self.cursor_index
        if index is None:
            index = len(self.rows) - 1 if self.follow else self.top
            steps = 0 if abs(steps) == 1 else steps
        index = min(len(self.rows) - 1, max(0, index + steps))
        if self.follow and index < len(self.rows) - 1:
            self.follow = False
        self.cursor = self.key(self.rows[index])
        self.paint()

    def move_page(self, pages: int) -> None:
        self.move(pages * max(1, self._page - 1))

    def move_end(self, *, last: bool) -> None:
        if self.FOLLOWS and last:
            self.set_follow(True)
            return
        self.move(len(self.rows) if last else -len(self.rows))

    def set_follow(self, on: bool) -> None:
        if not self.FOLLOWS:
            return
        self.follow = on
        if on:
            self.cursor = None
        elif self.rows:
            self.cursor = self.key(self.rows[-1])
        self.paint()

    # -- choosing --------------------------------------------------------------------------

    def set_filter(self, text: str) -> None:
        self.filter_text = text.strip()
        self._filter = Filter.parse(text)
        self.recollect()

    def recollect(self) -> None:
        """Collect and paint at once, in the order that is chosen now."""
        self._touched_at = -1e9
        self.stale_rows()
        if self.view is not None:
            self.draw(self.view)

    def next_sort(self) -> None:
        """Sort by the next column that is shown; past the last one, as the rows come."""
        keys = [p.column for p in self._placed if p.column.value is not None]
        names = [c.key for c in keys]
        if self.sort is None:
            at = 0
        else:
            at = names.index(self.sort[0]) + 1 if self.sort[0] in names else 0
        if at >= len(keys):
            self.sort = None
        else:
            self.sort = (keys[at].key, keys[at].falling)
        self.recollect()

    def reverse_sort(self) -> None:
        if self.sort is not None:
            self.sort = (self.sort[0], not self.sort[1])
            self.recollect()

    def sort_by(self, key: str) -> None:
        """Sort by a column; by the same column again: in the opposite direction."""
        column = next((c for c in self.COLUMNS if c.key == key), None)
        if column is None or column.value is None:
            return
        if self.sort is not None and self.sort[0] == key:
            self.reverse_sort()
            return
        self.sort = (key, column.falling)
        self.recollect()

    def set_columns(self, order: Sequence[str], hidden: set[str]) -> None:
        """Put the columns in this order and hide some; unknown names are ignored."""
        known = [c.key for c in self.COLUMNS]
        first = [k for k in order if k in known]
        self.order = first + [k for k in known if k not in first]
        self.hidden = {k for k in hidden if k in known}
        if len(self.hidden) == len(known):
            self.hidden = set()
        self._natural.clear()
        self.paint()

    # -- copy and export -------------------------------------------------------------------

    def table(self, rows: Sequence[R] | None = None) -> list[list[str]]:
        """Heading and rows as text, all columns in use, as they are shown."""
        view = self.view
        columns = self.columns
        out = [[c.title or c.key for c in columns]]
        if view is not None:
            out.extend(
                [plain(c.cell(row, view, 200)).strip() for c in columns]
                for row in (self.rows if rows is None else rows)
            )
        return out

    # -- events ----------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        self._natural.clear()
        super().on_resize(event)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._scroll(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._scroll(-3)

    def _scroll(self, steps: int) -> None:
        last = max(0, len(self.rows) - self._page)
        if self.FOLLOWS:
            self.follow = (self.top + steps >= last and steps > 0) or (self.follow and not last)
        self.top = min(max(0, self.top + steps), last)
        index = self.cursor_index
        if index is not None:
            index = min(max(index, self.top), self.top + self._page - 1)
            self.cursor = self.key(self.rows[index])
        self.touched()
        self.paint()

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            number = self.tab_at(event.x) if len(self.tabs) > 1 else None
            if number is not None and number != self.number:
                self.post_message(self.TabChosen(number))
            elif event.chain == 2:
                self.post_message(self.TitlePressed())
            return
        first = 1 + (1 if self.HEADING else 0)
        if event.y == 1 and self.HEADING:
            for p in self._placed:
                if p.x <= event.x - 2 < p.x + p.width:
                    self.sort_by(p.column.key)
            return
        index = self.top + event.y - first
        if 0 <= event.y - first < self._page and index < len(self.rows):
            if self.follow:
                self.follow = False
            self.cursor = self.key(self.rows[index])
            self.touched()
            self.paint()
            if event.chain == 2:
                self.post_message(self.Opened(self))
