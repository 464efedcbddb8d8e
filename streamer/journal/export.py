"""``mt5dash journal export``: events or trades as JSON lines, CSV or Parquet."""

from __future__ import annotations

import contextlib
import csv
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ..protocol.codec import decode, encode
from ..state.reducer import bot_of
from ..state.trades import TradeLedger
from . import schema
from .recorder import open_body

FORMATS = ("jsonl", "csv", "parquet")
PAGE_ROWS = 5000
COLUMNS = ("seq", "timestamp", "type", "symbol", "ticket")
"""Columns of an events table; a further one, ``event``, has the event as JSON."""


def events(db: sqlite3.Connection, begin: float | None, end: float | None) -> Iterator[bytes]:
    """The log events of a span of time (epoch seconds), in order, as they were written.

    Raises:
        JournalError: the file is damaged.
    """
    last = 0
    while True:
        rows = db.execute(
            "SELECT seq, at, body FROM ev WHERE seq > ? ORDER BY seq LIMIT ?", (last, PAGE_ROWS)
        ).fetchall()
        if not rows:
            return
        for seq, at, body in rows:
            if seq <= last:
                raise schema.JournalError(
                    f"event {seq} follows {last}: the journal is damaged; "
                    "`mt5dash journal verify` names where"
                )
            last = seq
            if (begin is None or at >= begin) and (end is None or at <= end):
                yield schema.require_bytes(body)


def own_bot(db: sqlite3.Connection) -> str:
    """The name of the feed's own bot; empty for journals written before bots were named."""
    row = db.execute(
        "SELECT body FROM sample WHERE whole = 1 ORDER BY seq DESC, id DESC"
    ).fetchone()
    if row is not None:
        with contextlib.suppress(ValueError):
            name = open_body(row[0]).get("bot_name")
            return name if isinstance(name, str) else ""
    return ""


def ledgers_of(db: sqlite3.Connection) -> dict[str, TradeLedger]:
    """The trades of a journal by bot, the feed's own first: two accounts may have the same ticket
    numbers. Events without a bot's name are those of the own bot."""
    own = own_bot(db)
    found = {own: TradeLedger()}
    for raw in schema.ledger_events(db, 1 << 62):
        event = decode(raw)
        found.setdefault(bot_of(event) or own, TradeLedger()).apply(event)
    return found


def trade_rows(db: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """The trades by bot, in the order in which they were opened."""
    for name, ledger in ledgers_of(db).items():
        for trade in ledger:
            yield {"bot": name, **trade.row()}


def event_row(raw: bytes) -> dict[str, Any]:
    """One event as a row of a table."""
    event = decode(raw)
    return {**{name: event.get(name) for name in COLUMNS}, "event": raw.decode()}


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its lists and objects as JSON text."""
    return {k: encode(v).decode() if isinstance(v, dict | list) else v for k, v in row.items()}


def write_lines(lines: Iterator[bytes], out: IO[bytes]) -> int:
    """Write JSON lines; returns how many."""
    return sum(1 for line in lines if out.write(line + b"\n"))


def write_csv(rows: Iterator[dict[str, Any]], out: IO[str]) -> int:
    """Write CSV with a header; returns the number of rows. A text that a spreadsheet would execute
    as a formula gets an apostrophe before it."""
    writer: csv.DictWriter[str] | None = None
    count = 0
    for row in rows:
        values = {k: _inert(v) for k, v in flat(row).items()}
        if writer is None:
            writer = csv.DictWriter(out, list(values), lineterminator="\n")
            writer.writeheader()
        writer.writerow(values)
        count += 1
    return count


def _inert(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def write_parquet(rows: Iterator[dict[str, Any]], path: Path) -> int:
    """Write Parquet; returns the number of rows.

    Raises:
        JournalError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise schema.JournalError(
            "Parquet needs pyarrow: pip install pyarrow (or choose --format csv)"
        ) from None
    table = pyarrow.Table.from_pylist([flat(row) for row in rows])
    pyarrow.parquet.write_table(table, path)
    return int(table.num_rows)
