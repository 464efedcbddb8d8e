"""The state as bytes: each section is encoded when it changed, not for each client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..protocol.codec import encode, now_iso
from ..protocol.frames import deflated_frame, text_frame
from ..protocol.messages import PROTOCOL_VERSION
from .reducer import FeedState
from .ring import RECENT_BYTES, RECENT_EVENTS, Item, Ring
from .sections import CARRIED, LOG, SECTIONS

FRAMES_MAX = 256
"""Snapshots that are kept for clients that want the same."""

Wanted = tuple[str, ...] | None
"""Names of bots; ``None`` for all."""


class Snapshots:
    """The newest snapshot of a state, made at most once for each change of it.

    Attributes:
        stamp: The moment for ``timestamp``, ISO 8601; a replay has its own.
        path: Epochs of the feeds that a relay receives events from; ``None`` for a feed that is no
            relay.

    Args:
        state: The state to encode.
        ring: The log events.
        mark: What an event carries to name a bot, as JSON after a comma.
    """

    def __init__(
        self, state: FeedState, ring: Ring, mark: Callable[[str], bytes] = lambda _: b""
    ) -> None:
        self.stamp: Callable[[], str] = now_iso
        self.path: tuple[str, ...] | None = None
        self._state = state
        self._ring = ring
        self._mark = mark
        self._parts: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._revision = -1
        self._bodies: dict[tuple[str, Wanted], bytes] = {}
        self._latest: dict[tuple[str, str], tuple[int, Item]] = {}
        self._frames: dict[tuple[Any, ...], bytes] = {}

    def _part(self, state: FeedState, section: str, value: Any) -> bytes:
        if self._state.of(state.name) is not state:  # an unknown bot
            return encode(value)
        revision = state.revisions[section]
        known = self._parts.get((state.name, section))
        if known is None or known[0] != revision:
            known = self._parts[state.name, section] = (revision, encode(value))
        return known[1]

    def _of_bot(self, state: FeedState, max_bytes: int) -> bytes:
        """The sections of one bot, without their braces."""
        bots = (state.name, "") if state is self._state and state.name else (state.name,)
        events = b",".join(item.raw for item in self._ring.newest(RECENT_EVENTS, max_bytes, bots))
        parts = []
        for section in SECTIONS:
            value = getattr(state, section.key)
            if section is LOG:
                content = b"[" + events + b"]"
            elif section.counted:
                content = self._part(state, section.name, value)
            else:
                content = encode(value)
            parts.append(section.label + content)
        return b",".join(parts)

    def encode_data(self, top: str | None = None, others: Wanted = ()) -> bytes:
        """The ``data`` of the snapshot as JSON.

        Args:
            top: The bot on the top level; ``None``: the one that legacy clients see.
            others: The bots beside it; ``None``: all the others.
        """
        state = self._state
        if self._revision != state.revision or len(self._frames) > FRAMES_MAX:
            self._revision = state.revision
            self._bodies.clear()
            self._frames.clear()
        top = state.name if top is None else top
        made = self._bodies.get((top, others))
        if made is not None:
            return made
        whole = state.of(top) or FeedState(state.epoch, top)
        made = b'{"bot_name":' + encode(top) + b"," + self._of_bot(whole, RECENT_BYTES)
        rest = [s for s in state.each() if s is not whole and (others is None or s.name in others)]
        if rest:
            # Their logs share the bytes of one: ten bots do not make ten times the bytes.
            share = max(RECENT_BYTES // len(rest), 8192)
            parts = (encode(s.name) + b":{" + self._of_bot(s, share) + b"}" for s in rest)
            made += b',"bots":{' + b",".join(parts) + b"}}"
        else:
            made += b',"bots":{}}'
        self._bodies[top, others] = made
        return made

    def frame(
        self,
        *,
        role: str = "view",
        resumed: bool | None = None,
        deflate: bool = False,
        bots: tuple[str, ...] | None = None,
        alone: bool = False,
    ) -> bytes:
        """The ``STATE_SNAPSHOT`` message, framed.

        Args:
            role: The client's role, which the snapshot names.
            resumed: The answer to a client that asked to resume; ``None`` to one that did not.
            deflate: For a client that negotiated compression.
            bots: The bots that it asked for, the one on the top level first; ``None``: all.
            alone: Without the bots beside the first: a legacy client knows one bot.
        """
        others = () if alone else None if bots is None else bots[1:]
        body = self.encode_data(bots[0] if bots else None, others)
        key = (resumed, deflate, role, bots, alone, self.path)
        made = self._frames.get(key)
        if made is None:
            head: dict[str, Any] = {
                "type": "STATE_SNAPSHOT",
                "protocol": PROTOCOL_VERSION,
                "epoch": self._state.epoch,
                "seq": self._state.seq,
                "timestamp": self.stamp(),
                "role": role,
            }
            if resumed is not None:
                head["resumed"] = resumed
            if self.path is not None:
                head["path"] = self.path
            payload = encode(head)[:-1] + b',"data":' + body + b"}"
            made = deflated_frame(payload) if deflate else text_frame(payload)
            self._frames[key] = made
        return made

    def latest_event(self, kind: str, bot: str = "") -> Item | None:
        """The newest whole event of a state type, for clients that missed some of them.

        Args:
            kind: The type.
            bot: Its bot; empty for events that name none, which count for the first one.

        ``None`` before the first one.
        """
        state = self._state.of(bot) if bot else self._state
        section = CARRIED.get(kind)
        if state is None or section is None or not state.revisions[section.name]:
            return None
        known = self._latest.get((kind, bot))
        if known is None or known[0] != state.revisions[section.name]:
            event = {**state.carried_event(section), "timestamp": self.stamp()}
            raw = encode(event)[:-1] + self._mark(bot) + b"}"
            known = (state.revisions[section.name], Item(kind, raw, bot=bot))
            self._latest[kind, bot] = known
        return known[1]
