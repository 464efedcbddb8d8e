"""How long a log event waits for the disk, and how many a second get there.

    python benchmarks/feed/journal.py [FOLDER]

From ``publish`` to the watcher that hears of the event after its commit (synchronous=FULL), in
one process with the loop that publishes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from streamer.feed import Feed
from streamer.journal import Journal
from streamer.settings import FeedSettings, JournalSettings

SECONDS = 4


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def at_rate(folder: Path, rate: int) -> None:
    journal = Journal(folder / f"{rate}.db", JournalSettings(waiting_events=100_000))
    feed = Feed(FeedSettings(port=0), journal)
    await feed.start()
    sent_at: dict[int, float] = {}
    waits: list[float] = []
    feed.watch(lambda event: waits.append(time.perf_counter() - sent_at.pop(event["n"])))
    worst = 0.0

    async def watch_loop() -> None:
        nonlocal worst
        while True:
            due = time.perf_counter() + 0.002
            await asyncio.sleep(0.002)
            worst = max(worst, time.perf_counter() - due)

    watcher = asyncio.create_task(watch_loop())
    started, sent = time.perf_counter(), 0
    while sent < rate * SECONDS:
        due = int((time.perf_counter() - started) * rate)
        for _ in range(min(due - sent, 100)):
            sent += 1
            sent_at[sent] = time.perf_counter()
            feed.publish({"type": "X", "n": sent, "data": "x" * 230})
        await asyncio.sleep(0.001)
    while feed.waiting:
        await asyncio.sleep(0.001)
    took = time.perf_counter() - started
    watcher.cancel()
    print(
        f"{rate}/s offered, {sent / took:.0f}/s on disk in {journal.commits} commits; wait ms "
        f"p50 {percentile(waits, 0.5) * 1e3:.2f} p99 {percentile(waits, 0.99) * 1e3:.2f} "
        f"max {max(waits) * 1e3:.1f}; loop late at most {worst * 1e3:.1f} ms",
        flush=True,
    )
    await feed.close()


async def main() -> None:
    with contextlib.ExitStack() as stack:
        folder = sys.argv[1] if len(sys.argv) > 1 else None
        made = Path(folder or stack.enter_context(tempfile.TemporaryDirectory()))
        for rate in (100, 1000, 10_000):
            await at_rate(made, rate)


if __name__ == "__main__":
    asyncio.run(main())
