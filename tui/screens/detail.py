"""What is known of one position, one symbol, one trade or one event."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from streamer.state.source import Wire
from streamer.words.sentences import close_reason
from streamer.words.stages import stage_of

from ..panels.positions import OPEN, PENDING, Row, levels, r_now
from ..panels.scanner import stage
from ..panels.symbol_chart import chart
from ..panels.trades import net
from ..render import describe
from ..render import format as f
from ..render.chart import Level
from ..render.lines import Line, beside, line_width, wrap
from ..session.view import View, tone, word
from .base import Sheet

TIMEFRAMES = ("M1", "M5", "M15", "H1", "H4", "D1")
LABEL = 18
BROAD, HALF = 100, 62
"""From so many cells on a page has two halves; the left one takes this much."""


def pair(label: str, *value: tuple[str, str], note: str = "") -> Line:
    """One fact: its name, its value, and a remark."""
    line: Line = [(f"{label:<{LABEL}}", "dim"), *value]
    if note:
        line.append((f"  {note}", "dim"))
    return line


def components(view: View, parts: Any, cells: int) -> list[Line]:
    """The components of a score as bars, the greatest first."""
    if not isinstance(parts, dict):
        return []
    values = {str(k): v for k, n in parts.items() if (v := f.known(n)) is not None}
    top = max((abs(v) for v in values.values()), default=0.0)
    lines = []
    for name, value in sorted(values.items(), key=lambda item: -item[1]):
        bar = f.gauge(value, top, min(24, max(4, cells - 26))).rstrip("·") if value else ""
        lines.append(
            [(f"  {word(name, 14):<14}", "dim"), (f"{value:6.1f} ", "text"), (bar, "chart")]
        )
    return lines


def excursion(view: View, low: Any, high: Any, risk: Any, note: str = "") -> list[Line]:
    """How far a position went against its owner and for him; nothing where nobody looked."""
    worst, best, unit = f.known(low), f.known(high), f.known(risk)
    if worst is None or best is None:
        return []
    line: Line = [(f"{'Lowest, highest':<{LABEL}}", "dim")]
    for value in (worst, best):
        line += [view.gain(value)]
        if unit:
            line.append((f" {f.multiple(value / unit)}R", "dim"))
        line.append(("   ", ""))
    return [[*line, (note, "dim")]]


class ChartSheet(Sheet):
    """A sheet with the candles of one symbol, kept up to date."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t,right", "timeframe(1)", show=False),
        Binding("T,left", "timeframe(-1)", show=False),
    ]
    keys: Sequence[tuple[str, str]] = (("t", "timeframe"),)

    def __init__(self, symbol: str) -> None:
        super().__init__()
        self.symbol = symbol
        self.timeframe = "M5"

    def action_timeframe(self, step: int) -> None:
        at = (TIMEFRAMES.index(self.timeframe) + step) % len(TIMEFRAMES)
        self.timeframe = TIMEFRAMES[at]
        self.look(self.dash.view())

    def chart(self, view: View, cells: int, rows: int, levels: Sequence[Level]) -> list[Line]:
        return chart(view, self.symbol, self.timeframe, cells, rows, levels)


class PositionSheet(ChartSheet):
    """A position or a pending order: its money, its levels, why it was opened, its history."""

    keys: Sequence[tuple[str, str]] = (
        ("t", "timeframe"),
        ("C", "close"),
        ("M", "change SL/TP"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("C", "app.close_position", show=False),
        Binding("M", "app.modify_position", show=False),
        Binding("D", "app.cancel_order", show=False),
    ]

    def __init__(self, row: Row) -> None:
        super().__init__(row.symbol)
        self.row = row
        kind = {OPEN: "Position", PENDING: "Pending order"}.get(row.kind, "Closed position")
        if row.kind == PENDING:
            self.keys = (("t", "timeframe"), ("D", "delete"))
        self.heading = f"{kind} #{word(row.ticket, 20)}  {word(row.symbol, 16)}"

    def current(self, view: View) -> Row | None:
        """The row as the feed has it now; ``None`` when it is gone."""
        state = view.session.state
        items = state.orders if self.row.kind == PENDING else state.positions
        name = "order" if self.row.kind == PENDING else "ticket"
        for item in items:
            if str(item.get(name)) == str(self.row.ticket):
                return Row(self.row.kind, item)
        return None

    def facts(self, view: View, row: Row, gone: bool) -> list[Line]:
        """The facts of the position, one a line."""
        digits = row.digits
        profit, r = row.get("profit"), r_now(row)
        lines: list[Line] = []
        if gone:
            lines.append([("No longer open: the last values seen stand here.", "warn")])
        lines.append(
            pair("Side", (f"{f.side(row.direction)} {f.lots(row.get('volume'))} lots", "bold"),
                 note=f"by {word(row.get('owner'), 12)}, magic {word(row.get('magic'), 12)}")
        )  # fmt: skip
        if row.kind == PENDING:
            lines.append(pair("Waits for", (f.price(row.entry, digits), "text"),
                              note=f"now {f.price(row.now, digits)}"))  # fmt: skip
        else:
            moved = f.pips(row.entry, row.now, row.direction, digits)
            note = "" if moved is None else f"{f.number(moved, 1, sign=True)} pips"
            lines += [
                pair("Entry → now", (f"{f.price(row.entry, digits)} → ", "dim"),
                     (f.price(row.now, digits), "bold"), note=note),
                pair("Profit", view.gain(profit), note=f"{f.multiple(r)}R" if r is not None else ""),
                *self.went(view, row),
            ]  # fmt: skip
        stop = f.known(row.sl)
        sl_note = "" if stop else "no stop: the loss has no bound"
        target = f.known(row.tp)
        lines += [
            pair("Stop", (f.price(row.sl, digits), "text" if stop else "warn"),
                 note=sl_note or self._reach(row, row.sl)),
            pair("Target", (f.price(row.tp, digits), "text" if target else "dim"),
                 note=self._reach(row, row.tp)),
        ]  # fmt: skip
        if row.kind != PENDING:
            lines.append(pair("If SL is hit", view.gain(row.get("risk")) if stop else ("–", "warn"),
                              note=f"first risk {view.cash(row.get('initial_risk'))}"))  # fmt: skip
            lines.append(pair("Swap, commission", (view.cash(row.get("swap"), sign=True), "text"),
                              (f", {view.cash(row.get('commission'), sign=True)}", "text")))  # fmt: skip
        opened = row.get("placed_at" if row.kind == PENDING else "opened_at")
        lines.append(
            pair("Since", (f"{f.stamp(f.parse_time(opened), '%Y-%m-%d %H:%M:%S')}", "text"),
                 note=f"{f.whole_age(view.session.position_age(opened))} of market time")
        )  # fmt: skip
        if row.get("comment"):
            lines.append(pair("Comment", (word(row.get("comment"), 64), "text")))
        return lines

    def went(self, view: View, row: Row) -> list[Line]:
        """Excursion as the feed kept it, else as far as this screen saw it."""
        told = view.session.books.trade(row.ticket)
        risk = row.get("initial_risk")
        if told is not None and f.known(told.get("mae")) is not None:
            return excursion(view, told.get("mae"), told.get("mfe"), risk)
        low, high = view.session.marks.get(str(row.ticket), (row.get("mae"), row.get("mfe")))
        return excursion(view, low, high, risk, "seen here")

    def _reach(self, row: Row, price: Any) -> str:
        away = f.pips(row.now, price, "BUY", row.digits) if f.known(price) else None
        return "" if away is None else f"{abs(away):.1f} pips away"

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        now = self.current(view)
        if now is not None:
            self.row = now
        row = self.row
        facts = self.facts(view, row, now is None)
        history = [
            line for line in view.session.lines
            if str(line.event.get("ticket", line.event.get("order"))) == str(row.ticket)
        ]  # fmt: skip
        told = None if row.kind == PENDING else view.session.books.trade(row.ticket)
        opened = next((x.event for x in history if x.event.get("type") == "POSITION_OPENED"), told)
        why = reasons(view, opened, cells)
        after: list[Line] = [[], [("What happened to it", "head")]]
        after += [_event_line(line.event, line.text(view.mask)) for line in history]
        after += [] if history else bookings(view, told)
        if cells >= BROAD:
            top = beside(facts, why, HALF)
            height = max(8, min(18, rows - len(top) - 1 - min(len(after), 8)))
            return [*top, [], *self.chart(view, cells, height, levels(row)), *after]
        # Where room is short the facts and what happened come first; the candles are below.
        chart_lines = self.chart(view, cells, max(8, min(18, rows - 2)), levels(row))
        return [*facts, [], *why, *after, [], *chart_lines]


def reasons(view: View, opened: Any, cells: int) -> list[Line]:
    """Why a position was opened: its score and what that is made of, as far as it is told."""
    parts = opened.get("components") if isinstance(opened, dict) else None
    if not isinstance(parts, dict) or not parts:
        return []
    head: Line = [("Why it was opened", "head")]
    head += [(f"  score {f.number(opened.get('score'))}", "text")]
    if cells >= BROAD:
        return [head, *components(view, parts, cells - HALF)]
    values = sorted(
        ((str(k), v) for k, n in parts.items() if (v := f.known(n))), key=lambda item: -item[1]
    )
    text = ", ".join(f"{word(name, 14)} {value:.1f}" for name, value in values)
    return [head, *([(f"  {part}", "text")] for part in wrap(text, cells - 2))]


def _event_line(event: Wire, text: str) -> Line:
    return [
        (f"  {f.clock(event.get('timestamp'))} ", "faint"),
        (f"{word(describe.tag(event), 6):<7}", describe.style(event)),
        (word(text, 400), describe.LEVEL_STYLE[describe.level(event)]),
    ]


def bookings(view: View, told: dict[str, Any] | None) -> list[Line]:
    """What the feed's ledger says of a trade whose events this screen does not hold."""
    if told is None:
        return [[("  no event of it is held here", "dim")]]
    rows: list[tuple[Any, str, Any, Any]] = [
        (told.get("entry_time"), "opened", told.get("lot_size"), None)
    ]
    rows += [(e.get("time"), "added", e.get("volume"), None) for e in told.get("entries") or ()]
    rows += [
        (e.get("time"), "reduced", e.get("volume"), e.get("profit"))
        for e in told.get("exits") or ()
    ]
    lines: list[Line] = []
    for at, what, lots, profit in rows:
        when = f.stamp(f.parse_time(at), "%Y-%m-%d %H:%M:%S")
        line: Line = [(f"  {when} ", "faint"), (f"{what} ", "text"), (f.lots(lots), "text")]
        if profit is not None:
            line += [("  ", ""), view.gain(profit)]
        lines.append(line)
    return [*lines, [("  from the feed's ledger", "dim")]]


class SymbolSheet(ChartSheet):
    """A symbol: candles, the last scan in numbers, why it did not trade before."""

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol)
        self.heading = f"Symbol {word(symbol, 20)}"

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        state = view.session.state
        scan = state.scan_summary
        found = (scan.get("details") or {}).get(self.symbol)
        detail: dict[str, Any] = found if isinstance(found, dict) else {}
        quote: Any = state.quotes.get(self.symbol) or {}
        digits = quote.get("digits")
        reached = stage(detail)
        text = (scan.get("symbols") or {}).get(self.symbol)
        drawn = [
            Level(label, value, tint)
            for label, key, tint in (("in", "entry", "accent"), ("SL", "sl", "down"),
                                     ("TP", "tp", "up"))
            if (value := f.known(detail.get(key)))
        ]  # fmt: skip
        mine = [p for p in state.positions if p.get("symbol") == self.symbol]
        for position in mine:
            value = f.known(position.get("entry_price"))
            if value:
                drawn.append(Level(word(position.get("direction"), 4), value, "info"))
        height = max(8, min(20, rows - (14 if cells >= BROAD else 10)))
        lines: list[Line] = [
            [(f"{reached.sign} {reached.name}", reached.tone), (f"  {word(text, 200)}", "text"),
             (f"  scanned {f.whole_age(view.session.scan_age())} ago", "dim")],
            [("bid ", "dim"), (f.price(quote.get("bid"), digits), "bold"), ("  ask ", "dim"),
             (f.price(quote.get("ask"), digits), "bold"), ("  spread ", "dim"),
             (f.number(detail.get("spread")), "text"), (" points  ATR ", "dim"),
             (f.price(detail.get("atr"), digits), "text"), ("  regime ", "dim"),
             (word(detail.get("regime"), 16), "text")],
            [],
            *self.chart(view, cells, height, drawn),
            [],
        ]  # fmt: skip
        setup: list[Line] = []
        setup.append(
            [("Set-up ", "head"), (f.side(detail.get("direction")), "text"),
             ("  score ", "dim"), (f.number(detail.get("score")), "bold"),
             (f" of {f.number(detail.get('need'))} needed", "dim")]
        )  # fmt: skip
        if f.known(detail.get("entry")):
            setup.append(
                [("  entry ", "dim"), (f.price(detail.get("entry"), digits), "text"),
                 ("  SL ", "dim"), (f.price(detail.get("sl"), digits), "down"),
                 ("  TP ", "dim"), (f.price(detail.get("tp"), digits), "up"),
                 ("  R:R ", "dim"), (f.number(detail.get("r"), 2), "text")]
            )  # fmt: skip
        parts = detail.get("components")
        past = view.session.reasons.get(self.symbol)
        why: list[Line] = [[("Why not, scan by scan (newest first)", "head")]]
        for at, reason_code, reason in reversed(past or ()):
            tint = stage_of(reason_code).tone
            why.append([(f"  {f.clock(at)} ", "faint"), (word(reason, 200), tint)])
        if cells >= BROAD:
            return [*lines, *beside([*setup, *components(view, parts, HALF)], why, HALF)]
        return [*lines, *setup, *components(view, parts, cells), [], *why]


class EventSheet(Sheet):
    """An event as it was sent."""

    keys = (("y", "copy"),)
    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy", show=False)]

    def __init__(self, event: Wire, count: int = 1) -> None:
        super().__init__()
        self.event = event
        self.count = count
        self.heading = f"Event {word(describe.event_type(event), 40)}"

    def body(self) -> str:
        """The event as indented JSON."""
        return json.dumps(self.event, ensure_ascii=False, indent=2, default=str)

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        lines: list[Line] = [
            [(part, "text")]
            for part in wrap(word(describe.text(self.event, mask=view.mask), 2000), cells)
        ]
        if self.count > 1:
            lines.append([(f"the newest of {self.count} equal ones", "dim")])
        if view.mask:
            return [*lines, [], [("money is hidden: $ shows it, and the event as sent", "dim")]]
        lines.append([])
        for raw in self.body().splitlines():
            text = word(raw, 4000)
            while line_width([(text, "")]) > cells:
                lines.append([(text[:cells], "dim")])
                text = "    " + text[cells:]
            lines.append([(text, "dim")])
        return lines

    def action_copy(self) -> None:
        self.dash.copy(self.body())


class TradeSheet(ChartSheet):
    """A trade that is over: its result and its history."""

    def __init__(self, symbol: str, ticket: Any, closed: Wire) -> None:
        super().__init__(symbol)
        self.ticket, self.closed = ticket, closed
        self.heading = f"Trade #{word(ticket, 20)}  {word(symbol, 16)}"

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        c = self.closed
        told = view.session.books.trade(self.ticket) or {}
        entry, out = (c.get(k) if f.known(c.get(k)) else told.get(k)
                      for k in ("entry_price", "exit_price"))  # fmt: skip
        r = f.known(c.get("r_multiple"))
        ended = close_reason(c.get("close_reason"))
        why = f.UNKNOWN if ended is None else word(ended.text)
        lines: list[Line] = [
            pair("Side", (f"{f.side(c.get('direction'))} {f.lots(c.get('volume'))} lots", "bold")),
            pair("Entry → exit", (f"{f.price(entry)} → ", "dim"), (f.price(out), "bold")),
            pair("Profit, net", view.gain(net(c)),
                 note="" if r is None else f"{f.number(r, 2, sign=True)}R"),
            pair("Swap, commission", (view.cash(c.get("swap"), sign=True), "text"),
                 (f", {view.cash(c.get('commission'), sign=True)}", "text")),
            pair("Ended", (why, tone(net(c))),
                 note=f"after {f.whole_age(c.get('duration_s'))}"),
        ]  # fmt: skip
        low, high = (c.get(k) if f.known(c.get(k)) is not None else told.get(k)
                     for k in ("mae", "mfe"))  # fmt: skip
        lines[3:3] = excursion(view, low, high, told.get("initial_risk"))
        drawn = [
            Level(label, value, style)
            for label, price, style in (("in", entry, "accent"), ("out", out, "info"))
            if (value := f.known(price))
        ]
        history = [
            line for line in view.session.lines if str(line.event.get("ticket")) == str(self.ticket)
        ]
        opened = (x.event for x in history if x.event.get("type") == "POSITION_OPENED")
        grounds = reasons(view, told if told.get("components") else next(opened, None), cells)
        after: list[Line] = [[], [("What happened to it", "head")]]
        after += [_event_line(line.event, line.text(view.mask)) for line in history]
        after += [] if history else bookings(view, told or None)
        if cells >= BROAD:
            top = beside(lines, grounds, HALF)
            height = max(8, min(18, rows - len(top) - 1 - min(len(after), 8)))
            return [*top, [], *self.chart(view, cells, height, drawn), *after]
        chart_lines = self.chart(view, cells, max(8, min(16, rows - 2)), drawn)
        return [*lines, [], *grounds, *after, [], *chart_lines]
