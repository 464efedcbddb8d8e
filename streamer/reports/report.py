"""``mt5dash report``: what a day or a month brought, and why, out of a journal."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from ..journal.export import ledgers_of
from ..journal.recorder import open_body
from ..journal.schema import JournalError
from ..protocol.codec import decode, epoch_seconds
from ..protocol.lenient import read, read_curve
from ..protocol.messages import Account
from ..state.reducer import bot_of
from ..state.trades import Trade, TradeLedger

CURVE_S = 55 * 60
"""A whole sample holds an hour of equity: one of each so many seconds is read."""
SessionsAt = Callable[[float], Iterable[str]]


@dataclass(frozen=True, slots=True)
class TradeGroup:
    """Closed trades of one kind. Money in account currency; ``None`` where not known."""

    name: str
    trades: int
    wins: int
    profit: float
    average_r: float | None
    profit_factor: float | None
    """Won over lost money; infinite when nothing was lost."""

    @property
    def win_rate(self) -> float:
        """Percent."""
        return 100.0 * self.wins / self.trades if self.trades else 0.0


@dataclass(slots=True)
class Report:
    """``begin`` and ``end`` in epoch seconds (UTC); ``equity`` as (time, value)."""

    begin: float
    end: float
    bot: str = ""
    """The bot's name; empty where bots have no names."""
    others: list[str] = field(default_factory=list)
    """Bots that the journal holds too; their money may be another account's."""
    currency: str = ""
    equity: list[tuple[int, float]] = field(default_factory=list)
    drawdown: float | None = None
    """Largest fall from a high, money."""
    drawdown_pct: float | None = None
    total: TradeGroup = field(default_factory=lambda: group("all", []))
    costs: float = 0.0
    best: Trade | None = None
    worst: Trade | None = None
    by_symbol: list[TradeGroup] = field(default_factory=list)
    by_session: list[TradeGroup] = field(default_factory=list)
    by_factor: list[TradeGroup] = field(default_factory=list)
    by_owner: list[TradeGroup] = field(default_factory=list)
    by_reason: list[TradeGroup] = field(default_factory=list)
    gates: list[tuple[str, int]] = field(default_factory=list)
    """Gate -> symbol-scans that it stopped, the most first."""
    scans: int = 0
    trades: list[Trade] = field(default_factory=list)


def build(
    db: sqlite3.Connection,
    begin: float,
    end: float,
    sessions_at: SessionsAt,
    bot: str | None = None,
) -> Report:
    """Put a report together.

    Args:
        db: A journal, read-only.
        begin, end: Epoch seconds; trades count when their close was published in between.
        sessions_at: Names of the trading sessions open at a time. Asked with the market's own
            clock at the entry.
        bot: The bot, of a feed with several; ``None``: the feed's own.

    Raises:
        sqlite3.Error, ValueError: the journal cannot be read.
        JournalError: it has no events of that bot.
    """
    ledgers = ledgers_of(db)
    own = next(iter(ledgers))
    names = _names(db, ledgers)
    report = Report(begin, end, own if bot is None else bot)
    if report.bot not in names:
        raise JournalError(f"no bot {bot} in it; it has {', '.join(filter(None, names)) or 'none'}")
    report.others = [name for name in names if name != report.bot]
    trades = [
        trade
        for trade in ledgers.get(report.bot, TradeLedger())
        if trade.closed
        and trade.profit is not None
        and (at := epoch_seconds(trade.reported_at)) is not None
        and begin <= at < end
    ]
    report.trades = trades
    report.total = group("all", trades)
    report.costs = sum(t.costs or 0.0 for t in trades)
    report.best = max(trades, key=_profit, default=None)
    report.worst = min(trades, key=_profit, default=None)
    report.by_symbol = groups(trades, lambda t: [t.symbol or "?"])
    report.by_owner = groups(trades, lambda t: [t.owner or "?"])
    report.by_reason = groups(trades, lambda t: [t.close_reason or "?"])
    report.by_factor = groups(trades, lambda t: [n for n, points in t.components.items() if points])

    def open_sessions(trade: Trade) -> list[str]:
        at = epoch_seconds(trade.opened_at)
        return [] if at is None else sorted(sessions_at(at)) or ["none open"]

    report.by_session = groups(trades, open_sessions)
    _read_curve(db, report, own)
    _read_scans(db, report, own)
    return report


def _names(db: sqlite3.Connection, ledgers: Iterable[str]) -> list[str]:
    """All bots: those with trades, and those of the newest whole sample."""
    row = db.execute(
        "SELECT body FROM sample WHERE whole = 1 ORDER BY seq DESC, id DESC"
    ).fetchone()
    bots = open_body(row[0]).get("bots") if row is not None else None
    return list(dict.fromkeys([*ledgers, *(bots if isinstance(bots, dict) else ())]))


def _profit(trade: Trade) -> float:
    return trade.profit or 0.0


def group(name: str, trades: Iterable[Trade]) -> TradeGroup:
    """The numbers of some trades."""
    found = list(trades)
    won = sum(_profit(t) for t in found if _profit(t) > 0)
    lost = -sum(_profit(t) for t in found if _profit(t) < 0)
    ratios = [t.r_multiple for t in found if t.r_multiple is not None]
    return TradeGroup(
        name,
        len(found),
        sum(1 for t in found if t.outcome == "WIN"),
        round(sum(_profit(t) for t in found), 2),
        sum(ratios) / len(ratios) if ratios else None,
        (won / lost if lost else math.inf) if won or lost else None,
    )


def groups(trades: list[Trade], names: Callable[[Trade], Iterable[str]]) -> list[TradeGroup]:
    """Trades by name, the most profitable first. A trade may be in several groups."""
    found: dict[str, list[Trade]] = {}
    for trade in trades:
        for name in names(trade):
            found.setdefault(name, []).append(trade)
    made = [group(name, some) for name, some in found.items()]
    return sorted(made, key=lambda g: (-g.profit, g.name))


def _read_curve(db: sqlite3.Connection, report: Report, own: str) -> None:
    points: dict[int, float] = {}
    wholes = db.execute(
        "SELECT id, at FROM sample WHERE whole = 1 AND at >= ? AND at < ? ORDER BY id",
        (report.begin, report.end + CURVE_S),
    ).fetchall()
    # The newest one of each stretch; a stretch also ends where the program was off.
    chosen = [
        number
        for n, (number, at) in enumerate(wholes)
        if n + 1 == len(wholes) or at // CURVE_S != wholes[n + 1][1] // CURVE_S
    ]
    last = db.execute(
        "SELECT id FROM sample WHERE at >= ? AND at < ? ORDER BY id DESC LIMIT 1",
        (report.begin, report.end),
    ).fetchone()
    if chosen and last:
        # After the last whole one the curve goes on in those that hold changes only.
        chosen += [
            row[0]
            for row in db.execute(
                "SELECT id FROM sample WHERE id > ? AND id <= ?", (chosen[-1], last[0])
            )
        ]
    for number in chosen:
        row = db.execute("SELECT body FROM sample WHERE id = ?", (number,)).fetchone()
        data = open_body(row[0])
        if report.bot != data.get("bot_name", own):
            data = (data.get("bots") or {}).get(report.bot) or {}
        account, curve = read(data.get("account"), Account), read_curve(data.get("equity"))
        report.currency = (account and account.currency) or report.currency
        pairs = zip(curve.time, curve.value, strict=True)
        points.update((at, value) for at, value in pairs if report.begin <= at < report.end)
    report.equity = sorted(points.items())
    high: float | None = None
    for _, value in report.equity:
        high = value if high is None else max(high, value)
        fall = high - value
        if report.drawdown is None or fall > report.drawdown:
            report.drawdown = fall
            report.drawdown_pct = 100.0 * fall / high if high > 0 else None


class _Detail(msgspec.Struct):
    """The fields of ``ScanDetail`` that are counted."""

    gate: str | None = None


class _Scan(msgspec.Struct):
    """The fields of ``ScanSummary`` that are counted."""

    bot: str = ""
    details: dict[str, _Detail] = {}


_SCAN = msgspec.json.Decoder(_Scan)
"""Reads these alone: a month of scans is a gigabyte."""


def _read_scans(db: sqlite3.Connection, report: Report, own: str) -> None:
    span = (report.begin, report.end)
    first, last = db.execute(
        "SELECT min(seq), max(seq) FROM ev INDEXED BY ev_at WHERE at >= ? AND at < ?", span
    ).fetchone()
    gates: Counter[str] = Counter()
    # Along the table and not along the index: the scans of a month are a gigabyte.
    for (body,) in db.execute(
        "SELECT body FROM ev NOT INDEXED WHERE seq BETWEEN ? AND ? AND at >= ? AND at < ? "
        "AND type = 'SCAN_SUMMARY'",
        (first, last, *span),
    ):
        try:
            scan = _SCAN.decode(body)
        except msgspec.ValidationError:
            scan = _Scan(bot_of(decode(body)))  # of another make: counted, not looked into
        if (scan.bot or own) != report.bot:
            continue
        report.scans += 1
        for detail in scan.details.values():
            if detail.gate:
                gates[detail.gate] += 1
    report.gates = gates.most_common()


def tables(report: Report) -> list[tuple[str, list[TradeGroup]]]:
    """The tables of groups that have rows, with their headings."""
    found = [
        ("By symbol", report.by_symbol),
        ("By session (market clock, at entry)", report.by_session),
        ("By factor of the score", report.by_factor),
        ("By owner", report.by_owner),
        ("By reason of the close", report.by_reason),
    ]
    return [(heading, rows) for heading, rows in found if rows]


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def number(value: float | None, digits: int = 2) -> str:
    """A number for people; what is not known is a dash."""
    if value is None:
        return "–"
    return "∞" if math.isinf(value) else f"{value:,.{digits}f}"


def summary(report: Report) -> list[tuple[str, str]]:
    """The head of a report: what, how much."""
    total, first = report.total, report.equity[0][1] if report.equity else None
    last = report.equity[-1][1] if report.equity else None
    change = None if first is None or last is None else last - first
    rows = [
        ("equity", f"{number(first)} to {number(last)} ({number(change)})"),
        ("largest drawdown", f"{number(report.drawdown)} ({number(report.drawdown_pct)} %)"),
        ("closed trades", f"{total.trades}, {total.wins} won ({number(total.win_rate, 1)} %)"),
        ("profit", f"{number(total.profit)} {report.currency}, costs {number(report.costs)} in it"),
        ("profit factor", number(total.profit_factor)),
        ("average R", number(total.average_r)),
    ]
    for name, trade in (("best trade", report.best), ("worst trade", report.worst)):
        if trade is not None:
            rows.append((name, f"{number(trade.profit)} {trade.symbol} #{trade.ticket}"))
    return rows


SPARKS = "▁▂▃▄▅▆▇█"


def spark(report: Report, cells: int = 64) -> str:
    """The equity curve in one line."""
    values = [value for _, value in report.equity]
    if len(values) < 2:
        return ""
    picked = [values[i * (len(values) - 1) // (cells - 1)] for i in range(cells)]
    low, high = min(picked), max(picked)
    span = high - low or 1.0
    return "".join(SPARKS[min(7, int((v - low) / span * 8))] for v in picked)


def heading_of(report: Report) -> str:
    """The span of time, and the bot where there are several."""
    text = f"{moment(report.begin)} to {moment(report.end)} UTC"
    if report.others:
        others = ", ".join(name or "?" for name in report.others)
        text += f"; bot {report.bot or '?'} (also in this journal: {others})"
    return text


def as_text(report: Report) -> str:
    """The report for a terminal."""
    lines = [heading_of(report), ""]
    lines += [f"{name:<18} {value}" for name, value in summary(report)]
    if curve := spark(report):
        lines += ["", curve]
    for heading, rows in tables(report):
        lines += ["", f"{heading:<36}{'trades':>8}{'won':>7}{'profit':>12}{'avg R':>8}{'PF':>7}"]
        lines += [
            f"  {g.name[:33]:<34}{g.trades:>8}{g.win_rate:>6.0f}%{number(g.profit):>12}"
            f"{number(g.average_r):>8}{number(g.profit_factor):>7}"
            for g in rows
        ]
    if report.gates:
        lines += ["", f"What stopped symbols, in {report.scans} scans"]
        lines += [f"  {name[:33]:<34}{count:>8}" for name, count in report.gates]
    return "\n".join(lines)
