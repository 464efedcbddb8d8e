"""The journal's file: tables, migrations, hash chains, copies.

Plain functions over one open SQLite connection; ``writer.py`` calls them in its thread, the
commands of ``mt5dash journal`` without a loop.

Tables: ``ev`` log events; ``sample`` the state, once a second if it has changed; ``kept``
events of positions that stay when ``ev`` is pruned; ``meta`` names and anchors. Each row of
``ev`` and ``sample`` has a hash over itself and the row before.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import sqlite3
import struct
import time
from pathlib import Path
from typing import Any

from ..errors import IN_USE, Mt5dashError

log = logging.getLogger("mt5dash.journal")

SCHEMA_VERSION = 2
APPLICATION_ID = 0x6D743564  # "mt5d"
LEDGER_TYPES = ("POSITION_OPENED", "POSITION_MODIFIED", "POSITION_CLOSED")
LEAST_FREE_BYTES = 256 * 1024

_SAMPLES = """
CREATE TABLE sample(
    id INTEGER PRIMARY KEY, at REAL NOT NULL, seq INTEGER NOT NULL, whole INTEGER NOT NULL,
    body BLOB NOT NULL, chain BLOB NOT NULL
);
CREATE INDEX sample_at ON sample(at);
CREATE INDEX sample_whole ON sample(seq, id) WHERE whole = 1;
CREATE TABLE kept(
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL,
    before BLOB NOT NULL, chain BLOB NOT NULL
);
CREATE INDEX ev_audit ON ev(seq) WHERE type = 'COMMAND_AUDIT';
"""
SCHEMA = f"""
CREATE TABLE ev(
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL,
    chain BLOB NOT NULL
);
CREATE INDEX ev_ledger ON ev(seq) WHERE type IN {LEDGER_TYPES!r};
CREATE INDEX ev_at ON ev(at);
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
{_SAMPLES}"""


class JournalError(Mt5dashError):
    """The journal cannot be used; the text says what to do."""

    exit_code = IN_USE


class JournalLocked(JournalError):
    """Another process holds the journal."""


# -- hashes -------------------------------------------------------------------------------


def event_hash(previous: bytes, seq: int, at: float, kind: str, body: bytes) -> bytes:
    """The hash of an event, chained to the one before, so that a changed row is detected."""
    head = previous + struct.pack(">qd", seq, at) + kind.encode() + b"\0"
    return hashlib.blake2b(head + body, digest_size=16).digest()


def event_hash_v1(previous: bytes, seq: int, body: bytes) -> bytes:
    """``event_hash`` of schema 1; rows up to ``meta.old_until`` have it."""
    return hashlib.blake2b(previous + seq.to_bytes(8, "big") + body, digest_size=16).digest()


def sample_hash(previous: bytes, id: int, at: float, seq: int, whole: int, body: bytes) -> bytes:
    """The hash of a sample, chained to the one before."""
    head = previous + struct.pack(">qdqq", id, at, seq, whole)
    return hashlib.blake2b(head + body, digest_size=16).digest()


def meta_seal(meta: dict[str, str]) -> str:
    """A hash over all entries of ``meta`` except the seal itself."""
    digest = hashlib.blake2b(digest_size=16)
    for key in sorted(meta.keys() - {"seal"}):
        digest.update(f"{key}\0{meta[key]}\0".encode())
    return digest.hexdigest()


def read_meta(db: sqlite3.Connection) -> dict[str, str]:
    """All entries of ``meta``."""
    return {str(key): str(value) for key, value in db.execute("SELECT key, value FROM meta")}


def write_meta(db: sqlite3.Connection, **values: object) -> None:
    """Change entries of ``meta`` and its seal, in the caller's transaction."""
    meta = {**read_meta(db), **{key: str(value) for key, value in values.items()}}
    meta["seal"] = meta_seal(meta)
    db.executemany(
        "INSERT INTO meta VALUES(?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value",
        [(key, meta[key]) for key in (*values, "seal")],
    )


def require_bytes(value: object) -> bytes:
    """The value of a column that contains bytes. (``bytes(number)`` would be that many zeros: a
    flipped bit in a row's header could request all memory.)

    Raises:
        sqlite3.DatabaseError: the value is not ``bytes``.
    """
    if not isinstance(value, bytes):
        raise sqlite3.DatabaseError(f"a row has {type(value).__name__} instead of bytes")
    return value


def anchor(meta: dict[str, str], table: str) -> tuple[int, bytes]:
    """Number and hash of the row before the first remaining one."""
    number, _, chain = meta.get(f"{table}_anchor", "0:").partition(":")
    return int(number), bytes.fromhex(chain)


def set_anchor(db: sqlite3.Connection, table: str, number: int, chain: bytes) -> None:
    """Set number and hash of the row before the first remaining one."""
    write_meta(db, **{f"{table}_anchor": f"{number}:{chain.hex()}"})


# -- writing ---------------------------------------------------------------------------------

STEPS = (64, 8, 1)
"""Rows of one INSERT statement."""


def insert(db: sqlite3.Connection, table: str, rows: list[tuple[Any, ...]]) -> None:
    """Insert rows, many per statement. Each statement releases the interpreter's lock, and beside
    a busy loop each return costs 5 ms: single rows would allow 200 events a second."""
    at = 0
    for size in STEPS:
        while len(rows) - at >= size:
            part = rows[at : at + size]
            marks = ",".join(["(" + ",".join("?" * len(part[0])) + ")"] * size)
            db.execute(
                f"INSERT INTO {table} VALUES{marks}", [value for row in part for value in row]
            )
            at += size


# -- opening ------------------------------------------------------------------------------


def connect(path: Path, synchronous: str = "FULL") -> sqlite3.Connection:
    """The one connection that writes and checkpoints."""
    db = sqlite3.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
    try:
        if path.stat().st_size == 0:
            db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={synchronous}")
        db.execute("PRAGMA wal_autocheckpoint=1000")
        db.execute("PRAGMA journal_size_limit=67108864")
    except (sqlite3.Error, OSError):
        db.close()
        raise
    return db


def read_only(path: Path) -> sqlite3.Connection:
    """A read-only connection.

    Raises:
        JournalError: there is no such file, or it is no journal of this version.
    """
    if not path.is_file():
        raise JournalError(f"{path}: no such journal; name one with --db")
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            check_version(path, db, version)
            if version < SCHEMA_VERSION:
                raise JournalError(
                    f"{path}: schema {version}; start `mt5dash tui --journal {path}` once, which "
                    "brings it up to date (a backup is kept beside it)"
                )
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise JournalError(f"{path}: cannot be read: {error}{disk_full_note(path)}") from None
    return db


def disk_full_note(path: Path) -> str:
    """A note for an error message when the disk of a file is full; empty otherwise. SQLite needs
    some space even to read a journal, and reports only "disk I/O error"."""
    try:
        free = shutil.disk_usage(path.absolute().parent).free
    except OSError:
        return ""
    return "" if free > LEAST_FREE_BYTES else f"; the disk is full ({free // 1024} kB free)"


def check_version(path: Path, db: sqlite3.Connection, version: int) -> None:
    """Refuse a file of another program or of a newer version.

    Raises:
        JournalError: it is such a file.
    """
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"{path}: written by a newer mt5dash (schema {version}, this one knows "
            f"{SCHEMA_VERSION}). Update mt5dash or choose another file."
        )
    if version == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise JournalError(f"{path}: an SQLite file of another program. Choose another path.")


def create(db: sqlite3.Connection, **meta: object) -> None:
    """Create the tables of an empty file."""
    db.executescript(
        f"BEGIN; {SCHEMA} PRAGMA application_id={APPLICATION_ID}; "
        f"PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
    )
    db.execute("BEGIN")
    write_meta(
        db,
        **{
            "epoch": secrets.token_hex(8),
            "old_until": 0,
            "ev_anchor": "0:" + secrets.token_bytes(16).hex(),
            "sample_anchor": "0:" + secrets.token_bytes(16).hex(),
            **meta,
        },
    )
    db.execute("COMMIT")


def migrate(path: Path, db: sqlite3.Connection, version: int) -> str:
    """Upgrade an older file, after a complete copy beside it; returns a note about it.

    Raises:
        JournalError: the copy cannot be written; nothing was changed.
    """
    copy = path.with_name(f"{path.name}.schema{version}-{stamp()}")
    try:
        backup(db, copy)
    except (sqlite3.Error, OSError) as error:
        raise JournalError(
            f"{path}: must be brought from schema {version} to {SCHEMA_VERSION}, and the copy "
            f"{copy.name} cannot be written first ({error}). Free space there and start again."
        ) from None
    for step in range(version, SCHEMA_VERSION):
        db.execute("BEGIN IMMEDIATE")
        try:
            _MIGRATIONS[step](db)
            db.execute(f"PRAGMA user_version={step + 1}")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
    return f"{path.name}: brought from schema {version} to {SCHEMA_VERSION}; before: {copy.name}"


def _to_2(db: sqlite3.Connection) -> None:
    for statement in _SAMPLES.split(";"):
        if statement.strip():
            db.execute(statement)
    epoch = str(db.execute("SELECT value FROM meta WHERE key='epoch'").fetchone()[0])
    last = db.execute("SELECT ifnull(max(seq), 0) FROM ev").fetchone()[0]
    write_meta(
        db,
        old_until=last,
        ev_anchor=f"0:{epoch.encode().hex()}",
        sample_anchor="0:" + secrets.token_bytes(16).hex(),
    )


_MIGRATIONS = {1: _to_2}


def stamp() -> str:
    """The current time for a file's name."""
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime())


def backup(db: sqlite3.Connection, target: Path) -> None:
    """Copy the file to ``target``, which appears only once it is complete and on disk.

    Raises:
        sqlite3.Error, OSError: the copy cannot be written.
    """
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        os.close(os.open(part, os.O_CREAT | os.O_WRONLY, 0o600))
        db.execute("VACUUM INTO ?", (str(part),))
        copy = sqlite3.connect(part)
        try:
            found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(str(found))
        finally:
            copy.close()
        descriptor = os.open(part, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


# -- contents -----------------------------------------------------------------------------


def used_bytes(db: sqlite3.Connection) -> int:
    """Size of the contents in bytes, without free pages."""
    size, pages, free = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    return size * (pages - free)


LEDGER_EVENTS = 20_000


def ledger_events(db: sqlite3.Connection, until: int) -> list[bytes]:
    """Events of positions up to number ``until``, oldest first, the newest 20,000."""
    rows = db.execute(
        "SELECT body FROM (SELECT seq, body FROM kept UNION ALL "
        "SELECT seq, body FROM ev INDEXED BY ev_ledger "
        f"WHERE type IN {LEDGER_TYPES!r}) WHERE seq <= ? ORDER BY seq DESC LIMIT ?",
        (until, LEDGER_EVENTS),
    ).fetchall()
    return [require_bytes(row[0]) for row in reversed(rows)]


def known_gaps(meta: dict[str, str]) -> list[tuple[int, int]]:
    """Runs of events that are missing since a salvage: first and last number of each."""
    found: list[tuple[int, int]] = []
    for text in meta.get("gaps", "").split():
        first, _, last = text.partition("-")
        found.append((int(first), int(last)))
    return found


def journal_status(db: sqlite3.Connection) -> dict[str, Any]:
    """Counts, bounds and size of a journal."""
    meta = read_meta(db)
    count, first, last, begin, end = db.execute(
        "SELECT count(*), min(seq), max(seq), min(at), max(at) FROM ev"
    ).fetchone()
    samples = db.execute("SELECT count(*) FROM sample").fetchone()[0]
    kept = db.execute("SELECT count(*) FROM kept").fetchone()[0]
    return {
        "epoch": meta.get("epoch"),
        "events": count,
        "first": first,
        "last": last,
        "from": begin,
        "to": end,
        "samples": samples,
        "kept": kept,
        "bytes": used_bytes(db),
    }
