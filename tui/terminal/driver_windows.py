"""The console driver for Windows.

Not tested on Windows: it changes Textual's own driver only in the writer. A text selection that stops
the console stops the writing thread, not the loop.
"""

from __future__ import annotations

import asyncio
import atexit
import sys
from collections.abc import Callable

from textual.drivers import win32
from textual.drivers.windows_driver import WindowsDriver

from .driver import NonBlockingDriver, restore_terminal
from .tty_writer import ConsoleSink

ENTER = (
    "\x1b[?1049h"  # alternate screen
    "\x1b[?25l"  # no cursor
    "\x1b[?1004h"  # report focus
    "\x1b[>1u"  # Kitty's keyboard protocol: disambiguate
    "\x1b[?2004h"  # bracketed paste
)
LEAVE = (
    b"\x1b[?2026l"
    b"\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?2004l\x1b[?1004l\x1b[0m"
    b"\x1b[<u\x1b[?1049l\x1b[?25h"
)

atexit.register(restore_terminal)


class ConsoleDriver(NonBlockingDriver, WindowsDriver):
    """Textual's Windows driver with an output that never waits."""

    _restore_console: Callable[[], None] | None

    def start_application_mode(self) -> None:
        file = sys.__stdout__
        if file is None:
            raise RuntimeError("There is no console: run with --no-ui")
        self._restore_console = win32.enable_application_mode()
        self._begin_output(ConsoleSink(file))
        self.write(ENTER)
        self._enable_mouse_support()
        self._event_thread = win32.EventMonitor(
            asyncio.get_running_loop(), self._app, self.exit_event, self.process_message
        )
        self._event_thread.daemon = True
        self._event_thread.start()

    def stop_application_mode(self) -> None:
        self.disable_input()
        self._restore()

    def _restore(self) -> None:
        if self._restore_console is None:
            return
        if self._out is not None:
            self._out.finish(LEAVE)
        # After the sequences: without virtual terminal processing they would be printed as text.
        self._restore_console()
        self._restore_console = None

    def close(self) -> None:
        self._restore()
        self._end_output()

    def resume_application_mode(self) -> None:
        self.start_application_mode()
        self._repaint()
