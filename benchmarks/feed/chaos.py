"""100,000 log events, 50 faults, 20 clients: no gap, no repeat, no reorder, event by event.

    python benchmarks/feed/chaos.py

The same proxy and checks as the test of 5,000 events.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "streamer" / "client"))
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT))

import test_feed_client as checks  # noqa: E402

from streamer.client.feed_client import ClientTimings, FeedClient  # noqa: E402
from streamer.journal.writer import Journal  # noqa: E402
from streamer.service import Feed  # noqa: E402
from streamer.settings import FeedSettings  # noqa: E402

EVENTS, FAULTS, CLIENTS = 100_000, 50, 20


async def main() -> None:
    quick = ClientTimings(first_delay_s=0.02, most_delay_s=0.1)
    FeedClient.default_timings = quick  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        feed = Feed(FeedSettings(port=0, resume_events=EVENTS), Journal(Path(folder) / "j.db"))
        await feed.start()
        started = time.monotonic()
        try:
            results = await checks._chaos(feed, CLIENTS, EVENTS, FAULTS)
        finally:
            await feed.close()
    expected = list(range(1, EVENTS + 1))
    wrong = sum(numbers != expected or gaps > 0 for numbers, gaps in results)
    print(
        f"{EVENTS} events, {FAULTS} faults, {CLIENTS} clients, "
        f"{time.monotonic() - started:.0f} s: {wrong} clients with a gap, repeat or reorder"
    )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    asyncio.run(main())
