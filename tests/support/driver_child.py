"""A Textual app and a feed on one loop, run by the driver tests in a process with a real pty.

Arguments: driver (ours, stock, no-repaint), scenario (run, crash, atexit), path of a file for
the port and the outcome. The feed tells every 0.1 s: n, the process's CPU seconds, the screen's
rows as the app has them, and what the driver knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import signal
import sys
import termios
import time
from pathlib import Path

from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.strip import Strip
from textual.widget import Widget
from websockets.asyncio.server import ServerConnection, serve

from tui.terminal.select import screen_driver

STYLES = [Style(color=f"color({n})", bold=bool(n % 2)) for n in range(16, 232)]


class Rows(Widget):
    """Every tick changes a third of the lines: a screen is only whole when all were painted."""

    DEFAULT_CSS = "Rows { width: 100%; height: 100%; }"

    def __init__(self) -> None:
        super().__init__()
        self.ticks = [0] * 36
        self.tick = 0

    def text(self, y: int) -> str:
        return f"row {y:02} tick {self.ticks[y]:06} " + "abcdefghij" * 9

    def advance(self) -> None:
        self.tick += 1
        for y in range(self.tick % 3, 36, 3):
            self.ticks[y] = self.tick
        self.refresh()

    def render_line(self, y: int) -> Strip:
        text = self.text(y)[: self.size.width]
        return Strip(
            [
                Segment(text[i : i + 10], STYLES[(i + y + self.tick) % len(STYLES)])
                for i in range(0, len(text), 10)
            ]
        )


class ChildApp(App[str]):
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, driver: type[Driver], scenario: str) -> None:
        super().__init__(driver_class=driver)
        self.scenario = scenario
        self.rows = Rows()
        self.keys = ""

    def compose(self):  # type: ignore[no-untyped-def]
        yield self.rows

    def on_mount(self) -> None:
        self.ticker = self.set_interval(0.05, self.rows.advance)
        if self.scenario == "crash":
            self.set_timer(0.5, self.fail)
        if self.scenario == "idle":
            self.ticker.pause()

    def fail(self) -> None:
        raise ValueError("a fault in a panel")

    def on_key(self, event) -> None:  # type: ignore[no-untyped-def]
        self.keys += event.key
        if event.key == "q":
            self.exit("quit")


def pick(name: str) -> type[Driver]:
    if name == "stock":
        return LinuxDriver
    ours = screen_driver()
    if name == "no-repaint":
        return type("NoRepaint", (ours,), {"_repaint": lambda self: self._out.repainting()})
    return ours


def tell(out: Path, what: dict[str, object]) -> None:
    out.write_text(json.dumps(what))


async def main() -> None:
    driver, scenario, path = sys.argv[1:]
    out = Path(path)
    with contextlib.suppress(OSError):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    app = ChildApp(pick(driver), scenario)
    result: list[str | None] = []
    clients: set[ServerConnection] = set()

    async def client(ws: ServerConnection) -> None:
        clients.add(ws)
        async for message in ws:
            if message == "freeze":
                app.ticker.pause()
            if message == "end":
                done.set()

    async def feed() -> None:
        start, n = time.monotonic(), 0
        while True:
            screen = app._driver
            frame = {
                "n": n,
                "cpu": time.process_time(),
                "rows": [app.rows.text(y) for y in range(36)],
                "keys": app.keys,
                "ended": bool(result),
                "stalled": getattr(screen, "stalled_since", None) is not None,
                "dropped": getattr(screen, "dropped_frames", None),
            }
            for ws in clients:
                with contextlib.suppress(Exception):
                    await ws.send(json.dumps(frame))
            n += 1
            await asyncio.sleep(max(0.0, start + n * 0.1 - time.monotonic()))

    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: app.exit("term"))
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    async with serve(client, "127.0.0.1", 0) as server:
        tell(out, {"port": server.sockets[0].getsockname()[1]})
        teller = asyncio.create_task(feed())
        if scenario == "atexit":
            # The process ends under the screen: nothing unwinds, only atexit runs.
            loop.call_later(1.5, lambda: sys.exit(3))
            with app._context():
                screen = app._build_driver(False, False, True, None)
                screen.start_application_mode()
                screen.write("\x1b[1;1Hhello")
                screen.flush()
            await done.wait()
        value = await app.run_async()
        result.append(value)
        tell(out, {"port": 0, "value": value})
        if value == "terminal-lost":
            await done.wait()
        teller.cancel()


if __name__ == "__main__":
    asyncio.run(main())
