"""The dialog for the columns of a panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType

from ..panels.table import TablePanel
from ..render.lines import Line, fit
from ..render.pieces import key_hints
from ..session.view import View
from .base import Dialog


class ColumnsDialog(Dialog):
    """Shows, hides and orders the columns of a panel, which changes at once."""

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
            here, on = i == self.at, key not in self.panel.hidden
            style = "cursor" if here else ""
            note = "" if not on or key in shown else "no room now"
            lines.append(
                [
                    ("> " if here else "  ", f"key {style}"),
                    ("[x] " if on else "[ ] ", f"{'ok' if on else 'dim'} {style}"),
                    (fit(titles[key], 14), f"text {style}"),
                    (fit(note, 14), f"dim {style}"),
                ]
            )
        return lines

    def hints(self, view: View, cells: int) -> Sequence[Line]:
        keys = (("j k", "choose"), ("space", "show or hide"), ("J K", "move"), ("r", "reset"))
        return [[], key_hints(*keys, ("esc", "done"), gap=2)]

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
