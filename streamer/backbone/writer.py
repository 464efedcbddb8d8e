"""Writes a feed's events to a backbone without ever delaying the feed.

Log events wait in a bounded window with a cursor; the events before the cursor are in the store.
When the store lost some (a broker that restarts without its disk), the cursor goes back and
they are sent again; the store ignores a number that it has already. Waiting state events are
replaced by newer ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple
from uuid import uuid4

from ..backoff import Backoff
from .model import (
    STATES_KEPT,
    Claim,
    ClaimResult,
    Store,
    StoredSnapshot,
    StoreUnavailable,
    StreamLost,
    StreamTaken,
    WriteBatch,
)
from .timings import WriterTimings

log = logging.getLogger("mt5dash.backbone")

BATCH_EVENTS = 512
BATCH_BYTES = 1 << 20
QUEUE_BYTES = 64 << 20
"""Most memory for log events that wait, or may have to be sent again."""

TakeSnapshot = Callable[[], tuple[int, bytes]]
"""Returns the newest log event that the state contains, and the state as a ``STATE_SNAPSHOT``
frame."""
LatestState = Callable[[str, str | None], bytes | None]
"""Returns the newest complete event of a state type (of one bot)."""

_StateKey = tuple[str, str | None]
"""Type and bot of a state event."""


class _WaitingState(NamedTuple):
    """The newest state event of its key, and whether it replaced one that was not sent."""

    raw: bytes
    replaced: bool


class BackboneWriter:
    """Writes one stream. Used on the loop only.

    Args:
        store: The stream; closed with the writer.
        snapshot: Called while writing, at most every ``snapshot_s``.
        latest_state: Called for a state event of which an earlier one was replaced before it
            was sent; without it the newest event is sent as it is.
        queue_events: Log events that may wait; beyond it the oldest are dropped and counted.
        keep_events: Log events that the stream keeps.
        changed: Called when ``trouble`` has changed.
        timings: Intervals and limits.

    Attributes:
        trouble: Why nothing can be written now, or ``None``.
        dropped: Log events that were dropped because the queue was full.
        delivered: Log events that were written.
        repeated: Log events that were sent although the store had them already.
        last_write: ``time.monotonic()`` of the last write; ``None``: there was none.
    """

    def __init__(
        self,
        store: Store,
        *,
        snapshot: TakeSnapshot,
        latest_state: LatestState | None = None,
        queue_events: int = 20_000,
        keep_events: int = 20_000,
        changed: Callable[[], None] | None = None,
        timings: WriterTimings | None = None,
    ) -> None:
        self.trouble: str | None = "not connected yet"
        self.dropped = 0
        self.delivered = 0
        self.repeated = 0
        self.last_write: float | None = None
        self._store = store
        self._take_snapshot = snapshot
        self._latest_state = latest_state
        self._queue_events = queue_events
        self._keep = keep_events
        self._changed = changed
        self._timings = timings or WriterTimings()
        self._id = uuid4().hex
        self._owner = f"process {os.getpid()} on {socket.gethostname()}"
        self._epoch = ""
        self._events: dict[int, bytes] = {}
        self._bytes = 0
        self._last = 0
        self._sent = 0
        self._states: dict[_StateKey, _WaitingState] = {}
        self._state = 0
        self._snapshot_seq = self._snapshot_state = 0
        self._snapshot_at = 0.0
        self._snapshot_now = True
        self._first_claim = True
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    # -- the feed's side ------------------------------------------------------------------

    async def start(self, epoch: str, seq: int, recent: Iterable[tuple[int, bytes]] = ()) -> None:
        """Begin to write; returns at once, whether or not the store is available.

        Args:
            epoch: The run of numbers.
            seq: The newest log event so far.
            recent: The newest log events up to ``seq``, oldest first and without a gap; those
                that the stream does not have are sent.
        """
        self._epoch, self._last = epoch, seq
        for number, raw in recent:
            self._enqueue(number, raw)
        self._task = asyncio.create_task(self._run(), name=f"backbone {self._store.where}")

    def append(self, raw: bytes, seq: int | None, kind: str, bot: str | None = None) -> None:
        """Take one event. Never waits; costs microseconds.

        Args:
            raw: The event as JSON.
            seq: Its number, one above the last one's; ``None`` for a state event.
            kind: Its type.
            bot: Its bot, on a feed with several.
        """
        if seq is None:
            key = (kind, bot)
            self._states[key] = _WaitingState(raw, key in self._states)
        else:
            self._last = seq
            self._enqueue(seq, raw)
        if self.trouble is None:
            self._wake.set()

    def _enqueue(self, seq: int, raw: bytes) -> None:
        events = self._events
        events[seq] = raw
        self._bytes += len(raw)
        while len(events) > self._queue_events or (self._bytes > QUEUE_BYTES and len(events) > 1):
            first = next(iter(events))
            self._bytes -= len(events.pop(first))
            if first > self._sent:
                self._sent = first
                self.dropped += 1
                if self.dropped == 1 or self.dropped % 10_000 == 0:
                    log.error(
                        "%s: the queue of %d events is full; %d were dropped so far",
                        self._store.where,
                        self._queue_events,
                        self.dropped,
                    )
                self._snapshot_now = True

    @property
    def waiting(self) -> int:
        """Log events that are not in the store yet."""
        return self._last - self._sent

    async def close(self, timeout: float | None = None) -> None:
        """Send the waiting events and release the stream, within ``timeout`` seconds (``None``:
        ``close_s``), then stop."""
        timeout = self._timings.close_s if timeout is None else timeout
        self._closing = True
        task, self._task = self._task, None
        if task is None:
            return
        self._wake.set()
        if self.trouble is None:
            await asyncio.wait([task], timeout=timeout)
        task.cancel()
        await asyncio.wait([task], timeout=timeout)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._store.close()
        if self.waiting:
            log.error("%s: %d events were not sent", self._store.where, self.waiting)

    # -- the store's side -----------------------------------------------------------------

    async def _run(self) -> None:
        timings = self._timings
        backoff = Backoff(timings.first_delay_s, timings.max_delay_s)
        while True:
            try:
                held = await self._claim()
                await self._write_until_closed(held)
                return
            except (StoreUnavailable, StreamTaken) as error:
                self._set_trouble(str(error))
            except StreamLost as error:
                log.warning("%s: %s; it is claimed again", self._store.where, error)
                await asyncio.sleep(timings.reclaim_s)
                continue
            except Exception as error:
                # Supervision: no error of the store's library may stop the feed.
                log.exception("writing to %s failed", self._store.where)
                self._set_trouble(f"{type(error).__name__}: {error}")
            at = self.last_write
            if at is not None and time.monotonic() - at < timings.dead_s:
                backoff.reset()
            await asyncio.sleep(backoff.next())

    def _set_trouble(self, text: str | None) -> None:
        if text == self.trouble:
            return
        self.trouble = text
        if self._changed is not None:
            self._changed()

    async def _claim(self) -> ClaimResult:
        """Claim the stream until the claim is granted."""
        beat, since = -1, 0.0
        while True:
            now = time.monotonic()
            dead = beat >= 0 and now - since >= self._timings.dead_s
            held = await self._store.claim(
                Claim(
                    self._id,
                    self._owner,
                    self._epoch,
                    self._last,
                    dead_beat=beat if dead else None,
                    first=self._first_claim,
                )
            )
            if held.granted:
                break
            if held.beat != beat:
                beat, since = held.beat, now
            self._set_trouble(
                f"{self._store.where} is written by another feed ({held.owner}). Stop that one, or "
                "give this one a stream of its own ([backbone] stream)"
            )
            await asyncio.sleep(self._timings.claim_s)
        self._first_claim = False
        first = next(iter(self._events), self._last + 1)
        before = self._sent
        self._sent = max(min(held.last, self._last), first - 1)
        if self._sent < before:
            log.warning(
                "%s has lost events %d-%d; they are sent again",
                self._store.where,
                self._sent + 1,
                before,
            )
        if held.last and self._sent > held.last:
            log.warning(
                "%s ends with event %d and %d-%d are no longer in memory: nodes see a gap",
                self._store.where,
                held.last,
                held.last + 1,
                self._sent,
            )
        self._state = held.state
        self._snapshot_now = True
        return held

    async def _write_until_closed(self, held: ClaimResult) -> None:
        while True:
            batch, pending = self._next(held)
            try:
                repeated = await self._store.write(batch, self._keep)
            except BaseException:
                for key, state in pending.items():
                    newer = self._states.get(key)
                    if newer is not None:
                        state = newer._replace(replaced=True)
                    self._states[key] = state
                self._snapshot_now = self._snapshot_now or batch.snapshot is not None
                raise
            self.last_write = time.monotonic()
            self.repeated += repeated
            if batch.log:
                self.delivered += len(batch.log) - repeated
                self._sent = max(self._sent, batch.log[-1][0])
            self._set_trouble(None)
            if self._sent < self._last or self._states:
                continue
            if self._closing:
                if batch.snapshot is None or batch.snapshot.seq < self._last:
                    self._snapshot_now = True
                    continue
                await self._store.release(self._id)
                return
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timings.beat_s):
                    await self._wake.wait()

    def _next(self, held: ClaimResult) -> tuple[WriteBatch, dict[_StateKey, _WaitingState]]:
        """The next write; its state events are removed from the waiting ones."""
        log_events: list[tuple[int, bytes]] = []
        size, seq = 0, self._sent
        while len(log_events) < BATCH_EVENTS and size < BATCH_BYTES:
            seq += 1
            raw = self._events.get(seq)
            if raw is None:
                break
            log_events.append((seq, raw))
            size += len(raw)
        pending, self._states = self._states, {}
        states = []
        for (kind, bot), (raw, replaced) in pending.items():
            if replaced and self._latest_state is not None:
                raw = self._latest_state(kind, bot) or raw
            self._state += 1
            states.append((self._state, raw))
        snapshot = self._snapshot() if self._snapshot_due() else None
        batch = WriteBatch(self._id, held.term, held.generation, log_events, states, snapshot)
        return batch, pending

    def _snapshot_due(self) -> bool:
        new = self._last - self._snapshot_seq, self._state - self._snapshot_state
        return (
            self._snapshot_now
            or new[0] >= self._keep // 4
            or new[1] >= STATES_KEPT // 4
            or (any(new) and time.monotonic() - self._snapshot_at >= self._timings.snapshot_s)
        )

    def _snapshot(self) -> StoredSnapshot:
        seq, raw = self._take_snapshot()
        self._snapshot_seq, self._snapshot_state = seq, self._state
        self._snapshot_at = time.monotonic()
        self._snapshot_now = False
        return StoredSnapshot(self._epoch, seq, self._state, raw)
