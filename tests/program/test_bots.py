"""Several bots on one feed as a user runs it: the program, its commands, and a restart."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from support.paths import ROOT
from support.program import Program, environment, running
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from streamer.protocol.messages import SUBPROTOCOL

JOURNAL = "kept.db"


async def mt5dash(home: Path, *args: str, token: str = "") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command."""
    env = environment(home) | ({"MT5DASH_TOKEN": token} if token else {})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tui", *args, env=env, cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), error.decode()


async def publish(program: Program, token: str, *events: dict[str, Any]) -> None:
    """Publish, and wait until the last event has come back."""
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(
        program.url, subprotocols=[Subprotocol(SUBPROTOCOL)], additional_headers=headers, proxy=None
    ) as ws:
        for event in events:
            await ws.send(json.dumps({"type": "PUBLISH", "event": event}))
        async with asyncio.timeout(10):
            while json.loads(await ws.recv())["type"] != events[-1]["type"]:
                pass


async def test_a_second_bot_is_published_watched_asked_for_and_still_there_after_a_restart(
    tmp_path: Path,
) -> None:
    code, text, said = await mt5dash(
        tmp_path, "token", "new", "--role", "publish", "--bot", "beta", "--name", "the other one"
    )
    assert code == 0
    assert "(publish as beta)" in said
    token = text.strip()
    code, listed, _ = await mt5dash(tmp_path, "token", "list")
    assert "as beta  the other one" in listed
    code, _, said = await mt5dash(tmp_path, "token", "new", "--role", "control", "--bot", "beta")
    assert (code, "--role publish" in said) == (2, True)
    code, _, said = await mt5dash(tmp_path, "token", "new", "--role", "publish", "--bot", "a b")
    assert (code, "letters, digits" in said) == (2, True)
    config = tmp_path / "kept.toml"
    config.write_text(f"[journal]\npath = '{tmp_path / JOURNAL}'\n", encoding="utf-8")
    flags = ("--port", "0", "--config", str(config))
    account = {"login": 22, "server": "Other", "balance": 5.0, "equity": 5.0, "currency": "USD"}
    async with running(tmp_path, *flags) as program:
        await publish(
            program,
            token,
            {"type": "ACCOUNT_UPDATE", "account": account},
            {"type": "POSITION_CLOSED", "ticket": 3, "symbol": "EURUSD", "profit": 4.0},
            {"type": "OF_BETA", "text": "hello"},
        )
        code, out, _ = await mt5dash(tmp_path, "tail", program.url, "--bot", "beta", "--count", "1")
        snapshot = json.loads(out)
        assert snapshot["data"]["bot_name"] == "beta"
        assert snapshot["data"]["account"]["login"] == 22
        assert [e["type"] for e in snapshot["data"]["events"]] == ["POSITION_CLOSED", "OF_BETA"]
        code, out, _ = await mt5dash(tmp_path, "status", program.url, "--bot", "beta")
        assert "22@Other" in out
        assert "Also     main" in out
        code, out, _ = await mt5dash(tmp_path, "status", program.url)
        assert "22@Other" not in out.partition("Also")[0]
        assert "Also     beta  OK  22@Other  heard" in out
        code, _, said = await mt5dash(tmp_path, "status", program.url, "--bot", "nobody")
        assert (code, "there are: main, beta" in said) == (2, True)
        _, control, _ = await mt5dash(tmp_path, "token", "new", "--role", "control")
        code, _, said = await mt5dash(
            tmp_path, "cmd", "pause", "--bot", "beta", "--url", program.url, token=control.strip()
        )
        assert (code, "beta only publishes here" in said) == (1, True)
        assert (await program.get("/api/account"))[2]["login"] != 22
        assert await program.stop() == 0
    async with running(tmp_path, *flags) as program:
        bots = (await program.get("/api/bots"))[2]
        assert list(bots) == ["main", "beta"]
        assert bots["beta"]["text"] == "no event since the feed started"
        trades = (await program.get("/api/journal/trades?bot=beta"))[2]
        assert [(t["ticket"], t["outcome"]) for t in trades] == [(3, "WIN")]
        events = (await program.get("/api/state?bot=beta"))[2]["events"]
        assert [e["type"] for e in events] == ["POSITION_CLOSED", "OF_BETA", "COMMAND_AUDIT"]
        assert "OF_BETA" not in json.dumps((await program.get("/api/state"))[2])
