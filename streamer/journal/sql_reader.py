"""Read-only queries of a journal, in a thread of their own and with a deadline.

An open read transaction prevents SQLite from shortening its log, so each result is fetched
completely and no query runs for long.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import Mt5dashError
from ..futures import settle_threadsafe

Rows = list[tuple[Any, ...]]


class ReadError(Mt5dashError):
    """The file cannot be read, or not before the deadline."""


def stop_after(deadline: float) -> Callable[[], int]:
    """A progress handler that interrupts a statement after ``deadline`` (monotonic seconds)."""
    return lambda: int(time.monotonic() > deadline)


class SqlReader:
    """Runs one query after the other; its thread starts with the first one.

    Args:
        path: The SQLite file.
        deadline_s: Longest time of one statement, seconds.
    """

    def __init__(self, path: Path, deadline_s: float) -> None:
        self._path = path
        self._deadline_s = deadline_s
        self._queries: queue.SimpleQueue[
            tuple[asyncio.Future[Rows], str, tuple[Any, ...]] | None
        ] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def query(self, sql: str, args: tuple[Any, ...] = ()) -> Rows:
        """All rows of one statement.

        Raises:
            ReadError: the file cannot be read, or not before the deadline.
        """
        answer: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        self._queries.put((answer, sql, args))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="journal-reader", daemon=True)
            self._thread.start()
        return await answer

    def close(self) -> None:
        """End the thread after the queries that wait."""
        self._queries.put(None)

    def _run(self) -> None:
        db: sqlite3.Connection | None = None
        while (query := self._queries.get()) is not None:
            answer, sql, args = query
            found: Rows | ReadError
            try:
                if db is None:
                    db = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)
                db.set_progress_handler(stop_after(time.monotonic() + self._deadline_s), 10_000)
                found = db.execute(sql, args).fetchall()
            except (sqlite3.Error, OSError) as error:
                found = ReadError(str(error))
                if db is not None:
                    db.close()
                    db = None
            settle_threadsafe(answer, found)
        if db is not None:
            db.close()
