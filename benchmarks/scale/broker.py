"""A broker that is gone for ten seconds at 500 events a second, and what the bot notices of it.

    python benchmarks/scale/broker.py [--away 10] [--rate 500] [--fault kill|hang|both] [--rounds 1]

A real feed with its journal hands its events to a real redis-server (AOF, once a second), which is
killed with kill -9 and started again, or stopped with SIGSTOP and continued. Three nodes, each a
process of its own, check every event: one from the beginning, one that joins late and resumes at
number 100, one that joins late with nothing. Printed is how long `Feed.publish` and the hand-over
to the backbone took before, while the broker was away, and after: by the clock, and by the
thread's own CPU time. A call of a millisecond or more is *preempted* when the system gave the core
to another program meanwhile (``ru_nivcsw``), else it is *slow*: it worked or waited that long. The
same feed without a backbone comes first. Exit code 1 when an event is missing, doubled or out of
order, or when a call to the backbone was slow.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import resource
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
    from streamer.backbone.source import BackboneSource

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
        if not first:
            continue
        start = int(since.rpartition(":")[2]) if since and first["resumed"] else first["seq"]
        if (seqs[-1] if seqs else start) >= until:
            break
    await source.close()
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


def _switched() -> int:
    """How often this thread's core was given to another program."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


class Clock:
    """How long calls took, by phase: seconds on the clock and of the thread's CPU."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.phase = "before"
        self._took: dict[str, list[tuple[float, float, int]]] = {}

    def time(self, call: Any, *args: Any) -> None:
        switched = _switched()
        at, cpu = time.perf_counter(), time.thread_time()
        call(*args)
        took, cpu = time.perf_counter() - at, time.thread_time() - cpu
        self._took.setdefault(self.phase, []).append((took, cpu, _switched() - switched))

    def report(self) -> bool:
        good = True
        for phase, took in self._took.items():
            wall = sorted(pair[0] for pair in took)
            cpu = max(pair[1] for pair in took)
            p50, p999 = wall[len(wall) // 2], wall[int(len(wall) * 0.999)]
            late = [one for one in took if one[0] >= LIMIT_S]
            slow = [one for one in late if not one[2]]
            good &= not slow
            print(f"  {self.name}, {phase}: {len(took)} calls, p50 {p50 * 1e6:.0f}, p99.9 "
                  f"{p999 * 1e6:.0f}, worst {wall[-1] * 1e6:.0f} us; most CPU {cpu * 1e6:.0f} us; "
                  f"of 1 ms or more: {len(late) - len(slow)} preempted, {len(slow)} slow")  # fmt: skip
        return good


async def publish(feed: Any, clock: Clock, first: int, count: int, rate: int) -> None:
    """Publish steadily: events of 300 bytes."""
    begun = time.monotonic()
    for number in range(first, first + count):
        await asyncio.sleep(max(0.0, begun + (number - first) / rate - time.monotonic()))
        event = {"type": "SCAN_START", "count": number, "n": number, "text": "x" * 250}
        clock.time(feed.publish, event)


async def alone(folder: Path, rate: int) -> None:
    """The feed without a backbone, to compare with."""
    from streamer.journal.writer import Journal
    from streamer.service import Feed
    from streamer.settings import FeedSettings

    feed = Feed(FeedSettings(port=0, tokens_file=folder / "t.json"), Journal(folder / "j.db"))
    await feed.start()
    clock = Clock("Feed.publish without a backbone")
    await publish(feed, clock, 1, 5 * rate, rate)
    await feed.close()
    clock.report()


async def run(folder: Path, how: str, away_s: float, rate: int) -> bool:
    from streamer.backbone.publisher import BackbonePublisher
    from streamer.backbone.settings import BackboneSettings
    from streamer.journal.writer import Journal
    from streamer.service import Feed
    from streamer.settings import FeedSettings

    broker = Broker(folder)
    broker.start()
    url = f"redis://127.0.0.1:{broker.port}/0"
    feed = Feed(FeedSettings(port=0, tokens_file=folder / "t.json"), Journal(folder / "j.db"))
    told: list[str] = []
    feed.watch(lambda e: told.append(e["text"]) if e["type"] == "RISK_ALERT" else None)
    await feed.start()
    backbone = BackbonePublisher(feed, BackboneSettings.model_validate({"url": url}))
    await backbone.start()
    writer, handing = backbone.writer, Clock("hand-over to the backbone")
    append = writer.append
    writer.append = lambda *args: handing.time(append, *args)  # type: ignore[method-assign]
    publishing = Clock("Feed.publish")
    print(f"{how}: the broker is away for {away_s:g} s, {rate} events/s of 300 B")
    counts = [2 * rate, int(away_s * rate), 5 * rate]
    total = sum(counts)
    nodes = [spawn(url, f"{feed.state.epoch}:0", total)]
    await asyncio.sleep(1)
    await publish(feed, publishing, 1, counts[0], rate)
    publishing.phase = handing.phase = "away"
    fault = asyncio.create_task(broker.away(how, away_s))
    await publish(feed, publishing, 1 + counts[0], counts[1], rate)
    await fault
    back, queued = time.monotonic(), writer.waiting
    publishing.phase = handing.phase = "after"
    # They join while it is being caught up with, and while more is published.
    nodes += [spawn(url, f"{feed.state.epoch}:100", total), spawn(url, None, total)]
    after = asyncio.create_task(publish(feed, publishing, 1 + sum(counts[:2]), counts[2], rate))
    while writer.trouble is not None or writer.waiting > rate // 10:
        await asyncio.sleep(0.01)
    caught_up = time.monotonic() - back
    await after
    said = []
    for process in nodes:
        out, _ = await asyncio.to_thread(process.communicate, timeout=60)
        said.append(json.loads(out))
    publishing.report()
    good = handing.report()
    print(f"  {queued} waited; {writer.dropped} dropped, {writer.repeated} refused as repeats; all "
          f"there {caught_up:.2f} s after the broker was back")  # fmt: skip
    for name, one in zip(("from the beginning", "late, from 100", "late, new"), said, strict=True):
        print(f"  node {name}: {'whole' if one['whole'] else 'NOT WHOLE'}: {one}")
    for text in told:
        print(f"  told: {text}")
    await feed.close()
    await backbone.close()
    broker.stop()
    return good and all(one["whole"] for one in said)


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
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(alone(Path(folder), args.rate))
    for _ in range(args.rounds):
        for how in ("kill", "hang") if args.fault == "both" else (args.fault,):
            with tempfile.TemporaryDirectory() as folder:
                good &= asyncio.run(run(Path(folder), how, args.away, args.rate))
    sys.exit(not good)


if __name__ == "__main__":
    main()
