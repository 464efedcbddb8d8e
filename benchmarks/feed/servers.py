"""The servers that are compared, each alone in a process: ``servers.py KIND DEFLATE``.

All do the same work for each event: a dict comes in, every client gets it as JSON text. The
snapshot of a connect storm is the same state everywhere. Commands come on stdin, answers go
to stdout, so that nothing but the server runs on its core.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import resource
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

REGIMES = ("TRENDING", "RANGING", "VOLATILE")
PAGE = os.sysconf("SC_PAGE_SIZE")


EVENTS = 64
"""Different events that are sent in turn: the same one again and again would compress to nothing
for whoever keeps a window from message to message, and never happens on a feed."""


def event_of(size: int, number: int) -> dict[str, Any]:
    """A log event of about ``size`` bytes: one of a row of scans of the same symbols."""
    event: dict[str, Any] = {
        "type": "SCAN_SUMMARY",
        "timestamp": f"2026-03-02T10:{number // 60 % 60:02}:{number % 60:02}.000+00:00",
        "count": number,
        "candidates": 0,
        "symbols": {},
        "details": {},
    }
    names, chance = random.Random(0), random.Random(number)
    while len(json.dumps(event, separators=(",", ":"))) < size - 40:
        symbol = "".join(names.sample("EURUSDGBPJPYCHFAUDNZDCADXAU", 6))
        score = round(chance.uniform(5, 95), 1)
        event["symbols"][symbol] = f"Low Score ({score} < 65 for {chance.choice(REGIMES)} regime)"
        event["details"][symbol] = {
            "code": chance.choice(("SCORE", "SPREAD", "SESSION", "REGIME")),
            "score": score,
            "spread": round(chance.uniform(1, 40), 1),
            "atr": round(chance.uniform(0.0001, 2.0), 6),
            "regime": chance.choice(REGIMES),
            "age_s": round(chance.uniform(0, 3), 3),
        }
    return event


def _snapshot() -> dict[str, Any]:
    """What a client gets first: 200 log events, as the predecessor's."""
    return {
        "type": "STATE_SNAPSHOT",
        "data": {
            "account": {"balance": 1000.0, "equity": 1001.0},
            "positions": [],
            "scan_summary": {},
            "recent_trades": [],
            "events": [event_of(350, n) for n in range(200)],
        },
    }


STATE = _snapshot()


class Subject:
    """One way of sending to all."""

    async def start(self) -> int:
        raise NotImplementedError

    def prepare(self, turns: list[list[dict[str, Any]]]) -> None:
        """See the events before the clock starts (only the limit builds its bytes here)."""

    async def send(self, events: list[dict[str, Any]]) -> None:
        """Send these; return when all is handed to the kernel or the transports."""
        raise NotImplementedError

    def clients(self) -> int:
        raise NotImplementedError

    async def idle(self) -> None:
        await asyncio.sleep(0)


class Raw(Subject):
    """The limit: prebuilt bytes, ``socket.send`` on each socket, nothing else."""

    def __init__(self, deflate: bool) -> None:
        self.sockets: list[socket.socket] = []
        self.deflate = deflate
        self.joined: dict[int, bytes] = {}

    async def start(self) -> int:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.listener.setblocking(False)
        asyncio.get_running_loop().create_task(self._accept())
        return int(self.listener.getsockname()[1])

    async def _accept(self) -> None:
        from streamer.protocol.frames import text_frame

        loop = asyncio.get_running_loop()
        hello = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            + (b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if self.deflate else b"")
            + b"\r\n"
        )
        first = text_frame(json.dumps(STATE).encode())
        while True:
            sock, _ = await loop.sock_accept(self.listener)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_recv(sock, 4096)
            await loop.sock_sendall(sock, hello + first)
            self.sockets.append(sock)

    def prepare(self, turns: list[list[dict[str, Any]]]) -> None:
        from streamer.protocol.frames import deflated_frame, text_frame

        make = deflated_frame if self.deflate else text_frame
        self.joined = {
            id(turn): b"".join(make(json.dumps(e, separators=(",", ":")).encode()) for e in turn)
            for turn in turns
        }

    async def send(self, events: list[dict[str, Any]]) -> None:
        joined = self.joined[id(events)]
        for sock in self.sockets:
            try:
                sent = sock.send(joined)
            except BlockingIOError:
                sent = 0
            while sent < len(joined):
                await asyncio.sleep(0.0005)
                try:
                    sent += sock.send(joined[sent:])
                except BlockingIOError:
                    pass

    def clients(self) -> int:
        return len(self.sockets)


class Hub(Subject):
    """This project's feed, in memory."""

    def __init__(self, deflate: bool) -> None:
        self.deflate = deflate

    async def start(self) -> int:
        from streamer.service import Feed
        from streamer.settings import FeedSettings

        options: dict[str, Any] = {
            "port": 0,
            "max_clients": 5000,
            "heartbeat_s": 3600,
            "ping_s": 3600,
        }
        self.feed = Feed(FeedSettings(**options))
        if self.deflate:
            self.feed.access.local = True  # no token for the load,
            self.feed.endpoint.compress = True  # but compressed as for others
        await self.feed.start()
        for n in range(200):
            self.feed.publish(event_of(350, n))
        await asyncio.sleep(0.01)
        return self.feed.port

    async def send(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self.feed.publish(event)
        while not self.feed.fanout.idle:
            await asyncio.sleep(0)

    async def idle(self) -> None:
        while self.feed.fanout.stalled:
            await asyncio.sleep(0.001)

    def clients(self) -> int:
        return len(self.feed.fanout)


class Broadcast(Subject):
    """``websockets.broadcast()``."""

    def __init__(self, deflate: bool) -> None:
        self.connections: set[Any] = set()
        self.compression = "deflate" if deflate else None

    async def start(self) -> int:
        from websockets.asyncio.server import serve

        async def handler(ws: Any) -> None:
            await ws.send(json.dumps(STATE))
            self.connections.add(ws)
            await ws.wait_closed()

        self.server = await serve(
            handler,
            "127.0.0.1",
            0,
            compression=self.compression,
            ping_interval=None,
            backlog=2048,
        )
        return int(self.server.sockets[0].getsockname()[1])

    async def send(self, events: list[dict[str, Any]]) -> None:
        from websockets.asyncio.server import broadcast

        for event in events:
            broadcast(self.connections, json.dumps(event, separators=(",", ":")))
        await asyncio.sleep(0)

    async def idle(self) -> None:
        while any(ws.transport.get_write_buffer_size() for ws in self.connections):
            await asyncio.sleep(0.001)

    def clients(self) -> int:
        return len(self.connections)


class FastApi(Subject):
    """FastAPI + uvicorn, ``await send_text`` in turn: the predecessor's way."""

    implementation = "auto"

    def __init__(self, deflate: bool) -> None:
        self.connections: list[Any] = []
        self.deflate = deflate

    async def start(self) -> int:
        import uvicorn
        from fastapi import FastAPI, WebSocket, WebSocketDisconnect

        app = FastAPI()

        async def endpoint(ws: WebSocket) -> None:
            await ws.accept()
            await ws.send_text(json.dumps(STATE))
            self.connections.append(ws)
            try:
                while True:
                    await ws.receive_text()
            except WebSocketDisconnect:
                self.connections.remove(ws)

        endpoint.__annotations__["ws"] = WebSocket
        app.websocket("/ws")(endpoint)
        config = uvicorn.Config(
            app, port=0, log_level="error", ws_per_message_deflate=self.deflate,
            ws_ping_interval=None, backlog=2048, loop="asyncio", ws=self.implementation,
        )  # fmt: skip
        self.server = uvicorn.Server(config)
        asyncio.get_running_loop().create_task(self.server.serve())
        while not self.server.started:
            await asyncio.sleep(0.01)
        return int(self.server.servers[0].sockets[0].getsockname()[1])

    async def send(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            text = json.dumps(event, separators=(",", ":"))
            for ws in self.connections:
                await ws.send_text(text)

    def clients(self) -> int:
        return len(self.connections)


class FastApiOld(FastApi):
    """The same with the WebSocket implementation that was uvicorn's default for years."""

    implementation = "websockets"


class AioHttp(Subject):
    """aiohttp, ``await send_str`` in turn."""

    def __init__(self, deflate: bool) -> None:
        self.connections: list[Any] = []
        self.deflate = deflate

    async def start(self) -> int:
        from aiohttp import web

        async def handler(request: Any) -> Any:
            ws = web.WebSocketResponse(compress=self.deflate)
            await ws.prepare(request)
            await ws.send_str(json.dumps(STATE))
            self.connections.append(ws)
            async for _ in ws:
                pass
            return ws

        app = web.Application()
        app.router.add_get("/ws", handler)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2048)
        await site.start()
        return int(runner.addresses[0][1])

    async def send(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            text = json.dumps(event, separators=(",", ":"))
            for ws in self.connections:
                await ws.send_str(text)
        await asyncio.sleep(0)

    def clients(self) -> int:
        return len(self.connections)


class Picows(Subject):
    """picows, a frame per client from its Cython core."""

    def __init__(self, deflate: bool) -> None:
        self.transports: list[Any] = []

    async def start(self) -> int:
        import picows

        subject = self

        class Listener(picows.WSListener):  # type: ignore[misc]
            def on_ws_connected(self, transport: Any) -> None:
                transport.send(picows.WSMsgType.TEXT, json.dumps(STATE).encode())
                subject.transports.append(transport)

        self.text = picows.WSMsgType.TEXT
        self.server = await picows.ws_create_server(
            lambda request: Listener(), "127.0.0.1", 0, backlog=2048
        )
        return int(self.server.sockets[0].getsockname()[1])

    async def send(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            body = json.dumps(event, separators=(",", ":")).encode()
            for transport in self.transports:
                transport.send(self.text, body)
        await asyncio.sleep(0)

    async def idle(self) -> None:
        while any(t.underlying_transport.get_write_buffer_size() for t in self.transports):
            await asyncio.sleep(0.001)

    def clients(self) -> int:
        return len(self.transports)


KINDS: dict[str, Callable[[bool], Subject]] = {
    "raw": Raw, "hub": Hub, "broadcast": Broadcast, "fastapi": FastApi,
    "fastapi_old": FastApiOld, "aiohttp": AioHttp, "picows": Picows,
}  # fmt: skip


def rss_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE // 1024


async def main() -> None:
    subject = KINDS[sys.argv[1]](sys.argv[2] == "deflate")
    port = await subject.start()
    gc.collect()
    gc.freeze()
    worst = 0.0

    async def watch_loop() -> None:
        nonlocal worst
        while True:
            due = time.perf_counter() + 0.005
            await asyncio.sleep(0.005)
            worst = max(worst, time.perf_counter() - due)

    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"port": port, "rss": rss_kib()}), flush=True)
    watcher: asyncio.Task[None] | None = None
    while line := await reader.readline():
        order = json.loads(line)
        answer: dict[str, Any] = {}
        if order["do"] == "clients":
            deadline = time.monotonic() + 60
            while subject.clients() < order["n"] and time.monotonic() < deadline:
                await asyncio.sleep(0.005)
            answer = {"n": subject.clients(), "rss": rss_kib(), "worst_ms": worst * 1000}
        elif order["do"] == "watch":
            worst = 0.0
            watcher = watcher or asyncio.create_task(watch_loop())
        elif order["do"] == "unwatch":
            if watcher is not None:
                watcher.cancel()
                watcher = None
        elif order["do"] == "send":
            # Built before the clock starts: every subject is given dicts.
            per_turn = order["per_turn"]
            events = [event_of(order["size"], n) for n in range(max(EVENTS, per_turn))]
            batches = [events[n : n + per_turn] for n in range(len(events) - per_turn + 1)]
            subject.prepare(batches)
            await subject.send(batches[0])  # warm
            await subject.idle()
            await asyncio.sleep(0.05)
            turns = []
            cpu = time.process_time()
            wall = time.perf_counter()
            for number in range(order["turns"]):
                batch = batches[number % len(batches)]
                turn = time.perf_counter()
                await subject.send(batch)
                turns.append(time.perf_counter() - turn)
                if order["strict"]:  # nothing may wait: joined writes would flatter
                    await subject.idle()
                if order["gap"]:
                    await asyncio.sleep(order["gap"])
            await subject.idle()
            cpu = time.process_time() - cpu
            wall = time.perf_counter() - wall
            count = order["turns"] * per_turn * subject.clients()
            answer = {"cpu_us": cpu / count * 1e6, "wall": wall, "count": count,
                      "max_turn_ms": max(turns) * 1000}  # fmt: skip
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(65536, hard), hard))
    asyncio.run(main())
