"""The real program on a real pseudo terminal, for tests of its start and of its end."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pyte

from support import program

SET_MODE = re.compile(rb"\x1b\[\?([\d;]+)([hl])")

BLOCKED = (
    "import sys, time\n"
    "class Finder:\n"
    "    slow = set({what!r})\n"
    "    def find_spec(self, name, path, target=None):\n"
    "        if name in self.slow:\n"
    "            self.slow.remove(name)\n"
    "            sys.stderr.write('<asked for ' + name + '>'); sys.stderr.flush()\n"
    "            time.sleep({seconds})\n"
    "sys.meta_path.insert(0, Finder())\n"
    "from tui.cli.main import main\n"
    "sys.argv = ['mt5dash', *sys.argv[1:]]\n"
    "main()\n"
)
"""The program with packages whose import takes long."""


class PtyProgram:
    """A running ``mt5dash`` on a terminal that a thread plays, which reads or does not."""

    def __init__(
        self,
        home: Path,
        *arguments: str,
        size: tuple[int, int] = (120, 36),
        blocked: tuple[str, ...] = (),
        seconds: float = 60,
        reading: bool = True,
        early: bytes = b"",
    ) -> None:
        self.size = size
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.found = termios.tcgetattr(self.slave)
        self.data = bytearray()
        self.reading = threading.Event()
        if reading:
            self.reading.set()
        self._closed = False
        if early:
            os.write(self.master, early)
        code = BLOCKED.format(what=blocked, seconds=seconds)
        self.errors = home / "stderr"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                stdin=self.slave, stdout=self.slave, stderr=errors, cwd=home,
                start_new_session=True,
                env=program.environment(home) | {"TERM": "xterm-256color", "COLUMNS": "", "LINES": ""},
            )  # fmt: skip
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._closed:
            if not self.reading.wait(0.05) or not select.select([self.master], [], [], 0.05)[0]:
                continue
            try:
                self.data += os.read(self.master, 65536)
            except OSError:
                return

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def hang_up(self) -> None:
        self._closed = True
        self._thread.join()
        os.close(self.slave)
        os.close(self.master)
        self.slave = self.master = -1

    def end(self) -> None:
        self._closed = True
        self._thread.join()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)

    async def wait(self) -> int:
        return await asyncio.to_thread(self.process.wait, 20)

    def said(self) -> str:
        """What it wrote to standard error, without the marks of blocked imports."""
        return re.sub(r"<asked for .*?>", "", self.errors.read_text())

    def asked_for(self) -> list[str]:
        return re.findall(r"<asked for (.*?)>", self.errors.read_text())

    def screen(self) -> list[str]:
        """The screen as a terminal shows it."""
        display = pyte.Screen(*self.size)
        # pyte takes Kitty's keyboard sequences for SGR; they are not what is looked at here.
        pyte.ByteStream(display).feed(re.sub(rb"\x1b\[[<>=][\d;]*[a-z]", b"", bytes(self.data)))
        return [line.rstrip() for line in display.display]

    def text(self) -> str:
        return "\n".join(self.screen())

    def restored(self) -> bool:
        """Whether the terminal is as it was found: its modes, and those of its screen."""
        fresh = {7: True, 25: True}
        modes: dict[int, bool] = {}
        for match in SET_MODE.finditer(bytes(self.data)):
            for mode in match[1].split(b";"):
                modes[int(mode)] = match[2] == b"h"
        screen = all(on == fresh.get(mode, False) for mode, on in modes.items())
        return screen and termios.tcgetattr(self.slave) == self.found
