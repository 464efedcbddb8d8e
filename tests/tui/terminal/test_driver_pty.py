"""The screen driver on a real pty: a terminal that stalls, vanishes, stops or ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT, SUPPORT
from support.until import until

if sys.platform == "win32":
    pytest.skip("a pty is POSIX", allow_module_level=True)

import fcntl
import pty
import struct
import termios

import pyte
from websockets.asyncio.client import connect

CHILD = SUPPORT / "driver_child.py"
SET_MODE = re.compile(rb"\x1b\[\?([\d;]+)([hl])")


class Terminal:
    """A pty with a process in it; a thread plays the terminal that reads, or does not."""

    def __init__(self, out: Path, driver: str = "ours", scenario: str = "run") -> None:
        self.out = out
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
        self.found = termios.tcgetattr(self.slave)
        self.data = bytearray()
        self.reading = threading.Event()
        self.reading.set()
        self.closed = False
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD), driver, scenario, str(out)],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
        )
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        import select

        while not self.closed:
            if not self.reading.wait(0.05):
                continue
            if not select.select([self.master], [], [], 0.05)[0]:
                continue
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            self.data += data
            for question in (b"\x1b[?2026$p", b"\x1b[?2048$p"):
                if question in data:  # a terminal with synchronised output, no in-band sizes
                    state = b"2" if b"2026" in question else b"0"
                    os.write(self.master, question[:-2] + b";" + state + b"$y")

    def hang_up(self) -> None:
        """The terminal's window is closed."""
        self.closed = True
        self.thread.join()
        os.close(self.slave)
        os.close(self.master)
        self.slave = self.master = -1

    def end(self) -> None:
        self.closed = True
        self.thread.join()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)

    def told(self, key: str) -> Any:
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self.out.read_text()).get(key)
        return None

    def screen(self) -> list[str]:
        display = pyte.Screen(120, 36)
        # pyte takes Kitty's keyboard sequences for SGR; they are not what is looked at here.
        data = re.sub(rb"\x1b\[[<>=][\d;]*[a-z]", b"", self.data)
        stream = pyte.ByteStream(display)
        stream.feed(data)
        return [line.rstrip() for line in display.display]

    def modes_left(self) -> set[int]:
        """Private modes that differ from those of a fresh terminal, by the bytes it got."""
        fresh = {7: True, 25: True}
        modes: dict[int, bool] = {}
        for match in SET_MODE.finditer(self.data):
            for mode in match[1].split(b";"):
                modes[int(mode)] = match[2] == b"h"
        return {mode for mode, on in modes.items() if on != fresh.get(mode, False)}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    started: list[Terminal] = []

    def start(driver: str = "ours", scenario: str = "run") -> Terminal:
        started.append(Terminal(tmp_path / f"{len(started)}.json", driver, scenario))
        return started[-1]

    yield start
    for terminal in started:
        terminal.end()


@contextlib.asynccontextmanager
async def feed_of(terminal: Terminal):  # type: ignore[no-untyped-def]
    port = await until(lambda: terminal.told("port"))
    async with connect(f"ws://127.0.0.1:{port}", close_timeout=0.2) as ws:
        yield ws


async def frames(ws: Any, seconds: float) -> list[dict[str, Any]]:
    """What the feed sends within the next ``seconds``."""
    got: list[dict[str, Any]] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for message in ws:
                got += [json.loads(message)]
    return got


async def latest(ws: Any, test: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    async with asyncio.timeout(20):
        async for message in ws:
            frame: dict[str, Any] = json.loads(message)
            if test(frame):
                return frame
    raise AssertionError("the feed ended")


async def painted(terminal: Terminal) -> None:
    await until(lambda: len(terminal.data) > 50_000)


async def stall(terminal: Terminal, seconds: float) -> list[dict[str, Any]]:
    """Run with nobody reading the pty; what the feed sent in that time."""
    async with feed_of(terminal) as ws:
        await painted(terminal)
        terminal.reading.clear()
        await frames(ws, 1.0)  # until the kernel's buffer is full
        return await frames(ws, seconds)


async def test_a_pty_nobody_reads_costs_the_feed_no_frame(run: Callable[..., Terminal]) -> None:
    ours, stock = await asyncio.gather(stall(run("ours"), 10), stall(run("stock"), 10))

    numbers = [frame["n"] for frame in ours]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) >= 80, "a frame is due every 0.1 s"
    assert ours[-1]["stalled"]
    assert ours[-1]["dropped"] > ours[0]["dropped"]
    assert len(stock) <= 30, "the control: Textual's driver stops the loop"


@pytest.mark.parametrize("driver", ["ours", "no-repaint"])
async def test_after_a_stall_the_screen_is_whole(run: Callable[..., Terminal], driver: str) -> None:
    terminal = run(driver)
    async with feed_of(terminal) as ws:
        await painted(terminal)
        terminal.reading.clear()
        before = (await latest(ws, lambda frame: frame["stalled"]))["dropped"]
        await latest(ws, lambda frame: frame["dropped"] > before + 5)
        await ws.send("freeze")
        wanted = [row.rstrip() for row in (await frames(ws, 1.0))[-1]["rows"]]
        terminal.reading.set()
        await latest(ws, lambda frame: not frame["stalled"])
        await frames(ws, 1.5)
    whole = terminal.screen() == wanted
    assert whole == (driver == "ours"), "\n".join(terminal.screen())


@pytest.mark.parametrize("scenario", ["run", "idle"])
async def test_when_the_terminal_is_gone_the_screen_ends_and_the_feed_goes_on(
    run: Callable[..., Terminal], scenario: str
) -> None:
    terminal = run("ours", scenario)
    async with feed_of(terminal) as ws:
        await until(lambda: b"row " in terminal.data)
        terminal.hang_up()
        await latest(ws, lambda frame: frame["ended"])
        assert terminal.told("value") == "terminal-lost"
        after = await frames(ws, 3.0)
        assert len(after) >= 15
        cpu = after[-1]["cpu"] - after[0]["cpu"]
        assert cpu < 0.25 * (after[-1]["n"] - after[0]["n"]) * 0.1, "it must not spin"
        await ws.send("end")
        assert await asyncio.to_thread(terminal.process.wait, 10) == 0


@pytest.mark.parametrize("way", ["key", "term", "crash", "stalled", "atexit"])
async def test_the_terminal_is_left_as_it_was_found(run: Callable[..., Terminal], way: str) -> None:
    terminal = run("ours", way if way in ("crash", "atexit") else "run")
    await until(lambda: b"hello" in terminal.data or len(terminal.data) > 20_000)
    assert terminal.modes_left() >= {1049, 25, 2004, 1000}
    assert termios.tcgetattr(terminal.slave) != terminal.found
    # The shell reads from the same file description: it must not become non-blocking.
    assert not fcntl.fcntl(terminal.slave, fcntl.F_GETFL) & os.O_NONBLOCK
    if way == "key":
        os.write(terminal.master, b"q")
    elif way == "term":
        terminal.process.send_signal(signal.SIGTERM)
    elif way == "stalled":
        async with feed_of(terminal) as ws:
            terminal.reading.clear()
            await latest(ws, lambda frame: frame["stalled"])
        terminal.process.send_signal(signal.SIGTERM)
    code = await asyncio.to_thread(terminal.process.wait, 15)
    assert code == (3 if way == "atexit" else 0)
    terminal.reading.set()
    await until(lambda: not terminal.modes_left(), 5)
    assert termios.tcgetattr(terminal.slave) == terminal.found
    if way == "crash":
        assert b"a fault in a panel" in terminal.data.rpartition(b"\x1b[?1049l")[2]


async def test_control_z_gives_the_terminal_back_and_fg_paints_it_anew(
    run: Callable[..., Terminal],
) -> None:
    terminal = run()
    async with feed_of(terminal) as ws:
        await painted(terminal)
        terminal.process.send_signal(signal.SIGTSTP)
        await until(lambda: not terminal.modes_left(), 5)
        assert termios.tcgetattr(terminal.slave) == terminal.found

        terminal.process.send_signal(signal.SIGCONT)
        await until(lambda: terminal.modes_left() >= {1049, 25, 2004, 1000})
        await ws.send("freeze")
        wanted = [row.rstrip() for row in (await frames(ws, 1.0))[-1]["rows"]]
        await until(lambda: terminal.screen() == wanted)
        os.write(terminal.master, b"q")
        assert await asyncio.to_thread(terminal.process.wait, 15) == 0
    await until(lambda: not terminal.modes_left(), 5)


async def test_keys_and_escape_arrive(run: Callable[..., Terminal]) -> None:
    terminal = run()
    async with feed_of(terminal) as ws:
        await painted(terminal)
        os.write(terminal.master, "aü\x1b[A".encode())
        await latest(ws, lambda frame: frame["keys"].endswith("up"))
        os.write(terminal.master, b"\x1b")
        frame = await latest(ws, lambda frame: frame["keys"].endswith("escape"))
    assert frame["keys"].startswith("a")
