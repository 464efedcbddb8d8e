"""Admits a client: from the snapshot, or from the event it has, without a hole or not at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ..errors import Mt5dashError
from ..protocol.codec import decode
from ..state.reducer import FeedState, bot_of
from ..state.ring import Item, Ring, symbol_of
from ..state.snapshots import Snapshots
from .fanout import Fanout
from .subscriber import Subscriber

log = logging.getLogger("mt5dash.feed")

PAGE = 2000
DRAIN_DEADLINE_S = 5.0

ReadLog = Callable[[int, int], Awaitable[list[tuple[int, bytes]]]]
"""Reads log events from the journal: ``await read(after, limit)`` returns (number, JSON) of the
events after ``after``, oldest first. Raises ``Mt5dashError`` when it cannot."""


class Admission:
    """Sends new clients their snapshot and what they missed, and adds them to the fan-out.

    Args:
        state: The state of the feed.
        ring: The newest log events.
        snapshots: Encoded snapshots of the state.
        fanout: The clients.
        most_missed: Log events that a client may have missed and still resume.
        read_log: Reads older events; ``None``: there is no journal.
    """

    def __init__(
        self,
        state: FeedState,
        ring: Ring,
        snapshots: Snapshots,
        fanout: Fanout,
        *,
        most_missed: int,
        read_log: ReadLog | None,
    ) -> None:
        self._state = state
        self._ring = ring
        self._snapshots = snapshots
        self._fanout = fanout
        self._most_missed = most_missed
        self._read_log = read_log

    async def admit(self, client: Subscriber, since: str, role: str) -> None:
        """Admit one client.

        Args:
            client: Not in the fan-out yet.
            since: ``EPOCH:SEQ`` of the last log event that it has, or empty.
            role: What the client may do, for the snapshot.
        """
        after = self.resume_point(since)
        missed: list[tuple[int, bytes]] = []
        if after is not None and after + 1 < self._ring.first:
            missed = await self._missed(after)
            if not missed:
                after = None
        resumed = None if not since else after is not None
        frame = self._snapshots.frame(
            role=role,
            resumed=resumed,
            deflate=client.deflate,
            bots=client.bots,
            alone=client.legacy,
        )
        if after is None:
            self._fanout.add(client, frame, self._state.seq, resumed=False)
            return
        client.write(frame)
        for seq, raw in missed:
            if seq >= self._ring.first:
                break
            event = decode(raw)
            item = Item(event["type"], raw, seq, symbol_of(event), bot_of(event))
            if client.wants(item):
                client.write(client.frame(item))
                client.sent += 1
            after = seq
            if client.closed:
                return
            if client.paused:
                try:
                    async with asyncio.timeout(DRAIN_DEADLINE_S):
                        await client.connection.drain()
                except TimeoutError:
                    self._fanout.close(client, 4008, "stalled while resuming")
                    return
                except ConnectionError:
                    return  # it left
        self._fanout.add(client, b"", after, resumed=True)

    def resume_point(self, since: str) -> int | None:
        """The number after which a client can go on; ``None``: it starts from the snapshot."""
        epoch, _, text = since.rpartition(":")
        if not epoch or epoch != self._state.epoch:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            return None
        after = int(text)
        if after > self._state.seq or self._state.seq - after > self._most_missed:
            return None
        return after

    async def _missed(self, after: int) -> list[tuple[int, bytes]]:
        """Events after ``after`` up to the ring, from the journal; empty when some are gone."""
        if self._read_log is None:
            return []
        found: list[tuple[int, bytes]] = []
        try:
            while after + 1 < self._ring.first:
                page = await self._read_log(after, PAGE)
                if not page or page[0][0] != after + 1 or page[-1][0] != after + len(page):
                    return []
                found += page
                after = page[-1][0]
        except Mt5dashError as error:
            log.error("a client cannot resume: %s", error)
            return []
        return found
