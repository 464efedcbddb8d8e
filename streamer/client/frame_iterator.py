"""A feed's frames as they come, for programs that only listen."""

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
    """Frames of a feed as they come, over reconnects: what ``mt5dash tail`` prints.

    Raises:
        FeedLost: refused for good.
        ValueError: ``url`` is no feed address.
    """
    client = FeedClient(url, token=token, types=types, symbols=symbols, bots=bots, since=since)
    frames = client.events()
    await client.start()
    try:
        async for event in frames:
            yield event
    finally:
        await client.close()
