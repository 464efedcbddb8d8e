"""Simulated power cuts: what was acknowledged must be there, whatever the disk made of the rest.

    python benchmarks/journal/power.py [CUTS]

A real journal (the standard library's SQLite) runs under ``writes.c``, which notes each write,
sync, truncation and acknowledgement in order. A cut at any of them leaves of each file what was
synced, and of the writes since then any part: none, some, or some torn at a sector. That file
is opened by the journal itself. The same with ``synchronous=NORMAL`` is the control: it must
lose something, or this proves nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

SECTOR = 512
EVENTS = 6000


async def write(path: Path, synchronous: str) -> None:
    """Under ``writes.so``: publish, and note each acknowledgement."""
    from streamer.journal import schema as file
    from streamer.journal.writer import Journal
    from streamer.service import Feed
    from streamer.settings import FeedSettings

    class Chosen(Journal):
        def _connect(self) -> sqlite3.Connection:
            db = file.connect(self.path, synchronous)
            db.execute("PRAGMA wal_autocheckpoint=100")  # many checkpoints: where it can go wrong
            return db

    shim = ctypes.CDLL(None)
    feed = Feed(FeedSettings(port=0), Chosen(path))
    feed.watch(lambda event: shim.writes_ack(ctypes.c_uint64(event["seq"])))
    await feed.start()
    dice = random.Random(1)
    sent = 0
    while sent < EVENTS:
        for _ in range(dice.randrange(1, 40)):
            sent += 1
            feed.publish({"type": "X", "n": sent, "data": "x" * dice.randrange(400)})
        await asyncio.sleep(dice.random() * 0.004)
    while feed.waiting:
        await asyncio.sleep(0.001)
    os._exit(0)


Op = tuple[str, str, int, int, bytes]


def read_log(path: Path) -> list[Op]:
    ops: list[Op] = []
    data, at = path.read_bytes(), 0
    while at + 18 <= len(data):
        kind, name = chr(data[at]), chr(data[at + 1])
        a, b = struct.unpack("<QQ", data[at + 2 : at + 18])
        at += 18
        body = b""
        if kind == "W":
            body = data[at : at + b]
            at += b
        ops.append((kind, name, a, b, body))
    return ops


def apply(file: bytearray, op: Op, keep: slice = slice(None)) -> None:
    kind, _, at, _, body = op
    if kind == "W":
        start = keep.start or 0
        part = body[keep]
        if len(file) < at + start + len(part):
            file.extend(bytes(at + start + len(part) - len(file)))
        file[at + start : at + start + len(part)] = part
    elif kind == "T":
        del file[at:]
        file.extend(bytes(at - len(file)))


class Disk:
    """Files as they are durable, and the operations that are not yet."""

    def __init__(self) -> None:
        self.durable = {"d": bytearray(), "w": bytearray()}
        self.waiting: dict[str, list[Op]] = {"d": [], "w": []}
        self.acked = 0

    def take(self, op: Op) -> None:
        kind, name = op[0], op[1]
        if kind == "A":
            self.acked = op[2]
        elif kind == "S":
            for old in self.waiting[name]:
                apply(self.durable[name], old)
            self.waiting[name].clear()
        elif kind == "U":
            self.durable[name].clear()
            self.waiting[name].clear()
        else:
            self.waiting[name].append(op)

    def cut(self, folder: Path, dice: random.Random) -> Path:
        """Write what a cut now may leave."""
        path = folder / "cut.db"
        luck = dice.choice((0.0, 0.3, 0.7, 1.0))
        for name, end in (("d", ""), ("w", "-wal")):
            file = bytearray(self.durable[name])
            for op in self.waiting[name]:
                if dice.random() < luck:
                    apply(file, op)
                elif op[0] == "W" and dice.random() < 0.3:
                    torn = dice.randrange(0, len(op[4]) // SECTOR + 1) * SECTOR
                    apply(file, op, slice(0, torn) if dice.random() < 0.5 else slice(torn, None))
            (folder / f"cut.db{end}").write_bytes(bytes(file))
        return path


async def look(path: Path, acked: int) -> tuple[int, bool]:
    """How many acknowledged events are lost, and whether the journal was corrupt."""
    from streamer.journal.writer import Journal
    from streamer.service import Feed
    from streamer.settings import FeedSettings

    feed = Feed(FeedSettings(port=0), Journal(path))
    await feed.start()
    assert feed.journal is not None
    rows = await feed.journal.query("SELECT seq, json_extract(body, '$.n') FROM ev WHERE type='X'")
    await feed.close()
    kept = dict(rows)
    lost = sum(1 for n in range(1, acked + 1) if kept.get(n) != n)
    corrupt = any(".corrupt-" in name for name in os.listdir(path.parent))
    from streamer.journal.verify import verify

    return lost, corrupt or not verify(path).ok


def run(synchronous: str, cuts: int) -> tuple[int, int, int]:
    """Cuts that lost something, the most events one lost, cuts that left a corrupt journal."""
    dice = random.Random(7)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shim, log = folder / "writes.so", folder / "log"
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-O2", "-o", shim, HERE / "writes.c", "-ldl", "-lpthread"],
            check=True,
        )
        path = folder / "j.db"
        env = {
            **os.environ,
            "LD_PRELOAD": str(shim),
            "WRITES_LOG": str(log),
            "WRITES_PREFIX": str(path),
        }
        subprocess.run(
            [sys.executable, __file__, "--write", str(path), synchronous], env=env, check=True
        )
        ops = read_log(log)
        syncs = sum(op[0] == "S" for op in ops)
        # The journal has to exist: cuts begin after the first acknowledgement.
        first = next(n for n, op in enumerate(ops) if op[0] == "A")
        points = sorted(dice.randrange(first + 1, len(ops)) for _ in range(cuts))
        disk, at, losing, worst, corrupt = Disk(), 0, 0, 0, 0
        for point in points:
            while at < point:
                disk.take(ops[at])
                at += 1
            place = folder / "cut"
            place.mkdir()
            lost, bad = asyncio.run(look(disk.cut(place, dice), disk.acked))
            losing, worst, corrupt = losing + (lost > 0), max(worst, lost), corrupt + bad
            shutil.rmtree(place)
        print(
            f"{synchronous:<7} {len(ops):>6} operations, {syncs:>5} syncs, {cuts} cuts: "
            f"{losing} lost acknowledged events (worst {worst}), {corrupt} corrupt",
            flush=True,
        )
        return losing, worst, corrupt


def main() -> None:
    if sys.argv[1:2] == ["--write"]:
        asyncio.run(write(Path(sys.argv[2]), sys.argv[3]))
        return
    cuts = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    began = time.time()
    full = run("FULL", cuts)
    normal = run("NORMAL", cuts)
    print(f"{time.time() - began:.0f} s")
    if full[0] or full[2]:
        sys.exit("FULL lost events or left a corrupt journal")
    if not normal[0]:
        sys.exit("the control lost nothing: this run proves nothing")


if __name__ == "__main__":
    main()
