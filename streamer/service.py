"""The feed as a service: core, endpoint, commands, health and heartbeats, built and run together.

``Feed`` is what users build. It is the only module that knows all parts; each part gets exactly
what it reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from .feed.core import FeedCore
from .feed.dispatcher import CommandDispatcher, Commander
from .feed.health import (
    Health,
    LoopLag,
    data_check,
    journal_check,
    loop_check,
    terminal_check,
)
from .feed.heartbeats import Heartbeats
from .feed.sampler import Sampler
from .journal.writer import Journal
from .protocol.messages import Command, CommandResult, Event
from .server.admission import Admission
from .server.connection import Connections
from .server.endpoint import Endpoint
from .server.fanout import Fanout
from .server.metrics import Metrics
from .server.policy import AccessPolicy
from .server.routes import Routes
from .server.tokens import TokenStore, default_tokens_file
from .settings import FeedSettings
from .state.reducer import FeedState
from .state.ring import Item
from .state.snapshots import Snapshots
from .state.source import BarsProvider, Capabilities, Link, Wire
from .state.trades import TradeLedger

TICK_S = 0.5
"""Seconds between two looks at silent clients, held state events and the next sample."""


class Feed:
    """Publishes, remembers, serves. A ``Source`` for the face in the same process.

    Args:
        settings: Listening address and limits.
        journal: Where log events are written; without one they exist in memory only.
        version: The version that ``/`` returns.
        clock: Epoch seconds for the journal's index; a test may give another clock.
        tokens: The tokens; from ``settings.tokens_file`` unless given.
        moment: Seconds on the clock of ``FeedState.updated``; a replay has its own.

    Attributes:
        settings: As given.
        journal: As given.
        tokens: The token file.
        core: Numbers, journals and announces events.
        state: The state of all bots.
        bots: The bots, each with its ledger and counts.
        ring: The newest log events.
        snapshots: The state, encoded.
        health: Checks by name; other services register theirs here.
        commands: Runs commands and remembers their results.
        heartbeats: Encodes what each client is sent every few seconds.
        fanout: The clients and what is sent to them.
        endpoint: The listening side.
        sampler: Writes samples of the state to the journal; ``None`` without a journal.
        bars: The provider of ``/api/bars``; see ``set_bars``.

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
        moment: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings = settings or FeedSettings()
        self.journal = journal
        self.tokens = tokens or TokenStore(settings.tokens_file or default_tokens_file())
        self.access = AccessPolicy(settings, self.tokens)
        self.bars: BarsProvider | None = None
        self.core = core = FeedCore(settings, journal, clock=clock, moment=moment)
        self.state = core.state
        self.bots = core.bots
        self.ring = core.ring
        self.snapshots = Snapshots(core.state, core.ring, core.bot_stamp)
        self.fanout = Fanout(settings, core.ring, self.snapshots.latest_event)
        self.fanout.choose_legacy_bot(core.bots.legacy_bot)
        core.legacy_bot_watchers.add(self.fanout.choose_legacy_bot)
        core.items.add(self.fanout.push)
        self.commands = CommandDispatcher(core.publish, core.state, own=settings.bot)
        core.watchers.add(self.commands.on_event)
        self.sampler = None if journal is None else Sampler(journal, core.state, core.bots, clock)
        self._lag = LoopLag()
        self.health = Health()
        self.health.register("loop", lambda: loop_check(self._lag))
        self.health.register("journal", lambda: journal_check(core))
        self.health.register("data", lambda: data_check(core.own, moment()))
        self.health.register("terminal", lambda: terminal_check(core.own, moment()))
        self.heartbeats = Heartbeats(
            core.state,
            core.bots,
            self._lag,
            journal=lambda: "none" if journal is None else (core.journal_trouble or "ok"),
            clients=lambda: len(self.fanout),
            moment=moment,
        )
        connections = Connections(settings, local=self.access.local)
        read_log = None if journal is None else journal.read
        self.endpoint = Endpoint(
            settings,
            self.access,
            connections,
            self.fanout,
            Admission(
                core.state,
                core.ring,
                self.snapshots,
                self.fanout,
                most_missed=settings.resume_events,
                read_log=read_log,
            ),
            Routes(
                core.state,
                core.ring,
                core.bots,
                self.snapshots,
                self.health,
                version=version,
                clients=lambda: len(self.fanout),
                metrics=Metrics(core, self.fanout, connections, self.health, self._lag).text,
                moment=moment,
                read_log=read_log,
                bars=lambda: self.bars,
            ),
            state=core.state,
            snapshots=self.snapshots,
            publish=core.publish_packed,
            execute=self.execute,
        )
        self._closed = False
        self._since = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []

    # -- start and stop -------------------------------------------------------------------

    async def start(self) -> None:
        """Open the journal, restore what it knows, bind and listen.

        Raises:
            PortTaken: the port is in use.
            JournalError: the journal cannot be opened.
        """
        try:
            await self.core.open()
            if self.journal is not None:
                await self.commands.restore_from(self.journal, self.state.seq, self.core.clock())
            await self.endpoint.start()
        except BaseException:
            if self.journal is not None:
                await self.journal.close()
            raise
        self._since = time.monotonic()
        self.core.run()
        self._tasks = [
            asyncio.create_task(self._tick(), name="feed tick"),
            asyncio.create_task(self._send_heartbeats(), name="feed heartbeat"),
        ]

    async def close(self) -> None:
        """Write what waits, close clients with 1001, stop. Bounded, whatever clients do."""
        if self._closed:
            return
        self._closed = True
        for task in self._tasks:
            task.cancel()
        self.core.stop_threads("this feed is closed")
        await self.commands.close()
        if self.sampler is not None and self.core.running:
            self.sampler.take()
        await self.core.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.sleep(0)
                while not self.fanout.idle:
                    await asyncio.sleep(0)
        await self.endpoint.close()
        self.core.stop()

    async def _tick(self) -> None:
        while True:
            await self._lag.sleep(TICK_S)
            self.fanout.sweep(time.monotonic())
            self.core.release_held()
            if self.sampler is not None:
                self.sampler.tick(TICK_S / 2)

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self.settings.heartbeat_s)
            await self.fanout.send_heartbeats(self.heartbeats.encode)
            self.endpoint.close_revoked()

    # -- what it is -----------------------------------------------------------------------

    @property
    def url(self) -> str:
        """``ws://HOST:PORT/ws``, once started."""
        return self.endpoint.url

    @property
    def port(self) -> int:
        """The port in use, once started."""
        return self.endpoint.port

    @property
    def published(self) -> int:
        """Events taken in."""
        return self.core.published

    @property
    def refused(self) -> int:
        """Events that could not be published."""
        return self.core.refused

    @property
    def waiting(self) -> int:
        """Log events that are not on disk yet."""
        return self.core.waiting

    @property
    def loop_lag_ms(self) -> float:
        """The largest delay of a timer of late, milliseconds."""
        return self._lag.ms

    @property
    def journal_trouble(self) -> str | None:
        """Why log events cannot be written; ``None`` while they can."""
        return self.core.journal_trouble

    @property
    def own(self) -> FeedState:
        """The state of the feed's own bot; without one, of the legacy bot."""
        return self.core.own

    @property
    def ledger(self) -> TradeLedger:
        """The trades of the feed's own bot; without one, of the legacy bot."""
        return self.core.ledger

    @property
    def keeps_values(self) -> bool:
        """Restore account, positions and quotes (with their age) from the journal. Used by
        relays, which have no terminal to read from; set before ``start``."""
        return self.core.keeps_values

    @keeps_values.setter
    def keeps_values(self, values: bool) -> None:
        self.core.keeps_values = values

    # -- publishing -----------------------------------------------------------------------

    def publish(self, event: Event | Mapping[str, Any], *, bot: str = "") -> None:
        """Publish an event, on the loop. Never waits; what cannot be sent is logged and counted.

        Args:
            event: A struct or a mapping.
            bot: The bot that publishes it; empty: the feed's own.
        """
        self.core.publish(event, bot=bot)

    def publish_threadsafe(self, event: Event | Mapping[str, Any]) -> None:
        """Publish an event from any thread: copies it, hands it over, and returns."""
        self.core.publish_threadsafe(event)

    def publish_threadsafe_packed(self, raw: bytes) -> None:
        """The same for bytes that ``protocol.codec.pack`` made."""
        self.core.publish_threadsafe_packed(raw)

    def publish_packed(self, raw: bytes, *, bot: str = "", foreign: bool = False) -> bool:
        """Publish packed bytes, on the loop.

        Args:
            raw: What ``protocol.codec.pack`` made.
            bot: The bot that publishes it; empty: the feed's own.
            foreign: It comes from another program, whose rate is limited.

        Returns:
            False when the event was not published, or is held back until its bot's rate allows.

        Raises:
            EventRefused: only when ``foreign``, so that the sender gets an error.
        """
        return self.core.publish_packed(raw, bot=bot, foreign=foreign)

    def publish_relayed(self, event: Mapping[str, Any], *, bot: str = "") -> None:
        """Publish what another feed has published: see ``streamer.relay.relay``.

        Raises:
            EventRefused: it cannot be published here.
        """
        self.core.publish_relayed(event, bot=bot)

    # -- Source ---------------------------------------------------------------------------

    @property
    def link(self) -> Link:
        """Link status for the face in this process: always connected."""
        return Link("local", self.url, self._since, time.monotonic(), clients=len(self.fanout))

    @property
    def capabilities(self) -> Capabilities:
        """Everything: the feed is in this process."""
        return Capabilities(
            bars=self.bars,
            trades=self.core.trades_of,
            health=self.health,
            own=self.own,
            journal_path=None if self.journal is None else self.journal.path,
            journal_trouble=self.journal_trouble,
        )

    def watch(self, callback: Callable[[Wire], None]) -> Callable[[], None]:
        """See ``Source.watch``."""
        return self.core.watchers.add(callback)

    def watch_items(self, callback: Callable[[Item], None]) -> Callable[[], None]:
        """The same with each event as it was encoded, for those who pass its bytes on."""
        return self.core.items.add(callback)

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
        """Set what carries out the commands of a bot, of the own bot unless it is named."""
        self.commands.set_commander(handler, bot)

    def set_bars(self, provider: BarsProvider | None) -> None:
        """Set the provider of bars (from its cache) for ``/api/bars``."""
        self.bars = provider
