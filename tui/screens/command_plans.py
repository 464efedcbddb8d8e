"""What a command would do, in words and money, before it is sent.

The screen never acts itself: it asks the feed, and the bot's worker decides. No value here is
an estimate unless its sentence says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..panels.positions import (
    OPEN,
    PENDING,
    PositionRow,
    row_now,
    side_of,
    total,
    without_stop,
)
from ..render import format as f
from ..render.lines import Line
from ..render.pieces import blank, bold, dim, key, normal, warn
from ..session.view import View, tone, word

Texts = Mapping[str, str]
"""The text of each field of the dialog, by the field's name."""
Describe = Callable[[View, Texts], Sequence[Line]]

POSITIONS_SHOWN = 6
"""Positions that a plan names one by one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A command that can be sent after a confirmation.

    Attributes:
        name, args: The command of the feed.
        title: The heading of the dialog.
        describe: Gives the consequences; called again on every redraw and key stroke.
        words: Each word that carries the command out when it is typed, with the arguments that it
            adds; empty: a key is enough.
        fields: Values that the operator may change: name -> (label, text at first).
        row: The position or order of the command, as it was when the dialog opened.
    """

    name: str
    args: dict[str, Any]
    title: str
    describe: Describe
    words: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fields: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    row: PositionRow | None = None


GONE: Line = [warn("It is no longer open: there is nothing to do.")]
NO_STOP: Line = [warn("Without a stop the loss has no bound.")]


def _head(row: PositionRow) -> Line:
    return [
        bold(f"{f.side(row.direction)} {f.lots(row.volume)} {word(row.symbol, 16)}"),
        dim(f"  #{word(row.ticket, 20)}"),
        dim(f"  in at {f.price(row.entry, row.digits)}, now {f.price(row.now, row.digits)}"),
    ]


def close_position(row: PositionRow, view: View) -> Plan:
    """Close one position, all of it or the volume that is typed."""

    def describe(view: View, texts: Texts) -> Sequence[Line]:
        now = row_now(row, view)
        if now is None:
            return [_head(row), GONE]
        profit, full = now.profit, now.volume
        part = _number(texts.get("volume", ""))
        after = dim(", before swap and commission.")
        lines: list[Line] = [_head(now)]
        if full is None or part is None or part >= full:
            lines.append([dim("All of it, now about "), view.gain(profit), after])
        elif part > 0:
            share = None if profit is None else profit * part / full
            what = f"{f.lots(part)} of {f.lots(full)} lots, now about "
            lines.append([dim(what), view.gain(share), after])
            lines.append([dim(f"{f.lots(full - part)} lots stay open.")])
        lines.append([dim("It is a market order: the price may be another one.")])
        return lines

    return Plan(
        "close_position",
        {"ticket": row.ticket, "expect": expected(row)},
        "Close position",
        describe,
        fields={"volume": ("Lots", f.lots(row.volume))},
        row=row,
    )


def expected(row: PositionRow) -> dict[str, Any]:
    """What the screen shows; the bot refuses the command when the position has changed."""
    shown: dict[str, Any] = {"volume": row.volume, "symbol": row.symbol}
    if row.direction in ("BUY", "SELL"):
        shown["side"] = row.direction
    return {name: value for name, value in shown.items() if value is not None}


def modify_position(row: PositionRow, view: View) -> Plan:
    """Change stop and target of one position; 0 removes one."""
    digits = row.digits

    def describe(view: View, texts: Texts) -> Sequence[Line]:
        now = row_now(row, view)
        if now is None:
            return [_head(row), GONE]
        return [
            _head(now),
            [dim("If the current stop is hit: "), view.gain(now.risk)]
            if now.sl
            else [warn("It has no stop now: the loss has no bound.")],
            *_level(view, now, "stop", texts.get("sl"), row.sl),
            *_level(view, now, "target", texts.get("tp"), row.tp),
            [dim("0 removes the stop or the target.")],
        ]

    return Plan(
        "modify_position",
        {"ticket": row.ticket, "expect": expected(row)},
        "Change stop and target",
        describe,
        fields={
            "sl": ("SL", _price_text(row.sl, digits)),
            "tp": ("TP", _price_text(row.tp, digits)),
        },
        row=row,
    )


def _level(
    view: View, now: PositionRow, name: str, typed: str | None, before: float | None
) -> list[Line]:
    """The consequence of a typed stop or target; no line while it is unchanged."""
    if typed is None or typed.strip() == _price_text(before, now.digits):
        return []
    price = _number(typed)
    if price is None or price < 0:
        return []
    if not price:
        if name == "stop":
            return [NO_STOP]
        return [[dim("Without a target it stays open until the stop is hit or the bot closes it.")]]
    market, sign = now.now, 1 if now.direction == "BUY" else -1
    beyond = market is not None and (price - market) * sign * (-1 if name == "stop" else 1) <= 0
    if beyond:
        side = "below" if (name == "stop") == (sign > 0) else "above"
        return [[warn(f"The {name} of this position must be {side} the current price.")]]
    money = stop_money(now, price)
    if money is None:
        return [[dim(f"The result at the new {name} is unknown.")]]
    return [[dim(f"If the new {name} is hit: about "), view.gain(money)]]


def _number(text: str) -> float | None:
    try:
        return f.known(float(text.strip().replace(",", "")))
    except ValueError:
        return None


def _price_text(value: float | None, digits: int | None) -> str:
    return f.price(value, digits) if value else "0"


def money_per_price(row: PositionRow) -> float | None:
    """Account money for a price move of 1.0, from the position's own profit.

    ``None`` while the price has moved less than five points, which is too little to divide by.
    """
    profit, entry, now = row.profit, row.entry, row.now
    if profit is None or entry is None or now is None or row.kind != OPEN:
        return None
    moved = (now - entry) * (1 if row.direction == "BUY" else -1)
    points = abs(moved) * 10.0 ** (row.digits or 0)
    return profit / moved if points >= 5 and profit * moved > 0 else None


def stop_money(row: PositionRow, stop: float) -> float | None:
    """The approximate result when a stop or target at this price is hit, before costs."""
    entry, first, risk = row.entry, row.sl, row.risk
    if entry is None or not stop:
        return None
    sign = 1 if row.direction == "BUY" else -1
    per = money_per_price(row)
    if risk and first and abs(first - entry) > 0:
        per = risk / ((first - entry) * sign)
    return None if per is None else (stop - entry) * sign * per


def cancel_order(row: PositionRow, view: View) -> Plan:
    """Delete one pending order."""
    order = (
        f"{f.side(row.direction)} {word(row.order_kind, 12)} {f.lots(row.volume)} "
        f"{word(row.symbol, 16)} @ {f.price(row.entry, row.digits)}"
    )

    def describe(view: View, texts: Texts) -> Sequence[Line]:
        after: Line = [dim("The order is deleted; no money moves.")]
        if row_now(row, view) is None:
            after = [warn("It is no longer pending: there is nothing to do.")]
        return [[bold(order), dim(f"  #{word(row.ticket, 20)}")], after]

    return Plan(
        "cancel_order",
        {"order": row.ticket, "expect": expected(row)},
        "Delete pending order",
        describe,
        row=row,
    )


def flatten(view: View) -> Plan:
    """Close every position."""

    def describe(view: View, texts: Texts) -> Sequence[Line]:
        return [
            *_everything(view),
            [dim("The bot goes on and may open new ones: K prevents that.")],
        ]

    return Plan("flatten", {}, "Close everything", describe, {"flatten": {}})


def _everything(view: View) -> list[Line]:
    """The consequence of closing all positions, with the first of them by name."""
    state = view.session.state
    positions = state.typed.positions
    if not positions:
        if "positions" not in state.updated:
            return [
                [warn("Open positions are not known here yet.")],
                [dim("The bot closes all that it finds, at the market.")],
            ]
        return [[normal("No position is open: there is nothing to close.")]]
    manual = sum(1 for p in positions if p.owner == "manual")
    many = len(positions) != 1
    owners = f"{len(positions) - manual} of the bot, {manual} by hand"
    lines: list[Line] = [
        [
            bold(f"{len(positions)} position{'s' * many}"),
            normal(f" {'are' if many else 'is'} closed at the market: {owners}."),
        ],
        [
            dim("Now about "),
            view.gain(total([p.profit for p in positions])),
            dim(", before costs."),
        ],
    ]
    for p in positions[:POSITIONS_SHOWN]:
        what = f"  {word(p.symbol, 14):<15}{f.side(side_of(p)):<6}{f.lots(p.volume):>6}  "
        lines.append([normal(what), (view.cash(p.profit, sign=True), tone(p.profit))])
    if len(positions) > POSITIONS_SHOWN:
        lines.append([dim(f"  and {len(positions) - POSITIONS_SHOWN} more")])
    return lines


def _open_positions(view: View) -> list[Line]:
    """The positions that stay open, their profit and their risk."""
    state = view.session.state
    positions = state.typed.positions
    if not positions:
        known = "positions" in state.updated
        return [[dim("No position is open." if known else "Open positions are not known here.")]]
    many = len(positions) != 1
    bare = sum(1 for p in positions if without_stop(p))
    stay = f"{len(positions)} position{'s' * many} stay{'s' * (not many)} open, and managed: "
    line: Line = [dim(f"{stay}now about "), view.gain(total([p.profit for p in positions]))]
    if bare:
        return [line, [warn(f"{bare} of them without a stop: the loss has no bound.")]]
    worst = total([p.risk for p in positions])
    return [line, [dim("If all stops are hit: "), view.gain(worst, show_arrow=False)]]


def pause_or_resume(view: View) -> Plan:
    """Pause a bot that runs, resume one that is paused."""
    bot = view.session.state.typed.bot

    def resumed(view: View, texts: Texts) -> Sequence[Line]:
        return [[normal("The bot may open trades again; it scans at once.")], *_room(view)]

    def paused(view: View, texts: Texts) -> Sequence[Line]:
        return [
            [normal("No new trades until it is resumed; it goes on scanning.")],
            *_open_positions(view),
        ]

    if bot is not None and bot.state == "paused":
        return Plan("resume", {}, "Resume the bot", resumed)
    return Plan("pause", {}, "Pause the bot", paused)


def _room(view: View) -> list[Line]:
    """What the limits leave for new trades."""
    limits = view.session.account.limits or {}
    line: Line = []
    places, loss = limits.get("open_positions"), limits.get("daily_loss")
    if places is not None:
        line.append(dim("Open "))
        line.append(normal(f"{f.number(places.value)} of {f.number(places.limit)} positions"))
    if loss is not None and loss.left is not None:
        line.append(dim("; the day may still lose " if line else "The day may still lose "))
        line.append(normal(view.cash(loss.left)))
    return [line] if line else []


def halt_or_release(view: View) -> Plan:
    """The kill switch, and its release."""
    bot = view.session.state.typed.bot

    def released(view: View, texts: Texts) -> Sequence[Line]:
        reason = None if bot is None or bot.reason is None else bot.reason.text
        return [
            [normal("New trades are possible again, and the limits are counted from now on.")],
            [dim(f"It was set because: {word(reason, 200)}")],
            *_room(view),
        ]

    def halted(view: View, texts: Texts) -> Sequence[Line]:
        first, *rest = _open_positions(view)
        lines: list[Line] = [
            [normal("No new trade is opened until it is released, also after a restart.")],
            [],
            [key("halt"), blank(10), *first],
            *([blank(14), *line] for line in rest),
        ]
        if view.session.state.typed.positions:
            lines.append([key("halt flatten"), normal("  closes all of them too, at the market")])
        return lines

    if bot is not None and bot.state == "halted":
        return Plan("release", {}, "Release the kill switch", released, {"release": {}})
    return Plan(
        "halt",
        {"reason": "operator, from the screen"},
        "Kill switch",
        halted,
        {"halt": {}, "halt flatten": {"flatten": True}},
    )


def scan_now(view: View) -> Plan:
    """Scan at once instead of at the next cycle."""

    def describe(view: View, texts: Texts) -> Sequence[Line]:
        left = view.session.next_scan()
        due = "" if left is None or left <= 0 else f" instead of in {f.countdown(left)}"
        bot = view.session.state.typed.bot
        after = "Candidates are traded, as at any scan."
        if bot is not None and bot.state in ("paused", "halted"):
            after = f"The bot is {bot.state}: it scans, but opens nothing."
        return [[normal(f"All symbols are scanned at once{due}.")], [dim(after)], *_room(view)]

    return Plan("scan_now", {}, "Scan now", describe)


def with_fields(plan: Plan, texts: Texts) -> tuple[dict[str, Any], str]:
    """The arguments with the typed values, or what is wrong with a value.

    Unchanged values are not sent, so that a stop which the bot has moved meanwhile is not moved
    back.

    Returns:
        The arguments and an empty text, or no arguments and the error.
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
            full = plan.row.volume if plan.row else None
            if value <= 0 or (full is not None and value > full):
                return {}, f"Lots: more than 0, at most {f.lots(full)}"
        args[name] = value
    if plan.name == "modify_position" and args == dict(plan.args):
        return {}, "Nothing was changed"
    return args, ""


__all__ = ["OPEN", "PENDING", "Plan"]
