"""``mt5dash tail``: a feed's frames as JSON lines on standard output, for ``jq`` and files."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable

from streamer.client.feed_client import FeedClient, FeedLost
from streamer.protocol.codec import encode
from streamer.protocol.sanitise import clean

TELL_S = 1.0
"""So long a feed may take to answer before a word is said about it."""


async def _print(
    url: str,
    *,
    token: str | None,
    types: Iterable[str] | None,
    symbols: Iterable[str] | None,
    bots: Iterable[str] | None,
    since: str | None,
    count: int | None,
) -> None:
    out = sys.stdout.buffer
    left = count
    client = FeedClient(url, token=token, types=types, symbols=symbols, bots=bots, since=since)
    frames = client.events()
    await client.start()
    telling = asyncio.create_task(_tell_trouble(client), name="tell trouble")
    try:
        async for frame in frames:
            out.write(encode(frame) + b"\n")
            out.flush()
            if left is not None:
                left -= 1
                if left == 0:
                    return
    finally:
        telling.cancel()
        await client.close()


async def _tell_trouble(client: FeedClient) -> None:
    """Say on standard error why nothing comes, once for each reason."""
    said = ""
    while True:
        await asyncio.sleep(TELL_S)
        link = client.link
        words = "" if link.state == "live" else clean(link.detail or "no answer yet")
        if words and words != said:
            print(f"mt5dash: {client.url}: {words}; trying again", file=sys.stderr, flush=True)
        said = words


def run_tail(
    url: str,
    *,
    types: Iterable[str] | None = None,
    symbols: Iterable[str] | None = None,
    bots: Iterable[str] | None = None,
    since: str | None = None,
    count: int | None = None,
    token: str | None = None,
) -> int:
    """Print until interrupted, ``count`` frames, or refused for good. Returns the exit code."""
    try:
        asyncio.run(
            _print(
                url,
                token=token,
                types=types,
                symbols=symbols,
                bots=bots,
                since=since,
                count=count,
            )
        )
    except FeedLost as error:
        print(f"mt5dash: {url}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, jq) has enough. Nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
