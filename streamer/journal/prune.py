"""Deletes old rows of a journal, by age and size."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ..settings import JournalSettings
from . import schema
from .lock import locked

PRUNE_ROWS = 1000
"""Rows that one transaction deletes; it delays the writer by a few milliseconds."""
VACUUM_PAGES = 500
RUNNING_PRUNES = "A running program prunes its journal itself, by its [journal] settings."


def prune_step(db: sqlite3.Connection, settings: JournalSettings, now: float) -> int:
    """Delete one chunk of old rows; returns how many, 0 when nothing is left to delete.

    Samples are deleted after ``keep_samples_days``, events after ``keep_days``. Above
    ``keep_bytes`` the oldest samples are deleted first, then the oldest events. Events of
    positions stay, in ``kept``.
    """
    gone = _prune(db, "sample", now - settings.keep_samples_days * 86_400)
    gone = gone or _prune(db, "ev", now - settings.keep_days * 86_400)
    if not gone and schema.used_bytes(db) > settings.keep_bytes:
        gone = _prune(db, "sample", None) or _prune(db, "ev", None)
    if not gone and db.execute("PRAGMA freelist_count").fetchone()[0] > 2 * VACUUM_PAGES:
        db.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
    return gone


def _prune(db: sqlite3.Connection, table: str, before: float | None) -> int:
    key = "id" if table == "sample" else "seq"
    # Delete from the oldest row on without a gap: the rest is still one chain. The newest row
    # always stays, for its number.
    # (One subquery for each end: both in one aggregate would read the whole table.)
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
    # The first remaining sample has to be a whole one, which the following ones build on.
    while count and not rows[count][3]:
        count -= 1
    old = rows[:count]
    if not old:
        return 0
    number, chain = int(old[-1][0]), schema.require_bytes(old[-1][2])
    db.execute("BEGIN IMMEDIATE")
    try:
        if table == "ev":
            _keep(db, number)
        db.execute(f"DELETE FROM {table} WHERE {key} <= ?", (number,))
        schema.set_anchor(db, table, number, chain)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return len(old)


def _keep(db: sqlite3.Connection, until: int) -> None:
    """Copy events of positions up to ``until`` to ``kept``, each with the hash before it."""
    meta = schema.read_meta(db)
    rows = db.execute(
        "SELECT seq, at, type, body, chain FROM ev "
        f"WHERE type IN {schema.LEDGER_TYPES!r} AND seq <= ?",
        (until,),
    ).fetchall()
    for seq, at, kind, body, chain in rows:
        before = db.execute("SELECT chain FROM ev WHERE seq = ?", (seq - 1,)).fetchone()
        link = schema.require_bytes(before[0]) if before else schema.anchor(meta, "ev")[1]
        db.execute(
            "INSERT OR REPLACE INTO kept VALUES(?,?,?,?,?,?)", (seq, at, kind, body, link, chain)
        )


def prune_file(path: Path, settings: JournalSettings, now: float) -> tuple[int, int, int]:
    """Prune a journal that no program has open, and shrink the file.

    Returns:
        The number of deleted rows, the size before and after in bytes.

    Raises:
        JournalLocked: a program has it open, which prunes it itself.
        JournalError: it cannot be read or written.
    """
    schema.read_only(path).close()
    with locked(path, RUNNING_PRUNES):
        try:
            before = path.stat().st_size
            db = schema.connect(path)
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
            raise schema.JournalError(f"{path}: cannot be pruned: {error}") from None
