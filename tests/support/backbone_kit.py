"""What the tests of the backbone need: a broker of their own, a small feed, a node that counts."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from streamer.backbone import memory as backbone_memory
from streamer.backbone.address import open_store
from streamer.backbone.model import (
    Batch,
    Claim,
    ClaimResult,
    Cursor,
    Gap,
    ReadResult,
    Snapshot,
    Store,
    StoreUnavailable,
    StreamInfo,
    WriteBatch,
)
from streamer.backbone.reader import BackboneReader
from streamer.backbone.timings import ReaderTimings
from streamer.backbone.writer import BackboneWriter
from support import needs
from support.until import until

Where = tuple[str, str]
"""Kind of the store, and its address."""


def redis_program() -> str:
    """The broker's program; the test skips without one."""
    return needs.program(
        "redis-server",
        "valkey-server",
        variable="REDIS_SERVER",
        get="apt-get install redis-server",
    )


class Broker:
    """A real redis-server in a folder of its own.

    Args:
        folder: For its data.
        options: Further lines of its configuration, as arguments.
        keeps: Whether it writes what it has to disk (AOF, once a second).
    """

    def __init__(self, folder: Path, *options: str, keeps: bool = True) -> None:
        self._program = redis_program()
        self._folder = folder
        self._options = [*options, "--appendonly", "yes" if keeps else "no"]
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, on the port that it had if it had one, and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for _ in range(5):
            port = self.port or _free_port()
            self._process = subprocess.Popen(
                [
                    self._program,
                    *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
                    *("--save", "", "--appendfsync", "everysec", "--loglevel", "warning"),
                    *self._options,
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            until = time.monotonic() + 10
            while time.monotonic() < until and self._process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    time.sleep(0.02)
                    if self._process.poll() is None:  # else another program has the port
                        self.port = port
                        return
                time.sleep(0.02)
            self.kill()
        raise AssertionError("redis-server does not start")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def pause(self) -> None:
        """It hangs: connections stay, nothing is answered."""
        self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, *words: str) -> str:
        """One command over a plain socket; the raw answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
            parts = b"".join(b"$%d\r\n%s\r\n" % (len(w.encode()), w.encode()) for w in words)
            link.sendall(b"*%d\r\n" % len(words) + parts)
            return link.recv(65536).decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wipe(where: Where) -> None:
    """Take the stream away, as a broker does that starts again without its data."""
    kind, url = where
    if kind == "memory":
        backbone_memory.delete_stream(url.partition(":")[2])
    elif kind == "sqlite" and sys.platform == "win32":
        # A file that is open cannot be deleted there: it is emptied.
        with contextlib.closing(sqlite3.connect(url.partition(":")[2])) as db, db:
            tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in tables:
                db.execute(f"DELETE FROM {name}")
    elif kind == "sqlite":
        for suffix in ("", "-wal", "-shm"):
            Path(url.partition(":")[2] + suffix).unlink(missing_ok=True)
    else:
        port = int(url.rpartition("?")[0].rpartition("/")[0].rpartition(":")[2])
        broker = Broker(Path())
        broker.port = port
        assert broker.ask("FLUSHALL") == "+OK\r\n"


class SmallFeed:
    """Numbers events and hands them to a writer, as a feed does; its state is its number.

    Args:
        store: Where to.
        epoch: Of its numbers.
        seq: The newest event that it has already.
        history: Whether it still has those.
        options: Of the ``BackboneWriter``.
    """

    def __init__(
        self, store: Store, epoch: str = "E", seq: int = 0, history: bool = True, **options: Any
    ) -> None:
        self.epoch, self.seq = epoch, seq
        self._history = history
        self.troubles: list[str | None] = []
        self.writer = BackboneWriter(
            store,
            snapshot=lambda: (self.seq, b'{"epoch":"%s","seq":%d}' % (epoch.encode(), self.seq)),
            changed=lambda: self.troubles.append(self.writer.trouble),
            **options,
        )

    async def start(self) -> SmallFeed:
        first = 1 if self._history else self.seq + 1
        recent = [(seq, self.event(seq)) for seq in range(first, self.seq + 1)]
        await self.writer.start(self.epoch, self.seq, recent)
        return self

    def event(self, seq: int) -> bytes:
        return b'{"epoch":"%s","seq":%d}' % (self.epoch.encode(), seq)

    def publish(self, count: int = 1) -> None:
        for _ in range(count):
            self.seq += 1
            self.writer.append(self.event(self.seq), self.seq, "SCAN_START")

    def quote(self, value: int, kind: str = "QUOTE_UPDATE", bot: str = "") -> None:
        raw = b'{"kind":"%s","bot":"%s","value":%d}' % (kind.encode(), bot.encode(), value)
        self.writer.append(raw, None, kind, bot)

    async def delivered(self, timeout: float = 20.0) -> None:
        """Wait until the store has everything."""
        await until(lambda: self.writer.trouble is None and not self.writer.waiting, timeout)

    async def vanish(self) -> None:
        """End as a killed process does: nothing is sent or let go."""
        task = self.writer._task
        assert task is not None
        task.cancel()
        await asyncio.wait([task])


class Node:
    """A reader, and all that it returned.

    Attributes:
        news: Log events as (epoch, seq), in the order they came.
        gaps: First and last of each.
        snapshots: Epoch, seq and whether it was resumed.
        states: The state events.
    """

    def __init__(
        self,
        store: Store,
        since: tuple[str, int] | None = None,
        timings: ReaderTimings | None = None,
    ) -> None:
        self.reader = BackboneReader(store, since=since, timings=timings)
        self.news: list[tuple[str, int]] = []
        self.gaps: list[tuple[int, int]] = []
        self.snapshots: list[tuple[str, int, bool]] = []
        self.again: list[int] = []
        self.states: list[bytes] = []
        self.slow = asyncio.Event()
        self.slow.set()
        self._store = store
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        epoch = ""
        async for told in self.reader.items():
            await self.slow.wait()
            if isinstance(told, Snapshot):
                epoch = told.epoch
                assert told.raw == b'{"epoch":"%s","seq":%d}' % (epoch.encode(), told.seq)
                self.snapshots.append((told.epoch, told.seq, told.resumed))
            elif isinstance(told, Gap):
                self.gaps.append((told.first, told.last))
            elif isinstance(told, Batch):
                for seq, raw in told.items:
                    if not seq:
                        self.states.append(raw)
                        continue
                    assert raw == b'{"epoch":"%s","seq":%d}' % (epoch.encode(), seq)
                    if told.repeated:
                        self.again.append(seq)
                    else:
                        self.news.append((epoch, seq))

    @property
    def seqs(self) -> list[int]:
        return [seq for _, seq in self.news]

    async def reached(self, seq: int, timeout: float = 20.0) -> None:
        """Wait until the event was read (or the snapshot that contains it)."""
        await until(lambda: self.reader.seq >= seq, timeout)
        await asyncio.sleep(0)
        assert not self._task.done(), self._task.exception()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task], timeout=5)
        assert self._task.done(), self._task.get_stack()
        if not self._task.cancelled():
            self._task.result()
        await self.reader.close()


class Flaky:
    """A store on a bad line.

    Attributes:
        away: Nothing goes through.
        eat: So many answers to writes are lost although they were carried out.
        hold: So many writes are lost now, and carried out when ``late`` is called.
        late_after_claim: They are carried out right after the next claim.
    """

    def __init__(self, store: Store) -> None:
        self.where = store.where
        self._store = store
        self.away = False
        self.eat = 0
        self.hold = 0
        self.late_after_claim = False
        self._held: list[Callable[[], Coroutine[Any, Any, Any]]] = []

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable(f"{self.where}: nobody is there")

    async def late(self) -> None:
        """What was lost on the way arrives after all."""
        held, self._held = self._held, []
        for call in held:
            with contextlib.suppress(Exception):
                await call()

    async def claim(self, claim: Claim) -> ClaimResult:
        self._check()
        held = await self._store.claim(claim)
        if self.late_after_claim:
            await self.late()
        return held

    async def write(self, batch: WriteBatch, keep: int) -> int:
        self._check()
        if self.hold:
            self.hold -= 1
            self._held.append(lambda: self._store.write(batch, keep))
            raise StoreUnavailable(f"{self.where}: no answer")
        again = await self._store.write(batch, keep)
        if self.eat:
            self.eat -= 1
            raise StoreUnavailable(f"{self.where}: no answer")
        return again

    async def release(self, writer: str) -> None:
        self._check()
        await self._store.release(writer)

    async def info(self) -> StreamInfo | None:
        self._check()
        return await self._store.info()

    async def snapshot_offsets(self) -> tuple[str, int, int] | None:
        self._check()
        return await self._store.snapshot_offsets()

    async def read(self, cursor: Cursor, block_s: float) -> ReadResult:
        self._check()
        return await self._store.read(cursor, block_s)

    async def close(self) -> None:
        await self._store.close()


def store_of(where: Where) -> Store:
    """A further connection to the same stream."""
    return open_store(where[1])
