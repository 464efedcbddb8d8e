"""Fan-out: one encoding for all, one write per client and loop turn, no client waits for another.

What is published in one turn of the loop goes out as one write to each client: a round. A large
round gives the loop back every few milliseconds; what is published meanwhile makes the next
round's blob larger, not a queue longer. Clients that keep up share a lane (``lane.py``).

A client whose socket is full gets nothing written. The fan-out remembers only which state
changed and up to which log event it has been served: when the socket drains it gets the newest
state and the log events from the shared ring. Past its bound it is closed with 4008.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator

from ..protocol.frames import PING, text_frame
from ..settings import FeedSettings
from ..state.ring import Item, Ring
from .lane import Lane
from .subscriber import Key, Subscriber, wants

log = logging.getLogger("mt5dash.feed")

SLICE_S = 0.003
CHUNK = 64 * 1024
BLOB_MAX = 128 * 1024
"""A round of more bytes than this is written in chunks, so that no client holds more."""
CLOSE_GRACE_S = 1.0
STALL_S = 3.0
REPLIES_MAX = 64
LAST_WORDS = 256 * 1024
"""Bytes of answers that are still sent before a close frame, at most."""

AT_ONCE = 32
"""Clients that are served between two checks of the clock."""


class _Round:
    """The events of one turn of the loop, and the clients that were connected at its start."""

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
        """All bytes for clients of this key, and how many log events they hold."""
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
        fresh: Returns the newest event of a state type and bot; ``None`` before the first.

    Attributes:
        legacy_bot: The bot that legacy clients see; empty while it is unknown.
        frames_sent: Writes to clients.
        bytes_sent: Bytes written to clients.
        closed_slow: Clients closed with 4008.
        closed_silent: Clients cut because they did not answer a ping.
    """

    def __init__(
        self, settings: FeedSettings, ring: Ring, fresh: Callable[[str, str], Item | None]
    ) -> None:
        self._settings = settings
        self._ring = ring
        self._fresh = fresh
        self._clients: dict[Subscriber, None] = {}
        self._alone: dict[Subscriber, None] = {}
        self._lanes: dict[Key, Lane] = {}
        self._pending: list[Item] = []
        self._round: _Round | None = None
        self._scheduled = False
        self._base = 0
        self.legacy_bot = ""
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
        """How many clients have a full socket."""
        return sum(client.paused for client in self._alone)

    def choose_legacy_bot(self, bot: str) -> None:
        """Set the bot that legacy clients see; without one they see everything."""
        self.legacy_bot = bot
        for client in self._clients:
            if client.legacy and client.bots is None:
                client.narrow(client.types, client.symbols, (bot,))

    # -- events ---------------------------------------------------------------------------

    def push(self, item: Item) -> None:
        """Send an event to all clients that want it, in the next turn of the loop."""
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
        current = self._round
        if current is None:
            if not self._pending:
                return
            items, self._pending = self._pending, []
            current = self._round = _Round(items, self._lanes, list(self._alone), self._base)
            self._base = current.last
        deadline = time.perf_counter() + SLICE_S
        while current.lanes:
            if self._serve(current, *current.lanes[-1]):
                current.lanes.pop()
            if time.perf_counter() > deadline:
                self._schedule()
                return
        while current.position < len(current.alone):
            start, current.position = current.position, current.position + AT_ONCE
            for client in current.alone[start : current.position]:
                self._send(client, current)
            if time.perf_counter() > deadline:
                self._schedule()
                return
        self._round = None
        self._align(current.last)
        if self._pending:
            self._schedule()

    def _serve(self, current: _Round, key: Key, lane: Lane) -> bool:
        """Serve the next clients of a lane; True when all of them are served."""
        blob, logs = current.blob(key)
        if lane.done == 0 and (len(blob) > BLOB_MAX or current.last > current.base != lane.cursor):
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
        """After a round: put the clients that are in step with others into their lane."""
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

    def _send(self, client: Subscriber, current: _Round) -> None:
        """Serve a client that is in no lane."""
        if client.closed:
            return
        if not client.ready:
            client.dirty |= current.states
            self._check_bound(client)
            return
        if client.cursor != current.base and current.last > current.base:
            client.dirty |= current.states
            self._pump(client, current.last)
            return
        blob, logs = current.blob(client.key)
        if len(blob) > BLOB_MAX:
            client.dirty |= current.states
            self._pump(client, current.last)
            return
        if current.last > current.base:
            client.cursor = current.last
            client.sent += logs
        if not blob:
            return
        self.frames_sent += 1
        self.bytes_sent += len(blob)
        client.write(blob)

    # -- one client -----------------------------------------------------------------------

    def add(self, client: Subscriber, snapshot: bytes, cursor: int, *, resumed: bool) -> None:
        """Add a client: it gets ``snapshot`` now and every log event after ``cursor``."""
        client.cursor = cursor
        client.catch_up = self._ring.last if resumed else 0
        if client.closed:
            return
        if client.legacy and client.bots is None and self.legacy_bot:
            client.narrow(client.types, client.symbols, (self.legacy_bot,))
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
        """Answer a new filter with a fresh snapshot, which holds what waited for the old one."""
        client.cursor = max(client.cursor, cursor)
        client.dirty.clear()
        client.replies.append(snapshot)
        self._send_replies(client)

    def reply(self, client: Subscriber, payload: bytes) -> None:
        """Send one client an answer, in order with what waits for it."""
        if client.closed:
            return
        client.replies.append(text_frame(payload))
        self._send_replies(client)

    def _send_replies(self, client: Subscriber) -> None:
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

        Log events after ``upto`` are left for the next round, which finds the client in step.
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
        """The next chunk of what waits; ``None`` when some of it is no longer in the ring."""
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
        """Close a client that is further behind than its bound."""
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
        """Send a close frame with ``code`` and cut the connection a second later.

        Answers that wait for the client are sent before it, unless it is closed for not reading.
        """
        if client.closed:
            return
        if client.replies and code != 4008 and sum(map(len, client.replies)) <= LAST_WORDS:
            client.write(b"".join(client.replies))
        if code == 4008:
            self.closed_slow += 1
            log.warning("closed slow client %s: %s", client.connection.peer, reason)
        self.drop(client)
        client.connection.finish(code, reason, CLOSE_GRACE_S)

    # -- clocks ---------------------------------------------------------------------------

    async def send_heartbeats(self, heartbeat: Callable[[int, int], bytes]) -> None:
        """Send every client that speaks the protocol its own heartbeat.

        Args:
            heartbeat: Encodes it, from the client's ``cursor`` and ``sent``.
        """
        deadline = time.perf_counter() + SLICE_S
        for client in list(self._clients):
            if client.legacy or client.closed or client.paused or client.pumping:
                continue
            client.write(text_frame(heartbeat(client.cursor, client.sent)))
            if time.perf_counter() > deadline:
                await asyncio.sleep(0)
                deadline = time.perf_counter() + SLICE_S

    def sweep(self, now: float) -> None:
        """Ping silent clients, cut those that do not answer and those that stall while resuming."""
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
