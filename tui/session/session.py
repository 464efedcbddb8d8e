"""What a screen keeps of one feed beyond its state: log lines, alerts, closed positions.

The feed calls ``_on_event`` with each event, which only queues it. The screen calls ``tick`` a few
times a second; it turns the queued events into lines and alerts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from streamer.protocol.lenient import read, typed_event
from streamer.protocol.messages import (
    STATE_TYPES,
    Account,
    BotPulse,
    CriticReview,
    Heartbeat,
    OrderUpdate,
    PositionClosed,
    PositionModified,
    PositionOpened,
    Quote,
    ScanSummary,
    TradeExecution,
)
from streamer.state.reducer import FeedState, bot_of
from streamer.state.source import Source, Wire

from ..options import Clock
from ..progress import Steps
from ..render import describe
from ..render import format as f
from . import freshness
from .bots import name_of
from .freshness import Badge
from .price_history import BarLookup, PriceHistory
from .trade_lookup import TradeLookup

LINES_KEPT = 5_000
WAITING_KEPT = 20_000
TAKEN_AT_ONCE = 4_000
"""Events that one tick handles: about ten milliseconds of the loop."""
CLOSED_KEPT = 500
JUST_CLOSED_S = 10.0
"""A closed position stays among the open ones for this long."""
REASONS_KEPT = 60
FLASH_S = 0.4
FOLD_BACK = 3
"""A repeat is folded into one of the last so many lines."""


NO_ACCOUNT, NO_QUOTE = Account(), Quote()


class ScanReason(NamedTuple):
    """The result of one scan for one symbol."""

    at: str | None
    """UTC, ISO 8601."""
    code: str | None
    text: str | None


class LogLine:
    """One line of the event log; ``count`` equal events in a row share one line."""

    __slots__ = ("_text", "_ticket", "count", "event", "fold", "level", "number")

    def __init__(self, number: int, event: Wire) -> None:
        self.number = number
        self.event = event
        self.level = describe.level(event)
        self.fold = describe.repeat_key(event)
        self.count = 1
        self._text: tuple[bool, str] | None = None
        self._ticket: tuple[int | None] | None = None

    @property
    def ticket(self) -> int | None:
        """The position (for an order: the order) that the event is about."""
        if self._ticket is None:
            self._ticket = (_ticket_of(self.event),)
        return self._ticket[0]

    def text(self, mask: bool = False) -> str:
        if self._text is None or self._text[0] is not mask:
            self._text = (mask, describe.text(self.event, mask=mask))
        return self._text[1]


def _ticket_of(event: Wire) -> int | None:
    if event.get("type") == "SCAN_SUMMARY":
        return None  # large, and about no position
    match typed_event(event):
        case PositionOpened() | PositionModified() | PositionClosed() as change:
            return change.ticket
        case TradeExecution() | CriticReview() as deal:
            return deal.ticket
        case OrderUpdate() as order:
            return order.order
    return None


@dataclass(slots=True)
class ScreenAlert:
    """An alert of the screen; it is shown until it is acknowledged."""

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
    """The steps of the start, while there is nothing else to draw."""
    lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    closed: deque[PositionClosed] = field(default_factory=lambda: deque(maxlen=CLOSED_KEPT))
    """Closed positions, newest first."""
    just_closed: dict[int, tuple[float, PositionClosed]] = field(default_factory=dict)
    """Positions closed in the last seconds: ticket -> (monotonic time, event)."""
    alerts: list[ScreenAlert] = field(default_factory=list)
    received: int = 0
    """Log events received, folded ones counted."""
    notable: int = 0
    """Those of them above the level ``describe.DEBUG``."""
    missed: int = 0
    """Events that came faster than this screen could handle them; the feed still has them."""
    on_event: Callable[[], None] | None = None
    """Called after each event that came in; must be quick."""
    changed: int = 0
    """Rises when lines, closed positions or alerts change."""
    heartbeat: Heartbeat | None = None
    """The feed's last one."""
    prices: PriceHistory = field(default_factory=PriceHistory)
    """Prices received, for charts where the feed has no bars."""
    reasons: dict[str, deque[ScanReason]] = field(default_factory=dict)
    """By symbol: the results of its last scans, oldest first; repeats left out."""
    moves: dict[str, tuple[float, int, float, float]] = field(default_factory=dict)
    """Ticket or symbol -> (price, direction of its last change, monotonic time of it, the price
    before it)."""
    bars: BarLookup = field(init=False)
    trades: TradeLookup = field(init=False)
    extremes: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Ticket -> lowest and highest profit of an open position that this screen received."""
    _heartbeat_at: float = 0.0
    _moved_revision: int = -1
    _waiting: deque[Wire] = field(default_factory=lambda: deque(maxlen=WAITING_KEPT))
    _unwatch: Callable[[], None] | None = None
    _epoch: str | None = None
    _seq: int = 0
    _number: int = 0
    _skew: float = 0.0
    _server_time: str | None = None
    _ahead: float = 0.0
    """Seconds from the feed's wall clock to the market's, by the newest quotes."""
    _conditions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bars = BarLookup(self.source, self.clock)
        self.trades = TradeLookup(self.source, self.clock)

    @property
    def state(self) -> FeedState:
        return self.source.state

    @property
    def account(self) -> Account:
        """The account; all fields unknown before its first update."""
        return self.state.typed.account or NO_ACCOUNT

    def quote(self, symbol: str | None) -> Quote:
        """The last quote of a symbol; all fields unknown where there is none."""
        return NO_QUOTE if symbol is None else self.state.typed.quotes.get(symbol, NO_QUOTE)

    def open(self) -> None:
        """Read the events in the state, then watch the feed."""
        self._reload(fresh=True)
        self._unwatch = self.source.watch(self._on_event)

    def close(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        self.bars.close()
        self.trades.close()

    # -- the feed's side -------------------------------------------------------------------

    def _on_event(self, event: Wire) -> None:
        whose = bot_of(event)
        if whose and whose != self.state.name:
            return  # another bot's of this feed: it has a tab of its own
        if self.on_event is not None:
            self.on_event()
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
        """Handle the queued events. Returns whether anything but ages changed."""
        before = self.changed
        if self.state.epoch != self._epoch:
            # Another run of numbers: what this screen keeps belongs to the run before.
            self._waiting.clear()
            self._reload(fresh=False)
        for _ in range(min(len(self._waiting), TAKEN_AT_ONCE)):
            event = self._waiting.popleft()
            if event.get("type") == "STATE_SNAPSHOT":
                # After a resumed snapshot the missed events follow one by one.
                if event.get("resumed") is not True:
                    self._reload(fresh=False)
            elif self._is_new(event):
                self._take(event, live=True)
        if self.state.server_time != self._server_time:
            self._server_time = self.state.server_time
            market = self.server_now()
            self._ahead = 0.0 if market is None else market - self.now()
        revision = self.state.revisions["quotes"]
        self.prices.note(self.state.typed.quotes, revision, self.now() + self._ahead)
        self._note_moves()
        now = self.clock.mono()
        for ticket in [t for t, (at, _) in self.just_closed.items() if now - at > JUST_CLOSED_S]:
            del self.just_closed[ticket]
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
                self.received = self.notable = 0
                self.closed.clear()
                self.just_closed.clear()
        for event in list(self.state.events):
            if self._is_new(event):
                self._take(event, live=False)

    def _take(self, event: Wire, *, live: bool) -> None:
        self.received += 1
        self.changed += 1
        name = event.get("type")
        if name == "POSITION_CLOSED" and (closed := read(event, PositionClosed)) is not None:
            self.closed.appendleft(closed)
            if live and closed.ticket is not None:
                self.just_closed[closed.ticket] = (self.clock.mono(), closed)
        if live:
            self._learn_skew(event)
        if name == "SCAN_SUMMARY" and (scan := read(event, ScanSummary)) is not None:
            self._note_reasons(scan)
        line = LogLine(self._number, event)
        self._number += 1
        self.notable += line.level > describe.DEBUG
        if not self._fold(line):
            self.lines.append(line)
        # Conditions (terminal, bot) have alerts by their badges, which end with the condition.
        if line.level >= describe.WARN and name not in ("TERMINAL_STATUS", "BOT_STATUS"):
            at = f.parse_time(event.get("timestamp"))
            self._alert(line.fold or line.number, line.level, line.text(), at, event)

    def _note_reasons(self, scan: ScanSummary) -> None:
        at = scan.timestamp if isinstance(scan.timestamp, str) else None
        for symbol, text in (scan.symbols or {}).items():
            detail = (scan.details or {}).get(symbol)
            code = None if detail is None else detail.code
            past = self.reasons.setdefault(symbol, deque(maxlen=REASONS_KEPT))
            if not past or (past[-1].code, past[-1].text) != (code, text):
                past.append(ScanReason(at, code, text))

    def _note_moves(self) -> None:
        state = self.state
        revision = state.revisions["positions"] + state.revisions["quotes"]
        if revision == self._moved_revision:
            return
        self._moved_revision = revision
        prices = [(str(p.ticket), p.price_current) for p in state.typed.positions]
        prices += [(symbol, quote.bid) for symbol, quote in state.typed.quotes.items()]
        moves = {}
        for key, price in prices:
            if price is None:
                continue
            before = self.moves.get(key)
            if before is None or before[0] == price:
                moves[key] = before or (price, 0, 0.0, price)
            else:
                moves[key] = (price, 1 if price > before[0] else -1, self.clock.mono(), before[0])
        self.moves = moves
        self._note_extremes()

    def _note_extremes(self) -> None:
        extremes: dict[int, tuple[float, float]] = {}
        for position in self.state.typed.positions:
            ticket, profit = position.ticket, position.profit
            if ticket is not None and profit is not None:
                low, high = self.extremes.get(ticket, (profit, profit))
                extremes[ticket] = (min(low, profit), max(high, profit))
        self.extremes = extremes

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
        self.alerts.append(ScreenAlert(key, level, text, when, event=event))
        del self.alerts[:-200]
        self.changed += 1

    def _watch_conditions(self) -> None:
        """Alerts of conditions that last: terminal, bot or feed in a critical state."""
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

    def open_alerts(self) -> list[ScreenAlert]:
        """The alerts that are not acknowledged: the worst first, then the newest."""
        open_ = [a for a in self.alerts if not a.acknowledged]
        return sorted(open_, key=lambda a: (-a.level, -a.at))

    def acknowledge(self, *, all_of_them: bool = False) -> int:
        """Acknowledge the alert that is shown first, or all. Returns how many."""
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
        """The last heartbeat's entry about this bot; ``None`` where it has none."""
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
        """The badges of terminal, bot and feed."""
        return self.terminal_badge(), self.bot_badge(), self.feed_badge()

    def terminal_badge(self) -> Badge:
        """The badge of the terminal: the age of account, positions and quotes."""
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
        """The badge of the bot: its state, and the age of its last scan."""
        loading = self.source.link.state == "starting"
        return freshness.bot(self.state.typed.bot, age=self.scan_age(), loading=loading)

    def feed_badge(self) -> Badge:
        """The badge of the feed: the connection of this screen to it."""
        trouble = self.journal_trouble()
        return freshness.feed(self.source.link, now=self.clock.mono(), journal_trouble=trouble)

    def account_age(self) -> float | None:
        """Seconds since the account was read; ``None`` where that is unknown.

        A snapshot holds the account without the time at which it was read: until the next update
        its age is that of the heartbeat.
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
        """The feed's wall clock, epoch seconds: this machine's, corrected by the times of events."""
        skew = self._skew if self.source.link.state != "local" and abs(self._skew) > 2 else 0.0
        return self.clock.wall() - skew

    def scan_age(self) -> float | None:
        """Seconds since the last scan ended."""
        scan = self.state.typed.scan
        at = None if scan is None else f.parse_time(scan.timestamp)
        return None if at is None else max(0.0, self.now() - at)

    def next_scan(self) -> float | None:
        """Seconds until the next scan; negative when it is late."""
        bot = self.state.typed.bot
        at = None if bot is None else f.parse_time(bot.next_scan_at)
        return None if at is None else at - self.now()

    def server_now(self) -> float | None:
        """The market's clock, epoch seconds of server wall time."""
        return f.parse_time(self.state.server_time)

    def position_age(self, opened_at: str | None) -> float | None:
        """Seconds of market time since a position was opened."""
        opened, now = f.parse_time(opened_at), self.server_now()
        return None if opened is None or now is None else max(0.0, now - opened)
