"""``mt5dash cmd`` against the real program, and what the program remembers when it is killed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT
from support.program import Program, environment, running

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


async def mt5dash(home: Path, *args: str, token: str = "") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command."""
    env = environment(home)
    if token:
        env["MT5DASH_TOKEN"] = token
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tui", *args, env=env, cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), error.decode()


async def control(home: Path) -> str:
    code, text, _ = await mt5dash(home, "token", "new", "--role", "control")
    assert code == 0
    return text.strip()


async def state(program: Program) -> Any:
    """The newest word of the bot."""
    _, _, events = await program.get("/api/events?limit=200")
    statuses = [e for e in events["events"] if e["type"] == "BOT_STATUS"]
    return statuses[-1] if statuses else {"state": None}


async def until_state(program: Program, wanted: str) -> Any:
    """Wait until the bot is ``wanted``; "waiting" is with the terminal, for the next scan."""
    async with asyncio.timeout(30):
        while True:
            found = await state(program)
            if found["state"] == wanted and (wanted == "halted" or found["reason"] is None):
                return found
            await asyncio.sleep(0.1)


PAPER = ("--port", "0", "--speed", "1")


def calm(home: Path) -> tuple[str, ...]:
    """A paper bot whose score is never high enough: no trade of its own comes in between."""
    file = home / "calm.toml"
    file.write_text("[strategy]\nmin_score = 100\n")
    return (*PAPER, "--config", str(file))


async def test_a_command_from_the_shell_is_done_once_and_what_is_wrong_is_said(
    tmp_path: Path,
) -> None:
    token = await control(tmp_path)
    async with running(tmp_path, *calm(tmp_path)) as program:
        await until_state(program, "waiting")

        async def cmd(*args: str, token: str = token) -> tuple[int, str, str]:
            return await mt5dash(tmp_path, "cmd", *args, "--url", program.url, token=token)

        code, out, _ = await cmd("pause", "--id", "p1")
        assert (code, out) == (0, "done paused=true\n")
        code, out, _ = await cmd("pause", "--id", "p1", "--json")
        assert code == 0
        assert json.loads(out)["result"] == {"paused": True}
        code, _, error = await cmd("halt", "reason=x", "--id", "p1")
        assert code == 1
        assert "ID_REUSED" in error
        code, _, error = await cmd("close_position", "ticket=1", "--expect", "side=BUY,volume=0.1")
        assert code == 1
        assert "position 1 is gone; nothing was done (MOVED)" in error
        code, out, error = await cmd("flatten")
        assert (code, out) == (1, "")
        assert "this closes 0 positions and cancels 0 pending orders" in error
        assert "--yes confirms" in error
        code, out, _ = await cmd("flatten", "--yes")
        assert (code, out) == (0, "done closed=0 cancelled=0\n")
        for wrong, words in (
            (("buy",), "known are pause"),
            (("close_position",), "ticket must be a whole number above 0"),
            (("close_position", "5"), "'5' is not an argument"),
            (("close_position", "ticket=5", "--expect", "side=LONG"), "--expect"),
        ):
            code, _, error = await cmd(*wrong)
            assert code == 2
            assert words in error
        code, _, error = await cmd("pause", token="")
        assert code == 2
        assert "mt5dash token new --role control" in error
        code, _, error = await cmd("pause", token="wrong")
        assert code == 1
        assert "nothing was sent" in error


async def test_a_kill_switch_survives_a_kill_and_its_release_too(tmp_path: Path) -> None:
    token = await control(tmp_path)
    kept = (*calm(tmp_path), "--journal", str(tmp_path / "kept.db"))
    async with running(tmp_path, *kept) as program:
        await until_state(program, "waiting")
        code, _, error = await mt5dash(
            tmp_path, "cmd", "halt", "reason=enough for today", "--flatten", "--yes",
            "--url", program.url, token=token,
        )  # fmt: skip
        assert (code, error) == (0, "")
        await program.stop(signal.SIGKILL)
    async with running(tmp_path, *kept) as program:
        assert (await until_state(program, "halted"))["reason"]["text"] == "enough for today"
        code, _, _ = await mt5dash(tmp_path, "cmd", "release", "--url", program.url, token=token)
        assert code == 0
        await program.stop(signal.SIGKILL)
    async with running(tmp_path, *kept) as program:
        await until_state(program, "waiting")
