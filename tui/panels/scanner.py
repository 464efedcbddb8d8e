"""Every symbol with the stage it reached on its way to a trade, and the reason in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import ClassVar

import msgspec

from streamer.protocol.messages import Quote, ScanDetail
from streamer.words.stages import STAGES, nearness, stage_of
from streamer.words.table import Stage

from ..render import format as f
from ..render.chart import PriceLevel
from ..render.lines import Line, Part, width
from ..session.view import View, word
from .columns import Column
from .symbol_chart import CHART_ROWS, chart
from .table import TablePanel

GRADE_S = 60.0
"""A last tick older than this at the scan is drawn as old."""

NO_DETAIL = ScanDetail(code=None)


class ScanRow(msgspec.Struct, frozen=True, gc=False):
    """A symbol of the last scan: its sentence, its numbers, its quote now."""

    symbol: str
    text: str
    stage: Stage
    detail: ScanDetail
    quote: Quote

    @property
    def ready(self) -> bool:
        """Whether the score is good enough for a trade."""
        score, need = self.detail.score, self.detail.need
        return score is not None and need is not None and score >= need


def stage(detail: ScanDetail) -> Stage:
    """The stage that a symbol reached on its way to a trade."""
    return stage_of(detail.code, detail.gate)


def levels(detail: ScanDetail) -> list[PriceLevel]:
    """Entry, stop and target of the set-up that was found."""
    found = (("in", detail.entry, "accent"), ("SL", detail.sl, "down"), ("TP", detail.tp, "up"))
    return [PriceLevel(name, price, style) for name, price, style in found if price]


def _stage_cell(row: ScanRow, view: View, cells: int) -> Line:
    return [(f"{row.stage.sign} {row.stage.name}", row.stage.tone)]


def _side_cell(row: ScanRow, view: View, cells: int) -> Line:
    direction = row.detail.direction
    return [(f.side(direction), {"BUY": "up", "SELL": "down"}.get(direction or "", "dim"))]


def _score_cell(row: ScanRow, view: View, cells: int) -> Line:
    score, need = row.detail.score, row.detail.need
    if score is None:
        return [(f.UNKNOWN, "dim")]
    needed = "" if need is None else f"/{need:.0f}"
    return [(f"{score:.0f}", "up" if row.ready else "text"), (needed, "dim")]


def _meter_cell(row: ScanRow, view: View, cells: int) -> Line:
    cells = cells or 6
    if row.detail.score is None:
        return [("·" * cells, "faint")]
    bar = f.gauge(row.detail.score, 100.0, cells)
    full = bar.rstrip("·")
    return [(full, "up" if row.ready else "chart"), (bar[len(full) :], "faint")]


def _why_cell(row: ScanRow, view: View, cells: int) -> Line:
    """The reason; where it is too long, only its numbers, as the stage names the rest."""
    text = word(row.text, 200)
    if width(text) > cells > 0 and text.endswith(")"):
        text = text[:-1].partition("(")[2] or text
    return [(text, row.stage.tone)]


def _atr_cell(row: ScanRow, view: View, cells: int) -> Line:
    return [(f.price(row.detail.atr, row.quote.digits), "dim")]


def _price_cell(row: ScanRow, view: View, cells: int) -> Line:
    return view.price(row.symbol, row.quote.bid, row.quote.digits)


def _tick_cell(row: ScanRow, view: View, cells: int) -> Line:
    age = row.detail.age_s
    return [(f.whole_age(age), "warn" if age is not None and age > GRADE_S else "dim")]


class ScannerPanel(TablePanel[ScanRow]):
    """The symbols of the last scan: where each stopped, and why."""

    SORT = ("stage", True)
    COLUMNS: ClassVar[tuple[Column[ScanRow], ...]] = (
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
            value=lambda r, v: nearness(r.stage, r.detail.score),
            falling=True,
        ),
        Column("side", "Side", _side_cell, 4, value=lambda r, v: r.detail.direction or ""),
        Column(
            "score", "Score", _score_cell, 1, "r", value=lambda r, v: r.detail.score, falling=True
        ),
        Column("meter", "", _meter_cell, 6, least=6, most=10, name="Score bar"),
        Column("why", "Why (not)", _why_cell, 2, least=18, most=70, want=38),
        Column("bid", "Bid", _price_cell, 4, "r", value=lambda r, v: r.quote.bid),
        Column(
            "spread",
            "Sprd",
            lambda r, v, w: [(f.number(r.detail.spread), "dim")],
            5,
            "r",
            value=lambda r, v: r.detail.spread,
        ),
        Column(
            "regime",
            "Regime",
            lambda r, v, w: [(word(r.detail.regime, 12), "dim")],
            7,
            value=lambda r, v: r.detail.regime or "",
        ),
        Column("atr", "ATR", _atr_cell, 8, "r", value=lambda r, v: r.detail.atr),
        Column("tick", "Tick", _tick_cell, 9, "r", value=lambda r, v: r.detail.age_s),
    )

    def fetch(self, view: View) -> Sequence[ScanRow]:
        scan = view.session.state.typed.scan
        if scan is None:
            return ()
        rows = []
        for symbol, text in scan.symbols.items():
            detail = scan.details.get(symbol, NO_DETAIL)
            quote = view.session.quote(symbol)
            rows.append(ScanRow(symbol, text or "", stage(detail), detail, quote))
        return rows

    def version(self, view: View) -> object:
        revisions = view.session.state.revisions
        return (
            revisions["scan"],
            revisions["quotes"],
            view.session.clock.mono() - self._touched_at < 3.0,
        )

    def key(self, row: ScanRow) -> Hashable:
        return row.symbol

    def row_text(self, row: ScanRow, view: View) -> str:
        return f"{super().row_text(row, view)} {row.text}"

    def empty(self, view: View) -> str:
        bot = view.session.state.typed.bot
        if bot is not None and bot.reason is not None and bot.reason.text:
            return f"no scan yet: {word(bot.reason.text)}"
        return "no scan yet: the symbols appear after the first one"

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
        """Candles of the symbol under the cursor, or the count of each stage, as room allows."""
        row = self.current
        if row is not None and rows >= CHART_ROWS and cells >= 50:
            lines = chart(view, row.symbol, "M5", cells, min(rows - 1, 24), levels(row.detail))
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
