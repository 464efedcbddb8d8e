"""Opening a journal: what is looked at before anything is written to it.

SQLite's own check, the statements that its tables are made of, and of a file too large for that
the hashes of the newest rows; the rest of a large one is looked at beside the running program.
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

from . import schema as file
from .sql_reader import past

log = logging.getLogger("mt5dash.journal")

QUICK_CHECK_S = 1.0
QUICK_CHECK_BYTES = 512 << 20
"""What is larger is looked at later: SQLite cannot be stopped in the middle of a table."""
NEWEST = 10_000


def open_checked(
    path: Path, connection: Callable[[], sqlite3.Connection], notes: list[str]
) -> tuple[sqlite3.Connection, bool]:
    """Connect; make the tables, or look at the file and bring it up to date.

    Returns:
        The connection, and whether the file was looked through whole.

    Raises:
        JournalError: it is not ours, newer, or cannot be migrated.
        sqlite3.DatabaseError: it is corrupt (an ``OperationalError``: it cannot be used now).
    """
    fresh = not path.exists() or path.stat().st_size == 0
    if fresh:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    db = connection()
    try:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        file.check_version(path, db, version)
        whole = True
        if version == 0:
            file.make(db)
        elif not fresh:
            whole = quick_check(path, db)
            if version < file.SCHEMA_VERSION:
                notes.append(file.migrate(path, db, version))
            mend_look(db)
            if not whole:
                newest_fit(db)
    except BaseException:
        db.close()
        raise
    return db, whole


def quick_check(path: Path, db: sqlite3.Connection) -> bool:
    """SQLite's own look at the file, unless it is too large; as far as it gets in
    ``QUICK_CHECK_S``.

    Returns:
        Whether the file was looked through whole.

    Raises:
        sqlite3.DatabaseError: it found something.
    """
    if path.stat().st_size > QUICK_CHECK_BYTES:
        return False
    db.set_progress_handler(past(time.monotonic() + QUICK_CHECK_S), 100_000)
    try:
        whole_check(db)
    except sqlite3.OperationalError as error:
        if "interrupt" not in str(error):
            raise
        return False
    finally:
        db.set_progress_handler(None, 0)
    return True


def whole_check(db: sqlite3.Connection) -> None:
    """SQLite's own look at the file.

    Raises:
        sqlite3.DatabaseError: it found something.
    """
    result = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if result != "ok":
        raise sqlite3.DatabaseError(str(result))


def newest_fit(db: sqlite3.Connection) -> None:
    """Follow the hashes of the newest events.

    Raises:
        sqlite3.DatabaseError: one does not fit.
    """
    old_until = int(file.read_meta(db).get("old_until", 0))
    next_row: tuple[int, float, str, bytes] | None = None
    next_chain = b""
    for seq, at, kind, body, chain in db.execute(
        "SELECT seq, at, type, body, chain FROM ev WHERE seq > ? ORDER BY seq DESC LIMIT ?",
        (old_until, NEWEST),
    ):
        link = file.blob(chain)
        if next_row is not None and next_row[0] == seq + 1:
            try:
                fits = file.link_hash(link, *next_row) == next_chain
            except (TypeError, AttributeError, struct.error):
                fits = False  # a column is not even of the right kind
            if not fits:
                raise sqlite3.DatabaseError(f"event {next_row[0]} does not fit its hash")
        next_row, next_chain = (seq, at, kind, body), link


def look_beside(path: Path, tell: Callable[[str], object]) -> None:
    """Look at a large file whole while the program runs, in a thread of its own; ``tell`` what
    is wrong with it, in that thread."""

    def look() -> None:
        try:
            with contextlib.closing(file.read_only(path)) as db:
                whole_check(db)
        except sqlite3.OperationalError as error:
            log.warning("%s was not looked at whole: %s", path.name, error)
        except (sqlite3.DatabaseError, file.JournalError) as error:
            log.error("%s is damaged: %s", path.name, error)
            tell(
                f"{path.name} is damaged ({error}); `mt5dash journal verify` names where, and the "
                "next start sets it aside and saves what can be read"
            )
        else:
            log.info("%s was looked at whole", path.name)

    threading.Thread(target=look, name="journal-look", daemon=True).start()


def look_of(db: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """Tables and indexes by kind and name, as the statement that made each."""
    found = db.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {(str(kind), str(name)): " ".join(str(sql).split()) for kind, name, sql in found}


@functools.cache
def right_look() -> dict[tuple[str, str], str]:
    """The same of a journal as this version makes it."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        file.make(db)
        return look_of(db)


def strange(db: sqlite3.Connection) -> Iterator[tuple[str, str, str | None]]:
    """Kind and name of each table and index that is not as it was made, with the statement
    that is there instead of its own (``None``: none)."""
    there = look_of(db)
    for (kind, name), sql in right_look().items():
        if there.get((kind, name)) != sql:
            yield kind, name, there.get((kind, name))


def mend_look(db: sqlite3.Connection) -> None:
    """Make indexes that are missing again.

    Raises:
        sqlite3.DatabaseError: what a table or an index is made of was changed.
    """
    for kind, name, there in list(strange(db)):
        if kind == "table" or there is not None:
            raise sqlite3.DatabaseError(f"{kind} {name} is not what was made")
        log.warning("index %s was missing; it is made again", name)
        db.execute(right_look()[kind, name])
