"""What a command would do, in words and money, before it is asked for.

The screen never acts itself: it asks the feed, and the bot's worker decides. Nothing here is
an estimate unless it says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import format as f
from .lines import Line
from .panels.positions import OPEN, PENDING, Row
from .view import View, tone, word


@dataclass(frozen=True, slots=True)
class Plan:
    """A command that is ready to be asked for.

    Attributes:
        name, args: The command of the feed.
        title: The heading of the question.
        lines: What it will do.
        typed: A word that has to be typed; empty: a key is enough.
        fields: Values that may be changed before: name -> (label, text now).
        row: The position or order that it is about.
    """

    name: str
    args: dict[str, Any]
    title: str
    lines: Sequence[Line]
    typed: str = ""
    fields: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    row: Row | None = None


def close_position(row: Row, view: View) -> Plan:
    """Close one position, all of it or the volume that is typed."""
    share = f.known(row.get("profit"))
    lines: list[Line] = [
        [(f"{f.side(row.direction)} {f.lots(row.get('volume'))} {word(row.symbol, 16)}", "bold"),
         (f"  #{word(row.ticket, 20)}", "dim")],
        [("At the price now about ", "dim"), view.gain(share),
         (", swap and commission aside.", "dim")],
        [("The order goes to the market: the price may be another.", "dim")],
    ]  # fmt: skip
    return Plan("close_position", {"ticket": row.ticket, "expect": expected(row)},
                "Close position", lines,
                fields={"volume": ("Lots", f.lots(row.get("volume")))}, row=row)  # fmt: skip


def expected(row: Row) -> dict[str, Any]:
    """What stands on the screen: the bot refuses when it is something else by now."""
    seen = {"side": row.direction, "volume": f.known(row.get("volume")), "symbol": row.symbol}
    if seen["side"] not in ("BUY", "SELL"):
        del seen["side"]
    return {name: value for name, value in seen.items() if value is not None}


def modify_position(row: Row, view: View) -> Plan:
    """Change stop and target of one position; 0 takes one away."""
    digits = row.digits
    lines: list[Line] = [
        [(f"{f.side(row.direction)} {f.lots(row.get('volume'))} {word(row.symbol, 16)}", "bold"),
         (f"  in at {f.price(row.entry, digits)}, now {f.price(row.now, digits)}", "dim")],
        [("If the stop of now is hit: ", "dim"), view.gain(row.get("risk"))],
        [("0 takes the stop or the target away.", "dim")],
    ]  # fmt: skip
    return Plan(
        "modify_position", {"ticket": row.ticket, "expect": expected(row)},
        "Change stop and target", lines,
        fields={
            "sl": ("SL", _price_text(row.sl, digits)), "tp": ("TP", _price_text(row.tp, digits)),
        },
        row=row,
    )  # fmt: skip


def _price_text(value: Any, digits: int | None) -> str:
    return f.price(value, digits) if f.known(value) else "0"


def money_per_price(row: Row) -> float | None:
    """Account money for a move of 1.0 in the price, from the position's own profit.

    ``None`` where the price has not moved enough to tell.
    """
    profit, entry, now = f.known(row.get("profit")), f.known(row.entry), f.known(row.now)
    if profit is None or entry is None or now is None or row.kind != OPEN:
        return None
    moved = (now - entry) * (1 if row.direction == "BUY" else -1)
    points = abs(moved) * 10.0 ** (row.digits or 0)
    return profit / moved if points >= 5 and profit * moved > 0 else None


def stop_money(row: Row, stop: float) -> float | None:
    """About what the position makes when a stop at this price is hit; costs aside."""
    entry, first, risk = f.known(row.entry), f.known(row.sl), f.known(row.get("risk"))
    if entry is None or not stop:
        return None
    sign = 1 if row.direction == "BUY" else -1
    per = money_per_price(row)
    if risk and first and abs(first - entry) > 0:
        per = risk / ((first - entry) * sign)
    return None if per is None else (stop - entry) * sign * per


def cancel_order(row: Row, view: View) -> Plan:
    """Delete one pending order."""
    lines: list[Line] = [
        [(f"{f.side(row.direction)} {word(row.get('kind'), 12)} {f.lots(row.get('volume'))} "
          f"{word(row.symbol, 16)} @ {f.price(row.entry, row.digits)}", "bold")],
        [("No money moves: the order is only taken away.", "dim")],
    ]  # fmt: skip
    return Plan("cancel_order", {"order": row.ticket, "expect": expected(row)},
                "Delete pending order", lines, row=row)  # fmt: skip


def flatten(view: View) -> Plan:
    """Close every position."""
    positions = view.session.state.positions
    profits = [f.known(p.get("profit")) for p in positions]
    net = None if None in profits else sum(p for p in profits if p is not None)
    by_hand = sum(1 for p in positions if p.get("owner") == "manual")
    lines: list[Line] = [
        [(f"{len(positions)} positions", "bold"), (" are closed at the market, all owners: "
          f"{len(positions) - by_hand} of the bot, {by_hand} by hand.", "text")],
        [("At the prices now about ", "dim"), view.gain(net), (", costs aside.", "dim")],
    ]  # fmt: skip
    lines += [
        [(f"  {word(p.get('symbol'), 14):<15}{f.side(p.get('direction'), p.get('type')):<6}"
          f"{f.lots(p.get('volume')):>6}  ", "text"),
         (view.cash(p.get("profit"), sign=True), tone(p.get("profit")))]
        for p in positions[:8]
    ]  # fmt: skip
    if len(positions) > 8:
        lines.append([(f"  and {len(positions) - 8} more", "dim")])
    lines.append([("The bot goes on and may open new ones: K stops that.", "dim")])
    return Plan("flatten", {}, "Close everything", lines, typed="flatten")


def pause_or_resume(view: View) -> Plan:
    """Pause a bot that runs, resume one that is paused."""
    bot: Any = view.session.state.bot or {}
    if bot.get("state") == "paused":
        return Plan("resume", {}, "Resume the bot",
                    [[("The bot scans and trades again.", "text")]])  # fmt: skip
    return Plan("pause", {}, "Pause the bot", [
        [("No new trades until it is resumed.", "text")],
        [("Open positions stay, and stay managed.", "dim")],
    ])  # fmt: skip


def halt_or_release(view: View) -> Plan:
    """The kill switch, and its release."""
    bot: Any = view.session.state.bot or {}
    if bot.get("state") == "halted":
        return Plan("release", {}, "Release the kill switch",
                    [[("New trades are possible again.", "text")],
                     [(f"It was set because: {word(_reason(bot), 200)}", "dim")]],
                    typed="release")  # fmt: skip
    return Plan("halt", {"reason": "operator, from the screen"}, "Kill switch", [
        [("No new trade is opened until it is released, also after a restart.", "text")],
        [("Open positions stay, and stay managed. F closes them.", "dim")],
    ], typed="halt")  # fmt: skip


def _reason(bot: Mapping[str, Any]) -> str:
    reason = bot.get("reason")
    return str(reason.get("text") or "") if isinstance(reason, dict) else ""


def scan_now(view: View) -> Plan:
    """Scan at once; harmless, so it is not asked about."""
    return Plan("scan_now", {}, "Scan now", ())


def with_fields(plan: Plan, texts: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """The arguments with what was typed, or an explanation of what is wrong with it.

    Values that were left as they were are not sent, so that a stop which the bot moved
    meanwhile is not moved back.
    """
    args = dict(plan.args)
    for name, (label, before) in plan.fields.items():
        text = texts.get(name, before).strip().replace(",", "")
        if text == before.replace(",", ""):
            continue
        try:
            value = float(text)
        except ValueError:
            return {}, f"{label}: {text!r} is not a number"
        if f.known(value) is None or value < 0:
            return {}, f"{label}: must be 0 or more"
        if name == "volume":
            full = f.known(plan.row.get("volume")) if plan.row else None
            if value <= 0 or (full is not None and value > full):
                return {}, f"Lots: more than 0, at most {f.lots(full)}"
        args[name] = value
    if plan.name == "modify_position" and args == dict(plan.args):
        return {}, "Nothing was changed"
    return args, ""


def rows_of(kind: str, row: Any) -> Row | None:
    """The row when it is of this kind; only such a row can be acted on."""
    return row if isinstance(row, Row) and row.kind == kind else None


__all__ = ["OPEN", "PENDING", "Plan"]
