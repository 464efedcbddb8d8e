"""A TCP proxy that cuts, stalls and splits connections, for tests of what survives it."""

from __future__ import annotations

import asyncio
import contextlib
import random


class Proxy:
    """Forwards to ``port`` until told to hurt somebody."""

    def __init__(self, port: int, seed: int = 7) -> None:
        self._target = port
        self._random = random.Random(seed)
        self._server: asyncio.Server
        self._links: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.stalled = False
        self.faults = 0
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            out_reader, out_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        link = (writer, out_writer)
        self._links.add(link)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await asyncio.gather(
                self._pump(reader, out_writer, False), self._pump(out_reader, writer, True)
            )
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._links.discard(link)
            self._tasks.discard(task)
            writer.transport.abort()
            out_writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, slow: bool
    ) -> None:
        while data := await reader.read(65536):
            while self.stalled and slow:
                await asyncio.sleep(0.01)
            if self._random.random() < 0.05 and len(data) > 2:  # split anywhere
                cut = self._random.randrange(1, len(data))
                writer.write(data[:cut])
                await asyncio.sleep(0.001)
                data = data[cut:]
            writer.write(data)
            await writer.drain()
        writer.transport.abort()

    def cut(self, share: float) -> None:
        """Abort this share of all connections, mid-frame or not."""
        self.faults += 1
        for link in list(self._links):
            if self._random.random() < share:
                for writer in link:
                    writer.transport.abort()

    async def stall(self, seconds: float) -> None:
        """Hold everything back for a while."""
        self.faults += 1
        self.stalled = True
        await asyncio.sleep(seconds)
        self.stalled = False

    async def close(self) -> None:
        """End everything."""
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)
