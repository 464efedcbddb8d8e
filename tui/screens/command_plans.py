"""What a command would do, in words and money, before it is asked for.

The screen never acts itself: it asks the feed, and the bot's worker decides. Nothing here is
an estimate unless it says so.
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
from ..session.view import View, tone, word

Texts = Mapping[str, str]
"""What stands in the fields of a question, by their names."""
Say = Callable[[View, Texts], Sequence[Line]]


@dataclass(frozen=True, slots=True)
class Plan:
    """A command that is ready to be asked for.

    Attributes:
        name, args: The command of the feed.
        title: The heading of the question.
        say: What it will do, as the feed stands and with what is typed: said anew all the time.
        words: Each word that carries it out when typed, with the arguments that it adds; none:
            a key is enough.
        fields: Values that may be changed before: name -> (label, text now).
        row: The position or order that it is about, as it was when the question was asked.
    """

    name: str
    args: dict[str, Any]
    title: str
    say: Say
    words: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fields: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    row: PositionRow | None = None


GONE: Line = [("It is no longer open: there is nothing to do.", "warn")]


def _head(row: PositionRow) -> Line:
    return [
        (f"{f.side(row.direction)} {f.lots(row.volume)} {word(row.symbol, 16)}", "bold"),
        (f"  #{word(row.ticket, 20)}", "dim"),
        (f"  in at {f.price(row.entry, row.digits)}, now {f.price(row.now, row.digits)}", "dim"),
    ]


def close_position(row: PositionRow, view: View) -> Plan:
    """Close one position, all of it or the volume that is typed."""

    def say(view: View, texts: Texts) -> Sequence[Line]:
        now = row_now(row, view)
        if now is None:
            return [_head(row), GONE]
        profit, full = now.profit, now.volume
        part = _number(texts.get("volume", ""))
        lines: list[Line] = [_head(now)]
        if full is None or part is None or part >= full:
            lines.append([("All of it, at the price now about ", "dim"), view.gain(profit),
                          (", swap and commission aside.", "dim")])  # fmt: skip
        elif part > 0:
            share = None if profit is None else profit * part / full
            lines.append([(f"{f.lots(part)} of {f.lots(full)} lots, at the price now about ",
                           "dim"), view.gain(share), (", swap and commission aside.", "dim")])  # fmt: skip
            lines.append([(f"{f.lots(full - part)} lots stay open.", "dim")])
        lines.append([("The order goes to the market: the price may be another.", "dim")])
        return lines

    return Plan("close_position", {"ticket": row.ticket, "expect": expected(row)},
                "Close position", say,
                fields={"volume": ("Lots", f.lots(row.volume))}, row=row)  # fmt: skip


def expected(row: PositionRow) -> dict[str, Any]:
    """What stands on the screen: the bot refuses when it is something else by now."""
    shown: dict[str, Any] = {"volume": row.volume, "symbol": row.symbol}
    if row.direction in ("BUY", "SELL"):
        shown["side"] = row.direction
    return {name: value for name, value in shown.items() if value is not None}


def modify_position(row: PositionRow, view: View) -> Plan:
    """Change stop and target of one position; 0 takes one away."""
    digits = row.digits

    def say(view: View, texts: Texts) -> Sequence[Line]:
        now = row_now(row, view)
        if now is None:
            return [_head(row), GONE]
        risk = now.risk if now.sl else None
        lines: list[Line] = [
            _head(now),
            [("If the stop of now is hit: ", "dim"), view.gain(risk)]
            if now.sl else [("It has no stop now: the loss has no bound.", "warn")],
        ]  # fmt: skip
        lines += _level(view, now, "stop", texts.get("sl"), row.sl)
        lines += _level(view, now, "target", texts.get("tp"), row.tp)
        return [*lines, [("0 takes the stop or the target away.", "dim")]]

    return Plan(
        "modify_position", {"ticket": row.ticket, "expect": expected(row)},
        "Change stop and target", say,
        fields={
            "sl": ("SL", _price_text(row.sl, digits)), "tp": ("TP", _price_text(row.tp, digits)),
        },
        row=row,
    )  # fmt: skip


def _level(
    view: View, now: PositionRow, name: str, typed: str | None, before: float | None
) -> list[Line]:
    """What a stop or target that was typed means; nothing while it is as it was."""
    if typed is None or typed.strip() == _price_text(before, now.digits):
        return []
    price = _number(typed)
    if price is None or price < 0:
        return []
    if not price:
        if name == "stop":
            return [[("Without a stop the loss has no bound.", "warn")]]
        return [[("Without a target it runs until the stop or the bot ends it.", "dim")]]
    market, sign = now.now, 1 if now.direction == "BUY" else -1
    beyond = market is not None and (price - market) * sign * (-1 if name == "stop" else 1) <= 0
    if beyond:
        side = "below" if (name == "stop") == (sign > 0) else "above"
        return [[(f"A {name} of this position must lie {side} the price now.", "warn")]]
    money = stop_money(now, price)
    if money is None:
        return [[(f"What the new {name} means in money is not known here.", "dim")]]
    return [[(f"If the new {name} is hit: about ", "dim"), view.gain(money)]]


def _number(text: str) -> float | None:
    try:
        return f.known(float(text.strip().replace(",", "")))
    except ValueError:
        return None


def _price_text(value: float | None, digits: int | None) -> str:
    return f.price(value, digits) if value else "0"


def money_per_price(row: PositionRow) -> float | None:
    """Account money for a move of 1.0 in the price, from the position's own profit.

    ``None`` where the price has not moved enough to tell.
    """
    profit, entry, now = row.profit, row.entry, row.now
    if profit is None or entry is None or now is None or row.kind != OPEN:
        return None
    moved = (now - entry) * (1 if row.direction == "BUY" else -1)
    points = abs(moved) * 10.0 ** (row.digits or 0)
    return profit / moved if points >= 5 and profit * moved > 0 else None


def stop_money(row: PositionRow, stop: float) -> float | None:
    """About what the position makes when a stop or target at this price is hit; costs aside."""
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

    def say(view: View, texts: Texts) -> Sequence[Line]:
        now = row_now(row, view)
        return [
            [(f"{f.side(row.direction)} {word(row.order_kind, 12)} {f.lots(row.volume)} "
              f"{word(row.symbol, 16)} @ {f.price(row.entry, row.digits)}", "bold"),
             (f"  #{word(row.ticket, 20)}", "dim")],
            [("No money moves: the order is only taken away.", "dim")]
            if now is not None else [("It no longer waits: there is nothing to do.", "warn")],
        ]  # fmt: skip

    return Plan("cancel_order", {"order": row.ticket, "expect": expected(row)},
                "Delete pending order", say, row=row)  # fmt: skip


def flatten(view: View) -> Plan:
    """Close every position."""

    def say(view: View, texts: Texts) -> Sequence[Line]:
        return [*_everything(view), [("The bot goes on and may open new ones: K stops that.",
                                      "dim")]]  # fmt: skip

    return Plan("flatten", {}, "Close everything", say, {"flatten": {}})


def _everything(view: View) -> list[Line]:
    """What closing all positions means now, with the first of them by name."""
    state = view.session.state
    positions = state.typed.positions
    if not positions:
        if "positions" not in state.updated:
            return [[("Which positions are open is not known here yet.", "warn")],
                    [("The bot closes whatever it finds, at the market.", "dim")]]  # fmt: skip
        return [[("No position is open: there is nothing to close.", "text")]]
    by_hand = sum(1 for p in positions if p.owner == "manual")
    many = len(positions) != 1
    lines: list[Line] = [
        [(f"{len(positions)} position{'s' * many}", "bold"),
         (f" {'are' if many else 'is'} closed at the market: "
          f"{len(positions) - by_hand} of the bot, {by_hand} by hand.", "text")],
        [("At the prices now about ", "dim"), view.gain(total([p.profit for p in positions])),
         (", costs aside.", "dim")],
    ]  # fmt: skip
    lines += [
        [(f"  {word(p.symbol, 14):<15}{f.side(side_of(p)):<6}{f.lots(p.volume):>6}  ", "text"),
         (view.cash(p.profit, sign=True), tone(p.profit))]
        for p in positions[:6]
    ]  # fmt: skip
    if len(positions) > 6:
        lines.append([(f"  and {len(positions) - 6} more", "dim")])
    return lines


def _stay(view: View) -> list[Line]:
    """What stays open, and what it stands at."""
    state = view.session.state
    positions = state.typed.positions
    if not positions:
        known = "positions" in state.updated
        return [[("No position is open." if known else "Open positions: not known here.", "dim")]]
    many = len(positions) != 1
    bare = sum(1 for p in positions if without_stop(p))
    line: Line = [
        (f"{len(positions)} position{'s' * many} stay{'s' * (not many)} open, and managed: "
         "now about ", "dim"), view.gain(total([p.profit for p in positions])),
    ]  # fmt: skip
    if bare:
        return [line, [(f"{bare} of them without a stop: the loss has no bound.", "warn")]]
    worst = total([p.risk for p in positions])
    return [line, [("If all stops are hit: ", "dim"), view.gain(worst, show_arrow=False)]]


def pause_or_resume(view: View) -> Plan:
    """Pause a bot that runs, resume one that is paused."""
    bot = view.session.state.typed.bot
    if bot is not None and bot.state == "paused":
        return Plan("resume", {}, "Resume the bot", lambda view, _: [
            [("The bot trades again: it scans at once.", "text")], *_room(view)])  # fmt: skip
    return Plan("pause", {}, "Pause the bot", lambda view, _: [
        [("No new trades until it is resumed; it goes on scanning.", "text")],
        *_stay(view),
    ])  # fmt: skip


def _room(view: View) -> list[Line]:
    """How much the limits leave for new trades."""
    limits = view.session.account.limits or {}
    line: Line = []
    places = limits.get("open_positions")
    if places is not None:
        line += [("Open ", "dim"),
                 (f"{f.number(places.value)} of {f.number(places.limit)} positions", "text")]  # fmt: skip
    loss = limits.get("daily_loss")
    left = None if loss is None else loss.left
    if left is not None:
        line += [("; the day may still lose " if line else "The day may still lose ", "dim"),
                 (view.cash(left), "text")]  # fmt: skip
    return [line] if line else []


def halt_or_release(view: View) -> Plan:
    """The kill switch, and its release."""
    bot = view.session.state.typed.bot
    if bot is not None and bot.state == "halted":
        reason = None if bot.reason is None else bot.reason.text
        return Plan("release", {}, "Release the kill switch", lambda view, _: [
            [("New trades are possible again, and the limits are counted from now on.", "text")],
            [(f"It was set because: {word(reason, 200)}", "dim")],
            *_room(view)], {"release": {}})  # fmt: skip

    def say(view: View, texts: Texts) -> Sequence[Line]:
        lines: list[Line] = [
            [("No new trade is opened until it is released, also after a restart.", "text")],
            [],
            [("halt", "key"), ("          ", ""), *_stay(view)[0]],
            *([("              ", ""), *line] for line in _stay(view)[1:]),
        ]
        if view.session.state.typed.positions:
            lines += [
                [("halt flatten", "key"),
                 ("  closes all of them too, at the market", "text")],
            ]  # fmt: skip
        return lines

    return Plan("halt", {"reason": "operator, from the screen"}, "Kill switch", say,
                {"halt": {}, "halt flatten": {"flatten": True}})  # fmt: skip


def scan_now(view: View) -> Plan:
    """Scan at once instead of at the next turn."""

    def say(view: View, texts: Texts) -> Sequence[Line]:
        left = view.session.next_scan()
        due = "" if left is None or left <= 0 else f" instead of in {f.countdown(left)}"
        bot = view.session.state.typed.bot
        if bot is not None and bot.state in ("paused", "halted"):
            after = f"The bot is {bot.state}: it scans, but opens nothing."
        else:
            after = "What passes all gates is traded, as at any scan."
        return [[(f"All symbols are scanned at once{due}.", "text")], [(after, "dim")],
                *_room(view)]  # fmt: skip

    return Plan("scan_now", {}, "Scan now", say)


def with_fields(plan: Plan, texts: Texts) -> tuple[dict[str, Any], str]:
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
            full = plan.row.volume if plan.row else None
            if value <= 0 or (full is not None and value > full):
                return {}, f"Lots: more than 0, at most {f.lots(full)}"
        args[name] = value
    if plan.name == "modify_position" and args == dict(plan.args):
        return {}, "Nothing was changed"
    return args, ""


__all__ = ["OPEN", "PENDING", "Plan"]
