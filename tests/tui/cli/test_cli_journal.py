"""The commands about the past, as they are typed: data on standard output, exit codes kept."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support import program
from typer.testing import CliRunner

from streamer.journal.writer import Journal
from streamer.service import Feed
from streamer.settings import FeedSettings
from tui.cli.main import app


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "j.db"

    async def fill() -> None:
        feed = Feed(FeedSettings(port=0, tokens_file=tmp_path / "t.json"), Journal(path))
        await feed.start()
        for n in range(50):
            feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 100.0 + n}})
            feed.publish({"type": "POSITION_OPENED", "ticket": n, "symbol": "EURUSD"})
            feed.publish({"type": "POSITION_CLOSED", "ticket": n, "profit": 2.0})
        while feed.waiting:
            await asyncio.sleep(0.01)
        await feed.close()

    asyncio.run(fill())
    return path


def run(*args: Any) -> Any:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_verify_says_whole_and_names_what_is_not(journal: Path) -> None:
    done = run("journal", "verify", "--db", journal)
    assert done.exit_code == 0
    assert "whole; 100 events" in done.stdout
    db = sqlite3.connect(journal)
    db.execute("UPDATE ev SET at = 1 WHERE seq = 42")
    db.commit()
    db.close()
    done = run("journal", "verify", "--db", journal, "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["ok"]) == (1, False)
    assert "event 42 " in found["findings"][0]


def test_a_backup_is_whole_and_never_written_over(journal: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert run("journal", "backup", copy, "--db", journal).exit_code == 0
    assert run("journal", "verify", "--db", copy).exit_code == 0
    assert run("journal", "backup", copy, "--db", journal).exit_code == 2


def test_export_writes_lines_and_tables(journal: Path, tmp_path: Path) -> None:
    lines = run("journal", "export", "--db", journal, "--from", "1h").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, 101))
    out = tmp_path / "trades.csv"
    assert run("journal", "export", "--trades", "--db", journal, "--out", out).exit_code == 0
    assert out.read_text().count("\n") == 51
    assert run("journal", "export", "--db", journal, "--format", "xls").exit_code == 2


def test_prune_deletes_what_is_old(journal: Path) -> None:
    time.sleep(0.01)
    done = run("journal", "prune", "--keep-days", "0.001", "--db", journal)
    assert done.exit_code == 0
    assert "0 rows deleted" in done.stdout
    db = sqlite3.connect(journal)
    db.execute("UPDATE ev SET at = at - 86400")
    db.commit()
    db.close()
    assert (
        "99 rows deleted" in run("journal", "prune", "--keep-days", "0.5", "--db", journal).stdout
    )


def test_a_report_is_told_and_written(journal: Path, tmp_path: Path) -> None:
    text = run("report", "--db", journal).stdout
    assert "closed trades      50, 50 won (100.0 %)" in text
    assert "profit             100.00" in text
    page = tmp_path / "r.html"
    month = time.strftime("%Y-%m", time.gmtime())
    assert run("report", "--month", month, "--db", journal, "--html", page).exit_code == 0
    assert "<svg" in page.read_text() or "100.00" in page.read_text()
    assert run("report", "--day", "yesterday", "--db", journal).exit_code == 2


def test_what_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    for args in (("journal", "verify"), ("report",), ("incident", "--around", "1m")):
        done = run(*args, "--db", tmp_path / "none.db")
        assert done.exit_code == 1
        assert "no such journal" in done.stderr
    assert run("replay", "--from", "soon", "--db", tmp_path / "none.db").exit_code == 2


async def test_a_run_can_be_replayed_by_another_program(tmp_path: Path) -> None:
    path, target = tmp_path / "run.db", tmp_path / "incident.db"
    args = ("--port", "0", "--speed", "40", "--journal", str(path))
    async with program.running(tmp_path, *args) as bot:
        async with asyncio.timeout(60):  # a loaded machine takes its time to the first scan
            while True:
                _, _, state = await bot.get("/api/state")
                if state["account"].get("balance") and len(state["events"]) > 6:
                    break
                await asyncio.sleep(0.1)
        await asyncio.sleep(1.5)  # a sample of that
        assert await bot.stop() == 0
    assert run("incident", "--around", "3s", "--db", path, "--out", target).exit_code == 0
    assert run("journal", "verify", "--db", target).exit_code == 0
    again = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tui", "replay", "--no-ui", "--port", "0"),
        *("--speed", "100", "--db", str(target)),
        env=program.environment(tmp_path / "other"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert again.stdout is not None
        line = (await asyncio.wait_for(again.stdout.readline(), 30)).decode()
        url = line.split()[-1]
        other = program.Program(again, url)
        async with asyncio.timeout(20):
            while True:
                _, _, shown = await other.get("/api/state")
                if shown["account"].get("balance") and len(shown["events"]) > 3:
                    break
                await asyncio.sleep(0.1)
        assert shown["account"]["balance"] == state["account"]["balance"]
        assert shown["account"]["login"] == 0
    finally:
        again.terminate()
        await again.wait()
