"""The question before a command: what it does, in money; the dangerous ones want a word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Label

from ..panels.header import mode, mode_badge
from ..render.lines import Line, wrap
from ..session.view import View, word
from . import command_plans as control
from .base import Dialog

SENDS_NOTHING = ("pause", "resume", "scan_now", "halt", "release")
"""Commands that a bot which only observes carries out too."""


class ConfirmDialog(Dialog):
    """Asks, then sends the command and shows the answer. Gives whether it was done."""

    dangerous = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "go", show=False),
        Binding("n,q", "dismiss(False)", show=False),
    ]

    def __init__(self, plan: control.Plan) -> None:
        super().__init__()
        self.plan = plan
        self.heading = plan.title
        self.answer = ""
        self.sending = False

    def fields(self) -> ComposeResult:
        for name, (label, text) in self.plan.fields.items():
            with Horizontal(classes="field"):
                yield Label(f"{label} ", markup=False)
                yield Input(text, id=f"field-{name}")
        if self.plan.words:
            with Horizontal(classes="field"):
                yield Label("Type ", markup=False)
                yield Input(id="word", placeholder=" or ".join(self.plan.words))

    def content(self, view: View, cells: int) -> Sequence[Line]:
        account = view.session.account
        lines: list[Line] = [
            [*mode_badge(view), (f"  account {word(account.login, 16)} "
             f"{word(account.server, 30)}", "text")],
            [],
            *self.plan.say(view, self._texts()),
        ]  # fmt: skip
        if mode(view) == "observe" and self.plan.name not in SENDS_NOTHING:
            lines.append([("This bot only observes: it will refuse to send orders.", "warn")])
        return [*lines, []]

    def hints(self, view: View, cells: int) -> Sequence[Line]:
        gap: list[Line] = [[]] if self.plan.fields or self.plan.words else []
        if self.answer:
            told: list[Line] = [[(part, "crit")] for part in wrap(word(self.answer, 400), cells)]
            return [*gap, *told, [("esc", "key"), (" go back", "dim")]]
        if self.sending:
            return [*gap, [("asked; waiting for the answer", "dim")]]
        nothing: Line = [("esc", "key"), (" do nothing", "dim")]
        if self.plan.words:
            return [*gap, [("enter", "key"), (" after typing the word   ", "dim"), *nothing]]
        if self.plan.fields:
            tab: Line = [("tab", "key"), (" next field   ", "dim")] * (len(self.plan.fields) > 1)
            return [*gap, [("enter", "key"), (" do it   ", "dim"), *tab, *nothing]]
        return [[("y", "key"), (" do it   ", "dim"), *nothing]]

    def _texts(self) -> dict[str, str]:
        return {f.id[6:]: f.value for f in self.query(Input) if f.id and f.id[:6] == "field-"}

    def on_input_changed(self, event: Input.Changed) -> None:
        self.answer = ""
        self.refresh_view(self.dash.view())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.action_go()

    def _refuse(self, why: str) -> None:
        self.answer = why
        self.refresh_view(self.dash.view())

    def action_go(self) -> None:
        """Send the command, if all is as it must be."""
        if self.sending:
            return
        args, wrong = control.with_fields(self.plan, self._texts())
        words = self.plan.words
        if words:
            typed = " ".join(self.query_one("#word", Input).value.casefold().split())
            if typed not in words:
                self._refuse(f"Type {' or '.join(words)} to go on, or esc.")
                return
            args |= words[typed]
        if wrong:
            self._refuse(wrong)
            return
        self.sending = True
        self.refresh_view(self.dash.view())
        self.run_worker(self._send(args), exit_on_error=False)

    async def _send(self, args: dict[str, Any]) -> None:
        error = await self.dash.send_command(self.plan.name, args)
        self.sending = False
        if error is None:
            self.dismiss(True)
        elif self.is_attached:
            self._refuse(error)
