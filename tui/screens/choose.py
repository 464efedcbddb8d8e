"""Dialogs to choose from: the palette of actions, and the columns of a panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Label

from ..actions import ACTIONS, Action, key_label
from ..panels.table import TablePanel
from ..render.lines import Line, fit, wrap
from ..session.view import View
from .base import Dialog

SHOWN = 12


def matching(text: str) -> list[Action]:
    """The actions whose title, text or key fit what was typed, the best first."""
    words = text.casefold().split()
    scored = []
    for i, action in enumerate(ACTIONS):
        title, rest = action.title.casefold(), f"{action.text} {action.group}".casefold()
        score = 0
        for w in words:
            if title.startswith(w):
                score += 3
            elif w in title:
                score += 2
            elif w in rest or w in action.all_keys.casefold().split():
                score += 1
            else:
                break
        else:
            scored.append((-score, i, action))
    return [action for _, _, action in sorted(scored)]


class PaletteDialog(Dialog):
    """Every action by name. Gives the chosen ``Action`` or ``None``."""

    heading = "What to do"
    fields_first = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,ctrl+n", "step(1)", show=False, priority=True),
        Binding("up,ctrl+p", "step(-1)", show=False, priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.found = matching("")
        self.at = 0

    def fields(self) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Label("Find ", markup=False)
            yield Input(placeholder="a part of the name, or a key")

    def content(self, view: View, cells: int) -> Sequence[Line]:
        first = max(0, min(self.at - SHOWN // 2, len(self.found) - SHOWN))
        lines: list[Line] = [[]]
        for i, action in enumerate(self.found[first : first + SHOWN], first):
            here = i == self.at
            style = "cursor" if here else ""
            lines.append(
                [("> " if here else "  ", f"key {style}"),
                 (fit(key_label(action.keys[0]), 10), f"key {style}"),
                 (fit(action.title, 27), f"text {style}"),
                 (fit(action.text, max(0, cells - 39)), f"dim {style}")]
            )  # fmt: skip
        lines += [[]] * (SHOWN + 1 - len(lines))
        if not self.found:
            lines[1] = [("nothing has this in its name", "dim")]
        return lines

    def hints(self, view: View, cells: int) -> Sequence[Line]:
        what = wrap(self.found[self.at].text, cells) if self.found else []
        told: list[Line] = [[(text, "text")] for text in what[:2]]
        return [
            *([[]] * (3 - len(told))), *told,
            [("enter", "key"), (" do it   ", "dim"), ("↑ ↓", "key"), (" choose   ", "dim"),
             ("esc", "key"), (" back", "dim")],
        ]  # fmt: skip

    def on_input_changed(self, event: Input.Changed) -> None:
        self.found, self.at = matching(event.value), 0
        self.refresh_view(self.dash.view())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(self.found[self.at] if self.found else None)

    def action_step(self, step: int) -> None:
        if self.found:
            self.at = (self.at + step) % len(self.found)
            self.refresh_view(self.dash.view())


class ColumnsDialog(Dialog):
    """Which columns a panel shows, and in which order. The panel changes at once."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "step(1)", show=False),
        Binding("k,up", "step(-1)", show=False),
        Binding("J,shift+down", "shift(1)", show=False),
        Binding("K,shift+up", "shift(-1)", show=False),
        Binding("space", "switch", show=False),
        Binding("r", "reset", show=False),
        Binding("enter,c,q", "dismiss(None)", show=False),
    ]

    def __init__(self, panel: TablePanel[Any]) -> None:
        super().__init__()
        self.panel = panel
        self.at = 0
        self.heading = f"Columns of {panel.spec.title}"

    def content(self, view: View, cells: int) -> Sequence[Line]:
        titles = {c.key: c.title or c.name or c.key for c in self.panel.COLUMNS}
        shown = {p.column.key for p in self.panel._placed}
        room = max(3, self.app.size.height - 10)
        first = max(0, min(self.at - room // 2, len(self.panel.order) - room))
        lines: list[Line] = []
        for i, key in enumerate(self.panel.order[first : first + room], first):
            on = key not in self.panel.hidden
            style = "cursor" if i == self.at else ""
            note = "" if not on or key in shown else "no room now"
            lines.append(
                [("> " if i == self.at else "  ", f"key {style}"),
                 ("[x] " if on else "[ ] ", f"{'ok' if on else 'dim'} {style}"),
                 (fit(titles[key], 14), f"text {style}"), (fit(note, 14), f"dim {style}")]
            )  # fmt: skip
        return lines

    def hints(self, view: View, cells: int) -> Sequence[Line]:
        return [
            [],
            [("j k", "key"), (" choose  ", "dim"), ("space", "key"), (" show or hide  ", "dim"),
             ("J K", "key"), (" move  ", "dim"), ("r", "key"), (" as at first  ", "dim"),
             ("esc", "key"), (" done", "dim")],
        ]  # fmt: skip

    def _changed(self) -> None:
        self.panel.recollect()
        self.dash.save_layout()
        self.refresh_view(self.dash.view())

    def action_step(self, step: int) -> None:
        self.at = (self.at + step) % len(self.panel.order)
        self.refresh_view(self.dash.view())

    def action_shift(self, step: int) -> None:
        order = list(self.panel.order)
        to = self.at + step
        if 0 <= to < len(order):
            order[self.at], order[to] = order[to], order[self.at]
            self.panel.set_columns(order, self.panel.hidden)
            self.at = to
            self._changed()

    def action_switch(self) -> None:
        key = self.panel.order[self.at]
        self.panel.set_columns(self.panel.order, self.panel.hidden ^ {key})
        self._changed()

    def action_reset(self) -> None:
        self.panel.set_columns([c.key for c in self.panel.COLUMNS], set())
        self._changed()

    def on_click(self, event: events.Click) -> None:
        event.stop()
