"""What a screen remembers of one feed beyond its state: lines, alerts, closed positions.

The feed calls ``_heard`` with each event; it only puts the event aside. ``tick``, called a few
times a second by the screen, turns what was put aside into lines and alerts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from streamer.protocol.lenient import read
from streamer.protocol.messages import STATE_TYPES, BotPulse, Heartbeat
from streamer.state.reducer import FeedState, bot_of
from streamer.state.source import Source, Wire

from ..options import Clock
from ..progress import Steps
from ..render import describe
from ..render import format as f
from . import freshness
from .bots import name_of
from .freshness import Badge
from .price_history import BarsDesk, Tape
from .trade_lookup import Books

LINES_KEPT = 5_000
WAITING_KEPT = 20_000
TAKEN_AT_ONCE = 4_000
"""Events taken in by one tick: about ten milliseconds of the loop."""
CLOSED_KEPT = 500
GHOST_S = 10.0
REASONS_KEPT = 60
FLASH_S = 0.4
FOLD_BACK = 3
"""A repeat is folded into one of so many lines before it."""


class LogLine:
    """One line of the event log; ``count`` equal events in a row stand in one line."""

    __slots__ = ("_text", "count", "event", "fold", "level", "number")

    def __init__(self, number: int, event: Wire) -> None:
        self.number = number
        self.event = event
        self.level = describe.level(event)
        self.fold = describe.repeat_key(event)
        self.count = 1
        self._text: tuple[bool, str] | None = None

    def text(self, mask: bool = False) -> str:
        if self._text is None or self._text[0] is not mask:
            self._text = (mask, describe.text(self.event, mask=mask))
        return self._text[1]


@dataclass(slots=True)
class Alert:
    """Something to look at until it is acknowledged."""

    key: object
    level: int
    text: str
    at: float
    """UTC epoch seconds of the newest one."""
    count: int = 1
    acknowledged: bool = False
    event: Wire | None = None


@dataclass(slots=True)
class Session:
    """One feed on this screen."""

    source: Source
    clock: Clock = field(default_factory=Clock)
    name: str = ""
    steps: Steps | None = None
    """What is done before there is anything to draw."""
    lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    closed: deque[Wire] = field(default_factory=lambda: deque(maxlen=CLOSED_KEPT))
    """POSITION_CLOSED events, newest first."""
    ghosts: dict[int, tuple[float, Wire]] = field(default_factory=dict)
    """Positions closed in the last seconds: ticket -> (monotonic time, event)."""
    alerts: list[Alert] = field(default_factory=list)
    seen: int = 0
    """Log events heard, folded ones counted."""
    told: int = 0
    """Those of them that are more than a note for the curious (``describe.DEBUG``)."""
    missed: int = 0
    """Events that came faster than this screen could take them; the feed still has them."""
    on_news: Callable[[], None] | None = None
    """Called with each event that came in; must be quick."""
    changed: int = 0
    """Rises when lines, closed positions or alerts change."""
    heartbeat: Heartbeat | None = None
    """The feed's last one."""
    tape: Tape = field(default_factory=Tape)
    """Prices seen, for charts where the feed has no bars."""
    reasons: dict[str, deque[tuple[str, str, str]]] = field(default_factory=dict)
    """Symbol -> (time, code, text) of its last scans, oldest first; repeats left out."""
    moves: dict[str, tuple[float, int, float, float]] = field(default_factory=dict)
    """Ticket or symbol -> (price, direction of its last change, monotonic time of it, the price
    before it)."""
    charts: BarsDesk = field(init=False)
    books: Books = field(init=False)
    marks: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Ticket -> lowest and highest profit of an open position that this screen saw."""
    _heartbeat_at: float = 0.0
    _moved_revision: int = -1
    _waiting: deque[Wire] = field(default_factory=lambda: deque(maxlen=WAITING_KEPT))
    _unwatch: Callable[[], None] | None = None
    _epoch: str | None = None
    _seq: int = 0
    _number: int = 0
    _skew: float = 0.0
    _server_said: str | None = None
    _ahead: float = 0.0
    """Seconds from the feed's wall clock to the market's, as the newest quotes said."""
    _conditions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.charts = BarsDesk(self.source, self.clock)
        self.books = Books(self.source, self.clock)

    @property
    def state(self) -> FeedState:
        return self.source.state

    def open(self) -> None:
        """Take what the feed already knows, then listen."""
        self._reload(fresh=True)
        self._unwatch = self.source.watch(self._heard)

    def close(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        self.charts.close()
        self.books.close()

    # -- the feed's side -------------------------------------------------------------------

    def _heard(self, event: Wire) -> None:
        whose = bot_of(event)
        if whose and whose != self.state.name:
            return  # another bot's of this feed: it has a tab of its own
        if self.on_news is not None:
            self.on_news()
        name = event.get("type")
        if name in STATE_TYPES:
            if name == "HEARTBEAT":
                self.heartbeat = read(event, Heartbeat)
                self._heartbeat_at = self.clock.mono()
            return
        if len(self._waiting) == WAITING_KEPT:
            self.missed += 1
        self._waiting.append(event)

    # -- the screen's side -----------------------------------------------------------------

    def tick(self) -> bool:
        """Take in what was heard; tells whether anything but ages changed."""
        before = self.changed
        if self.state.epoch != self._epoch:
            # Another run of numbers: what this screen remembers belongs to the one before.
            self._waiting.clear()
            self._reload(fresh=False)
        for _ in range(min(len(self._waiting), TAKEN_AT_ONCE)):
            event = self._waiting.popleft()
            if event.get("type") == "STATE_SNAPSHOT":
                # After a resumed one the events that were missed are told one by one.
                if event.get("resumed") is not True:
                    self._reload(fresh=False)
            elif self._is_new(event):
                self._take(event, live=True)
        if self.state.server_time != self._server_said:
            self._server_said = self.state.server_time
            market = self.server_now()
            self._ahead = 0.0 if market is None else market - self.now()
        self.tape.note(self.state.quotes, self.state.revisions["quotes"], self.now() + self._ahead)
        self._note_moves()
        now = self.clock.mono()
        for ticket in [t for t, (at, _) in self.ghosts.items() if now - at > GHOST_S]:
            del self.ghosts[ticket]
            self.changed += 1
        self._watch_conditions()
        return self.changed != before

    def _is_new(self, event: Wire) -> bool:
        seq = event.get("seq")
        if not isinstance(seq, int):
            return True
        if seq <= self._seq:
            return False
        self._seq = seq
        return True

    def _reload(self, *, fresh: bool) -> None:
        if self.state.epoch != self._epoch:
            self._epoch = self.state.epoch
            self._seq = 0
            if not fresh:
                self.lines.clear()
                self.seen = self.told = 0
                self.closed.clear()
                self.ghosts.clear()
        for event in list(self.state.events):
            if self._is_new(event):
                self._take(event, live=False)

    def _take(self, event: Wire, *, live: bool) -> None:
        self.seen += 1
        self.changed += 1
        name = event.get("type")
        if name == "POSITION_CLOSED":
            self.closed.appendleft(event)
            ticket = event.get("ticket")
            if live and isinstance(ticket, int):
                self.ghosts[ticket] = (self.clock.mono(), event)
        if live:
            self._learn_skew(event)
        if name == "SCAN_SUMMARY":
            self._note_reasons(event)
        line = LogLine(self._number, event)
        self._number += 1
        self.told += line.level > describe.DEBUG
        if not self._fold(line):
            self.lines.append(line)
        # Conditions (terminal, bot) are watched by their state: an alert that is over goes.
        if line.level >= describe.WARN and name not in ("TERMINAL_STATUS", "BOT_STATUS"):
            at = f.parse_time(event.get("timestamp"))
            self._alert(line.fold or line.number, line.level, line.text(), at, event)

    def _note_reasons(self, event: Wire) -> None:
        symbols, details = event.get("symbols"), event.get("details")
        if not isinstance(symbols, dict):
            return
        for symbol, text in symbols.items():
            detail = details.get(symbol) if isinstance(details, dict) else None
            code = str(detail.get("code") or "") if isinstance(detail, dict) else ""
            past = self.reasons.setdefault(str(symbol), deque(maxlen=REASONS_KEPT))
            if not past or past[-1][1:] != (code, str(text)):
                past.append((str(event.get("timestamp") or ""), code, str(text)))

    def _note_moves(self) -> None:
        state = self.state
        revision = state.revisions["positions"] + state.revisions["quotes"]
        if revision == self._moved_revision:
            return
        self._moved_revision = revision
        prices = [(str(p.get("ticket")), p.get("price_current")) for p in state.positions]
        prices += [(symbol, quote.get("bid")) for symbol, quote in state.quotes.items()]
        moves = {}
        for key, value in prices:
            price = f.known(value)
            if price is None:
                continue
            before = self.moves.get(key)
            if before is None or before[0] == price:
                moves[key] = before or (price, 0, 0.0, price)
            else:
                moves[key] = (price, 1 if price > before[0] else -1, self.clock.mono(), before[0])
        self.moves = moves
        self._note_marks()

    def _note_marks(self) -> None:
        marks = {}
        for position in self.state.positions:
            key, profit = str(position.get("ticket")), f.known(position.get("profit"))
            if profit is not None:
                low, high = self.marks.get(key, (profit, profit))
                marks[key] = (min(low, profit), max(high, profit))
        self.marks = marks

    def move(self, key: str) -> int:
        """1 or -1 shortly after a price went up or down, else 0."""
        _, direction, at, _ = self.moves.get(key, (0.0, 0, 0.0, 0.0))
        return direction if direction and self.clock.mono() - at < FLASH_S else 0

    def _fold(self, line: LogLine) -> bool:
        if line.fold is None:
            return False
        for back in range(1, min(FOLD_BACK, len(self.lines)) + 1):
            older = self.lines[-back]
            if older.fold == line.fold:
                line.count += older.count
                del self.lines[-back]
                self.lines.append(line)
                return True
        return False

    def _learn_skew(self, event: Wire) -> None:
        at = f.parse_time(event.get("timestamp"))
        if at is not None:
            self._skew = self.clock.wall() - at

    # -- alerts ----------------------------------------------------------------------------

    def _alert(
        self, key: object, level: int, text: str, at: float | None, event: Wire | None = None
    ) -> None:
        when = self.clock.wall() if at is None else at
        for alert in self.alerts:
            if alert.key == key and not alert.acknowledged:
                alert.count += 1
                alert.at, alert.text, alert.event = when, text, event
                alert.level = max(alert.level, level)
                self.changed += 1
                return
        self.alerts.append(Alert(key, level, text, when, event=event))
        del self.alerts[:-200]
        self.changed += 1

    def _watch_conditions(self) -> None:
        """Alerts of what lasts: terminal, bot and feed not as they should be."""
        for badge in self.badges():
            now = badge.word if badge.grade == "crit" else ""
            before = self._conditions.get(badge.name, "")
            if now == before:
                continue
            self._conditions[badge.name] = now
            key = ("condition", badge.name)
            if now:
                self._alert(key, describe.ERROR, f"{badge.name} {now}: {badge.detail}", None)
            else:
                for alert in self.alerts:
                    if alert.key == key and not alert.acknowledged:
                        alert.text += " (over now)"
                        alert.key = (*key, alert.at)
                        alert.level = describe.WARN
                self.changed += 1

    def open_alerts(self) -> list[Alert]:
        """Those not acknowledged: the worst first, then the newest."""
        open_ = [a for a in self.alerts if not a.acknowledged]
        return sorted(open_, key=lambda a: (-a.level, -a.at))

    def acknowledge(self, *, all_of_them: bool = False) -> int:
        """Acknowledge the alert that is shown first, or all; tells how many."""
        alerts = self.open_alerts()
        if not all_of_them:
            alerts = alerts[:1]
        for alert in alerts:
            alert.acknowledged = True
        self.changed += len(alerts)
        return len(alerts)

    @property
    def bot(self) -> str:
        """Name of the bot, where its feed has several; empty where there is only one."""
        return name_of(self.source)

    @property
    def pulse(self) -> BotPulse | None:
        """How this bot is, by the last heartbeat of a feed that has several."""
        return None if self.heartbeat is None else self.heartbeat.bots.get(self.state.name)

    @property
    def lost(self) -> str | None:
        """Why nothing can come from this bot now, where the feed reports it."""
        return None if self.pulse is None else self.pulse.lost

    def journal_trouble(self) -> str | None:
        """Why the feed holds log events back; ``None`` when it does not, as far as is known."""
        local = self.source.capabilities.journal_trouble
        if local:
            return local
        remote = None if self.heartbeat is None else self.heartbeat.journal
        return None if remote in ("ok", "none") else remote

    # -- freshness -------------------------------------------------------------------------

    def badges(self) -> tuple[Badge, Badge, Badge]:
        """How fresh terminal, bot and feed are."""
        return self.terminal_badge(), self.bot_badge(), self.feed_badge()

    def terminal_badge(self) -> Badge:
        """How fresh account, positions and quotes are."""
        others = [a for s in ("positions", "quotes") if (a := self._section_age(s)) is not None]
        return freshness.terminal(
            self.state.typed.terminal,
            known=self._section_age("account") is not None,
            age=self.account_age(),
            other_age=min(others, default=None),
            status_age=self._section_age("terminal"),
            lost=self.lost,
        )

    def bot_badge(self) -> Badge:
        """How the bot is, and how old its last scan."""
        loading = self.source.link.state == "starting"
        return freshness.bot(self.state.typed.bot, age=self.scan_age(), loading=loading)

    def feed_badge(self) -> Badge:
        """How this screen is joined to the feed."""
        trouble = self.journal_trouble()
        return freshness.feed(self.source.link, now=self.clock.mono(), journal_trouble=trouble)

    def account_age(self) -> float | None:
        """Seconds since the account was read; ``None`` where that is unknown.

        A snapshot says what the account was, not when: until the next update the age is that of
        the heartbeat.
        """
        age, loaded = self._section_age("account"), self.state.loaded
        if age is None or loaded is None or self.state.updated["account"] > loaded:
            return age
        if self.heartbeat is None or self._heartbeat_at < loaded:
            return None
        pulse = self.pulse
        at_beat = self.heartbeat.data_age_s if pulse is None else pulse.data_age_s
        return None if at_beat is None else at_beat + self.clock.mono() - self._heartbeat_at

    def _section_age(self, section: str) -> float | None:
        """Seconds since the last event of a section of the state; ``None`` before the first."""
        at = self.state.updated.get(section)
        return None if at is None else max(0.0, self.clock.mono() - at)

    # -- times -----------------------------------------------------------------------------

    def now(self) -> float:
        """The feed's wall clock in epoch seconds: ours, corrected by what its events said."""
        skew = self._skew if self.source.link.state != "local" and abs(self._skew) > 2 else 0.0
        return self.clock.wall() - skew

    def scan_age(self) -> float | None:
        """Seconds since the last scan ended."""
        scan: Any = self.state.scan_summary
        at = f.parse_time(scan.get("timestamp")) if isinstance(scan, dict) else None
        return None if at is None else max(0.0, self.now() - at)

    def next_scan(self) -> float | None:
        """Seconds until the next scan; negative when it is overdue."""
        bot: Any = self.state.bot
        at = f.parse_time(bot.get("next_scan_at")) if isinstance(bot, dict) else None
        return None if at is None else at - self.now()

    def server_now(self) -> float | None:
        """The market's clock, epoch seconds of server wall time."""
        return f.parse_time(self.state.server_time)

    def position_age(self, opened_at: Any) -> float | None:
        """Seconds of market time since a position was opened."""
        opened, now = f.parse_time(opened_at), self.server_now()
        return None if opened is None or now is None else max(0.0, now - opened)
