"""What a feed and its viewers cost here: the numbers that ``simulate.py`` reckons with.

    python benchmarks/scale/cost.py [--clients 1,200,1000,2000] [--seconds 5] [--save costs.json]

A feed with its journal runs in this process, viewers in another (real sockets on loopback). For
each number of viewers it publishes log events of the usual mix at a steady rate and takes the
CPU time of this process. A line through the points gives the cost of an event alone and of its
delivery to one viewer. The same with deflate, and for a real redis-server and the nodes that read
it (when one is installed). Then: memory and heartbeats of idle viewers, the cost of a connection with
its snapshot, and the traffic of the default bot, watched for a while.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from streamer.journal.writer import Journal  # noqa: E402
from streamer.service import Feed  # noqa: E402
from streamer.settings import FeedSettings  # noqa: E402

RATE = 100.0
EVENT: dict[str, Any] = {
    "type": "ANALYSIS",
    "symbol": "EURUSD",
    "score": 61,
    "direction": "BUY",
    "price": 1.16509,
    "regime": "TRENDING",
    "details": {"trend": 18.0, "zone": 12.5, "sweep": 9.0, "session": 6.0, "momentum": 7.5},
    "levels": {"entry": 1.16509, "sl": 1.16444, "tp": 1.16636, "r": 1.95},
    "bars": {"H1": "2026-11-20T14:00:00+00:00", "M15": "2026-11-20T14:45:00+00:00"},
}


class Viewers:
    """The viewers' process."""

    def __init__(self, port: int, count: int, deflate: bool = False) -> None:
        command = [sys.executable, str(Path(__file__).with_name("load.py")), "127.0.0.1"]
        command += [str(port), str(count), *(["deflate"] if deflate else [])]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    async def _line(self) -> str:
        assert self._process.stdout is not None
        return await asyncio.to_thread(self._process.stdout.readline)

    async def ready(self) -> None:
        """All are connected."""
        if (await self._line()).strip() != "ready":
            raise RuntimeError("the viewers did not all connect; is `ulimit -n` high enough?")

    async def count(self) -> tuple[int, int]:
        """Bytes received and connections closed, so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        received, closed = map(int, (await self._line()).split())
        return received, closed

    def end(self) -> None:
        """Let them go."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def memory() -> int:
    """Resident bytes of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def burst(feed: Feed, seconds: float) -> tuple[float, int]:
    """Publish at ``RATE``; returns CPU seconds and the number of events."""
    await asyncio.sleep(0.5)
    sent, began = 0, time.perf_counter()
    cpu = time.process_time()
    while (now := time.perf_counter() - began) < seconds:
        while sent < now * RATE:
            feed.publish(EVENT)
            sent += 1
        await asyncio.sleep(1 / RATE)
    await asyncio.sleep(0.3)
    return time.process_time() - cpu, sent


def line(points: list[tuple[int, float]]) -> tuple[float, float]:
    """Least squares: what is paid once, and for each viewer."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    slope, intercept = statistics.linear_regression(xs, ys)
    return max(intercept, 0.0), slope


async def deliveries(
    counts: list[int], seconds: float, deflate: bool
) -> tuple[dict[str, float], list[tuple[int, float]]]:
    """CPU per event at each number of viewers, the line through them, and connection costs."""
    points: list[tuple[int, float]] = []
    connect_us: list[float] = []
    per_client: list[float] = []
    idles: list[float] = []
    # The largest first: only a process that has served nobody yet shows what a viewer costs.
    for count in sorted(counts, reverse=True):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            # A trusted proxy makes the feed offer compression on loopback too.
            settings = FeedSettings(
                port=0, tokens_file=path / "tokens.json", max_clients=100_000,
                trusted_proxies=["127.0.0.2"] if deflate else [],
            )  # fmt: skip
            feed = Feed(settings, Journal(path / "journal.db"))
            await feed.start()
            for _ in range(300):
                feed.publish(EVENT)
            await asyncio.sleep(0.5)
            before, cpu = memory(), time.process_time()
            viewers = Viewers(feed.port, count, deflate)
            await viewers.ready()
            await asyncio.sleep(0.5)
            connect_us.append((time.process_time() - cpu) / count * 1e6)
            per_client.append((memory() - before) / count)
            began = time.process_time()
            await asyncio.sleep(5)
            idle = (time.process_time() - began) / 5
            idles.append(idle)
            used, events = await burst(feed, seconds)
            received, closed = await viewers.count()
            if closed or not received:
                raise RuntimeError(f"{closed} of {count} viewers were lost")
            points.append((count, (used - idle * seconds) / events * 1e6))
            print(f"  {count:6} viewers: {points[-1][1]:9.1f} us an event, "
                  f"connect {connect_us[-1]:.0f} us, {per_client[-1] / 1024:.1f} KiB, "
                  f"idle {idle * 100:.2f} %", file=sys.stderr)  # fmt: skip
            viewers.end()
            await feed.close()
    fixed, each = line(points)
    return {
        "event_us": round(fixed, 1),
        "delivery_us": round(each, 3),
        "connect_us": round(connect_us[0], 1),
        "client_bytes": round(per_client[0]),
        "idle_us_s": round(idles[0] / max(counts) * 1e6, 2),
    }, points


def traffic(seconds: float) -> dict[str, Any]:
    """Frames and bytes that one viewer of the default bot gets, by kind, from a real run."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder,
                   "PYTHONPATH": str(ROOT)}  # fmt: skip
        bot = subprocess.Popen(
            [sys.executable, "-m", "tui", "tui", "--no-ui", "--port", "0"],
            env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            assert bot.stdout is not None
            url = bot.stdout.readline().split()[-1]
            time.sleep(15)  # what happens once at the start is not the usual traffic
            tail = subprocess.Popen(
                [sys.executable, "-m", "tui", "tail", url],
                env=environ, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            until = time.monotonic() + seconds
            frames = raw = squeezed = logs = snapshot = 0
            kinds: dict[str, int] = {}
            assert tail.stdout is not None
            for text in tail.stdout:
                data = text.strip().encode()
                kind = json.loads(data).get("type", "?")
                if kind == "STATE_SNAPSHOT":
                    snapshot = len(data)
                    continue
                frames += 1
                raw += len(data)
                packer = zlib.compressobj(1, zlib.DEFLATED, -15)
                squeezed += len(packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)) - 4
                logs += b'"seq":' in data and kind != "HEARTBEAT"
                kinds[kind] = kinds.get(kind, 0) + 1
                if time.monotonic() > until:
                    break
            tail.terminate()
            tail.wait(10)
            tail.stdout.close()
        finally:
            bot.terminate()
            bot.wait(10)
            if bot.stdout is not None:
                bot.stdout.close()
    return {
        "seconds": seconds,
        "frames_s": round(frames / seconds, 3),
        "log_events_s": round(logs / seconds, 3),
        "bytes_s": round(raw / seconds),
        "deflated_bytes_s": round(squeezed / seconds),
        "snapshot_bytes": snapshot,
        "kinds": dict(sorted(kinds.items(), key=lambda item: -item[1])),
    }


async def broker(readers: list[int], seconds: float) -> dict[str, float] | None:
    """CPU of a real redis-server for an event, and for handing it to one node."""
    if shutil.which("redis-server") is None:
        print("no redis-server here: the broker is left out", file=sys.stderr)
        return None
    from redis.asyncio import Redis  # the extra `redis`

    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/redis.sock"
        server = subprocess.Popen(  # noqa: ASYNC220
            ["redis-server", "--port", "0", "--unixsocket", socket, "--dir", folder,
             "--appendonly", "yes", "--appendfsync", "everysec"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while not os.path.exists(socket):  # noqa: ASYNC240
                await asyncio.sleep(0.05)
            writer = Redis(unix_socket_path=socket)
            body = json.dumps(EVENT).encode()
            points: list[tuple[int, float]] = []
            for count in readers:
                nodes = [Redis(unix_socket_path=socket) for _ in range(count)]

                async def read(node: Redis) -> None:
                    last: bytes | str = "$"
                    while True:
                        for _, items in await node.xread({"s": last}, block=1000) or ():
                            last = items[-1][0]

                reading = [asyncio.create_task(read(node)) for node in nodes]
                await asyncio.sleep(0.3)
                sent, began = 0, time.perf_counter()
                before = await writer.info("cpu")
                while (now := time.perf_counter() - began) < seconds:
                    while sent < now * RATE:
                        await writer.xadd("s", {"e": body}, maxlen=20_000, approximate=True)
                        sent += 1
                    await asyncio.sleep(1 / RATE)
                after = await writer.info("cpu")
                used = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
                points.append((count, used / sent * 1e6))
                for task in reading:
                    task.cancel()
                await asyncio.gather(*reading, return_exceptions=True)
                for node in nodes:
                    await node.aclose()
            await writer.aclose()
        finally:
            server.terminate()
            server.wait(10)
    fixed, each = line(points)
    return {"event_us": round(fixed, 1), "delivery_us": round(each, 2)}


async def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """All measurements."""
    counts = [int(n) for n in arguments.clients.split(",")]
    costs: dict[str, Any] = {"event_bytes": len(json.dumps(EVENT)), "rate": RATE}
    for name, deflate in (("plain", False), ("deflate", True)):
        print(name, file=sys.stderr)
        costs[name], points = await deliveries(counts, arguments.seconds, deflate)
        costs[name]["points"] = points
    found = await broker([1, 10, 40], arguments.seconds)
    if found is not None:
        costs["broker"] = found
    return costs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", default="1,200,1000,2000")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--traffic", type=float, default=60.0, help="seconds to watch the bot")
    parser.add_argument("--save", type=Path)
    arguments = parser.parse_args()
    costs = asyncio.run(run(arguments))
    if arguments.traffic:
        costs["traffic"] = traffic(arguments.traffic)
    text = json.dumps(costs, indent=2)
    print(text)
    if arguments.save:
        arguments.save.write_text(text + "\n")


if __name__ == "__main__":
    main()
