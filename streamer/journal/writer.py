"""The journal: log events in one SQLite file, on disk before they are published.

One daemon thread owns the only connection that writes and checkpoints (SQLite before 3.51.3
can corrupt a WAL when a second one checkpoints). It commits all waiting events at once with
``synchronous=FULL`` and acknowledges them through the loop. Readers are read-only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..backoff import Backoff
from ..filelock import FileLocked
from ..futures import settle_threadsafe
from ..settings import JournalSettings
from . import schema
from .integrity import check_in_background, open_checked
from .limits import JournalLimits
from .lock import lock_of, locked
from .prune import prune_step
from .recorder import Moment, Sample, pack_body, rebuild
from .salvage import salvage
from .schema import JournalError, JournalLocked
from .sql_reader import ReadError, SqlReader
from .wal import read_wal

log = logging.getLogger("mt5dash.journal")

__all__ = ["Journal", "JournalError", "JournalListener", "JournalLocked", "Restored"]


@dataclass(frozen=True, slots=True)
class Restored:
    """The contents of a journal when it was opened.

    Attributes:
        epoch: The run of numbers.
        seq: Number of the newest event.
        tail: The newest events as (number, packed bytes), oldest first and without a gap.
        trades: Packed events that the ledger is built from.
        moment: The state at the end.
        notes: What was wrong with the file, and what was done about it.
    """

    epoch: str
    seq: int
    tail: list[tuple[int, bytes]] = field(default_factory=list)
    trades: list[bytes] = field(default_factory=list)
    moment: Moment | None = None
    notes: list[str] = field(default_factory=list)


class JournalListener(Protocol):
    """Receives commits and errors; called on the loop."""

    def journal_committed(self, seq: int) -> None:
        """All events up to ``seq`` are on disk."""
        ...

    def journal_status(self, trouble: str | None) -> None:
        """Commits fail, for this reason; ``None``: they succeed again."""
        ...

    def journal_damaged(self, text: str) -> None:
        """The file is damaged."""
        ...


class Journal:
    """One journal file. Everything except ``remove`` is used on the loop.

    Args:
        path: The file; its folder is created if it is missing.
        settings: Retention and bounds.
        limits: Limits and intervals.

    Attributes:
        trouble: Why commits fail now, or ``None``.
        committed: Number of the newest event on disk.
        last_commit: ``time.monotonic()`` of the last commit; ``None``: there was none.
        commits: Number of commits.
        samples_dropped: Samples that could not be written.
    """

    def __init__(
        self,
        path: Path,
        settings: JournalSettings | None = None,
        limits: JournalLimits | None = None,
    ) -> None:
        self.path = Path(path)
        self.settings = settings or JournalSettings()
        self._limits = limits or JournalLimits()
        self.trouble: str | None = None
        self.committed = 0
        self.last_commit: float | None = None
        self.commits = 0
        self.samples_dropped = 0
        self._lock = lock_of(self.path)
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._reader = SqlReader(self.path, self._limits.read_deadline_s)
        self._loop: asyncio.AbstractEventLoop
        self._listener: JournalListener
        self._db: sqlite3.Connection | None = None
        self._checked_completely = True
        self._chain = b""
        self._sample = 0
        self._sample_chain = b""
        self._prune_at = 0.0

    @property
    def ok(self) -> bool:
        """Whether the journal is open and its last commit succeeded."""
        return self.trouble is None and self._thread is not None and self._thread.is_alive()

    @staticmethod
    def remove(path: Path) -> None:
        """Delete a journal that no process has open, with its write-ahead log.

        Raises:
            JournalLocked: a running process has it open.
            OSError: it cannot be deleted.
        """
        with locked(path):
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)

    # -- on the loop ----------------------------------------------------------------------

    async def start(self, listener: JournalListener) -> Restored:
        """Open or create the file and read its contents.

        Raises:
            JournalLocked: another process has it open.
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

    def record(self, sample: Sample) -> None:
        """Queue a sample of the state. A sample that cannot be written is dropped."""
        self._queue.put(sample)

    async def read(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Committed events above ``after``, oldest first, at most ``limit``.

        Raises:
            JournalError: the file cannot be read, or not within 2 s.
        """
        sql = "SELECT seq, body FROM ev WHERE seq > ? ORDER BY seq LIMIT ?"
        rows = await self.query(sql, (after, limit))
        try:
            return [(int(seq), schema.require_bytes(body)) for seq, body in rows]
        except sqlite3.DatabaseError as error:
            raise JournalError(f"{self.path.name} is damaged: {error}") from None

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
        """Write the queued events and close; returns whether all of them are on disk.

        A disk that hangs delays this by ``timeout`` seconds at most.
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

    def _run(self, opened: asyncio.Future[Restored]) -> None:
        try:
            restored = self._open()
        except FileLocked as error:
            settle_threadsafe(opened, JournalLocked(str(error)))
            return
        except (OSError, sqlite3.Error, JournalError) as error:
            self._shut()
            if not isinstance(error, JournalError):
                error = JournalError(
                    f"{self.path}: cannot open the journal ({error}{schema.disk_full_note(self.path)}). "
                    "Check the folder's rights and free space, or choose another file in "
                    "[journal] path."
                )
            settle_threadsafe(opened, error)
            return
        settle_threadsafe(opened, restored)
        if not self._checked_completely:
            check_in_background(
                self.path, lambda text: self._call(self._listener.journal_damaged, text)
            )
        self._prune_at = time.monotonic() + self._limits.prune_pause_s
        done: asyncio.Future[bool] | None = None
        while done is None:
            batch: list[tuple[int, float, str, bytes]] = []
            samples: list[Sample] = []
            try:
                item = self._queue.get(timeout=max(0.0, self._prune_at - time.monotonic()))
            except queue.Empty:
                self._prune()
                continue
            while True:
                if isinstance(item, asyncio.Future):
                    done = item
                    break
                if isinstance(item, Sample):
                    samples.append(item)
                else:
                    batch.append(item)
                if len(batch) >= self._limits.batch_events:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            written = not (batch or samples) or self._write_with_retries(batch, samples)
            if done is not None:
                self._shut()
                settle_threadsafe(done, written)

    def _prune(self) -> None:
        pause = self._limits.prune_every_s
        try:
            if self._db is not None and prune_step(self._db, self.settings, time.time()):
                pause = self._limits.prune_pause_s
        except (sqlite3.Error, OSError) as error:
            log.warning("%s: old rows could not be pruned: %s", self.path.name, error)
            self._drop_connection()
        self._prune_at = time.monotonic() + pause

    def _write_with_retries(
        self, batch: list[tuple[int, float, str, bytes]], samples: list[Sample]
    ) -> bool:
        backoff = Backoff(self._limits.retry_first_s, self._limits.retry_max_s, jitter=None)
        while True:
            try:
                self._write(batch, samples)
            except (sqlite3.Error, OSError) as error:
                text = f"{self.path.name} cannot be written: {error}"
                if not isinstance(error, sqlite3.OperationalError | OSError):
                    text += "; restart: it is set aside then, and its readable events are saved"
                if self.trouble is None:
                    log.error("%s; events wait and the write is repeated", text)
                self.trouble = text
                self._call(self._listener.journal_status, text)
                self._drop_connection()
                # Once writes succeed again, only newer samples are of use.
                self.samples_dropped += len(samples)
                samples = []
                if self._stop.wait(backoff.next()):
                    log.error("%d events could not be journalled", len(batch))
                    return not batch
                continue
            if self.trouble is not None:
                log.warning("%s is written again", self.path.name)
                self.trouble = None
                self._call(self._listener.journal_status, None)
            self.last_commit = time.monotonic()
            self.commits += 1
            if batch:
                self.committed = batch[-1][0]
                self._call(self._listener.journal_committed, self.committed)
            return True

    def _write(self, batch: list[tuple[int, float, str, bytes]], samples: list[Sample]) -> None:
        if self._db is None:
            # After an error the file is read again: the failed commit may be in it.
            self._db = self._connect()
            self._load_chain(self._db)
        chain = self._chain
        rows = []
        for seq, at, kind, body in batch:
            if seq <= self.committed:
                continue
            chain = schema.event_hash(chain, seq, at, kind, body)
            rows.append((seq, at, kind, body, chain))
        last, link, states = self._sample, self._sample_chain, []
        for sample in samples:
            last, packed = last + 1, pack_body(sample.raw)
            link = schema.sample_hash(link, last, sample.at, sample.seq, sample.whole, packed)
            states.append((last, sample.at, sample.seq, int(sample.whole), packed, link))
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        schema.insert(db, "ev", rows)
        schema.insert(db, "sample", states)
        db.execute("COMMIT")
        self._chain, self._sample, self._sample_chain = chain, last, link

    def _connect(self) -> sqlite3.Connection:
        return schema.connect(self.path)

    def _load_chain(self, db: sqlite3.Connection) -> None:
        meta = schema.read_meta(db)
        row = db.execute("SELECT seq, chain FROM ev ORDER BY seq DESC LIMIT 1").fetchone()
        self.committed, self._chain = row or schema.anchor(meta, "ev")
        schema.require_bytes(self._chain)
        row = db.execute("SELECT id, chain FROM sample ORDER BY id DESC LIMIT 1").fetchone()
        self._sample, self._sample_chain = row or schema.anchor(meta, "sample")
        schema.require_bytes(self._sample_chain)

    def _drop_connection(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except sqlite3.Error as error:
                log.warning("%s: %s", self.path.name, error)

    def _shut(self) -> None:
        if self._db is not None:
            # SQLite does this itself only for the last connection, and a reader's may still be
            # open: the file without its log would be incomplete.
            try:
                self._db.execute("PRAGMA busy_timeout=200")
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                log.warning("%s: its log could not be emptied: %s", self.path.name, error)
        self._drop_connection()
        self._lock.release()

    def _open(self) -> Restored:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        notes: list[str] = []
        wal = read_wal(self.path, self._limits.wal_deadline_s)
        try:
            self._db, self._checked_completely = open_checked(
                self.path, self._connect, notes, self._limits
            )
            db = self._db
            # This removes damaged or unfinished frames from the write-ahead log.
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            restored = self._read_back(db, notes)
        except (sqlite3.DatabaseError, ValueError) as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._drop_connection()
            aside = self._set_aside(str(error))
            self._db, self._checked_completely = open_checked(
                self.path, self._connect, notes, self._limits
            )
            db = self._db
            saved = salvage(aside, db)
            notes.append(f"{self.path.name} was damaged ({error}): {saved}. Kept: {aside.name}")
            restored = self._read_back(db, notes)
        else:
            if wal.bad_frame is not None:
                notes.append(
                    f"{self.path.name}-wal was damaged in frame {wal.bad_frame}: up to "
                    f"{max(1, wal.lost_commits)} of the last writes are lost"
                )
                # Clients may have seen the lost numbers, and must not resume from them.
                restored = Restored(
                    self._new_epoch(db),
                    restored.seq,
                    restored.tail,
                    restored.trades,
                    restored.moment,
                    notes,
                )
        for note in notes:
            log.warning("%s", note)
        return restored

    def _new_epoch(self, db: sqlite3.Connection) -> str:
        epoch = secrets.token_hex(8)
        db.execute("BEGIN IMMEDIATE")
        schema.write_meta(db, epoch=epoch)
        db.execute("COMMIT")
        return epoch

    def _read_back(self, db: sqlite3.Connection, notes: list[str]) -> Restored:
        meta = schema.read_meta(db)
        if meta.get("seal") != schema.meta_seal(meta):
            raise sqlite3.DatabaseError("its meta entries do not fit their seal")
        self._load_chain(db)
        tail: list[tuple[int, bytes]] = []
        for seq, body in db.execute(
            "SELECT seq, body FROM ev ORDER BY seq DESC LIMIT ?", (self._limits.tail_events,)
        ):
            if tail and seq != tail[-1][0] - 1:
                break
            tail.append((int(seq), schema.require_bytes(body)))
        tail.reverse()
        trades = schema.ledger_events(db, self.committed)
        moment = rebuild(db, self.committed, self._sample)
        return Restored(meta["epoch"], self.committed, tail, trades, moment, notes)

    def _set_aside(self, reason: str) -> Path:
        aside = self.path.with_name(f"{self.path.name}.corrupt-{schema.stamp()}")
        for suffix in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        log.error("%s was corrupt (%s); set aside as %s", self.path.name, reason, aside.name)
        return aside
