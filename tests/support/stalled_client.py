"""A client that joins and does not read."""

from __future__ import annotations

import asyncio
import socket

from streamer.service import Feed
from support.feed_kit import upgrade


class Stalled:
    """A client that speaks WebSocket by hand and reads only when told to."""

    def __init__(self, feed: Feed, *, path: str = "/ws") -> None:
        self._feed = feed
        self._path = path
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.buffer = b""

    async def open(self, *lines: str) -> None:
        loop = asyncio.get_running_loop()
        self.sock.setblocking(False)
        await loop.sock_connect(self.sock, ("127.0.0.1", self._feed.port))
        request = upgrade(
            f"Host: 127.0.0.1:{self._feed.port}",
            "Sec-WebSocket-Protocol: mt5dash.v1",
            *lines,
            path=self._path,
        )
        await loop.sock_sendall(self.sock, request)
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += await loop.sock_recv(self.sock, 1024)
        self.buffer = self.buffer.split(b"\r\n\r\n", 1)[1]

    async def messages(self, timeout: float = 5.0) -> list[tuple[int, bytes]]:
        """Read everything up to the end or until nothing comes: (opcode, payload)."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                while chunk := await loop.sock_recv(self.sock, 65536):
                    self.buffer += chunk
        except (TimeoutError, ConnectionResetError):
            pass
        found = []
        data, at = self.buffer, 0
        while at + 2 <= len(data):
            size, start = data[at + 1] & 127, at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if start + size > len(data):
                break
            found.append((data[at] & 15, data[start : start + size]))
            at = start + size
        return found

    def close(self) -> None:
        self.sock.close()
