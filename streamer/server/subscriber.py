"""One client of the fan-out: what it wants, what it has been served, how to write to it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from ..protocol.messages import LEGACY_STATE_TYPES
from ..state.ring import Item

if TYPE_CHECKING:
    from .lane import Lane

DIRECT_WRITE = os.name == "posix" and sys.platform != "cygwin"
THROUGH_TRANSPORT = -1
"""As ``Subscriber.fd``: bytes go through the asyncio transport, not to the descriptor."""

BUFFERED = (64 * 1024, 16 * 1024)
"""Bytes in a transport from which on a client counts as paused, and down to which it goes on, where
every write goes through the transport."""

Names = frozenset[str] | None
"""Names of a filter; ``None`` for all."""
Key = tuple[bool, bool, Names, Names, Names]
"""Legacy, deflate, types, symbols, bots: clients of one key get the same bytes."""


class SubscriberConnection(Protocol):
    """What a subscriber needs of its connection."""

    transport: asyncio.Transport
    paused: bool

    @property
    def peer(self) -> str:
        """The client's address for the log."""
        ...

    async def drain(self) -> None:
        """Wait until the socket takes bytes again."""
        ...

    def finish(self, code: int, reason: str, grace: float) -> None:
        """Send a close frame now and cut the connection after ``grace`` seconds."""
        ...


def write_limit(*, tls: bool) -> int | tuple[int, int]:
    """The limits of a transport's write buffer, as asyncio takes them.

    Where bytes go to the descriptor, "paused" has to mean "something is buffered", or the bytes
    would overtake each other; asyncio's TLS pauses from its limit on, plain TCP above it. The
    Proactor loop of Windows completes a write in a later turn: pausing for each would serve a
    client one chunk a turn.
    """
    if not DIRECT_WRITE:
        return BUFFERED
    return (1, 0) if tls else 0


class Subscriber:
    """One client of the fan-out.

    Attributes:
        connection: Its connection.
        fd: Descriptor of its socket, or ``THROUGH_TRANSPORT``.
        types, symbols: What it wants; ``None`` for all.
        bots: The bots that it wants, the one on the top level of its snapshot first; ``None``
            for all.
        key: All of that, for clients that get the same bytes.
        lane: The lane that serves it together with others; ``None`` while it is served alone.
        slot: Its place in the lane.
        alone_cursor, alone_sent: ``cursor`` and ``sent`` while it is served alone; in a lane
            ``alone_sent`` is what it was sent before it joined, less the lane's count then.
        paused: Its socket takes no more bytes.
        pumping: Its backlog is being written, or it is not in the fan-out yet: rounds skip it.
        dirty: Type and bot of the state events that it was not sent.
        replies: Frames of its own that wait for it.
        behind_since: When it was first seen paused, ``time.monotonic``.
        catch_up: The log event up to which it resumes: no bound applies before.
        heard: When its last byte came, ``time.monotonic``.
        pinged: It was pinged since.
    """

    __slots__ = (
        "alone_cursor",
        "alone_sent",
        "behind_since",
        "bots",
        "catch_up",
        "closed",
        "connection",
        "deflate",
        "dirty",
        "fd",
        "heard",
        "key",
        "lane",
        "legacy",
        "paused",
        "pinged",
        "pumping",
        "replies",
        "slot",
        "symbols",
        "transport",
        "types",
    )

    def __init__(self, connection: SubscriberConnection, *, legacy: bool, deflate: bool) -> None:
        self.connection = connection
        self.transport: asyncio.Transport = connection.transport
        self.fd = THROUGH_TRANSPORT
        if DIRECT_WRITE and self.transport.get_extra_info("sslcontext") is None:
            self.fd = self.transport.get_extra_info("socket").fileno()
        self.legacy = legacy
        self.deflate = deflate
        self.types: frozenset[str] | None = None
        self.symbols: frozenset[str] | None = None
        self.bots: tuple[str, ...] | None = None
        self.key: Key = (legacy, deflate, None, None, None)
        self.alone_cursor = 0
        self.alone_sent = 0
        self.lane: Lane | None = None
        self.slot = 0
        self.paused: bool = connection.paused
        self.closed = False
        self.pumping = True  # nothing is sent before the fan-out has added it
        self.dirty: set[tuple[str, str]] = set()
        self.replies: deque[bytes] = deque()
        self.behind_since: float | None = None
        self.catch_up = 0
        self.heard = time.monotonic()
        self.pinged = False

    @property
    def cursor(self) -> int:
        """The last log event that it has been served, or that its filter dropped."""
        lane = self.lane
        if lane is None:
            return self.alone_cursor
        return lane.after if self.slot < lane.done else lane.cursor

    @cursor.setter
    def cursor(self, seq: int) -> None:
        self.step_out()
        self.alone_cursor = seq

    @property
    def sent(self) -> int:
        """Log events sent on this connection."""
        lane = self.lane
        if lane is None:
            return self.alone_sent
        return self.alone_sent + lane.sent + (lane.logs if self.slot < lane.done else 0)

    @sent.setter
    def sent(self, count: int) -> None:
        self.step_out()
        self.alone_sent = count

    @property
    def ready(self) -> bool:
        """Whether something may be written to it now."""
        return not (self.paused or self.pumping or self.closed)

    def step_out(self) -> None:
        """Leave the lane: it is served alone until a round finds it in step again."""
        if self.lane is not None:
            self.lane.leave(self)

    def pause(self) -> None:
        """Stop writing: its socket takes no more bytes."""
        self.paused = True
        self.step_out()

    def narrow(self, types: Names, symbols: Names, bots: tuple[str, ...] | None = None) -> None:
        """Send only these types, symbols and bots from now on; ``None`` for all."""
        self.step_out()
        self.types, self.symbols, self.bots = types, symbols, bots
        wanted = None if bots is None else frozenset(bots)
        self.key = (self.legacy, self.deflate, types, symbols, wanted)

    def wants(self, item: Item) -> bool:
        """Whether this client gets this event."""
        return wants(self.key, item)

    def frame(self, item: Item) -> bytes:
        """The message's bytes as this client negotiated them."""
        return item.deflated() if self.deflate else item.frame

    def write(self, data: bytes) -> None:
        """Give bytes to the socket; what it does not take waits in the transport.

        Nothing is written for a client whose connection ended or is ending: its descriptor may be
        another client's by now, and a transport raises after the end was written.
        """
        if self.closed:
            return
        if self.fd >= 0 and not self.paused:
            try:
                taken = os.write(self.fd, data)
            except (BlockingIOError, InterruptedError):
                taken = 0
            except OSError:
                self.transport.abort()
                return
            if taken == len(data):
                return
            data = data[taken:]
        self.transport.write(data)


def wants(key: Key, item: Item) -> bool:
    """Whether clients of this key get this event."""
    legacy, _, types, symbols, bots = key
    if bots is not None and item.bot and item.bot not in bots:
        return False
    if legacy and not item.seq and item.kind not in LEGACY_STATE_TYPES:
        return False
    if types is not None and item.kind not in types:
        return False
    return symbols is None or item.symbol is None or item.symbol in symbols
