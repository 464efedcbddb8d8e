"""Pages about the whole: help, the gate funnel, health, settings, all accounts."""

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
from ..session.freshness import Badge
from ..session.session import Session
from ..session.view import View, word
from .base import Sheet
from .detail import BROAD

SIGNS: tuple[tuple[str, str], ...] = (
    ("● LIVE  ◐ SLOW  ✕ STALE", "how fresh: each source has its own, with its age"),
    ("▲ ▼", "won or lost, bought or sold: the sign says what the colour says"),
    ("–", "not known; never zero"),
    ("├──┼─●──┤", "stop at the left, target at the right, ┼ entry, ● price now"),
    ("◆ ■ □ … ✕ ! ?", "would trade, stopped by risk, by the set-up, waits, closed, news, no data"),
    ("R", "profit in units of what the first stop put at risk"),
    ("(x14)", "so many equal events in one line"),
)


FILTER = (
    "with usd, without btc, and more than 10 of P/L; columns by their key: pl r lots score "
    "spread tick"
)


def text_lines(text: str, cells: int, style: str = "text", indent: str = "") -> list[Line]:
    return [[(indent + part, style)] for part in wrap(text, max(10, cells - len(indent)))]


class HelpSheet(Sheet):
    """All keys, from the table of actions, and what the signs mean."""

    heading = "Help"

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        lines: list[Line] = []
        for group, actions in groupby(ACTIONS, key=lambda a: a.group):
            lines.append([(group, "head bold")])
            for a in actions:
                head: Line = [(f"  {fit(a.all_keys, 12)} ", "key"), (fit(a.title, 26), "text")]
                lines += _explained(head, a.text, cells)
            lines.append([])
        lines.append([("Signs", "head bold")])
        for sign, text in SIGNS:
            lines += _explained([(f"  {fit(sign, 26)} ", "text")], text, cells)
        lines += [[], [("Filter", "head bold")]]
        lines += _explained([(f"  {fit('usd !btc pl>10', 26)} ", "text")], FILTER, cells)
        return lines


def _explained(head: Line, text: str, cells: int) -> list[Line]:
    """A name and its explanation, which goes on below itself where the line is too short."""
    at = line_width(head)
    if cells - at < 24:  # too narrow for two columns: the explanation stands below the name
        return [head, *([(f"      {part}", "dim")] for part in wrap(text, max(10, cells - 6)))]
    parts = wrap(text, cells - at)
    first: Line = [*head, (parts[0] if parts else "", "dim")]
    return [first, *([(" " * at + part, "dim")] for part in parts[1:])]


def _place(gate: str, code: str) -> tuple[int, int]:
    """When a gate is asked: the bot's own in their order, those of other bots by their stage."""
    from strategy.scan.gates import GATES  # only this page needs it

    asked = [g.__name__ for g in GATES]
    near = len(STAGES) - list(STAGES).index(code) if code in STAGES else 0
    return (asked.index(gate), near) if gate in asked else (len(asked), near)


class FunnelSheet(Sheet):
    """Why no trade: how many symbols each gate stopped, and which."""

    heading = "Why no trade: the gate funnel of the last scan"

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        scan = view.session.state.typed.scan
        if scan is None or not scan.symbols:
            bot = view.session.bot_badge()
            return [[("No scan yet. ", "text"), (f"The bot is {bot.word.lower()}", "dim"),
                     (f": {word(bot.detail, 200)}" if bot.detail else "", "dim")]]  # fmt: skip
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
            [(f"{left} symbols scanned {f.whole_age(view.session.scan_age())} ago", "text")],
            [],
            [(f"{'Gate':<16}{'stopped':>8}{'left':>6}", "head")],
        ]
        for gate in sorted(by_gate, key=lambda g: _place(g, gates[g])):
            if gates[gate] == "CANDIDATE":
                continue
            stopped = len(by_gate[gate])
            left -= stopped
            style = stage_of(gates[gate]).tone
            full = f.gauge(left, len(scan.symbols), bar).rstrip("·")
            lines.append(
                [(f"{word(gate, 15):<16}", style), (f"{stopped:>8}", "text"),
                 (f"{left:>6}  ", "text"), (full, "chart")]
            )  # fmt: skip
            lines += text_lines(", ".join(by_gate[gate]), cells, "dim", "    ")
        found_names = by_gate.get("candidate", [])
        lines += [
            [],
            [("Would trade: ", "head"),
             (", ".join(word(s, 16) for s in found_names) or "none", "up" if found_names else "dim")],
        ]  # fmt: skip
        return lines


def _check(badge: Badge) -> Line:
    age = "" if badge.age is None else f"  {f.age(badge.age)}"
    return [
        (f"{badge.sign} ", badge.grade), (f"{badge.name:<12}", "text"),
        (f"{badge.word}{age}", badge.grade),
        (f"  {word(badge.detail, 200)}" if badge.detail else "", "dim"),
    ]  # fmt: skip


class HealthSheet(Sheet):
    """What is alive, with evidence: terminal, bot, feed, clients, journal, this screen."""

    heading = "Health"

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        session = view.session
        state, link = session.state, session.source.link
        now = session.clock.mono()
        lines: list[Line] = [_check(b) for b in session.badges()]
        status = state.typed.terminal or TerminalStatus(state=None, backend=None)
        ping = status.ping_ms
        lines += [
            [],
            [("Terminal", "head")],
            _fact("backend", word(status.backend, 20)),
            _fact("market", word(status.market, 60)),
            _fact("since", _since(status.since, session.now())),
            _fact("ping", f.UNKNOWN if ping is None else f"{ping:g} ms"),
            [],
            [("Feed", "head")],
            _fact("address", word(link.url, 80)),
            _fact("joined", f"{link.state}, for {f.age(now - link.since)}"
                  + (f" ({word(link.detail, 100)})" if link.detail else "")),
            _fact("clients", f.UNKNOWN if link.clients is None else str(link.clients)),
            *self._heartbeat(session),
            _fact("log events", f"{state.seq:,} in run {word(state.epoch, 40)}"),
        ]  # fmt: skip
        lines += self._local_checks(session.source)
        lines += [[], [("Age of each part", "head")]]
        lines += [
            _fact(name, f"{f.age(now - at)} ago, {state.revisions.get(name, 0):,} changes")
            for name, at in sorted(state.updated.items())
        ]
        app = self.dash
        lines += [
            [],
            [("This screen", "head")],
            _fact("version", app.version or f.UNKNOWN),
            _fact("redraws", f"{app.hz:g} a second"),
            _fact("events held", f"{len(session.lines):,} lines of {session.received:,} events"),
            _fact("not shown", f"{session.missed:,} (came faster than they could be drawn; the "
                  "feed and its journal have them)"),
            _fact("late by", f"{app.late_ms:.0f} ms at most in the last minute"),
        ]  # fmt: skip
        return lines

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
        """The feed's own evidence, where it runs in this process."""
        health = source.capabilities.health
        if health is None:
            return []
        checks = health.report().get("checks", {})
        lines: list[Line] = [[], [("Checks of the feed", "head")]]
        for name, check in checks.items():
            grade = {"ok": "ok", "degraded": "warn", "down": "crit"}.get(
                str(check.get("status")), "dim"
            )
            age = f.known(check.get("age_s"))
            lines.append(
                [(f"  {word(name, 20):<14}", "dim"), (f"{word(check.get('status'), 10):<9}", grade),
                 (word(check.get("text"), 120), "text"),
                 ("" if age is None else f"  {f.age(age)} ago", "dim")]
            )  # fmt: skip
        return lines


def _since(said: Any, now: float) -> str:
    at = f.parse_time(said)
    if at is None:
        return word(said, 40)
    return f"{f.stamp(at, '%Y-%m-%d %H:%M:%S')} UTC, {f.whole_age(now - at)} ago"


def _fact(name: str, value: str) -> Line:
    return [(f"  {name:<14}", "dim"), (value, "text")]


class SettingsSheet(Sheet):
    """Settings in force, and where each came from."""

    heading = "Settings in force"

    def content(self, view: View, cells: int, rows: int) -> Sequence[Line]:
        values = self.dash.values
        lines: list[Line] = []
        if not self.dash.owns_bot:
            # The settings of bot and feed are those of the process they run in.
            values = [v for v in values if str(v.name).startswith("ui.")]
            lines = [
                [("The bot is not in this process: its settings are where it runs. Ask there:",
                  "text")],
                [("  mt5dash config --explain", "key")],
                [],
                [("Settings of this screen", "head")],
            ]  # fmt: skip
        if not values:
            return [*lines, [("This screen was given none.", "dim")]]
        name_cells = min(36, max(len(str(v.name)) for v in values))
        for value in values:
            changed = value.source != "default"
            lines.append(
                [(fit(str(value.name), name_cells) + " ", "text"),
                 (fit(word(value.value, 60), 24) + " ", "bold" if changed else "text"),
                 (word(value.source, 60), "accent" if changed else "dim")]
            )  # fmt: skip
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
        head = f"{'Account':<{room}}{' Mode':<14}{'Equity':>14}{'Floating':>12}"
        if broad:
            head += f"{'Day':>12}{'Open':>6}{'DD':>7}  Freshness"
        lines: list[Line] = [[(head, "head")]]
        sums: dict[str, list[float | None]] = {}
        for session in self.dash.sessions:
            if session.source.link.state == "replay":
                continue
            account = session.account
            values = [account.equity, account.profit, account.day_pl]
            lines.append(self._row(session, view, room, broad))
            if not broad:
                lines.append(
                    [("  day ", "dim"), view.gain(values[2]), ("  open ", "dim"),
                     (_open(session), "text"), ("  DD ", "dim"),
                     (f.percent(account.drawdown_pct), "text"), self._worst(session)]
                )  # fmt: skip
            before = sums.setdefault(account.currency or "?", [0.0, 0.0, 0.0])
            for i, value in enumerate(values):
                old = before[i]
                before[i] = None if old is None or value is None else old + value
        lines.append([])
        for currency, (equity, profit, day) in sums.items():
            line: Line = [
                (fit(f"Sum in {word(currency, 8)}", room + 14), "head"),
                (f"{view.cash(equity):>14}", "bold"), _right(view.gain(profit), 12),
            ]  # fmt: skip
            lines.append([*line, _right(view.gain(day), 12)] if broad else line)
            if not broad:
                lines.append([("  day ", "dim"), view.gain(day)])
        if len(lines) > 3:
            lines += [[], [("A sum is not known (–) while one of its accounts is not.", "faint")]]
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
        """The badge of what is least well; the terminal's when all is."""
        terminal, bot, feed = session.badges()
        worst = next((b for b in (feed, terminal, bot) if b.grade != "ok"), terminal)
        return f"  {worst.sign} {worst.name} {worst.word}", worst.grade


def _open(session: Session) -> str:
    """How many positions are open; ``?`` while that is not known."""
    positions = session.state.typed.positions
    known = "positions" in session.state.updated or positions
    return str(len(positions)) if known else "?"


def _right(piece: tuple[str, str], cells: int) -> tuple[str, str]:
    return f"{piece[0]:>{cells}}", piece[1]
