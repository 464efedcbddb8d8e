"""What systemd hears, over a real datagram socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tui.run.systemd import Notifier, health_line

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="systemd is Linux's")


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(path)
        listening.settimeout(20)
        yield listening, path


def fields(datagram: bytes) -> dict[str, str]:
    return dict(line.split("=", 1) for line in datagram.decode().splitlines())


async def test_a_loop_that_hangs_stops_the_pings_and_one_that_runs_does_not(
    heard: tuple[socket.socket, str],
) -> None:
    listening, path = heard
    listening.setblocking(False)
    notifier = Notifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000"})
    assert notifier.watched
    task = asyncio.create_task(notifier.run(lambda: "all\nwell"))
    loop = asyncio.get_running_loop()
    first = fields(await loop.sock_recv(listening, 4096))
    assert first == {"READY": "1", "STATUS": "all well"}
    for _ in range(3):
        assert fields(await loop.sock_recv(listening, 4096))["WATCHDOG"] == "1"

    def drain() -> int:
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                listening.recv(4096)
                count += 1
        return count

    drain()
    time.sleep(0.5)  # the loop hangs for eight watchdog periods  # noqa: ASYNC251
    assert drain() == 0
    await loop.sock_recv(listening, 4096)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    said = []
    with contextlib.suppress(BlockingIOError):
        while True:
            said.append(fields(listening.recv(4096)))
    assert said[-1]["STOPPING"] == "1"


async def test_nobody_who_listens_costs_nothing(tmp_path: Path) -> None:
    await asyncio.wait_for(Notifier({}).run(lambda: ""), 1)
    gone = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    gone.send(READY="1")
    other = Notifier({"NOTIFY_SOCKET": str(tmp_path / "x"), "WATCHDOG_USEC": "1000000",
                      "WATCHDOG_PID": str(os.getpid() + 1)})  # fmt: skip
    assert not other.watched, "the watchdog of another process"


def test_what_is_wrong_stands_in_the_status() -> None:
    report = {
        "status": "down",
        "checks": {
            "loop": {"status": "ok", "text": ""},
            "terminal": {"status": "down", "text": "disconnected"},
        },
    }
    line = health_line(report, "ws://127.0.0.1:8000/ws", 2)
    assert line == "down; 2 clients at ws://127.0.0.1:8000/ws; terminal down (disconnected)"


def test_the_program_says_ready_once_it_listens_and_stopping_when_it_stops(
    heard: tuple[socket.socket, str], tmp_path: Path
) -> None:
    listening, path = heard
    environ = {
        **os.environ,
        "NOTIFY_SOCKET": path,
        "WATCHDOG_USEC": "600000",
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    environ.pop("WATCHDOG_PID", None)
    program = subprocess.Popen(
        [sys.executable, "-m", "tui", "tui", "--no-ui", "--port", "0"],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        first = fields(listening.recv(4096))
        assert first["READY"] == "1"
        url = first["STATUS"].split(" clients at ")[1].split(";")[0]
        assert program.stdout is not None
        assert url in program.stdout.readline()
        address = url.removeprefix("ws://").removesuffix("/ws").rsplit(":", 1)
        socket.create_connection((address[0], int(address[1])), timeout=5).close()
        assert "WATCHDOG" in fields(listening.recv(4096))
        program.send_signal(signal.SIGTERM)
        while "STOPPING" not in fields(listening.recv(4096)):
            pass
        assert program.wait(10) == 0
    finally:
        program.kill()
        program.wait()
        if program.stdout is not None:
            program.stdout.close()
