"""``mt5dash backtest`` as a person runs it: a process, its two outputs, its exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.program import environment


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "tui", "backtest", *args]


def backtest(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*args), env=environment(home), cwd=home, capture_output=True, text=True, timeout=60
    )


def report(home: Path, *args: str) -> dict[str, Any]:
    done = backtest(home, *args, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    del found["seconds"]
    return found


def test_a_seed_gives_the_same_report_in_each_process_and_it_adds_up(tmp_path: Path) -> None:
    first = report(tmp_path, "--hours", "0.5")
    assert report(tmp_path, "--hours", "0.5") == first
    assert first["trades"]
    assert first["statistics"]["trades"] == len(first["trades"])
    assert first["statistics"]["net"] == pytest.approx(sum(t["net"] for t in first["trades"]))
    assert first["ended"] - first["began"] == 1800
    assert first["ticks"] > 1000
    other = report(tmp_path, "--hours", "0.5", "--seed", "8")
    assert other["trades"] != first["trades"]


def test_it_replays_real_quotes_between_two_moments(tmp_path: Path, real_quotes: Path) -> None:
    args = (
        "--market",
        str(real_quotes / "lean"),
        "--from",
        "2014-05-07T12:00",
        "--to",
        "2014-05-08T12:00",
    )
    found = report(tmp_path, *args, "--symbols", "EURUSD")
    assert found["ended"] - found["began"] == 86_400
    assert {trade["symbol"] for trade in found["trades"]} == {"EURUSD"}
    assert all(
        found["began"] <= t["opened"] < t["closed"] <= found["ended"] for t in found["trades"]
    )


def test_for_people_the_report_is_on_standard_output_and_the_caution_on_error(
    tmp_path: Path,
) -> None:
    done = backtest(tmp_path, "--hours", "0.2")
    assert done.returncode == 0
    assert "2025-01-07 08:00 to 2025-01-07 08:12 server time, in USD" in done.stdout
    assert "net" in done.stdout
    assert "predicts nothing" in done.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--market", "nowhere"), "does not exist. Give"),
        (("--symbols", "EURUSD,FOO"), "no quotes of FOO in this market; it has EURUSD,"),
        (("--strategy", "nope"), "no strategy is called 'nope'"),
        (("--to", "2025-01-07T07:00"), "is not after the market's start (2025-01-07T08:00)"),
        (("--from", "noon"), "is no moment. Write it like"),
        (("--hours", "1", "--to", "2025-01-08"), "give one of them"),
    ],
)
def test_what_cannot_be_run_is_refused_in_words(
    tmp_path: Path, args: tuple[str, ...], words: str
) -> None:
    done = backtest(tmp_path, *args)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT to one process is POSIX")
def test_interrupted_it_reports_what_was_done_until_then(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("--hours", "5000", "--json"),
        env=environment(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "trades" in process.stderr.readline()  # it runs
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    found = json.loads(out)
    assert found["interrupted"]
    assert 0 <= found["ended"] - found["began"] < 5000 * 3600
    assert "the report ends there" in errors
    assert "Traceback" not in errors
