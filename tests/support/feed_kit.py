"""What several tests of the feed need: raw sockets, JSON clients, HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from streamer.protocol.messages import SUBPROTOCOL
from streamer.service import Feed

OpenFeed = Callable[..., Awaitable[Feed]]


async def join(
    feed: Feed, query: str = "", *, legacy: bool = False, token: str | None = None, **options: Any
) -> ClientConnection:
    """A client of the feed; its first frame is still to be read."""
    headers = dict(options.pop("headers", {}))
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return await connect(
        feed.url + query,
        subprotocols=None if legacy else [Subprotocol(SUBPROTOCOL)],
        additional_headers=headers,
        compression=options.pop("compression", None),
        proxy=None,
        max_size=None,
        max_queue=None,  # else a close is not seen behind frames that nobody reads
        **options,
    )


async def frame(ws: ClientConnection, timeout: float = 5.0) -> dict[str, Any]:
    """The next frame."""
    async with asyncio.timeout(timeout):
        value = json.loads(await ws.recv())
    assert isinstance(value, dict)
    return value


async def frame_of(ws: ClientConnection, *types: str, timeout: float = 5.0) -> dict[str, Any]:
    """The next frame of one of these types."""
    async with asyncio.timeout(timeout):
        while True:
            value = json.loads(await ws.recv())
            if value["type"] in types:
                return dict(value)


async def closed(ws: ClientConnection, timeout: float = 8.0) -> tuple[int, list[dict[str, Any]]]:
    """Read to the end: the close code and the frames before it."""
    frames = []
    try:
        async with asyncio.timeout(timeout):
            while True:
                frames.append(json.loads(await ws.recv()))
    except ConnectionClosed as end:
        return (end.rcvd.code if end.rcvd is not None else 1006), frames


async def raw_request(port: int, request: bytes, timeout: float = 5.0) -> bytes:
    """Send bytes, read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(timeout):
            return await reader.read()
    finally:
        writer.close()


async def http(
    feed: Feed, path: str, *, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One HTTP request: status, headers (lower case), body."""
    headers = {"Host": f"127.0.0.1:{feed.port}", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    answer = await raw_request(
        feed.port, f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")
    )
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    fields = dict(line.split(": ", 1) for line in rest)
    return int(first.split()[1]), {k.lower(): v for k, v in fields.items()}, body


def upgrade(*lines: str, path: str = "/ws") -> bytes:
    """A WebSocket handshake with exactly these further header lines."""
    key = base64.b64encode(os.urandom(16)).decode()
    fixed = [
        f"GET {path} HTTP/1.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    return "\r\n".join([*fixed, *lines, "", ""]).encode("latin-1")


async def handshake_status(port: int, *lines: str, path: str = "/ws") -> int:
    """The HTTP status that a handshake with these header lines gets; 0 for none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(upgrade(*lines, path=path))
        async with asyncio.timeout(5):
            first = await reader.readline()
        return int(first.split()[1]) if first else 0
    finally:
        writer.close()
