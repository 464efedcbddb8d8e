"""The question before a command: what it does, in money; the dangerous ones want a word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label

from .. import control
from .. import format as f
from ..lines import Line
from ..panels.header import mode, mode_badge
from ..view import View, word
from .base import Dialog, DialogView


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

    def compose(self) -> ComposeResult:
        with Vertical(classes="stack"):
            yield DialogView(self)
            for name, (label, text) in self.plan.fields.items():
                with Horizontal(classes="field"):
                    yield Label(f"{label} ", markup=False)
                    yield Input(text, id=f"field-{name}")
            if self.plan.typed:
                yield Input(id="word", placeholder=f"type {self.plan.typed} and press enter")

    def content(self, view: View, cells: int) -> Sequence[Line]:
        account = view.session.state.account
        lines: list[Line] = [
            [*mode_badge(view), (f"  account {word(account.get('login'), 16)} "
             f"{word(account.get('server'), 30)}", "text")],
            [],
            *self.plan.lines,
            *self._after(view),
        ]  # fmt: skip
        if mode(view) == "observe" and self.plan.name not in ("pause", "resume", "scan_now"):
            lines.append([("This bot only observes: it will refuse to send orders.", "warn")])
        lines.append([])
        if self.answer:
            lines.append([(word(self.answer, 300), "crit")])
        elif self.sending:
            lines.append([("asked; waiting for the answer", "dim")])
        elif self.plan.typed:
            lines.append([("enter", "key"), (f" after typing {self.plan.typed}   ", "dim"),
                          ("esc", "key"), (" do nothing", "dim")])  # fmt: skip
        elif self.plan.fields:
            lines.append([("enter", "key"), (" do it   ", "dim"), ("tab", "key"),
                          (" next field   ", "dim"), ("esc", "key"), (" do nothing", "dim")])  # fmt: skip
        else:
            lines.append([("y", "key"), (" do it   ", "dim"), ("esc", "key"),
                          (" do nothing", "dim")])  # fmt: skip
        return lines

    def _after(self, view: View) -> list[Line]:
        """What the stop that stands in the field would mean in money."""
        row = self.plan.row
        if self.plan.name != "modify_position" or row is None or not self.is_mounted:
            return []
        args, _ = control.with_fields(self.plan, self._texts())
        stop = f.known(args.get("sl"))
        if stop is None:
            return []
        if not stop:
            return [[("Without a stop the loss has no bound.", "warn")]]
        money = control.stop_money(row, stop)
        if money is None:
            return [[("What the new stop costs cannot be told from here.", "dim")]]
        return [[("If the new stop is hit: about ", "dim"), view.gain(money)]]

    def _texts(self) -> dict[str, str]:
        return {name: self.query_one(f"#field-{name}", Input).value for name in self.plan.fields}

    def on_input_changed(self, event: Input.Changed) -> None:
        self.answer = ""
        self.look(self.dash.view())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.action_go()

    def action_go(self) -> None:
        """Send the command, if all is as it must be."""
        if self.sending:
            return
        if self.plan.typed:
            typed = self.query_one("#word", Input).value.strip().casefold()
            if typed != self.plan.typed:
                self.answer = f"Type {self.plan.typed} to go on, or esc."
                self.look(self.dash.view())
                return
        args, wrong = control.with_fields(self.plan, self._texts())
        if wrong:
            self.answer = wrong
            self.look(self.dash.view())
            return
        self.sending = True
        self.look(self.dash.view())
        self.run_worker(self._send(args), exit_on_error=False)

    async def _send(self, args: dict[str, Any]) -> None:
        error = await self.dash.command(self.plan.name, args)
        self.sending = False
        if error is None:
            self.dismiss(True)
        elif self.is_attached:
            self.answer = error
            self.look(self.dash.view())
