"""The journal: on disk before anyone hears, whole after any stop, honest when it cannot write."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, cast

import pytest
from support.feed_kit import OpenFeed, frame, frame_of, join
from support.until import until

from streamer.journal.schema import SCHEMA_VERSION, anchor, event_hash, event_hash_v1, read_meta
from streamer.journal.verify import verify
from streamer.journal.writer import Journal, JournalError, JournalLocked
from streamer.protocol.messages import (
    Account,
    AccountUpdate,
    PositionClosed,
    PositionOpened,
    ScanStart,
)
from streamer.service import Feed
from streamer.settings import FeedSettings, JournalSettings


async def test_state_epoch_and_numbers_go_on_after_a_restart(open_feed: OpenFeed) -> None:
    feed = await open_feed("j.db")
    feed.publish(ScanStart(count=1))
    feed.publish({"type": "TRADE_EXECUTION", "symbol": "EURUSD", "lot": 0.1})
    feed.publish(
        PositionOpened(ticket=7, symbol="EURUSD", direction="BUY", volume=0.1, entry_price=1.1)
    )
    feed.publish(PositionClosed(ticket=7, symbol="EURUSD", direction="BUY", volume=0.1, profit=2.5))
    feed.publish({"type": "BOT_STATUS", "state": "scanning"})
    await until(lambda: feed.state.seq == 5)
    events, epoch = list(feed.state.events), feed.state.epoch
    await feed.close()
    again = await open_feed("j.db")
    assert (again.state.epoch, again.state.seq) == (epoch, 5)
    assert list(again.state.events) == events
    assert [trade["symbol"] for trade in again.state.recent_trades] == ["EURUSD"]
    assert again.ledger.newest(5)[0]["outcome"] == "WIN"
    assert again.state.bot is None, "how the bot is now is not known yet"
    again.publish(ScanStart(count=2))
    await until(lambda: again.state.seq == 6)


async def test_a_client_resumes_across_a_restart(open_feed: OpenFeed) -> None:
    feed = await open_feed("j.db")
    for number in range(10):
        feed.publish(ScanStart(count=number))
    await until(lambda: feed.state.seq == 10)
    since = f"{feed.state.epoch}:4"
    await feed.close()
    again = await open_feed("j.db")
    async with await join(again, f"?since={since}") as ws:
        snapshot = await frame(ws)
        assert (snapshot["resumed"], snapshot["seq"]) == (True, 10)
        assert [(await frame(ws))["seq"] for _ in range(6)] == [5, 6, 7, 8, 9, 10]


class Held(Journal):
    """A journal whose disk waits until it is let go."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.go = threading.Event()

    def _write(self, *waiting: Any) -> None:
        self.go.wait(10)
        super()._write(*waiting)


async def test_a_log_event_reaches_nobody_before_it_is_on_disk(tmp_path: Path) -> None:
    journal = Held(tmp_path / "j.db")
    feed = Feed(FeedSettings(port=0, heartbeat_s=60), journal)
    await feed.start()
    try:
        async with await join(feed) as ws:
            await frame(ws)
            feed.publish(ScanStart(count=1))
            feed.publish(AccountUpdate(account=Account(balance=1.0)))
            # The state event was published later and passes the log event that waits.
            assert (await frame(ws))["type"] == "ACCOUNT_UPDATE"
            assert (feed.waiting, feed.state.seq) == (1, 0)
            journal.go.set()
            assert (await frame(ws))["seq"] == 1
    finally:
        journal.go.set()
        await feed.close()


class Full(Journal):
    """A journal on a disk that is full as long as ``full`` is set: SQLite itself says so."""

    full = False

    def _connect(self) -> sqlite3.Connection:
        db = super()._connect()
        if self.full:
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            db.execute(f"PRAGMA max_page_count={pages}")
        return db

    def _write(self, *waiting: Any) -> None:
        if self.full and self._db is not None and self.trouble is None:
            self._drop_connection()
        super()._write(*waiting)


async def test_a_full_disk_holds_log_events_back_says_so_and_recovers(tmp_path: Path) -> None:
    journal = Full(tmp_path / "j.db", JournalSettings(waiting_events=100))
    feed = Feed(FeedSettings(port=0, heartbeat_s=0.05), journal)
    await feed.start()
    try:
        async with await join(feed) as ws:
            await frame(ws)
            journal.full = True
            for number in range(120):
                feed.publish({"type": "BIG", "n": number, "data": "x" * 5000})
            await until(lambda: not journal.ok)
            assert feed.refused == 20, "more than may wait is refused and takes no number"
            beat = await frame_of(ws, "HEARTBEAT")
            while beat["journal"] == "ok":
                beat = await frame_of(ws, "HEARTBEAT")
            assert "full" in beat["journal"]
            report = feed.health.report()
            assert report["status"] == "down"
            assert "full" in report["checks"]["journal"]["text"]
            feed.publish(AccountUpdate(account=Account(balance=5.0)))
            assert (await frame_of(ws, "ACCOUNT_UPDATE"))["account"]["balance"] == 5.0
            journal.full = False
            numbers = [(await frame_of(ws, "BIG"))["n"] for _ in range(100)]
            assert numbers == list(range(100))
            await until(lambda: journal.ok)
            feed.publish(ScanStart(count=1))
            assert (await frame_of(ws, "SCAN_START"))["seq"] == 101
    finally:
        await feed.close()


async def test_close_writes_what_waits(open_feed: OpenFeed, tmp_path: Path) -> None:
    feed = await open_feed("j.db")
    for number in range(3000):
        feed.publish(ScanStart(count=number))
    await feed.close()
    with sqlite3.connect(tmp_path / "j.db") as db:
        assert db.execute("SELECT count(*), max(seq) FROM ev").fetchone() == (3000, 3000)
    db.close()


async def test_a_closed_journal_is_whole_in_its_one_file_also_while_someone_reads(
    open_feed: OpenFeed, tmp_path: Path
) -> None:
    feed = await open_feed("j.db")
    reader = sqlite3.connect(f"{(tmp_path / 'j.db').as_uri()}?mode=ro", uri=True)
    for number in range(50):
        feed.publish(ScanStart(count=number))
    await until(lambda: feed.state.seq == 50)
    assert reader.execute("SELECT count(*) FROM ev").fetchone() == (50,)
    await feed.close()
    alone = tmp_path / "alone.db"
    alone.write_bytes((tmp_path / "j.db").read_bytes())
    reader.close()
    assert verify(alone).events == 50, "what is copied without the log has everything"


async def test_many_events_are_few_steps(tmp_path: Path) -> None:
    """Each step of SQLite gives up the interpreter's lock. Beside a loop that never rests each
    return costs milliseconds: a step an event was two seconds for one commit."""
    steps: list[str] = []

    class Counted(Held):
        def _connect(self) -> sqlite3.Connection:
            db = super()._connect()
            db.set_trace_callback(steps.append)
            return db

    journal = Counted(tmp_path / "j.db")
    feed = Feed(FeedSettings(port=0), journal)
    await feed.start()
    feed.publish(ScanStart(count=0))
    await asyncio.sleep(0.05)  # the writer has this one in hand, the others wait
    for number in range(500):
        feed.publish(ScanStart(count=number))
    steps.clear()
    journal.go.set()
    await until(lambda: feed.state.seq == 501)
    inserts = [text for text in steps if text.startswith("INSERT INTO ev")]
    await feed.close()
    assert 2 <= len(inserts) <= 40, "not one an event"
    assert verify(tmp_path / "j.db").ok


async def test_only_one_process_has_a_journal(open_feed: OpenFeed, tmp_path: Path) -> None:
    feed = await open_feed("j.db")
    with pytest.raises(JournalLocked, match=str(os.getpid())):
        await Journal(tmp_path / "j.db").start(cast("Any", feed))
    with pytest.raises(JournalLocked):
        Journal.remove(tmp_path / "j.db")
    await feed.close()
    Journal.remove(tmp_path / "j.db")
    assert not (tmp_path / "j.db").exists()


async def test_a_corrupt_file_is_set_aside_and_what_is_whole_is_saved(
    open_feed: OpenFeed, tmp_path: Path
) -> None:
    feed = await open_feed("j.db")
    for number in range(2000):
        feed.publish({"type": "X", "n": number, "data": "x" * 100})
    await until(lambda: feed.state.seq == 2000)
    epoch = feed.state.epoch
    await feed.close()
    path = tmp_path / "j.db"
    damaged = bytearray(path.read_bytes())
    damaged[4096 * 30 : 4096 * 33] = b"\xa5" * (4096 * 3)
    path.write_bytes(bytes(damaged))
    again = await open_feed("j.db")
    assert again.state.epoch != epoch, "no client may go on from numbers that may be gone"
    assert again.journal is not None
    rows = await again.journal.query("SELECT seq, json_extract(body, '$.n') FROM ev")
    kept = {seq: n for seq, n in rows if seq <= 2000}
    assert all(n == seq - 1 for seq, n in kept.items()), "what is there is what was written"
    assert 1800 < len(kept) < 2000, "three pages are gone, not more"
    await until(lambda: again.state.seq > max(kept))
    said = again.state.events[-1]
    assert (said["type"], said["code"]) == ("RISK_ALERT", "JOURNAL")
    assert f"{len(kept)} events saved" in said["text"]
    assert [name for name in os.listdir(tmp_path) if ".corrupt-" in name]


async def test_a_file_whose_first_page_is_gone_is_still_salvaged(
    open_feed: OpenFeed, tmp_path: Path
) -> None:
    feed = await open_feed("j.db")
    for number in range(300):
        feed.publish({"type": "X", "n": number, "data": "y" * (9000 if number == 7 else 50)})
    await until(lambda: feed.state.seq == 300)
    await feed.close()
    path = tmp_path / "j.db"
    damaged = bytearray(path.read_bytes())
    damaged[:4096] = bytes(4096)
    path.write_bytes(bytes(damaged))
    again = await open_feed("j.db")
    assert again.journal is not None
    rows = await again.journal.query("SELECT seq, json_extract(body, '$.n') FROM ev")
    assert {(n + 1, n) for n in range(300)} <= set(rows), "also the one longer than a page"


OLD_SCHEMA = """
CREATE TABLE ev(
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL,
    chain BLOB NOT NULL
);
CREATE INDEX ev_ledger ON ev(seq)
    WHERE type IN ('POSITION_OPENED', 'POSITION_MODIFIED', 'POSITION_CLOSED');
CREATE INDEX ev_at ON ev(at);
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES('epoch', 'abc');
PRAGMA user_version=1;
"""


def old_journal(path: Path, count: int) -> None:
    """A journal as schema 1 had it."""
    db = sqlite3.connect(path)
    db.executescript(OLD_SCHEMA)
    chain = b"abc"
    for seq in range(1, count + 1):
        body = b'{"type":"X","n":%d,"seq":%d}' % (seq, seq)
        chain = event_hash_v1(chain, seq, body)
        db.execute("INSERT INTO ev VALUES(?,?,?,?,?)", (seq, 1e9 + seq, "X", body, chain))
    db.commit()
    db.close()


async def test_an_older_journal_is_brought_up_to_date_after_a_copy(
    open_feed: OpenFeed, tmp_path: Path
) -> None:
    old_journal(tmp_path / "j.db", 50)
    feed = await open_feed("j.db")
    assert (feed.state.epoch, [e["n"] for e in feed.state.events][:3]) == ("abc", [1, 2, 3])
    feed.publish(ScanStart(count=1))
    await until(lambda: feed.state.seq == 52, 5)  # the note of what was done, and this one
    await feed.close()
    assert verify(tmp_path / "j.db").ok
    copies = [p for p in tmp_path.iterdir() if ".schema1-" in p.name]
    assert len(copies) == 1
    db = sqlite3.connect(copies[0])
    assert db.execute("SELECT count(*) FROM ev").fetchone() == (50,)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    db.close()
    db = sqlite3.connect(tmp_path / "j.db")
    assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    db.close()


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("PRAGMA user_version=99", "newer"),
        ("CREATE TABLE other(x)", "another program"),
    ],
)
async def test_a_file_that_is_not_ours_is_refused_untouched(
    tmp_path: Path, sql: str, words: str
) -> None:
    path = tmp_path / "x.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE t(x)")
    db.execute(sql)
    db.commit()
    db.close()
    before = path.read_bytes()
    feed = Feed(FeedSettings(port=0), Journal(path))
    with pytest.raises(JournalError, match=words):
        await feed.start()
    assert path.read_bytes()[100:] == before[100:]
    Journal.remove(path)  # the lock is free


async def test_a_folder_that_cannot_be_written_is_an_error_that_helps(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    feed = Feed(FeedSettings(port=0), Journal(blocked / "j.db"))
    with pytest.raises(JournalError, match="choose another file"):
        await feed.start()


async def test_each_row_is_chained_to_the_one_before(open_feed: OpenFeed, tmp_path: Path) -> None:
    feed = await open_feed("j.db")
    for number in range(20):
        feed.publish(ScanStart(count=number))
    await until(lambda: feed.state.seq == 20)
    await feed.close()
    again = await open_feed("j.db")
    again.publish(ScanStart(count=20))
    await until(lambda: again.state.seq == 21)
    db = sqlite3.connect(tmp_path / "j.db")
    chain = anchor(read_meta(db), "ev")[1]
    for seq, at, kind, body, link in db.execute("SELECT * FROM ev ORDER BY seq"):
        chain = event_hash(chain, seq, at, kind, body)
        assert link == chain
    db.close()
    assert seq == 21


WRITER = """
import asyncio, sys
from pathlib import Path
from streamer.service import Feed
from streamer.journal.writer import Journal
from streamer.settings import FeedSettings

async def main():
    feed = Feed(FeedSettings(port=0), Journal(Path(sys.argv[1])))
    feed.watch(lambda e: print(e["seq"], e["n"], flush=True))
    await feed.start()
    n = feed.state.seq
    while True:
        for _ in range(20):
            n += 1
            feed.publish({"type": "X", "n": n})
        await asyncio.sleep(0.001)

asyncio.run(main())
"""
STALL_S = 20.0
"""A writer that has begun and is not at its mark by then is killed where it is: as good."""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
async def test_kill_9_loses_nothing_that_was_told_and_reuses_no_number(
    tmp_path: Path, open_feed: OpenFeed
) -> None:
    path = tmp_path / "k.db"
    told: dict[int, int] = {}
    for _ in range(4):
        writer = subprocess.Popen(  # noqa: ASYNC220 - it is killed below
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        bound = threading.Timer(STALL_S, writer.kill)
        for line in writer.stdout:
            if not line.endswith("\n"):
                break
            if bound.ident is None:  # how long a start takes is not the matter here
                bound.start()
            seq, n = map(int, line.split())
            assert told.get(seq, n) == n, "a number was used for other content"
            told[seq] = n
            if len(told) % 400 == 0:
                writer.send_signal(signal.SIGKILL)
                break
        bound.cancel()
        rest, _ = await asyncio.to_thread(writer.communicate)
        for line in rest.splitlines(keepends=True):
            if line.endswith("\n"):
                seq, n = map(int, line.split())
                told[seq] = n
    db = sqlite3.connect(path)
    kept = dict(db.execute("SELECT seq, json_extract(body, '$.n') FROM ev"))
    db.close()
    assert len(told) >= 400
    assert {seq: kept.get(seq) for seq in told} == told
    assert sorted(kept) == list(range(1, max(kept) + 1))
