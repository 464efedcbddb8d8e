"""The whole program from outside: started as a user would, read through its own socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from support import program
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

LEGACY_ROUTES = {
    "/": dict,
    "/api/account": dict,
    "/api/positions": list,
    "/api/trades": list,
    "/api/scan": dict,
    "/api/state": dict,
    "/api/journal/daily": dict,
    "/api/journal/confluence": dict,
    "/api/journal/trades": list,
}


async def test_the_feed_tells_the_story_of_a_trading_bot(tmp_path: Path) -> None:
    # x20: the demonstration set-up trades within minutes of market time.
    async with program.running(tmp_path, "--port", "0", "--speed", "20") as bot:
        seen: dict[str, int] = {}
        seqs = []
        async with connect(bot.url, subprotocols=[Subprotocol("mt5dash.v1")]) as client:
            first = json.loads(await client.recv())
            assert first["type"] == "STATE_SNAPSHOT"
            seqs.append(first["seq"])
            wanted = {
                "SCAN_START",
                "SCAN_SUMMARY",
                "POSITION_UPDATE",
                "ACCOUNT_UPDATE",
                "QUOTE_UPDATE",
                "BOT_STATUS",
                "TRADE_EXECUTION",
                "POSITION_OPENED",
            }
            async with asyncio.timeout(90):
                while not wanted <= seen.keys():
                    frame = json.loads(await client.recv())
                    seen[frame["type"]] = seen.get(frame["type"], 0) + 1
                    if "seq" in frame and frame["type"] != "HEARTBEAT":
                        seqs.append(frame["seq"])
                    if frame["type"] == "SCAN_SUMMARY":
                        assert frame["count"] == len(frame["symbols"]) == len(frame["details"])
                        assert all(frame["symbols"].values()), "every symbol says why"
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), "seq has no hole and no repeat"

        for route, shape in LEGACY_ROUTES.items():
            status, headers, body = await bot.get(route)
            assert status == 200, route
            assert isinstance(cast("object", body), shape), route
            assert headers["Content-Type"].startswith("application/json")
        _, _, account = await bot.get("/api/account")
        assert account["balance"] > 0
        assert account["mode"] == "paper"
        _, _, trades = await bot.get("/api/trades")
        assert trades[0]["symbol"]
        assert "type" not in trades[0]
        status, _, body = await bot.get("/api/quote?symbol=NOPE")
        assert status == 404
        assert set(body["error"]) == {"code", "message"}
        status, _, body = await bot.get("/api/nothing")
        assert status == 404
        status, _, bars = await bot.get("/api/bars?symbol=EURUSD&timeframe=M1&count=5")
        assert status == 200
        assert [b["time"] for b in bars] == sorted(b["time"] for b in bars)
        assert len(bars) == 5
        status, _, health = await bot.get("/api/health")
        assert (status, health["status"]) == (200, "ok"), health
        assert {"loop", "journal", "data", "terminal", "worker"} <= health["checks"].keys()
        assert await bot.stop() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_stopping_signal_ends_it_in_order_and_tells_the_clients(
    tmp_path: Path, signum: signal.Signals
) -> None:
    async with program.running(tmp_path, "--port", "0") as bot, connect(bot.url) as client:
        await client.recv()
        assert await bot.stop(signum) == 0
        async for _ in client:
            pass
        assert client.close_code == 1001


async def test_an_explicit_port_that_is_taken_is_refused_in_words(tmp_path: Path) -> None:
    async with program.running(tmp_path, "--port", "0") as first:
        port = first.url.rsplit(":", 1)[1].removesuffix("/ws")
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tui", "tui", "--no-ui", "--port", port),
            env=program.environment(tmp_path / "second"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, errors = await asyncio.wait_for(second.communicate(), 30)
        assert second.returncode == 3
        assert out == b"", "nothing is announced that does not listen"
        assert port.encode() in errors
        assert b"Traceback" not in errors


async def test_tail_prints_frames_as_json_lines(tmp_path: Path) -> None:
    async with program.running(tmp_path, "--port", "0") as bot:
        tail = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tui", "tail", bot.url, "--count", "5"),
            env=program.environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            limit=2**24,
        )
        out, errors = await asyncio.wait_for(tail.communicate(), 30)
        frames = [json.loads(line) for line in out.splitlines()]
        assert tail.returncode == 0, errors
        assert len(frames) == 5
        assert frames[0]["type"] == "STATE_SNAPSHOT"


def loaded_modules(code: str, home: Path) -> set[str]:
    report = "import sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        env=program.environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_version_loads_no_textual(tmp_path: Path) -> None:
    modules = loaded_modules(
        "import sys\nsys.argv = ['mt5dash', '--version']\n"
        "from tui.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0",
        tmp_path,
    )
    assert "tui.cli.main" in modules
    assert not any(m.split(".")[0] in ("textual", "websockets", "numpy") for m in modules)


def test_a_run_without_screen_loads_no_textual(tmp_path: Path) -> None:
    modules = loaded_modules(
        "import asyncio, sys\n"
        "sys.argv = ['mt5dash', 'tui', '--no-ui', '--port', '0']\n"
        "import os, signal, threading\n"
        "threading.Timer(4, lambda: signal.raise_signal(signal.SIGINT)).start()\n"
        "from tui.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0, end.code",
        tmp_path,
    )
    assert {"strategy.worker", "execution.account.observer", "streamer.service"} <= modules
    assert "textual" not in modules


@pytest.mark.parametrize(
    "words", [("tui", "--no-ui", "--port", "0"), ("relay", "--upstream", "ws://127.0.0.1:1/ws")]
)
def test_a_state_folder_that_cannot_be_used_is_told_in_words(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "file").touch()
    ended = subprocess.run(
        [sys.executable, "-m", "tui", *words],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "file" / "state"),
             "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 3
    assert "cannot open the journal" in ended.stderr
    assert "Traceback" not in ended.stderr
