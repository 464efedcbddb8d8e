"""Trades by position: how each was opened and ended, statistics, the equity curve."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

import msgspec

from streamer.protocol.messages import Event, Position, PositionClosed
from streamer.state.trades import Trade

from ..render import format as f
from ..render.chart import area
from ..render.lines import Line, Part
from ..session.results import Statistics, TradeResult, net_profit
from ..session.view import View, tone, word
from .columns import Column
from .table import TablePanel


class TradeRow(msgspec.Struct, frozen=True, gc=False):
    """One trade. ``closed`` is its end, or ``None`` while it is open."""

    ticket: int | None
    symbol: str
    direction: str | None
    lot: float | None
    at: str | None
    """UTC, ISO 8601."""
    closed: PositionClosed | None
    position: Position | None

    @property
    def profit(self) -> float | None:
        """Net result when closed, else the floating profit."""
        if self.closed is not None:
            return net_profit(self.closed)
        return None if self.position is None else self.position.profit

    @property
    def r(self) -> float | None:
        """The same in units of what was risked at first."""
        if self.closed is not None:
            return self.closed.r_multiple
        risk = None if self.position is None else self.position.initial_risk
        return None if not risk or self.profit is None else self.profit / risk


def moment_of(event: Event) -> str | None:
    """When an event was published, UTC; ``None`` where the event has no time."""
    return event.timestamp if isinstance(event.timestamp, str) else None


def _result_cell(row: TradeRow, view: View, cells: int) -> Line:
    if row.closed is None and row.position is None:
        return [(f.UNKNOWN, "dim")]
    text, style = view.gain(row.profit)
    return [(text, style if row.closed is not None else f"{style} dim")]


def _end_cell(row: TradeRow, view: View, cells: int) -> Line:
    if row.closed is None:
        return [("open", "info") if row.position is not None else (f.UNKNOWN, "dim")]
    return [(word(row.closed.close_reason, 9), "dim")]


def _end(row: TradeRow) -> str:
    return "" if row.closed is None else row.closed.close_reason or ""


def _held(row: TradeRow) -> float | None:
    return None if row.closed is None else row.closed.duration_s


class TradesPanel(TablePanel[TradeRow]):
    """The trades of the day, closed and open, the newest first."""

    COLUMNS: ClassVar[tuple[Column[TradeRow], ...]] = (
        Column(
            "time",
            "UTC",
            lambda r, v, w: [(f.clock(r.at)[:5], "faint")],
            3,
            value=lambda r, v: f.parse_time(r.at),
            falling=True,
        ),
        Column(
            "symbol",
            "Symbol",
            lambda r, v, w: [(word(r.symbol, 16), "bold")],
            0,
            value=lambda r, v: r.symbol,
        ),
        Column(
            "side",
            "Side",
            lambda r, v, w: [(f.side(r.direction), "up" if r.direction == "BUY" else "down")],
            2,
            value=lambda r, v: r.direction or "",
        ),
        Column(
            "lots",
            "Lots",
            lambda r, v, w: [(f.lots(r.lot), "text")],
            4,
            "r",
            value=lambda r, v: r.lot,
            falling=True,
        ),
        Column(
            "pl",
            "P/L net",
            _result_cell,
            0,
            "r",
            least=9,
            value=lambda r, v: r.profit,
            falling=True,
        ),
        Column(
            "r",
            "R",
            lambda r, v, w: [(f.multiple(r.r), tone(r.r))],
            1,
            "r",
            value=lambda r, v: r.r,
            falling=True,
        ),
        Column("end", "End", _end_cell, 5, value=lambda r, v: _end(r)),
        Column(
            "held",
            "Held",
            lambda r, v, w: [(f.whole_age(_held(r)), "dim")],
            6,
            "r",
            value=lambda r, v: _held(r),
        ),
        Column("ticket", "Ticket", lambda r, v, w: [(word(r.ticket, 20), "dim")], 8, "r"),
    )

    def fetch(self, view: View) -> Sequence[TradeRow]:
        session = view.session
        typed = session.state.typed
        positions = {position.ticket: position for position in typed.positions}
        rows = []
        shown = set()
        for closed in session.closed:
            shown.add(closed.ticket)
            rows.append(
                TradeRow(
                    closed.ticket,
                    closed.symbol or "",
                    closed.direction,
                    closed.volume,
                    moment_of(closed),
                    closed,
                    None,
                )
            )
        for trade in typed.trades:
            if trade.ticket is not None and trade.ticket in shown:
                continue
            shown.add(trade.ticket)
            rows.append(
                TradeRow(
                    trade.ticket,
                    trade.symbol or "",
                    trade.direction,
                    trade.lot,
                    moment_of(trade),
                    None,
                    None if trade.ticket is None else positions.get(trade.ticket),
                )
            )
        rows.sort(key=lambda r: f.parse_time(r.at) or 0.0, reverse=True)
        return rows

    def version(self, view: View) -> object:
        revisions = view.session.state.revisions
        return view.session.changed, revisions["trades"], revisions["positions"]

    def key(self, row: TradeRow) -> Hashable:
        return str(row.ticket), str(row.at)

    def empty(self, view: View) -> str:
        return "no trade yet: a trade appears with its first deal"

    def count(self) -> str:
        if self.view is None or not self.rows:
            return "0"
        closed = len(self.view.session.closed)
        return f"{closed} closed" if not self.filter_text else super().count()

    def foot(self, view: View) -> Sequence[Part]:
        closed = [r.closed for r in self.rows if r.closed is not None]
        results = [TradeResult(net_profit(c), c.r_multiple) for c in closed]
        before = [] if self.filter_text else self._before(view)
        stats = Statistics.of([*results, *(TradeResult(t.profit, t.r_multiple) for t in before)])
        if not stats.closed:
            return ()
        share = stats.won / stats.closed * 100
        parts = [
            Part(([("net ", "dim"), view.gain(stats.total)],), 0),
            Part(
                (
                    [(f"won {stats.won} of {stats.closed}", "text"), (f" ({share:.0f}%)", "dim")],
                    [(f"won {stats.won}/{stats.closed}", "text")],
                ),
                0,
            ),
        ]
        if stats.factor is not None:
            parts.append(
                Part(
                    (
                        [("profit factor ", "dim"), (f"{stats.factor:.2f}", "text")],
                        [("PF ", "dim"), (f"{stats.factor:.2f}", "text")],
                    ),
                    2,
                )
            )
        if stats.average_r is not None:
            parts.append(
                Part(
                    (
                        [
                            ("average ", "dim"),
                            (f.multiple(stats.average_r) + "R", tone(stats.average_r)),
                        ],
                        [
                            ("avg ", "dim"),
                            (f.multiple(stats.average_r) + "R", tone(stats.average_r)),
                        ],
                    ),
                    1,
                )
            )
        if before:
            parts.append(Part(([(f"{len(before)} before this screen", "dim")],), 3))
        return parts

    def _before(self, view: View) -> list[Trade]:
        """Closed trades of the feed's ledger that have no row on this screen."""
        session = view.session
        newest = session.closed[0].ticket if session.closed else None
        known = session.trades.closed((session.state.epoch, len(session.closed), newest))
        if not known:
            return []
        here = {closed.ticket for closed in session.closed}
        return [trade for trade in known if trade.ticket not in here]

    def fill(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        """The equity curve, where there is room for one."""
        equity = view.session.state.typed.equity
        values = equity.value
        if rows < 4 or len(values) < 2:
            return ()
        span = f.whole_age(equity.time[-1] - equity.time[0])
        low, high = min(values), max(values)
        height = min(rows - 2, 12)
        up = values[-1] >= values[0]
        head: Line = [
            ("Equity", "head"),
            (f" last {span}", "dim"),
            ("  ", ""),
            (view.cash(low), "dim"),
            (" to ", "dim"),
            (view.cash(high), "dim"),
        ]
        lines = [[(line, "up" if up else "down")] for line in area(values, cells, height)]
        return [[], head, *lines]
