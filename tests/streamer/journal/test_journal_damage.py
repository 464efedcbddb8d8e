"""Damage that SQLite itself does not notice: named, salvaged, and never an endless loop."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from support.journal_kit import everything, fill
from support.until import until

from streamer.journal import export
from streamer.journal import schema as file
from streamer.journal.limits import JournalLimits
from streamer.journal.replay import Replay
from streamer.journal.verify import verify
from streamer.journal.writer import Journal
from streamer.service import Feed
from streamer.settings import FeedSettings

PAGE = 4096


async def test_a_bit_flipped_in_a_tables_statement_is_named_and_salvaged(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    await fill(path, [600.0 - n for n in range(10)])
    ledger = everything(path)["ledger"]
    data = path.read_bytes()
    # The column `body` of `ev` is called `cody` from here on: SQLite finds nothing wrong.
    assert data.count(b"type TEXT NOT NULL, body BLOB NOT NULL,\n    chain BLOB") == 1
    at = data.index(b"body BLOB NOT NULL,\n    chain BLOB")
    path.write_bytes(data[:at] + b"c" + data[at + 1 :])
    assert verify(path).findings == ["file: table ev differs from its definition"]
    feed = Feed(FeedSettings(port=0), Journal(path))
    await feed.start()
    await until(lambda: any(e.get("code") == "JOURNAL" for e in feed.state.events))
    await feed.close()
    assert everything(path)["ledger"] == ledger
    assert verify(path).ok


async def test_an_index_that_is_missing_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    await fill(path, [600.0 - n for n in range(10)])
    before = everything(path)
    db = sqlite3.connect(path)
    db.execute("DROP INDEX ev_ledger")
    db.close()
    found = verify(path)
    assert found.ok
    assert any("ev_ledger is missing" in line for line in found.notes)
    feed = Feed(FeedSettings(port=0), Journal(path))
    await feed.start()
    await feed.close()
    assert everything(path)["ledger"] == before["ledger"]
    assert verify(path).notes == []


async def test_a_key_of_an_index_that_sqlite_does_not_check_is_named(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    await fill(path, [600.0 - n for n in range(4)])
    db = sqlite3.connect(path)
    sql = "SELECT rootpage FROM sqlite_master WHERE name = 'ev_ledger'"
    page = (db.execute(sql).fetchone()[0] - 1) * PAGE
    db.close()
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"\x03\x03\x09\x09", page, page + PAGE)  # number 1: event 1, row 1
    data[entry + 1] ^= 1  # its header is shorter by one
    path.write_bytes(bytes(data))
    db = sqlite3.connect(path)
    try:
        unseen = db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    except sqlite3.DatabaseError:
        unseen = False
    db.close()
    findings = verify(path).findings
    if sqlite3.sqlite_version_info < (3, 45):
        assert unseen, "the control"
    if unseen:
        assert findings == ["file: index ev_ledger does not fit its table"]
    else:
        assert findings, "a newer SQLite finds it by itself"


@pytest.mark.parametrize("column", ["body", "chain"])
async def test_a_number_where_bytes_belong_asks_for_no_memory(tmp_path: Path, column: str) -> None:
    path = tmp_path / "j.db"
    await fill(path, [600.0 - n for n in range(4)])
    db = sqlite3.connect(path)
    # As a bit flipped in the row's header makes it: bytes(2**45) would be 32 TB of zeros.
    db.execute(f"UPDATE ev SET {column} = 35184372088832 WHERE seq = 12")
    db.commit()
    db.close()
    assert any("event 12 " in line for line in verify(path).findings)
    feed = Feed(FeedSettings(port=0), Journal(path))
    await feed.start()
    await until(lambda: any(e.get("code") == "JOURNAL" for e in feed.state.events))
    await feed.close()
    assert verify(path).events == 12, "eleven are saved, and the note of that"


async def test_rows_out_of_order_are_named_and_hold_nobody_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    await fill(path, [600.0 - n for n in range(4)])
    db = sqlite3.connect(path)
    root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ev'").fetchone()[0]
    db.close()
    data = bytearray(path.read_bytes())
    page = (root - 1) * PAGE
    assert (data[page], data[page + 4]) == (13, 12), "one leaf with the 12 events"
    first, last = page + 8, page + 8 + 2 * 11
    data[first : first + 2], data[last : last + 2] = data[last : last + 2], data[first : first + 2]
    path.write_bytes(bytes(data))
    db = file.read_only(path)
    # The control: what comes after the last row read is a row before it, again and again.
    after = "SELECT seq FROM ev WHERE seq > ? ORDER BY seq LIMIT 5000"
    assert db.execute(after, (1,)).fetchall()[-1] == (1,)
    assert any("out of order" in line for line in verify(path).findings)
    with pytest.raises(file.JournalError, match="damaged"):
        list(export.events(db, None, None))
    db.close()
    replay = Replay(path, speed=1e6)
    try:
        await replay.open()
        replay.play()
        async with asyncio.timeout(10):
            while replay.playing:
                await asyncio.sleep(0.01)
    except file.JournalError:
        pass
    finally:
        await replay.close()
    feed = Feed(FeedSettings(port=0), Journal(path))
    await feed.start()
    await until(lambda: any(e.get("code") == "JOURNAL" for e in feed.state.events))
    assert [e["seq"] for e in feed.state.events][:12] == list(range(1, 13)), "all are saved"
    await feed.close()
    assert verify(path).ok


@pytest.mark.parametrize("where", ["newest", "oldest"])
async def test_a_file_too_large_for_the_start_is_looked_at_all_the_same(
    tmp_path: Path, where: str
) -> None:
    path = tmp_path / "j.db"
    await fill(path, [600.0 - n for n in range(40)])
    limits = JournalLimits(quick_check_bytes=0, newest_events=30)
    db = sqlite3.connect(path)
    if where == "newest":  # in a row: only its hash shows it
        db.execute("UPDATE ev SET body = replace(body, 'BUY', 'SEL') WHERE seq = 118")
    db.commit()
    root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ev_audit'").fetchone()[0]
    db.close()
    if where == "oldest":  # in a page that the start does not read: SQLite's own check finds it
        data = bytearray(path.read_bytes())
        data[(root - 1) * PAGE] = 0xA5
        path.write_bytes(bytes(data))
    feed = Feed(FeedSettings(port=0), Journal(path, limits=limits))
    await feed.start()
    try:
        await until(lambda: any(e.get("code") == "JOURNAL" for e in feed.state.events))
        said = next(e for e in feed.state.events if e.get("code") == "JOURNAL")
        if where == "newest":
            assert "event 118 does not fit its hash" in said["text"]
            assert "events saved" in said["text"]
        else:
            assert said["level"] == "critical"
            assert "the next start sets it aside" in said["text"]
    finally:
        await feed.close()


async def test_a_large_file_that_is_whole_is_not_complained_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j.db"
    await fill(path, [600.0 - n for n in range(10)])
    caplog.set_level("INFO", "mt5dash.journal")
    feed = Feed(FeedSettings(port=0), Journal(path, limits=JournalLimits(quick_check_bytes=0)))
    await feed.start()
    await until(lambda: "j.db was checked completely" in caplog.text)
    assert feed.state.seq == 30
    assert not any(e.get("code") == "JOURNAL" for e in feed.state.events)
    await feed.close()


@pytest.mark.parametrize(
    ("at", "name"),
    [
        (18, "read and write version"),
        (47, "schema format"),
        (59, "text encoding"),
        (80, "reserved"),
    ],
)
async def test_a_bit_of_the_header_that_still_reads_is_named(
    tmp_path: Path, at: int, name: str
) -> None:
    path = tmp_path / "j.db"
    await fill(path, [600.0 - n for n in range(3)])
    assert verify(path).ok
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(bytes(data))
    assert any(name in line for line in verify(path).findings)
