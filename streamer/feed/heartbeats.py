"""Heartbeats: how feed and bots are, told to each client every few seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..protocol.codec import encode, now_iso
from ..protocol.messages import BotPulse, Heartbeat
from ..server.subscriber import Subscriber

if TYPE_CHECKING:
    from .feed import Feed


class Heartbeats:
    """Makes the heartbeats of one feed; what is the same for all clients is made once."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._made_at = -1.0
        self._same = b""

    def one(self, client: Subscriber) -> bytes:
        """A heartbeat for one client."""
        feed = self._feed
        now = feed.moment()
        if now != self._made_at:
            self._made_at, self._same = now, self._shared(now)
        own = {"type": "HEARTBEAT", "seq": client.cursor, "sent": client.sent}
        return encode(own)[:-1] + b"," + self._same

    def _shared(self, now: float) -> bytes:
        feed = self._feed
        bots = {
            bot.name: BotPulse(
                data_age_s=_tenth(bot.age(now)),
                heard_s=None if bot.heard is None else _tenth(now - bot.heard),
                terminal=bot.state.terminal.get("state") if bot.state.terminal else None,
                lost=bot.lost,
            )
            for bot in feed.bots
        }
        chosen = feed.bots.get(feed.bots.chosen) or feed.bots.speaker
        terminal = feed.state.terminal
        beat = Heartbeat(
            timestamp=now_iso(),
            seq=0,
            epoch=feed.state.epoch,
            sent=0,
            clients=len(feed.hub),
            loop_lag_ms=round(feed.loop_lag_ms, 1),
            terminal=terminal.get("state") if terminal else None,
            data_age_s=_tenth(chosen.age(now)),
            journal="none" if feed.journal is None else (feed.journal_trouble or "ok"),
            bots=bots,
        )
        shared = msgspec.to_builtins(beat)
        for name in ("type", "seq", "sent"):
            del shared[name]
        return encode(shared)[1:]


def _tenth(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
