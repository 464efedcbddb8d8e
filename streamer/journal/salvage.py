"""Copies the readable events of a damaged journal into a new one."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..protocol.codec import decode
from .schema import LEDGER_TYPES, anchor, event_hash, event_hash_v1, read_meta, write_meta
from .wal import rows

log = logging.getLogger("mt5dash.journal")


@dataclass(frozen=True, slots=True)
class SalvageResult:
    """The result of a salvage.

    Attributes:
        events: Number of saved events.
        last: Number of the last one.
        dropped: Events that were dropped because they did not fit their hash.
        missing: Numbers between the saved events that are lost.
    """

    events: int
    last: int
    dropped: int
    missing: int

    def __str__(self) -> str:
        return (
            f"{self.events} events saved, up to {self.last}; {self.missing} between them are lost, "
            f"{self.dropped} had been changed"
        )


def salvage(damaged: Path, db: sqlite3.Connection) -> SalvageResult:
    """Copy the events of ``damaged`` into the empty journal ``db``, without its samples.

    An event is copied when its hash fits the one before. The first one after a gap has no
    hash to fit: it is copied when it is JSON with its own number and type.
    """
    db.execute("CREATE TEMP TABLE found(seq INTEGER PRIMARY KEY, at, type, body, chain)")
    db.execute("CREATE TEMP TABLE held(seq INTEGER PRIMARY KEY, at, type, body, before, chain)")
    db.execute("BEGIN")
    for rowid, values in rows(damaged):
        event = _event(rowid, values)
        if event is not None:
            table = "found" if len(event) == 5 else "held"
            marks = ",".join("?" * len(event))
            db.execute(f"INSERT OR IGNORE INTO {table} VALUES({marks})", event)
    db.execute("COMMIT")
    db.execute("BEGIN")
    saved = _copy(db)
    db.execute("COMMIT")
    db.execute("DROP TABLE found")
    db.execute("DROP TABLE held")
    return saved


def _event(rowid: int, values: list[Any]) -> tuple[Any, ...] | None:
    """The row as an event of ``ev`` or ``kept``; ``None`` when it has another shape."""
    if len(values) not in (5, 6) or values[0] is not None or rowid <= 0:
        return None
    _, at, kind, body, *hashes = values
    shapes = isinstance(at, int | float), isinstance(kind, str), isinstance(body, bytes)
    if not all(shapes) or not all(isinstance(h, bytes) for h in hashes):
        return None
    return (rowid, float(at), kind, body, *hashes)


def _copy(db: sqlite3.Connection) -> SalvageResult:
    chain = anchor(read_meta(db), "ev")[1]
    events = dropped = missing = last = 0
    before: bytes | None = None
    holes: list[str] = []
    first = db.execute("SELECT min(seq) FROM found").fetchone()[0]
    if first is not None:
        last = int(first) - 1
    for row in db.execute("SELECT seq, at, type, body, chain FROM found ORDER BY seq"):
        seq, at, kind, body, stored = int(row[0]), float(row[1]), str(row[2]), row[3], row[4]
        if before is not None and seq == last + 1:
            fits = stored in (
                event_hash(before, seq, at, kind, body),
                event_hash_v1(before, seq, body),
            )
        else:
            fits = _has_own_number(seq, kind, body)
        if not fits:
            dropped += 1
            before = None
            continue
        if seq != last + 1:
            holes.append(f"{last + 1}-{seq - 1}")
            missing += seq - 1 - last
        if not events:
            write_meta(db, ev_anchor=f"{seq - 1}:{chain.hex()}")
        chain = event_hash(chain, seq, at, kind, body)
        db.execute("INSERT INTO ev VALUES(?,?,?,?,?)", (seq, at, kind, body, chain))
        last, before, events = seq, stored, events + 1
    for row in db.execute("SELECT seq, at, type, body, before, chain FROM held").fetchall():
        seq, at, kind, body, base, stored = row
        both = (event_hash(base, seq, at, kind, body), event_hash_v1(base, seq, body))
        if kind in LEDGER_TYPES and stored in both and (first is None or seq < first):
            link = event_hash(base, seq, at, kind, body)
            db.execute("INSERT INTO kept VALUES(?,?,?,?,?,?)", (*row[:5], link))
    write_meta(db, gaps=" ".join(holes))
    return SalvageResult(events, last, dropped, missing)


def _has_own_number(seq: int, kind: str, body: bytes) -> bool:
    try:
        event = decode(body)
    except ValueError:
        return False
    return isinstance(event, dict) and event.get("seq") == seq and event.get("type") == kind
