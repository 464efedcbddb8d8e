"""The confirmation before a command: its consequences in money; some commands need a typed word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Label

from ..panels.header import mode, mode_badge
from ..render.lines import Line, wrap
from ..render.pieces import crit, dim, key_hints, normal, warn
from ..session.view import View, word
from .base import Dialog
from .command_plans import Plan, with_fields

SENDS_NOTHING = ("pause", "resume", "scan_now", "halt", "release")
"""Commands that a bot in mode observe carries out too: they send no order."""


class ConfirmDialog(Dialog):
    """Asks, sends the command and shows a refusal. Returns whether it was carried out."""

    dangerous = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "go", show=False),
        Binding("n,q", "dismiss(False)", show=False),
    ]

    def __init__(self, plan: Plan) -> None:
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
        name = f"  account {word(account.login, 16)} {word(account.server, 30)}"
        lines: list[Line] = [
            [*mode_badge(view), normal(name)],
            [],
            *self.plan.describe(view, self._texts()),
        ]
        if mode(view) == "observe" and self.plan.name not in SENDS_NOTHING:
            lines.append([warn("This bot only observes: it will refuse to send orders.")])
        return [*lines, []]

    def hints(self, view: View, cells: int) -> Sequence[Line]:
        plan = self.plan
        gap: list[Line] = [[]] if plan.fields or plan.words else []
        back = ("esc", "do nothing")
        if self.answer:
            error: list[Line] = [[crit(part)] for part in wrap(word(self.answer, 400), cells)]
            return [*gap, *error, key_hints(("esc", "back"))]
        if self.sending:
            return [*gap, [dim("sent; waiting for the answer")]]
        if plan.words:
            return [*gap, key_hints(("enter", "after typing the word"), back)]
        if plan.fields:
            tab = [("tab", "next field")] if len(plan.fields) > 1 else []
            return [*gap, key_hints(("enter", "send"), *tab, back)]
        return [key_hints(("y", "send"), back)]

    def _texts(self) -> dict[str, str]:
        return {f.id[6:]: f.value for f in self.query(Input) if f.id and f.id[:6] == "field-"}

    def on_input_changed(self, event: Input.Changed) -> None:
        self.answer = ""
        self.refresh_view(self.dash.view())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.action_go()

    def _refuse(self, reason: str) -> None:
        self.answer = reason
        self.refresh_view(self.dash.view())

    def action_go(self) -> None:
        """Send the command, unless a field or the typed word is wrong."""
        if self.sending:
            return
        args, error = with_fields(self.plan, self._texts())
        words = self.plan.words
        if words:
            typed = " ".join(self.query_one("#word", Input).value.casefold().split())
            if typed not in words:
                self._refuse(f"Type {' or '.join(words)} to go on, or esc.")
                return
            args |= words[typed]
        if error:
            self._refuse(error)
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
