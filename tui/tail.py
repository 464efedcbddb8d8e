"""``mt5dash tail``: a feed's frames as JSON lines on standard output, for ``jq`` and files."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable

from streamer.client import FeedLost
from streamer.tailing import tail
from streamer.wire import encode


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
    wanted = {"types": types, "symbols": symbols, "bots": bots}
    async for frame in tail(url, token=token, since=since, **wanted):
        out.write(encode(frame) + b"\n")
        out.flush()
        if left is not None:
            left -= 1
            if left == 0:
                return


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
