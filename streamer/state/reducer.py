"""The one reducer: what a dashboard shows is a pure function of the events on the wire.

The server makes its snapshots from it, the terminal UI draws it, a remote client applies what
it received, and the browser page has the same rules in JavaScript. All pass the vectors in
``tests/streamer/state/vectors``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from ..protocol.messages import STATE_TYPES
from .sections import (
    BY_EVENT,
    NAMES,
    ONLY_LOG,
    SECTIONS,
    UNCHANGED,
    VALUES,
    StateSection,
    object_of,
)
from .typed import TypedState

MAX_BOTS = 64
"""Bots beside the first that a state keeps apart; events of more change nothing but ``seq``."""
BOT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:\[\]-]{0,95}")
"""A bot's name on the wire. Names that people give are shorter: see ``streamer.state.bots``."""


def bot_of(event: Mapping[str, Any]) -> str:
    """The bot that an event names; empty when it names none."""
    name = event.get("bot")
    return name if isinstance(name, str) and BOT_NAME.fullmatch(name) else ""


class FeedState:
    """Everything that a snapshot holds, changed by ``apply`` only.

    The attributes are about one bot, ``name``: the first one. Events of other bots change the
    same attributes of their own state in ``bots``, and only those. An event that names no bot is
    about the feed itself and counts for the first bot.

    Attributes:
        name: The bot's name; empty until an event names one.
        bots: The states of the other bots by name; their own ``bots`` are empty.
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
        loaded: When a snapshot was last loaded, on that clock; ``None`` before the first. How old
            the content of a snapshot is, the snapshot does not say.
        typed: The same content as structs of the protocol, for readers.
    """

    account: dict[str, Any]
    positions: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    quotes: dict[str, dict[str, Any]]
    scan_summary: dict[str, Any]
    recent_trades: list[dict[str, Any]]
    events: deque[dict[str, Any]]
    bot: dict[str, Any] | None
    terminal: dict[str, Any] | None
    equity: dict[str, list[Any]]
    server_time: str | None
    speed: float

    def __init__(self, epoch: str = "", name: str = "") -> None:
        self.epoch = epoch
        self.name = name
        self.bots: dict[str, FeedState] = {}
        self.seq = 0
        self.revision = 0
        self.revisions: dict[str, int] = dict.fromkeys(NAMES, 0)
        self.updated: dict[str, float] = {}
        self.loaded: float | None = None
        self.typed = TypedState(self)
        for section in SECTIONS:
            setattr(self, section.key, section.empty())

    def apply(self, event: Mapping[str, Any], now: float | None = None) -> None:
        """Apply one event. Malformed fields are ignored.

        Args:
            event: A wire event, ``type`` included. It is kept, so it must not change later.
            now: The moment for ``updated``, seconds on a clock of the caller's choice.
        """
        kind = event.get("type")
        kind = kind if isinstance(kind, str) else ""
        self.revision += 1
        name = event.get("bot")
        if name is not None and name != self.name:
            state = self.get_or_add(bot_of(event))
            if state is not self:
                seq = event.get("seq")
                if type(seq) is int and kind not in STATE_TYPES:
                    self.seq = seq
                if state is not None:
                    state.apply(event, now)
                return
        if kind not in STATE_TYPES:
            seq = event.get("seq")
            if type(seq) is int:
                self.seq = seq
        for section in BY_EVENT.get(kind, ONLY_LOG):
            key = section.key
            value = section.reduce(getattr(self, key), event)
            if value is UNCHANGED:
                continue
            setattr(self, key, value)  # ``put``, without a call for each event
            if section.counted:
                self.revisions[section.name] += 1
                if now is not None:
                    self.updated[section.name] = now

    def put(self, section: StateSection, value: Any, now: float | None = None) -> None:
        """Set the content of one section; its revision rises, and with ``now`` its age is new.
        ``revision`` is the caller's to raise."""
        setattr(self, section.key, value)
        if section.counted:
            self.revisions[section.name] += 1
            if now is not None:
                self.updated[section.name] = now

    def of(self, name: str) -> FeedState | None:
        """The state of one bot; ``None`` for an unknown one."""
        return self if name == self.name else self.bots.get(name)

    def get_or_add(self, name: str) -> FeedState | None:
        """The state of one bot, added when it is unknown; this state for an empty name. ``None``
        when there are too many bots."""
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
        """The states of all bots, this one first."""
        yield self
        yield from self.bots.values()

    def snapshot(self) -> dict[str, Any]:
        """The ``data`` of a ``STATE_SNAPSHOT``. Parts are shared, not copied."""
        bots = {name: state.sections() for name, state in self.bots.items()}
        return {"bot_name": self.name, **self.sections(), "bots": bots}

    def sections(self) -> dict[str, Any]:
        """What a snapshot holds of one bot."""
        return {s.key: s.wire(getattr(self, s.key)) for s in SECTIONS}

    def carried_event(self, section: StateSection) -> dict[str, Any]:
        """The state event, without a timestamp, that carries a section as it is now."""
        values = {s.key: getattr(self, s.key) for s in VALUES if s.event == section.event}
        return {"type": section.event, section.key: getattr(self, section.key), **values}

    def load(self, snapshot: Mapping[str, Any], now: float | None = None) -> None:
        """Replace everything by a snapshot: the whole ``STATE_SNAPSHOT`` frame or its ``data``.

        Keys that are missing (an older server's) leave their section empty.
        """
        data = snapshot.get("data", snapshot)
        if not isinstance(data, Mapping):
            data = {}
        epoch, seq = snapshot.get("epoch"), snapshot.get("seq")
        self.epoch = epoch if isinstance(epoch, str) else ""
        self.seq = seq if type(seq) is int else 0
        name = data.get("bot_name")
        self.name = name if isinstance(name, str) and BOT_NAME.fullmatch(name) else ""
        known, self.bots = self.bots, {}
        for name, part in object_of(data.get("bots")).items():
            if name == self.name or not BOT_NAME.fullmatch(name) or len(self.bots) >= MAX_BOTS:
                continue
            state = self.bots[name] = known.get(name) or FeedState()
            whole = {**object_of(part), "bot_name": name, "bots": {}}
            state.load({"data": whole, "epoch": self.epoch, "seq": self.seq}, now)
        for section in SECTIONS:
            self.put(section, section.load(data.get(section.key)), now)
        self.revision += 1
        self.loaded = now
