"""Reads a backbone's stream for one node: snapshot first, then each event once and in order.

The reader remembers its position and resumes there after any failure of the store. Missing
events are reported as a gap.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator

from ..backoff import Backoff
from .model import (
    Batch,
    Cursor,
    Gap,
    ReadResult,
    Snapshot,
    Store,
    StoredSnapshot,
    StoreUnavailable,
    StreamInfo,
    StreamItem,
)
from .timings import ReaderTimings

log = logging.getLogger("mt5dash.backbone")


class BackboneReader:
    """Reads one stream. A node has one reader, however many clients it serves.

    Args:
        store: The stream; closed with the reader.
        since: Epoch and number of the node's last log event; ``None``: it has none.
        timings: Intervals and limits.

    Attributes:
        where: The address for people.
        trouble: Why nothing can be read now, or ``None``.
        beat_at: ``time.monotonic()`` of the writer's last observed beat; ``None``: no beat was
            observed yet.
    """

    def __init__(
        self,
        store: Store,
        *,
        since: tuple[str, int] | None = None,
        timings: ReaderTimings | None = None,
    ) -> None:
        self.where = store.where
        self.trouble: str | None = None
        self.beat_at: float | None = None
        self._store = store
        self._timings = timings or ReaderTimings()
        self._epoch, self._seq = since if since is not None else ("", 0)
        self._cursor: Cursor | None = None
        self._term = ""
        self._beat = -1
        self._required: tuple[int, int] | None = None
        """The numbers (log, state) that the next snapshot has to contain, after a gap."""
        self._checked_at = 0.0

    @property
    def epoch(self) -> str:
        """The run of numbers that is read; empty before there is one."""
        return self._epoch

    @property
    def seq(self) -> int:
        """The last log event that was returned."""
        return self._seq

    async def close(self) -> None:
        """Close the store."""
        try:
            async with asyncio.timeout(self._timings.close_s):
                await self._store.close()
        except TimeoutError:
            log.warning("%s: the connection did not close in time", self.where)

    async def items(self) -> AsyncIterator[StreamItem]:
        """Snapshots, batches and gaps, without end. A slow caller delays only itself."""
        timings = self._timings
        backoff = Backoff(timings.first_delay_s, timings.max_delay_s)
        while True:
            items: list[StreamItem] = []
            try:
                cursor = self._cursor
                if cursor is None:
                    info = await self._store.info()
                    if info is not None and info.snapshot is not None:
                        items = list(self._begin(info, info.snapshot))
                    self.trouble = None
                    if not items:
                        await asyncio.sleep(timings.poll_s)
                        continue
                elif self._required is None or not (items := await self._required_snapshot()):
                    block_s = timings.poll_s if self._required else timings.block_s
                    result = await self._store.read(cursor, block_s)
                    self.trouble = None
                    items = list(self._advance(cursor, result))
                backoff.reset()
            except StoreUnavailable as error:
                if self.trouble is None:
                    log.warning("%s", error)
                self.trouble = str(error)
                await asyncio.sleep(backoff.next())
            for item in items:
                yield item

    def _on_beat(self, beat: int | None) -> None:
        if beat is None or beat == self._beat:
            return
        # The first beat only shows that there was a writer once.
        if self._beat >= 0:
            self.beat_at = time.monotonic()
        self._beat = beat

    def _begin(self, info: StreamInfo, snapshot: StoredSnapshot) -> Iterator[StreamItem]:
        """Find the position in a stream that is new to this reader."""
        self._on_beat(info.beat)
        # Within a term numbers only grow. A new term of the same epoch has the same events up
        # to its base; beyond it the feed went back and reused numbers.
        bound = info.base if self._term else max(info.base, info.last)
        same = info.epoch == self._epoch and self._seq <= bound
        self._term, self._epoch = info.term, info.epoch
        if not same:
            self._seq = snapshot.seq
        yield self._start_from(info.term, snapshot, same)

    def _start_from(self, term: str, snapshot: StoredSnapshot, resumed: bool) -> Snapshot:
        """Return a snapshot, and read on from it or from the last event, the earlier one."""
        self._required = None
        self._cursor = Cursor(term, min(snapshot.seq, self._seq), snapshot.state)
        return Snapshot(snapshot.epoch, snapshot.seq, snapshot.raw, resumed)

    def _advance(self, cursor: Cursor, result: ReadResult) -> Iterator[StreamItem]:
        """Separate new events from repeated ones, and find gaps."""
        if result.term is not None:
            self._cursor = None
            return
        self._on_beat(result.beat)
        if result.empty:
            return
        seq, state = cursor.seq, cursor.state
        items: list[tuple[int, bytes]] = []
        repeated: list[tuple[int, bytes]] = []
        for number, raw in result.log:
            if number != seq + 1:
                if number - 1 > self._seq:
                    first = max(seq, self._seq) + 1
                    if items or repeated:  # the events before the gap come before it
                        yield from _batches(repeated, items)
                        repeated, items = [], []
                    yield Gap(first, number - 1, "they left the stream before they were read")
                self._require_snapshot(number - 1, 0)
            seq = number
            if number <= self._seq:
                repeated.append((number, raw))
            else:
                items.append((number, raw))
                self._seq = number
        if result.states and result.states[0][0] != state + 1:
            self._require_snapshot(0, result.states[0][0] - 1)
        if result.states:
            state = result.states[-1][0]
            items += [(0, raw) for _, raw in result.states]
        self._cursor = Cursor(cursor.term, seq, state)
        yield from _batches(repeated, items)

    def _require_snapshot(self, seq: int, state: int) -> None:
        old = self._required or (0, 0)
        self._required = max(old[0], seq), max(old[1], state)

    async def _required_snapshot(self) -> list[StreamItem]:
        """The snapshot that contains the missed events, once the writer has stored one."""
        assert self._required is not None
        now = time.monotonic()
        if now - self._checked_at < self._timings.poll_s:
            return []
        self._checked_at = now
        at = await self._store.snapshot_offsets()
        if (
            at is None
            or at[0] != self._epoch
            or at[1] < self._required[0]
            or at[2] < self._required[1]
        ):
            return []
        info = await self._store.info()
        if info is None or info.snapshot is None or info.term != self._term:
            self._cursor = None
            return []
        return [self._start_from(info.term, info.snapshot, True)]


def _batches(repeated: list[tuple[int, bytes]], items: list[tuple[int, bytes]]) -> Iterator[Batch]:
    if repeated:
        yield Batch(repeated, repeated=True)
    if items:
        yield Batch(items)
