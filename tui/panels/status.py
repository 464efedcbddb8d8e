"""The last lines: the alert that is not acknowledged, and the keys."""

from __future__ import annotations

from collections.abc import Sequence

from textual.message import Message

from ..actions import ACTIONS, Action
from ..render import format as f
from ..render.lines import Line, Part, bar, clip, fit_line, pack, width
from ..session.view import View, word
from .base import LineView, Styled


def alert_line(view: View, cells: int) -> Styled:
    """The first alert that is not acknowledged; without one, the state of the bot."""
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


WIDE = 100
"""From this width on the first line names the account."""


def quiet_line(view: View, cells: int) -> Line:
    """The state of the bot and its reason, in a sentence."""
    session = view.session
    badge = session.bot_badge()
    status = view.session.state.typed.bot
    left = session.next_scan()
    who = "Bot then: " if session.source.link.state == "replay" else "Bot: "
    left_parts: list[Part] = []
    if status is None:
        line: Line = [(who, "dim"), (badge.detail or "no status yet", "dim")]
    else:
        state = word(status.state, 20)
        line = [(who, "dim"), (state, {"ok": "text"}.get(badge.grade, badge.grade))]
        if badge.detail:
            line.append((f", {word(badge.detail, 200)}", "text"))
        if left is not None and state == "waiting":
            due = "is due" if left <= 0 else f"in {f.countdown(left)}"
            left_parts.append(Part(([(f"next scan {due}", "dim")],), 4))
        if status.strategy:
            left_parts.append(Part(([(f"strategy {word(status.strategy, 30)}", "dim")],), 3))
    parts = [Part(([("no alerts", "faint")],), 2)]
    login, server = session.account.login, session.account.server
    if cells < WIDE and login is not None:
        # The first line has no room for it here.
        name = word(login, 16)
        both = [(f"{name}@{word(server, 32)}", "dim")] if server else [(name, "dim")]
        parts.insert(0, Part((both, [(name, "dim")]), 1))
    return bar([Part((line,), 0), *left_parts], parts, cells)


class AlertBar(LineView):
    """The alert line."""

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        return [alert_line(view, cells)]

    class Pressed(Message):
        """A click on the alert."""

    def on_click(self) -> None:
        self.post_message(self.Pressed())


def key_line(actions: Sequence[Action], cells: int, hidden: str = "") -> Line:
    """Keys and their actions, as many as fit; before them the numbers of ``hidden`` panels."""
    parts = []
    if hidden:
        parts.append(Part(([(hidden, "warn"), (" hidden", "warn")],), 0))
    for action in actions:
        if action.bar is None:
            continue
        parts.append(Part(([(action.key_label, "key"), (f" {action.bar}", "dim")],), action.rank))
    line: Line = [(" ", "")]
    for piece in pack(parts, cells - 2):
        line += [("  ", ""), *piece] if len(line) > 1 else piece
    return line


def message_line(view: View, cells: int) -> Line | None:
    """The message of the program; it is drawn over the keys, never over numbers."""
    if view.message is None:
        return None
    text, error = view.message
    style = "crit" if error else "ok"
    return fit_line(
        [(" ✕ " if error else " ● ", style), (text, "crit" if error else "bold")], cells
    )


class KeyBar(LineView):
    """The line of keys, from the table of actions; for a moment the message of the program."""

    hidden = ""
    """The numbers of hidden panels: their keys show them again."""

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        return [(message_line(view, cells) or key_line(ACTIONS, cells, self.hidden), "")]
