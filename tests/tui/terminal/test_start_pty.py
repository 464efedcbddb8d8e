"""The start on a real terminal: the first frame, keys and signals meanwhile, what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("a pty is POSIX", allow_module_level=True)

from support import program
from support.fake_source import FakeSource, FrozenClock
from support.pty_program import PtyProgram
from support.until import until

from tui.app.app import DashApp
from tui.progress import Steps
from tui.terminal.first_frame import frame_lines

HEAVY = ("textual", "numpy", "pydantic", "websockets")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., PtyProgram]]:
    started: list[PtyProgram] = []

    def start(*arguments: str, **how: Any) -> PtyProgram:
        home = tmp_path / str(len(started))
        home.mkdir()
        started.append(PtyProgram(home, *(arguments or ("tui", "--port", "0")), **how))
        return started[-1]

    yield start
    for each in started:
        each.end()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def health(port: int) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return json.loads(error.read())
    except OSError:
        return None


async def test_panels_and_steps_stand_before_anything_heavy_is_loaded(
    run: Callable[..., PtyProgram],
) -> None:
    started = run(blocked=HEAVY)
    await until(started.asked_for)
    await until(lambda: "4 Trades" in started.text())
    lines = started.text()
    for words in ("1 Positions", "2 Scanner", "3 Events", "▸ settings", "· terminal"):
        assert words in lines
    assert "mt5dash" in lines.splitlines()[0]
    assert "starting" in lines.splitlines()[0]


async def test_each_step_is_named_while_it_is_done(run: Callable[..., PtyProgram]) -> None:
    started = run(blocked=("textual",))
    await until(lambda: "▸ screen" in started.text())
    assert "✓ settings" in started.text()
    assert "defaults" in started.text()


async def test_ascii_is_plain_from_the_first_frame(run: Callable[..., PtyProgram]) -> None:
    started = run("tui", "--port", "0", "--ascii", blocked=HEAVY)
    await until(lambda: "4 Trades" in started.text())
    assert started.text().isascii()
    assert "> settings" in started.text()


def test_nothing_is_printed_where_nobody_looks(tmp_path: Path) -> None:
    code = (
        "from tui.cli import main, tui\n"
        "tui.load_settings = lambda *_: (_ for _ in ()).throw(SystemExit(7))\n"
        "main.app(['tui'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=program.environment(tmp_path), cwd=tmp_path,
        capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 7
    assert done.stdout == b""
    assert b"running without a screen" in done.stderr


@pytest.mark.parametrize("moment", ["before", "first frame", "loading the bot"])
async def test_keys_typed_during_the_start_are_not_lost(
    run: Callable[..., PtyProgram], moment: str
) -> None:
    if moment == "before":
        started = run(early=b"?")
    elif moment == "first frame":
        started = run(blocked=("textual",), seconds=0.01)
        await until(lambda: "4 Trades" in started.text())
        started.press(b"?")
    else:
        started = run(blocked=("numpy",), seconds=1)
        await until(lambda: "▸ feed" in started.text())
        started.press(b"?")
    await until(lambda: "Help" in started.text() or "Keys" in started.text())
    started.press(b"\x1b")
    await until(lambda: "Balance" in started.text())
    started.press(b"q")
    await until(lambda: "type" in started.text().lower() or "stop" in started.text().lower())


@pytest.mark.parametrize("blocked", [("pydantic",), ("textual",)])
@pytest.mark.parametrize("way", ["key", "term", "hup"])
async def test_stopping_while_it_loads_restores_the_terminal(
    run: Callable[..., PtyProgram], blocked: tuple[str, ...], way: str
) -> None:
    started = run(blocked=blocked)
    await until(started.asked_for)
    await until(lambda: "4 Trades" in started.text())
    assert not started.restored()
    if way == "key":
        started.press(b"\x03")
        # No controlling terminal in a test: the line discipline has nobody to signal.
        started.process.send_signal(signal.SIGINT)
    else:
        started.process.send_signal(signal.SIGTERM if way == "term" else signal.SIGHUP)
    assert await started.wait() == {"key": 130, "term": 143, "hup": 129}[way]
    await until(started.restored, 5)
    assert started.said() == ""


async def test_leaving_while_the_bot_loads_asks_nothing_and_ends(
    run: Callable[..., PtyProgram],
) -> None:
    started = run(blocked=("numpy",), seconds=0.2)
    await until(lambda: "loading bot and feed" in started.text())
    started.press(b"q")
    assert await started.wait() == 0
    await until(started.restored, 5)


async def test_a_stopping_signal_while_the_bot_loads_stops_it_in_order(
    run: Callable[..., PtyProgram],
) -> None:
    started = run(blocked=("numpy",), seconds=0.2)
    await until(lambda: "loading bot and feed" in started.text())
    started.process.send_signal(signal.SIGTERM)
    assert await started.wait() == 0
    await until(started.restored, 5)


async def test_what_cannot_start_is_told_on_a_restored_terminal(
    run: Callable[..., PtyProgram], tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        cases = [
            (run("tui", "--port", port), 3, port),
            (run("tui", "--port", "0", "--mode", "nonsense"), 2, "mode"),
            (run("tui", "--port", "0", "--market", str(tmp_path / "none")), 2, "does not exist"),
            (run("tui", "--port", "0", "--strategy", "nonsense"), 2, "nonsense"),
            (run("tui", "--port", "0", "--host", "192.0.2.1"), 2, "192.0.2.1"),
            (run("tui", "--port", "0", "--config", str(tmp_path / "no.toml")), 2, "no.toml"),
        ]
        for started, code, words in cases:
            assert await started.wait() == code, started.said()
            await until(started.restored, 5)
            assert words in started.said()
            assert "Traceback" not in started.said()


async def test_a_terminal_that_vanishes_during_the_start_leaves_the_bot(
    run: Callable[..., PtyProgram],
) -> None:
    port = free_port()
    started = run("tui", "--port", str(port), blocked=("textual",), seconds=0.01)
    await until(lambda: "4 Trades" in started.text())
    started.hang_up()
    await until(lambda: health(port))
    assert started.process.poll() is None
    started.process.send_signal(signal.SIGTERM)
    assert await started.wait() == 0


async def test_a_terminal_that_reads_nothing_from_the_start_does_not_hold_the_bot(
    run: Callable[..., PtyProgram],
) -> None:
    port = free_port()
    started = run("tui", "--port", str(port), reading=False)
    told = await until(lambda: health(port))
    assert "checks" in told
    started.reading.set()
    await until(lambda: "Balance" in started.text())


async def test_a_window_resized_while_it_loads_is_drawn_in_its_new_size(
    run: Callable[..., PtyProgram],
) -> None:
    import fcntl
    import struct
    import termios

    started = run(blocked=("textual",), seconds=0.02)
    await until(lambda: "4 Trades" in started.text())
    fcntl.ioctl(started.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    started.size = (80, 24)
    await until(lambda: b"\x1b[?2004h" in started.data)
    await until(lambda: "1 Positions" in started.screen()[2])


async def test_the_shell_gets_its_blocking_terminal_back(run: Callable[..., PtyProgram]) -> None:
    import fcntl

    started = run(blocked=("textual",))
    await until(lambda: "4 Trades" in started.text())
    assert not fcntl.fcntl(started.slave, fcntl.F_GETFL) & os.O_NONBLOCK


@pytest.mark.parametrize("size", [(120, 36), (80, 24), (200, 60), (101, 31), (99, 43), (59, 15)])
async def test_the_first_frame_stands_where_the_panels_will(size: tuple[int, int]) -> None:
    time = FrozenClock()
    app = DashApp(FakeSource(time.clock), clock=time.clock)
    painted = ["".join(text for text, _ in line) for line in frame_lines(Steps("one"), *size)]
    assert len(painted) <= size[1]
    assert all(len(line) <= size[0] for line in painted)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        shown = [panel for panel in app.main.panels if panel.display and panel.region.area]
        if size[0] < 60:
            assert painted[0].startswith("mt5dash: starting")
            return
        assert shown
        for panel in shown:
            x, y, cells, rows = panel.region
            assert painted[y][x] == "╭"
            assert painted[y][x + cells - 1] == "╮"
            assert painted[y + rows - 1][x] == "╰"
            assert painted[y + rows - 1][x + cells - 1] == "╯"
        assert "1 Positions" in painted[shown[0].region.y]
