"""Open positions, pending orders and what was just closed; the totals and the worst case."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from streamer.words.sentences import close_reason

from ..render import format as f
from ..render.chart import Level
from ..render.lines import Line, Part
from ..session.view import View, tone, word
from .columns import Column
from .symbol_chart import CHART_ROWS, chart
from .table import TablePanel

OPEN, PENDING, CLOSED = "open", "pending", "closed"
PENDING_KIND = {"limit": "LIMIT", "stop": "STOP", "stop_limit": "ST-LIM"}


@dataclass(frozen=True, slots=True)
class Row:
    """A position, a pending order, or a position that was closed seconds ago."""

    kind: str
    data: dict[str, Any]

    @property
    def symbol(self) -> str:
        return str(self.data.get("symbol") or "")

    @property
    def direction(self) -> str | None:
        direction = self.data.get("direction")
        if direction in ("BUY", "SELL"):
            return str(direction)
        return {"0": "BUY", "1": "SELL"}.get(str(self.data.get("type")))

    def get(self, name: str) -> Any:
        return self.data.get(name)

    @property
    def ticket(self) -> Any:
        return self.data.get("order" if self.kind == PENDING else "ticket")

    @property
    def entry(self) -> Any:
        return self.data.get("price" if self.kind == PENDING else "entry_price")

    @property
    def now(self) -> Any:
        return self.data.get("exit_price" if self.kind == CLOSED else "price_current")

    @property
    def sl(self) -> Any:
        return self.data.get("sl" if self.kind == PENDING else "sl_price")

    @property
    def tp(self) -> Any:
        return self.data.get("tp" if self.kind == PENDING else "tp_price")

    @property
    def digits(self) -> int | None:
        digits = self.data.get("digits")
        return digits if isinstance(digits, int) else None


def levels(row: Row) -> list[Level]:
    """Stop, target and entry, for the chart."""
    found = (("SL", row.sl, "down"), ("TP", row.tp, "up"), ("in", row.entry, "accent"))
    return [Level(name, v, style) for name, price, style in found if (v := f.known(price))]


def r_now(row: Row) -> float | None:
    """Profit in units of what was risked at first."""
    if row.kind == CLOSED:
        return f.known(row.get("r_multiple"))
    profit, risk = f.known(row.get("profit")), f.known(row.get("initial_risk"))
    return None if profit is None or not risk else profit / risk


def gain(row: Row, view: View) -> float | None:
    """The row's profit in the unit that is chosen."""
    if row.kind == PENDING:
        return None
    if view.unit == "R":
        return r_now(row)
    if view.unit == "pips":
        return f.pips(row.entry, row.now, row.direction, row.digits)
    profit = f.known(row.get("profit"))
    if view.unit == "%":
        balance = f.known(view.session.state.account.get("balance"))
        return None if profit is None or not balance else profit / balance * 100
    return profit


def _gain_cell(row: Row, view: View, cells: int) -> Line:
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


def _r_cell(row: Row, view: View, cells: int) -> Line:
    value = r_now(row)
    return [(f.multiple(value), tone(value))]


def _side_cell(row: Row, view: View, cells: int) -> Line:
    direction = row.direction
    text = f.side(direction)
    if row.kind == PENDING:
        text = text[:1] + PENDING_KIND.get(str(row.get("kind")), "ORDER")
    return [(text, "up" if direction == "BUY" else "down" if direction else "dim")]


def _bar_cell(row: Row, view: View, cells: int) -> Line:
    cells = cells or 9
    if row.kind == CLOSED:
        reason = close_reason(row.get("close_reason"))
        return [("closed" if reason is None else f"closed {word(reason.short, 8)}", "dim")]
    if row.kind == PENDING:
        return _distance(row)
    if not f.known(row.sl):
        return [(f.stop_bar(row.entry, row.now, row.sl, row.tp, cells), "warn")]
    bar = f.stop_bar(row.entry, row.now, row.sl, row.tp, cells)
    at = bar.find("●")
    if at < 0:
        return [(bar, "dim")]
    return [(bar[:at], "faint"), ("●", tone(row.get("profit"))), (bar[at + 1 :], "faint")]


def _distance(row: Row) -> Line:
    away = f.pips(row.now, row.entry, "BUY", row.digits)
    return [(f"{abs(away):.0f}p away" if away is not None else f.UNKNOWN, "dim")]


def _risk_cell(row: Row, view: View, cells: int) -> Line:
    if row.kind != OPEN:
        return [("", "")]
    if not f.known(row.sl):
        return [("no stop", "warn")]
    return [view.gain(row.get("risk"), show_arrow=False)]


def _age(row: Row, view: View) -> float | None:
    if row.kind == CLOSED:
        return f.known(row.get("duration_s"))
    return view.session.position_age(row.get("placed_at" if row.kind == PENDING else "opened_at"))


def _owner(row: Row) -> str:
    return {"bot": "bot", "manual": "man"}.get(str(row.get("owner")), f.UNKNOWN)


class PositionsPanel(TablePanel[Row]):
    """Panel 1."""

    number = 1
    label = "Positions"
    SORT = ("pl", True)
    COLUMNS: ClassVar[tuple[Column[Any], ...]] = (
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
            lambda r, v, w: [(f.lots(r.get("volume")), "text")],
            0,
            "r",
            value=lambda r, v: f.known(r.get("volume")),
            falling=True,
        ),
        Column(
            "entry",
            "Entry",
            lambda r, v, w: [(f.price(r.entry, r.digits), "dim")],
            5,
            "r",
            value=lambda r, v: f.known(r.entry),
        ),
        Column(
            "now",
            "Now",
            lambda r, v, w: v.price(str(r.ticket), r.now, r.digits),
            2,
            "r",
            value=lambda r, v: f.known(r.now),
        ),
        Column("pl", "P/L", _gain_cell, 0, "r", least=9, value=gain, falling=True),
        Column("r", "R", _r_cell, 3, "r", value=lambda r, v: r_now(r), falling=True),
        Column("bar", "SL → TP", _bar_cell, 4, least=9, most=19),
        Column("risk", "If SL hit", _risk_cell, 6, "r", value=lambda r, v: f.known(r.get("risk"))),
        Column(
            "age",
            "Age",
            lambda r, v, w: [(f.whole_age(_age(r, v)), "dim")],
            4,
            "r",
            value=lambda r, v: _age(r, v),
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
            value=lambda r, v: f.known(r.sl),
        ),
        Column(
            "tp",
            "TP",
            lambda r, v, w: [(f.price(r.tp, r.digits), "dim")],
            8,
            "r",
            value=lambda r, v: f.known(r.tp),
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
            lambda r, v, w: [(v.cash(r.get("swap"), sign=True), "dim")],
            10,
            "r",
            value=lambda r, v: f.known(r.get("swap")),
        ),
        Column(
            "commission",
            "Comm",
            lambda r, v, w: [(v.cash(r.get("commission"), sign=True), "dim")],
            10,
            "r",
            value=lambda r, v: f.known(r.get("commission")),
        ),
        Column(
            "magic",
            "Magic",
            lambda r, v, w: [(word(r.get("magic"), 12), "dim")],
            11,
            "r",
            value=lambda r, v: r.get("magic"),
        ),
        Column("comment", "Comment", lambda r, v, w: [(word(r.get("comment"), 31), "dim")], 12),
    )

    def fetch(self, view: View) -> Sequence[Row]:
        session = view.session
        state = session.state
        rows = [Row(OPEN, p) for p in state.positions]
        here = {str(r.ticket) for r in rows}
        for ticket, (_, event) in session.ghosts.items():
            if str(ticket) not in here:
                quote: Any = state.quotes.get(str(event.get("symbol"))) or {}
                rows.append(Row(CLOSED, {"digits": quote.get("digits"), **event}))
        rows += [Row(PENDING, o) for o in state.orders]
        return rows

    def version(self, view: View) -> object:
        revisions = view.session.state.revisions
        return (
            revisions["positions"],
            revisions["orders"],
            tuple(view.session.ghosts),
            view.unit,
            # While someone works here the order is held; it must be released afterwards.
            view.session.clock.mono() - self._touched_at < 3.0,
        )

    def _sorted(self, rows: list[Row], view: View) -> list[Row]:
        rows = super()._sorted(rows, view)
        # Orders have no profit to be sorted by: they stay below what is open.
        return sorted(rows, key=lambda r: r.kind == PENDING)

    def key(self, row: Row) -> Hashable:
        return row.kind == PENDING, str(row.ticket)

    def row_style(self, row: Row, view: View) -> str:
        if row.kind == CLOSED:
            return "ghost"
        return "dim" if view.stale else ""

    def count(self) -> str:
        if self.view is None:
            return ""
        state = self.view.session.state
        if "positions" not in state.updated and not state.positions:
            return "?"
        shown = sum(1 for r in self.rows if r.kind == OPEN)
        total = len(state.positions)
        text = str(shown) if shown == total else f"{shown} of {total}"
        return text + (f" +{len(state.orders)} pending" if state.orders else "")

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
        positions = view.session.state.positions
        if not positions:
            return ()
        profits = [f.known(p.get("profit")) for p in positions]
        volumes = [f.known(p.get("volume")) for p in positions]
        net = None if None in profits else sum(p for p in profits if p is not None)
        size = None if None in volumes else sum(v for v in volumes if v is not None)
        bare = [p for p in positions if not f.known(p.get("sl_price"))]
        risks = [f.known(p.get("risk")) for p in positions if f.known(p.get("sl_price"))]
        worst = None if None in risks or not risks else sum(r for r in risks if r is not None)
        owned = sum(1 for p in positions if p.get("owner") == "bot")
        by_hand = sum(1 for p in positions if p.get("owner") == "manual")
        balance = f.known(view.session.state.account.get("balance"))
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
            text = f"{len(bare)} without a stop"
            parts.append(Part(([(text, "warn")], [(f"{len(bare)} no SL!", "warn")]), 0))
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
