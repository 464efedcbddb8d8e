"""A backbone in this process: for nodes in the same program, and the model of the other two."""

from __future__ import annotations

import asyncio
import contextlib
from uuid import uuid4

from .model import (
    READ_EVENTS,
    STATES_KEPT,
    Claim,
    ClaimResult,
    Cursor,
    ReadResult,
    StoredSnapshot,
    StreamInfo,
    StreamLost,
    StreamTaken,
    WriteBatch,
)

_streams: dict[str, _Stream] = {}


class _Stream:
    """One stream; it lives as long as the program."""

    def __init__(self) -> None:
        self.run = uuid4().hex[:8]
        self.writer = self.owner = self.epoch = self.term = ""
        self.beat = self.generation = self.base = 0
        self.log: dict[int, bytes] = {}
        self.states: dict[int, bytes] = {}
        self.last = self.last_state = 0
        self.snapshot: StoredSnapshot | None = None
        self.waiting: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        for future in self.waiting:
            if not future.done():
                future.set_result(None)


def delete_stream(name: str) -> None:
    """Delete a stream, as a broker does that restarts without its data."""
    _streams.pop(name, None)


class MemoryStore:
    """See ``Store``. All instances are used on one loop."""

    def __init__(self, name: str) -> None:
        self.where = f"memory:{name}"
        self._name = name

    def _stream(self) -> _Stream:
        return _streams.setdefault(self._name, _Stream())

    async def claim(self, claim: Claim) -> ClaimResult:
        """See ``Store.claim``."""
        stream = self._stream()
        mine, same = stream.writer == claim.writer, stream.epoch == claim.epoch
        free = not stream.writer or mine or claim.dead_beat == stream.beat or (same and claim.first)
        if not free:
            return ClaimResult(False, stream.owner, stream.beat)
        restarted = not stream.term or not same or (not mine and stream.last > claim.seq)
        stream.writer, stream.owner = claim.writer, claim.owner
        stream.beat += 1
        stream.generation += 1
        if restarted:
            stream.term = f"{stream.run}-{stream.generation}-{claim.writer[:6]}"
            stream.epoch, stream.base = claim.epoch, claim.seq
            stream.log.clear()
            stream.states.clear()
            stream.last = stream.last_state = 0
            stream.snapshot = None
            stream.wake()
        return ClaimResult(
            True,
            claim.owner,
            stream.beat,
            stream.generation,
            stream.term,
            stream.last,
            stream.last_state,
            restarted,
        )

    async def write(self, batch: WriteBatch, keep: int) -> int:
        """See ``Store.write``."""
        stream = self._stream()
        if not stream.term:
            raise StreamLost("the stream is gone")
        if stream.writer != batch.writer:
            raise StreamTaken(stream.owner)
        if (stream.term, stream.generation) != (batch.term, batch.generation):
            raise StreamLost("the stream was claimed again")
        repeated = 0
        for seq, raw in batch.log:
            if seq <= stream.last:
                repeated += 1
                continue
            stream.log[seq] = raw
            stream.last = seq
        for number, raw in batch.states:
            if number > stream.last_state:
                stream.states[number] = raw
                stream.last_state = number
        _trim(stream.log, keep)
        _trim(stream.states, STATES_KEPT)
        new, old = batch.snapshot, stream.snapshot
        if new is not None and (old is None or (new.seq, new.state) >= (old.seq, old.state)):
            stream.snapshot = new
        stream.beat += 1
        stream.wake()
        return repeated

    async def release(self, writer: str) -> None:
        """See ``Store.release``."""
        stream = self._stream()
        if stream.writer == writer:
            stream.writer = ""

    async def info(self) -> StreamInfo | None:
        """See ``Store.info``."""
        stream = self._stream()
        if not stream.term:
            return None
        first = next(iter(stream.log), 0)
        return StreamInfo(
            stream.epoch, stream.term, stream.base, stream.beat, first, stream.last, stream.snapshot
        )

    async def snapshot_offsets(self) -> tuple[str, int, int] | None:
        """See ``Store.snapshot_offsets``."""
        found = self._stream().snapshot
        return (found.epoch, found.seq, found.state) if found is not None else None

    async def read(self, cursor: Cursor, block_s: float) -> ReadResult:
        """See ``Store.read``."""
        stream = self._stream()
        result = _events_after(stream, cursor)
        if result.empty and result.term is None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            stream.waiting.add(future)
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(block_s):
                        await future
            finally:
                stream.waiting.discard(future)
            result = _events_after(self._stream(), cursor)
        return result

    async def close(self) -> None:
        """There is no connection."""


def _events_after(stream: _Stream, cursor: Cursor) -> ReadResult:
    if stream.term != cursor.term:
        return ReadResult(term=stream.term)
    return ReadResult(
        _after(stream.log, cursor.seq, stream.last),
        _after(stream.states, cursor.state, stream.last_state),
        beat=stream.beat,
    )


def _after(events: dict[int, bytes], number: int, last: int) -> list[tuple[int, bytes]]:
    first = next(iter(events), last + 1)
    found: list[tuple[int, bytes]] = []
    for at in range(max(first, number + 1), last + 1):
        raw = events.get(at)
        if raw is not None:
            found.append((at, raw))
            if len(found) == READ_EVENTS:
                break
    return found


def _trim(events: dict[int, bytes], keep: int) -> None:
    while len(events) > keep:
        del events[next(iter(events))]
