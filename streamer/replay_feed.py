"""A replay as a feed: clients see the past as they would have seen it, byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime

from .feed import Feed
from .frames import Item, symbol_of
from .ledger import Ledger
from .recorder import Moment
from .replay import Replay
from .settings import FeedSettings
from .source import Link, Wire
from .state import EQUITY_STEP_S
from .wire import decode, encode, iso

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
        self.snapshots.stamp = lambda: stamp(self.replay.position)
        self._curve_to: tuple[int, float] | None = None

    def moment(self) -> float:
        """The moment shown: ages are those of then."""
        return self.replay.position

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
            if kind == "ACCOUNT_UPDATE":
                self._account()
                continue
            item = self.snapshots.fresh(kind)
            if item is not None:
                self.hub.push(item)

    def _account(self) -> None:
        """The account, and before it the points of its curve that no client has been told:
        clients make the curve from the account's updates."""
        points = self._points()
        last, self._curve_to = self._curve_to, points[-1] if points else None
        for at, value in _after(points, last)[:-1]:
            event = {"type": "ACCOUNT_UPDATE", "account": {"equity": value}}
            self.hub.push(Item("ACCOUNT_UPDATE", encode({**event, "timestamp": stamp(at)})))
        at = self.replay.position
        if points:
            began = points[-1][0]  # this step of the curve, by its first account
            if last is None or began != last[0] or at // EQUITY_STEP_S != began // EQUITY_STEP_S:
                at = began
        event = {"type": "ACCOUNT_UPDATE", "account": self.state.account}
        self.hub.push(Item("ACCOUNT_UPDATE", encode({**event, "timestamp": stamp(at)})))

    def _points(self) -> list[tuple[int, float]]:
        curve = self.state.equity
        return list(zip(curve["time"], curve["value"], strict=True))

    def _jump(self, moment: Moment) -> None:
        for client in list(self.hub):
            self.hub.close(client, JUMPED, "the replay went to another moment")
        first = moment.tail[0][0] if moment.tail else self.state.seq + 1
        self.ring.reset(first - 1)
        points = self._points()
        self._curve_to = points[-1] if points else None
        for seq, raw in moment.tail:
            event = decode(raw)
            if seq != self.ring.last + 1:
                self.ring.reset(seq - 1)
            self.ring.add(Item(event["type"], raw, seq, symbol_of(event)))
        ledger = Ledger()
        for raw in moment.trades:
            ledger.apply(decode(raw))
        self.ledger = ledger


def stamp(at: float) -> str:
    """A moment of the past as the wire writes it."""
    return iso(datetime.fromtimestamp(at, UTC))


def _after(
    points: list[tuple[int, float]], last: tuple[int, float] | None
) -> list[tuple[int, float]]:
    """The points that changed or came since ``last`` was the newest one."""
    new = [point for point in points if last is None or point[0] >= last[0]]
    return new[1:] if len(new) > 1 and new[0] == last else new
