"""The screen's driver for the platform that the program runs on."""

from __future__ import annotations

import sys

from textual.driver import Driver


def screen_driver() -> type[Driver]:
    """The driver class for ``App(driver_class=...)``; only its own platform's is imported."""
    if sys.platform == "win32":
        from .driver_windows import ConsoleDriver

        return ConsoleDriver
    from .driver_posix import TerminalDriver

    return TerminalDriver
