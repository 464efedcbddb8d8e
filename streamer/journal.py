"""The journal: log events in one SQLite file, on disk before anyone hears of them.

One daemon thread owns the only connection that writes and checkpoints (SQLite before 3.51.3
can corrupt a WAL when a second one checkpoints). It takes all that waits, commits it at once
with ``synchronous=FULL`` and acknowledges through the loop. Readers are read-only.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .filelock import FileLock, FileLocked
from .reader import Reader, ReadError, past
from .settings import JournalSettings

log = logging.getLogger("mt5dash.journal")

SCHEMA_VERSION = 1
APPLICATION_ID = 0x6D743564  # "mt5d"
BATCH = 512
LEDGER_TYPES = ("POSITION_OPENED", "POSITION_MODIFIED", "POSITION_CLOSED")
TAIL_EVENTS = 2000
LEDGER_EVENTS = 20_000
READ_DEADLINE_S = 2.0

_SCHEMA = f"""
CREATE TABLE ev(
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL,
    chain BLOB NOT NULL
);
CREATE INDEX ev_ledger ON ev(seq) WHERE type IN {LEDGER_TYPES!r};
CREATE INDEX ev_at ON ev(at);
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class JournalError(Exception):
    """The journal cannot be used; the text says what to do."""


class JournalLocked(JournalError):
    """Another process holds the journal."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a journal knew when it was opened.

    ``tail`` holds the newest events as (seq, packed bytes), oldest first and without a hole;
    ``trades`` the packed events that the ledger is made from.
    """

    epoch: str
    seq: int
    tail: list[tuple[int, bytes]] = field(default_factory=list)
    trades: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Listener(Protocol):
    """Who hears of commits and troubles; called on the loop."""

    def journal_committed(self, seq: int) -> None: ...

    def journal_status(self, trouble: str | None) -> None: ...


def link_hash(previous: bytes, seq: int, body: bytes) -> bytes:
    """One link of the chain that makes a changed row visible."""
    return hashlib.blake2b(previous + seq.to_bytes(8, "big") + body, digest_size=16).digest()


class Journal:
    """One journal file. Everything but ``remove`` is used on the loop.

    Args:
        path: The file; its folder is made when missing.
        settings: Retention and bounds.
    """

    def __init__(self, path: Path, settings: JournalSettings | None = None) -> None:
        self.path = Path(path)
        self.settings = settings or JournalSettings()
        self.trouble: str | None = None
        self.committed = 0
        self.last_commit: float | None = None
        self.commits = 0
        self._lock = FileLock(self.path.with_name(self.path.name + ".lock"))
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._reader = Reader(self.path, READ_DEADLINE_S)
        self._loop: asyncio.AbstractEventLoop
        self._listener: Listener
        self._db: sqlite3.Connection | None = None
        self._chain = b""

    @property
    def ok(self) -> bool:
        """Whether the last write went through (and the journal is open)."""
        return self.trouble is None and self._thread is not None and self._thread.is_alive()

    @staticmethod
    def remove(path: Path) -> None:
        """Delete a journal that nobody holds, with all that belongs to it.

        Raises:
            JournalLocked: a running process holds it.
            OSError: it cannot be deleted.
        """
        lock = FileLock(path.with_name(path.name + ".lock"))
        try:
            lock.acquire()
        except FileLocked as error:
            raise JournalLocked(str(error)) from None
        try:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        finally:
            lock.release(delete=True)

    # -- on the loop ----------------------------------------------------------------------

    async def start(self, listener: Listener) -> Restored:
        """Open or make the file and read what it knows.

        Raises:
            JournalLocked: another process holds it.
            JournalError: it cannot be opened.
        """
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        opened: asyncio.Future[Restored] = self._loop.create_future()
        self._thread = threading.Thread(
            target=self._run, args=(opened,), name="journal-writer", daemon=True
        )
        self._thread.start()
        try:
            return await opened
        except JournalError:
            self._thread = None
            raise

    def append(self, seq: int, kind: str, body: bytes, at: float) -> None:
        """Queue one event for the next commit. Never waits.

        Args:
            seq: Its number, one above the last one's.
            kind: Its type.
            body: The packed event, ``seq`` included.
            at: Epoch seconds, the wall clock's.
        """
        self._queue.put((seq, at, kind, body))

    async def read(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Committed events above ``after``, oldest first, at most ``limit``.

        Raises:
            JournalError: the file cannot be read, or not within 2 s.
        """
        sql = "SELECT seq, body FROM ev WHERE seq > ? ORDER BY seq LIMIT ?"
        return [(int(seq), bytes(body)) for seq, body in await self.query(sql, (after, limit))]

    async def query(self, sql: str, args: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one read-only statement in the reader's thread.

        Raises:
            JournalError: the file cannot be read, or not within 2 s.
        """
        try:
            return await self._reader.query(sql, args)
        except ReadError as error:
            raise JournalError(f"{self.path.name} cannot be read: {error}") from None

    async def close(self, timeout: float = 1.0) -> bool:
        """Write what waits and close; True when everything is on disk.

        A disk that hangs does not hold this up longer than ``timeout`` seconds.
        """
        if self._thread is None or not self._thread.is_alive():
            return True
        done: asyncio.Future[bool] = self._loop.create_future()
        self._queue.put(done)
        self._reader.close()
        self._stop.set()
        try:
            return await asyncio.wait_for(done, timeout)
        except TimeoutError:
            log.error("%s: still writing after %.1f s; leaving it", self.path, timeout)
            return False

    # -- in the writer's thread -----------------------------------------------------------

    def _call(self, function: Callable[..., object], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone
            self._loop.call_soon_threadsafe(function, *args)

    def _answer(self, future: asyncio.Future[Any], value: Any) -> None:
        def settle() -> None:
            if not future.done():
                if isinstance(value, BaseException):
                    future.set_exception(value)
                else:
                    future.set_result(value)

        self._call(settle)

    def _run(self, opened: asyncio.Future[Restored]) -> None:
        try:
            restored = self._open()
        except FileLocked as error:
            self._answer(opened, JournalLocked(str(error)))
            return
        except (OSError, sqlite3.Error, JournalError) as error:
            self._shut()
            if not isinstance(error, JournalError):
                error = JournalError(
                    f"{self.path}: cannot open the journal ({error}). Check the folder's rights "
                    "and free space, or choose another file in [journal] path."
                )
            self._answer(opened, error)
            return
        self._answer(opened, restored)
        done: asyncio.Future[bool] | None = None
        while done is None:
            batch: list[tuple[int, float, str, bytes]] = []
            item = self._queue.get()
            while True:
                if isinstance(item, asyncio.Future):
                    done = item
                    break
                batch.append(item)
                if len(batch) >= BATCH:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            written = not batch or self._write_until_done(batch)
            if done is not None:
                self._shut()
                self._answer(done, written)

    def _write_until_done(self, batch: list[tuple[int, float, str, bytes]]) -> bool:
        delay = 0.1
        while True:
            try:
                self._write(batch)
            except (sqlite3.Error, OSError) as error:
                text = f"{self.path.name} cannot be written: {error}"
                if self.trouble is None:
                    log.error("%s; events wait and it is tried again", text)
                self.trouble = text
                self._call(self._listener.journal_status, text)
                self._drop_connection()
                if self._stop.wait(delay):
                    log.error("%d events could not be journalled", len(batch))
                    return False
                delay = min(delay * 2, 2.0)
                continue
            if self.trouble is not None:
                log.warning("%s is written again", self.path.name)
                self.trouble = None
                self._call(self._listener.journal_status, None)
            self.committed = batch[-1][0]
            self.last_commit = time.monotonic()
            self.commits += 1
            self._call(self._listener.journal_committed, self.committed)
            return True

    def _write(self, batch: list[tuple[int, float, str, bytes]]) -> None:
        if self._db is None:
            # After an error nothing is taken for granted: what the file holds is asked.
            self._db = self._connect()
            self._load_chain(self._db)
        chain = self._chain
        rows = []
        for seq, at, kind, body in batch:
            if seq <= self.committed:
                continue
            chain = link_hash(chain, seq, body)
            rows.append((seq, at, kind, body, chain))
        if not rows:
            return
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO ev VALUES(?,?,?,?,?)", rows)
        db.execute("COMMIT")
        self._chain = chain

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, timeout=5.0, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute("PRAGMA wal_autocheckpoint=1000")
            db.execute("PRAGMA journal_size_limit=67108864")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _load_chain(self, db: sqlite3.Connection) -> None:
        row = db.execute("SELECT seq, chain FROM ev ORDER BY seq DESC LIMIT 1").fetchone()
        if row is None:
            base = db.execute("SELECT value FROM meta WHERE key='epoch'").fetchone()
            self.committed, self._chain = 0, str(base[0]).encode() if base else b""
        else:
            self.committed, self._chain = int(row[0]), bytes(row[1])

    def _drop_connection(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except sqlite3.Error as error:
                log.warning("%s: %s", self.path.name, error)

    def _shut(self) -> None:
        self._drop_connection()
        self._lock.release()

    def _open(self) -> Restored:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        notes: list[str] = []
        try:
            db = self._open_checked()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            notes.append(self._set_aside(str(error)))
            db = self._open_checked()
        self._db = db
        epoch = str(db.execute("SELECT value FROM meta WHERE key='epoch'").fetchone()[0])
        self._load_chain(db)
        tail = [
            (int(seq), bytes(body))
            for seq, body in db.execute(
                "SELECT seq, body FROM ev ORDER BY seq DESC LIMIT ?", (TAIL_EVENTS,)
            )
        ]
        tail.reverse()
        trades = [
            bytes(row[0])
            for row in db.execute(
                "SELECT body FROM ev INDEXED BY ev_ledger "
                f"WHERE type IN {LEDGER_TYPES!r} ORDER BY seq DESC LIMIT ?",
                (LEDGER_EVENTS,),
            )
        ]
        trades.reverse()
        return Restored(epoch, self.committed, tail, trades, notes)

    def _open_checked(self) -> sqlite3.Connection:
        """Connect, make or check the schema. ``DatabaseError`` means corrupt."""
        fresh = not self.path.exists() or self.path.stat().st_size == 0
        if fresh:
            descriptor = os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600)
            os.close(descriptor)
        db = self._connect()
        try:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            if version > SCHEMA_VERSION:
                raise JournalError(
                    f"{self.path}: written by a newer mt5dash (schema {version}, this one knows "
                    f"{SCHEMA_VERSION}). Update mt5dash or choose another file."
                )
            if version == 0:
                if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise JournalError(
                        f"{self.path}: an SQLite file of another program. Choose another path."
                    )
                db.executescript(
                    f"BEGIN; {_SCHEMA} PRAGMA application_id={APPLICATION_ID}; "
                    f"PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
                )
                db.execute("INSERT INTO meta VALUES('epoch', ?)", (secrets.token_hex(8),))
            elif not fresh:
                self._quick_check(db)
        except BaseException:
            db.close()
            raise
        return db

    def _quick_check(self, db: sqlite3.Connection) -> None:
        deadline = time.monotonic() + READ_DEADLINE_S
        db.set_progress_handler(past(deadline), 100_000)
        try:
            result = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as error:
            if "interrupt" not in str(error):
                raise
            log.warning("%s: too large to be checked in %.0f s", self.path.name, READ_DEADLINE_S)
            return
        finally:
            db.set_progress_handler(None, 0)
        if result != "ok":
            raise sqlite3.DatabaseError(str(result))

    def _set_aside(self, reason: str) -> str:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        for suffix in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.rename(self.path.with_name(f"{self.path.name}.corrupt-{stamp}{suffix}"))
        note = f"{self.path.name} was corrupt ({reason}); set aside as .corrupt-{stamp}"
        log.error("%s", note)
        return note
