"""Fan-out: one encoding for all, one write per client and loop turn, nobody waits for anybody.

What is published in one turn of the loop goes out as one write to each client. A large
fan-out gives the loop back every few milliseconds; what comes meanwhile makes the next blob
larger, not a queue longer.

A client whose socket takes no more gets nothing written. For it the hub remembers only which
state changed and up to which log event it has been served: when the socket drains it gets the
newest state and the log events from the shared ring. Past its bound it is closed with 4008.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .frames import PING, Item, Ring, text_frame
from .protocol import LEGACY_STATE_TYPES, STATE_TYPES
from .settings import FeedSettings

if TYPE_CHECKING:
    from .connection import FeedConnection

log = logging.getLogger("mt5dash.feed")

SLICE_S = 0.003
CHUNK = 64 * 1024
BLOB_MAX = 128 * 1024
"""A turn that makes more than this is written in chunks, so that no client holds more."""
CLOSE_GRACE_S = 1.0
STALL_S = 3.0
REPLIES_MAX = 64
DIRECT_WRITE = os.name == "posix" and sys.platform != "cygwin"

_Key = tuple[bool, bool, frozenset[str] | None, frozenset[str] | None]


class Subscriber:
    """One client as the hub sees it.

    Attributes:
        cursor: Last log event that it has been served (or that its filter dropped).
        sent: Log events sent on this connection.
        paused: Its socket takes no more.
    """

    __slots__ = (
        "behind_since",
        "catch_up",
        "closed",
        "connection",
        "cursor",
        "deflate",
        "dirty",
        "fd",
        "heard",
        "key",
        "legacy",
        "paused",
        "pinged",
        "pumping",
        "replies",
        "sent",
        "symbols",
        "transport",
        "types",
    )

    def __init__(self, connection: FeedConnection, *, legacy: bool, deflate: bool) -> None:
        self.connection = connection
        self.transport: asyncio.Transport = connection.transport
        self.fd = -1
        if DIRECT_WRITE and self.transport.get_extra_info("sslcontext") is None:
            self.fd = self.transport.get_extra_info("socket").fileno()
        self.legacy = legacy
        self.deflate = deflate
        self.types: frozenset[str] | None = None
        self.symbols: frozenset[str] | None = None
        self.key: _Key = (legacy, deflate, None, None)
        self.cursor = 0
        self.sent = 0
        self.paused: bool = connection.paused
        self.closed = False
        self.pumping = True  # nothing is sent before the hub has taken it in
        self.dirty: set[str] = set()
        self.replies: deque[bytes] = deque()
        self.behind_since: float | None = None
        self.catch_up = 0
        self.heard = time.monotonic()
        self.pinged = False

    def narrow(self, types: frozenset[str] | None, symbols: frozenset[str] | None) -> None:
        """Send only these types and symbols from now on; ``None`` for all."""
        self.types, self.symbols = types, symbols
        self.key = (self.legacy, self.deflate, types, symbols)

    def wants(self, item: Item) -> bool:
        """Whether this client gets this event."""
        return _wants(self.key, item)

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


def _wants(key: _Key, item: Item) -> bool:
    legacy, _, types, symbols = key
    if legacy and not item.seq and item.kind not in LEGACY_STATE_TYPES:
        return False
    if types is not None and item.kind not in types:
        return False
    return symbols is None or item.symbol is None or item.symbol in symbols


class _Round:
    """What one flush sends: the events of a turn and the clients there were at its start."""

    __slots__ = ("base", "blobs", "clients", "items", "last", "position", "states")

    def __init__(self, items: list[Item], clients: list[Subscriber], base: int) -> None:
        self.items = items
        self.clients = clients
        self.position = 0
        numbers = [item.seq for item in items if item.seq]
        self.base = numbers[0] - 1 if numbers else base
        self.last = numbers[-1] if numbers else base
        self.states = {item.kind for item in items if not item.seq}
        self.blobs: dict[_Key, tuple[bytes, int]] = {}

    def blob(self, key: _Key) -> tuple[bytes, int]:
        """All bytes for clients of this key, and how many log events are in them."""
        made = self.blobs.get(key)
        if made is None:
            items = [item for item in self.items if _wants(key, item)]
            frames = [item.deflated() if key[1] else item.frame for item in items]
            made = b"".join(frames), sum(1 for item in items if item.seq)
            self.blobs[key] = made
        return made


class Hub:
    """All clients and what is on its way to them. Used on the loop only.

    Args:
        settings: The bounds.
        ring: The log events, shared with the feed.
        fresh: Gives the newest event of a state type, or ``None`` before the first.
        heartbeat: Gives a heartbeat for one client.
    """

    def __init__(
        self,
        settings: FeedSettings,
        ring: Ring,
        fresh: Callable[[str], Item | None],
        heartbeat: Callable[[Subscriber], bytes],
    ) -> None:
        self._settings = settings
        self._ring = ring
        self._fresh = fresh
        self._heartbeat = heartbeat
        self._clients: dict[Subscriber, None] = {}
        self._pending: list[Item] = []
        self._round: _Round | None = None
        self._scheduled = False
        self._base = 0
        self.frames_sent = 0
        self.bytes_sent = 0
        self.closed_slow = 0
        self.closed_silent = 0

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[Subscriber]:
        return iter(list(self._clients))

    @property
    def idle(self) -> bool:
        """Whether everything published has been offered to every client."""
        return self._round is None and not self._pending

    # -- events ---------------------------------------------------------------------------

    def push(self, item: Item) -> None:
        """Send an event to all that want it, in the next turn of the loop."""
        if not self._clients:
            return
        self._pending.append(item)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        now = self._round
        if now is None:
            if not self._pending:
                return
            items, self._pending = self._pending, []
            now = self._round = _Round(items, list(self._clients), self._base)
            self._base = now.last
        deadline = time.perf_counter() + SLICE_S
        clients, count = now.clients, len(now.clients)
        while now.position < count:
            stop = min(now.position + 16, count)
            for client in clients[now.position : stop]:
                self._send(client, now)
            now.position = stop
            if time.perf_counter() > deadline:
                break
        if now.position < count:
            self._schedule()
            return
        self._round = None
        if self._pending:
            self._schedule()

    def _send(self, client: Subscriber, now: _Round) -> None:
        if client.closed:
            return
        if client.paused or client.pumping or (client.cursor != now.base and now.last > now.base):
            client.dirty |= now.states
            if client.paused or client.pumping:
                self._check_bound(client)
            else:
                self._pump(client)
            return
        blob, logs = now.blob(client.key)
        if len(blob) > BLOB_MAX:
            client.dirty |= now.states
            self._pump(client)
            return
        if now.last > now.base:
            client.cursor = now.last
            client.sent += logs
        if not blob:
            return
        self.frames_sent += 1
        self.bytes_sent += len(blob)
        client.write(blob)

    # -- one client -----------------------------------------------------------------------

    def add(self, client: Subscriber, snapshot: bytes, cursor: int, *, resumed: bool) -> None:
        """Take a client in: it gets ``snapshot`` now and every log event after ``cursor``."""
        client.cursor = cursor
        client.catch_up = self._ring.last if resumed else 0
        if client.closed:
            return
        self._clients[client] = None
        client.pumping = False
        if snapshot:
            client.write(snapshot)
        if resumed:
            self._pump(client)

    def drop(self, client: Subscriber) -> None:
        """Forget a client; its connection ended or is ending."""
        client.closed = True
        self._clients.pop(client, None)

    def resubscribe(self, client: Subscriber, snapshot: bytes, cursor: int) -> None:
        """Answer a new filter with a fresh snapshot; what waited for the old one is in it."""
        client.cursor = max(client.cursor, cursor)
        client.dirty.clear()
        client.replies.append(snapshot)
        self._pump(client)

    def reply(self, client: Subscriber, payload: bytes) -> None:
        """Send one client an answer, in order with what waits for it."""
        if client.closed:
            return
        client.replies.append(text_frame(payload))
        if len(client.replies) > REPLIES_MAX:
            self.close(client, 4008, "answers are not read")
            return
        self._pump(client)

    def resumed_writing(self, client: Subscriber) -> None:
        """The client's socket takes bytes again."""
        client.paused = False
        client.behind_since = None
        if not client.closed:
            self._pump(client)

    def _behind(self, client: Subscriber) -> bool:
        return bool(client.replies or client.dirty) or client.cursor < self._ring.last

    def _pump(self, client: Subscriber) -> None:
        """Write what waits for one client until its socket is full or nothing waits."""
        if client.pumping:
            return
        deadline = time.perf_counter() + SLICE_S
        while not client.paused and not client.closed and self._behind(client):
            if time.perf_counter() > deadline:
                client.pumping = True
                asyncio.get_running_loop().call_soon(self._pump_on, client)
                return
            parts = self._gather(client)
            if parts is None:
                self.close(client, 4008, "too slow: events are no longer kept")
                return
            if parts:
                blob = b"".join(parts)
                self.frames_sent += 1
                self.bytes_sent += len(blob)
                client.write(blob)
        self._check_bound(client)

    def _pump_on(self, client: Subscriber) -> None:
        client.pumping = False
        self._pump(client)

    def _gather(self, client: Subscriber) -> list[bytes] | None:
        """The next chunk of what waits, or ``None`` when some of it is gone."""
        parts: list[bytes] = []
        size = 0
        while client.replies:
            parts.append(client.replies.popleft())
            size += len(parts[-1])
        for kind in sorted(client.dirty & STATE_TYPES):
            item = self._fresh(kind)
            if item is not None and client.wants(item):
                parts.append(client.frame(item))
                size += len(parts[-1])
        client.dirty.clear()
        while size < CHUNK and client.cursor < self._ring.last:
            item = self._ring.get(client.cursor + 1)
            if item is None:
                return None
            client.cursor = item.seq
            if client.wants(item):
                frame = client.frame(item)
                parts.append(frame)
                size += len(frame)
                client.sent += 1
        return parts

    def _check_bound(self, client: Subscriber) -> None:
        """Close a client that is further behind than it may be."""
        if client.closed or not client.paused or client.cursor < client.catch_up:
            return
        waiting = self._ring.last - client.cursor
        if waiting <= 0:
            return
        if (
            waiting > self._settings.outbox_events
            or self._ring.bytes_after(client.cursor) > self._settings.outbox_bytes
        ):
            self.close(client, 4008, f"too slow: {waiting} events waiting")

    def close(self, client: Subscriber, code: int, reason: str) -> None:
        """Say goodbye with ``code`` and cut the connection a second later, read or not."""
        if client.closed:
            return
        if code == 4008:
            self.closed_slow += 1
            log.warning("closed slow client %s: %s", client.connection.peer, reason)
        self.drop(client)
        client.connection.finish(code, reason, CLOSE_GRACE_S)

    # -- clocks ---------------------------------------------------------------------------

    async def beat(self) -> None:
        """Send every client that speaks the protocol a heartbeat of its own."""
        deadline = time.perf_counter() + SLICE_S
        for client in list(self._clients):
            if client.legacy or client.closed or client.paused or client.pumping:
                continue
            client.write(text_frame(self._heartbeat(client)))
            if time.perf_counter() > deadline:
                await asyncio.sleep(0)
                deadline = time.perf_counter() + SLICE_S

    def sweep(self, now: float) -> None:
        """Ping the silent, cut the dead and those that stall while catching up."""
        ping_s = self._settings.ping_s
        gone = ping_s + self._settings.ping_timeout_s
        for client in list(self._clients):
            if client.paused and client.behind_since is None:
                client.behind_since = now
            silent = now - client.heard
            if (
                client.paused
                and client.cursor < client.catch_up
                and client.behind_since is not None
                and now - client.behind_since > STALL_S
            ):
                self.close(client, 4008, "stalled while resuming")
            elif silent > gone:
                self.closed_silent += 1
                log.info("client %s is silent for %.0f s: cut", client.connection.peer, silent)
                self.drop(client)
                client.transport.abort()
            elif silent > ping_s and not client.pinged and not client.paused:
                client.pinged = True
                client.write(PING)
