"""``mt5dash journal verify``: names everything in a journal that was changed or damaged.

Four checks: SQLite's own integrity check (pages, indexes), the definitions of the tables, the
checksums of the write-ahead log, and the hash chains with the seal of ``meta``. Only bytes that
store nothing are not covered.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ..protocol.codec import decode
from . import schema
from .integrity import changed_definitions, definitions_of
from .wal import read_wal

PAGE_ROWS = 5000
MAX_FINDINGS = 100
_UNREADABLE = (sqlite3.Error, ValueError, TypeError, UnicodeDecodeError)


@dataclass(slots=True)
class VerifyReport:
    """The result of a verification.

    Attributes:
        events: Number of events.
        samples: Number of samples.
        kept: Number of events that outlived pruning.
        head: Number and hash of the newest event. Stored elsewhere, it proves later that no
            event was cut off.
        findings: What is wrong, one line each.
        notes: What is worth knowing but not wrong.
    """

    events: int = 0
    samples: int = 0
    kept: int = 0
    head: str = ""
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def add_finding(self, text: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(text)


def verify(path: Path) -> VerifyReport:
    """Check everything. The file is only read, and may be in use.

    Raises:
        JournalError: there is no such file, or it is no journal of this version.
    """
    found = VerifyReport()
    wal = read_wal(path)
    if wal.bad_frame is not None:
        found.add_finding(
            f"log {path.name}-wal: frame {wal.bad_frame} is damaged; up to "
            f"{max(1, wal.lost_commits)} commits from there on are lost"
        )
    try:
        db = schema.read_only(path)
    except schema.JournalError as error:
        if not path.is_file():
            raise
        found.add_finding(str(error))
        return found
    try:
        _header(path, found)
        _integrity(db, found)
        _definitions(db, found)
        meta = schema.read_meta(db)
        if meta.get("seal") != schema.meta_seal(meta):
            found.add_finding("table meta: an entry is not what was written")
        _numbers(db, found)
        for check in (_events, _samples, _kept, _indexes):
            try:
                check(db, meta, found)
            except _UNREADABLE as error:
                found.add_finding(f"cannot be read further: {error}")
        if meta.get("gaps"):
            found.notes.append(f"events missing since a salvage: {meta['gaps']}")
    except _UNREADABLE as error:
        found.add_finding(f"cannot be read further: {error}")
    finally:
        db.close()
    return found


def _header(path: Path, found: VerifyReport) -> None:
    """Check the fields that SQLite does not check of the first 100 bytes (file format, section
    1.3). With another write version, for example, the file can be read but not written."""
    with path.open("rb") as opened:
        head = opened.read(100)
    numbers = struct.unpack(">25I", head)
    as_written = {
        "read and write version": head[18:20] in (b"\1\1", b"\2\2"),
        "schema format": numbers[11] == 4,
        "text encoding": numbers[14] == 1,
        "kind of vacuum": numbers[16] in (0, 1),
        "reserved bytes": not any(head[72:92]),
    }
    for name, fits in as_written.items():
        if not fits:
            found.add_finding(f"file: its {name} in the header is not what was written")


def _integrity(db: sqlite3.Connection, found: VerifyReport) -> None:
    try:
        for (text,) in db.execute("PRAGMA integrity_check(20)"):
            if text != "ok":
                for line in str(text).splitlines():
                    found.add_finding(f"file: {line}")
    except sqlite3.DatabaseError as error:
        found.add_finding(f"file: {error}")


def _definitions(db: sqlite3.Connection, found: VerifyReport) -> None:
    for kind, name, there in changed_definitions(db):
        if kind == "index" and there is None:
            found.notes.append(f"index {name} is missing; the program creates it again")
        else:
            found.add_finding(f"file: {kind} {name} differs from its definition")


# The program's query of each index whose key is the row's own number: SQLite's check does not
# detect a wrong key of this kind.
_INDEX_QUERIES = {
    "ev_ledger": f"seq FROM ev INDEXED BY ev_ledger WHERE type IN {schema.LEDGER_TYPES!r}",
    "ev_audit": "seq FROM ev INDEXED BY ev_audit WHERE type = 'COMMAND_AUDIT'",
    "sample_whole": "seq, id FROM sample INDEXED BY sample_whole WHERE whole = 1",
}


def _indexes(db: sqlite3.Connection, _: dict[str, str], found: VerifyReport) -> None:
    there = {name for kind, name in definitions_of(db) if kind == "index"}
    for name, query in _INDEX_QUERIES.items():
        if name not in there:
            continue
        last = "seq DESC, id DESC" if name == "sample_whole" else "seq DESC"
        plain = query.replace(f"INDEXED BY {name}", "NOT INDEXED")
        try:
            rows = db.execute(f"SELECT {query} AND seq <= ? ORDER BY {last}", (1 << 62,))
            true = db.execute(f"SELECT {plain} ORDER BY {last}")
            same = all(one == other for one, other in zip_longest(rows, true))
        except sqlite3.DatabaseError:
            same = False
        if not same:
            found.add_finding(f"file: index {name} does not fit its table")


def _numbers(db: sqlite3.Connection, found: VerifyReport) -> None:
    number = int(db.execute("PRAGMA application_id").fetchone()[0])
    if number not in (schema.APPLICATION_ID, 0):
        found.add_finding(
            f"file: its application_id is {number:#x}, not {schema.APPLICATION_ID:#x}"
        )


def _pages(db: sqlite3.Connection, table: str, key: str) -> Iterator[tuple[Any, ...]]:
    """All rows in order, in short reads that do not delay a program that writes.

    Raises:
        sqlite3.DatabaseError: they are not in order. A query for the rows after such a row
            could return the same ones for ever.
    """
    last = -(1 << 62)
    while True:
        rows = db.execute(
            f"SELECT * FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT ?", (last, PAGE_ROWS)
        ).fetchall()
        if not rows:
            return
        for row in rows:
            if row[0] <= last:
                raise sqlite3.DatabaseError(f"the rows of {table} are out of order at {row[0]}")
            last = row[0]
            yield row


Link = Callable[[bytes, tuple[Any, ...]], bytes]


def _chain(
    rows: Iterator[tuple[Any, ...]],
    start: tuple[int, bytes],
    link: Link,
    name: Callable[[tuple[Any, ...]], str],
    gaps: set[int],
    found: VerifyReport,
) -> tuple[int, tuple[int, bytes]]:
    """Check a chain; each wrong row is reported once, and the check continues from its hash."""
    count, (number, chain) = 0, start
    doubt: tuple[tuple[Any, ...], bytes] | None = None
    for row in rows:
        count += 1
        if row[0] != number + 1 and number + 1 not in gaps:
            found.add_finding(f"{name(row)}: {number + 1} to {row[0] - 1} are missing before it")
        stored = row[-1] if isinstance(row[-1], bytes) else b""
        try:
            made = link(chain, row)
        except (TypeError, AttributeError, struct.error):
            made = b""  # a column has another type
        if doubt is not None:
            # Which part of the row before was changed, its content or its hash?
            same = bool(doubt[1]) and link(doubt[1], row) == stored
            what = "its hash was changed" if same else _CHANGED
            found.add_finding(f"{name(doubt[0])}: {what}")
            if what != _CHANGED:
                made = stored
            doubt = None
        if made != stored:
            doubt = (row, made)
        number, chain = int(row[0]), stored
    if doubt is not None:
        found.add_finding(f"{name(doubt[0])}: {_CHANGED}")
    return count, (number, chain)


_CHANGED = "it is not what was written"


def _when(at: Any) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    except (TypeError, ValueError, OverflowError, OSError):
        return str(at)


def _events(db: sqlite3.Connection, meta: dict[str, str], found: VerifyReport) -> None:
    old_until = int(meta.get("old_until", 0))

    def link(previous: bytes, row: tuple[Any, ...]) -> bytes:
        seq, at, kind, body, _ = row
        if seq <= old_until:
            return schema.event_hash_v1(previous, seq, body)
        return schema.event_hash(previous, seq, at, kind, body)

    def checked() -> Iterator[tuple[Any, ...]]:
        for row in _pages(db, "ev", "seq"):
            if row[0] <= old_until:
                _old_row(row, found)
            yield row

    found.events, (last, chain) = _chain(
        checked(),
        schema.anchor(meta, "ev"),
        link,
        lambda row: f"event {row[0]} ({row[2]}, {_when(row[1])})",
        {first for first, _ in schema.known_gaps(meta)},
        found,
    )
    found.head = f"{last}:{chain.hex()}"


def _old_row(row: tuple[Any, ...], found: VerifyReport) -> None:
    """Schema 1 did not hash the type, which the body has as well."""
    try:
        same = decode(row[3])["type"] == row[2]
    except (ValueError, KeyError, TypeError):
        return  # the hash does not fit then
    if not same:
        found.add_finding(f"event {row[0]}: its type is not what was written")


def _samples(db: sqlite3.Connection, meta: dict[str, str], found: VerifyReport) -> None:
    found.samples, _ = _chain(
        _pages(db, "sample", "id"),
        schema.anchor(meta, "sample"),
        lambda previous, row: schema.sample_hash(previous, *row[:-1]),
        lambda row: f"sample {row[0]} ({_when(row[1])})",
        set(),
        found,
    )


def _kept(db: sqlite3.Connection, _: dict[str, str], found: VerifyReport) -> None:
    for seq, at, kind, body, before, chain in _pages(db, "kept", "seq"):
        found.kept += 1
        try:
            made = (
                schema.event_hash(before, seq, at, kind, body),
                schema.event_hash_v1(before, seq, body),
            )
        except (TypeError, AttributeError, struct.error):
            made = (b"", b"")
        if chain not in made:
            found.add_finding(f"kept event {seq} ({kind}, {_when(at)}): {_CHANGED}")
