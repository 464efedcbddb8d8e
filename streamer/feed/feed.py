"""The feed: the one place where events get their number, their place on disk and their way out.

A log event is numbered, handed to the journal, and once it is on disk applied to the state
and sent. A state event is applied and sent at once. Everything happens on one loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from ..journal.recorder import EVERY_S, Recorder
from ..journal.writer import Journal
from ..protocol.codec import EventRefused, pack, unpack
from ..protocol.messages import STATE_TYPES, Command, CommandResult, Event, RiskAlert
from ..server.endpoint import Endpoint
from ..server.fanout import Fanout
from ..server.policy import AccessPolicy
from ..server.tokens import TokenStore, default_tokens_file
from ..settings import FeedSettings
from ..state.bots import Bots
from ..state.reducer import FeedState
from ..state.ring import Item, Ring, symbol_of
from ..state.snapshots import Snapshots
from ..state.source import BarsProvider, Capabilities, Link, Wire
from ..state.trades import Ledger
from ..state.watchers import Watchers
from .commit_queue import CommitQueue
from .dispatcher import CommandDispatcher, Commander
from .health import Health, register_checks
from .heartbeats import Heartbeats
from .inbox import Inbox
from .intake import check_publish_limits, stamp
from .restore import restore

log = logging.getLogger("mt5dash.feed")

EARLY_MAX = 1000
TICK_S = 0.5
_NOT_PUBLISHED = frozenset({"HEARTBEAT"})
_NOT_FOREIGN = frozenset({"COMMAND_AUDIT"})


class Feed:
    """Publishes, remembers, serves. A ``Source`` for the face in the same process.

    Args:
        settings: Where to listen and what to bear.
        journal: Where log events are kept; without one they live in memory only.
        version: What ``/`` tells.
        clock: Epoch seconds for the journal's index; the wall clock unless a test says else.
        tokens: The tokens; from ``settings.tokens_file`` unless given.

    Raises:
        AccessError: the settings would open the feed without TLS or consent.
    """

    def __init__(
        self,
        settings: FeedSettings | None = None,
        journal: Journal | None = None,
        *,
        version: str = "",
        clock: Callable[[], float] = time.time,
        tokens: TokenStore | None = None,
    ) -> None:
        self.settings = settings or FeedSettings()
        self.journal = journal
        self.version = version
        self.tokens = tokens or TokenStore(self.settings.tokens_file or default_tokens_file())
        self.access = AccessPolicy(self.settings, self.tokens)
        self.state = FeedState(uuid4().hex[:16])
        self.recorder = Recorder(self.state)
        self.health = Health()
        self.ring = Ring(self.settings.ring_events, self.settings.ring_bytes)
        self.snapshots = Snapshots(self.state, self.ring, self._stamp)
        self.heartbeats = Heartbeats(self)
        self.hub = Fanout(
            self.settings, self.ring, self.snapshots.latest_event, self.heartbeats.one
        )
        self.bots = Bots(self.settings, self.state, self.hub.choose)
        self.hub.choose(self.bots.chosen)
        self.server = Endpoint(self, self.hub, self.access)
        self.commands = CommandDispatcher(self.publish, self.state, own=self.settings.bot)
        self.bars: BarsProvider | None = None
        self.keeps_values = False
        """Whether account, positions and prices of the journal count after a restart, with their
        age: where nobody is there to ask for them anew."""
        self.published = 0
        self.refused = 0
        self.loop_lag_ms = 0.0
        self._clock = clock
        self._inbox = Inbox(self._take_inbox)
        self._watchers: Watchers[Wire] = Watchers("the feed", log)
        most = 0 if journal is None else journal.settings.waiting_events
        self._waiting = CommitQueue(most, self.bots, self._emit)
        self._outgoing: deque[tuple[Item, Wire]] = deque()
        self._emitting = False
        self._early: deque[tuple[bytes, str]] = deque(maxlen=EARLY_MAX)
        self._seq = 0
        self._running = False
        self._closed = False
        self._journal_trouble: str | None = None
        self._recorded_at = 0.0
        self._samples_dropped = 0
        self._last_refusal = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._since = time.monotonic()
        register_checks(self)

    # -- start and stop -------------------------------------------------------------------

    async def start(self) -> None:
        """Open the journal, restore what it knows, bind and listen.

        Raises:
            streamer.server.PortTaken: the port is in use.
            streamer.journal.JournalError: the journal cannot be opened.
        """
        try:
            if self.journal is not None:
                self._seq, notes = await restore(self, self.journal, self._clock())
                for note in notes:
                    alert = RiskAlert(code="JOURNAL", level="warning", text=note)
                    self._early.append((pack(alert), ""))
            await self.server.start()
        except BaseException:
            if self.journal is not None:
                await self.journal.close()
            raise
        self._running = True
        self._since = time.monotonic()
        self._inbox.attach(asyncio.get_running_loop())
        for raw, name in self._early:
            self._take(raw, name)
        self._early.clear()
        self._tasks = [
            asyncio.create_task(self._tick(), name="feed tick"),
            asyncio.create_task(self._beat(), name="feed heartbeat"),
        ]

    async def close(self) -> None:
        """Write what waits, tell clients 1001, stop. Bounded, whatever clients do."""
        if self._closed:
            return
        self._closed = True
        for task in self._tasks:
            task.cancel()
        self._inbox.close()
        await self.commands.close()
        if self.journal is not None:
            if self._running:
                self._record(self.journal)
            await self.journal.close(0.5)
            self._waiting.drain(math.inf)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.sleep(0)
                while not self.hub.idle:
                    await asyncio.sleep(0)
        await self.server.close()
        self._running = False

    @property
    def url(self) -> str:
        """``ws://HOST:PORT/ws``, once started."""
        return self.server.url

    @property
    def port(self) -> int:
        """The port in use, once started."""
        return self.server.port

    @property
    def journal_trouble(self) -> str | None:
        """Why log events cannot be written, or ``None``."""
        if self.journal is None:
            return None
        trouble = self._journal_trouble or self.journal.trouble
        if trouble is None and self._running and not self.journal.ok:
            return "the journal's writer has stopped"
        return trouble

    @property
    def waiting(self) -> int:
        """Log events that are not on disk yet."""
        return len(self._waiting)

    @property
    def own(self) -> FeedState:
        """What is known of the feed's own bot; without one, of the chosen one."""
        return self.bots.speaker.state

    @property
    def ledger(self) -> Ledger:
        """The trades of the feed's own bot; without one, of the chosen one."""
        bot = self.bots.own or self.bots.get(self.bots.chosen) or self.bots.speaker
        return bot.ledger

    @property
    def link(self) -> Link:
        """How the face in this process is joined: always."""
        return Link("local", self.url, self._since, time.monotonic(), clients=len(self.hub))

    # -- publishing -----------------------------------------------------------------------

    def publish(self, event: Event | Mapping[str, Any], *, bot: str = "") -> None:
        """Take an event in, on the loop. Never waits; what cannot be sent is logged, counted.

        Args:
            event: As a struct or a mapping.
            bot: Whose it is; empty: the feed's own bot's.
        """
        try:
            raw = pack(event)
        except EventRefused as error:
            self._refuse(error)
            return
        self.publish_packed(raw, bot=bot)

    def publish_threadsafe(self, event: Event | Mapping[str, Any]) -> None:
        """The same from any thread: copies the event, hands it over, and returns."""
        try:
            raw = pack(event)
        except EventRefused as error:
            self._refuse(error)
            return
        self._inbox.put(raw)

    def publish_threadsafe_packed(self, raw: bytes) -> None:
        """The same for bytes that ``wire.pack`` made."""
        self._inbox.put(raw)

    def publish_packed(self, raw: bytes, *, bot: str = "", foreign: bool = False) -> bool:
        """Take in packed bytes; False when they were not taken (yet).

        Args:
            raw: What ``wire.pack`` made.
            bot: Whose it is; empty: the feed's own bot's.
            foreign: It comes from another program, which is bounded.

        Raises:
            EventRefused: only when ``foreign``, so that the sender can be told.
        """
        if self._running:
            return self._take(raw, bot, foreign=foreign)
        if not self._closed:
            self._early.append((raw, bot))
        return False

    def publish_relayed(self, event: Mapping[str, Any], *, bot: str = "") -> None:
        """Take in what another feed has published: see ``streamer.relay.relay``.

        Raises:
            EventRefused: it cannot be published here.
        """
        if not self._running:
            raise EventRefused("this feed is closed")
        self._take(pack(event), bot, relayed=True)

    def _take_inbox(self, raws: list[bytes]) -> None:
        for raw in raws:
            self._take(raw)

    def _refuse(self, error: EventRefused) -> None:
        self.refused += 1
        now = time.monotonic()
        if now - self._last_refusal > 1.0:
            self._last_refusal = now
            log.error("an event was refused (%d so far): %s", self.refused, error)

    def _take(
        self, raw: bytes, name: str = "", *, foreign: bool = False, relayed: bool = False
    ) -> bool:
        try:
            bot = self.bots.get(name) or self.bots.meet(name)
            event = unpack(raw)
            kind: str = event["type"]
            if kind in _NOT_PUBLISHED or (foreign and kind in _NOT_FOREIGN):
                raise EventRefused(f"{kind} is made by the feed itself")
            if foreign and not check_publish_limits(bot, event, raw, self.settings):
                return False
            raw = stamp(raw, event, bot)
            if kind in STATE_TYPES:
                item = Item(kind, raw + b"}", bot=bot.name)
            else:
                if self.journal is not None:
                    self._waiting.check_room(bot, foreign=foreign)
                seq = event["seq"] = self._seq + 1
                raw += b',"seq":%d}' % seq
                item = Item(kind, raw, seq, symbol_of(event), bot.name)
                self._seq = seq
        except EventRefused as error:
            self._refuse(error)
            if foreign or relayed:
                raise
            return False
        self.published += 1
        bot.published += 1
        bot.heard = self.moment()
        bot.lost = None
        if item.seq and self.journal is not None:
            self._waiting.add(bot, item, event)
            self.journal.append(item.seq, kind, item.raw, self._clock())
        else:
            self._emit(item, event)
        return True

    def _send_held(self) -> None:
        """State events that came too fast: the newest of each is sent as soon as it may be."""
        for bot in self.bots:
            while bot.held and bot.allow():
                kind = next(iter(bot.held))
                with contextlib.suppress(EventRefused):
                    self._take(bot.held.pop(kind), bot.name)

    def journal_committed(self, seq: int) -> None:
        """The journal has everything up to ``seq`` on disk: send it."""
        self._waiting.committed(seq)

    def journal_status(self, trouble: str | None) -> None:
        """The journal cannot write (why), or can again (``None``)."""
        self._journal_trouble = trouble

    def journal_damaged(self, text: str) -> None:
        """Something in the journal's file is not as it was; what is new is written all the same."""
        self.publish(RiskAlert(code="JOURNAL", level="critical", text=text))

    def _emit(self, item: Item, event: Wire) -> None:
        self._outgoing.append((item, event))
        if self._emitting:  # a watcher published: its event follows this one
            return
        self._emitting = True
        try:
            while self._outgoing:
                item, event = self._outgoing.popleft()
                if item.seq:
                    self.ring.add(item)
                bot = self.bots.get(item.bot) or self.bots.speaker
                bot.ledger.apply(event)
                self.state.apply(event, time.monotonic())
                if item.kind == "ACCOUNT_UPDATE":
                    bot.learn_account()
                self.hub.push(item)
                self.commands.heard(event)
                self._watchers.notify(event)
        finally:
            self._emitting = False

    # -- Source ---------------------------------------------------------------------------

    @property
    def capabilities(self) -> Capabilities:
        """Everything: the feed is in this process."""
        return Capabilities(
            bars=self.bars,
            trades=self.trades_of,
            health=self.health,
            own=self.own,
            journal_path=None if self.journal is None else self.journal.path,
            journal_trouble=self.journal_trouble,
        )

    def trades_of(self, bot: str = "") -> Ledger | None:
        """See ``streamer.state.source.Trades``."""
        found = self.bots.get(bot)
        return self.ledger if not bot else None if found is None else found.ledger

    def watch(self, callback: Callable[[Wire], None]) -> Callable[[], None]:
        """See ``Source.watch``."""
        return self._watchers.add(callback)

    async def command(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        bot: str | None = None,
    ) -> CommandResult:
        """See ``Source.command``."""
        command = Command(id=id or uuid4().hex, name=name, args=dict(args or {}), bot=bot)
        return await self.commands.execute(command, "local")

    async def execute(
        self, command: Command, actor: str, *, session: str | None = None
    ) -> CommandResult:
        """Carry out a client's command: see ``CommandDispatcher.execute``."""
        return await self.commands.execute(command, actor, session=session)

    def set_commander(self, handler: Commander | None, bot: str | None = None) -> None:
        """Name the one who carries out commands; of the own bot, or of another."""
        self.commands.set_commander(handler, bot)

    def set_bars(self, provider: BarsProvider | None) -> None:
        """Name the one who knows bars (from its cache) for ``/api/bars``."""
        self.bars = provider

    def _stamp(self, name: str) -> bytes:
        bot = self.bots.get(name) or self.bots.speaker
        return bot.stamp

    # -- clocks ---------------------------------------------------------------------------

    def moment(self) -> float:
        """Now, on the clock of ``state.updated``."""
        return time.monotonic()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.settings.heartbeat_s)
            await self.hub.beat()
            self.server.sweep()

    async def _tick(self) -> None:
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            late = (time.perf_counter() - due) * 1000
            self.loop_lag_ms = max(late, self.loop_lag_ms * 0.9)
            now = time.monotonic()
            self.hub.sweep(now)
            self._send_held()
            if self.journal is not None and now - self._recorded_at >= EVERY_S - TICK_S / 2:
                self._recorded_at = now
                self._record(self.journal)

    def _record(self, journal: Journal) -> None:
        """Take a sample of the state, unless nothing changed."""
        if not journal.settings.samples or not journal.ok:
            return
        if journal.samples_dropped != self._samples_dropped:
            self._samples_dropped = journal.samples_dropped
            self.recorder.start_anew()
        marks = {bot.name: bot.ledger.marks for bot in (self.bots.speaker, *self.bots)}
        sample = self.recorder.sample(self._clock(), marks)
        if sample is not None:
            journal.record(sample)
