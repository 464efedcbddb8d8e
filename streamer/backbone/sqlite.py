"""A backbone in one SQLite file, for nodes on the feed's own machine, without a broker.

The writer holds a lock file, so there is one at a time, and a killed one is replaced at once.
Its connection is the only one that writes and checkpoints; readers are read-only and poll a
hundred times a second. Each connection has a thread of its own.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from ..errors import Mt5dashError
from ..filelock import FileLock, FileLocked
from ..futures import settle_threadsafe
from .model import (
    READ_EVENTS,
    STATES_KEPT,
    Claim,
    ClaimResult,
    Cursor,
    ReadResult,
    StoredSnapshot,
    StoreUnavailable,
    StreamInfo,
    StreamLost,
    StreamTaken,
    WriteBatch,
)

T = TypeVar("T")

APPLICATION_ID = 0x6D743562  # "mt5b"
POLL_S = 0.01
DISK_S = 5.0
"""A disk that does not answer for this long counts as unavailable."""

_SCHEMA = """
CREATE TABLE log(seq INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE state(n INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE saved(
    id INTEGER PRIMARY KEY CHECK(id = 1), epoch TEXT NOT NULL, seq INTEGER NOT NULL,
    state INTEGER NOT NULL, raw BLOB NOT NULL
);
CREATE TABLE mark(
    id INTEGER PRIMARY KEY CHECK(id = 1), writer TEXT NOT NULL, who TEXT NOT NULL,
    epoch TEXT NOT NULL, term TEXT NOT NULL, base INTEGER NOT NULL, beat INTEGER NOT NULL,
    generation INTEGER NOT NULL
);
"""


class SqliteStore:
    """See ``Store``.

    Args:
        path: The file; the writer creates it, and its folder.
    """

    def __init__(self, path: Path) -> None:
        self.where = f"sqlite:{path}"
        self._path = path
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        self._locked = False
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._db: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None

    # -- the loop's side ------------------------------------------------------------------

    async def _ask(self, job: Callable[[], T], limit: float = DISK_S) -> T:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def work() -> None:
            found: T | Mt5dashError
            try:
                found = job()
            except (sqlite3.Error, OSError) as error:
                self._disconnect()
                found = StoreUnavailable(f"{self.where}: {error}")
            except (StoreUnavailable, StreamTaken, StreamLost) as error:
                found = error
            settle_threadsafe(answer, found)

        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="backbone", daemon=True)
            self._thread.start()
        self._jobs.put(work)
        try:
            async with asyncio.timeout(limit):
                return await answer
        except TimeoutError:
            raise StoreUnavailable(f"{self.where}: the disk does not answer") from None

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        self._disconnect()
        if self._locked:
            self._lock.release(delete=True)
            self._locked = False

    async def claim(self, claim: Claim) -> ClaimResult:
        """See ``Store.claim``. The holder of the lock holds the stream."""
        return await self._ask(lambda: self._claim(claim))

    async def write(self, batch: WriteBatch, keep: int) -> int:
        """See ``Store.write``."""
        return await self._ask(lambda: self._write(batch, keep))

    async def release(self, writer: str) -> None:
        """``close`` releases the lock."""

    async def info(self) -> StreamInfo | None:
        """See ``Store.info``."""
        return await self._ask(self._info)

    async def snapshot_offsets(self) -> tuple[str, int, int] | None:
        """See ``Store.snapshot_offsets``."""
        return await self._ask(self._snapshot_offsets)

    async def read(self, cursor: Cursor, block_s: float) -> ReadResult:
        """See ``Store.read``."""
        return await self._ask(lambda: self._read(cursor, block_s), DISK_S + block_s)

    async def close(self) -> None:
        """See ``Store.close``."""
        self._stop.set()
        thread = self._thread
        if thread is None:
            return
        self._jobs.put(None)
        until = time.monotonic() + 1.0
        while thread.is_alive() and time.monotonic() < until:
            await asyncio.sleep(0.005)

    # -- in the thread --------------------------------------------------------------------

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _same_file(self) -> bool:
        """Whether the path still names the open file."""
        try:
            return self._file is not None and os.path.samestat(self._file, os.stat(self._path))
        except FileNotFoundError:
            return False

    def _claim(self, claim: Claim) -> ClaimResult:
        if not self._locked:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except FileLocked:
                holder = self._mark()
                self._disconnect()
                return ClaimResult(False, holder["who"] if holder else "unknown", -1)
            self._locked = True
        self._disconnect()
        if not self._path.exists():
            os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
        db = sqlite3.connect(self._path, isolation_level=None, timeout=2.0)
        self._db = db
        db.execute("PRAGMA journal_mode=WAL")
        # Not FULL: what a power cut takes is sent again from the feed's journal.
        db.execute("PRAGMA synchronous=NORMAL")
        self._file = os.stat(self._path)
        kind = int(db.execute("PRAGMA application_id").fetchone()[0])
        fresh = not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if fresh:
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        elif kind != APPLICATION_ID:
            raise StoreUnavailable(f"{self.where}: a file of another program. Choose another path")
        db.execute("BEGIN IMMEDIATE")
        try:
            if fresh:
                for statement in _SCHEMA.split(";")[:-1]:
                    db.execute(statement)
            held = self._take(db, claim)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        return held

    def _take(self, db: sqlite3.Connection, claim: Claim) -> ClaimResult:
        mark = self._mark()
        last, state = _last(db, "log", "seq"), _last(db, "state", "n")
        beat = mark["beat"] + 1 if mark else 1
        generation = mark["generation"] + 1 if mark else 1
        same_epoch = mark is not None and mark["epoch"] == claim.epoch
        went_back = mark is not None and mark["writer"] != claim.writer and last > claim.seq
        restarted = not same_epoch or went_back
        term, base = (mark["term"], mark["base"]) if mark else ("", 0)
        if restarted:
            term, base = f"{uuid4().hex[:8]}-{generation}-{claim.writer[:6]}", claim.seq
            for table in ("log", "state", "saved"):
                db.execute(f"DELETE FROM {table}")
            last = state = 0
        db.execute(
            "INSERT OR REPLACE INTO mark VALUES(1,?,?,?,?,?,?,?)",
            (claim.writer, claim.owner, claim.epoch, term, base, beat, generation),
        )
        return ClaimResult(True, claim.owner, beat, generation, term, last, state, restarted)

    def _write(self, batch: WriteBatch, keep: int) -> int:
        db = self._db
        if db is None or not self._locked or not self._same_file():
            raise StreamLost("the file is gone")
        db.execute("BEGIN IMMEDIATE")
        try:
            mark = self._mark()
            if mark is None or (mark["term"], mark["generation"]) != (
                batch.term,
                batch.generation,
            ):
                raise StreamLost("the stream was claimed again")
            last, state = _last(db, "log", "seq"), _last(db, "state", "n")
            log = [event for event in batch.log if event[0] > last]
            states = [event for event in batch.states if event[0] > state]
            db.executemany("INSERT INTO log VALUES(?,?)", log)
            db.executemany("INSERT INTO state VALUES(?,?)", states)
            if log:
                db.execute("DELETE FROM log WHERE seq <= ?", (log[-1][0] - keep,))
            if states:
                db.execute("DELETE FROM state WHERE n <= ?", (states[-1][0] - STATES_KEPT,))
            new = batch.snapshot
            if new is not None:
                db.execute(
                    "INSERT OR REPLACE INTO saved VALUES(1,?,?,?,?)",
                    (new.epoch, new.seq, new.state, new.raw),
                )
            db.execute("UPDATE mark SET beat = beat + 1")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        return len(batch.log) - len(log)

    def _connection(self) -> sqlite3.Connection | None:
        """The connection; read-only, unless this store writes. ``None``: there is no file."""
        if self._db is not None and not self._same_file():
            self._disconnect()
        if self._db is None:
            if not self._path.is_file():
                return None
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            self._file = os.stat(self._path)
            self._db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=2.0)
        return self._db

    def _mark(self) -> dict[str, Any] | None:
        db = self._connection()
        names = ("writer", "who", "epoch", "term", "base", "beat", "generation")
        if (
            db is None
            or not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'mark'").fetchone()
        ):
            return None
        row = db.execute(f"SELECT {', '.join(names)} FROM mark").fetchone()
        return dict(zip(names, row, strict=True)) if row is not None else None

    def _info(self) -> StreamInfo | None:
        db = self._connection()
        if db is None:
            return None
        db.execute("BEGIN")
        try:
            mark = self._mark()
            if mark is None:
                return None
            first = db.execute("SELECT min(seq) FROM log").fetchone()[0] or 0
            row = db.execute("SELECT epoch, seq, state, raw FROM saved").fetchone()
            saved = (
                StoredSnapshot(row[0], row[1], row[2], bytes(row[3])) if row is not None else None
            )
            last = _last(db, "log", "seq")
            return StreamInfo(
                mark["epoch"], mark["term"], mark["base"], mark["beat"], first, last, saved
            )
        finally:
            db.execute("COMMIT")

    def _snapshot_offsets(self) -> tuple[str, int, int] | None:
        if self._mark() is None:
            return None
        assert self._db is not None
        row = self._db.execute("SELECT epoch, seq, state FROM saved").fetchone()
        return (str(row[0]), int(row[1]), int(row[2])) if row is not None else None

    def _read(self, cursor: Cursor, block_s: float) -> ReadResult:
        until = time.monotonic() + block_s
        seen = -1
        while True:
            db = self._connection()
            if db is None:
                return ReadResult(term="")
            version = int(db.execute("PRAGMA data_version").fetchone()[0])
            if version != seen or time.monotonic() >= until:
                seen = version
                found = self._events_after(db, cursor)
                if not found.empty or found.term is not None or time.monotonic() >= until:
                    return found
            if self._stop.wait(POLL_S):
                return ReadResult()

    def _events_after(self, db: sqlite3.Connection, cursor: Cursor) -> ReadResult:
        db.execute("BEGIN")
        try:
            mark = self._mark()
            if mark is None or mark["term"] != cursor.term:
                return ReadResult(term=mark["term"] if mark else "")
            log = db.execute(
                "SELECT seq, body FROM log WHERE seq > ? ORDER BY seq LIMIT ?",
                (cursor.seq, READ_EVENTS),
            ).fetchall()
            states = db.execute(
                "SELECT n, body FROM state WHERE n > ? ORDER BY n LIMIT ?",
                (cursor.state, READ_EVENTS),
            ).fetchall()
            return ReadResult(log, states, beat=mark["beat"])
        finally:
            db.execute("COMMIT")


def _last(db: sqlite3.Connection, table: str, column: str) -> int:
    return int(db.execute(f"SELECT max({column}) FROM {table}").fetchone()[0] or 0)
