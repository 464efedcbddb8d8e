"""Sheets about one position, one symbol, one trade or one event."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
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
from ..render.lines import Line, Piece, beside, line_width, wrap
from ..render.pieces import blank, bold, dim, faint, head, normal, warn
from ..session.results import net_profit
from ..session.session import LogLine
from ..session.view import View, tone, word
from .base import Sheet

TIMEFRAMES = ("M1", "M5", "M15", "H1", "H4", "D1")
LABEL = 18
"""Cells of the name of a fact."""
BROAD, HALF = 100, 62
"""Cells from which on a sheet has two halves, and the width of the left one."""


def pair(label: str, *value: Piece, note: str = "") -> Line:
    """One fact: its name, its value, and a remark."""
    line: Line = [dim(f"{label:<{LABEL}}"), *value]
    if note:
        line.append(dim(f"  {note}"))
    return line


def components(parts: Mapping[str, float] | None, cells: int) -> list[Line]:
    """The components of a score as bars, the greatest first."""
    if not parts:
        return []
    top = max(abs(value) for value in parts.values())
    lines: list[Line] = []
    for name, value in sorted(parts.items(), key=lambda item: -item[1]):
        bar = f.gauge(value, top, min(24, max(4, cells - 26))).rstrip("·") if value else ""
        lines.append([dim(f"  {word(name, 14):<14}"), normal(f"{value:6.1f} "), (bar, "chart")])
    return lines


def excursion(
    view: View, low: float | None, high: float | None, risk: float | None, note: str = ""
) -> list[Line]:
    """Lowest and highest profit of a position; no line while they are unknown."""
    if low is None or high is None:
        return []
    line: Line = [dim(f"{'Lowest, highest':<{LABEL}}")]
    for value in (low, high):
        line.append(view.gain(value))
        if risk:
            line.append(dim(f" {f.multiple(value / risk)}R"))
        line.append(blank(3))
    return [[*line, dim(note)]]


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
        """Candles of the symbol with these levels, in ``rows`` lines."""
        return chart(view, self.symbol, self.timeframe, cells, rows, levels)

    def lay_out(
        self,
        view: View,
        cells: int,
        rows: int,
        *,
        facts: list[Line],
        why: list[Line],
        history: list[Line],
        levels: Sequence[PriceLevel],
    ) -> list[Line]:
        """Facts and reasons beside each other, candles below them, then the history. A narrow
        sheet has the candles last: facts and history come first."""
        if cells >= BROAD:
            top = beside(facts, why, HALF)
            height = max(8, min(18, rows - len(top) - 1 - min(len(history), 8)))
            return [*top, [], *self.chart(view, cells, height, levels), *history]
        candles = self.chart(view, cells, max(8, min(18, rows - 2)), levels)
        return [*facts, [], *why, *history, [], *candles]


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
        """The facts of the position, one per line."""
        price = partial(f.price, digits=row.digits)
        stop, target = row.sl, row.tp
        since = f.stamp(f.parse_time(row.since), "%Y-%m-%d %H:%M:%S")
        lines: list[Line] = []
        if gone:
            lines.append([warn("No longer open: these are the last values.")])
        lines.append(
            pair(
                "Side",
                bold(f"{f.side(row.direction)} {f.lots(row.volume)} lots"),
                note=f"by {word(row.owner, 12)}, magic {word(row.magic, 12)}",
            )
        )
        if row.kind == PENDING:
            lines.append(pair("Waits for", normal(price(row.entry)), note=f"now {price(row.now)}"))
        else:
            moved = f.pips(row.entry, row.now, row.direction, row.digits)
            pips = "" if moved is None else f"{f.number(moved, 1, sign=True)} pips"
            r = "" if row.r_multiple is None else f"{f.multiple(row.r_multiple)}R"
            lines += [
                pair("Entry → now", dim(f"{price(row.entry)} → "), bold(price(row.now)), note=pips),
                pair("Profit", view.gain(row.profit), note=r),
                *self.excursion(view, row),
            ]
        no_stop = "" if stop else "no stop: the loss has no bound"
        lines += [
            pair(
                "Stop",
                normal(price(stop)) if stop else warn(price(stop)),
                note=no_stop or self._distance(row, stop),
            ),
            pair(
                "Target",
                normal(price(target)) if target else dim(price(target)),
                note=self._distance(row, target),
            ),
        ]
        if row.kind != PENDING:
            swap, commission = (view.cash(v, sign=True) for v in (row.swap, row.commission))
            lines += [
                pair(
                    "If SL is hit",
                    view.gain(row.risk) if stop else warn(f.UNKNOWN),
                    note=f"first risk {view.cash(row.initial_risk)}",
                ),
                pair("Swap, commission", normal(swap), normal(f", {commission}")),
            ]
        age = f.whole_age(view.session.position_age(row.since))
        lines.append(pair("Since", normal(since), note=f"{age} of market time"))
        if row.comment:
            lines.append(pair("Comment", normal(word(row.comment, 64))))
        return lines

    def excursion(self, view: View, row: PositionRow) -> list[Line]:
        """Lowest and highest profit from the feed's trades, otherwise from what this screen saw."""
        trade = view.session.trades.trade(row.ticket)
        if trade is not None and trade.mae is not None:
            return excursion(view, trade.mae, trade.mfe, row.initial_risk)
        if row.ticket is None or row.ticket not in view.session.extremes:
            return []
        low, high = view.session.extremes[row.ticket]
        return excursion(view, low, high, row.initial_risk, "seen here")

    def _distance(self, row: PositionRow, price: float | None) -> str:
        away = f.pips(row.now, price, "BUY", row.digits) if price else None
        return "" if away is None else f"{abs(away):.1f} pips away"

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        now = row_now(self.row, view)
        if now is not None:
            self.row = now
        row = self.row
        events = history_of(view, row.ticket)
        trade = None if row.kind == PENDING else view.session.trades.trade(row.ticket)
        return self.lay_out(
            view,
            cells,
            rows,
            facts=self.facts(view, row, now is None),
            why=reasons(opening(events) or trade, cells),
            history=history_lines(view, events, trade),
            levels=levels(row),
        )


def history_of(view: View, ticket: int | None) -> list[LogLine]:
    """The lines about one position or order."""
    return [] if ticket is None else [x for x in view.session.lines if x.ticket == ticket]


def opening(history: Sequence[LogLine]) -> PositionOpened | None:
    """The event that opened the position of this history."""
    events = (line.event for line in history if line.event.get("type") == "POSITION_OPENED")
    return next((read(event, PositionOpened) for event in events), None)


def reasons(opened: PositionOpened | Trade | None, cells: int) -> list[Line]:
    """Why a position was opened: its score and the components, where they are known."""
    if opened is None or not opened.components:
        return []
    first: Line = [head("Why it was opened"), normal(f"  score {f.number(opened.score)}")]
    if cells >= BROAD:
        return [first, *components(opened.components, cells - HALF)]
    values = sorted(((k, v) for k, v in opened.components.items() if v), key=lambda kv: -kv[1])
    text = ", ".join(f"{word(name, 14)} {value:.1f}" for name, value in values)
    return [first, *([normal(f"  {part}")] for part in wrap(text, cells - 2))]


def history_lines(view: View, events: Sequence[LogLine], trade: Trade | None) -> list[Line]:
    """The events of a position under their heading; without any, what the ledger has."""
    lines = [_event_line(line.event, line.text(view.mask)) for line in events]
    return [[], [head("History")], *(lines or bookings(view, trade))]


def _event_line(event: Wire, text: str) -> Line:
    return [
        faint(f"  {f.clock(event.get('timestamp'))} "),
        (f"{word(describe.tag(event), 6):<7}", describe.style(event)),
        (word(text, 400), describe.LEVEL_STYLE[describe.level(event)]),
    ]


def bookings(view: View, trade: Trade | None) -> list[Line]:
    """The ledger's entries of a trade whose events this screen does not have."""
    if trade is None:
        return [[dim("  this screen has no event of it")]]
    rows: list[tuple[str | None, str, float | None, float | None]] = [
        (trade.opened_at, "opened", trade.volume, None)
    ]
    rows += [(at, "added", volume, None) for at, volume, _ in trade.entries]
    rows += [(at, "reduced", volume, profit) for at, volume, profit in trade.exits]
    lines: list[Line] = []
    for at, what, lots, profit in rows:
        when = f.stamp(f.parse_time(at), "%Y-%m-%d %H:%M:%S")
        line: Line = [faint(f"  {when} "), normal(f"{what} {f.lots(lots)}")]
        if profit is not None:
            line += [blank(2), view.gain(profit)]
        lines.append(line)
    return [*lines, [dim("  from the feed's ledger")]]


class SymbolSheet(ChartSheet):
    """A symbol: candles, the numbers of the last scan, the reasons of the scans before."""

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
        scanned = f"  scanned {f.whole_age(view.session.scan_age())} ago"
        lines: list[Line] = [
            [
                (f"{reached.sign} {reached.name}", reached.tone),
                normal(f"  {word(text, 200)}"),
                dim(scanned),
            ],
            [
                *(dim("bid "), bold(f.price(quote.bid, digits))),
                *(dim("  ask "), bold(f.price(quote.ask, digits))),
                *(dim("  spread "), normal(f.number(detail.spread))),
                *(dim(" points  ATR "), normal(f.price(detail.atr, digits))),
                *(dim("  regime "), normal(word(detail.regime, 16))),
            ],
            [],
            *self.chart(view, cells, height, drawn),
            [],
        ]
        setup: list[Line] = [
            [
                *(head("Set-up "), normal(f.side(detail.direction))),
                *(dim("  score "), bold(f.number(detail.score))),
                dim(f" of {f.number(detail.need)} needed"),
            ]
        ]
        if detail.entry:
            setup.append(
                [
                    *(dim("  entry "), normal(f.price(detail.entry, digits))),
                    *(dim("  SL "), (f.price(detail.sl, digits), "down")),
                    *(dim("  TP "), (f.price(detail.tp, digits), "up")),
                    *(dim("  R:R "), normal(f.number(detail.r, 2))),
                ]
            )
        why: list[Line] = [[head("Reasons, scan by scan (newest first)")]]
        for reason in reversed(view.session.reasons.get(self.symbol) or ()):
            tone_of_stage = stage_of(reason.code).tone
            why.append([faint(f"  {f.clock(reason.at)} "), (word(reason.text, 200), tone_of_stage)])
        if cells >= BROAD:
            return [*lines, *beside([*setup, *components(detail.components, HALF)], why, HALF)]
        return [*lines, *setup, *components(detail.components, cells), [], *why]


class EventSheet(Sheet):
    """An event: its sentence, and the JSON object as it was published."""

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
        sentence = word(describe.text(self.event, mask=view.mask), 2000)
        lines: list[Line] = [[normal(part)] for part in wrap(sentence, cells)]
        if self.count > 1:
            lines.append([dim(f"the newest of {self.count} equal ones")])
        if view.mask:
            return [*lines, [], [dim("money is hidden: $ shows it, and the JSON object")]]
        lines.append([])
        for raw in self.body().splitlines():
            text = word(raw, 4000)
            while line_width([(text, "")]) > cells:
                lines.append([dim(text[:cells])])
                text = "    " + text[cells:]
            lines.append([dim(text)])
        return lines

    def action_copy(self) -> None:
        self.dash.copy(self.body())


class TradeSheet(ChartSheet):
    """A closed trade: its result and its history."""

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
        r = "" if c.r_multiple is None else f"{f.number(c.r_multiple, 2, sign=True)}R"
        swap, commission = (view.cash(v, sign=True) for v in (c.swap, c.commission))
        reason = f.UNKNOWN if ended is None else word(ended.text)
        facts: list[Line] = [
            pair("Side", bold(f"{f.side(c.direction)} {f.lots(c.volume)} lots")),
            pair("Entry → exit", dim(f"{f.price(entry)} → "), bold(f.price(out))),
            pair("Profit, net", view.gain(net), note=r),
            *excursion(view, low, high, None if trade is None else trade.initial_risk),
            pair("Swap, commission", normal(swap), normal(f", {commission}")),
            pair("Closed", (reason, tone(net)), note=f"after {f.whole_age(c.duration_s)}"),
        ]
        drawn = [
            PriceLevel(label, price, style)
            for label, price, style in (("in", entry, "accent"), ("out", out, "info"))
            if price
        ]
        events = history_of(view, c.ticket)
        has_parts = trade is not None and trade.components
        return self.lay_out(
            view,
            cells,
            rows,
            facts=facts,
            why=reasons(trade if has_parts else opening(events), cells),
            history=history_lines(view, events, trade),
            levels=drawn,
        )


def known(value: float | UnsetType | None) -> float | None:
    """The value of a field that older feeds do not send."""
    return None if isinstance(value, UnsetType) else value
