"""A drop-in for the ``MetaTrader5`` package, for the tests of a bot that uses it::

    import execution.paper.metatrader5 as mt5

All its constants, functions, helpers and struct types, on a paper terminal. The terminal is
opened with default settings at the first call, or given by ``use(terminal)``.
"""

from __future__ import annotations

import threading as _threading
from typing import Any as _Any

from ..api import package as _package
from ..settings import PaperSettings as _PaperSettings
from .opening import open_paper as _open_paper
from .server.terminal import PaperTerminal as _PaperTerminal

FUNCTIONS = _package.FUNCTIONS
"""The package's functions, by name."""

_lock = _threading.Lock()
_current: _PaperTerminal | None = None


def use(paper: _PaperTerminal | None) -> None:
    """Work on this terminal; None: a new one at the next call."""
    global _current
    _current = paper


def terminal() -> _PaperTerminal:
    """The terminal in use."""
    global _current
    with _lock:
        if _current is None:
            _current = _open_paper(_PaperSettings.model_validate({}))
        return _current


def _dispatch(name: str, args: tuple[_Any, ...], kwargs: dict[str, _Any]) -> _Any:
    return getattr(terminal(), name)(*args, **kwargs)


_package.fill(globals(), _dispatch)


def __getattr__(name: str) -> _Any:
    """Nothing more than what is here; for type checkers, which cannot see what is filled in."""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
