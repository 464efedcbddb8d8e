"""Incident files: a few minutes of a journal without its owner's identity, to hand to others.

The file is a normal journal, with hash chains of its own: ``mt5dash journal verify``
checks it and ``mt5dash replay --db FILE`` shows it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..protocol.codec import decode, encode
from ..protocol.sections import MAX_EVENTS
from . import schema
from .recorder import open_body, pack_body, rebuild, whole_sample

WORDS = frozenset({"name", "server", "comment", "company", "actor"})
"""The text of these fields is replaced at any depth."""
NUMBERS = frozenset({"login"})
HIDDEN, NO_LOGIN = "(hidden)", 0
LEAST = 4
"""Shorter names are replaced only as a whole field, not inside a text."""


class Redactor:
    """Removes the owner: login, names, server and comments, and every other occurrence of the
    login, a name or the server in a text.

    Commands, markets and strategies keep their names.
    """

    def __init__(self) -> None:
        self.secrets: set[str] = set()

    def learn(self, account: Mapping[str, Any]) -> None:
        """Remember the parts of an account that no text may contain."""
        for key in ("login", "name", "server"):
            value = account.get(key)
            if isinstance(value, str | int) and len(str(value)) >= LEAST:
                self.secrets.add(str(value))

    def clean(self, value: Any, *, command: bool = False) -> Any:
        """A copy of a JSON value without the owner."""
        if isinstance(value, dict):
            command = command or value.get("type") == "COMMAND_AUDIT"
            return {self._text(k): self._field(k, v, command) for k, v in value.items()}
        if isinstance(value, list):
            return [self.clean(item, command=command) for item in value]
        return self._text(value) if isinstance(value, str) else value

    def _field(self, key: str, value: Any, command: bool) -> Any:
        if key in NUMBERS and isinstance(value, int | str):
            return NO_LOGIN if isinstance(value, int) else HIDDEN
        if key == "account" and isinstance(value, str) and value:
            return HIDDEN  # the event's account: LOGIN@SERVER
        if key in WORDS and isinstance(value, str) and value:
            return self._text(value) if command and key == "name" else HIDDEN
        return self.clean(value, command=command)

    def _text(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text


def write_incident(source: Path, target: Path, begin: float, end: float) -> dict[str, Any]:
    """Copy the rows from ``begin`` to ``end`` (epoch seconds), redacted.

    Returns:
        The new file's ``schema.journal_status`` and its ``head``.

    Raises:
        JournalError: there are no rows of that time, or a file cannot be read or written.
    """
    if target.exists():
        raise schema.JournalError(f"{target}: exists already; choose another name with --out")
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    db = schema.read_only(source)
    try:
        os.close(os.open(part, os.O_CREAT | os.O_WRONLY, 0o600))
        out = sqlite3.connect(part, isolation_level=None)
        try:
            status = _copy(db, out, begin, end, source)
        finally:
            out.close()
        part.replace(target)
        return status
    except (sqlite3.Error, OSError) as error:
        raise schema.JournalError(f"{target}: cannot be written from {source}: {error}") from None
    finally:
        db.close()
        part.unlink(missing_ok=True)


def _copy(
    db: sqlite3.Connection, out: sqlite3.Connection, begin: float, end: float, source: Path
) -> dict[str, Any]:
    event = db.execute(
        "SELECT seq FROM ev WHERE at < ? ORDER BY at DESC, seq DESC LIMIT 1", (begin,)
    ).fetchone()
    sample = db.execute(
        "SELECT id, seq FROM sample WHERE at < ? ORDER BY at DESC, id DESC LIMIT 1", (begin,)
    ).fetchone() or (0, 0)
    seq = max(event[0] if event else 0, sample[1])
    before = rebuild(db, seq, sample[0])
    events = db.execute(
        "SELECT seq, at, type, body FROM ev WHERE (seq > ? AND at <= ?) OR "
        "(seq > ? AND seq <= ?) ORDER BY seq",
        (seq, end, seq - MAX_EVENTS, seq),
    ).fetchall()
    samples = db.execute(
        "SELECT at, seq, whole, body FROM sample WHERE id > ? AND at <= ? ORDER BY id",
        (sample[0], end),
    ).fetchall()
    if not any(row[1] >= begin for row in events) and not samples:
        raise schema.JournalError(f"{source}: nothing was recorded around that time")
    redact = Redactor()
    for bot in before.state.each():
        redact.learn(bot.account)
    for row in samples:
        data = open_body(row[3])
        for part in (data, *data.get("bots", {}).values()):
            redact.learn(part.get("account") or {})
    schema.create(out, made_from="incident", old_until=0)
    out.execute("BEGIN")
    meta = schema.read_meta(out)
    first = events[0][0] if events else seq + 1
    chain = schema.anchor(meta, "ev")[1]
    schema.set_anchor(out, "ev", first - 1, chain)
    last, holes = first - 1, []
    for number, at, kind, body in events:
        if number != last + 1:
            holes.append(f"{last + 1}-{number - 1}")
        clean = encode(redact.clean(decode(body)))
        chain = schema.event_hash(chain, number, at, kind, clean)
        out.execute("INSERT INTO ev VALUES(?,?,?,?,?)", (number, at, kind, clean, chain))
        last = number
    data = whole_sample(before)
    link = schema.anchor(meta, "sample")[1]
    # The first sample is the whole state at the beginning.
    rows = [(begin, seq, 1, data), *((at, n, w, open_body(b)) for at, n, w, b in samples)]
    for number, (at, upto, whole, content) in enumerate(rows, 1):
        packed = pack_body(encode(redact.clean(content)))
        link = schema.sample_hash(link, number, at, upto, whole, packed)
        out.execute(
            "INSERT INTO sample VALUES(?,?,?,?,?,?)", (number, at, upto, whole, packed, link)
        )
    schema.write_meta(out, gaps=" ".join(holes), begin=begin, end=end)
    out.execute("COMMIT")
    return {**schema.journal_status(out), "head": f"{last}:{chain.hex()}"}
