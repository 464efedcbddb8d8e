"""kill -9 under load: nothing that was told is lost, no number means two things, quick again.

    python benchmarks/journal/killed.py [KILLS] [ROWS]

A journal with ROWS events (default a million) is opened by a process that publishes as fast as
it may and prints what it was told; it is killed at a random moment, again and again. Printed
are the seconds from the start of ``Feed.start()`` to its end.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))


async def publish(path: Path) -> None:
    from streamer.journal.writer import Journal
    from streamer.service import Feed
    from streamer.settings import FeedSettings

    feed = Feed(FeedSettings(port=0), Journal(path))
    out = sys.stdout.buffer
    feed.watch(lambda e: out.write(b"%d %d\n" % (e["seq"], e["n"])) if "n" in e else None)
    began = time.perf_counter()
    await feed.start()
    out.write(b"ready %f\n" % (time.perf_counter() - began))
    out.flush()
    n = feed.state.seq
    while True:
        for _ in range(50):
            n += 1
            feed.publish({"type": "X", "n": n, "pid": os.getpid()})
        feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": float(n)}})
        await asyncio.sleep(0.002)
        out.flush()


def fill(path: Path, rows: int) -> None:
    """So many events as the journal would have written them."""
    from streamer.journal import schema as file

    path.touch()
    db = file.connect(path, "OFF")
    file.create(db)
    chain = file.anchor(file.read_meta(db), "ev")[1]
    began = time.time() - rows / 20
    db.execute("BEGIN")
    for seq in range(1, rows + 1):
        body = b'{"type":"X","n":%d,"data":"%s","seq":%d}' % (seq, b"x" * 180, seq)
        chain = file.event_hash(chain, seq, began + seq / 20, "X", body)
        db.execute("INSERT INTO ev VALUES(?,?,?,?,?)", (seq, began + seq / 20, "X", body, chain))
    db.execute("COMMIT")
    db.close()


def main() -> None:
    if sys.argv[1:2] == ["--publish"]:
        asyncio.run(publish(Path(sys.argv[2])))
        return
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    dice = random.Random(3)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "j.db"
        began = time.time()
        fill(path, rows)
        size = path.stat().st_size / 1e6
        print(f"{rows} rows, {size:.0f} MB, filled in {time.time() - began:.0f} s", flush=True)
        told: dict[int, int] = {}
        reused = 0
        ready: list[float] = []
        for _ in range(kills):
            process = subprocess.Popen(
                [sys.executable, __file__, "--publish", str(path)], stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            words = process.stdout.readline().split()
            ready.append(float(words[1]))
            time.sleep(dice.uniform(0.05, 0.4))
            process.send_signal(signal.SIGKILL)
            for line in process.communicate()[0].splitlines(keepends=True):
                if line.endswith(b"\n"):
                    seq, n = map(int, line.split())
                    reused += told.get(seq, n) != n
                    told[seq] = n
        db = sqlite3.connect(path)
        kept = dict(
            db.execute("SELECT seq, json_extract(body, '$.n') FROM ev WHERE seq > ?", (rows,))
        )
        last = db.execute("SELECT max(seq) FROM ev").fetchone()[0]
        count = db.execute("SELECT count(*) FROM ev").fetchone()[0]
        db.close()
        lost = sum(1 for seq, n in told.items() if kept.get(seq) != n)
        from streamer.journal.verify import verify

        began = time.time()
        found = verify(path)
        ready.sort()
        print(
            f"{kills} kill -9, {len(told)} events told: {lost} lost, {reused} numbers used twice, "
            f"{last - count} numbers missing\nready again after {ready[len(ready) // 2]:.2f} s "
            f"(median), {ready[-1]:.2f} s (longest)\nverify: {found.findings or 'whole'}, "
            f"{found.events} events in {time.time() - began:.1f} s"
        )
        if lost or reused or not found.ok or last != count:
            sys.exit(1)


if __name__ == "__main__":
    main()
