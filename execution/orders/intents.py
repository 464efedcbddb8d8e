"""Intents: the orders of the program, written to a file before they are sent.

An order with a lost answer is found again by its intent: the id (in the comment), the magic and
the time it was sent. The file also holds the newest published deal, so that events since the last
run are published by the next. An account that ends with the program needs no file. One thread owns
the SQLite connection; the loop never waits for a disk.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import os
import re
import secrets
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from streamer.errors import Mt5dashError

log = logging.getLogger(__name__)

Mark = tuple[int, int]
"""A deal's server time in milliseconds and its ticket: deals sort by it."""

By = Literal["strategy", "operator"]

MARK = re.compile(r"md:([so][A-Z2-7]{10})")
SCHEMA = 1
RECENT = 1000


def new_id(by: By) -> str:
    """An id of 11 characters: s or o (strategy, operator) and 50 random bits."""
    return by[0] + base64.b32encode(secrets.token_bytes(7)).decode()[:10]


def id_for(by: By, key: str) -> str:
    """The id of a command with this key: the same key, the same id, in every run."""
    return by[0] + base64.b32encode(hashlib.sha256(key.encode()).digest()).decode()[:10]


def comment_of(id: str, note: str = "") -> str:
    """An order's comment: ``md:`` and the id, then as much of a note as the terminal takes."""
    return f"md:{id} {note}".strip()[:29].rstrip()


def id_in(comment: str) -> str | None:
    """Our id in an order's or a deal's comment; brokers may put text around it."""
    found = MARK.search(comment)
    return found.group(1) if found else None


def by_of(id: str) -> By:
    return "operator" if id.startswith("o") else "strategy"


@dataclass(frozen=True, slots=True)
class Intent:
    """An order before, while and after it is sent.

    ``state`` is sent until the answer is there, then done, placed, partial, rejected; unknown
    when the answer was lost, missing when the search did not find it. ``sent_at`` is UTC
    epoch seconds, ``sent_server`` server time where it was known.
    """

    id: str
    account: str
    kind: str
    symbol: str
    direction: str
    volume: float
    price: float
    sl: float
    tp: float
    magic: int
    position: int
    sent_at: float
    sent_server: float | None = None
    state: str = "sent"
    order_ticket: int | None = None
    deal: int | None = None

    @property
    def pending(self) -> bool:
        """Whether it asks for a pending order."""
        return self.kind in {"limit", "stop", "stop_limit"}

    @property
    def settled(self) -> bool:
        return self.state not in {"sent", "unknown"}


class IntentsError(Mt5dashError):
    """The intent could not be stored, so the order must not be sent."""


_COLUMNS = [field.name for field in fields(Intent)]


class Intents:
    """The list of intents, in a file or (``path`` ``None``) in memory only."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.live: dict[str, Intent] = {}
        """Those without a final answer, by id."""
        self._recent: dict[str, Intent] = {}
        self._closed = False
        self._queue: SimpleQueue[tuple[Callable[[sqlite3.Connection], Any], _Done] | None]
        self._queue = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._opening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read what an earlier run left open. Safe to call again.

        Raises:
            IntentsError: the file cannot be used; the text gives the reason.
        """
        if self.path is None:
            return
        if self._opening is None or (self._opening.done() and self._opening.exception()):
            self._opening = asyncio.create_task(self._open(), name="intents-open")
        await asyncio.shield(self._opening)

    async def record(self, intent: Intent) -> None:
        """Store an intent; returns when it is on disk."""
        self.live[intent.id] = intent
        try:
            await self._write(intent)
        except IntentsError:
            del self.live[intent.id]
            raise

    async def find(self, id: str) -> Intent | None:
        """The intent with this id, also a settled one: of this run, or of the file."""
        known = self.live.get(id) or self._recent.get(id)
        if known is not None or self.path is None:
            return known
        await self.open()
        row = await self._do(
            lambda db: db.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM intent WHERE id = ?", (id,)
            ).fetchone()
        )
        return self.live.get(id) or (Intent(*row) if row else None)

    async def settle(self, id: str, state: str, **found: Any) -> Intent | None:
        """Store the outcome of an intent. A failing disk is logged: the outcome is in memory."""
        old = self.live.get(id)
        if old is None:
            return None
        new = replace(old, state=state, **found)
        if new.settled:
            del self.live[id]
            self._recent[id] = new
            while len(self._recent) > RECENT:
                del self._recent[next(iter(self._recent))]
        else:
            self.live[id] = new
        try:
            await self._write(new)
        except IntentsError:
            log.exception("intent %s", id)
        return new

    async def mark(self, account: str, mark: Mark) -> None:
        """Store the newest published deal of ``account``. A failing disk is logged."""

        def write(db: sqlite3.Connection) -> None:
            with db:
                db.execute("INSERT OR REPLACE INTO told VALUES (?, ?, ?)", (account, *mark))

        if self.path is not None:
            try:
                await self.open()
                await self._do(write)
            except IntentsError as error:
                log.warning("%s", error)

    async def marked(self, account: str) -> Mark | None:
        """The newest published deal of ``account``, of any run; ``None``: unknown."""
        if self.path is None:
            return None
        await self.open()
        row = await self._do(
            lambda db: db.execute(
                "SELECT time_msc, ticket FROM told WHERE account = ?", (account,)
            ).fetchone()
        )
        return tuple(row) if row else None

    async def close(self) -> None:
        """Write what is queued and close the file."""
        self._closed = True
        thread = self._thread
        self._queue.put(None)
        while thread is not None and thread.is_alive():
            await asyncio.sleep(0.01)

    async def _open(self) -> None:
        assert self.path is not None
        if self._thread is None or not self._thread.is_alive():
            self._queue = SimpleQueue()
            self._thread = threading.Thread(
                target=_serve, args=(self.path, self._queue), name="intents", daemon=True
            )
            self._thread.start()
        rows = await self._do(
            lambda db: db.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM intent WHERE state IN ('sent', 'unknown')"
            ).fetchall()
        )
        for row in rows:
            intent = Intent(*row)
            # "sent" in the file of a program that has ended: its answer cannot come any more.
            self.live.setdefault(intent.id, replace(intent, state="unknown"))

    async def _write(self, intent: Intent) -> None:
        if self.path is None:
            return
        await self.open()
        marks = ", ".join("?" * len(_COLUMNS))
        values = list(asdict(intent).values())

        def write(db: sqlite3.Connection) -> None:
            with db:
                db.execute(
                    f"INSERT OR REPLACE INTO intent ({', '.join(_COLUMNS)}) VALUES ({marks})",
                    values,
                )

        await self._do(write)

    async def _do(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        if self._closed:
            raise IntentsError(f"{self.path} is closed")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()

        def done(result: Any, error: Exception | None) -> None:
            def settle() -> None:
                if answer.done():
                    return
                if error is not None:
                    answer.set_exception(error)
                else:
                    answer.set_result(result)

            loop.call_soon_threadsafe(settle)

        self._queue.put((work, done))
        return await answer


_Done = Callable[[Any, Exception | None], None]


def _serve(
    path: Path, queue: SimpleQueue[tuple[Callable[[sqlite3.Connection], Any], _Done] | None]
) -> None:
    db: sqlite3.Connection | None = None
    while (job := queue.get()) is not None:
        work, done = job
        result: Any = None
        error: Exception | None = None
        try:
            if db is None:
                db = _connect(path)
            result = work(db)
        except (sqlite3.Error, OSError) as cause:
            error = IntentsError(f"{path}: {cause}: free disk space, or set terminal.intents")
        try:
            done(result, error)
        except RuntimeError:
            break  # the loop is closed
    if db is not None:
        db.close()


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # orders are their owner's only
    db = sqlite3.connect(path, timeout=5.0)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA:
        db.close()
        raise sqlite3.DatabaseError(f"written by a newer version (schema {version})")
    with db:
        db.execute(f"CREATE TABLE IF NOT EXISTS intent ({', '.join(_COLUMNS)}, PRIMARY KEY (id))")
        db.execute(
            "CREATE TABLE IF NOT EXISTS told (account PRIMARY KEY, time_msc INTEGER, ticket INTEGER)"
        )
        db.execute(f"PRAGMA user_version = {SCHEMA}")
    return db
