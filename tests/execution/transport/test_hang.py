"""A terminal that hangs while it holds the GIL, and what an agent bears from the outside."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import ctypes
import hmac
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT
from support.processes import alive
from support.serving import PATH, TOKEN, serve_agent
from support.told import Told
from support.until import until

from execution import agent
from execution.api.terminal import TerminalError, TerminalTimeout
from execution.settings import TerminalSettings
from execution.transport import remote
from execution.transport.client import InProcess, TerminalClient
from execution.transport.remote import Agent, Child

SETTINGS = TerminalSettings(read_s=0.5, backoff_max_s=0.2, connect_s=30)


@contextlib.asynccontextmanager
async def loop_gap() -> AsyncIterator[list[float]]:
    """The longest time in which the loop did not turn, in seconds, as the list's one item."""
    longest = [0.0]

    async def watch() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            longest[0] = max(longest[0], now - last)
            last = now

    task = asyncio.create_task(watch())
    await asyncio.sleep(0.02)
    yield longest
    await asyncio.sleep(0.02)
    task.cancel()


@pytest.mark.skipif(sys.platform == "win32", reason="usleep is not there")
async def test_a_hang_with_the_gil_held_stops_a_thread_but_not_a_child_process(
    tmp_path: Path, told: Told
) -> None:
    class Holder:
        """The control: the same hang in a thread of this process."""

        def positions_get(self) -> tuple[()]:
            ctypes.PyDLL(None).usleep(800_000)
            return ()

    thread = InProcess(Holder)  # type: ignore[arg-type]
    await thread.start(5)
    async with loop_gap() as stopped:
        await thread.call("positions_get", (), {}, 5)
    await thread.stop()
    assert stopped[0] > 0.7, "the control must stop the loop, or this test shows nothing"

    flag = tmp_path / "hang"
    child = Child("support.paper_module", PATH | {"PAPER_HANG": str(flag)})
    client = TerminalClient(child, settings=SETTINGS, on_status=told.append)
    await client.start()
    assert await client.wait_connected(30)
    first = child.pid
    flag.touch()
    async with loop_gap() as gap:
        with pytest.raises(TerminalTimeout):
            await client.positions_get()
        await until(lambda: client.status.condition == "hung")
        await until(lambda: child.pid not in (None, first))
        await asyncio.sleep(1.0)
        assert client.status.state == "disconnected"
    assert gap[0] < stopped[0] / 2
    flag.unlink()
    assert await client.wait_connected(30)
    assert await client.positions_get() == ()
    assert (told[-1].state, told[-1].last_error) == ("connected", None)  # type: ignore[attr-defined]
    await client.close()
    assert first is not None
    assert not alive(first)


async def test_an_agent_that_dies_and_comes_back_is_found_again(told: Told) -> None:
    process, port = serve_agent("--module", "support.paper_module")
    client = TerminalClient(
        Agent(f"127.0.0.1:{port}", TOKEN), settings=SETTINGS, on_status=told.append
    )
    await client.start()
    assert await client.wait_connected(30)
    process.kill()
    process.communicate()
    with contextlib.suppress(TerminalError):
        await client.account_info()
    await until(lambda: client.status.state == "disconnected")
    again, _ = serve_agent("--module", "support.paper_module", "--port", str(port))
    assert await client.wait_connected(30)
    assert (await client.account_info()).login
    await client.close()
    again.kill()
    again.communicate()


async def test_a_wrong_token_a_wrong_port_and_another_program_are_told_with_what_to_do(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "GREETING_S", 3.0)
    process, port = serve_agent("--module", "support.paper_module")
    silent = socket.create_server(("127.0.0.1", 0))

    def heard(words: str) -> bool:
        return bool(told) and words in str(told[-1])

    for backend, words in (
        (Agent(f"127.0.0.1:{port}", "wrong"), "set terminal.token"),
        (Agent("127.0.0.1:1", TOKEN), "start agent.py there"),
        (Agent(f"127.0.0.1:{silent.getsockname()[1]}", TOKEN), "no mt5dash agent greets"),
    ):
        client = TerminalClient(backend, settings=SETTINGS, on_status=told.append)
        await client.start()
        await until(partial(heard, words))
        await client.close()
    silent.close()
    process.kill()
    process.communicate()


def test_the_agent_serves_nobody_without_the_tokens_proof_and_no_broken_frame() -> None:
    process, port = serve_agent("--module", "support.paper_module")

    def connect() -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", port), timeout=10)
        agent.read_frame(agent.exactly(peer))
        return peer

    ask = {"id": 1, "calls": [["initialize", [], {}], ["account_info", [], {}]]}
    for words in (ask, {"proof": ""}, {"proof": hmac.new(b"guess", b"", "sha256").hexdigest()}):
        with connect() as peer:
            agent.write_frame(peer.sendall, agent.pack(words, []))
            reply = agent.read_frame(agent.exactly(peer))
            assert reply is not None
            assert json.loads(reply[4:])["ok"] is False
            assert peer.recv(1) == b"", "and it hangs up"
    for broken in (b"GET / HTTP/1.1\r\n\r\n", struct.pack("!I", 1 << 30), struct.pack("!II", 4, 9)):
        with connect() as peer:
            answered = b""
            with contextlib.suppress(OSError):  # it may hang up in the middle of our words
                peer.sendall(broken)
                peer.shutdown(socket.SHUT_WR)
                answered = peer.recv(64)
            assert answered == b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        read = agent.exactly(peer)
        nonce = json.loads((agent.read_frame(read) or b"")[4:])["nonce"]
        proof = hmac.new(TOKEN.encode(), nonce.encode(), "sha256").hexdigest()
        agent.write_frame(peer.sendall, agent.pack({"proof": proof}, []))
        agent.read_frame(read)
        agent.write_frame(peer.sendall, agent.pack(ask, []))
        reply = agent.read_frame(read)
        assert b"AccountInfo" in (reply or b""), "after all that it serves who may"
    process.kill()
    process.communicate()


def test_the_agent_does_not_listen_for_other_machines_unless_told_to(tmp_path: Path) -> None:
    def run(*more: str) -> Any:
        return subprocess.run(
            [sys.executable, str(ROOT / "execution/agent.py"), *more],
            capture_output=True, text=True, timeout=30, env=os.environ | PATH, check=False,
        )  # fmt: skip

    refused = run("--module", "json", "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "SSH tunnel" in refused.stderr
    missing = run("--module", "no_such_module")
    assert missing.returncode == 3
    assert "pip install MetaTrader5" in missing.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file modes")
def test_the_agents_token_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = agent.kept_token(str(path))
    assert len(token) >= 32
    assert agent.kept_token(str(path)) == token
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_agent_puts_the_types_of_a_request_right() -> None:
    right = agent.put_right({"volume": 1, "sl": 0, "magic": 7.0, "symbol": "EURUSD"})
    assert right == {"volume": 1.0, "sl": 0.0, "magic": 7, "symbol": "EURUSD"}
    assert [type(right[key]) for key in ("volume", "sl", "magic")] == [float, float, int]


def test_the_agent_is_one_file_for_old_pythons_with_numpy_as_its_only_need() -> None:
    source = Path(agent.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 8))
    needs = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            needs |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "it stands alone"
            needs.add((node.module or "").split(".")[0])
    assert needs - set(sys.stdlib_module_names) == {"numpy"}
