"""Journals with trading in them, for tests of what is done to journal files."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from streamer.journal import schema as file
from streamer.journal.writer import Journal
from streamer.service import Feed
from streamer.settings import FeedSettings, JournalSettings
from support.until import until

DAY = 86_400.0


NOW = float(int(time.time()))


SECRETS = ("4711471", "Jane Roe", "Broker-Live7", "my private note")


async def fill(path: Path, ages: list[float], settings: JournalSettings | None = None) -> None:
    """A journal with one second of trading at each age (seconds before now)."""
    at = NOW
    feed = Feed(FeedSettings(port=0), Journal(path, settings), clock=lambda: at)
    assert feed.sampler is not None
    feed.sampler.due = float("inf")
    await feed.start()
    assert feed.journal is not None
    for n, age in enumerate(ages):
        at = NOW - age
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at))
        account = {
            "balance": 100.0,
            "equity": 100.0 + n % 5 - n / 10,
            "currency": "EUR",
            "login": int(SECRETS[0]),
            "name": SECRETS[1],
            "server": SECRETS[2],
        }
        ticket = 1 + n // 3
        life = ("POSITION_OPENED", "POSITION_MODIFIED", "POSITION_CLOSED")[n % 3]
        events: list[dict[str, Any]] = [
            {"type": "ACCOUNT_UPDATE", "account": account},
            {
                "type": "POSITION_UPDATE",
                "positions": [{"ticket": ticket, "profit": float(n % 3), "comment": SECRETS[3]}],
            },
            {
                "type": life,
                "ticket": ticket,
                "symbol": "=EURUSD",
                "direction": "BUY",
                "volume": 0.2 if n % 3 != 1 else 0.1,
                "old_volume": 0.2,
                "profit": 5.0 if n % 2 else -2.5,
                "components": {"zone": 3.0},
                "owner": "bot",
            },
            {"type": "RISK_ALERT", "code": "X", "level": "info", "text": f"{SECRETS[0]} says hi"},
            {
                "type": "SCAN_SUMMARY",
                "symbols": {"A": "x"},
                "count": 1,
                "candidates": 0,
                "details": {"A": {"code": "SPREAD", "gate": "spread"}},
            },
        ]
        for event in events:
            feed.publish({**event, "timestamp": stamp})
        await until(lambda: not feed.waiting)
        assert feed.sampler is not None
        feed.sampler.take()
    await feed.close()


def everything(path: Path) -> dict[str, Any]:
    """All that any program reads of a journal, through tables and through indexes."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        found: dict[str, Any] = {
            table: db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            for table in ("ev", "sample", "kept", "meta")
        }
        found["at"] = db.execute("SELECT seq FROM ev INDEXED BY ev_at WHERE at > 0").fetchall()
        found["ledger"] = file.ledger_events(db, 1 << 60)
        found["whole"] = db.execute("SELECT id FROM sample WHERE whole = 1").fetchall()
        found["sample_at"] = db.execute("SELECT id FROM sample WHERE at > 0").fetchall()
        return found
    finally:
        db.close()
