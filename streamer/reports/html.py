"""A report as one HTML file that needs nothing else: no script, no link, no font."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from .report import Report, heading_of, moment, number, summary, tables

WIDTH, HEIGHT, POINTS = 880, 220, 880

STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --soft: #5b6472; --line: #d5d9e0;
  --paper: #fff; --up: #08764a; --down: #b3261e; --curve: #2257c4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa4b2; --line: #333b49;
  --paper: #12161e; --up: #4cc38a; --down: #ff8a80; --curve: #82aaff; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid var(--line); text-align: right; }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child { text-align: left; }
.up { color: var(--up); } .down { color: var(--down); } footer { color: var(--soft); margin: 2rem 0; }
svg { width: 100%; height: auto; } polyline { fill: none; stroke: var(--curve); stroke-width: 1.5; }
text { fill: var(--soft); font-size: 12px; }
"""


def as_html(report: Report, title: str) -> str:
    """The whole page. All text of the feed is escaped."""
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(heading_of(report))}</p>",
        _table(("", ""), ((name, value) for name, value in summary(report))),
    ]
    if len(report.equity) > 1:
        parts += ["<h2>Equity</h2>", _curve(report)]
    head = ("", "trades", "won", "profit", "average R", "profit factor")
    for heading, rows in tables(report):
        parts.append(f"<h2>{escape(heading)}</h2>")
        parts.append(
            _table(
                head,
                (
                    (
                        g.name,
                        str(g.trades),
                        f"{g.win_rate:.0f} %",
                        number(g.profit),
                        number(g.average_r),
                        number(g.profit_factor),
                    )
                    for g in rows
                ),
                money=3,
            )
        )
    if report.gates:
        parts.append(f"<h2>What stopped symbols, in {report.scans} scans</h2>")
        parts.append(_table(("gate", "symbol-scans"), ((n, str(c)) for n, c in report.gates)))
    if report.trades:
        parts.append("<h2>Trades</h2>")
        parts.append(
            _table(
                ("closed", "symbol", "side", "lots", "profit", "R", "worst", "best", "why"),
                (
                    (
                        (t.closed_at or "")[:19].replace("T", " "),
                        t.symbol or "?",
                        t.direction or "?",
                        number(t.volume),
                        number(t.profit),
                        number(t.r_multiple),
                        number(t.mae),
                        number(t.mfe),
                        t.close_reason or "?",
                    )
                    for t in report.trades
                ),
                money=4,
            )
        )
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n"
        "<footer>Made by mt5dash from its journal. It describes what happened; it does not say "
        "what will.</footer></body></html>\n"
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], money: int = -1) -> str:
    lines = ["<table>"]
    if any(head):
        lines.append("<tr>" + "".join(f"<th>{escape(h)}</th>" for h in head) + "</tr>")
    for row in rows:
        cells = []
        for n, cell in enumerate(row):
            tone = ""
            if n == money and cell not in ("–", "0.00"):
                tone = ' class="down"' if cell.startswith("-") else ' class="up"'
            cells.append(f"<td{tone}>{escape(cell)}</td>")
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return "\n".join([*lines, "</table>"])


def _curve(report: Report) -> str:
    equity = report.equity
    step = max(1, len(equity) // POINTS)
    picked = [*equity[::step], equity[-1]]
    low, high = min(v for _, v in picked), max(v for _, v in picked)
    first, last = picked[0][0], picked[-1][0]
    x_span, y_span = (last - first) or 1, (high - low) or 1.0
    points = " ".join(
        f"{(at - first) / x_span * WIDTH:.1f},{16 + (high - v) / y_span * (HEIGHT - 40):.1f}"
        for at, v in picked
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Equity from '
        f'{number(picked[0][1])} to {number(picked[-1][1])}"><polyline points="{points}"/>'
        f'<text x="0" y="12">{number(high)}</text>'
        f'<text x="0" y="{HEIGHT - 8}">{number(low)}  {moment(first)}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT - 8}" text-anchor="end">{moment(last)}</text></svg>'
    )
