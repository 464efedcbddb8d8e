"""The one reducer: what a dashboard shows is a pure function of the events on the wire.

The server makes its snapshots from it, the terminal UI draws it, a remote client applies what
it received, and the browser page has the same rules in JavaScript. All pass the vectors in
``tests/streamer/vectors``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ..protocol.messages import STATE_TYPES
from .typed import TypedState

MAX_TRADES = 50
MAX_EVENTS = 200
MAX_EQUITY = 720
EQUITY_STEP_S = 5
"""One point of the equity curve for each this many seconds: an hour in all."""

MAX_BOTS = 64
"""Bots beside the first that a state keeps apart; events of more change nothing but ``seq``."""
BOT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:\[\]-]{0,95}")
"""A bot's name on the wire. Names that people give are shorter: see ``streamer.state.bots``."""

SECTIONS = (
    "account",
    "positions",
    "orders",
    "quotes",
    "scan",
    "trades",
    "events",
    "bot",
    "terminal",
    "equity",
)
_SCAN_KEYS = ("symbols", "timestamp", "count", "candidates", "details")


def epoch_seconds(text: Any) -> int | None:
    """Whole seconds since 1970 of an ISO 8601 time; one without a zone is UTC."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() // 1)


def bot_of(event: Mapping[str, Any]) -> str:
    """The bot that an event names; empty when it names none."""
    name = event.get("bot")
    return name if isinstance(name, str) and BOT_NAME.fullmatch(name) else ""


class FeedState:
    """Everything that a snapshot holds, changed by ``apply`` only.

    The attributes are about one bot, ``name``: the one that the feed has chosen. Events of
    other bots change the same attributes of their own state in ``bots``, and only those.
    An event that names no bot is about the feed itself and counts for the chosen one.

    Attributes:
        name: The bot that this is about; empty while none was named: then the first one is.
        bots: The states of the others, by name. Theirs are empty.
        account: The account, merged from its updates; ``{}`` until the first.
        positions: Open positions, as the last update had them.
        orders: Pending orders, as the last update had them.
        quotes: Last quote by symbol.
        scan_summary: The last scan, ``{}`` before the first.
        recent_trades: ``TRADE_EXECUTION`` events without ``type``, newest first, at most 50.
        events: Log events, oldest first, at most 200, without the ``details`` of scans.
        bot: The last ``BOT_STATUS``, or ``None``.
        terminal: The last ``TERMINAL_STATUS``, or ``None``.
        equity: ``time`` (epoch seconds) and ``value`` (account currency), oldest first.
        server_time: The market's own clock at the last quotes, ISO 8601.
        speed: How fast that clock runs; 1.0 is real time.
        seq: Number of the last log event applied.
        epoch: Name of the run of numbers.
        revision: Rises with every applied event.
        revisions: The same by section.
        updated: When each section last changed, on the caller's clock (``now``).
        typed: The same content as structs of the protocol, for readers.
    """

    def __init__(self, epoch: str = "", name: str = "") -> None:
        self.epoch = epoch
        self.name = name
        self.bots: dict[str, FeedState] = {}
        self.revision = 0
        self.revisions: dict[str, int] = dict.fromkeys(SECTIONS, 0)
        self.updated: dict[str, float] = {}
        self.typed = TypedState(self)
        self._clear()

    def _clear(self) -> None:
        self.account: dict[str, Any] = {}
        self.positions: list[dict[str, Any]] = []
        self.orders: list[dict[str, Any]] = []
        self.quotes: dict[str, dict[str, Any]] = {}
        self.scan_summary: dict[str, Any] = {}
        self.recent_trades: list[dict[str, Any]] = []
        self.events: deque[dict[str, Any]] = deque(maxlen=MAX_EVENTS)
        self.bot: dict[str, Any] | None = None
        self.terminal: dict[str, Any] | None = None
        self.equity: dict[str, list[Any]] = {"time": [], "value": []}
        self.server_time: str | None = None
        self.speed = 1.0
        self.seq = 0

    def apply(self, event: Mapping[str, Any], now: float | None = None) -> None:
        """Take one event in. An event that is malformed changes nothing it should not.

        Args:
            event: A wire event, ``type`` included. It is kept, so it must not change later.
            now: The moment for ``updated``, seconds on a clock of the caller's choice.
        """
        kind = event.get("type")
        self.revision += 1
        name = event.get("bot")
        if name is not None and name != self.name:
            whose = self.meet(bot_of(event))
            if whose is not self:
                seq = event.get("seq")
                if type(seq) is int and kind not in STATE_TYPES:
                    self.seq = seq
                if whose is not None:
                    whose.apply(event, now)
                return
        if kind in STATE_TYPES:
            self._apply_state(kind, event, now)
            return
        self._touch("events", now)
        line = dict(event)
        if kind == "SCAN_SUMMARY":
            # Only the newest scan's numbers are kept (in scan_summary): a snapshot that
            # carried those of every scan in the log would be mostly that.
            line.pop("details", None)
        self.events.append(line)
        seq = event.get("seq")
        if type(seq) is int:
            self.seq = seq
        if kind == "SCAN_SUMMARY":
            self.scan_summary = {key: event.get(key) for key in _SCAN_KEYS}
            if not isinstance(self.scan_summary["symbols"], dict):
                self.scan_summary["symbols"] = {}
            if not isinstance(self.scan_summary["details"], dict):
                self.scan_summary["details"] = {}
            self._touch("scan", now)
        elif kind == "TRADE_EXECUTION":
            trade = {key: value for key, value in event.items() if key != "type"}
            self.recent_trades.insert(0, trade)
            del self.recent_trades[MAX_TRADES:]
            self._touch("trades", now)
        elif kind == "BOT_STATUS":
            self.bot = dict(event)
            self._touch("bot", now)
        elif kind == "TERMINAL_STATUS":
            self.terminal = dict(event)
            self._touch("terminal", now)

    def _apply_state(self, kind: Any, event: Mapping[str, Any], now: float | None) -> None:
        if kind == "ACCOUNT_UPDATE":
            account = event.get("account")
            if isinstance(account, dict):
                self.account = {**self.account, **account}
                self._touch("account", now)
                self._add_equity(event.get("timestamp"), account.get("equity"), now)
        elif kind == "POSITION_UPDATE":
            positions = event.get("positions")
            if isinstance(positions, list):
                self.positions = [item for item in positions if isinstance(item, dict)]
                self._touch("positions", now)
        elif kind == "ORDERS_UPDATE":
            orders = event.get("orders")
            if isinstance(orders, list):
                self.orders = [item for item in orders if isinstance(item, dict)]
                self._touch("orders", now)
        elif kind == "QUOTE_UPDATE":
            quotes = event.get("quotes")
            if isinstance(quotes, dict):
                new = {key: value for key, value in quotes.items() if isinstance(value, dict)}
                self.quotes = {**self.quotes, **new}
                self._touch("quotes", now)
            server_time, speed = event.get("server_time"), event.get("speed")
            if isinstance(server_time, str):
                self.server_time = server_time
            if isinstance(speed, int | float) and not isinstance(speed, bool):
                self.speed = speed

    def _add_equity(self, timestamp: Any, value: Any, now: float | None) -> None:
        at = epoch_seconds(timestamp)
        if at is None or isinstance(value, bool) or not isinstance(value, int | float):
            return
        times, values = self.equity["time"], self.equity["value"]
        if times and at < times[-1]:
            return
        if times and at // EQUITY_STEP_S == times[-1] // EQUITY_STEP_S:
            values[-1] = value
        else:
            times.append(at)
            values.append(value)
            if len(times) > MAX_EQUITY:
                del times[0], values[0]
        self._touch("equity", now)

    def _touch(self, section: str, now: float | None) -> None:
        self.revisions[section] += 1
        if now is not None:
            self.updated[section] = now

    def of(self, name: str) -> FeedState | None:
        """The state of one bot; ``None`` for one that was never heard of."""
        return self if name == self.name else self.bots.get(name)

    def meet(self, name: str) -> FeedState | None:
        """The state of one bot, a new one for one that was never heard of; this state for an
        empty name. ``None`` when there are too many."""
        if not name or name == self.name:
            return self
        if not self.name:
            self.name = name
            return self
        known = self.bots.get(name)
        if known is None and len(self.bots) < MAX_BOTS:
            known = self.bots[name] = FeedState(self.epoch, name)
        return known

    def each(self) -> Iterator[FeedState]:
        """The states of all bots, the chosen one's first."""
        yield self
        yield from self.bots.values()

    def snapshot(self) -> dict[str, Any]:
        """The ``data`` of a ``STATE_SNAPSHOT``. Parts are shared, not copied."""
        bots = {name: state.sections() for name, state in self.bots.items()}
        return {"bot_name": self.name, **self.sections(), "bots": bots}

    def sections(self) -> dict[str, Any]:
        """What a snapshot holds of one bot."""
        return {
            "account": self.account,
            "positions": self.positions,
            "scan_summary": self.scan_summary,
            "recent_trades": self.recent_trades,
            "events": list(self.events),
            "orders": self.orders,
            "quotes": self.quotes,
            "bot": self.bot,
            "terminal": self.terminal,
            "equity": self.equity,
            "server_time": self.server_time,
            "speed": self.speed,
        }

    def load(self, snapshot: Mapping[str, Any], now: float | None = None) -> None:
        """Replace everything by a snapshot: the whole ``STATE_SNAPSHOT`` frame or its ``data``.

        Keys that are missing (an older server's) leave their section empty.
        """
        data = snapshot.get("data", snapshot)
        if not isinstance(data, Mapping):
            data = {}
        self._clear()
        epoch, seq = snapshot.get("epoch"), snapshot.get("seq")
        self.epoch = epoch if isinstance(epoch, str) else ""
        self.seq = seq if type(seq) is int else 0
        name = data.get("bot_name")
        self.name = name if isinstance(name, str) and BOT_NAME.fullmatch(name) else ""
        known, self.bots = self.bots, {}
        for name, part in _dict(data.get("bots")).items():
            if name == self.name or not BOT_NAME.fullmatch(name) or len(self.bots) >= MAX_BOTS:
                continue
            state = self.bots[name] = known.get(name) or FeedState()
            whole = {**_dict(part), "bot_name": name, "bots": {}}
            state.load({"data": whole, "epoch": self.epoch, "seq": self.seq}, now)
        self.account = _dict(data.get("account"))
        self.positions = _dicts(data.get("positions"))
        self.orders = _dicts(data.get("orders"))
        self.quotes = {k: v for k, v in _dict(data.get("quotes")).items() if isinstance(v, dict)}
        self.scan_summary = _dict(data.get("scan_summary"))
        self.recent_trades = _dicts(data.get("recent_trades"))[:MAX_TRADES]
        self.events.extend(_dicts(data.get("events")))
        bot, terminal = data.get("bot"), data.get("terminal")
        self.bot = bot if isinstance(bot, dict) else None
        self.terminal = terminal if isinstance(terminal, dict) else None
        equity = _dict(data.get("equity"))
        times, values = equity.get("time"), equity.get("value")
        if isinstance(times, list) and isinstance(values, list) and len(times) == len(values):
            self.equity = {"time": times[-MAX_EQUITY:], "value": values[-MAX_EQUITY:]}
        server_time, speed = data.get("server_time"), data.get("speed")
        self.server_time = server_time if isinstance(server_time, str) else None
        if isinstance(speed, int | float) and not isinstance(speed, bool):
            self.speed = speed
        self.revision += 1
        for section in SECTIONS:
            self._touch(section, now)


def _dict(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
