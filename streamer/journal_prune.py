"""Pruning a journal that no program has open, down to its size on disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from . import journal_file as file
from .filelock import FileLock, FileLocked
from .settings import JournalSettings


def prune_file(path: Path, settings: JournalSettings, now: float) -> tuple[int, int, int]:
    """Delete what ``settings`` no longer keep; rows deleted, bytes before and after.

    Raises:
        JournalLocked: a program has it open (that one prunes by itself).
        JournalError: it cannot be read or written.
    """
    file.read_only(path).close()
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        lock.acquire()
    except FileLocked as error:
        raise file.JournalLocked(
            f"{error} A running program prunes by itself, by its [journal] settings."
        ) from None
    try:
        before = path.stat().st_size
        db = file.connect(path)
        try:
            rows = 0
            while gone := file.prune_step(db, settings, now):
                rows += gone
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            db.close()
        return rows, before, path.stat().st_size
    except (sqlite3.Error, OSError) as error:
        raise file.JournalError(f"{path}: cannot be pruned: {error}") from None
    finally:
        lock.release(delete=True)
