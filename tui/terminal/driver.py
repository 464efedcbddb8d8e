"""A Textual driver that never blocks the event loop: the part that all platforms share.

Bot, feed and screen share one loop. A terminal that stops reading (a stalled ssh, a text
selection) may cost frames of the screen and nothing else, and a terminal that vanishes may end
the screen and nothing else. ``select.py`` chooses the driver of the platform.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from textual.driver import Driver

from .tty_writer import TtyWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import App

TERMINAL_LOST = "terminal-lost"
"""What ``App.run_async`` returns when the terminal vanished while the screen ran."""

LOST_RETURN_CODE = 129
"""The exit code a shell reports for a process ended by SIGHUP."""

SYNC_START = "\x1b[?2026h"
SYNC_END = "\x1b[?2026l"

# A frame of Textual's compositor begins with a cursor position; no other output does.
_FRAME_BEGINS = re.compile(r"\n*\x1b\[\d+;\d+H")

_restorers: dict[int, Callable[[], None]] = {}


def restore_terminal() -> None:
    """Restore the terminal before the process ends without unwinding.

    Idempotent, callable from any thread, takes half a second at most; does nothing when the
    screen has ended in order.
    """
    for restore in list(_restorers.values()):
        restore()


class NonBlockingDriver(Driver):
    """Recognises frames, drops those that the terminal is too slow for, and reports its loss.

    Attributes:
        dropped_frames: Frames that the terminal was too slow for, since the start.
        terminal_lost: Why the terminal is gone; ``None`` while it is there.
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
        """``time.monotonic()`` of the moment the terminal stopped reading; ``None`` while it
        reads."""
        return self._out.stalled_since if self._out is not None else None

    @property
    def dropped_frames(self) -> int:
        out = self._out
        return self._dropped_before + (out.dropped_frames if out is not None else 0)

    def write(self, data: str) -> None:
        """Queue output without waiting. A frame that the terminal is not ready for is dropped."""
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

    def _begin_output(self, sink: Any, running: TtyWriter | None = None) -> None:
        """Write to ``sink``, or continue with the ``running`` writer of the first frame."""
        if running is None:
            self._out = TtyWriter(sink, on_lost=self._note_loss, on_behind=self._ask_repaint)
        else:
            self._out = running
            running.hand_on(on_lost=self._note_loss, on_behind=self._ask_repaint)
        _restorers[id(self)] = self._restore

    def _end_output(self) -> None:
        _restorers.pop(id(self), None)
        out, self._out = self._out, None
        self._open_frame = None
        if out is not None:
            self._dropped_before += out.dropped_frames
            out.close()

    def _restore(self) -> None:
        """Restore the terminal without waiting for any other thread."""
        raise NotImplementedError

    def _note_loss(self, reason: str) -> None:
        """The terminal is gone: end the screen. Callable from any thread, any number of times."""
        if self.terminal_lost is None:
            self.terminal_lost = reason
            self._on_loop(self._end_screen)

    def _end_screen(self) -> None:
        self._app.exit(TERMINAL_LOST, return_code=LOST_RETURN_CODE)

    def _ask_repaint(self) -> None:
        self._on_loop(self._repaint)

    def _repaint(self) -> None:
        """Paint the whole screen: after dropped frames it is unknown what the terminal shows."""
        if self._out is not None:
            self._out.repainting()
        self._app.refresh()

    def _on_loop(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            pass  # the loop has ended: there is no screen to end or to paint
