"""How a client comes in: from the snapshot, or from where it was, whole or not at all."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ..journal.writer import JournalError
from ..protocol.codec import decode
from ..state.reducer import bot_of
from ..state.ring import Item, symbol_of
from .subscriber import Subscriber

if TYPE_CHECKING:
    from ..feed.feed import Feed

log = logging.getLogger("mt5dash.feed")

PAGE = 2000
DRAIN_DEADLINE_S = 5.0


async def admit(feed: Feed, client: Subscriber, since: str) -> None:
    """Send a client its snapshot and what it missed, and take it into the hub.

    Args:
        feed: The feed.
        client: Not yet in the hub.
        since: ``EPOCH:SEQ`` of the last log event it has, or empty.
    """
    after = resume_point(feed, since)
    missed: list[tuple[int, bytes]] = []
    if after is not None and after + 1 < feed.ring.first:
        missed = await _missed(feed, after)
        if not missed:
            after = None
    resumed = None if not since else after is not None
    grant = client.connection.grant
    role = grant.role if grant is not None else "view"
    frame = feed.snapshots.frame(
        role=role, resumed=resumed, deflate=client.deflate, bots=client.bots, alone=client.legacy
    )
    if after is None:
        feed.hub.add(client, frame, feed.state.seq, resumed=False)
        return
    client.write(frame)
    for seq, raw in missed:
        if seq >= feed.ring.first:
            break
        event = decode(raw)
        item = Item(event["type"], raw, seq, symbol_of(event), bot_of(event))
        if client.wants(item):
            client.write(client.frame(item))
            client.sent += 1
        after = seq
        if client.paused:
            try:
                async with asyncio.timeout(DRAIN_DEADLINE_S):
                    await client.connection.drain()
            except TimeoutError:
                feed.hub.close(client, 4008, "stalled while resuming")
                return
    feed.hub.add(client, b"", after, resumed=True)


def resume_point(feed: Feed, since: str) -> int | None:
    """The number after which a client can go on, or ``None`` when it has to start anew."""
    epoch, _, text = since.rpartition(":")
    if not epoch or epoch != feed.state.epoch:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        return None
    after = int(text)
    if after > feed.state.seq or feed.state.seq - after > feed.settings.resume_events:
        return None
    return after


async def _missed(feed: Feed, after: int) -> list[tuple[int, bytes]]:
    """Events after ``after`` up to the ring, from the journal; empty when some are gone."""
    if feed.journal is None:
        return []
    found: list[tuple[int, bytes]] = []
    try:
        while after + 1 < feed.ring.first:
            page = await feed.journal.read(after, PAGE)
            if not page or page[0][0] != after + 1 or page[-1][0] != after + len(page):
                return []
            found += page
            after = page[-1][0]
    except JournalError as error:
        log.error("a client cannot resume: %s", error)
        return []
    return found
