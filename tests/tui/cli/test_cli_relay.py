"""``mt5dash relay`` as a program: started, killed, started again, refused in words."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support import program
from support.present import present
from support.until import until

from streamer.client.feed_client import ClientTimings, FeedClient
from streamer.journal.writer import Journal
from streamer.server.tokens import TokenStore
from streamer.service import Feed
from streamer.settings import FeedSettings

Start = Callable[..., Awaitable[program.Program]]


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Feed]:
    settings = FeedSettings(port=0, tokens_file=tmp_path / "bot" / "tokens.json")
    feed = Feed(
        settings, Journal(tmp_path / "bot.db"), tokens=TokenStore(present(settings.tokens_file))
    )
    await feed.start()
    yield feed
    await feed.close()


async def run(home: Path, *args: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tui", "relay", *args,
        env=program.environment(home) | environment, cwd=home,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def answer(home: Path, *args: str, **environment: str) -> tuple[int, str, str]:
    process = await run(home, *args, **environment)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start relays that are gone at the end: ``await start("--upstream", url, ...)``."""
    started: list[program.Program] = []

    async def start_one(*args: str, **environment: str) -> program.Program:
        process = await run(tmp_path, *args, **environment)
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        found = re.search(r"relay feed listening on (ws://\S+)", line)
        if found is None:
            assert process.stderr is not None
            raise AssertionError(line + (await process.stderr.read()).decode())
        started.append(program.Program(process, found[1]))
        return started[-1]

    yield start_one
    for relay in started:
        if relay.process.returncode is None:
            relay.process.kill()
            await relay.process.wait()


class Viewer:
    """Keeps the numbers of the test's events, and of all log events."""

    def __init__(self, url: str) -> None:
        self.client = FeedClient(url)
        self.numbers: list[int] = []
        self.seqs: list[int] = []
        self.client.watch(self._note)

    def _note(self, event: dict[str, Any]) -> None:
        if event["type"] == "STATE_SNAPSHOT" or type(event.get("seq")) is not int:
            return
        if event["type"] != "HEARTBEAT":
            self.seqs.append(event["seq"])
        if event["type"] == "X":
            self.numbers.append(event["n"])


async def test_viewers_go_on_over_a_relay_that_was_killed_and_started_again(
    bot: Feed, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = ClientTimings(first_delay_s=0.05, most_delay_s=0.2)
    monkeypatch.setattr(FeedClient, "default_timings", quick)
    relay = await start("--upstream", bot.url, "--port", "0", "--journal", "relay.db")
    port = relay.url.rpartition(":")[2].partition("/")[0]
    viewers = [Viewer(relay.url) for _ in range(5)]
    for viewer in viewers:
        await viewer.client.start()
        await until(lambda viewer=viewer: viewer.client.state.epoch)
    told = 0

    async def publish(count: int) -> None:
        nonlocal told
        for _ in range(count):
            told += 1
            bot.publish({"type": "X", "n": told})
            if told % 20 == 0:
                await asyncio.sleep(0.005)

    await publish(300)
    await until(lambda: viewers[0].numbers and viewers[0].numbers[-1] > 100)
    relay.process.send_signal(signal.SIGKILL)
    await relay.process.wait()
    await publish(300)
    relay = await start("--upstream", bot.url, "--port", port, "--journal", "relay.db")
    await publish(300)
    for viewer in viewers:
        await until(lambda viewer=viewer: len(viewer.numbers) >= 900, 30)
        assert viewer.numbers == list(range(1, 901)), "no gap, no repeat, no reorder"
        first = viewer.seqs[0]
        assert viewer.seqs == list(range(first, first + len(viewer.seqs)))
        assert viewer.client.gaps == 0
        await viewer.client.close()
    status, _, report = await relay.get("/api/health")
    assert (status, report["checks"][f"upstream 127.0.0.1:{bot.port}"]["status"]) == (200, "ok")
    assert await relay.stop(signal.SIGINT) == 0


async def test_the_token_for_the_upstream_comes_from_a_file_or_the_environment(
    bot: Feed, start: Start, tmp_path: Path
) -> None:
    token, _ = bot.tokens.new("control")
    secret = tmp_path / "upstream.token"
    secret.write_text(token)
    code, out, _ = await answer(
        tmp_path, "--upstream", bot.url, "--token-file", str(secret), "--check"
    )
    assert code == 0
    assert "role control" in out
    assert token not in out
    code, out, _ = await answer(tmp_path, "--upstream", bot.url, "--check", MT5DASH_TOKEN_1=token)
    assert (code, "role control" in out) == (0, True)
    code, out, _ = await answer(tmp_path, "--upstream", bot.url, "--check")
    assert code == 0
    assert "WARN" in out
    assert "for commands give it a control token" in out


async def test_a_relay_that_nobody_lets_in_ends_and_says_why(bot: Feed, tmp_path: Path) -> None:
    code, _, err = await answer(
        tmp_path, "--upstream", bot.url, "--port", "0", MT5DASH_TOKEN="wrong"
    )
    assert code == 1
    assert "closed with 4501" in err
    assert "wrong token" in err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "--upstream ws://HOST:PORT/ws"),
        (("--upstream", "http://x"), "not a feed address"),
        (("--upstream", "ws://u:secret@host:1/ws"), "a token in an address is seen by many"),
        (("--upstream", "ws://host:1/ws?token=secret"), "a token in an address is seen by many"),
        (("--upstream", "h:1", "--upstream", "h:1"), "given twice"),
        (("--upstream", "h:1", "--token-file", "gone"), "the token cannot be read"),
        (("--upstream", "h:1", "--host", "0.0.0.0"), "in the clear"),
    ],
)
async def test_wrong_usage_is_said_in_words(
    tmp_path: Path, args: tuple[str, ...], words: str
) -> None:
    code, _, err = await answer(tmp_path, *args)
    assert code == 2
    assert words in err
    assert "secret" not in err
    assert "Traceback" not in err


async def test_what_is_in_the_way_is_found_before_the_start(tmp_path: Path, bot: Feed) -> None:
    code, out, _ = await answer(
        tmp_path, "--upstream", "127.0.0.1:9", "--port", str(bot.port), "--check"
    )
    assert code == 1
    assert re.search(r"FAIL +port", out)
    assert re.search(r"FAIL +upstream +127\.0\.0\.1:9", out)


async def test_a_port_or_a_journal_in_use_has_its_own_exit_code(
    bot: Feed, start: Start, tmp_path: Path
) -> None:
    await start("--upstream", bot.url, "--port", "0", "--journal", "one.db")
    code, _, err = await answer(
        tmp_path, "--upstream", bot.url, "--port", "0", "--journal", "one.db"
    )
    assert (code, "in use" in err) == (3, True)
    code, _, err = await answer(
        tmp_path, "--upstream", bot.url, "--port", str(bot.port), "--journal", "two.db"
    )
    assert (code, "--port" in err) == (3, True)


async def test_settings_name_the_upstreams_too(bot: Feed, start: Start, tmp_path: Path) -> None:
    settings = tmp_path / "relay.toml"
    settings.write_text(f"[relay]\nupstreams = {json.dumps([bot.url])}\n[feed]\nport = 0\n")
    relay = await start("--config", str(settings))
    bot.publish({"type": "X", "n": 1})
    viewer = Viewer(relay.url)
    async with viewer.client:
        await until(lambda: any(e["type"] == "X" for e in viewer.client.state.events))
    assert await relay.stop() == 0
