"""Open positions, pending orders, positions just closed; the totals and the worst case."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar, Literal, TypeAlias

import msgspec

from streamer.protocol.messages import PendingOrder, Position, PositionClosed
from streamer.words.sentences import close_reason

from ..render import format as f
from ..render.chart import PriceLevel
from ..render.lines import Line, Part
from ..session.view import View, tone, word
from .columns import Column
from .symbol_chart import CHART_ROWS, chart
from .table import TablePanel

RowKind: TypeAlias = Literal["open", "pending", "closed"]
OPEN: RowKind = "open"
PENDING: RowKind = "pending"
CLOSED: RowKind = "closed"
PENDING_KIND = {"limit": "LIMIT", "stop": "STOP", "stop_limit": "ST-LIM"}


class PositionRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A position, a pending order, or a position that was closed seconds ago.

    Prices in quote currency (0.0: no stop, no target), money in account currency, volume in
    lots; ``None`` where unknown. ``ticket`` of a pending order is its order number, ``entry`` the
    price it waits for; ``now`` of a closed position is the price it was closed at.
    """

    kind: RowKind
    ticket: int | None
    symbol: str
    direction: str | None
    volume: float | None
    entry: float | None
    now: float | None
    sl: float | None = None
    tp: float | None = None
    profit: float | None = None
    risk: float | None = None
    initial_risk: float | None = None
    r_multiple: float | None = None
    swap: float | None = None
    commission: float | None = None
    since: str | None = None
    duration_s: float | None = None
    magic: int | None = None
    comment: str | None = None
    owner: str | None = None
    digits: int | None = None
    order_kind: str | None = None
    close_reason: str | None = None
    closed: PositionClosed | None = None
    """The event that closed the position."""

    @classmethod
    def of_position(cls, position: Position) -> PositionRow:
        """The row of an open position."""
        profit, risk = position.profit, position.initial_risk
        return cls(
            kind=OPEN,
            ticket=position.ticket,
            symbol=position.symbol or "",
            direction=side_of(position),
            volume=position.volume,
            entry=position.entry_price,
            now=position.price_current,
            sl=position.sl_price,
            tp=position.tp_price,
            profit=profit,
            risk=position.risk,
            initial_risk=risk,
            r_multiple=None if profit is None or not risk else profit / risk,
            swap=position.swap,
            commission=position.commission,
            since=position.opened_at,
            magic=position.magic,
            comment=position.comment,
            owner=position.owner,
            digits=position.digits,
        )

    @classmethod
    def of_order(cls, order: PendingOrder) -> PositionRow:
        """The row of a pending order."""
        return cls(
            kind=PENDING,
            ticket=order.order,
            symbol=order.symbol or "",
            direction=order.direction,
            volume=order.volume,
            entry=order.price,
            now=order.price_current,
            sl=order.sl,
            tp=order.tp,
            since=order.placed_at,
            magic=order.magic,
            comment=order.comment,
            owner=order.owner,
            digits=order.digits,
            order_kind=order.kind,
        )

    @classmethod
    def of_closed(cls, closed: PositionClosed, digits: int | None) -> PositionRow:
        """The row of a position that is closed; ``digits`` are those of its symbol."""
        return cls(
            kind=CLOSED,
            ticket=closed.ticket,
            symbol=closed.symbol or "",
            direction=closed.direction,
            volume=closed.volume,
            entry=closed.entry_price,
            now=closed.exit_price,
            profit=closed.profit,
            r_multiple=closed.r_multiple,
            swap=closed.swap,
            commission=closed.commission,
            since=closed.opened_at,
            duration_s=closed.duration_s,
            owner=closed.owner,
            digits=digits,
            close_reason=closed.close_reason,
            closed=closed,
        )


def row_now(row: PositionRow, view: View) -> PositionRow | None:
    """The position or order as the feed has it now; ``None`` when it is gone."""
    typed = view.session.state.typed
    if row.kind == PENDING:
        orders = (o for o in typed.orders if o.order == row.ticket)
        return next((PositionRow.of_order(order) for order in orders), None)
    positions = (p for p in typed.positions if p.ticket == row.ticket)
    return next((PositionRow.of_position(position) for position in positions), None)


def side_of(position: Position) -> str | None:
    """BUY or SELL of a position, also of one that has only MT5's type 0 or 1."""
    if position.direction in ("BUY", "SELL"):
        return position.direction
    return {0: "BUY", 1: "SELL"}.get(-1 if position.type is None else position.type)


def without_stop(position: Position) -> bool:
    """Whether a position has no known stop: its loss has no bound."""
    return not position.sl_price


def levels(row: PositionRow) -> list[PriceLevel]:
    """Stop, target and entry, for the chart."""
    found = (("SL", row.sl, "down"), ("TP", row.tp, "up"), ("in", row.entry, "accent"))
    return [PriceLevel(name, price, style) for name, price, style in found if price]


def gain(row: PositionRow, view: View) -> float | None:
    """The row's profit in the chosen unit."""
    if row.kind == PENDING:
        return None
    if view.unit == "R":
        return row.r_multiple
    if view.unit == "pips":
        return f.pips(row.entry, row.now, row.direction, row.digits)
    if view.unit == "%":
        balance = view.session.account.balance
        return None if row.profit is None or not balance else row.profit / balance * 100
    return row.profit


def _gain_cell(row: PositionRow, view: View, cells: int) -> Line:
    if row.kind == PENDING:
        return [("waits", "dim")]
    value = gain(row, view)
    if view.unit == "money":
        return [view.gain(value)]
    text = {
        "R": f.multiple(value) + "R",
        "pips": f.number(value, 1, sign=True) + "p",
        "%": f.percent(value, 2, sign=True),
    }[view.unit]
    return [((f.UNKNOWN if value is None else text) + f.arrow(value), tone(value))]


def _r_cell(row: PositionRow, view: View, cells: int) -> Line:
    return [(f.multiple(row.r_multiple), tone(row.r_multiple))]


def _side_cell(row: PositionRow, view: View, cells: int) -> Line:
    text = f.side(row.direction)
    if row.kind == PENDING:
        text = text[:1] + PENDING_KIND.get(row.order_kind or "", "ORDER")
    return [(text, "up" if row.direction == "BUY" else "down" if row.direction else "dim")]


def _bar_cell(row: PositionRow, view: View, cells: int) -> Line:
    cells = cells or 9
    if row.kind == CLOSED:
        reason = close_reason(row.close_reason)
        return [("closed" if reason is None else f"closed {word(reason.short, 8)}", "dim")]
    if row.kind == PENDING:
        return _distance(row)
    bar = f.stop_bar(row.entry, row.now, row.sl, row.tp, cells)
    if not row.sl:
        return [(bar, "warn")]
    at = bar.find("●")
    if at < 0:
        return [(bar, "dim")]
    return [(bar[:at], "faint"), ("●", tone(row.profit)), (bar[at + 1 :], "faint")]


def _distance(row: PositionRow) -> Line:
    away = f.pips(row.now, row.entry, "BUY", row.digits)
    return [(f"{abs(away):.0f}p away" if away is not None else f.UNKNOWN, "dim")]


def _risk_cell(row: PositionRow, view: View, cells: int) -> Line:
    if row.kind != OPEN:
        return [("", "")]
    if not row.sl:
        return [("no stop", "warn")]
    return [view.gain(row.risk, show_arrow=False)]


def _age(row: PositionRow, view: View) -> float | None:
    return row.duration_s if row.kind == CLOSED else view.session.position_age(row.since)


def _owner(row: PositionRow) -> str:
    return {"bot": "bot", "manual": "man"}.get(row.owner or "", f.UNKNOWN)


class PositionsPanel(TablePanel[PositionRow]):
    """Open positions and pending orders, and for a while those that were just closed."""

    SORT = ("pl", True)
    COLUMNS: ClassVar[tuple[Column[PositionRow], ...]] = (
        Column(
            "symbol",
            "Symbol",
            lambda r, v, w: [(word(r.symbol, 16), "bold")],
            0,
            value=lambda r, v: r.symbol,
        ),
        Column("side", "Side", _side_cell, 0, value=lambda r, v: r.direction or ""),
        Column(
            "lots",
            "Lots",
            lambda r, v, w: [(f.lots(r.volume), "text")],
            0,
            "r",
            value=lambda r, v: r.volume,
            falling=True,
        ),
        Column(
            "entry",
            "Entry",
            lambda r, v, w: [(f.price(r.entry, r.digits), "dim")],
            5,
            "r",
            value=lambda r, v: r.entry,
        ),
        Column(
            "now",
            "Now",
            lambda r, v, w: v.price(str(r.ticket), r.now, r.digits),
            2,
            "r",
            value=lambda r, v: r.now,
        ),
        Column("pl", "P/L", _gain_cell, 0, "r", least=9, value=gain, falling=True),
        Column("r", "R", _r_cell, 3, "r", value=lambda r, v: r.r_multiple, falling=True),
        Column("bar", "SL → TP", _bar_cell, 4, least=9, most=19),
        Column("risk", "If SL hit", _risk_cell, 6, "r", value=lambda r, v: r.risk),
        Column(
            "age", "Age", lambda r, v, w: [(f.whole_age(_age(r, v)), "dim")], 4, "r", value=_age
        ),
        Column(
            "owner", "By", lambda r, v, w: [(_owner(r), "dim")], 7, value=lambda r, v: _owner(r)
        ),
        Column(
            "sl",
            "SL",
            lambda r, v, w: [(f.price(r.sl, r.digits), "dim")],
            8,
            "r",
            value=lambda r, v: r.sl,
        ),
        Column(
            "tp",
            "TP",
            lambda r, v, w: [(f.price(r.tp, r.digits), "dim")],
            8,
            "r",
            value=lambda r, v: r.tp,
        ),
        Column(
            "ticket",
            "Ticket",
            lambda r, v, w: [(word(r.ticket, 20), "dim")],
            9,
            "r",
            value=lambda r, v: r.ticket,
        ),
        Column(
            "swap",
            "Swap",
            lambda r, v, w: [(v.cash(r.swap, sign=True), "dim")],
            10,
            "r",
            value=lambda r, v: r.swap,
        ),
        Column(
            "commission",
            "Comm",
            lambda r, v, w: [(v.cash(r.commission, sign=True), "dim")],
            10,
            "r",
            value=lambda r, v: r.commission,
        ),
        Column(
            "magic",
            "Magic",
            lambda r, v, w: [(word(r.magic, 12), "dim")],
            11,
            "r",
            value=lambda r, v: r.magic,
        ),
        Column("comment", "Comment", lambda r, v, w: [(word(r.comment, 31), "dim")], 12),
    )

    def fetch(self, view: View) -> Sequence[PositionRow]:
        session = view.session
        typed = session.state.typed
        rows = [PositionRow.of_position(position) for position in typed.positions]
        open_tickets = {row.ticket for row in rows}
        for ticket, (_, closed) in session.just_closed.items():
            if ticket not in open_tickets:
                digits = session.quote(closed.symbol).digits
                rows.append(PositionRow.of_closed(closed, digits))
        rows += [PositionRow.of_order(order) for order in typed.orders]
        return rows

    def version(self, view: View) -> object:
        revisions = view.session.state.revisions
        return (
            revisions["positions"],
            revisions["orders"],
            tuple(view.session.just_closed),
            view.unit,
            # The order of the rows is held after a key or a click; later it must be sorted again.
            view.session.clock.mono() - self._touched_at < 3.0,
        )

    def _sorted(self, rows: list[PositionRow], view: View) -> list[PositionRow]:
        rows = super()._sorted(rows, view)
        # Orders have no profit to sort by: they stay below the positions.
        orders = [row for row in rows if row.kind == PENDING]
        return [*(row for row in rows if row.kind != PENDING), *orders] if orders else rows

    def key(self, row: PositionRow) -> Hashable:
        return row.kind == PENDING, str(row.ticket)

    def row_style(self, row: PositionRow, view: View) -> str:
        if row.kind == CLOSED:
            return "ghost"
        return "dim" if view.stale else ""

    def count(self) -> str:
        if self.view is None:
            return ""
        state = self.view.session.state
        if "positions" not in state.updated and not state.typed.positions:
            return "?"
        shown = sum(1 for r in self.rows if r.kind == OPEN)
        total = len(state.typed.positions)
        text = str(shown) if shown == total else f"{shown} of {total}"
        return text + (f" +{len(state.typed.orders)} pending" if state.typed.orders else "")

    def marks(self) -> Line:
        if self.view is not None and self.view.stale:
            return [("STALE ?", "crit")]
        line = super().marks()
        if self.view is not None and self.view.unit != "money":
            line.append((f"  in {self.view.unit}", "key"))
        return line

    def empty(self, view: View) -> str:
        # An empty list before the first answer is not "flat".
        known = "positions" in view.session.state.updated
        return "flat: no open position" if known else "positions are not known yet"

    def waiting(self, view: View, cells: int) -> list[Line]:
        """The steps of the start, until the account is known."""
        steps = view.session.steps
        if steps is None or "account" in view.session.state.updated:
            return []
        return steps.lines(cells, view.session.clock.mono())

    def fill(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        """Candles of the symbol under the cursor, where there is room for them."""
        row = self.current
        if row is None or rows < CHART_ROWS or cells < 50:
            return ()
        lines = chart(view, row.symbol, "M5", cells, min(rows - 1, 24), levels(row))
        return [[], *lines] if len(lines) > 1 else ()

    def foot(self, view: View) -> Sequence[Part]:
        positions = view.session.state.typed.positions
        if not positions:
            return ()
        net = total([p.profit for p in positions])
        size = total([p.volume for p in positions])
        risks = [p.risk for p in positions if not without_stop(p)]
        worst = total(risks) if risks else None
        bare = len(positions) - len(risks)
        owners = [p.owner for p in positions]
        owned, by_hand = owners.count("bot"), owners.count("manual")
        balance = view.session.account.balance
        share = worst / balance * 100 if worst is not None and balance else None
        worst_piece = view.gain(worst, show_arrow=False)
        stops: Line = [("if all stops hit ", "dim"), worst_piece]
        short: Line = [("to SL ", "dim"), worst_piece]
        if share is not None:
            stops.append((f" {f.percent(share, sign=True)}", tone(worst)))
        parts = [
            Part(
                (
                    [(f"Σ {len(positions)} open", "text"), (f"  {f.lots(size)} lots", "dim")],
                    [(f"Σ {len(positions)} open", "text")],
                ),
                1,
            ),
            Part(([("net ", "dim"), view.gain(net)],), 0),
            Part((stops, short), 0),
        ]
        if bare:
            text = f"{bare} without a stop"
            parts.append(Part(([(text, "warn")], [(f"{bare} no SL!", "warn")]), 0))
        parts.append(
            Part(
                (
                    [(f"bot {owned}  by hand {by_hand}", "dim")],
                    [(f"bot {owned} man {by_hand}", "dim")],
                ),
                3,
            )
        )
        return parts


def total(values: Sequence[float | None]) -> float | None:
    """The sum; ``None`` when one of the values is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
