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
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import uuid4

from .access import Access, TokenStore, default_tokens_file
from .commands import Commander, Commands
from .frames import Item, Ring, symbol_of
from .health import Health, register_checks
from .hub import Hub, Subscriber
from .inbox import Inbox
from .journal import Journal
from .ledger import Ledger
from .protocol import STATE_TYPES, Command, CommandResult, Event, Heartbeat, RiskAlert
from .recorder import EVERY_S, Recorder
from .server import FeedServer
from .settings import FeedSettings
from .snapshots import Snapshots
from .source import Link, Wire
from .state import FeedState
from .wire import Refused, decode, encode, now_iso, pack, unpack

log = logging.getLogger("mt5dash.feed")

BarsProvider = Callable[[str, str, int], Awaitable[list[dict[str, Any]] | None]]

EARLY_MAX = 1000
TICK_S = 0.5
COMMIT_SLICE_S = 0.003
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
        self.access = Access(self.settings, self.tokens)
        self.state = FeedState(uuid4().hex[:16])
        self.ledger = Ledger()
        self.recorder = Recorder(self.state)
        self.health = Health()
        self.ring = Ring(self.settings.ring_events, self.settings.ring_bytes)
        self.snapshots = Snapshots(self.state, self.ring)
        self.hub = Hub(self.settings, self.ring, self.snapshots.fresh, self._heartbeat)
        self.server = FeedServer(self, self.hub, self.access)
        self.commands = Commands(self.publish, self.state)
        self.bars: BarsProvider | None = None
        self.published = 0
        self.refused = 0
        self.loop_lag_ms = 0.0
        self._clock = clock
        self._inbox = Inbox(self._take_inbox)
        self._watchers: list[Callable[[Wire], None]] = []
        self._waiting: deque[tuple[Item, Wire]] = deque()
        self._outgoing: deque[tuple[Item, Wire]] = deque()
        self._emitting = False
        self._early: deque[bytes] = deque(maxlen=EARLY_MAX)
        self._seq = 0
        self._running = False
        self._closed = False
        self._journal_trouble: str | None = None
        self._on_disk = 0
        self._draining = False
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
                await self._restore(self.journal)
            await self.server.start()
        except BaseException:
            if self.journal is not None:
                await self.journal.close()
            raise
        self._running = True
        self._since = time.monotonic()
        self._inbox.attach(asyncio.get_running_loop())
        for raw in self._early:
            self._take(raw)
        self._early.clear()
        self._tasks = [
            asyncio.create_task(self._tick(), name="feed tick"),
            asyncio.create_task(self._beat(), name="feed heartbeat"),
        ]

    async def _restore(self, journal: Journal) -> None:
        restored = await journal.start(self)
        self.state.epoch = restored.epoch
        self._seq = restored.seq
        first = restored.tail[0][0] if restored.tail else restored.seq + 1
        self.ring.reset(first - 1)
        for seq, raw in restored.tail:
            event = decode(raw)
            self.ring.add(Item(event["type"], raw, seq, symbol_of(event)))
            self.state.apply(event)
        await self.commands.restore_from(journal, restored.seq, self._clock())
        # What bot and terminal said before the stop is not how they are now.
        self.state.bot = self.state.terminal = None
        self.state.seq = restored.seq
        for raw in restored.trades:
            self.ledger.apply(decode(raw))
        if restored.moment is not None:
            # Account, positions and prices are asked for anew; what is history goes on.
            past = restored.moment.state
            self.state.equity = past.equity
            self.state.scan_summary = past.scan_summary or self.state.scan_summary
            if len(past.recent_trades) > len(self.state.recent_trades):
                self.state.recent_trades = past.recent_trades
            self.ledger.marks = restored.moment.marks
        for note in restored.notes:
            self._early.append(pack(RiskAlert(code="JOURNAL", level="warning", text=note)))

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
            self._drain(math.inf)
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
    def link(self) -> Link:
        """How the face in this process is joined: always."""
        return Link("local", self.url, self._since, time.monotonic(), clients=len(self.hub))

    # -- publishing -----------------------------------------------------------------------

    def publish(self, event: Event | Mapping[str, Any]) -> None:
        """Take an event in, on the loop. Never waits; what cannot be sent is logged, counted."""
        try:
            raw = pack(event)
        except Refused as error:
            self._refuse(error)
            return
        self.publish_packed(raw)

    def publish_threadsafe(self, event: Event | Mapping[str, Any]) -> None:
        """The same from any thread: copies the event, hands it over, and returns."""
        try:
            raw = pack(event)
        except Refused as error:
            self._refuse(error)
            return
        self._inbox.put(raw)

    def publish_threadsafe_packed(self, raw: bytes) -> None:
        """The same for bytes that ``wire.pack`` made."""
        self._inbox.put(raw)

    def publish_packed(self, raw: bytes, *, foreign: bool = False) -> None:
        """Take in packed bytes. ``foreign`` marks those of another program.

        Raises:
            Refused: only when ``foreign``, so that the sender can be told.
        """
        if self._running:
            self._take(raw, foreign=foreign)
        elif not self._closed:
            self._early.append(raw)

    def _take_inbox(self, raws: list[bytes]) -> None:
        for raw in raws:
            self._take(raw)

    def _refuse(self, error: Refused) -> None:
        self.refused += 1
        now = time.monotonic()
        if now - self._last_refusal > 1.0:
            self._last_refusal = now
            log.error("an event was refused (%d so far): %s", self.refused, error)

    def _take(self, raw: bytes, *, foreign: bool = False) -> None:
        try:
            event = unpack(raw)
            kind: str = event["type"]
            if kind in _NOT_PUBLISHED or (foreign and kind in _NOT_FOREIGN):
                raise Refused(f"{kind} is made by the feed itself")
            stamp = event.get("timestamp")
            again = "seq" in event
            event.pop("seq", None)
            if not isinstance(stamp, str):
                again = again or "timestamp" in event
                event.pop("timestamp", None)
            elif stamp.endswith("Z"):
                event["timestamp"] = stamp[:-1] + "+00:00"
                again = True
            if again:
                raw = encode(event)
            extra = b""
            if not isinstance(stamp, str):
                event["timestamp"] = now_iso()
                extra = b',"timestamp":"' + event["timestamp"].encode() + b'"'
            if kind == "POSITION_CLOSED":
                added = self.ledger.extremes(event)
                event.update(added)
                extra += b"".join(b',"%s":' % k.encode() + encode(v) for k, v in added.items())
            if kind in STATE_TYPES:
                item = Item(kind, raw[:-1] + extra + b"}")
            else:
                self._check_room()
                seq = event["seq"] = self._seq + 1
                item = Item(kind, raw[:-1] + extra + b',"seq":%d}' % seq, seq, symbol_of(event))
                self._seq = seq
        except Refused as error:
            self._refuse(error)
            if foreign:
                raise
            return
        self.published += 1
        if item.seq and self.journal is not None:
            self._waiting.append((item, event))
            self.journal.append(item.seq, kind, item.raw, self._clock())
        else:
            self._emit(item, event)

    def _check_room(self) -> None:
        if self.journal is None:
            return
        if len(self._waiting) >= self.journal.settings.waiting_events:
            raise Refused(f"{len(self._waiting)} events wait for the journal already")

    def journal_committed(self, seq: int) -> None:
        """The journal has everything up to ``seq`` on disk: send it."""
        self._on_disk = seq
        if not self._draining:
            self._drain()

    def _drain(self, slice_s: float = COMMIT_SLICE_S) -> None:
        """Send what is on disk, a slice at a time: a large commit does not hold the loop."""
        waiting, until = self._waiting, time.perf_counter() + slice_s
        self._draining = False
        while waiting and waiting[0][0].seq <= self._on_disk:
            if time.perf_counter() > until:
                self._draining = True
                asyncio.get_running_loop().call_soon(self._drain)
                return
            self._emit(*waiting.popleft())

    def journal_status(self, trouble: str | None) -> None:
        """The journal cannot write (why), or can again (``None``)."""
        self._journal_trouble = trouble

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
                self.ledger.apply(event)
                self.state.apply(event, time.monotonic())
                self.hub.push(item)
                self.commands.heard(event)
                for watcher in list(self._watchers):
                    try:
                        watcher(event)
                    except Exception:
                        log.exception("a watcher of the feed failed")
        finally:
            self._emitting = False

    # -- Source ---------------------------------------------------------------------------

    def watch(self, callback: Callable[[Wire], None]) -> Callable[[], None]:
        """See ``Source.watch``."""
        self._watchers.append(callback)

        def stop() -> None:
            with contextlib.suppress(ValueError):
                self._watchers.remove(callback)

        return stop

    async def command(
        self, name: str, args: Mapping[str, Any] | None = None, *, id: str | None = None
    ) -> CommandResult:
        """See ``Source.command``."""
        command = Command(id=id or uuid4().hex, name=name, args=dict(args or {}))
        return await self.commands.execute(command, "local")

    async def execute(
        self, command: Command, actor: str, *, session: str | None = None
    ) -> CommandResult:
        """Carry out a client's command: see ``Commands.execute``."""
        return await self.commands.execute(command, actor, session=session)

    def set_commander(self, handler: Commander | None) -> None:
        """Name the one who carries out commands."""
        self.commands.set_commander(handler)

    def set_bars(self, provider: BarsProvider | None) -> None:
        """Name the one who knows bars (from its cache) for ``/api/bars``."""
        self.bars = provider

    # -- clocks ---------------------------------------------------------------------------

    def _heartbeat(self, client: Subscriber) -> bytes:
        terminal = self.state.terminal
        updated = [self.state.updated[k] for k in ("account", "quotes") if k in self.state.updated]
        return encode(
            Heartbeat(
                timestamp=now_iso(),
                seq=client.cursor,
                epoch=self.state.epoch,
                sent=client.sent,
                clients=len(self.hub),
                loop_lag_ms=round(self.loop_lag_ms, 1),
                terminal=terminal.get("state") if terminal else None,
                data_age_s=round(self.moment() - max(updated), 1) if updated else None,
                journal="none" if self.journal is None else (self.journal_trouble or "ok"),
            )
        )

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
        sample = self.recorder.sample(self._clock(), self.ledger.marks)
        if sample is not None:
            journal.record(sample)
