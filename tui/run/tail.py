"""Prints the frames of a feed to standard output, one JSON object per line."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable

from streamer.client.feed_client import FeedClient, FeedLost
from streamer.protocol.codec import encode
from streamer.protocol.sanitise import clean

REPORT_S = 1.0
"""Seconds without a connection after which the reason is printed to standard error."""


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
    reporting = asyncio.create_task(_report_trouble(client), name="report trouble")
    try:
        async for frame in frames:
            out.write(encode(frame) + b"\n")
            out.flush()
            if left is not None:
                left -= 1
                if left == 0:
                    return
    finally:
        reporting.cancel()
        await client.close()


async def _report_trouble(client: FeedClient) -> None:
    """Print to standard error why no frames come, once for each reason."""
    reported = ""
    while True:
        await asyncio.sleep(REPORT_S)
        link = client.link
        reason = "" if link.state == "live" else clean(link.detail or "no answer yet")
        if reason and reason != reported:
            print(f"mt5dash: {client.url}: {reason}; trying again", file=sys.stderr, flush=True)
        reported = reason


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
    """Print frames until interrupted, until ``count`` frames, or until the feed refuses for good.

    Returns:
        The exit code.
    """
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
