"""Reads a backbone's stream for one node: snapshot first, then every event once and in order.

It remembers how far it is and goes on from there, whatever happens to the store. What is
missing is told as a gap, never left out in silence.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Iterator

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

log = logging.getLogger("mt5dash.backbone")

BLOCK_S = 1.0
"""Longest wait of one read; shorter than any time-out of a connection."""
LOOK_S = 0.3
"""Between two looks for a stream, or a snapshot, that is not there yet."""
FIRST_DELAY_S, MAX_DELAY_S = 0.1, 2.0
CLOSE_S = 1.0


class BackboneReader:
    """Reads one stream; one reader for a node, however many look at what it read.

    Args:
        store: Where from; closed with the reader.
        since: Epoch and number of the last log event that the node has; ``None``: nothing.

    Attributes:
        where: The address, for people.
        trouble: Why nothing can be read now, or ``None``.
        heard_at: ``time.monotonic()`` of the writer's last sign of life; ``None``: none seen.
    """

    def __init__(self, store: Store, *, since: tuple[str, int] | None = None) -> None:
        self.where = store.where
        self.trouble: str | None = None
        self.heard_at: float | None = None
        self._store = store
        self._epoch, self._told = since if since is not None else ("", 0)
        self._cursor: Cursor | None = None
        self._term = ""
        self._beat = -1
        self._owed: tuple[int, int] | None = None
        self._looked_at = 0.0

    @property
    def epoch(self) -> str:
        """The run of numbers that is read; empty before there is one."""
        return self._epoch

    @property
    def seq(self) -> int:
        """The last log event that was told."""
        return self._told

    async def close(self) -> None:
        """Let the store go."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._store.close()
        except TimeoutError:
            log.warning("%s: the connection did not close in time", self.where)

    async def told(self) -> AsyncIterator[StreamItem]:
        """Snapshots, batches and gaps, without end. A slow caller holds only itself up."""
        delay = FIRST_DELAY_S
        while True:
            news: list[StreamItem] = []
            try:
                cursor = self._cursor
                if cursor is None:
                    joined = await self._store.join()
                    if joined is not None and joined.saved is not None:
                        news = list(self._begin(joined, joined.saved))
                    self.trouble = None
                    if not news:
                        await asyncio.sleep(LOOK_S)
                        continue
                elif self._owed is None or not (news := await self._pay()):
                    found = await self._store.read(cursor, LOOK_S if self._owed else BLOCK_S)
                    self.trouble = None
                    news = list(self._sort(cursor, found))
                delay = FIRST_DELAY_S
            except StoreUnavailable as error:
                if self.trouble is None:
                    log.warning("%s", error)
                self.trouble = str(error)
                await asyncio.sleep(delay * (0.5 + random.random()))
                delay = min(delay * 2, MAX_DELAY_S)
            for told in news:
                yield told

    def _heard(self, beat: int | None) -> None:
        if beat is None or beat == self._beat:
            return
        # The first look says only that somebody wrote once; so does what was read.
        if self._beat >= 0:
            self.heard_at = time.monotonic()
        self._beat = beat

    def _begin(self, joined: StreamInfo, saved: StoredSnapshot) -> Iterator[StreamItem]:
        """Find the place in a stream that is new to this reader."""
        self._heard(joined.beat)
        # Within a term numbers only grow. A new one of the same epoch holds the same events up
        # to its base: beyond that the feed went back, and used numbers again.
        bound = joined.base if self._term else max(joined.base, joined.last)
        same = joined.epoch == self._epoch and self._told <= bound
        self._term, self._epoch = joined.term, joined.epoch
        if not same:
            self._told = saved.seq
        yield from self._load(joined, saved, same)

    def _load(
        self, joined: StreamInfo, saved: StoredSnapshot, resumed: bool
    ) -> Iterator[StreamItem]:
        """Tell a snapshot, and go on from it or from what was told, whichever is earlier."""
        self._owed = None
        self._cursor = Cursor(joined.term, min(saved.seq, self._told), saved.state)
        yield Snapshot(saved.epoch, saved.seq, saved.raw, resumed)

    def _sort(self, cursor: Cursor, found: ReadResult) -> Iterator[StreamItem]:
        """Make news of what was read, and see what is missing."""
        if found.term is not None:
            self._cursor = None
            return
        self._heard(found.beat)
        if found.empty:
            return
        seq, state = cursor.seq, cursor.state
        items: list[tuple[int, bytes]] = []
        again: list[tuple[int, bytes]] = []
        gap: Gap | None = None
        for number, raw in found.log:
            if number != seq + 1:
                if number - 1 > self._told:
                    first = max(seq, self._told) + 1
                    if items or again:  # what came before the gap is told before it
                        yield from self._batches(again, items)
                        again, items = [], []
                    gap = Gap(first, number - 1, "they left the stream before they were read")
                    yield gap
                self._owe(number - 1, 0)
            seq = number
            if number <= self._told:
                again.append((number, raw))
            else:
                items.append((number, raw))
                self._told = number
        if found.states and found.states[0][0] != state + 1:
            self._owe(0, found.states[0][0] - 1)
        if found.states:
            state = found.states[-1][0]
            items += [(0, raw) for _, raw in found.states]
        self._cursor = Cursor(cursor.term, seq, state)
        yield from self._batches(again, items)

    def _batches(
        self, again: list[tuple[int, bytes]], items: list[tuple[int, bytes]]
    ) -> Iterator[Batch]:
        if again:
            yield Batch(again, again=True)
        if items:
            yield Batch(items)

    def _owe(self, seq: int, state: int) -> None:
        old = self._owed or (0, 0)
        self._owed = max(old[0], seq), max(old[1], state)

    async def _pay(self) -> list[StreamItem]:
        """Tell a snapshot that covers what was missed, once the writer has saved one."""
        assert self._owed is not None
        now = time.monotonic()
        if now - self._looked_at < LOOK_S:
            return []
        self._looked_at = now
        at = await self._store.saved_at()
        if at is None or at[0] != self._epoch or at[1] < self._owed[0] or at[2] < self._owed[1]:
            return []
        joined = await self._store.join()
        if joined is None or joined.saved is None or joined.term != self._term:
            self._cursor = None
            return []
        return list(self._load(joined, joined.saved, True))
