"""The first frame: painted within a tenth of a second, before Textual is loaded.

It takes the terminal over as the screen's driver does (alternate screen, no echo), shows the frames
of the panels and the steps of the start, and hands terminal and output over to the driver. Keys
typed meanwhile stay in the terminal's queue for the screen. Ctrl-C ends the program.
"""

from __future__ import annotations

import os
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..board import PANELS, ROOMY, TINY, arrange, split
from ..progress import Piece, Steps

if TYPE_CHECKING:
    from .tty_writer import TtyWriter

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
LEAVE = b"\x1b[?7h\x1b[0m\x1b[?1049l\x1b[?25h"

SGR = {"faint": "2", "dim": "2", "crit": "1;31", "bold": "1", "text": ""}
PLAIN = str.maketrans("▸✓✕·…─│╭╮╰╯█", ">vx.~-|++++#")

_open: FirstFrame | None = None


def has_terminal() -> bool:
    """Whether both input and output are a terminal that a screen can use."""
    try:
        return sys.stdin.isatty() and sys.stdout.isatty()
    except (AttributeError, ValueError):  # a closed or missing stream
        return False


def show(shown: Steps, *, ascii_only: bool = False) -> None:
    """Take the terminal over and paint; every change of ``shown`` is painted from now on.

    Prints a line instead where the terminal cannot be taken over (Windows, a closed stream).
    """
    global _open
    if sys.platform != "win32" and _open is None:
        import termios

        try:
            _open = FirstFrame(shown, ascii_only)
        except (OSError, termios.error):
            pass
    if _open is None:
        print("mt5dash: starting", flush=True)


def steps() -> Steps | None:
    """The steps that the first frame shows; ``None`` without a first frame."""
    return _open.shown if _open is not None else None


def leave() -> None:
    """Restore the terminal, unless the driver has it. Idempotent, takes 0.4 s at most."""
    global _open
    frame, _open = _open, None
    if frame is not None:
        frame.close()


def take() -> FirstFrame | None:
    """Hand the first frame over to the driver; ``None`` when there is none."""
    global _open
    frame, _open = _open, None
    if frame is not None:
        frame.hand_on()
    return frame


class FirstFrame:
    """The terminal while the program loads.

    Attributes:
        shown: The steps that it shows.
        writer: Writes to the terminal; the driver continues with it.
        attributes: The terminal's modes before the program.
    """

    writer: TtyWriter

    def __init__(self, shown: Steps, ascii_only: bool) -> None:
        import signal
        import termios

        from .tty_writer import TtySink, TtyWriter

        self.shown = shown
        self._ascii = ascii_only
        self._fd = sys.stdin.fileno()
        self.attributes = termios.tcgetattr(self._fd)
        self._size = _size(self._fd)
        # First: a program in the background is stopped by this call, before it has drawn.
        termios.tcsetattr(self._fd, termios.TCSANOW, _quiet(self.attributes))
        self._signals = {
            number: signal.signal(number, _interrupted)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        self.writer = TtyWriter(TtySink(self._fd), on_lost=_ignore, on_behind=_ignore)
        self._painted: list[str] = []
        self.paint()
        shown.on_change = self.paint

    def paint(self) -> None:
        """Paint the lines that have changed, without waiting."""
        cells, rows = self._size
        lines = [paint_line(line, self._ascii) for line in frame_lines(self.shown, cells, rows)]
        out = [] if self._painted else [ENTER, "\x1b[2J"]
        for y, line in enumerate(lines):
            if y >= len(self._painted) or self._painted[y] != line:
                # Cleared first: after a line of full width the end of it would be.
                out.append(f"\x1b[{y + 1};1H\x1b[K{line}")
        self._painted = lines
        if out:
            self.writer.control("".join(out).encode("utf-8", "replace"))
            time.sleep(0.0005)  # lets the writer's thread at it, also between two imports

    def hand_on(self) -> None:
        """No more of this: the driver paints from now on. Signals are the loop's."""
        self.shown.on_change = None

    def close(self) -> None:
        """Leave the terminal as it was found."""
        import signal
        import termios

        self.shown.on_change = None
        self.writer.finish(LEAVE)
        self.writer.close()
        try:
            termios.tcsetattr(self._fd, termios.TCSANOW, self.attributes)
        except termios.error:
            pass  # the terminal is gone
        for number, handler in self._signals.items():
            if signal.getsignal(number) is _interrupted:
                signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _ignore(*_: object) -> None:
    """Losses are reported to the driver when it takes over (``TtyWriter.hand_on``)."""


def _interrupted(number: int, frame: FrameType | None) -> None:
    """End the program wherever its loading is; the exit code is the one that shells report."""
    raise SystemExit(128 + number)


def _quiet(found: list[Any]) -> list[Any]:
    """Modes without echo and line editing, in which only Ctrl-C is still a signal."""
    import termios

    modes = [*found[:6], list(found[6])]
    modes[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    modes[3] |= termios.ISIG
    # Carriage return is not translated, Ctrl-S and Ctrl-Q are keys, as in the driver.
    modes[0] &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
    off = os.fpathconf(0, "PC_VDISABLE")
    for key in (termios.VSUSP, termios.VQUIT):
        modes[6][key] = bytes([off & 0xFF])
    modes[6][termios.VMIN] = 1
    return modes


def _size(fd: int) -> tuple[int, int]:
    try:
        cells, rows = os.get_terminal_size(fd)
    except OSError:
        cells = rows = 0
    return cells or 80, rows or 25


def paint_line(line: list[Piece], ascii_only: bool) -> str:
    """Pieces as text with attributes that every terminal has: themes are not loaded yet."""
    out = ""
    for text, style in line:
        safe = text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
        if ascii_only:
            safe = safe.translate(PLAIN).encode("ascii", "replace").decode()
        code = SGR.get(style, "")
        out += f"\x1b[{code}m{safe}\x1b[0m" if code else safe
    return out


def frame_lines(steps: Steps, cells: int, rows: int) -> list[list[Piece]]:
    """The main screen with empty panels; the steps of the start are in the first one."""
    if cells < TINY[0] or rows < TINY[1]:
        return [[("mt5dash: starting", "bold")], *steps.lines(cells)][:rows]
    roomy = cells >= ROOMY[0] and rows >= ROOMY[1]
    head = 3 if roomy else 2
    out: list[list[Piece]] = [[("  mt5dash  ", "bold"), ("starting", "text")]]
    out += [[]] * (head - 1)
    # Each box of the grid: its title, and its place as (row, whether it is the whole row).
    if roomy:
        grid = arrange(PANELS, roomy=True)
        boxes = [(p.label, p.band, p.number in grid.wide) for p in PANELS]
    else:
        first, *others = (p.label for p in PANELS)
        grid = arrange(PANELS[:2], roomy=False)
        boxes = [(first, 0, True), (" │ ".join(others), 1, True)]
    widths = split(cells, grid.columns)
    for band, high in enumerate(split(rows - head - 2, grid.rows)):
        here = [(title, wide) for title, at, wide in boxes if at == band]
        drawn = []
        for (title, wide), width in zip(here, widths, strict=False):
            room = cells if wide else width
            # The first row is the heading's: nothing moves when the screen itself is drawn.
            told = [[], *steps.lines(room - 4)] if title == PANELS[0].label else []
            drawn.append(_box(title, room, high, told))
        out += [[piece for part in parts for piece in part] for parts in zip(*drawn, strict=True)]
    return [*out, [], []]


def _box(title: str, cells: int, rows: int, body: list[list[Piece]]) -> list[list[Piece]]:
    inner = cells - 2
    top: list[Piece] = [("╭─ ", "dim"), (title, "bold" if body else "text")]
    top.append((f" {'─' * max(0, inner - len(title) - 3)}╮", "dim"))
    out = [top]
    for y in range(rows - 2):
        line = [(" ", ""), *body[y]] if y < len(body) else []
        room = inner - sum(len(text) for text, _ in line)
        out.append([("│", "dim"), *line, (" " * max(0, room), ""), ("│", "dim")])
    return [*out, [("╰" + "─" * inner + "╯", "dim")]]
