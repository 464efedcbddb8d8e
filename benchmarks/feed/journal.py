"""How long a log event waits for the disk, and how many a second get there.

    python benchmarks/feed/journal.py [--folder FOLDER] [--rounds 5] [--save FILE]

From ``publish`` to the watcher that hears of the event after its commit (synchronous=FULL), in
one process with the loop that publishes. How late that loop is, is measured with the journal
and, as the measure of what the machine and the publisher do to it, without. What was loaded at
the start is left out of the search for garbage, as in the program.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import sys
import tempfile
import time
from pathlib import Path

import report

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from streamer.journal.writer import Journal
from streamer.service import Feed
from streamer.settings import FeedSettings, JournalSettings

SECONDS = 4


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def at_rate(folder: Path, rate: int, journalled: bool = True) -> report.Row:
    journal = Journal(
        folder / f"{rate}-{time.time_ns()}.db", JournalSettings(waiting_events=100_000)
    )
    feed = Feed(FeedSettings(port=0), journal if journalled else None)
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
    commits = journal.commits
    await feed.close()
    return {
        "bench": "journal", "offered": rate, "rate": sent / took, "commits": commits,
        "journalled": journalled, "p50_ms": percentile(waits, 0.5) * 1e3,
        "p99_ms": percentile(waits, 0.99) * 1e3, "max_ms": max(waits) * 1e3,
        "late_ms": worst * 1e3,
    }  # fmt: skip


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where; the disk that is measured")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--save", type=Path, help="a file that the results are added to")
    options = parser.parse_args()
    rows = []
    gc.collect()
    gc.freeze()
    with contextlib.ExitStack() as stack:
        made = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for _ in range(options.rounds):
            this = f"{time.time():.3f}"
            for rate, journalled in ((100, True), (1000, True), (10_000, True), (10_000, False)):
                rows.append({**await at_rate(made, rate, journalled), "round": this})
                if options.save:
                    report.save(options.save, rows[-1])
    print(report.tables(rows))


if __name__ == "__main__":
    asyncio.run(main())
