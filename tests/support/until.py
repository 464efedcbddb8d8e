"""Waiting in tests: for a condition, never for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[..., T], seconds: float = 20.0, every: float = 0.01) -> T:
    """Wait until a condition is true.

    Args:
        condition: Called without arguments again and again, on the loop.
        seconds: When to give up; only a test that fails waits so long.
        every: Seconds between two questions; 0.0 for a clock that stands still meanwhile.

    Returns:
        What the condition returned.

    Raises:
        TimeoutError: It was not true in time.
    """
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {condition}")
        await asyncio.sleep(every)
    return found
