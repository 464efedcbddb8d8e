"""Trades by position: what was opened and how it ended, statistics, the equity curve."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..render import format as f
from ..render.chart import area
from ..render.lines import Line, Part
from ..session.view import View, tone, word
from .columns import Column
from .table import TablePanel


@dataclass(frozen=True, slots=True)
class Row:
    """One trade. ``closed`` is its POSITION_CLOSED, or ``None`` while it is open."""

    ticket: Any
    symbol: str
    direction: Any
    lot: Any
    at: str | None
    closed: dict[str, Any] | None
    position: dict[str, Any] | None

    @property
    def profit(self) -> float | None:
        """Net result when closed, else what it floats at."""
        if self.closed is not None:
            return net(self.closed)
        return f.known(self.position.get("profit")) if self.position else None

    @property
    def r(self) -> float | None:
        if self.closed is not None:
            return f.known(self.closed.get("r_multiple"))
        risk = f.known(self.position.get("initial_risk")) if self.position else None
        return None if not risk or self.profit is None else self.profit / risk


def net(closed: dict[str, Any]) -> float | None:
    """Profit with swap and commission of a closed position."""
    profit = f.known(closed.get("profit"))
    if profit is None:
        return None
    return (
        profit + (f.known(closed.get("swap")) or 0.0) + (f.known(closed.get("commission")) or 0.0)
    )


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of closed trades. ``factor`` is won money over lost money, ``None`` without a loss."""

    closed: int
    won: int
    total: float
    factor: float | None
    average_r: float | None

    @classmethod
    def of(cls, closed: Sequence[dict[str, Any]]) -> Statistics:
        results = [p for p in (net(c) for c in closed) if p is not None]
        won = sum(p for p in results if p > 0)
        lost = -sum(p for p in results if p < 0)
        rs = [r for r in (f.known(c.get("r_multiple")) for c in closed) if r is not None]
        return cls(
            closed=len(results),
            won=sum(1 for p in results if p > 0),
            total=won - lost,
            factor=won / lost if lost > 0 else None,
            average_r=sum(rs) / len(rs) if rs else None,
        )


def _result_cell(row: Row, view: View, cells: int) -> Line:
    if row.closed is None and row.position is None:
        return [(f.UNKNOWN, "dim")]
    text, style = view.gain(row.profit)
    return [(text, style if row.closed is not None else f"{style} dim")]


def _end_cell(row: Row, view: View, cells: int) -> Line:
    if row.closed is None:
        return [("open", "info") if row.position is not None else (f.UNKNOWN, "dim")]
    return [(word(row.closed.get("close_reason"), 9), "dim")]


class TradesPanel(TablePanel[Row]):
    """Panel 4."""

    number = 4
    label = "Trades"
    COLUMNS: ClassVar[tuple[Column[Any], ...]] = (
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
            value=lambda r, v: str(r.direction),
        ),
        Column(
            "lots",
            "Lots",
            lambda r, v, w: [(f.lots(r.lot), "text")],
            4,
            "r",
            value=lambda r, v: f.known(r.lot),
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
        Column(
            "end", "End", _end_cell, 5, value=lambda r, v: str((r.closed or {}).get("close_reason"))
        ),
        Column(
            "held",
            "Held",
            lambda r, v, w: [(f.whole_age((r.closed or {}).get("duration_s")), "dim")],
            6,
            "r",
            value=lambda r, v: f.known((r.closed or {}).get("duration_s")),
        ),
        Column("ticket", "Ticket", lambda r, v, w: [(word(r.ticket, 20), "dim")], 8, "r"),
    )

    def fetch(self, view: View) -> Sequence[Row]:
        session = view.session
        positions = {str(p.get("ticket")): p for p in session.state.positions}
        rows = []
        seen = set()
        for closed in session.closed:
            ticket = closed.get("ticket")
            seen.add(str(ticket))
            rows.append(
                Row(
                    ticket,
                    str(closed.get("symbol") or ""),
                    closed.get("direction"),
                    closed.get("volume"),
                    closed.get("timestamp"),
                    closed,
                    None,
                )
            )
        for trade in session.state.recent_trades:
            ticket = trade.get("ticket")
            if ticket is not None and str(ticket) in seen:
                continue
            seen.add(str(ticket))
            rows.append(
                Row(
                    ticket,
                    str(trade.get("symbol") or ""),
                    trade.get("direction"),
                    trade.get("lot"),
                    trade.get("timestamp"),
                    None,
                    positions.get(str(ticket)),
                )
            )
        rows.sort(key=lambda r: f.parse_time(r.at) or 0.0, reverse=True)
        return rows

    def version(self, view: View) -> object:
        revisions = view.session.state.revisions
        return view.session.changed, revisions["trades"], revisions["positions"]

    def key(self, row: Row) -> Hashable:
        return str(row.ticket), str(row.at)

    def empty(self, view: View) -> str:
        return "no trade yet: each one stands here from its first deal"

    def count(self) -> str:
        if self.view is None or not self.rows:
            return "0"
        closed = len(self.view.session.closed)
        return f"{closed} closed" if not self.filter_text else super().count()

    def foot(self, view: View) -> Sequence[Part]:
        seen = [r.closed for r in self.rows if r.closed is not None]
        before = [] if self.filter_text else self._before(view)
        stats = Statistics.of([*seen, *before])
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

    def _before(self, view: View) -> list[dict[str, Any]]:
        """Closed trades that the feed knows and this screen has no row of."""
        session = view.session
        newest = session.closed[0].get("ticket") if session.closed else None
        books = session.books.closed((session.state.epoch, len(session.closed), newest))
        if not books:
            return []
        here = {str(event.get("ticket")) for event in session.closed}
        return [trade for trade in books if str(trade.get("ticket")) not in here]

    def fill(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        """The equity curve, where there is room for one."""
        equity = view.session.state.equity
        values = [v for v in map(f.known, equity.get("value") or ()) if v is not None]
        if rows < 4 or len(values) < 2:
            return ()
        times = equity.get("time") or ()
        span = ""
        if len(times) >= 2 and f.known(times[0]) is not None and f.known(times[-1]) is not None:
            span = f.whole_age(float(times[-1]) - float(times[0]))
        low, high = min(values), max(values)
        height = min(rows - 2, 12)
        up = values[-1] >= values[0]
        head: Line = [
            ("Equity", "head"),
            (f" last {span}" if span else "", "dim"),
            ("  ", ""),
            (view.cash(low), "dim"),
            (" to ", "dim"),
            (view.cash(high), "dim"),
        ]
        lines = [[(line, "up" if up else "down")] for line in area(values, cells, height)]
        return [[], head, *lines]
