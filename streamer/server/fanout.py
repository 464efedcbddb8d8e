"""Fan-out: one encoding for all, one write per client and loop turn, nobody waits for anybody.

What is published in one turn of the loop goes out as one write to each client. A large
fan-out gives the loop back every few milliseconds; what comes meanwhile makes the next blob
larger, not a queue longer. Clients that keep up share a lane and are counted together.

A client whose socket takes no more gets nothing written. For it the hub remembers only which
state changed and up to which log event it has been served: when the socket drains it gets the
newest state and the log events from the shared ring. Past its bound it is closed with 4008.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator

from ..protocol.frames import PING, text_frame
from ..settings import FeedSettings
from ..state.ring import Item, Ring
from .subscriber import Key, Lane, Subscriber, wants

log = logging.getLogger("mt5dash.feed")

SLICE_S = 0.003
CHUNK = 64 * 1024
BLOB_MAX = 128 * 1024
"""A turn that makes more than this is written in chunks, so that no client holds more."""
CLOSE_GRACE_S = 1.0
STALL_S = 3.0
REPLIES_MAX = 64
AT_ONCE = 32
"""Clients that are served between two looks at the clock."""


class _Round:
    """What one flush sends: the events of a turn and the clients there were at its start."""

    __slots__ = ("alone", "base", "blobs", "items", "lanes", "last", "position", "states")

    def __init__(
        self, items: list[Item], lanes: dict[Key, Lane], alone: list[Subscriber], base: int
    ) -> None:
        self.items = items
        self.alone = alone
        self.position = 0
        numbers = [item.seq for item in items if item.seq]
        self.base = numbers[0] - 1 if numbers else base
        self.last = numbers[-1] if numbers else base
        self.states = {(item.kind, item.bot) for item in items if not item.seq}
        self.blobs: dict[Key, tuple[bytes, int]] = {}
        self.lanes = list(lanes.items())
        for _, lane in self.lanes:
            lane.begin(self.last if self.last > self.base else lane.cursor, alone)

    def blob(self, key: Key) -> tuple[bytes, int]:
        """All bytes for clients of this key, and how many log events are in them."""
        made = self.blobs.get(key)
        if made is None:
            items = [item for item in self.items if wants(key, item)]
            frames = [item.deflated() if key[1] else item.frame for item in items]
            made = b"".join(frames), sum(1 for item in items if item.seq)
            self.blobs[key] = made
        return made


class Fanout:
    """All clients and what is on its way to them. Used on the loop only.

    Args:
        settings: The bounds.
        ring: The log events, shared with the feed.
        fresh: Gives the newest event of a state type and bot, or ``None`` before the first.
        heartbeat: Gives a heartbeat for one client.
    """

    def __init__(
        self,
        settings: FeedSettings,
        ring: Ring,
        fresh: Callable[[str, str], Item | None],
        heartbeat: Callable[[Subscriber], bytes],
    ) -> None:
        self._settings = settings
        self._ring = ring
        self._fresh = fresh
        self._heartbeat = heartbeat
        self._clients: dict[Subscriber, None] = {}
        self._alone: dict[Subscriber, None] = {}
        self._lanes: dict[Key, Lane] = {}
        self._pending: list[Item] = []
        self._round: _Round | None = None
        self._scheduled = False
        self._base = 0
        self.chosen = ""
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

    @property
    def stalled(self) -> int:
        """Clients whose socket takes no more."""
        return sum(client.paused for client in self._alone)

    def choose(self, bot: str) -> None:
        """Name the bot that legacy clients see; they see everything while there is none."""
        self.chosen = bot
        for client in self._clients:
            if client.legacy and client.bots is None:
                client.narrow(client.types, client.symbols, (bot,))

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
            now = self._round = _Round(items, self._lanes, list(self._alone), self._base)
            self._base = now.last
        deadline = time.perf_counter() + SLICE_S
        while now.lanes:
            if self._serve(now, *now.lanes[-1]):
                now.lanes.pop()
            if time.perf_counter() > deadline:
                self._schedule()
                return
        while now.position < len(now.alone):
            start, now.position = now.position, now.position + AT_ONCE
            for client in now.alone[start : now.position]:
                self._send(client, now)
            if time.perf_counter() > deadline:
                self._schedule()
                return
        self._round = None
        self._align(now.last)
        if self._pending:
            self._schedule()

    def _serve(self, now: _Round, key: Key, lane: Lane) -> bool:
        """Serve some clients of a lane; True when it is through."""
        blob, logs = now.blob(key)
        if lane.done == 0 and (len(blob) > BLOB_MAX or now.last > now.base != lane.cursor):
            lane.scatter()
        elif blob:
            written = lane.serve(blob, logs, AT_ONCE)
            self.frames_sent += written
            self.bytes_sent += written * len(blob)
        else:
            lane.skip(logs)
        if lane.done < len(lane):
            return False
        lane.end()
        return True

    def _align(self, last: int) -> None:
        """After a round: those that are in step with others go into their lane."""
        for client in list(self._alone):
            if client.cursor != last or not client.ready or client.dirty or client.replies:
                continue
            lane = self._lanes.get(client.key)
            if lane is None:
                lane = self._lanes[client.key] = Lane(last, self._alone)
            if lane.cursor == last or not lane:
                lane.cursor = last
                lane.join(client)
        for key in [key for key, lane in self._lanes.items() if not lane]:
            del self._lanes[key]

    def _send(self, client: Subscriber, now: _Round) -> None:
        """Serve a client that is in no lane."""
        if client.closed:
            return
        if not client.ready:
            client.dirty |= now.states
            self._check_bound(client)
            return
        if client.cursor != now.base and now.last > now.base:
            client.dirty |= now.states
            self._pump(client, now.last)
            return
        blob, logs = now.blob(client.key)
        if len(blob) > BLOB_MAX:
            client.dirty |= now.states
            self._pump(client, now.last)
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
        if client.legacy and client.bots is None and self.chosen:
            client.narrow(client.types, client.symbols, (self.chosen,))
        self._clients[client] = self._alone[client] = None
        client.pumping = False
        if snapshot:
            client.write(snapshot)
        if resumed:
            self._pump(client)

    def drop(self, client: Subscriber) -> None:
        """Forget a client; its connection ended or is ending."""
        client.closed = True
        client.step_out()
        self._clients.pop(client, None)
        self._alone.pop(client, None)

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

    def _pump(self, client: Subscriber, upto: int | None = None) -> None:
        """Write what waits for one client until its socket is full or nothing waits.

        Log events after ``upto`` are left for the round that comes: it finds the client in step.
        """
        if client.pumping:
            return
        client.step_out()
        last = self._ring.last if upto is None else upto
        deadline = time.perf_counter() + SLICE_S
        while client.ready and (client.replies or client.dirty or client.cursor < last):
            if time.perf_counter() > deadline:
                client.pumping = True
                asyncio.get_running_loop().call_soon(self._pump_on, client)
                return
            parts = self._gather(client, last)
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

    def _gather(self, client: Subscriber, last: int) -> list[bytes] | None:
        """The next chunk of what waits, or ``None`` when some of it is gone."""
        parts: list[bytes] = []
        size = 0
        while client.replies:
            parts.append(client.replies.popleft())
            size += len(parts[-1])
        for kind, bot in sorted(client.dirty):
            item = self._fresh(kind, bot)
            if item is not None and client.wants(item):
                parts.append(client.frame(item))
                size += len(parts[-1])
        client.dirty.clear()
        while size < CHUNK and client.cursor < last:
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
