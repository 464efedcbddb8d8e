"""``mt5dash status`` as scripts run it: words, JSON and exit codes, against real feeds."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.paths import ROOT
from support.program import environment, running

from streamer.feed.health import HealthCheck, Status
from streamer.service import Feed
from streamer.settings import FeedSettings
from tui.cli import status as cli_status


async def status(home: Path, *args: str, token: str = "") -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    env = environment(home) | ({"MT5DASH_TOKEN": token} if token else {})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tui", "status", *args, env=env, cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), error.decode()


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[Feed]:
    """A feed that has heard of an account, all well."""
    feed = Feed(FeedSettings(port=0, tokens_file=tmp_path / "tokens"))
    await feed.start()
    account = {"balance": 1000.0, "equity": 990.5, "profit": -9.5, "currency": "EUR",
               "leverage": 100, "day_pl": -9.5, "login": 77, "server": "A\x1b[31mB"}  # fmt: skip
    feed.publish({"type": "ACCOUNT_UPDATE", "account": account})
    feed.publish({"type": "TERMINAL_STATUS", "state": "connected", "backend": "paper"})
    yield feed
    await feed.close()


def http(feed: Feed) -> str:
    return f"127.0.0.1:{feed.port}"


async def test_a_running_bot_is_told_in_words_and_in_json(tmp_path: Path) -> None:
    async with running(tmp_path, "--port", "0") as program:
        while (await program.get("/api/health"))[2]["status"] != "ok":
            await asyncio.sleep(0.1)
        code, out, error = await status(tmp_path, program.url)
        assert (code, error) == (0, "")
        assert out.startswith("OK  paper  ")
        assert "balance 10,000.00" in out
        assert len(out.splitlines()) <= 24
        code, out, _ = await status(tmp_path, program.url.replace("ws://", "http://"), "--json")
        found = json.loads(out)
        assert (code, found["status"]) == (0, "ok")
        assert found["state"]["account"]["balance"] == 10_000.0
        assert found["health"]["checks"]["worker"]["status"] == "ok"


@pytest.mark.parametrize(("grade", "expected"), [("ok", 0), ("degraded", 1), ("down", 3)])
async def test_the_exit_code_is_the_health_of_the_feed(
    feed: Feed, tmp_path: Path, grade: Status, expected: int
) -> None:
    feed.health.register("probe", lambda: HealthCheck(grade, "looked at by hand"))
    code, out, _ = await status(tmp_path, http(feed))
    assert code == expected
    assert out.startswith(grade.upper())
    assert ("probe: looked at by hand" in out) is (grade != "ok")


async def test_text_of_the_broker_reaches_no_terminal_as_control_bytes(
    feed: Feed, tmp_path: Path
) -> None:
    _, out, _ = await status(tmp_path, http(feed))
    assert "77@A" in out
    assert "\x1b" not in out


async def test_nothing_there_is_down_and_says_what_to_do(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for _ in ("what answers speaks no HTTP", "nobody answers"):
        code, out, error = await status(tmp_path, f"127.0.0.1:{port}", "--json")
        assert code == 3
        assert json.loads(out)["status"] == "unreachable"
        assert f"127.0.0.1:{port}" in error
        server.close()
        await server.wait_closed()


async def test_a_feed_that_wants_a_token_is_wrong_usage_until_it_has_one(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    feed = Feed(FeedSettings(port=0, require_token=True, tokens_file=tokens))
    token, _ = feed.tokens.new("view", "status")
    await feed.start()
    try:
        code, _, error = await status(tmp_path, http(feed))
        assert code == 2
        assert "mt5dash token new" in error
        code, _, error = await status(tmp_path, http(feed), token="wrong")
        assert code == 2
        assert "refused the token" in error
        code, _, _ = await status(tmp_path, http(feed), token=token)
        assert code == 1  # let in; a feed without an account is degraded
    finally:
        await feed.close()


async def test_an_address_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    code, _, error = await status(tmp_path, "ftp://here")
    assert code == 2
    assert "ws://HOST:PORT" in error


async def test_the_first_feed_found_is_no_stranger(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(stranger, "127.0.0.1", 0)
    other = server.sockets[0].getsockname()[1]
    monkeypatch.setattr(cli_status, "PORTS", (other, feed.port))
    assert await asyncio.to_thread(cli_status.find, 2.0) == f"http://127.0.0.1:{feed.port}"
    monkeypatch.setattr(cli_status, "PORTS", (other,))
    with pytest.raises(cli_status.NoAnswer, match="mt5dash tui"):
        await asyncio.to_thread(cli_status.find, 2.0)
    server.close()


def test_a_password_in_an_address_goes_nowhere() -> None:
    assert cli_status.base_of("https://me:secret@host:1/ws") == "https://host:1"
    assert cli_status.base_of("wss://host") == "https://host"
