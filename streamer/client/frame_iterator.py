"""The frames of a feed as an iterator, for programs that only listen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from ..state.source import Wire
from .feed_client import FeedClient


async def tail(
    url: str,
    *,
    token: str | None = None,
    types: Iterable[str] | None = None,
    symbols: Iterable[str] | None = None,
    bots: Iterable[str] | None = None,
    since: str | None = None,
) -> AsyncIterator[Wire]:
    """Iterate over the frames of a feed, across reconnects: what ``mt5dash tail`` prints.

    Raises:
        FeedLost: the feed refused this client for good.
        ValueError: ``url`` is not a feed address.
    """
    client = FeedClient(url, token=token, types=types, symbols=symbols, bots=bots, since=since)
    frames = client.events()
    await client.start()
    try:
        async for event in frames:
            yield event
    finally:
        await client.close()
