"""Journal files: damage is named, old rows go, copies are whole, strangers see no owner."""

from __future__ import annotations

import asyncio
import csv
import io
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.journal_kit import DAY, NOW, SECRETS, everything, fill
from support.paths import ROOT, TESTS
from support.until import until

from streamer.journal import export
from streamer.journal import schema as file
from streamer.journal.incident import write_incident
from streamer.journal.prune import prune_file
from streamer.journal.recorder import open_body
from streamer.journal.replay import Replay
from streamer.journal.verify import verify
from streamer.journal.writer import Journal
from streamer.protocol.codec import decode
from streamer.reports.html import as_html
from streamer.reports.report import as_text, build
from streamer.service import Feed
from streamer.settings import FeedSettings, JournalSettings


async def test_a_flipped_bit_is_named_wherever_something_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    await fill(path, [600.0 - n for n in range(40)])
    whole = path.read_bytes()
    true = everything(path)
    clean = verify(path)
    assert clean.ok, clean.findings
    assert clean.events == 120
    dice = random.Random(7)
    named = silent = 0
    broken = tmp_path / "broken.db"
    for _ in range(250):
        bit = dice.randrange(len(whole) * 8)
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        broken.write_bytes(bytes(data))
        found = verify(broken)
        if found.ok:
            silent += 1
            assert everything(broken) == true, f"bit {bit} changed what is read, and is not named"
        else:
            named += 1
    # The file has room in it where nothing is stored: there a bit means nothing.
    assert named > 100, (named, silent)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE ev SET body = replace(body, 'BUY', 'SEL') WHERE seq = 7", "event 7 "),
        ("UPDATE ev SET at = at + 1 WHERE seq = 8", "event 8 "),
        ("UPDATE ev SET type = 'X' WHERE seq = 9", "event 9 "),
        ("UPDATE ev SET chain = zeroblob(16) WHERE seq = 10", "event 10 "),
        ("DELETE FROM ev WHERE seq = 11", "11 to 11 are missing"),
        ("DELETE FROM ev WHERE seq < 5", "1 to 4 are missing"),
        ("UPDATE sample SET at = at + 1 WHERE id = 3", "sample 3 "),
        ("UPDATE meta SET value = 'z' WHERE key = 'epoch'", "meta"),
        ("DROP INDEX ev_at", ""),
    ],
)
async def test_a_change_made_with_sql_is_named_by_row(tmp_path: Path, sql: str, words: str) -> None:
    path = tmp_path / "j.db"
    await fill(path, [600.0 - n for n in range(10)])
    db = sqlite3.connect(path)
    db.execute(sql)
    db.commit()
    db.close()
    found = verify(path)
    if not words:
        assert found.ok, "an index less is slower, not wrong"
        return
    assert any(words in line for line in found.findings), found.findings
    assert len(found.findings) <= 2, "one change, one name"


def everything_epoch(path: Path) -> str:
    """The epoch in the file's log or pages, read without SQLite: opening would recover it."""
    pages = path.read_bytes() + path.with_name(path.name + "-wal").read_bytes()
    found = re.search(rb"epoch([0-9a-f]{16})", pages)
    assert found is not None
    return found[1].decode()


async def test_damage_in_the_log_is_named_and_numbers_get_a_new_epoch(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    code = (
        "import asyncio, os, sys; sys.path[:0] = [sys.argv[2], sys.argv[3]]\n"
        "from support import journal_kit as t\n"
        "from pathlib import Path\n"
        "async def main():\n"
        "    t.Feed.close = lambda self: os._exit(0)\n"
        "    await t.fill(Path(sys.argv[1]), [600.0 - n for n in range(10)])\n"
        "asyncio.run(main())\n"
    )
    subprocess.run(  # noqa: ASYNC221 - ends at once
        [sys.executable, "-c", code, str(path), str(TESTS), str(ROOT)], check=True
    )
    log = path.with_name("j.db-wal")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 0x10
    log.write_bytes(bytes(data))
    assert any("frame" in line for line in verify(path).findings)
    epoch = everything_epoch(path)
    feed = Feed(FeedSettings(port=0), Journal(path))
    await feed.start()
    assert feed.state.epoch != epoch, "what was lost may have been told: no client goes on"
    await until(lambda: any(e.get("code") == "JOURNAL" for e in feed.state.events))
    await feed.close()
    assert verify(path).ok


async def test_old_rows_go_but_trades_stay(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    for ages in ([100 * DAY - n for n in range(30)], [60.0 - n for n in range(12)]):
        await fill(path, ages, JournalSettings(keep_days=1000, keep_samples_days=1000))
    before = everything(path)
    feed = Feed(FeedSettings(port=0), Journal(path, JournalSettings()))
    await feed.start()
    assert feed.journal is not None
    for _ in range(200):
        rows = await feed.journal.query("SELECT count(*) FROM ev WHERE at < ?", (NOW - 90 * DAY,))
        if rows == [(0,)]:
            break
        await asyncio.sleep(0.02)
    trades = len(feed.ledger)
    await feed.close()
    after = everything(path)
    assert [row for row in before["ev"] if row[1] > NOW - DAY] == after["ev"]
    assert after["sample"][:12] == before["sample"][-12:]
    assert after["sample"][0][3] == 1, "what is left begins with a whole one"
    assert after["ledger"] == before["ledger"]
    assert verify(path).ok
    feed = Feed(FeedSettings(port=0), Journal(path))
    await feed.start()
    assert len(feed.ledger) == trades == 10
    assert feed.state.seq == before["ev"][-1][0]
    await feed.close()


async def test_prune_gives_the_space_back(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    await fill(path, [600.0 - n for n in range(20)])
    db = file.connect(path)
    db.execute("DROP TABLE sample")
    db.executescript(file._SAMPLES.partition("CREATE TABLE kept")[0])
    for n in range(1, 1500):
        body = random.Random(n).randbytes(3000)
        db.execute("INSERT INTO sample VALUES(?,?,?,?,?,?)", (n, NOW - 50, 1, 1, body, b""))
    db.close()
    rows, before, after = prune_file(path, JournalSettings(keep_bytes=1 << 20), NOW)
    assert rows > 1000
    assert after < 1_200_000 < before
    held = Feed(FeedSettings(port=0), Journal(path))
    await held.start()
    with pytest.raises(file.JournalLocked, match="prunes its journal itself"):
        prune_file(path, JournalSettings(), NOW)
    await held.close()


async def test_an_incident_file_is_whole_replays_and_names_no_owner(tmp_path: Path) -> None:
    path, target = tmp_path / "j.db", tmp_path / "i.db"
    await fill(path, [600.0 - 10 * n for n in range(40)])
    made = write_incident(path, target, NOW - 400, NOW - 350)
    assert made["samples"] == 7  # six seconds, and the whole state before them
    assert verify(target).ok
    db = file.read_only(target)
    texts = [bytes(row[0]).decode() for row in db.execute("SELECT body FROM ev")]
    texts += [str(open_body(row[0])) for row in db.execute("SELECT body FROM sample")]
    db.close()
    assert any("4711" in str(row) for row in everything(path)["ev"]), "the control: it was there"
    for secret in SECRETS:
        assert not any(secret in text for text in texts), secret
    replays = []
    for source in (path, target):
        replay = Replay(source)
        await replay.open()
        await replay.seek(NOW - 350)
        replays.append(replay.state.snapshot())
        await replay.close()
    before, after = replays
    assert after["account"].pop("login") == 0
    for state in (before, after):
        for key in ("login", "name", "server"):
            state["account"].pop(key, None)
        state["events"] = [e for e in state["events"] if e["type"] != "RISK_ALERT"]
        for event in state["events"]:
            event.pop("account")
        for position in state["positions"]:
            position.pop("comment")
    assert after == before
    with pytest.raises(file.JournalError, match="exists"):
        write_incident(path, target, NOW - 400, NOW - 350)
    with pytest.raises(file.JournalError, match="nothing was recorded"):
        write_incident(path, tmp_path / "n.db", NOW - 9 * DAY, NOW - 8 * DAY)


async def test_events_and_trades_are_exported(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    await fill(path, [600.0 - n for n in range(9)])
    db = file.read_only(path)
    lines = io.BytesIO()
    assert export.write_lines(export.events(db, NOW - 599, NOW - 598), lines) == 6
    assert [decode(raw)["seq"] for raw in lines.getvalue().splitlines()] == [4, 5, 6, 7, 8, 9]
    text = io.StringIO()
    assert export.write_csv(export.trade_rows(db), text) == 3
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert rows[0]["symbol"] == "'=EURUSD", "no spreadsheet runs it as a formula"
    assert (rows[0]["mae"], rows[0]["mfe"]) == ("0.0", "2.0")
    assert rows[0]["exits"].startswith('[{"time"'), "the partial close"
    try:
        import pyarrow.parquet as pq
    except ImportError:
        with pytest.raises(file.JournalError, match="pip install pyarrow"):
            export.write_parquet(export.trade_rows(db), tmp_path / "t.parquet")
    else:
        assert export.write_parquet(export.trade_rows(db), tmp_path / "t.parquet") == 3
        assert pq.read_table(tmp_path / "t.parquet").num_rows == 3
    db.close()


async def test_a_report_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    await fill(path, [3000.0 - 10 * n for n in range(30)])
    db = file.read_only(path)
    report = build(db, NOW - DAY, NOW + 1, lambda at: ["london"])
    db.close()
    # Ten trades; the close of every second one (odd number) brought 5, the others -2.5.
    assert (report.total.trades, report.total.wins, report.total.profit) == (10, 5, 12.5)
    assert report.total.profit_factor == 2.0
    assert [(g.name, g.trades) for g in report.by_symbol] == [("=EURUSD", 10)]
    assert [(g.name, g.trades) for g in report.by_session] == [("london", 10)]
    assert [(g.name, g.profit) for g in report.by_factor] == [("zone", 12.5)]
    assert (report.gates, report.scans) == ([("spread", 30)], 30)
    values = [100.0 + n % 5 - n / 10 for n in range(30)]
    assert [v for _, v in report.equity] == pytest.approx(values)
    falls = [max(values[: n + 1]) - v for n, v in enumerate(values)]
    assert report.drawdown == pytest.approx(max(falls))
    assert "10, 5 won (50.0 %)" in as_text(report)
    page = as_html(report, "<b>title</b>")
    assert "&lt;b&gt;title" in page
    assert "<b>" not in page
    assert not any(word in page for word in ("<script", "http:", "https:", "@import", "url("))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=600k", "none", str(place)]
    if mount is None or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


async def test_a_disk_that_is_really_full_stops_and_recovers(small_disk: Path) -> None:
    feed = Feed(FeedSettings(port=0), Journal(small_disk / "j.db"))
    await feed.start()
    journal = feed.journal
    assert journal is not None
    (small_disk / "ballast").write_bytes(bytes(200_000))
    for n in range(300):
        feed.publish({"type": "X", "n": n, "data": "x" * 2000})
    await until(lambda: not journal.ok)
    assert "full" in (feed.journal_trouble or "")
    told = feed.state.seq
    assert told < 300, "nothing is told that is not on the disk"
    (small_disk / "ballast").unlink()
    for path in (small_disk / "j.db", small_disk / "j.db-wal"):
        assert path.exists()
    subprocess.run(  # noqa: ASYNC221 - at once
        ["mount", "-o", "remount,size=20m", str(small_disk)], check=True
    )
    await until(lambda: journal.ok and feed.state.seq == 300)
    await feed.close()
    assert verify(small_disk / "j.db").ok
