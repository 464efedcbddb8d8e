"""One client's connection: websockets' own, with what a feed needs around it.

What is used here beyond websockets' public interface (``transport``, ``paused``, the asyncio
callbacks) is pinned by ``tests/streamer/server/test_feed_transport.py``.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection
from websockets.protocol import OPEN

from .policy import Grant, Rejection

if TYPE_CHECKING:
    from .endpoint import Endpoint
    from .subscriber import Subscriber

NOTSENT_LOWAT = 128 * 1024
"""Bytes that the kernel holds for a client before it says "full": what a client that stalls
and reads again gets stale at most."""
_NOTSENT_OPTION: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class FeedConnection(ServerConnection):
    """A connection that knows its grant, its rates and its place in the hub."""

    def __init__(self, feed_server: Endpoint, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.feed_server = feed_server
        self.subscriber: Subscriber | None = None
        self.grant: Grant | None = None
        self.refusal: Rejection | None = None
        self.address = ""
        self.legacy = True
        self.owes_token = False
        self.query: dict[str, list[str]] = {}
        self.tokens = 0.0
        self.tokens_at = 0.0
        self.malformed = 0
        self.wait_s = 0.0
        """How long nothing is read from it: it publishes faster than its bot may."""
        self.told_at = 0.0
        self.commands = 0

    @property
    def peer(self) -> str:
        """The client's address for the log."""
        name = self.transport.get_extra_info("peername")
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "?"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the socket up and ask the server whether there is room."""
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        self.address = name[0] if isinstance(name, tuple) else ""
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            # asyncio leaves it out where the listening socket's protocol is 0: a frame would
            # wait some 40 ms for the client's word on the one before.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if _NOTSENT_OPTION is not None:
                sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_OPTION, NOTSENT_LOWAT)
        if not self.feed_server.connected(self):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the hub before the socket is closed: its descriptor is written to directly."""
        self._leave()
        self.feed_server.disconnected(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Note the sign of life; leave the hub when the client says goodbye."""
        subscriber = self.subscriber
        if subscriber is not None:
            subscriber.heard = time.monotonic()
            subscriber.pinged = False
        super().data_received(data)
        if subscriber is not None and self.protocol.state is not OPEN:
            self._leave()

    def eof_received(self) -> None:
        """Leave the hub: nothing may be written after the end."""
        self._leave()
        super().eof_received()

    def pause_writing(self) -> None:
        """The socket takes no more."""
        super().pause_writing()
        if self.subscriber is not None:
            self.subscriber.pause()

    def resume_writing(self) -> None:
        """The socket takes bytes again."""
        super().resume_writing()
        if self.subscriber is not None:
            self.feed_server.hub.resumed_writing(self.subscriber)

    def _leave(self) -> None:
        if self.subscriber is not None and not self.subscriber.closed:
            self.feed_server.hub.drop(self.subscriber)

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
        if self.tokens_at == 0.0:
            self.tokens = burst
        else:
            self.tokens = min(burst, self.tokens + (now - self.tokens_at) * rate)
        self.tokens_at = now
        self.tokens -= 1.0
        return self.tokens >= 0.0
