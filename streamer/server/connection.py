"""One client's connection, and the registry of all of them.

What is used here beyond websockets' public interface (``transport``, ``paused``, the asyncio
callbacks) is pinned by ``tests/streamer/server/test_feed_transport.py``.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.protocol import OPEN

from ..addresses import is_loopback
from ..settings import FeedSettings
from .fanout import Fanout
from .policy import Grant, Rejection
from .subscriber import Subscriber

log = logging.getLogger("mt5dash.feed")

NOTSENT_LOWAT = 128 * 1024
"""Bytes that the kernel holds for a client before it says "full": what a client that stalls
and reads again gets stale at most."""
_NOTSENT_OPTION: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
HARD_CAP_EXTRA = 128
"""Connections above ``max_clients`` that are still accepted, to be refused politely."""
PER_ADDRESS = 50
FLOOD_LOG_S = 10.0


class Connections:
    """All open connections, counted by client address.

    Args:
        settings: The limits.
        local: The endpoint listens on loopback only: its own machine has no limit by address.

    Attributes:
        by_address: Open connections by client address.
        refused: Requests and clients that were refused, by reason.
    """

    def __init__(self, settings: FeedSettings, *, local: bool) -> None:
        self._settings = settings
        self._local = local
        self._open: set[FeedConnection] = set()
        self.by_address: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._flood_logged_at = 0.0

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[FeedConnection]:
        return iter(list(self._open))

    @property
    def unauthenticated(self) -> int:
        """Connections that still owe their token."""
        return sum(1 for connection in self._open if connection.owes_token)

    def add(self, connection: FeedConnection) -> bool:
        """Register a new connection; False when there is no room even to refuse it politely."""
        self._open.add(connection)
        self.by_address[connection.address] += 1
        if len(self._open) <= self._settings.max_clients + HARD_CAP_EXTRA:
            return True
        self.refused["flood"] += 1
        now = time.monotonic()
        if now - self._flood_logged_at > FLOOD_LOG_S:
            self._flood_logged_at = now
            log.warning("more than %d connections: new ones are cut", self._settings.max_clients)
        return False

    def discard(self, connection: FeedConnection) -> None:
        """Forget a connection that ended."""
        if connection in self._open:
            self._open.discard(connection)
            self.by_address[connection.address] -= 1
            if self.by_address[connection.address] <= 0:
                del self.by_address[connection.address]

    def move(self, connection: FeedConnection, address: str) -> None:
        """Count a connection for the client behind a trusted proxy, not for the proxy."""
        self.discard(connection)
        connection.address = address
        self._open.add(connection)
        self.by_address[address] += 1

    def has_room_for(self, connection: FeedConnection) -> bool:
        """Whether a registered connection is within the limits."""
        if len(self._open) > self._settings.max_clients:
            return False
        limit = self._settings.max_clients_per_address
        if limit == 0:
            if self._local and is_loopback(connection.address):
                return True
            limit = PER_ADDRESS
        return self.by_address[connection.address] <= limit


class FeedConnection(ServerConnection):
    """A connection with its grant, its message rate and its place in the fan-out.

    Args:
        connections: Where it registers itself.
        fanout: The fan-out that its subscriber is in.
        *args, **kwargs: For ``ServerConnection``.
    """

    def __init__(self, connections: Connections, fanout: Fanout, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections = connections
        self._fanout = fanout
        self.subscriber: Subscriber | None = None
        self.grant: Grant | None = None
        self.rejection: Rejection | None = None
        self.address = ""
        self.legacy = True
        self.owes_token = False
        self.query: dict[str, list[str]] = {}
        self.malformed = 0
        self.pause_s = 0.0
        """Seconds before the next read: the client publishes faster than its bot may."""
        self.rate_told_at = 0.0
        """When it was last sent the error RATE, ``time.monotonic``."""
        self.commands = 0
        """Commands of this client that are not answered yet."""
        self._tokens = 0.0
        self._tokens_at = 0.0

    @property
    def peer(self) -> str:
        """The client's address for the log."""
        name = self.transport.get_extra_info("peername")
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "?"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the socket up; cut the connection when there is no room for it."""
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        self.address = name[0] if isinstance(name, tuple) else ""
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            # asyncio leaves it out where the listening socket's protocol is 0: a frame would
            # wait some 40 ms for the client's acknowledgement of the one before.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if _NOTSENT_OPTION is not None:
                sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_OPTION, NOTSENT_LOWAT)
            else:
                # Without it (Windows) the whole send buffer has to be that small, or the kernel
                # takes megabytes for a client that reads nothing.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, NOTSENT_LOWAT)
        if not self._connections.add(self):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the fan-out before the socket is closed: its descriptor is written to directly."""
        self._leave()
        self._connections.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Note the sign of life; leave the fan-out when the client starts to close."""
        subscriber = self.subscriber
        if subscriber is not None:
            subscriber.heard = time.monotonic()
            subscriber.pinged = False
        super().data_received(data)
        if subscriber is not None and self.protocol.state is not OPEN:
            self._leave()

    def eof_received(self) -> None:
        """Leave the fan-out: nothing may be written after the end."""
        self._leave()
        super().eof_received()

    def pause_writing(self) -> None:
        """The socket takes no more bytes."""
        super().pause_writing()
        if self.subscriber is not None:
            self.subscriber.pause()

    def resume_writing(self) -> None:
        """The socket takes bytes again."""
        super().resume_writing()
        if self.subscriber is not None:
            self._fanout.resumed_writing(self.subscriber)

    def _leave(self) -> None:
        if self.subscriber is not None and not self.subscriber.closed:
            self._fanout.drop(self.subscriber)

    def send_now(self, payload: bytes) -> None:
        """Send a text message outside the fan-out, before the client is in it."""
        if self.protocol.state is OPEN:
            self.protocol.send_text(payload)
            for data in self.protocol.data_to_send():
                self.transport.write(data)

    def finish(self, code: int, reason: str, grace: float) -> None:
        """Send a close frame now and cut the connection after ``grace`` seconds."""
        self._leave()
        if self.protocol.state is OPEN:
            self.protocol.send_close(code, reason.encode()[:120].decode(errors="ignore"))
            for data in self.protocol.data_to_send():
                if data:
                    self.transport.write(data)
        self.loop.call_later(grace, self.transport.abort)

    def allow_message(self, rate: float, burst: float) -> bool:
        """Whether this client may send one more message now (token bucket)."""
        now = time.monotonic()
        if self._tokens_at == 0.0:
            self._tokens = burst
        else:
            self._tokens = min(burst, self._tokens + (now - self._tokens_at) * rate)
        self._tokens_at = now
        self._tokens -= 1.0
        return self._tokens >= 0.0
