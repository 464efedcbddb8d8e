"""Results from a thread to a future of the event loop. This module imports nothing of ours."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, TypeVar

T = TypeVar("T")


def settle(future: asyncio.Future[T], value: T | BaseException) -> None:
    """Give a future its value or exception, unless it is done already. Used on its loop."""
    if future.done():
        return
    if isinstance(value, BaseException):
        future.set_exception(value)
    else:
        future.set_result(value)


def settle_threadsafe(future: asyncio.Future[Any], value: Any) -> None:
    """``settle`` from another thread; without effect once the loop is closed."""
    with contextlib.suppress(RuntimeError):  # the loop is closed
        future.get_loop().call_soon_threadsafe(settle, future, value)
