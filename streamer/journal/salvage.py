"""Saves what can still be read of a damaged journal into a new one."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..protocol.codec import decode
from .schema import LEDGER_TYPES, anchor, link_hash, old_link_hash, read_meta, write_meta
from .wal import rows

log = logging.getLogger("mt5dash.journal")


@dataclass(frozen=True, slots=True)
class SalvageResult:
    """``events`` were saved up to number ``last``; ``dropped`` did not fit their hash;
    ``missing`` numbers in between are gone."""

    events: int
    last: int
    dropped: int
    missing: int

    def __str__(self) -> str:
        return (
            f"{self.events} events saved, up to {self.last}; {self.missing} between them are gone, "
            f"{self.dropped} were not what had been written"
        )


def salvage(damaged: Path, db: sqlite3.Connection) -> SalvageResult:
    """Copy the events of ``damaged`` into the empty journal ``db``; its samples are given up.

    An event is taken when its hash fits the one before. The first after a hole has nothing to
    be checked against: it is taken when it is JSON that bears its own number and type.
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
    """The row as an event of ``ev`` or ``kept``, when it looks like one."""
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
                link_hash(before, seq, at, kind, body),
                old_link_hash(before, seq, body),
            )
        else:
            fits = _bears(seq, kind, body)
        if not fits:
            dropped += 1
            before = None
            continue
        if seq != last + 1:
            holes.append(f"{last + 1}-{seq - 1}")
            missing += seq - 1 - last
        if not events:
            write_meta(db, ev_anchor=f"{seq - 1}:{chain.hex()}")
        chain = link_hash(chain, seq, at, kind, body)
        db.execute("INSERT INTO ev VALUES(?,?,?,?,?)", (seq, at, kind, body, chain))
        last, before, events = seq, stored, events + 1
    for row in db.execute("SELECT seq, at, type, body, before, chain FROM held").fetchall():
        seq, at, kind, body, base, stored = row
        both = (link_hash(base, seq, at, kind, body), old_link_hash(base, seq, body))
        if kind in LEDGER_TYPES and stored in both and (first is None or seq < first):
            link = link_hash(base, seq, at, kind, body)
            db.execute("INSERT INTO kept VALUES(?,?,?,?,?,?)", (*row[:5], link))
    write_meta(db, gaps=" ".join(holes))
    return SalvageResult(events, last, dropped, missing)


def _bears(seq: int, kind: str, body: bytes) -> bool:
    try:
        event = decode(body)
    except ValueError:
        return False
    return isinstance(event, dict) and event.get("seq") == seq and event.get("type") == kind
