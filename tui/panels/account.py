"""The account: money now, the day, margin, and the distance to the limits."""

from __future__ import annotations

from collections.abc import Sequence

from streamer.protocol.messages import Limit
from streamer.words.limits import amount, grade, is_money, limit_words

from ..render import format as f
from ..render.lines import Line, Part, fit_line, line_width, pack
from ..session.view import View, tone, word
from .base import LineView, Styled


def _part(long: str, short: str, value: Line, rank: int) -> Part:
    return Part(([(f"{long} ", "dim"), *value], [(f"{short} ", "dim"), *value]), rank)


def _day(view: View) -> Line:
    day, equity = view.session.account.day_pl, view.session.account.equity
    line: Line = [view.gain(day)]
    # The day is realised and floating profit, so equity less the day is the balance at midnight.
    if day is not None and equity is not None and equity - day > 0:
        line.append((f" {f.percent(day / (equity - day) * 100, 2, sign=True)}", tone(day)))
    return line


def _margin(view: View) -> Line:
    level, used = view.session.account.margin_level, view.session.account.margin
    if used == 0.0 or (level == 0.0 and not used):
        return [("none used", "dim")]
    style = "text" if level is None or level >= 300 else "warn" if level >= 150 else "crit"
    return [(f.percent(level, 0), style)]


def _drawdown(view: View, *, with_limit: bool) -> Line:
    now = view.session.account.drawdown_pct
    limit = (view.session.account.limits or {}).get("drawdown")
    top = None if limit is None else limit.limit
    text = f.percent(now)
    if top and with_limit:
        text += f" of {f.percent(top)}"
    return [(text, (grade(now, top) or "dim") if top else "text")]


def money_line(view: View, cells: int, *, alone: bool) -> Line:
    """Balance, equity, floating, the day, margin, drawdown and the equity strip.

    ``alone``: there is no second line with the limits.
    """
    account = view.session.state.typed.account
    if account is None:
        return fit_line([(" account not known yet", "dim")], cells)
    parts = [
        _part("Balance", "Bal", [(view.cash(account.balance), "text")], 4),
        _part("Equity", "Eq", [(view.cash(account.equity), "bold")], 0),
        _part("Floating", "Fl", [view.gain(account.profit)], 0),
        _part("Day", "Day", _day(view), 0),
        _part("Margin level", "ML", _margin(view), 2),
        _part("Drawdown", "DD", _drawdown(view, with_limit=alone), 1),
    ]
    if account.trade_allowed is False:
        parts.insert(0, Part(([("TRADING NOT ALLOWED", "crit")],), 0))
    line: Line = []
    for piece in pack(parts, cells - 2):
        line += [("  ", ""), *piece] if line else [(" ", ""), *piece]
    values = view.session.state.typed.equity.value
    room = min(40, cells - line_width(line) - 3)
    if room >= 6 and len(values) >= 2:
        curve = f.strip(values, room)
        style = "up" if values[-1] >= values[0] else "down"
        return [*fit_line(line, cells - len(curve) - 1), (curve, style), (" ", "")]
    return fit_line(line, cells)


def _limit(name: str, limit: Limit, view: View) -> Part:
    value, top, unit = limit.value, limit.limit, limit.unit
    words = limit_words(name)

    def written(number: float | None) -> str:
        return view.cash(number) if is_money(unit) else amount(name, number, unit)

    style = grade(value, top) or "dim"
    text = f"{written(value)} of {written(top)}"
    tight = f"{written(value)}/{written(top)}"

    def meter(cells: int) -> Line:
        drawn = f.gauge(value, top, cells)
        full = drawn.rstrip("·")
        return [(full, style), (drawn[len(full) :], "faint")]

    value_style = "text" if style == "ok" else style
    spare: Line = [] if limit.left is None else [(f"  {view.cash(limit.left)} left", "dim")]
    return Part(
        (
            [(f"{word(words.name, 20)} ", "dim"), *meter(10), (f" {text}", value_style), *spare],
            [(f"{word(words.name, 20)} ", "dim"), *meter(10), (f" {text}", value_style)],
            [(f"{word(words.short, 12)} ", "dim"), *meter(6), (f" {tight}", value_style)],
            [(f"{word(words.short, 12)} ", "dim"), (tight, value_style)],
        ),
        2,
    )


def limits_line(view: View, cells: int) -> Line:
    """The risk limits as gauges."""
    limits = view.session.account.limits
    if not limits:
        return fit_line([(" risk limits: this feed publishes none", "faint")], cells)
    parts = [_limit(name, limit, view) for name, limit in limits.items()]
    line: Line = [(" ", "")]
    for piece in pack([Part(([("Limits", "head")],), 5), *parts], cells - 2, 3):
        line += [("   ", ""), *piece] if len(line) > 1 else piece
    return fit_line(line, cells)


class AccountBar(LineView):
    """Money; the limits on a second line, where there is room for one."""

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        out: list[Styled] = [(money_line(view, cells, alone=rows < 2), "")]
        if rows > 1:
            out.append((limits_line(view, cells), ""))
        return out
