"""What is known of one position, one symbol, one trade or one event."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

from msgspec import UnsetType
from textual.binding import Binding, BindingType

from streamer.protocol.lenient import read
from streamer.protocol.messages import PositionClosed, PositionOpened
from streamer.state.source import Wire
from streamer.state.trades import Trade
from streamer.words.sentences import close_reason
from streamer.words.stages import stage_of

from ..panels.positions import OPEN, PENDING, PositionRow, levels, row_now, side_of
from ..panels.scanner import NO_DETAIL, stage
from ..panels.scanner import levels as levels_of_setup
from ..panels.symbol_chart import chart
from ..render import describe
from ..render import format as f
from ..render.chart import PriceLevel
from ..render.lines import Line, beside, line_width, wrap
from ..session.results import net_profit
from ..session.session import LogLine
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


def components(parts: Mapping[str, float] | None, cells: int) -> list[Line]:
    """The components of a score as bars, the greatest first."""
    if not parts:
        return []
    top = max(abs(value) for value in parts.values())
    lines: list[Line] = []
    for name, value in sorted(parts.items(), key=lambda item: -item[1]):
        bar = f.gauge(value, top, min(24, max(4, cells - 26))).rstrip("·") if value else ""
        lines.append(
            [(f"  {word(name, 14):<14}", "dim"), (f"{value:6.1f} ", "text"), (bar, "chart")]
        )
    return lines


def excursion(
    view: View, low: float | None, high: float | None, risk: float | None, note: str = ""
) -> list[Line]:
    """How far a position went against its owner and for him; nothing where that is unknown."""
    if low is None or high is None:
        return []
    line: Line = [(f"{'Lowest, highest':<{LABEL}}", "dim")]
    for value in (low, high):
        line += [view.gain(value)]
        if risk:
            line.append((f" {f.multiple(value / risk)}R", "dim"))
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
        self.refresh_view(self.dash.view())

    def chart(self, view: View, cells: int, rows: int, levels: Sequence[PriceLevel]) -> list[Line]:
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

    def __init__(self, row: PositionRow) -> None:
        super().__init__(row.symbol)
        self.row = row
        kind = {OPEN: "Position", PENDING: "Pending order"}.get(row.kind, "Closed position")
        if row.kind == PENDING:
            self.keys = (("t", "timeframe"), ("D", "delete"))
        self.heading = f"{kind} #{word(row.ticket, 20)}  {word(row.symbol, 16)}"

    def facts(self, view: View, row: PositionRow, gone: bool) -> list[Line]:
        """The facts of the position, one a line."""
        digits = row.digits
        r = row.r_multiple
        lines: list[Line] = []
        if gone:
            lines.append([("No longer open: these are the last values seen.", "warn")])
        lines.append(
            pair("Side", (f"{f.side(row.direction)} {f.lots(row.volume)} lots", "bold"),
                 note=f"by {word(row.owner, 12)}, magic {word(row.magic, 12)}")
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
                pair("Profit", view.gain(row.profit), note=f"{f.multiple(r)}R" if r is not None else ""),
                *self.went(view, row),
            ]  # fmt: skip
        stop = row.sl
        sl_note = "" if stop else "no stop: the loss has no bound"
        target = row.tp
        lines += [
            pair("Stop", (f.price(row.sl, digits), "text" if stop else "warn"),
                 note=sl_note or self._reach(row, row.sl)),
            pair("Target", (f.price(row.tp, digits), "text" if target else "dim"),
                 note=self._reach(row, row.tp)),
        ]  # fmt: skip
        if row.kind != PENDING:
            lines.append(pair("If SL is hit", view.gain(row.risk) if stop else ("–", "warn"),
                              note=f"first risk {view.cash(row.initial_risk)}"))  # fmt: skip
            lines.append(pair("Swap, commission", (view.cash(row.swap, sign=True), "text"),
                              (f", {view.cash(row.commission, sign=True)}", "text")))  # fmt: skip
        lines.append(
            pair("Since", (f"{f.stamp(f.parse_time(row.since), '%Y-%m-%d %H:%M:%S')}", "text"),
                 note=f"{f.whole_age(view.session.position_age(row.since))} of market time")
        )  # fmt: skip
        if row.comment:
            lines.append(pair("Comment", (word(row.comment, 64), "text")))
        return lines

    def went(self, view: View, row: PositionRow) -> list[Line]:
        """Excursion as the feed kept it, else as far as this screen saw it."""
        trade = view.session.trades.trade(row.ticket)
        if trade is not None and trade.mae is not None:
            return excursion(view, trade.mae, trade.mfe, row.initial_risk)
        if row.ticket is None or row.ticket not in view.session.extremes:
            return []
        low, high = view.session.extremes[row.ticket]
        return excursion(view, low, high, row.initial_risk, "seen here")

    def _reach(self, row: PositionRow, price: float | None) -> str:
        away = f.pips(row.now, price, "BUY", row.digits) if price else None
        return "" if away is None else f"{abs(away):.1f} pips away"

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        now = row_now(self.row, view)
        if now is not None:
            self.row = now
        row = self.row
        facts = self.facts(view, row, now is None)
        history = history_of(view, row.ticket)
        trade = None if row.kind == PENDING else view.session.trades.trade(row.ticket)
        why = reasons(opening(history) or trade, cells)
        after: list[Line] = [[], [("What happened to it", "head")]]
        after += [_event_line(line.event, line.text(view.mask)) for line in history]
        after += [] if history else bookings(view, trade)
        if cells >= BROAD:
            top = beside(facts, why, HALF)
            height = max(8, min(18, rows - len(top) - 1 - min(len(after), 8)))
            return [*top, [], *self.chart(view, cells, height, levels(row)), *after]
        # Where room is short the facts and what happened come first; the candles are below.
        chart_lines = self.chart(view, cells, max(8, min(18, rows - 2)), levels(row))
        return [*facts, [], *why, *after, [], *chart_lines]


def history_of(view: View, ticket: int | None) -> list[LogLine]:
    """The lines about one position or order."""
    return [] if ticket is None else [x for x in view.session.lines if x.ticket == ticket]


def opening(history: Sequence[LogLine]) -> PositionOpened | None:
    """The event that opened the position whose history this is."""
    events = (line.event for line in history if line.event.get("type") == "POSITION_OPENED")
    return next((read(event, PositionOpened) for event in events), None)


def reasons(opened: PositionOpened | Trade | None, cells: int) -> list[Line]:
    """Why a position was opened: its score and the parts of that, where they are known."""
    if opened is None or not opened.components:
        return []
    head: Line = [("Why it was opened", "head")]
    head += [(f"  score {f.number(opened.score)}", "text")]
    if cells >= BROAD:
        return [head, *components(opened.components, cells - HALF)]
    values = sorted(((k, v) for k, v in opened.components.items() if v), key=lambda kv: -kv[1])
    text = ", ".join(f"{word(name, 14)} {value:.1f}" for name, value in values)
    return [head, *([(f"  {part}", "text")] for part in wrap(text, cells - 2))]


def _event_line(event: Wire, text: str) -> Line:
    return [
        (f"  {f.clock(event.get('timestamp'))} ", "faint"),
        (f"{word(describe.tag(event), 6):<7}", describe.style(event)),
        (word(text, 400), describe.LEVEL_STYLE[describe.level(event)]),
    ]


def bookings(view: View, trade: Trade | None) -> list[Line]:
    """What the feed's ledger has of a trade whose events this screen does not hold."""
    if trade is None:
        return [[("  no event of it is held here", "dim")]]
    rows: list[tuple[str | None, str, float | None, float | None]] = [
        (trade.opened_at, "opened", trade.volume, None)
    ]
    rows += [(at, "added", volume, None) for at, volume, _ in trade.entries]
    rows += [(at, "reduced", volume, profit) for at, volume, profit in trade.exits]
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
        scan = view.session.state.typed.scan
        detail = NO_DETAIL if scan is None else scan.details.get(self.symbol, NO_DETAIL)
        quote = view.session.quote(self.symbol)
        digits = quote.digits
        reached = stage(detail)
        text = None if scan is None else scan.symbols.get(self.symbol)
        drawn = levels_of_setup(detail)
        for position in view.session.state.typed.positions:
            if position.symbol == self.symbol and position.entry_price:
                side = word(side_of(position), 4)
                drawn.append(PriceLevel(side, position.entry_price, "info"))
        height = max(8, min(20, rows - (14 if cells >= BROAD else 10)))
        lines: list[Line] = [
            [(f"{reached.sign} {reached.name}", reached.tone), (f"  {word(text, 200)}", "text"),
             (f"  scanned {f.whole_age(view.session.scan_age())} ago", "dim")],
            [("bid ", "dim"), (f.price(quote.bid, digits), "bold"), ("  ask ", "dim"),
             (f.price(quote.ask, digits), "bold"), ("  spread ", "dim"),
             (f.number(detail.spread), "text"), (" points  ATR ", "dim"),
             (f.price(detail.atr, digits), "text"), ("  regime ", "dim"),
             (word(detail.regime, 16), "text")],
            [],
            *self.chart(view, cells, height, drawn),
            [],
        ]  # fmt: skip
        setup: list[Line] = []
        setup.append(
            [("Set-up ", "head"), (f.side(detail.direction), "text"),
             ("  score ", "dim"), (f.number(detail.score), "bold"),
             (f" of {f.number(detail.need)} needed", "dim")]
        )  # fmt: skip
        if detail.entry:
            setup.append(
                [("  entry ", "dim"), (f.price(detail.entry, digits), "text"),
                 ("  SL ", "dim"), (f.price(detail.sl, digits), "down"),
                 ("  TP ", "dim"), (f.price(detail.tp, digits), "up"),
                 ("  R:R ", "dim"), (f.number(detail.r, 2), "text")]
            )  # fmt: skip
        past = view.session.reasons.get(self.symbol)
        why: list[Line] = [[("Why not, scan by scan (newest first)", "head")]]
        for reason in reversed(past or ()):
            tint = stage_of(reason.code).tone
            why.append([(f"  {f.clock(reason.at)} ", "faint"), (word(reason.text, 200), tint)])
        if cells >= BROAD:
            return [*lines, *beside([*setup, *components(detail.components, HALF)], why, HALF)]
        return [*lines, *setup, *components(detail.components, cells), [], *why]


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

    def __init__(self, closed: PositionClosed) -> None:
        super().__init__(closed.symbol or "")
        self.closed = closed
        self.heading = f"Trade #{word(closed.ticket, 20)}  {word(closed.symbol, 16)}"

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        c = self.closed
        trade = view.session.trades.trade(c.ticket)
        entry, out, low, high = c.entry_price, c.exit_price, known(c.mae), known(c.mfe)
        if trade is not None:
            entry, out = entry or trade.entry_price, out or trade.exit_price
            low, high = (trade.mae, trade.mfe) if low is None or high is None else (low, high)
        ended = close_reason(c.close_reason)
        net = net_profit(c)
        lines: list[Line] = [
            pair("Side", (f"{f.side(c.direction)} {f.lots(c.volume)} lots", "bold")),
            pair("Entry → exit", (f"{f.price(entry)} → ", "dim"), (f.price(out), "bold")),
            pair("Profit, net", view.gain(net),
                 note="" if c.r_multiple is None else f"{f.number(c.r_multiple, 2, sign=True)}R"),
            *excursion(view, low, high, None if trade is None else trade.initial_risk),
            pair("Swap, commission", (view.cash(c.swap, sign=True), "text"),
                 (f", {view.cash(c.commission, sign=True)}", "text")),
            pair("Ended", (f.UNKNOWN if ended is None else word(ended.text), tone(net)),
                 note=f"after {f.whole_age(c.duration_s)}"),
        ]  # fmt: skip
        drawn = [
            PriceLevel(label, price, style)
            for label, price, style in (("in", entry, "accent"), ("out", out, "info"))
            if price
        ]
        history = history_of(view, c.ticket)
        has_parts = trade is not None and trade.components
        grounds = reasons(trade if has_parts else opening(history), cells)
        after: list[Line] = [[], [("What happened to it", "head")]]
        after += [_event_line(line.event, line.text(view.mask)) for line in history]
        after += [] if history else bookings(view, trade)
        if cells >= BROAD:
            top = beside(lines, grounds, HALF)
            height = max(8, min(18, rows - len(top) - 1 - min(len(after), 8)))
            return [*top, [], *self.chart(view, cells, height, drawn), *after]
        chart_lines = self.chart(view, cells, max(8, min(16, rows - 2)), drawn)
        return [*lines, [], *grounds, *after, [], *chart_lines]


def known(value: float | UnsetType | None) -> float | None:
    """A field that older feeds do not send at all."""
    return None if isinstance(value, UnsetType) else value
