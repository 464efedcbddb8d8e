"""A journal after a month of trading round the clock: size, start, seek, report, memory.

    python benchmarks/journal/month.py [--days 30] [--keep FILE] [--made]

A minute of the paper market is recorded by the program itself (``--template`` takes an hour of
``hour.py --keep`` instead); its events and samples are then
written again and again with times, numbers and hashes of their own, second by second for so
many days, and pruned once an hour of it as the program prunes (by its default settings). Then
are measured, each in a process of its own: the start of the feed, the wait for the disk and the
loop's lateness while a start prunes, jumps and steps of a replay, ``mt5dash report``,
``journal verify`` and ``export``. ``--made`` only measures a FILE that an earlier run kept.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import resource
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

from streamer.journal import schema as file  # noqa: E402
from streamer.journal.prune import prune_step  # noqa: E402
from streamer.settings import JournalSettings  # noqa: E402

TRADES_A_DAY = 40
HOUR = 3600


def mb(path: Path) -> float:
    """Megabytes of a journal and its log."""
    parts = (path, path.with_name(path.name + "-wal"))
    return sum(part.stat().st_size for part in parts if part.exists()) / 1e6


def make(template: Path, path: Path, days: float) -> None:
    """Write the month, hour by hour, and prune as it goes."""
    source = file.read_only(template)
    events = [
        (kind, bytes(body))
        for kind, body in source.execute("SELECT type, body FROM ev ORDER BY seq")
        if kind not in file.LEDGER_TYPES
    ]
    samples = source.execute("SELECT whole, body FROM sample ORDER BY id").fetchall()
    span = source.execute("SELECT max(at) - min(at) FROM sample").fetchone()[0]
    source.close()
    whole = next(bytes(body) for flag, body in samples if flag)
    part = [bytes(body) for flag, body in samples if not flag]
    scans = sum(kind == "SCAN_SUMMARY" for kind, _ in events)
    # The recording may run faster than a real market: a scan is every ten seconds here.
    gap = 10.0 * scans / len(events)
    print(f"template: {len(events)} events, {len(samples)} samples in {span:.0f} s", flush=True)

    path.touch()
    db = file.connect(path, "OFF")
    file.create(db)
    meta = file.read_meta(db)
    chain, link = file.anchor(meta, "ev")[1], file.anchor(meta, "sample")[1]
    hours = int(days * 24)
    began = time.time() - hours * HOUR
    seq = id = written = 0
    peak, settings, clock = 0.0, JournalSettings(), time.time()
    trade_gap = 86_400 / TRADES_A_DAY
    for hour in range(hours):
        rows, states = [], []
        at = began + hour * HOUR
        stop, next_event, next_trade = at + HOUR, at, at + trade_gap / 2
        while at < stop:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at)).encode()
            while next_event <= at:
                kind, body = events[seq % len(events)]
                seq += 1
                head = re.sub(rb'"timestamp":"[^"]+"', b'"timestamp":"%s"' % stamp, body)
                body = head[: head.rindex(b',"seq":')] + b',"seq":%d}' % seq
                chain = file.event_hash(chain, seq, at, kind, body)
                rows.append((seq, at, kind, body, chain))
                next_event += gap
            if next_trade <= at:
                next_trade += trade_gap
                for kind in ("POSITION_OPENED", "POSITION_CLOSED"):
                    seq += 1
                    body = (
                        b'{"type":"%s","ticket":%d,"symbol":"EURUSD","direction":"BUY",'
                        b'"volume":0.1,"entry_price":1.1,"owner":"bot","profit":%.2f,'
                        b'"r_multiple":0.5,"timestamp":"%s","seq":%d}'
                        % (kind.encode(), seq // 2, (seq * 37 % 100) - 48, stamp, seq)
                    )
                    chain = file.event_hash(chain, seq, at, kind, body)
                    rows.append((seq, at, kind, body, chain))
            id += 1
            flag = id % 120 == 1
            body = whole if flag else part[id % len(part)]
            link = file.sample_hash(link, id, at + 0.5, seq, flag, body)
            states.append((id, at + 0.5, seq, int(flag), body, link))
            at += 1.0
        db.execute("BEGIN")
        db.executemany("INSERT INTO ev VALUES(?,?,?,?,?)", rows)
        db.executemany("INSERT INTO sample VALUES(?,?,?,?,?,?)", states)
        db.execute("COMMIT")
        written += sum(len(row[3]) for row in rows) + sum(len(row[4]) for row in states)
        while prune_step(db, settings, stop):
            pass
        peak = max(peak, mb(path))
        if hour % 24 == 23:
            print(
                f"day {hour // 24 + 1}: {seq} events, {id} samples, {mb(path):.0f} MB, "
                f"{time.time() - clock:.0f} s",
                flush=True,
            )
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    held = file.journal_status(db)
    db.close()
    print(
        f"{days:g} days: {seq} events and {id} samples written ({written / 1e6:.0f} MB of bodies); "
        f"held: {held['events']} events, {held['samples']} samples, {held['kept']} kept; file "
        f"{mb(path):.0f} MB, never above {peak:.0f} MB"
    )


async def start(path: Path) -> None:
    """Start a feed, then 100 events a second for 15 s; told: waits and the loop's lateness."""
    from streamer.journal.writer import Journal
    from streamer.service import Feed
    from streamer.settings import FeedSettings

    feed = Feed(FeedSettings(port=0), Journal(path))
    late: list[float] = []
    waits: list[float] = []
    sent: dict[int, float] = {}

    async def watch_loop() -> None:
        while True:
            due = time.perf_counter() + 0.002
            await asyncio.sleep(0.002)
            late.append(time.perf_counter() - due)

    watcher = asyncio.create_task(watch_loop())
    began = time.perf_counter()
    await feed.start()
    took = time.perf_counter() - began
    late_start = max(late)
    late.clear()
    feed.watch(lambda e: waits.append(time.perf_counter() - sent.pop(e["n"])) if "n" in e else None)
    for n in range(1500):
        sent[n] = time.perf_counter()
        feed.publish({"type": "X", "n": n})
        await asyncio.sleep(0.01)
    watcher.cancel()
    await feed.close()
    waits.sort()
    print(
        f"start {took:.2f} s (loop late at most {late_start * 1e3:.0f} ms), "
        f"{len(feed.ledger)} trades in the ledger; then, pruning: wait for the disk p50 "
        f"{waits[len(waits) // 2] * 1e3:.1f} p99 {waits[int(len(waits) * 0.99)] * 1e3:.1f} max "
        f"{waits[-1] * 1e3:.1f} ms, loop late at most {max(late) * 1e3:.0f} ms"
    )


async def seek(path: Path) -> None:
    """Jumps to any moment, and steps from there."""
    from streamer.journal.replay import Replay

    replay = Replay(path)
    began = time.perf_counter()
    await replay.open()
    opened = time.perf_counter() - began
    dice = random.Random(2)
    jumps, steps = [], []
    for _ in range(30):
        at = dice.uniform(replay.first, replay.last)
        began = time.perf_counter()
        await replay.seek(at)
        jumps.append(time.perf_counter() - began)
        for by in (-1, 1):
            began = time.perf_counter()
            await replay.step(by)
            steps.append(time.perf_counter() - began)
    await replay.close()
    jumps.sort()
    steps.sort()
    print(
        f"replay: open {opened * 1e3:.0f} ms; jump p50 {jumps[15] * 1e3:.0f} max "
        f"{jumps[-1] * 1e3:.0f} ms; step p50 {steps[30] * 1e3:.0f} max {steps[-1] * 1e3:.0f} ms"
    )


def measured(name: str, *command: str) -> None:
    """Run one command: its last line, seconds, and the most memory it had."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        pid = os.posix_spawn(
            command[0],
            command,
            {**os.environ, "PYTHONPATH": str(HERE.parents[1])},
            file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1)],
        )
        _, status, usage = os.wait4(pid, 0)
        out.seek(0)
        last = out.read().decode(errors="replace").strip().splitlines()[-1:] or [""]
    took = time.perf_counter() - began
    code = os.waitstatus_to_exitcode(status)
    print(
        f"{name}: {took:.1f} s, {usage.ru_maxrss / 1024:.0f} MB of memory"
        f"{'' if code == 0 else f', exit code {code}'}; {last[0].strip()[:300]}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--made", action="store_true")
    parser.add_argument("--template", type=Path, help="A recording to use instead of a new one.")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        asyncio.run({"start": start, "seek": seek}[given.one](given.keep))
        return
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        path = given.keep or home / "month.db"
        if not given.made:
            template = given.template or home / "minute.db"
            if given.template is None:
                from hour import record

                asyncio.run(record(home, template, 1.0, 20.0))
            make(template, path, given.days)
            usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"(made with {usage:.0f} MB of memory)", flush=True)
        python, me = sys.executable, str(Path(__file__).resolve())
        month = time.strftime("%Y-%m", time.gmtime())
        measured("seek", python, me, "--one", "seek", "--keep", str(path))
        tui = (python, "-m", "tui")
        for what in ("--month", month), ("--day", time.strftime("%Y-%m-%d", time.gmtime())):
            measured(f"report {what[0]}", *tui, "report", *what, "--db", str(path))
        measured("start", python, me, "--one", "start", "--keep", str(path))
        measured("start again", python, me, "--one", "start", "--keep", str(path))
        measured("verify", *tui, "journal", "verify", "--db", str(path))
        out = home / "out.csv"
        measured("export", *tui, "journal", "export", "--db", str(path), "--out", str(out))


if __name__ == "__main__":
    main()
