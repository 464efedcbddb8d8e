"""Alerts of the real program, to a real server."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from support.alert_servers import HttpServer, http_server
from support.paths import ROOT
from support.program import environment, running
from support.until import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def settings(home: Path, web: HttpServer) -> Path:
    file = home / "alerts.toml"
    file.write_text(
        f'[alerts]\nname = "desk"\n[alerts.webhook]\nurl = "{web.url("/SECRET")}"\n'
        f'[alerts.dead_man]\nurl = "{web.url("/ping")}"\nevery_s = 1\n'
    )
    return file


async def mt5dash(home: Path, *args: str, **env: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tui", *args, env=environment(home) | env, cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), error.decode()


async def test_a_halt_reaches_the_webhook_and_the_ping_goes_on(tmp_path: Path) -> None:
    with http_server() as web:
        file = settings(tmp_path, web)
        _, token, _ = await mt5dash(tmp_path, "token", "new", "--role", "control")
        async with running(tmp_path, "--port", "0", "--config", str(file)) as program:
            code, _, error = await mt5dash(
                tmp_path, "cmd", "halt", "reason=test", "--url", program.url,
                MT5DASH_TOKEN=token.strip(),
            )  # fmt: skip
            assert (code, error) == (0, "")
            await until(lambda: any(g.path == "/SECRET" and "halted" in g.json["text"]
                                    for g in web.got if g.method == "POST"))  # fmt: skip
            await until(lambda: any(got.path == "/ping" for got in web.got))
            _, _, health = await program.get("/api/health")
            assert health["checks"]["alerts"]["status"] == "ok"
            assert await program.stop() == 0


async def test_the_ways_out_can_be_tried_and_secrets_are_not_shown(tmp_path: Path) -> None:
    with http_server() as web:
        file = settings(tmp_path, web)
        code, out, error = await mt5dash(tmp_path, "alerts", "test", "--config", str(file))
        assert (code, out, error) == (0, "webhook: delivered\ndead-man ping: answered\n", "")
        assert web.got[0].json["title"] == "desk info"
        web.answers = [(500, {}, b"out of order")]
        code, out, error = await mt5dash(tmp_path, "alerts", "test", "--config", str(file))
        assert (code, out) == (1, "")
        assert "webhook: not delivered: HTTP 500: out of order" in error
        code, out, _ = await mt5dash(tmp_path, "config", "--explain", "--config", str(file))
        assert code == 0
        assert "alerts.webhook.url" in out
        assert "SECRET" not in out
        assert "SECRET" not in error
    file.write_text('[alerts.webhook]\nurl = "SECRET.example"\n')
    code, _, error = await mt5dash(tmp_path, "alerts", "test", "--config", str(file))
    assert code == 2
    assert "https://HOST/PATH" in error
    assert "SECRET" not in error
    code, _, error = await mt5dash(tmp_path, "alerts", "test")
    assert code == 2
    assert "no channel is set up" in error
