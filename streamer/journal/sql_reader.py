"""Read-only questions to a journal, in a thread of their own and with a deadline.

A reader that holds a transaction open keeps SQLite from shortening its log, so every answer
is fetched whole and nothing runs for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import Mt5dashError

Rows = list[tuple[Any, ...]]


class ReadError(Mt5dashError):
    """The file could not be read, or not in time."""


def past(deadline: float) -> Callable[[], int]:
    """A progress handler that stops a statement once ``deadline`` (monotonic) is past."""
    return lambda: int(time.monotonic() > deadline)


class SqlReader:
    """Answers one question after the other; its thread starts with the first.

    Args:
        path: The SQLite file.
        deadline_s: Longest time for one statement.
    """

    def __init__(self, path: Path, deadline_s: float) -> None:
        self._path = path
        self._deadline_s = deadline_s
        self._asked: queue.SimpleQueue[tuple[asyncio.Future[Rows], str, tuple[Any, ...]] | None] = (
            queue.SimpleQueue()
        )
        self._thread: threading.Thread | None = None

    async def query(self, sql: str, args: tuple[Any, ...] = ()) -> Rows:
        """All rows of one statement.

        Raises:
            ReadError: see there.
        """
        answer: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        self._asked.put((answer, sql, args))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="journal-reader", daemon=True)
            self._thread.start()
        return await answer

    def close(self) -> None:
        """End the thread once it has answered."""
        self._asked.put(None)

    def _run(self) -> None:
        db: sqlite3.Connection | None = None
        while (asked := self._asked.get()) is not None:
            answer, sql, args = asked
            found: Rows | ReadError
            try:
                if db is None:
                    db = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)
                db.set_progress_handler(past(time.monotonic() + self._deadline_s), 10_000)
                found = db.execute(sql, args).fetchall()
            except (sqlite3.Error, OSError) as error:
                found = ReadError(str(error))
                if db is not None:
                    db.close()
                    db = None
            with contextlib.suppress(RuntimeError):  # the loop is gone
                answer.get_loop().call_soon_threadsafe(_settle, answer, found)
        if db is not None:
            db.close()


def _settle(answer: asyncio.Future[Rows], found: Rows | ReadError) -> None:
    if answer.done():
        return
    if isinstance(found, ReadError):
        answer.set_exception(found)
    else:
        answer.set_result(found)
