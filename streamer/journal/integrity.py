"""The checks of a journal before anything is written to it.

SQLite's own check and the definitions of the tables; of a file too large for that the hashes of
the newest rows, and the complete check runs in the background.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import schema
from .limits import JournalLimits
from .sql_reader import stop_after

log = logging.getLogger("mt5dash.journal")


def open_checked(
    path: Path,
    connect: Callable[[], sqlite3.Connection],
    notes: list[str],
    limits: JournalLimits,
) -> tuple[sqlite3.Connection, bool]:
    """Connect and create the tables, or check the file and upgrade it.

    Args:
        path: The file.
        connect: Opens the writer's connection.
        notes: Receives a line about each upgrade.
        limits: Limits of the checks.

    Returns:
        The connection, and whether the file was checked completely.

    Raises:
        JournalError: it is a file of another program or of a newer version, or the upgrade
            fails.
        sqlite3.DatabaseError: it is corrupt (an ``OperationalError``: it cannot be used now).
    """
    fresh = not path.exists() or path.stat().st_size == 0
    if fresh:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    db = connect()
    try:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        schema.check_version(path, db, version)
        complete = True
        if version == 0:
            schema.create(db)
        elif not fresh:
            complete = quick_check(path, db, limits)
            if version < schema.SCHEMA_VERSION:
                notes.append(schema.migrate(path, db, version))
            restore_indexes(db)
            if not complete:
                check_newest_hashes(db, limits.newest_events)
    except BaseException:
        db.close()
        raise
    return db, complete


def quick_check(path: Path, db: sqlite3.Connection, limits: JournalLimits) -> bool:
    """Run SQLite's own check for ``quick_check_s`` at most, unless the file is too large.

    Returns:
        Whether the file was checked completely.

    Raises:
        sqlite3.DatabaseError: the file is damaged.
    """
    if path.stat().st_size > limits.quick_check_bytes:
        return False
    db.set_progress_handler(stop_after(time.monotonic() + limits.quick_check_s), 100_000)
    try:
        complete_check(db)
    except sqlite3.OperationalError as error:
        if "interrupt" not in str(error):
            raise
        return False
    finally:
        db.set_progress_handler(None, 0)
    return True


def complete_check(db: sqlite3.Connection) -> None:
    """Run SQLite's own check.

    Raises:
        sqlite3.DatabaseError: the file is damaged.
    """
    result = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if result != "ok":
        raise sqlite3.DatabaseError(str(result))


def check_newest_hashes(db: sqlite3.Connection, count: int) -> None:
    """Check the hashes of the newest ``count`` events.

    Raises:
        sqlite3.DatabaseError: one does not fit.
    """
    old_until = int(schema.read_meta(db).get("old_until", 0))
    next_row: tuple[int, float, str, bytes] | None = None
    next_chain = b""
    for seq, at, kind, body, chain in db.execute(
        "SELECT seq, at, type, body, chain FROM ev WHERE seq > ? ORDER BY seq DESC LIMIT ?",
        (old_until, count),
    ):
        link = schema.require_bytes(chain)
        if next_row is not None and next_row[0] == seq + 1:
            try:
                fits = schema.event_hash(link, *next_row) == next_chain
            except (TypeError, AttributeError, struct.error):
                fits = False  # a column has another type
            if not fits:
                raise sqlite3.DatabaseError(f"event {next_row[0]} does not fit its hash")
        next_row, next_chain = (seq, at, kind, body), link


def check_in_background(path: Path, on_damage: Callable[[str], object]) -> None:
    """Check a large file completely while the program runs, in a thread of its own.

    Args:
        path: The file.
        on_damage: Called with a text in that thread when the file is damaged.
    """

    def check() -> None:
        try:
            with contextlib.closing(schema.read_only(path)) as db:
                complete_check(db)
        except sqlite3.OperationalError as error:
            log.warning("%s was not checked completely: %s", path.name, error)
        except (sqlite3.DatabaseError, schema.JournalError) as error:
            log.error("%s is damaged: %s", path.name, error)
            on_damage(
                f"{path.name} is damaged ({error}); `mt5dash journal verify` names where, and the "
                "next start sets it aside and saves what can be read"
            )
        else:
            log.info("%s was checked completely", path.name)

    threading.Thread(target=check, name="journal-check", daemon=True).start()


def definitions_of(db: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """The statement that creates each table and index, by kind and name."""
    found = db.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {(str(kind), str(name)): " ".join(str(sql).split()) for kind, name, sql in found}


@functools.cache
def expected_definitions() -> dict[tuple[str, str], str]:
    """``definitions_of`` a journal of this version."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        schema.create(db)
        return definitions_of(db)


def changed_definitions(db: sqlite3.Connection) -> Iterator[tuple[str, str, str | None]]:
    """Kind and name of each table and index that differs from its definition, with the
    statement found instead (``None``: it is missing)."""
    there = definitions_of(db)
    for (kind, name), sql in expected_definitions().items():
        if there.get((kind, name)) != sql:
            yield kind, name, there.get((kind, name))


def restore_indexes(db: sqlite3.Connection) -> None:
    """Create missing indexes again.

    Raises:
        sqlite3.DatabaseError: the definition of a table or an index was changed.
    """
    for kind, name, there in list(changed_definitions(db)):
        if kind == "table" or there is not None:
            raise sqlite3.DatabaseError(f"{kind} {name} differs from its definition")
        log.warning("index %s was missing; it is created again", name)
        db.execute(expected_definitions()[kind, name])
