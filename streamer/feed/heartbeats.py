"""Heartbeats: how the feed and its bots are, sent to each client every few seconds."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..protocol.codec import encode, now_iso
from ..protocol.messages import BotPulse, Heartbeat
from ..state.bots import Bots
from ..state.reducer import FeedState
from .health import LoopLag


class Heartbeats:
    """Makes the heartbeats of one feed; what is the same for all clients is encoded once.

    Args:
        state: The state of the feed.
        bots: Its bots.
        lag: How late the loop is.
        journal: ``ok``, ``none``, or why the journal cannot be written.
        clients: How many clients there are.
        moment: Seconds on the clock of ``FeedState.updated``.
    """

    def __init__(
        self,
        state: FeedState,
        bots: Bots,
        lag: LoopLag,
        *,
        journal: Callable[[], str],
        clients: Callable[[], int],
        moment: Callable[[], float],
    ) -> None:
        self._state = state
        self._bots = bots
        self._lag = lag
        self._journal = journal
        self._clients = clients
        self._moment = moment
        self._made_at = -1.0
        self._same = b""

    def encode(self, seq: int, sent: int) -> bytes:
        """The heartbeat for one client.

        Args:
            seq: The last log event that the client has been served.
            sent: Log events sent on its connection.
        """
        now = self._moment()
        if now != self._made_at:
            self._made_at, self._same = now, self._shared(now)
        own = {"type": "HEARTBEAT", "seq": seq, "sent": sent}
        return encode(own)[:-1] + b"," + self._same

    def _shared(self, now: float) -> bytes:
        bots = {
            bot.name: BotPulse(
                data_age_s=_tenth(bot.age(now)),
                heard_s=None if bot.heard is None else _tenth(now - bot.heard),
                terminal=_terminal(bot.state),
                lost=bot.unreachable_reason,
            )
            for bot in self._bots
        }
        legacy = self._bots.get(self._bots.legacy_bot) or self._bots.default_bot
        beat = Heartbeat(
            timestamp=now_iso(),
            seq=0,
            epoch=self._state.epoch,
            sent=0,
            clients=self._clients(),
            loop_lag_ms=round(self._lag.ms, 1),
            terminal=_terminal(self._state),
            data_age_s=_tenth(legacy.age(now)),
            journal=self._journal(),
            bots=bots,
        )
        shared = msgspec.to_builtins(beat)
        for name in ("type", "seq", "sent"):
            del shared[name]
        return encode(shared)[1:]


def _terminal(state: FeedState) -> str | None:
    status = state.typed.terminal
    return None if status is None else status.state


def _tenth(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
