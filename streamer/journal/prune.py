"""What goes of a journal by age and size, and what is kept of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ..filelock import FileLock, FileLocked
from ..settings import JournalSettings
from . import schema as file

PRUNE_ROWS = 1000
"""Rows that one transaction deletes: the writer is held up for a few milliseconds."""
VACUUM_PAGES = 500


def prune_step(db: sqlite3.Connection, settings: JournalSettings, now: float) -> int:
    """Delete one chunk of what may go; rows deleted, 0 when there is nothing (more) to do.

    Samples go after ``keep_samples_days``, events after ``keep_days``. Above ``keep_bytes`` the
    oldest samples go first, then the oldest events. Events of positions stay, in ``kept``.
    """
    gone = _prune(db, "sample", now - settings.keep_samples_days * 86_400)
    gone = gone or _prune(db, "ev", now - settings.keep_days * 86_400)
    if not gone and file.used_bytes(db) > settings.keep_bytes:
        gone = _prune(db, "sample", None) or _prune(db, "ev", None)
    if not gone and db.execute("PRAGMA freelist_count").fetchone()[0] > 2 * VACUUM_PAGES:
        db.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
    return gone


def _prune(db: sqlite3.Connection, table: str, before: float | None) -> int:
    key = "id" if table == "sample" else "seq"
    # From the oldest row on and without a hole: what is left is still one chain. The newest
    # row always stays, for its number.
    # (Each end is asked for by itself: both in one question would read the whole table.)
    first, last = db.execute(
        f"SELECT (SELECT min({key}) FROM {table}), (SELECT max({key}) FROM {table})"
    ).fetchone()
    if first is None:
        return 0
    whole = "whole" if table == "sample" else "1"
    rows = db.execute(
        f"SELECT {key}, at, chain, {whole} FROM {table} WHERE {key} >= ? AND {key} <= ? "
        f"ORDER BY {key} LIMIT ?",
        (first, last, PRUNE_ROWS + 1),
    ).fetchall()
    count = len(rows) - 1
    if before is not None:
        count = next((n for n in range(count) if rows[n][1] >= before), count)
    # What is left of the samples begins with a whole one: the others mean nothing without it.
    while count and not rows[count][3]:
        count -= 1
    old = rows[:count]
    if not old:
        return 0
    number, chain = int(old[-1][0]), file.blob(old[-1][2])
    db.execute("BEGIN IMMEDIATE")
    try:
        if table == "ev":
            _keep(db, number)
        db.execute(f"DELETE FROM {table} WHERE {key} <= ?", (number,))
        file.set_anchor(db, table, number, chain)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return len(old)


def _keep(db: sqlite3.Connection, until: int) -> None:
    """Copy events of positions up to ``until`` to ``kept``, each with the hash before it."""
    meta = file.read_meta(db)
    rows = db.execute(
        "SELECT seq, at, type, body, chain FROM ev "
        f"WHERE type IN {file.LEDGER_TYPES!r} AND seq <= ?",
        (until,),
    ).fetchall()
    for seq, at, kind, body, chain in rows:
        before = db.execute("SELECT chain FROM ev WHERE seq = ?", (seq - 1,)).fetchone()
        link = file.blob(before[0]) if before else file.anchor(meta, "ev")[1]
        db.execute(
            "INSERT OR REPLACE INTO kept VALUES(?,?,?,?,?,?)", (seq, at, kind, body, link, chain)
        )


def prune_file(path: Path, settings: JournalSettings, now: float) -> tuple[int, int, int]:
    """The same for a journal that no program has open, down to its size on disk.

    Returns:
        Rows deleted, bytes before and after.

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
            while gone := prune_step(db, settings, now):
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
