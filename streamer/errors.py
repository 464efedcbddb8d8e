"""The root of all exceptions of mt5dash. This module imports nothing.

An exception of ours that the person who started the program can do something about says so by
its class: ``exit_code`` is what the command line ends with, ``hint`` is what to do next.
"""

from __future__ import annotations

from typing import Any, ClassVar

FAILED = 1
"""Exit code: the work failed."""
USAGE = 2
"""Exit code: wrong usage, settings, credentials or input files."""
IN_USE = 3
"""Exit code: the port, the journal or another exclusive resource is in use."""


class Mt5dashError(Exception):
    """Base class of every exception that mt5dash defines.

    A subclass may have a built-in exception as a second base, so that callers who know only the
    standard library can catch it: ``class Refused(Mt5dashError, ValueError)``.

    Args:
        *args: As for the built-in exception; the first one is usually the message.
        hint: What the reader can do about it; empty when the message says so itself.

    Attributes:
        exit_code: What the command line ends with when this reaches it: 1, 2 or 3.
        hint: See above. Not part of ``str(error)``.
    """

    exit_code: ClassVar[int] = FAILED
    hint: str = ""

    def __init__(self, *args: Any, hint: str = "") -> None:
        super().__init__(*args)
        if hint:
            self.hint = hint
