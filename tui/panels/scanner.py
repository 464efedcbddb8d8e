"""Every symbol with where it stopped on its way to a trade, and why, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from streamer.words.stages import STAGES, nearness, stage_of
from streamer.words.table import Stage

from ..render import format as f
from ..render.chart import Level
from ..render.lines import Line, Part, width
from ..session.view import View, word
from .columns import Column
from .symbol_chart import CHART_ROWS, chart
from .table import TablePanel


def stage(detail: dict[str, Any]) -> Stage:
    """Where a symbol is: the code of its reason, told apart by the gate where that helps."""
    code, gate = detail.get("code"), detail.get("gate")
    return stage_of(
        code if isinstance(code, str) else None, gate if isinstance(gate, str) else None
    )


GRADE_S = 60.0
"""A last tick older than this at the scan is told as old."""


@dataclass(frozen=True, slots=True)
class Row:
    """A symbol of the last scan: the legacy text, the details, the quote now."""

    symbol: str
    text: str
    detail: dict[str, Any] = field(default_factory=dict)
    quote: dict[str, Any] = field(default_factory=dict)

    @property
    def stage(self) -> Stage:
        return stage(self.detail)

    @property
    def score(self) -> float | None:
        return f.known(self.detail.get("score"))

    @property
    def need(self) -> float | None:
        return f.known(self.detail.get("need"))


def levels(row: Row) -> list[Level]:
    """Entry, stop and target of the set-up that was seen."""
    found = (("in", "entry", "accent"), ("SL", "sl", "down"), ("TP", "tp", "up"))
    return [Level(n, v, style) for n, key, style in found if (v := f.known(row.detail.get(key)))]


def _stage_cell(row: Row, view: View, cells: int) -> Line:
    return [(f"{row.stage.sign} {row.stage.name}", row.stage.tone)]


def _side_cell(row: Row, view: View, cells: int) -> Line:
    direction = row.detail.get("direction")
    style = {"BUY": "up", "SELL": "down"}.get(str(direction), "dim")
    return [(f.side(direction), style)]


def _score_cell(row: Row, view: View, cells: int) -> Line:
    if row.score is None:
        return [(f.UNKNOWN, "dim")]
    need = "" if row.need is None else f"/{row.need:.0f}"
    ready = row.need is not None and row.score >= row.need
    return [(f"{row.score:.0f}", "up" if ready else "text"), (need, "dim")]


def _meter_cell(row: Row, view: View, cells: int) -> Line:
    cells = cells or 6
    if row.score is None:
        return [("·" * cells, "faint")]
    ready = row.need is not None and row.score >= row.need
    bar = f.gauge(row.score, 100.0, cells)
    full = bar.rstrip("·")
    return [(full, "up" if ready else "chart"), (bar[len(full) :], "faint")]


def _why_cell(row: Row, view: View, cells: int) -> Line:
    """The reason; where it does not fit whole, its numbers alone: the stage says the rest."""
    text = word(row.text, 200)
    if width(text) > cells > 0 and text.endswith(")"):
        text = text[:-1].partition("(")[2] or text
    return [(text, row.stage.tone)]


def _spread(row: Row) -> float | None:
    return f.known(row.detail.get("spread"))


def _atr_cell(row: Row, view: View, cells: int) -> Line:
    digits = row.quote.get("digits")
    return [(f.price(row.detail.get("atr"), digits), "dim")]


def _price_cell(row: Row, view: View, cells: int) -> Line:
    return view.price(row.symbol, row.quote.get("bid"), row.quote.get("digits"))


def _tick_cell(row: Row, view: View, cells: int) -> Line:
    age = f.known(row.detail.get("age_s"))
    return [(f.whole_age(age), "warn" if age is not None and age > GRADE_S else "dim")]


class ScannerPanel(TablePanel[Row]):
    """Panel 2."""

    number = 2
    label = "Scanner"
    SORT = ("stage", True)
    COLUMNS: ClassVar[tuple[Column[Any], ...]] = (
        Column(
            "symbol",
            "Symbol",
            lambda r, v, w: [(word(r.symbol, 16), "bold")],
            0,
            value=lambda r, v: r.symbol,
        ),
        Column(
            "stage",
            "Stage",
            _stage_cell,
            0,
            value=lambda r, v: nearness(r.stage, r.score),
            falling=True,
        ),
        Column("side", "Side", _side_cell, 4, value=lambda r, v: r.detail.get("direction") or ""),
        Column("score", "Score", _score_cell, 1, "r", value=lambda r, v: r.score, falling=True),
        Column("meter", "", _meter_cell, 6, least=6, most=10, name="Score bar"),
        Column("why", "Why (not)", _why_cell, 2, least=18, most=70, want=38),
        Column("bid", "Bid", _price_cell, 4, "r", value=lambda r, v: f.known(r.quote.get("bid"))),
        Column(
            "spread",
            "Sprd",
            lambda r, v, w: [(f.number(_spread(r)), "dim")],
            5,
            "r",
            value=lambda r, v: _spread(r),
        ),
        Column(
            "regime",
            "Regime",
            lambda r, v, w: [(word(r.detail.get("regime"), 12), "dim")],
            7,
            value=lambda r, v: r.detail.get("regime") or "",
        ),
        Column("atr", "ATR", _atr_cell, 8, "r", value=lambda r, v: f.known(r.detail.get("atr"))),
        Column(
            "tick", "Tick", _tick_cell, 9, "r", value=lambda r, v: f.known(r.detail.get("age_s"))
        ),
    )

    def fetch(self, view: View) -> Sequence[Row]:
        state = view.session.state
        scan = state.scan_summary
        texts, details = scan.get("symbols") or {}, scan.get("details") or {}
        rows = []
        for symbol, text in texts.items():
            detail, quote = details.get(symbol), state.quotes.get(symbol)
            rows.append(
                Row(
                    str(symbol),
                    str(text),
                    detail if isinstance(detail, dict) else {},
                    quote if isinstance(quote, dict) else {},
                )
            )
        return rows

    def version(self, view: View) -> object:
        revisions = view.session.state.revisions
        return (
            revisions["scan"],
            revisions["quotes"],
            view.session.clock.mono() - self._touched_at < 3.0,
        )

    def key(self, row: Row) -> Hashable:
        return row.symbol

    def row_text(self, row: Row, view: View) -> str:
        return f"{super().row_text(row, view)} {row.text}"

    def empty(self, view: View) -> str:
        bot: Any = view.session.state.bot or {}
        reason = bot.get("reason")
        if isinstance(reason, dict) and reason.get("text"):
            return f"no scan yet: {word(reason['text'])}"
        return "no scan yet: symbols stand here after the first one"

    def marks(self) -> Line:
        if self.view is None:
            return []
        age, left = self.view.session.scan_age(), self.view.session.next_scan()
        if self.filter_text or self.sort != self.SORT:
            return super().marks()
        line: Line = []
        if age is not None:
            line.append((f"{f.short_age(age)} ago", "dim"))
        if left is not None:
            line.append((f"  next {f.countdown(left):<4}", "dim"))
        return line

    def fill(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        """Candles of the symbol under the cursor, or where the symbols stop, as room allows."""
        row = self.current
        if row is not None and rows >= CHART_ROWS and cells >= 50:
            lines = chart(view, row.symbol, "M5", cells, min(rows - 1, 24), levels(row))
            if len(lines) > 1:
                return [[], *lines]
        counts = Counter(r.stage.stage for r in self.rows)
        if rows < len(counts) + 3 or not self.rows or cells < 30:
            return ()
        lines = [[], [("Where they stop", "head")]]
        for stage in STAGES.values():
            if count := counts[stage.stage]:
                meter = f.gauge(count, len(self.rows), min(40, cells - 20)).rstrip("·")
                head = (f"{stage.sign} {stage.name:<8}", stage.tone)
                lines.append([head, (meter, "chart"), (f" {count}", "text")])
        return lines

    def foot(self, view: View) -> Sequence[Part]:
        counts = Counter(r.stage.stage for r in self.rows)
        parts = []
        for stage in STAGES.values():
            if count := counts[stage.stage]:
                name = {"TRADE": "candidate"}.get(stage.name, stage.name.lower())
                full: Line = [(f"{stage.sign} {count}", stage.tone), (f" {name}", "dim")]
                parts.append(Part((full, [(f"{stage.sign}{count}", stage.tone)]), 2))
        return parts
