"""The account: money now, the day, margin, and how near the limits are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamer.words.limits import grade, limit_words

from ..render import format as f
from ..render.lines import Line, Part, fit_line, line_width, pack
from ..session.view import View, tone, word
from .base import LineView, Styled


def _part(long: str, short: str, value: Line, rank: int) -> Part:
    return Part(([(f"{long} ", "dim"), *value], [(f"{short} ", "dim"), *value]), rank)


def _day(view: View) -> Line:
    account = view.session.state.account
    day, balance = f.known(account.get("day_pl")), f.known(account.get("balance"))
    line: Line = [view.gain(day)]
    if day is not None and balance is not None and balance - day > 0:
        line.append((f" {f.percent(day / (balance - day) * 100, 2, sign=True)}", tone(day)))
    return line


def _margin(view: View) -> Line:
    account = view.session.state.account
    level, used = f.known(account.get("margin_level")), f.known(account.get("margin"))
    if used == 0.0 or (level == 0.0 and not used):
        return [("none used", "dim")]
    style = "text" if level is None or level >= 300 else "warn" if level >= 150 else "crit"
    return [(f.percent(level, 0), style)]


def _drawdown(view: View, *, with_limit: bool) -> Line:
    account = view.session.state.account
    now = f.known(account.get("drawdown_pct"))
    limits: Any = account.get("limits")
    limit = limits.get("drawdown") if isinstance(limits, dict) else None
    top = f.known(limit.get("limit")) if isinstance(limit, dict) else None
    text = f.percent(now)
    if top and with_limit:
        text += f" of {f.percent(top)}"
    return [(text, (grade(now, top) or "dim") if top else "text")]


def money_line(view: View, cells: int, *, alone: bool) -> Line:
    """Balance, equity, floating, the day, margin, drawdown and the equity strip.

    ``alone``: there is no second line that tells the limits.
    """
    account = view.session.state.account
    if not account:
        return fit_line([(" account not known yet", "dim")], cells)
    parts = [
        _part("Balance", "Bal", [(view.cash(account.get("balance")), "text")], 4),
        _part("Equity", "Eq", [(view.cash(account.get("equity")), "bold")], 0),
        _part("Floating", "Fl", [view.gain(account.get("profit"))], 0),
        _part("Day", "Day", _day(view), 0),
        _part("Margin level", "ML", _margin(view), 2),
        _part("Drawdown", "DD", _drawdown(view, with_limit=alone), 1),
    ]
    if account.get("trade_allowed") is False:
        parts.insert(0, Part(([("TRADING NOT ALLOWED", "crit")],), 0))
    line: Line = []
    for piece in pack(parts, cells - 2):
        line += [("  ", ""), *piece] if line else [(" ", ""), *piece]
    values = view.session.state.equity.get("value") or ()
    room = min(40, cells - line_width(line) - 3)
    if room >= 6 and len(values) >= 2:
        curve = f.strip(values, room)
        style = "up" if (f.known(values[-1]) or 0) >= (f.known(values[0]) or 0) else "down"
        return [*fit_line(line, cells - len(curve) - 1), (curve, style), (" ", "")]
    return fit_line(line, cells)


def _limit(name: str, limit: dict[str, Any], view: View) -> Part:
    value, top, unit = f.known(limit.get("value")), f.known(limit.get("limit")), limit.get("unit")
    unit = unit if isinstance(unit, str) else ""
    words = limit_words(name)

    def amount(number: float | None) -> str:
        if unit == "%":  # rounded as on the line above
            return f.percent(number, 0 if name == "margin_level" else 1)
        if unit == "" or unit in ("positions", "trades", "lots"):
            return f.UNKNOWN if number is None else f"{number:g}"
        return view.cash(number)

    style = grade(value, top) or "dim"
    text = f"{amount(value)} of {amount(top)}"
    tight = f"{amount(value)}/{amount(top)}"

    def meter(cells: int) -> Line:
        drawn = f.gauge(value, top, cells)
        full = drawn.rstrip("·")
        return [(full, style), (drawn[len(full) :], "faint")]

    value_style = "text" if style == "ok" else style
    left = f.known(limit.get("left"))
    spare: Line = [] if left is None else [(f"  {view.cash(left)} left", "dim")]
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
    """The risk limits as gauges; without limits, what the market is."""
    limits = view.session.state.account.get("limits")
    if not isinstance(limits, dict) or not limits:
        return fit_line([(" risk limits: none are told by this feed", "faint")], cells)
    parts = [
        _limit(str(name), limit, view) for name, limit in limits.items() if isinstance(limit, dict)
    ]
    line: Line = [(" ", "")]
    for piece in pack([Part(([("Limits", "head")],), 5), *parts], cells - 2, 3):
        line += [("   ", ""), *piece] if len(line) > 1 else piece
    return fit_line(line, cells)


class AccountBar(LineView):
    """Money, and on a second line, where there is one, the limits."""

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        out: list[Styled] = [(money_line(view, cells, alone=rows < 2), "")]
        if rows > 1:
            out.append((limits_line(view, cells), ""))
        return out
