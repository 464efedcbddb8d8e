"""One client as the hub sees it, and the lane it shares with those that are in step with it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING

from ..protocol.messages import LEGACY_STATE_TYPES
from ..state.ring import Item

if TYPE_CHECKING:
    from .connection import FeedConnection

DIRECT_WRITE = os.name == "posix" and sys.platform != "cygwin"
_THROUGH_TRANSPORT, _GONE = -1, -2

Names = frozenset[str] | None
Key = tuple[bool, bool, Names, Names, Names]


class Subscriber:
    """One client as the hub sees it.

    Attributes:
        bots: The bots that it wants, the one on the top level of its snapshot first; ``None``
            for all.
        paused: Its socket takes no more.
        lane: Where it is served together with others; ``None`` while it is served alone.
        slot: Its place in the lane.
    """

    __slots__ = (
        "_cursor",
        "_sent",
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

    def __init__(self, connection: FeedConnection, *, legacy: bool, deflate: bool) -> None:
        self.connection = connection
        self.transport: asyncio.Transport = connection.transport
        self.fd = _THROUGH_TRANSPORT
        if DIRECT_WRITE and self.transport.get_extra_info("sslcontext") is None:
            self.fd = self.transport.get_extra_info("socket").fileno()
        self.legacy = legacy
        self.deflate = deflate
        self.types: frozenset[str] | None = None
        self.symbols: frozenset[str] | None = None
        self.bots: tuple[str, ...] | None = None
        self.key: Key = (legacy, deflate, None, None, None)
        self._cursor = 0
        self._sent = 0
        self.lane: Lane | None = None
        self.slot = 0
        self.paused: bool = connection.paused
        self.closed = False
        self.pumping = True  # nothing is sent before the hub has taken it in
        self.dirty: set[tuple[str, str]] = set()
        """Type and bot of the state events that it was not sent."""
        self.replies: deque[bytes] = deque()
        self.behind_since: float | None = None
        self.catch_up = 0
        self.heard = time.monotonic()
        self.pinged = False

    @property
    def cursor(self) -> int:
        """Last log event that it has been served (or that its filter dropped)."""
        lane = self.lane
        if lane is None:
            return self._cursor
        return lane.after if self.slot < lane.done else lane.cursor

    @cursor.setter
    def cursor(self, seq: int) -> None:
        self.step_out()
        self._cursor = seq

    @property
    def sent(self) -> int:
        """Log events sent on this connection."""
        lane = self.lane
        if lane is None:
            return self._sent
        return self._sent + lane.sent + (lane.logs if self.slot < lane.done else 0)

    @sent.setter
    def sent(self, count: int) -> None:
        self.step_out()
        self._sent = count

    @property
    def ready(self) -> bool:
        """Whether something may be written to it now."""
        return not (self.paused or self.pumping or self.closed)

    def step_out(self) -> None:
        """Be served alone from now on, until a round finds it in step again."""
        if self.lane is not None:
            self.lane.leave(self)

    def pause(self) -> None:
        """Its socket takes no more."""
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
        """Give bytes to the socket; what it does not take waits in the transport."""
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
    legacy, _, types, symbols, bots = key
    if bots is not None and item.bot and item.bot not in bots:
        return False
    if legacy and not item.seq and item.kind not in LEGACY_STATE_TYPES:
        return False
    if types is not None and item.kind not in types:
        return False
    return symbols is None or item.symbol is None or item.symbol in symbols


class Lane:
    """Clients that get the same bytes and have been served up to the same log event.

    What they have been served is counted once for all of them: one that keeps up costs a
    round one write and no memory of its own is touched for it, which with a thousand clients
    costs as much as a third of the write.

    A round is ``begin``, ``serve`` until all are done, ``end``. A client may leave at any time,
    also in the middle of a round; others join between rounds.

    Attributes:
        cursor: Last log event that they have been served.
        sent: Log events sent in this lane so far.
        after, logs: Both for those that the present round has served already...
        done: ...which are the ones before this place; 0 between rounds.
    """

    __slots__ = ("_alone", "_clients", "_fds", "_holes", "_late", "after", "cursor", "done", "logs",
                 "sent")  # fmt: skip

    def __init__(self, cursor: int, alone: dict[Subscriber, None]) -> None:
        self.cursor = self.after = cursor
        self.sent = self.logs = self.done = 0
        self._alone = alone
        self._clients: list[Subscriber] = []
        self._fds: list[int] = []
        self._late: list[Subscriber] | None = None
        self._holes: list[int] = []

    def __len__(self) -> int:
        return len(self._clients)

    def join(self, client: Subscriber) -> None:
        """Take in a client that stands where these stand."""
        client._sent -= self.sent
        client.lane, client.slot = self, len(self._clients)
        self._clients.append(client)
        self._fds.append(client.fd)
        del self._alone[client]

    def leave(self, client: Subscriber) -> None:
        """Let a client go; in a round that has not served it, it is served alone at the end."""
        slot = client.slot
        client._cursor, client._sent, client.lane = client.cursor, client.sent, None
        self._alone[client] = None
        if self._late is None:
            self._close_hole(slot)
            return
        if slot >= self.done:
            self._late.append(client)
        self._fds[slot] = _GONE
        self._holes.append(slot)

    def _close_hole(self, slot: int) -> None:
        last, fd = self._clients.pop(), self._fds.pop()
        if slot < len(self._clients):
            self._clients[slot], self._fds[slot] = last, fd
            last.slot = slot

    def begin(self, after: int, late: list[Subscriber]) -> None:
        """Begin a round up to event ``after``; ``late`` takes those that leave unserved."""
        self.after, self.logs, self._late = after, 0, late

    def serve(self, blob: bytes, logs: int, count: int) -> int:
        """Write ``blob``, with so many log events, to the next clients; how many got it."""
        self.logs = logs
        start, fds, size, write = self.done, self._fds, len(blob), os.write
        stop = min(start + count, len(fds))
        gone = 0
        for slot in range(start, stop):
            fd = fds[slot]
            taken = 0
            if fd >= 0:
                try:
                    taken = write(fd, blob)
                except (BlockingIOError, InterruptedError):
                    pass
                except OSError:
                    taken = -1
                if taken == size:
                    continue
            elif fd == _GONE:
                gone += 1
                continue
            self.done = slot + 1  # it may leave within the call
            transport = self._clients[slot].transport
            if taken < 0:
                transport.abort()
            else:
                transport.write(blob[taken:] if taken else blob)
        self.done = stop
        return stop - start - gone

    def skip(self, logs: int) -> None:
        """Count all as served: nothing of this round is for them."""
        self.logs, self.done = logs, len(self._clients)

    def scatter(self) -> None:
        """Let all go: each is served alone at the end of the round."""
        for client in list(self._clients):
            client.step_out()
        self.done = len(self._clients)

    def end(self) -> None:
        """The round has served all that are still here."""
        self.cursor, self.sent = self.after, self.sent + self.logs
        self.done = self.logs = 0
        self._late = None
        if self._holes:
            for slot in sorted(self._holes, reverse=True):
                self._close_hole(slot)
            self._holes.clear()
