"""The last lines: the alert that waits for an answer, and the keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.message import Message

from .. import format as f
from .. import freshness
from ..actions import ACTIONS, Action
from ..lines import Line, Part, bar, clip, pack, width
from ..view import View, word
from .base import LineView, Styled


def alert_line(view: View, cells: int) -> Styled:
    """The first alert that is not acknowledged; without one, what the bot is doing."""
    session = view.session
    alerts = session.open_alerts()
    if not alerts:
        return quiet_line(view, cells), ""
    first = alerts[0]
    how_many = f"[!] {len(alerts)} " if len(alerts) > 1 else "[!] "
    repeat = f" (x{first.count})" if first.count > 1 else ""
    hint = "a acknowledge" if cells >= 100 else "a ack"
    room = cells - 3 - width(how_many) - width(hint) - 11 - width(repeat)
    style = "alert" if first.level >= 3 else "warn"
    left: Line = [
        (f" {how_many}", f"{style} bold"),
        (f"{f.stamp(first.at)}  ", style),
        (clip(word(first.text, 400), room) + repeat, style),
    ]
    return bar([Part((left,), 0)], [Part(([(hint, style)],), 0)], cells), (
        "alert" if first.level >= 3 else ""
    )


def quiet_line(view: View, cells: int) -> Line:
    """What the bot is doing and why, in a sentence."""
    badge = freshness.bot(view.session)
    status: Any = view.session.state.bot or {}
    left = view.session.next_scan()
    if not status:
        line: Line = [("Bot: ", "dim"), (badge.detail or "no word yet", "dim")]
    else:
        state = word(status.get("state"), 20)
        line = [("Bot: ", "dim"), (state, {"ok": "text"}.get(badge.grade, badge.grade))]
        if badge.detail:
            line.append((f", {word(badge.detail, 200)}", "text"))
        if left is not None and state == "waiting":
            line.append((f"  next scan in {f.countdown(left)}", "dim"))
        if status.get("strategy"):
            line.append((f"  strategy {word(status['strategy'], 30)}", "dim"))
    return bar([Part((line,), 0)], [Part(([("no alerts", "faint")],), 1)], cells)


class AlertBar(LineView):
    """The alert line."""

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        return [alert_line(view, cells)]

    class Pressed(Message):
        """A click on the alert."""

    def on_click(self) -> None:
        self.post_message(self.Pressed())


def key_line(actions: Sequence[Action], cells: int) -> Line:
    """Keys and what they do, the most needed ones first to stay."""
    parts = []
    for action in actions:
        if action.bar is None:
            continue
        parts.append(Part(([(action.key_label, "key"), (f" {action.bar}", "dim")],), action.rank))
    line: Line = [(" ", "")]
    for piece in pack(parts, cells - 2):
        line += [("  ", ""), *piece] if len(line) > 1 else piece
    return line


class KeyBar(LineView):
    """The line of keys, from the table of actions."""

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        return [(key_line(ACTIONS, cells), "")]
