"""The state as bytes: each section is encoded when it changed, not for each client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .frames import Item, Ring, deflated_frame, text_frame
from .protocol import PROTOCOL_VERSION
from .state import MAX_EVENTS, FeedState
from .wire import encode, now_iso

EVENTS_MAX_BYTES = 192 * 1024
"""A snapshot stops at fewer than 200 events when they are larger than this together."""

_SECTION_OF = {
    "ACCOUNT_UPDATE": "account",
    "POSITION_UPDATE": "positions",
    "ORDERS_UPDATE": "orders",
    "QUOTE_UPDATE": "quotes",
}


class Snapshots:
    """The newest snapshot of a state, made at most once for each change of it.

    Attributes:
        stamp: The moment for ``timestamp``, ISO 8601; a replay has its own.
    """

    def __init__(self, state: FeedState, ring: Ring) -> None:
        self.stamp: Callable[[], str] = now_iso
        self._state = state
        self._ring = ring
        self._parts: dict[str, tuple[int, bytes]] = {}
        self._revision = -1
        self._body = b""
        self._fresh: dict[str, tuple[int, Item]] = {}
        self._frames: dict[tuple[bool | None, bool, str], bytes] = {}

    def _part(self, section: str, value: Any) -> bytes:
        revision = self._state.revisions[section]
        known = self._parts.get(section)
        if known is None or known[0] != revision:
            known = self._parts[section] = (revision, encode(value))
        return known[1]

    def body(self) -> bytes:
        """The ``data`` of the snapshot as JSON."""
        state = self._state
        if self._revision != state.revision:
            events = b",".join(i.raw for i in self._ring.newest(MAX_EVENTS, EVENTS_MAX_BYTES))
            self._body = b"".join(
                (
                    b'{"account":',
                    self._part("account", state.account),
                    b',"positions":',
                    self._part("positions", state.positions),
                    b',"scan_summary":',
                    self._part("scan", state.scan_summary),
                    b',"recent_trades":',
                    self._part("trades", state.recent_trades),
                    b',"events":[',
                    events,
                    b'],"orders":',
                    self._part("orders", state.orders),
                    b',"quotes":',
                    self._part("quotes", state.quotes),
                    b',"bot":',
                    self._part("bot", state.bot),
                    b',"terminal":',
                    self._part("terminal", state.terminal),
                    b',"equity":',
                    self._part("equity", state.equity),
                    b',"server_time":',
                    encode(state.server_time),
                    b',"speed":',
                    encode(state.speed),
                    b"}",
                )
            )
            self._revision = state.revision
            self._frames.clear()
        return self._body

    def frame(
        self, *, role: str = "view", resumed: bool | None = None, deflate: bool = False
    ) -> bytes:
        """The ``STATE_SNAPSHOT`` message, framed.

        Args:
            role: What the client may do; it is told, so that it need not try.
            resumed: The answer to a client that asked to resume; ``None`` to one that did not.
            deflate: For a client that negotiated compression.
        """
        body = self.body()
        key = (resumed, deflate, role)
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
            payload = encode(head)[:-1] + b',"data":' + body + b"}"
            made = deflated_frame(payload) if deflate else text_frame(payload)
            self._frames[key] = made
        return made

    def fresh(self, kind: str) -> Item | None:
        """The newest whole event of a state type, for clients that missed some of them.

        ``None`` before the first one.
        """
        state = self._state
        section = _SECTION_OF.get(kind)
        if section is None or not state.revisions[section]:
            return None
        known = self._fresh.get(kind)
        if known is None or known[0] != state.revisions[section]:
            event: dict[str, Any] = {"type": kind, section: getattr(state, section)}
            if section == "quotes":
                event |= {"server_time": state.server_time, "speed": state.speed}
            event["timestamp"] = self.stamp()
            known = self._fresh[kind] = (state.revisions[section], Item(kind, encode(event)))
        return known[1]
