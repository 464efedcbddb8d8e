"""A terminal whose functions raise, as the MetaTrader5 package does for some arguments.

``raised`` says what each function raises and what ``last_error()`` is after it.
"""

from __future__ import annotations

from typing import Any

RANGE = "<built-in function {}> returned a result with an exception set"
_error: tuple[int, str] = (0, "")


class Odd:
    """A value that has no place on the wire."""


def order_send(request: dict[str, Any]) -> Any:
    """Refuses ``magic`` below zero before it sends; comment "after" raises when it was sent."""
    global _error
    _error = (1, "Success")
    if request.get("magic", 0) < 0:
        _error = (-2, 'Invalid "magic" argument')
        raise SystemError(RANGE.format("order_send"))
    if request.get("comment") == "after":
        raise SystemError(RANGE.format("order_send"))
    if request.get("comment") == "broken pipe":
        # The code is left over from an earlier call.
        _error = (-2, "Invalid arguments")
        raise OSError("broken pipe")
    if request.get("comment") == "odd":
        return Odd()
    return None


def positions_get(*, ticket: int = 0) -> Any:
    global _error
    if ticket < 0:
        _error = (-2, 'Invalid "ticket" argument')
        raise SystemError(RANGE.format("positions_get"))
    _error = (1, "Success")
    return ()


def symbol_info(name: str, /) -> Any:
    return Odd()


def symbols_get(*masks: str) -> Any:
    """The package answers ``False``, not ``None``, for masks that it refuses."""
    global _error
    _error = (-2, "Invalid number of arguments")
    return False


def account_info() -> Any:
    return ()


def last_error() -> tuple[int, str]:
    return _error
