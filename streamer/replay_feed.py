"""A replay as a feed: clients see the past as they would have seen it, byte for byte."""

from __future__ import annotations

from .feed import Feed
from .frames import Item, symbol_of
from .ledger import Ledger
from .recorder import Moment
from .replay import Replay
from .settings import FeedSettings
from .source import Link, Wire
from .wire import decode

JUMPED = 1012
"""Close code after a jump: clients come back and get a snapshot of the other moment."""


class ReplayFeed(Feed):
    """Serves what a ``Replay`` shows. Log events keep their numbers and their bytes.

    Args:
        replay: Not opened yet.
        settings: Where to listen.
        version: What ``/`` tells.
    """

    def __init__(self, replay: Replay, settings: FeedSettings, *, version: str = "") -> None:
        super().__init__(settings, None, version=version)
        replay.state = self.state
        replay.on_event, replay.on_sample, replay.on_jump = self._event, self._sample, self._jump
        self.replay = replay

    @property
    def link(self) -> Link:
        """A replay is never live."""
        return self.replay.link

    def _event(self, event: Wire, raw: bytes) -> None:
        item = Item(event["type"], raw, event["seq"], symbol_of(event))
        if item.seq != self.ring.last + 1:  # some are missing since a salvage
            self.ring.reset(item.seq - 1)
        self.ring.add(item)
        self.ledger.apply(event)
        self.hub.push(item)

    def _sample(self, kinds: list[str]) -> None:
        for kind in kinds:
            item = self.snapshots.fresh(kind)
            if item is not None:
                self.hub.push(item)

    def _jump(self, moment: Moment) -> None:
        for client in list(self.hub):
            self.hub.close(client, JUMPED, "the replay went to another moment")
        first = moment.tail[0][0] if moment.tail else self.state.seq + 1
        self.ring.reset(first - 1)
        for seq, raw in moment.tail:
            event = decode(raw)
            if seq != self.ring.last + 1:
                self.ring.reset(seq - 1)
            self.ring.add(Item(event["type"], raw, seq, symbol_of(event)))
        ledger = Ledger()
        for raw in moment.trades:
            ledger.apply(decode(raw))
        self.ledger = ledger
