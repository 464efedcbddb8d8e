"""The palette: every action, found by a part of its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Label

from ..actions import ACTIONS, Action, key_label
from ..render.lines import Line, fit, wrap
from ..render.pieces import dim, key_hints, normal
from ..session.view import View
from .base import Dialog

SHOWN = 12
"""Actions in sight."""


def matching(text: str) -> list[Action]:
    """The actions with all typed words in title, text, group or key; the best matches first."""
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
    """Returns the chosen ``Action``, or ``None``."""

    heading = "Actions"
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
            name = ("> " if here else "  ") + fit(key_label(action.keys[0]), 10)
            lines.append(
                [
                    (name, f"key {style}"),
                    (fit(action.title, 27), f"text {style}"),
                    (fit(action.text, max(0, cells - 39)), f"dim {style}"),
                ]
            )
        lines += [[]] * (SHOWN + 1 - len(lines))
        if not self.found:
            lines[1] = [dim("no action has this in its name")]
        return lines

    def hints(self, view: View, cells: int) -> Sequence[Line]:
        texts = wrap(self.found[self.at].text, cells)[:2] if self.found else []
        return [
            *([[]] * (3 - len(texts))),
            *([normal(text)] for text in texts),
            key_hints(("enter", "run it"), ("↑ ↓", "choose"), ("esc", "back")),
        ]

    def on_input_changed(self, event: Input.Changed) -> None:
        self.found, self.at = matching(event.value), 0
        self.refresh_view(self.dash.view())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(self.found[self.at] if self.found else None)

    def action_step(self, step: int) -> None:
        if self.found:
            self.at = (self.at + step) % len(self.found)
            self.refresh_view(self.dash.view())
