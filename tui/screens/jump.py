"""The question to which moment to go."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input, Label

from ..panels.timebar import moment
from ..render.lines import Line
from ..render.moments import HINT, parse_moment
from ..session.view import View
from .base import Dialog


class JumpDialog(Dialog):
    """Gives the moment in epoch seconds, or ``None``."""

    heading = "Go to a moment of the recording"
    fields_first = True

    def __init__(self, now: float, shown: float) -> None:
        super().__init__()
        self._now, self._shown = now, shown
        self._wrong = ""

    def fields(self) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Label("To ", markup=False)
            yield Input(placeholder="13:05   10m (ago)   2026-03-04T13:05")

    def content(self, view: View, cells: int) -> Sequence[Line]:
        wrong: Line = [(self._wrong, "crit")] if self._wrong else []
        return [
            [],
            [("Times are UTC; a time of day is of ", "dim"), (moment(self._shown)[:10], "text")],
            wrong,
        ]

    def hints(self, view: View, cells: int) -> Sequence[Line]:
        return [[("enter", "key"), (" go there   ", "dim"), ("esc", "key"), (" stay", "dim")]]

    def on_input_submitted(self, event: Input.Submitted) -> None:
        try:
            self.dismiss(parse_moment(event.value, self._now, self._shown))
        except (ValueError, OverflowError):
            self._wrong = f"Not a time; {HINT}"
            self.refresh_view(self.dash.view())
