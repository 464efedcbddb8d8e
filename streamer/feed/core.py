"""The core of a feed: numbers events, journals them, applies them to the state, announces them.

A log event gets the next number and goes to the journal; once it is on disk it is applied to the
state and announced. A state event is applied and announced at once. Everything happens on one
loop. The core knows no socket: ``streamer.service.Feed`` builds the endpoint around it.
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

from ..journal.writer import Journal
from ..protocol.codec import EventRefused, pack, unpack
from ..protocol.messages import STATE_TYPES, Event, RiskAlert
from ..settings import FeedSettings
from ..state.bots import Bot, Bots
from ..state.reducer import FeedState
from ..state.ring import Item, Ring, symbol_of
from ..state.source import Wire
from ..state.trades import TradeLedger
from ..state.watchers import Watchers
from .commit_queue import CommitQueue
from .inbox import Inbox
from .intake import check_publish_limits, stamp
from .restore import restore

log = logging.getLogger("mt5dash.feed")

EARLY_MAX = 1000
"""Events published before the start that are kept for it, the newest."""
_MADE_HERE = frozenset({"HEARTBEAT"})
_NOT_FOREIGN = frozenset({"COMMAND_AUDIT"})


class FeedCore:
    """Takes events in and announces them, numbered and journalled.

    Args:
        settings: Names and limits of the bots, bounds of the ring.
        journal: Where log events are written; ``None``: they exist in memory only.
        clock: Epoch seconds for the journal's index.
        moment: Seconds on the clock of ``FeedState.updated``; ages are computed with it.

    Attributes:
        items: Called with each event as it is encoded, after it was applied to the state.
        watchers: Called with each event as a dict, after ``items``.
        legacy_bot_watchers: Called with the name of the bot on the state's top level when it is known.
        keeps_values: Restore account, positions and quotes (with their age) from the journal.
            Used by relays, which have no terminal to read from.
        published: Events taken in.
        refused: Events that could not be published.
    """

    def __init__(
        self,
        settings: FeedSettings,
        journal: Journal | None = None,
        *,
        clock: Callable[[], float] = time.time,
        moment: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.journal = journal
        self.clock = clock
        self.moment = moment
        self.state = FeedState(uuid4().hex[:16])
        self.ring = Ring(settings.ring_events, settings.ring_bytes)
        self.items: Watchers[Item] = Watchers("the feed", log)
        self.watchers: Watchers[Wire] = Watchers("the feed", log)
        self.legacy_bot_watchers: Watchers[str] = Watchers("the feed", log)
        self.bots = Bots(settings, self.state, self.legacy_bot_watchers.notify)
        self.keeps_values = False
        self.published = 0
        self.refused = 0
        self.running = False
        most = 0 if journal is None else journal.settings.waiting_events
        self._uncommitted = CommitQueue(most, self.bots, self._emit)
        self._inbox = Inbox(self._take_inbox)
        self._early: deque[tuple[bytes, str]] = deque(maxlen=EARLY_MAX)
        self._outgoing: deque[tuple[Bot, Item, Wire]] = deque()
        self._emitting = False
        self._closed = ""
        self._seq = 0
        self._journal_trouble: str | None = None
        self._last_refusal = 0.0

    # -- start and stop -------------------------------------------------------------------

    async def open(self) -> None:
        """Open the journal and restore state, ring and ledgers from it.

        Raises:
            JournalError: the journal cannot be opened.
        """
        if self.journal is None:
            return
        restored = await self.journal.start(self)
        await restore(
            restored, self.state, self.ring, self.bots, self.clock(), values=self.keeps_values
        )
        self._seq = restored.seq
        for note in restored.notes:
            alert = RiskAlert(code="JOURNAL", level="warning", text=note)
            self._early.append((pack(alert), ""))

    def run(self) -> None:
        """Take events in from now on, first those that were published before the start."""
        self.running = True
        self._inbox.attach(asyncio.get_running_loop())
        for raw, name in self._early:
            self._take(raw, name)
        self._early.clear()

    def stop_threads(self, reason: str) -> None:
        """Take no more events from other threads.

        Args:
            reason: What publishers are told once no event is taken at all.
        """
        self._closed = reason
        self._inbox.close()

    async def close(self) -> None:
        """Commit the events that wait for the journal and announce them; bounded."""
        if self.journal is not None:
            await self.journal.close(0.5)
            self._uncommitted.release_committed(math.inf)

    def stop(self) -> None:
        """Take no more events at all."""
        self.running = False

    # -- publishing -----------------------------------------------------------------------

    def publish(self, event: Event | Mapping[str, Any], *, bot: str = "") -> None:
        """See ``Feed.publish``."""
        try:
            raw = pack(event)
        except EventRefused as error:
            self._refuse(error)
            return
        if self.running:
            self._take(raw, bot)
        elif not self._closed:
            self._early.append((raw, bot))

    def publish_threadsafe(self, event: Event | Mapping[str, Any]) -> None:
        """See ``Feed.publish_threadsafe``."""
        try:
            raw = pack(event)
        except EventRefused as error:
            self._refuse(error)
            return
        self._inbox.put(raw)

    def publish_threadsafe_packed(self, raw: bytes) -> None:
        """See ``Feed.publish_threadsafe_packed``."""
        self._inbox.put(raw)

    def publish_packed(self, raw: bytes, *, bot: str = "", foreign: bool = False) -> bool:
        """See ``Feed.publish_packed``."""
        if self.running:
            return self._take(raw, bot, foreign=foreign)
        if not self._closed:
            self._early.append((raw, bot))
        elif foreign:
            raise EventRefused(self._closed)
        return False

    def publish_relayed(self, event: Mapping[str, Any], *, bot: str = "") -> None:
        """See ``Feed.publish_relayed``."""
        if not self.running:
            raise EventRefused(self._closed or "this feed is not started")
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
            bot = self.bots.get_or_add(name) if name else self.bots.default_bot
            event = unpack(raw)
            kind: str = event["type"]
            if kind in _MADE_HERE or (foreign and kind in _NOT_FOREIGN):
                raise EventRefused(f"{kind} is made by the feed itself")
            if foreign and not check_publish_limits(bot, event, raw, self.settings):
                return False
            raw = stamp(raw, event, bot)
            if kind in STATE_TYPES:
                item = Item(kind, raw + b"}", bot=bot.name)
            else:
                if self.journal is not None:
                    self._uncommitted.check_room(bot, foreign=foreign)
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
        bot.unreachable_reason = None
        if item.seq and self.journal is not None:
            self._uncommitted.add(bot, item, event)
            self.journal.append(item.seq, kind, item.raw, self.clock())
        else:
            self._emit(bot, item, event)
        return True

    def release_held(self) -> None:
        """Publish the state events that were held back because their bot sent too many: the
        newest of each type, as its rate allows. Called a few times a second."""
        for bot in self.bots:
            while bot.held and bot.allow():
                kind = next(iter(bot.held))
                with contextlib.suppress(EventRefused):
                    self._take(bot.held.pop(kind), bot.name)

    def _emit(self, bot: Bot, item: Item, event: Wire) -> None:
        self._outgoing.append((bot, item, event))
        if self._emitting:  # a watcher published: its event follows this one
            return
        self._emitting = True
        try:
            while self._outgoing:
                bot, item, event = self._outgoing.popleft()
                if item.seq:
                    self.ring.add(item)
                bot.ledger.apply(event)
                self.state.apply(event, self.moment())
                if item.kind == "ACCOUNT_UPDATE":
                    bot.learn_account()
                self.items.notify(item)
                self.watchers.notify(event)
        finally:
            self._emitting = False

    # -- the journal's side ---------------------------------------------------------------

    def journal_committed(self, seq: int) -> None:
        """Announce the events up to ``seq``: they are on disk."""
        self._uncommitted.committed(seq)

    def journal_status(self, trouble: str | None) -> None:
        """Note why the journal cannot write; ``None``: it can again."""
        self._journal_trouble = trouble

    def journal_damaged(self, text: str) -> None:
        """Publish that the journal's file is damaged; new events are written all the same."""
        self.publish(RiskAlert(code="JOURNAL", level="critical", text=text))

    @property
    def journal_trouble(self) -> str | None:
        """Why log events cannot be written; ``None`` while they can."""
        if self.journal is None:
            return None
        trouble = self._journal_trouble or self.journal.trouble
        if trouble is None and self.running and not self.journal.ok:
            return "the journal's writer has stopped"
        return trouble

    @property
    def waiting(self) -> int:
        """Log events that are not on disk yet."""
        return len(self._uncommitted)

    # -- bots -----------------------------------------------------------------------------

    @property
    def own(self) -> FeedState:
        """The state of the feed's own bot; without one, of the legacy bot."""
        return self.bots.default_bot.state

    @property
    def ledger(self) -> TradeLedger:
        """The trades of the feed's own bot; without one, of the legacy bot."""
        bot = self.bots.own or self.bots.get(self.bots.legacy_bot) or self.bots.default_bot
        return bot.ledger

    def trades_of(self, bot: str = "") -> TradeLedger | None:
        """See ``streamer.state.source.TradesProvider``."""
        if not bot:
            return self.ledger
        found = self.bots.get(bot)
        return None if found is None else found.ledger

    def bot_stamp(self, name: str) -> bytes:
        """What the events of a bot carry to name it: JSON after a comma, empty for none."""
        return (self.bots.get(name) or self.bots.default_bot).stamp
