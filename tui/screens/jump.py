"""The dialog for a moment of a recording."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input, Label

from ..panels.timebar import moment
from ..render.lines import Line
from ..render.moments import HINT, parse_moment
from ..render.pieces import crit, dim, key_hints, normal
from ..session.view import View
from .base import Dialog


class JumpDialog(Dialog):
    """Returns the moment in UTC epoch seconds, or ``None``."""

    heading = "Go to a moment of the recording"
    fields_first = True

    def __init__(self, now: float, shown: float) -> None:
        super().__init__()
        self._now, self._shown = now, shown
        self._error = ""

    def fields(self) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Label("To ", markup=False)
            yield Input(placeholder="13:05   10m (ago)   2026-03-04T13:05")

    def content(self, view: View, cells: int) -> Sequence[Line]:
        day = moment(self._shown)[:10]
        error: Line = [crit(self._error)] if self._error else []
        return [[], [dim("Times are UTC; a time of day means the day "), normal(day)], error]

    def hints(self, view: View, cells: int) -> Sequence[Line]:
        return [key_hints(("enter", "go there"), ("esc", "stay"))]

    def on_input_submitted(self, event: Input.Submitted) -> None:
        try:
            self.dismiss(parse_moment(event.value, self._now, self._shown))
        except (ValueError, OverflowError):
            self._error = f"Not a time; {HINT}"
            self.refresh_view(self.dash.view())
