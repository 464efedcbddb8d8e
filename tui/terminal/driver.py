"""The screen's way to the terminal: a Textual driver that never blocks the event loop.

Bot, feed and screen share one loop, so a terminal that stops reading (a stalled ssh, a text
selection) must cost frames of the screen and nothing else, and a terminal that vanishes must end
the screen and nothing else.
"""

from __future__ import annotations

import re
import sys
import threading
from typing import TYPE_CHECKING, Any

from textual.driver import Driver

from ..run import shutdown as life
from .tty_writer import TtyWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import App

TERMINAL_LOST = "terminal-lost"
"""What ``App.run_async`` returns when the terminal went away under the screen."""

LOST_RETURN_CODE = 129
"""The exit code a shell reports for a process ended by SIGHUP."""

SYNC_START = "\x1b[?2026h"
SYNC_END = "\x1b[?2026l"

# A frame of Textual's compositor begins by placing the cursor; nothing else it writes does.
_FRAME_BEGINS = re.compile(r"\n*\x1b\[\d+;\d+H")

_restorers: dict[int, Callable[[], None]] = {}


def screen_driver() -> type[Driver]:
    """The driver for this platform, to be given to ``App(driver_class=...)``."""
    if sys.platform == "win32":
        from .driver_windows import ConsoleDriver

        return ConsoleDriver
    from .driver_posix import TerminalDriver

    return TerminalDriver


def restore_terminal() -> None:
    """Last resort before the process ends: leave the terminal as it was found.

    Idempotent and bounded to about half a second, from any thread; does nothing when the
    screen has ended in order.
    """
    for restore in list(_restorers.values()):
        restore()


class NeverWaits(Driver):
    """The part that all platforms share: what is a frame, what is dropped, who is told.

    Attributes:
        dropped_frames: frames the terminal was too slow for, since the start.
        terminal_lost: why the terminal is gone, or None.
    """

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self.terminal_lost: str | None = None
        self._out: TtyWriter | None = None
        self._open_frame: list[str] | None = None
        self._loop_thread = threading.get_ident()
        self._dropped_before = 0

    @property
    def stalled_since(self) -> float | None:
        """``time.monotonic()`` since when the terminal reads nothing, None when it does."""
        return self._out.stalled_since if self._out is not None else None

    @property
    def dropped_frames(self) -> int:
        out = self._out
        return self._dropped_before + (out.dropped_frames if out is not None else 0)

    def write(self, data: str) -> None:
        """Queue output; never waits. A frame that the terminal is not ready for is dropped."""
        if threading.get_ident() == self._loop_thread:
            if self._open_frame is None and (data == SYNC_START or _FRAME_BEGINS.match(data)):
                self._open_frame = []
            if self._open_frame is not None:
                self._open_frame.append(data)
                if data == SYNC_END:
                    self._end_frame()
                return
        if self._out is not None:
            self._out.control(self._encode(data))

    def flush(self) -> None:
        if threading.get_ident() == self._loop_thread:
            self._end_frame()

    def _end_frame(self) -> None:
        if self._open_frame is None:
            return
        frame, self._open_frame = "".join(self._open_frame), None
        if self._out is not None:
            self._out.frame(self._encode(frame))

    def _encode(self, data: str) -> bytes:
        return data.encode("utf-8", "replace")

    def _begin_output(self, sink: Any, going: TtyWriter | None = None) -> None:
        """Write to ``sink``, or go on with the writer of the first frame."""
        if going is None:
            self._out = TtyWriter(sink, on_lost=self._note_loss, on_behind=self._ask_repaint)
        else:
            self._out = going
            going.hand_on(on_lost=self._note_loss, on_behind=self._ask_repaint)
        _restorers[id(self)] = self._restore
        if restore_terminal not in life.last_rites:
            life.last_rites.append(restore_terminal)

    def _end_output(self) -> None:
        _restorers.pop(id(self), None)
        out, self._out = self._out, None
        self._open_frame = None
        if out is not None:
            self._dropped_before += out.dropped_frames
            out.close()

    def _restore(self) -> None:
        """Put the terminal back without waiting for any other thread."""
        raise NotImplementedError

    def _note_loss(self, reason: str) -> None:
        """Called from any thread, any number of times: the terminal is gone, end the screen."""
        if self.terminal_lost is None:
            self.terminal_lost = reason
            self._on_loop(self._end_screen)

    def _end_screen(self) -> None:
        self._app.exit(TERMINAL_LOST, return_code=LOST_RETURN_CODE)

    def _ask_repaint(self) -> None:
        self._on_loop(self._repaint)

    def _repaint(self) -> None:
        """Paint the whole screen: what it shows is unknown after frames were dropped."""
        if self._out is not None:
            self._out.repainting()
        self._app.refresh()

    def _on_loop(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            pass  # the loop has ended: there is no screen to end or to paint
