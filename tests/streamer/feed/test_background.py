"""The drop-in for bots that are not asyncio: from any thread, at any time, never in the way."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.paths import ROOT
from websockets.sync.client import connect

import streamer
from streamer import background, push_update, start_server, stop_server
from streamer.server.ports import PortTaken
from streamer.server.tokens import AccessError


@pytest.fixture(autouse=True)
def _stopped() -> Iterator[None]:
    background._early.clear()
    yield
    stop_server()
    background._early.clear()


def free_range(count: int) -> int:
    """The first of ``count`` free ports in a row."""
    for first in range(21000, 40000, 50):
        held = []
        try:
            for port in range(first, first + count):
                sock = socket.socket()
                held.append(sock)
                sock.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for sock in held:
                sock.close()
    raise AssertionError("no free ports")


def frames(port: int, count: int) -> list[dict[str, Any]]:
    with connect(f"ws://127.0.0.1:{port}/ws", proxy=None) as ws:
        return [json.loads(ws.recv(timeout=10)) for _ in range(count)]


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def feed() -> Any:
    assert background._running is not None
    return background._running.feed


def test_what_was_pushed_before_the_start_is_there_after_it() -> None:
    push_update({"type": "EARLY", "n": 1})
    port = start_server(port=free_range(10))
    wait_for(lambda: feed().state.seq == 1)
    snapshot = frames(port, 1)[0]
    assert [event["type"] for event in snapshot["data"]["events"]] == ["EARLY"]
    assert start_server() == port, "a second call gives the port of the running feed"


def test_threads_push_without_loss_and_each_in_its_order() -> None:
    port = start_server(port=free_range(10))

    def push(name: str) -> None:
        for number in range(500):
            push_update({"type": "X", "thread": name, "n": number})

    threads = [threading.Thread(target=push, args=(name,)) for name in "abcd"]
    with connect(f"ws://127.0.0.1:{port}/ws", proxy=None, max_queue=None) as ws:
        ws.recv(timeout=5)
        for thread in threads:
            thread.start()
        events = [json.loads(ws.recv(timeout=10)) for _ in range(2000)]
    for thread in threads:
        thread.join()
    assert [event["seq"] for event in events] == list(range(1, 2001))
    for name in "abcd":
        assert [e["n"] for e in events if e["thread"] == name] == list(range(500))


def test_the_dict_is_copied_and_numpy_becomes_numbers() -> None:
    port = start_server(port=free_range(10))
    data = {"values": np.array([1.0, np.nan]), "n": np.int64(3), "list": [1]}
    with connect(f"ws://127.0.0.1:{port}/ws", proxy=None) as ws:
        ws.recv(timeout=5)
        push_update({"type": "RESEARCH_START", "symbol": "X", "data": data})
        data["list"].append(2)  # type: ignore[attr-defined]
        data["n"] = 4
        event = json.loads(ws.recv(timeout=5))
    assert event["data"] == {"values": [1.0, None], "n": 3, "list": [1]}


@pytest.mark.parametrize("event", [None, 5, "x", {}, {"type": 1}, {"type": "X", "o": object()}])
def test_nothing_is_ever_raised_into_the_bot(event: Any) -> None:
    push_update(event)
    start_server(port=free_range(10))
    push_update(event)
    push_update({"type": "GOOD"})
    wait_for(lambda: feed().state.seq == 1)


def test_ten_busy_ports_are_an_error_that_says_so() -> None:
    first = free_range(10)
    held = []
    try:
        for port in range(first, first + 10):
            sock = socket.socket()
            sock.bind(("127.0.0.1", port))
            sock.listen()
            held.append(sock)
        with pytest.raises(PortTaken, match=f"{first}-{first + 9}"):
            start_server(port=first)
        held.pop(4).close()
        assert start_server(port=first) == first + 4
    finally:
        for sock in held:
            sock.close()


def test_a_restart_gets_the_same_port_at_once() -> None:
    first = free_range(10)
    port = start_server(port=first)
    assert port == first
    frames(port, 1)
    stop_server()
    assert start_server(port=first) == first


def test_opening_to_the_network_needs_consent() -> None:
    with pytest.raises(AccessError, match="in the clear"):
        start_server(host="0.0.0.0")


def test_a_stuck_client_does_not_hold_the_bot_up() -> None:
    port = start_server(port=free_range(10))
    stuck = [connect(f"ws://127.0.0.1:{port}/ws", proxy=None, max_queue=1) for _ in range(3)]
    for number in range(5000):
        push_update({"type": "X", "n": number, "data": "x" * 1000})
    wait_for(lambda: feed().state.seq == 5000)
    wait_for(lambda: feed().fanout.closed_slow == 3)
    for ws in stuck:
        ws.socket.close()


def test_it_works_from_inside_a_running_loop() -> None:
    async def bot() -> int:
        port = start_server(port=free_range(10))
        push_update({"type": "X"})
        await asyncio.sleep(0)
        return port

    port = asyncio.run(bot())
    wait_for(lambda: feed().state.seq == 1)
    assert frames(port, 1)[0]["seq"] == 1


def test_the_package_lives_beside_packages_of_the_same_names(tmp_path: Path) -> None:
    """A bot may have its own ``strategy`` and ``execution``: the feed does not need ours."""
    for name in ("strategy", "execution", "tui"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("MINE = True\n")
    code = (
        "import strategy, execution, sys\n"
        "from streamer import start_server, push_update, stop_server\n"
        f"port = start_server(port={free_range(10)})\n"
        "push_update({'type': 'X'})\n"
        "assert strategy.MINE and execution.MINE\n"
        "assert not {'numpy', 'pandas', 'textual', 'rich'} & set(sys.modules)\n"
        "stop_server(); print('ok', port)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT))), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("ok "), done.stderr


def test_importing_the_package_loads_nothing_else() -> None:
    code = (
        "import sys, streamer\n"
        "loaded = [m for m in sys.modules if m.startswith('streamer.')]\n"
        "assert not loaded, loaded\n"
        "assert 'websockets' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
    with pytest.raises(AttributeError):
        _ = streamer.nothing
