"""A backbone in this process: for nodes of one program, and what the other two must equal."""

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
    """One stream by its name; it lives as long as the program."""

    def __init__(self) -> None:
        self.run = uuid4().hex[:8]
        self.writer = self.who = self.epoch = self.term = ""
        self.beat = self.generation = self.base = 0
        self.log: dict[int, bytes] = {}
        self.states: dict[int, bytes] = {}
        self.last = self.last_state = 0
        self.saved: StoredSnapshot | None = None
        self.waiting: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        for future in self.waiting:
            if not future.done():
                future.set_result(None)


def forget(name: str) -> None:
    """Delete a stream, as a broker does that is started anew without its data."""
    _streams.pop(name, None)


class MemoryStore:
    """See ``Store``. All its users live on one loop."""

    def __init__(self, name: str) -> None:
        self.where = f"memory:{name}"
        self._name = name

    def _stream(self) -> _Stream:
        return _streams.setdefault(self._name, _Stream())

    async def claim(self, claim: Claim) -> ClaimResult:
        """See ``Store.claim``."""
        stream = self._stream()
        mine, same = stream.writer == claim.writer, stream.epoch == claim.epoch
        free = not stream.writer or mine or claim.seen == stream.beat or (same and claim.first)
        if not free:
            return ClaimResult(False, stream.who, stream.beat)
        renewed = not stream.term or not same or (not mine and stream.last > claim.seq)
        stream.writer, stream.who = claim.writer, claim.who
        stream.beat += 1
        stream.generation += 1
        if renewed:
            stream.term = f"{stream.run}-{stream.generation}-{claim.writer[:6]}"
            stream.epoch, stream.base = claim.epoch, claim.seq
            stream.log.clear()
            stream.states.clear()
            stream.last = stream.last_state = 0
            stream.saved = None
            stream.wake()
        return ClaimResult(
            True,
            claim.who,
            stream.beat,
            stream.generation,
            stream.term,
            stream.last,
            stream.last_state,
            renewed,
        )

    async def write(self, writing: WriteBatch, keep: int) -> int:
        """See ``Store.write``."""
        stream = self._stream()
        if not stream.term:
            raise StreamLost("the stream is gone")
        if stream.writer != writing.writer:
            raise StreamTaken(stream.who)
        if (stream.term, stream.generation) != (writing.term, writing.generation):
            raise StreamLost("the stream was claimed again")
        again = 0
        for seq, raw in writing.log:
            if seq <= stream.last:
                again += 1
                continue
            stream.log[seq] = raw
            stream.last = seq
        for number, raw in writing.states:
            if number > stream.last_state:
                stream.states[number] = raw
                stream.last_state = number
        _trim(stream.log, keep)
        _trim(stream.states, STATES_KEPT)
        saved, old = writing.saved, stream.saved
        if saved is not None and (old is None or (saved.seq, saved.state) >= (old.seq, old.state)):
            stream.saved = saved
        stream.beat += 1
        stream.wake()
        return again

    async def release(self, writer: str) -> None:
        """See ``Store.release``."""
        stream = self._stream()
        if stream.writer == writer:
            stream.writer = ""

    async def join(self) -> StreamInfo | None:
        """See ``Store.join``."""
        stream = self._stream()
        if not stream.term:
            return None
        first = next(iter(stream.log), 0)
        return StreamInfo(
            stream.epoch, stream.term, stream.base, stream.beat, first, stream.last, stream.saved
        )

    async def saved_at(self) -> tuple[str, int, int] | None:
        """See ``Store.saved_at``."""
        saved = self._stream().saved
        return (saved.epoch, saved.seq, saved.state) if saved is not None else None

    async def read(self, cursor: Cursor, block_s: float) -> ReadResult:
        """See ``Store.read``."""
        stream = self._stream()
        found = _look(stream, cursor)
        if found.empty and found.term is None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            stream.waiting.add(future)
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(block_s):
                        await future
            finally:
                stream.waiting.discard(future)
            found = _look(self._stream(), cursor)
        return found

    async def close(self) -> None:
        """Nothing to let go."""


def _look(stream: _Stream, cursor: Cursor) -> ReadResult:
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
