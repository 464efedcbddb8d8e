"""A broker that is gone for ten seconds at 500 events a second, and what the bot notices of it.

    python benchmarks/scale/broker.py [--away 10] [--rate 500] [--fault kill|hang|both] [--rounds 1]

A real feed with its journal hands its events to a real redis-server (AOF, once a second), which is
killed with kill -9 and started again, or stopped with SIGSTOP and continued. Three nodes, each a
process of its own, check every event: one from the beginning, one that joins late and resumes at
number 100, one that joins late with nothing. Printed is how long `Feed.publish` and the hand-over
to the backbone took, and what the nodes got. Exit code 1 when an event is missing, doubled or out
of order, or when a publish took a millisecond or more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

LIMIT_S = 0.001


# -- a node ------------------------------------------------------------------------------------


async def node(url: str, since: str | None, until: int) -> None:
    """Read up to event ``until`` and say what came, as one line of JSON."""
    from streamer.backbone_source import BackboneSource

    gaps: list[tuple[int, int]] = []
    source = BackboneSource(url, since=since, on_gap=lambda g: gaps.append((g.first, g.last)))
    seqs: list[int] = []
    first: dict[str, Any] = {}
    wrong = 0
    async for frame in source.events():
        if frame["type"] == "STATE_SNAPSHOT":
            first = first or {"seq": frame["seq"], "resumed": frame["resumed"]}
        elif isinstance(frame.get("seq"), int):
            if frame["type"] == "SCAN_START" and frame["count"] != frame["n"]:
                wrong += 1
            seqs.append(frame["seq"])
        done = seqs[-1] if seqs else first.get("seq", 0)
        if done >= until:
            break
    await source.close()
    start = int(since.rpartition(":")[2]) if since and first.get("resumed") else first["seq"]
    whole = seqs == list(range(start + 1, until + 1))
    print(json.dumps({"whole": whole and not wrong, "start": start, "got": len(seqs), "gaps": gaps,
                      "resumed": first.get("resumed")}))  # fmt: skip


# -- the broker --------------------------------------------------------------------------------


class Broker:
    """redis-server in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        program = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
        if program is None:
            sys.exit("redis-server is not installed (apt-get install redis-server)")
        self._program, self._folder = program, folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        self.process = subprocess.Popen(
            [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir",
             str(self._folder), "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.02)

    async def away(self, how: str, seconds: float) -> None:
        if how == "hang":
            self.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            self.process.send_signal(signal.SIGCONT)
            return
        self.process.kill()
        await asyncio.to_thread(self.process.wait)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.start)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


# -- the bot -----------------------------------------------------------------------------------


def spawn(url: str, since: str | None, until: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, __file__, "--node", url, since or "-", str(until)], stdout=subprocess.PIPE
    )


async def run(folder: Path, how: str, away_s: float, rate: int) -> bool:
    from streamer.backbone_feed import Backbone
    from streamer.backbone_settings import BackboneSettings
    from streamer.feed import Feed
    from streamer.journal import Journal
    from streamer.settings import FeedSettings

    broker = Broker(folder)
    broker.start()
    url = f"redis://127.0.0.1:{broker.port}/0"
    total = int(rate * (away_s + 5))
    # The alerts on the loss and the return are events too.
    feed = Feed(FeedSettings(port=0, tokens_file=folder / "t.json"), Journal(folder / "j.db"))
    told: list[str] = []
    feed.watch(lambda e: told.append(e["text"]) if e["type"] == "RISK_ALERT" else None)
    await feed.start()
    backbone = Backbone(feed, BackboneSettings.model_validate({"url": url}))
    await backbone.start()
    handed: list[float] = []
    append = backbone.writer.append

    def timed(raw: bytes, seq: int | None, kind: str, bot: str | None = None) -> None:
        at = time.perf_counter()
        append(raw, seq, kind, bot)
        handed.append(time.perf_counter() - at)

    backbone.writer.append = timed  # type: ignore[method-assign]
    took: list[float] = []
    queued = 0
    first = spawn(url, f"{feed.state.epoch}:0", total)
    await asyncio.sleep(1)
    begun, fault = time.monotonic(), None
    for number in range(1, total + 1):
        await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
        event = {"type": "SCAN_START", "count": number, "n": number, "text": "x" * 250}
        at = time.perf_counter()
        feed.publish(event)
        took.append(time.perf_counter() - at)
        queued = max(queued, backbone.writer.waiting)
        if number == 2 * rate:
            fault = asyncio.create_task(broker.away(how, away_s))
    assert fault is not None
    await fault
    back = time.monotonic()
    while backbone.writer.trouble is not None or backbone.writer.waiting:
        await asyncio.sleep(0.01)
    caught_up = time.monotonic() - back
    late = [spawn(url, f"{feed.state.epoch}:100", total), spawn(url, None, total)]
    said = []
    for process in (first, *late):
        out, _ = await asyncio.to_thread(process.communicate, timeout=60)
        said.append(json.loads(out))
    print(f"{how}: away {away_s:g} s at {rate} events/s of 300 B, {total} events")
    for name, times in (("Feed.publish", took), ("hand-over to the backbone", handed)):
        times = sorted(times)
        p50, p999 = times[len(times) // 2], times[int(len(times) * 0.999)]
        print(f"  {name}: p50 {p50 * 1e6:.0f} us, p99.9 {p999 * 1e6:.0f} us, "
              f"worst {times[-1] * 1e6:.0f} us")  # fmt: skip
    writer = backbone.writer
    print(f"  waited at most {queued}; {writer.dropped} dropped, {writer.repeated} refused as "
          f"repeats; all there {caught_up:.2f} s after the broker was back")  # fmt: skip
    for name, one in zip(("from the beginning", "late, from 100", "late, new"), said, strict=True):
        print(f"  node {name}: {'whole' if one['whole'] else 'NOT WHOLE'}: {one}")
    for text in told:
        print(f"  told: {text}")
    await feed.close()
    await backbone.close()
    broker.stop()
    return all(one["whole"] for one in said) and max(*took, *handed) < LIMIT_S


def main() -> None:
    if sys.argv[1:2] == ["--node"]:
        url, since, until = sys.argv[2:]
        asyncio.run(node(url, None if since == "-" else since, int(until)))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--away", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--fault", choices=["kill", "hang", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    print(f"{platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    good = True
    for _ in range(args.rounds):
        for how in ("kill", "hang") if args.fault == "both" else (args.fault,):
            with tempfile.TemporaryDirectory() as folder:
                good &= asyncio.run(run(Path(folder), how, args.away, args.rate))
    sys.exit(not good)


if __name__ == "__main__":
    main()
