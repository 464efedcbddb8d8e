"""A screen under 60x16: six plain lines, and a message below them."""

from __future__ import annotations

from collections.abc import Sequence

from ..render import format as f
from ..render.lines import Line, fit_line
from ..session.view import View, word
from .base import LineView, Styled
from .header import mode_badge
from .positions import without_stop
from .status import message_line


def tiny_lines(view: View, cells: int) -> list[Line]:
    """Freshness, equity, floating, day, positions, the last alert."""
    session = view.session
    account = session.account
    terminal = session.terminal_badge()
    bot = session.bot_badge()
    alerts = session.open_alerts()
    positions = session.state.typed.positions
    known = "positions" in session.state.updated or positions
    age = "" if terminal.age is None else f" {f.age(terminal.age)}"
    bare = sum(1 for p in positions if without_stop(p))
    scan = "" if bot.age is None else f" scan {f.whole_age(bot.age)}"
    lines: list[Line] = [
        [
            *mode_badge(view),
            (f" {terminal.sign} {terminal.word}{age}", terminal.grade),
            (f"  bot {bot.word}{scan}", bot.grade),
        ],
        [
            ("Equity   ", "dim"),
            (view.cash(account.equity), "bold"),
            (f" {word(account.currency, 6)}", "dim"),
        ],
        [("Floating ", "dim"), view.gain(account.profit)],
        [("Day      ", "dim"), view.gain(account.day_pl)],
        [
            ("Open     ", "dim"),
            (str(len(positions)) if known else "?", "text"),
            (f"  {bare} without a stop" if bare else "", "warn"),
        ],
        [("Alert    ", "dim"), (word(alerts[0].text, 200), "crit") if alerts else ("none", "dim")],
    ]
    message = message_line(view, cells)
    return [fit_line(line, cells) for line in lines] + ([message] if message else [])


class TinyView(LineView):
    """The widget of those lines."""

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        return [(line, "") for line in tiny_lines(view, cells)[:rows]]
