"""A paper terminal as a module, the form in which an agent serves one.

Its structs cannot be pickled, like those of the real package, and a file can make it hang
while it holds the GIL, which is what the real package does when its terminal hangs.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

from execution.paper import open_paper
from execution.settings import PaperSettings

__version__ = "paper"

_terminal = open_paper(PaperSettings(speed=float(os.environ.get("PAPER_SPEED", "1"))))
_hang = os.environ.get("PAPER_HANG")
"""A file: while it exists, each call waits."""


def _wait_while_hung() -> None:
    if not _hang or sys.platform == "win32":
        return
    # PyDLL keeps the GIL during the call, as the real package does.
    usleep = ctypes.PyDLL(None).usleep
    while Path(_hang).exists():
        usleep(20_000)
        # Without this line other threads of this process could still run between the calls.
        sys.setswitchinterval(3600)
    sys.setswitchinterval(0.005)


def __getattr__(name: str) -> Any:
    value = getattr(_terminal, name)
    if not callable(value):
        return value

    def call(*args: Any, **kwargs: Any) -> Any:
        _wait_while_hung()
        return value(*args, **kwargs)

    return call
