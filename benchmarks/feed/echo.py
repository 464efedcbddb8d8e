"""The feed's real server in echo mode, for Autobahn's conformance cases.

    python benchmarks/feed/echo.py 9001
    wstest -m fuzzingclient -s fuzzingclient.json   # autobahntestsuite runs on Python 2.7

Connections, checks, limits and compression are the feed's own; only the conversation is an
echo, and messages may be larger, as the cases send up to 16 MiB.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from streamer.service import Feed
from streamer.settings import FeedSettings


async def echo(connection: ServerConnection) -> None:
    """Another conversation for the feed's endpoint."""
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        return


async def main() -> None:
    feed = Feed(FeedSettings(port=int(sys.argv[1]), max_message_bytes=64 << 20, ping_s=3600))
    feed.endpoint._handle = echo  # type: ignore[method-assign]
    feed.endpoint.compress = True
    await feed.start()
    print(feed.url, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
