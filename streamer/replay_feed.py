"""A replay as a feed: clients see the past as they would have seen it, byte for byte."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .journal.recorder import Moment
from .journal.replay import Replay
from .protocol.codec import EventRefused, decode, encode, iso
from .protocol.messages import Command, CommandResult
from .protocol.sections import EQUITY_STEP_S
from .service import Feed
from .settings import FeedSettings
from .state.reducer import FeedState, bot_of
from .state.ring import Item, symbol_of
from .state.source import Link, Wire
from .state.trades import TradeLedger

JUMPED = 1012
"""Close code after a jump: clients reconnect and get a snapshot of the other moment."""
RECORDING = "this is a recording: nothing can be published on it"


class ReplayFeed(Feed):
    """Serves what a ``Replay`` shows. Log events keep their numbers and their bytes.

    Args:
        replay: Not opened yet.
        settings: Listening address and limits.
        version: The version that ``/`` returns.
    """

    def __init__(self, replay: Replay, settings: FeedSettings, *, version: str = "") -> None:
        super().__init__(
            settings.model_copy(update={"bot": ""}),
            None,
            version=version,
            moment=lambda: replay.position,  # ages are those of the moment shown
        )
        replay.state = self.state
        replay.on_event, replay.on_sample, replay.on_jump = self._event, self._sample, self._jump
        self.replay = replay
        self.snapshots.stamp = lambda: stamp(self.replay.position)
        self._curve_to: dict[str, tuple[int, float]] = {}

    async def start(self) -> None:
        """See ``Feed.start``. Only the recording publishes here."""
        await super().start()
        self.core.stop_threads(RECORDING)
        self.core.stop()

    @property
    def link(self) -> Link:
        """A replay is never live."""
        return self.replay.link

    async def execute(
        self, command: Command, actor: str, *, session: str | None = None
    ) -> CommandResult:
        """Refuse a client's command: the past takes none."""
        return await self.replay.command(command.name, command.args, id=command.id)

    async def command(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        bot: str | None = None,
    ) -> CommandResult:
        """Refuse a command of the face in this process."""
        return await self.replay.command(name, args, id=id, bot=bot)

    def _event(self, event: Wire, raw: bytes) -> None:
        item = Item(event["type"], raw, event["seq"], symbol_of(event), bot_of(event))
        if item.seq != self.ring.last + 1:  # a salvaged journal has holes
            self.ring.reset(item.seq - 1)
        self.ring.add(item)
        self._ledger_of(event).apply(event)
        self.fanout.push(item)

    def _ledger_of(self, event: Wire) -> TradeLedger:
        with contextlib.suppress(EventRefused):
            return self.bots.of_event(event).ledger
        return self.bots.default_bot.ledger

    def _sample(self, changed: list[tuple[str, str]]) -> None:
        for kind, name in changed:
            if kind == "ACCOUNT_UPDATE":
                self._account(name)
                continue
            item = self.snapshots.latest_event(kind, name)
            if item is not None:
                self.fanout.push(item)

    def _account(self, name: str) -> None:
        """Push the account, and before it the points of its equity curve that no client has yet:
        clients build the curve from the account's updates."""
        state = self.state.of(name) or self.state
        points = _points(state)
        last = self._curve_to.get(name)
        if points:
            self._curve_to[name] = points[-1]
        for moment, value in _after(points, last)[:-1]:
            self._push_account(name, {"equity": value}, moment)
        at = self.replay.position
        if points:
            began = points[-1][0]  # the time of the first account in this step of the curve
            if last is None or began != last[0] or at // EQUITY_STEP_S != began // EQUITY_STEP_S:
                at = began
        self._push_account(name, state.account, at)

    def _push_account(self, name: str, account: Wire, at: float) -> None:
        event = {"type": "ACCOUNT_UPDATE", "account": account, "timestamp": stamp(at)}
        raw = encode({**event, "bot": name} if name else event)
        self.fanout.push(Item("ACCOUNT_UPDATE", raw, bot=name))

    def _jump(self, moment: Moment) -> None:
        for client in self.fanout:
            self.fanout.close(client, JUMPED, "the replay went to another moment")
        first = moment.tail[0][0] if moment.tail else self.state.seq + 1
        self.ring.reset(first - 1)
        self.bots.reload()
        curves = {state.name: _points(state) for state in self.state.each()}
        self._curve_to = {name: points[-1] for name, points in curves.items() if points}
        for seq, raw in sorted(row for rows in moment.recent.values() for row in rows):
            if seq < first:
                event = decode(raw)
                self.ring.remember(Item(event["type"], raw, seq, symbol_of(event), bot_of(event)))
        for seq, raw in moment.tail:
            event = decode(raw)
            if seq != self.ring.last + 1:
                self.ring.reset(seq - 1)
            self.ring.add(Item(event["type"], raw, seq, symbol_of(event), bot_of(event)))
        for bot in (self.bots.default_bot, *self.bots):
            bot.ledger = TradeLedger()
        for raw in moment.trades:
            event = decode(raw)
            self._ledger_of(event).apply(event)


def stamp(at: float) -> str:
    """A moment of the past in ISO 8601, UTC."""
    return iso(datetime.fromtimestamp(at, UTC))


def _points(state: FeedState) -> list[tuple[int, float]]:
    return list(zip(state.equity["time"], state.equity["value"], strict=True))


def _after(
    points: list[tuple[int, float]], last: tuple[int, float] | None
) -> list[tuple[int, float]]:
    """The points that were changed or added since ``last`` was the newest one."""
    new = [point for point in points if last is None or point[0] >= last[0]]
    return new[1:] if len(new) > 1 and new[0] == last else new
