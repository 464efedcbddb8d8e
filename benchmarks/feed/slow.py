"""What others notice when one client stops reading, and what ``push_update`` costs a bot.

    python benchmarks/feed/slow.py [--rounds 7] [--save FILE]

A feed at 10,000 log events a second in a process of its own; one client that never reads, and
two that do. Measured: the readers' latency from ``publish`` to their socket, the feed's memory,
when the stopped one was closed; then the time of ``push_update`` from a thread.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import resource
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import report

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

RATE = 10_000
SECONDS = 6
READERS = 2
UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: mt5dash.v1\r\n\r\n"
)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def pin(core: int) -> None:
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, {core})


def serve(pipe: Any, core: int) -> None:
    """The feed; publishes when told to."""
    pin(core)

    async def main() -> None:
        from streamer.service import Feed
        from streamer.settings import FeedSettings

        feed = Feed(FeedSettings(port=0))
        await feed.start()
        pipe.send(feed.port)
        while not pipe.poll():
            await asyncio.sleep(0.01)
        pipe.recv()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.monotonic()
        sent, closed_after = 0, None
        while sent < RATE * SECONDS:
            due = int((time.monotonic() - started) * RATE)
            for _ in range(min(due - sent, 200)):
                sent += 1
                feed.publish({"type": "X", "t": time.monotonic(), "data": "x" * 200})
            if feed.fanout.closed_slow and closed_after is None:
                closed_after = time.monotonic() - started
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pipe.send({"grown_kib": after - before, "closed_after_s": closed_after,
                   "closed": feed.fanout.closed_slow, "sent": sent, "rate": sent / (time.monotonic() - started - 1)})  # fmt: skip
        await feed.close()

    asyncio.run(main())


def open_socket(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(UPGRADE.encode())
    return sock


def read(port: int, latencies: list[float], seen: list[int]) -> None:
    """Read frames, note how old each event is."""
    sock = open_socket(port)
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    data = data.split(b"\r\n\r\n", 1)[1]
    with contextlib.suppress(OSError):
        while True:
            chunk = sock.recv(1 << 18)
            if not chunk:
                return
            now = time.monotonic()
            data += chunk
            at = 0
            while at + 4 <= len(data):
                size, start = data[at + 1] & 127, at + 2
                if size == 126:
                    size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
                if start + size > len(data):
                    break
                body = data[start : start + size]
                if body.startswith(b'{"type":"X"'):
                    end = body.index(b",", 16)
                    latencies.append(now - float(body[body.index(b'"t":') + 4 : end]))
                    seen[0] += 1
                at = start + size
            data = data[at:]


def readers(port: int, pipe: Any) -> None:
    """One process with all that read, on the other core."""
    pin(1)
    latencies: list[float] = []
    seen = [[0] for _ in range(READERS)]
    threads = [
        threading.Thread(target=read, args=(port, latencies, count), daemon=True) for count in seen
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    pipe.send("ready")
    for thread in threads:
        thread.join()
    pipe.send((latencies, [count[0] for count in seen]))


def slow_client(stopped: int) -> report.Row:
    """A run with so many clients that never read."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs, 0), daemon=True)
    server.start()
    port = ours.recv()
    held = []
    for _ in range(stopped):
        sock = open_socket(port)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        held.append(sock)
    mine, other = multiprocessing.Pipe()
    load = multiprocessing.Process(target=readers, args=(port, other), daemon=True)
    load.start()
    mine.recv()
    ours.send("go")
    facts = ours.recv()
    latencies, seen = mine.recv()
    if set(seen) != {facts["sent"]}:
        raise RuntimeError(f"the readers got {seen} of {facts['sent']} events")
    server.join(5)
    for sock in held:
        sock.close()
    return {
        "bench": "slow", "stopped": stopped, "rate": facts["rate"],
        "p50_ms": percentile(latencies, 0.5) * 1e3, "p99_ms": percentile(latencies, 0.99) * 1e3,
        "max_ms": max(latencies) * 1e3, "grown_mib": facts["grown_kib"] / 1024,
        "closed": facts["closed"], "closed_after_s": facts["closed_after_s"],
    }  # fmt: skip


def push_cost(stuck: int) -> report.Row:
    """What a call costs a bot's thread while so many clients are stuck."""
    from streamer.background import push_update, start_server, stop_server
    from streamer.settings import FeedSettings

    port = start_server(settings=FeedSettings(port=0))
    event = json.loads(
        '{"type":"SCAN_SUMMARY","symbols":{"EURUSD":"Low Score"},"count":12,"candidates":0}'
    )
    held = [open_socket(port) for _ in range(stuck)]
    time.sleep(0.2)
    times = []
    for number in range(20_000):
        started = time.perf_counter()
        push_update(event)
        times.append(time.perf_counter() - started)
        if number % 10 == 0:
            time.sleep(0.001)
    for sock in held:
        sock.close()
    stop_server()
    return {
        "bench": "push", "stuck": stuck, "p50_us": percentile(times, 0.5) * 1e6,
        "p99_us": percentile(times, 0.99) * 1e6, "max_us": max(times) * 1e6,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--save", type=Path, help="a file that the results are added to")
    options = parser.parse_args()
    rows = []
    for _ in range(options.rounds):
        this = f"{time.time():.3f}"
        for found in (slow_client(0), slow_client(1), push_cost(0), push_cost(5)):
            rows.append({**found, "round": this})
            if options.save:
                report.save(options.save, rows[-1])
    print(report.tables(rows))


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    main()
