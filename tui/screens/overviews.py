"""Sheets about the whole: help, gate funnel, health, settings, all accounts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from streamer.protocol.messages import TerminalStatus
from streamer.state.source import Source
from streamer.words.stages import STAGES, stage_of

from ..actions import ACTIONS
from ..panels.header import mode_badge
from ..panels.scanner import NO_DETAIL, stage
from ..render import format as f
from ..render.lines import Line, Piece, fit, fit_line, line_width, wrap
from ..render.pieces import bold, dim, faint, head, key, normal
from ..session.freshness import Badge
from ..session.session import Session
from ..session.view import View, word
from .base import Sheet
from .detail import BROAD

SIGNS: tuple[tuple[str, str], ...] = (
    ("● LIVE  ◐ SLOW  ✕ STALE", "freshness of terminal, bot and feed, each with its age"),
    ("▲ ▼", "profit or loss, buy or sell: the sign has the meaning of the colour"),
    ("–", "unknown; never zero"),
    ("├──┼─●──┤", "stop at the left, target at the right, ┼ entry, ● current price"),
    ("◆ ■ □ … ✕ ! ?", "candidate, blocked by risk, by the set-up, waits, closed, news, no data"),
    ("R", "profit divided by the first risk, the loss at the first stop"),
    ("(x14)", "the number of equal events in one line"),
)

FILTER = (
    "rows with usd, without btc, and with a P/L above 10; keys of columns: pl r lots score "
    "spread tick"
)


def text_lines(text: str, cells: int, style: str = "text", indent: str = "") -> list[Line]:
    """A text wrapped into lines of at most ``cells``."""
    return [[(indent + part, style)] for part in wrap(text, max(10, cells - len(indent)))]


class HelpSheet(Sheet):
    """All keys, from the table of actions, and the meaning of the signs."""

    heading = "Help"

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        lines: list[Line] = []
        for group, actions in groupby(ACTIONS, key=lambda a: a.group):
            lines.append([(group, "head bold")])
            for a in actions:
                name: Line = [key(f"  {fit(a.all_keys, 12)} "), normal(fit(a.title, 26))]
                lines += _explained(name, a.text, cells)
            lines.append([])
        lines.append([("Signs", "head bold")])
        for sign, text in SIGNS:
            lines += _explained([normal(f"  {fit(sign, 26)} ")], text, cells)
        lines += [[], [("Filter", "head bold")]]
        lines += _explained([normal(f"  {fit('usd !btc pl>10', 26)} ")], FILTER, cells)
        return lines


def _explained(name: Line, text: str, cells: int) -> list[Line]:
    """A name and its explanation, wrapped in a column of its own."""
    at = line_width(name)
    if cells - at < 24:  # too narrow for two columns: the explanation is below the name
        return [name, *([dim(f"      {part}")] for part in wrap(text, max(10, cells - 6)))]
    parts = wrap(text, cells - at)
    first: Line = [*name, dim(parts[0] if parts else "")]
    return [first, *([dim(" " * at + part)] for part in parts[1:])]


def _place(gate: str, code: str) -> tuple[int, int]:
    """Sort key of a gate: gates of this program in their order, unknown ones by their stage."""
    from strategy.scan.gates import GATES  # only this sheet needs it

    asked = [g.__name__ for g in GATES]
    near = len(STAGES) - list(STAGES).index(code) if code in STAGES else 0
    return (asked.index(gate), near) if gate in asked else (len(asked), near)


class FunnelSheet(Sheet):
    """Why no trade: how many symbols each gate blocked, and which."""

    heading = "Why no trade: the gate funnel of the last scan"

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        scan = view.session.state.typed.scan
        if scan is None or not scan.symbols:
            bot = view.session.bot_badge()
            why = f": {word(bot.detail, 200)}" if bot.detail else ""
            return [[normal("No scan yet. "), dim(f"The bot is {bot.word.lower()}{why}")]]
        by_gate: dict[str, list[str]] = {}
        gates: dict[str, str] = {}
        for symbol in scan.symbols:
            detail = scan.details.get(symbol, NO_DETAIL)
            code = stage(detail).stage or "?"
            gate = detail.gate or code.lower()
            gates[gate] = code
            by_gate.setdefault(gate, []).append(symbol)
        left = len(scan.symbols)
        bar = max(10, min(50, cells - 34))
        lines: list[Line] = [
            [normal(f"{left} symbols scanned {f.whole_age(view.session.scan_age())} ago")],
            [],
            [head(f"{'Gate':<16}{'blocked':>8}{'left':>6}")],
        ]
        for gate in sorted(by_gate, key=lambda g: _place(g, gates[g])):
            if gates[gate] == "CANDIDATE":
                continue
            stopped = len(by_gate[gate])
            left -= stopped
            style = stage_of(gates[gate]).tone
            full = f.gauge(left, len(scan.symbols), bar).rstrip("·")
            counts = f"{stopped:>8}{left:>6}  "
            lines.append([(f"{word(gate, 15):<16}", style), normal(counts), (full, "chart")])
            lines += text_lines(", ".join(by_gate[gate]), cells, "dim", "    ")
        names = ", ".join(word(s, 16) for s in by_gate.get("candidate", []))
        return [*lines, [], [head("Candidates: "), (names, "up") if names else dim("none")]]


def _check(badge: Badge) -> Line:
    age = "" if badge.age is None else f"  {f.age(badge.age)}"
    return [
        (f"{badge.sign} ", badge.grade),
        normal(f"{badge.name:<12}"),
        (f"{badge.word}{age}", badge.grade),
        dim(f"  {word(badge.detail, 200)}" if badge.detail else ""),
    ]


class HealthSheet(Sheet):
    """Health of terminal, bot, feed, clients, journal and this screen, with the evidence."""

    heading = "Health"

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        session = view.session
        sections = [
            ("", [_check(badge) for badge in session.badges()]),
            ("Terminal", self._terminal(session)),
            ("Feed", self._feed(session)),
            ("Checks of the feed", self._local_checks(session.source)),
            ("Age of each part", self._ages(session)),
            ("This screen", self._screen(session)),
        ]
        lines: list[Line] = []
        for heading, facts in sections:
            if facts:
                lines += [*([[], [head(heading)]] if heading else []), *facts]
        return lines

    def _terminal(self, session: Session) -> list[Line]:
        status = session.state.typed.terminal or TerminalStatus(state=None, backend=None)
        ping = status.ping_ms
        return [
            _fact("backend", word(status.backend, 20)),
            _fact("market", word(status.market, 60)),
            _fact("since", _since(status.since, session.now())),
            _fact("ping", f.UNKNOWN if ping is None else f"{ping:g} ms"),
        ]

    def _feed(self, session: Session) -> list[Line]:
        state, link = session.state, session.source.link
        why = f" ({word(link.detail, 100)})" if link.detail else ""
        return [
            _fact("address", word(link.url, 80)),
            _fact("link", f"{link.state}, for {f.age(session.clock.mono() - link.since)}{why}"),
            _fact("clients", f.UNKNOWN if link.clients is None else str(link.clients)),
            *self._heartbeat(session),
            _fact("log events", f"{state.seq:,} in run {word(state.epoch, 40)}"),
        ]

    def _ages(self, session: Session) -> list[Line]:
        state, now = session.state, session.clock.mono()
        return [
            _fact(name, f"{f.age(now - at)} ago, {state.revisions.get(name, 0):,} changes")
            for name, at in sorted(state.updated.items())
        ]

    def _screen(self, session: Session) -> list[Line]:
        app = self.dash
        missed = (
            f"{session.missed:,} (more than this screen could draw; the feed and its journal "
            "have them)"
        )
        return [
            _fact("version", app.version or f.UNKNOWN),
            _fact("redraws", f"{app.hz:g} per second"),
            _fact("events kept", f"{len(session.lines):,} lines of {session.received:,} events"),
            _fact("not shown", missed),
            _fact("late by", f"{app.late_ms:.0f} ms at most in the last minute"),
        ]

    def _heartbeat(self, session: Session) -> list[Line]:
        """The content of the last heartbeat; a feed of this process has its checks instead."""
        beat = session.heartbeat
        journal = session.journal_trouble() or (beat and beat.journal)
        lag = None if beat is None else beat.loop_lag_ms
        if session.source.link.state == "local" and not journal:
            return []
        return [
            _fact("journal", word(journal, 100)),
            _fact("loop lag", f.UNKNOWN if lag is None else f"{lag:g} ms"),
        ]

    def _local_checks(self, source: Source) -> list[Line]:
        """The checks of a feed in this process."""
        health = source.capabilities.health
        if health is None:
            return []
        lines: list[Line] = []
        for name, check in health.report().get("checks", {}).items():
            grade = {"ok": "ok", "degraded": "warn", "down": "crit"}.get(
                str(check.get("status")), "dim"
            )
            age = f.known(check.get("age_s"))
            lines.append(
                [
                    dim(f"  {word(name, 20):<14}"),
                    (f"{word(check.get('status'), 10):<9}", grade),
                    normal(word(check.get("text"), 120)),
                    dim("" if age is None else f"  {f.age(age)} ago"),
                ]
            )
        return lines


def _since(moment: Any, now: float) -> str:
    at = f.parse_time(moment)
    if at is None:
        return word(moment, 40)
    return f"{f.stamp(at, '%Y-%m-%d %H:%M:%S')} UTC, {f.whole_age(now - at)} ago"


def _fact(name: str, value: str) -> Line:
    return [dim(f"  {name:<14}"), normal(value)]


class SettingsSheet(Sheet):
    """The settings in force, each with its source."""

    heading = "Settings in force"

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        values = self.dash.values
        lines: list[Line] = []
        if not self.dash.owns_bot:
            # Bot and feed have the settings of the process that they run in.
            values = [v for v in values if str(v.name).startswith("ui.")]
            lines = [
                [normal("The bot runs in another process. Print its settings there with:")],
                [key("  mt5dash config --explain")],
                [],
                [head("Settings of this screen")],
            ]
        if not values:
            return [*lines, [dim("This screen has no settings.")]]
        name_cells = min(36, max(len(str(v.name)) for v in values))
        for value in values:
            changed = value.source != "default"
            lines.append(
                [
                    normal(fit(str(value.name), name_cells) + " "),
                    (fit(word(value.value, 60), 24) + " ", "bold" if changed else "text"),
                    (word(value.source, 60), "accent" if changed else "dim"),
                ]
            )
            lines += text_lines(str(value.description), cells, "faint", "    ")
        return lines


class PortfolioSheet(Sheet):
    """All feeds in one table, and the sums by currency."""

    heading = "All accounts"
    keys = (("h →", "account"),)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h,left", "app.feed(-1)", show=False),
        Binding("right", "app.feed(1)", show=False),
    ]

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        broad = cells >= BROAD
        room = cells - (91 if broad else 40)
        titles = f"{'Account':<{room}}{' Mode':<14}{'Equity':>14}{'Floating':>12}"
        if broad:
            titles += f"{'Day':>12}{'Open':>6}{'DD':>7}  Freshness"
        lines: list[Line] = [[head(titles)]]
        sums: dict[str, list[float | None]] = {}
        for session in self.dash.sessions:
            if session.source.link.state == "replay":
                continue
            account = session.account
            values = [account.equity, account.profit, account.day_pl]
            lines.append(self._row(session, view, room, broad))
            if not broad:
                lines.append(
                    [
                        *(dim("  day "), view.gain(values[2])),
                        *(dim("  open "), normal(_open(session))),
                        *(dim("  DD "), normal(f.percent(account.drawdown_pct))),
                        self._worst(session),
                    ]
                )
            before = sums.setdefault(account.currency or "?", [0.0, 0.0, 0.0])
            for i, value in enumerate(values):
                old = before[i]
                before[i] = None if old is None or value is None else old + value
        lines.append([])
        for currency, (equity, profit, day) in sums.items():
            line: Line = [
                head(fit(f"Sum in {word(currency, 8)}", room + 14)),
                bold(f"{view.cash(equity):>14}"),
                _right(view.gain(profit), 12),
            ]
            lines.append([*line, _right(view.gain(day), 12)] if broad else line)
            if not broad:
                lines.append([dim("  day "), view.gain(day)])
        if len(lines) > 3:
            lines += [[], [faint("A sum is unknown (–) while one of its accounts is.")]]
        return lines

    def _row(self, session: Session, view: View, room: int, broad: bool) -> Line:
        account = session.account
        one = View.of(session, unit=view.unit, mask=view.mask)
        here = session is self.dash.session
        name = f"{word(account.login, 12)}@{word(account.server, 14)}"
        if session.bot:
            name = f"{word(session.bot, 16)} {name}"
        where = session.source.link.url.removeprefix("ws://").removesuffix("/ws")
        for near in ("127.0.0.1", "localhost"):
            where = where.removeprefix(near)
        line: Line = [
            (("> " if here else "  ") + fit(f"{name} {word(where, 40)}", room - 3) + " ", "bold"),
            *fit_line(mode_badge(one), 14),
            (f"{one.cash(account.equity):>14}", "text"),
            _right(one.gain(account.profit), 12),
        ]
        if broad:
            line += [
                _right(one.gain(account.day_pl), 12),
                (f"{_open(session):>6}", "text"),
                (f"{f.percent(account.drawdown_pct):>7}", "text"),
                self._worst(session),
            ]
        return line

    def _worst(self, session: Session) -> Piece:
        """The badge of the worst part; the terminal's when all are well."""
        terminal, bot, feed = session.badges()
        worst = next((b for b in (feed, terminal, bot) if b.grade != "ok"), terminal)
        return f"  {worst.sign} {worst.name} {worst.word}", worst.grade


def _open(session: Session) -> str:
    """How many positions are open; ``?`` while that is unknown."""
    positions = session.state.typed.positions
    known = "positions" in session.state.updated or positions
    return str(len(positions)) if known else "?"


def _right(piece: tuple[str, str], cells: int) -> tuple[str, str]:
    return f"{piece[0]:>{cells}}", piece[1]
