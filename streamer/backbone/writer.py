"""Hands a feed's events to a backbone, and never makes the feed wait for it.

Log events stand in a bounded window with a cursor: what the store has is on the left of it.
When the store lost some (a broker that restarts without its disk), the cursor goes back and
they are sent again; a number that the store has already is refused there. State events that
wait are replaced by newer ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
import time
from collections.abc import Callable, Iterable
from uuid import uuid4

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

log = logging.getLogger("mt5dash.backbone")

BATCH_EVENTS = 512
BATCH_BYTES = 1 << 20
QUEUE_BYTES = 64 << 20
"""Most memory for log events that wait or may be asked for again."""
SAVE_S = 2.0
BEAT_S = 2.0
DEAD_S = 10.0
"""A holder of the stream that shows no sign of life for this long is taken for dead."""
CLAIM_S = 1.0
AGAIN_S = 0.05
FIRST_DELAY_S, MAX_DELAY_S = 0.1, 2.0
CLOSE_S = 1.0

SnapshotOf = Callable[[], tuple[int, bytes]]
"""The newest log event that the state contains, and the state as a ``STATE_SNAPSHOT`` frame."""
Fresh = Callable[[str, str | None], bytes | None]
"""The newest whole event of a state type (of one bot), for when some in between were left out."""


class BackboneWriter:
    """Writes one stream. All of it is used on the loop.

    Args:
        store: Where to; closed with the writer.
        snapshot: Asked while writing, every two seconds at most.
        fresh: Asked for a state event of which an earlier one was never sent. Without it the
            newest as it came is sent.
        queue_events: Log events that may wait; of more the oldest are dropped and counted.
        keep_events: Log events that the stream keeps.
        changed: Called when ``trouble`` came, went or is another one.
    """

    def __init__(
        self,
        store: Store,
        *,
        snapshot: SnapshotOf,
        fresh: Fresh | None = None,
        queue_events: int = 20_000,
        keep_events: int = 20_000,
        changed: Callable[[], None] | None = None,
    ) -> None:
        self.trouble: str | None = "not connected yet"
        self.dropped = 0
        self.delivered = 0
        self.repeated = 0
        self.last_write: float | None = None
        self._store = store
        self._snapshot = snapshot
        self._fresh = fresh
        self._queue_events = queue_events
        self._keep = keep_events
        self._changed = changed
        self._id = uuid4().hex
        self._who = f"process {os.getpid()} on {socket.gethostname()}"
        self._epoch = ""
        self._events: dict[int, bytes] = {}
        self._bytes = 0
        self._last = 0
        self._sent = 0
        self._states: dict[tuple[str, str | None], tuple[bytes, bool]] = {}
        self._state = 0
        self._saved_seq = self._saved_state = 0
        self._saved_at = 0.0
        self._save_now = True
        self._first_claim = True
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    # -- the feed's side ------------------------------------------------------------------

    async def start(self, epoch: str, seq: int, recent: Iterable[tuple[int, bytes]] = ()) -> None:
        """Begin to write; returns at once, whether or not there is a store.

        Args:
            epoch: The run of numbers.
            seq: The newest log event so far.
            recent: The newest log events up to ``seq``, oldest first and without a hole: sent
                when the stream has not got them.
        """
        self._epoch, self._last = epoch, seq
        for number, raw in recent:
            self._hold(number, raw)
        self._task = asyncio.create_task(self._run(), name=f"backbone {self._store.where}")

    def append(self, raw: bytes, seq: int | None, kind: str, bot: str | None = None) -> None:
        """Take one event. Never waits; costs microseconds.

        Args:
            raw: The event as JSON.
            seq: Its number, one above the last one's; ``None`` for a state event.
            kind: Its type.
            bot: Whose it is, where a feed has several.
        """
        if seq is None:
            key = (kind, bot)
            self._states[key] = (raw, key in self._states)
        else:
            self._last = seq
            self._hold(seq, raw)
        if self.trouble is None:
            self._wake.set()

    def _hold(self, seq: int, raw: bytes) -> None:
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
                self._save_now = True

    @property
    def waiting(self) -> int:
        """Log events that the store has not got yet."""
        return self._last - self._sent

    async def close(self, timeout: float = CLOSE_S) -> None:
        """Send what waits if that goes within ``timeout`` seconds, let the stream go, stop."""
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
        delay = FIRST_DELAY_S
        while True:
            try:
                held = await self._claim()
                await self._write_on(held)
                return
            except (StoreUnavailable, StreamTaken) as error:
                self._set_trouble(str(error))
            except StreamLost as error:
                log.warning("%s: %s; it is claimed again", self._store.where, error)
                await asyncio.sleep(AGAIN_S)
                continue
            except Exception as error:
                # Supervision: whatever the store's library raises, the feed goes on.
                log.exception("writing to %s failed", self._store.where)
                self._set_trouble(f"{type(error).__name__}: {error}")
            if self.last_write is not None and time.monotonic() - self.last_write < DEAD_S:
                delay = FIRST_DELAY_S
            await asyncio.sleep(delay * (0.5 + random.random()))
            delay = min(delay * 2, MAX_DELAY_S)

    def _set_trouble(self, text: str | None) -> None:
        if text == self.trouble:
            return
        self.trouble = text
        if self._changed is not None:
            self._changed()

    async def _claim(self) -> ClaimResult:
        """Wait until the stream is ours."""
        beat, since = -1, 0.0
        while True:
            now = time.monotonic()
            dead = beat >= 0 and now - since >= DEAD_S
            held = await self._store.claim(
                Claim(
                    self._id,
                    self._who,
                    self._epoch,
                    self._last,
                    seen=beat if dead else None,
                    first=self._first_claim,
                )
            )
            if held.granted:
                break
            if held.beat != beat:
                beat, since = held.beat, now
            self._set_trouble(
                f"{self._store.where} is written by another feed ({held.who}). Stop that one, or "
                "give this one a stream of its own ([backbone] stream)"
            )
            await asyncio.sleep(CLAIM_S)
        self._first_claim = False
        first = next(iter(self._events), self._last + 1)
        before = self._sent
        self._sent = max(min(held.last, self._last), first - 1)
        if self._sent < before:
            log.warning(
                "%s had lost events %d-%d; they are sent again",
                self._store.where,
                self._sent + 1,
                before,
            )
        if held.last and self._sent > held.last:
            log.warning(
                "%s ends with event %d and %d-%d are not at hand any more: nodes see a gap",
                self._store.where,
                held.last,
                held.last + 1,
                self._sent,
            )
        self._state = held.state
        self._save_now = True
        return held

    async def _write_on(self, held: ClaimResult) -> None:
        while True:
            writing, pending = self._next(held)
            try:
                again = await self._store.write(writing, self._keep)
            except BaseException:
                for key, state in pending.items():
                    newer = self._states.get(key)
                    self._states[key] = (newer[0], True) if newer is not None else state
                self._save_now = self._save_now or writing.saved is not None
                raise
            self.last_write = time.monotonic()
            self.repeated += again
            if writing.log:
                self.delivered += len(writing.log) - again
                self._sent = max(self._sent, writing.log[-1][0])
            self._set_trouble(None)
            if self._sent < self._last or self._states:
                continue
            if self._closing:
                if writing.saved is None or writing.saved.seq < self._last:
                    self._save_now = True
                    continue
                await self._store.release(self._id)
                return
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._wake.wait()

    def _next(
        self, held: ClaimResult
    ) -> tuple[WriteBatch, dict[tuple[str, str | None], tuple[bytes, bool]]]:
        """What goes out now; the state events are taken out of those that wait."""
        batch: list[tuple[int, bytes]] = []
        size, seq = 0, self._sent
        while len(batch) < BATCH_EVENTS and size < BATCH_BYTES:
            seq += 1
            raw = self._events.get(seq)
            if raw is None:
                break
            batch.append((seq, raw))
            size += len(raw)
        pending, self._states = self._states, {}
        states = []
        for (kind, bot), (raw, skipped) in pending.items():
            if skipped and self._fresh is not None:
                raw = self._fresh(kind, bot) or raw
            self._state += 1
            states.append((self._state, raw))
        saved = self._save() if self._due() else None
        writing = WriteBatch(self._id, held.term, held.generation, batch, states, saved)
        return writing, pending

    def _due(self) -> bool:
        new = self._last - self._saved_seq, self._state - self._saved_state
        return (
            self._save_now
            or new[0] >= self._keep // 4
            or new[1] >= STATES_KEPT // 4
            or (any(new) and time.monotonic() - self._saved_at >= SAVE_S)
        )

    def _save(self) -> StoredSnapshot:
        seq, raw = self._snapshot()
        self._saved_seq, self._saved_state = seq, self._state
        self._saved_at = time.monotonic()
        self._save_now = False
        return StoredSnapshot(self._epoch, seq, self._state, raw)
