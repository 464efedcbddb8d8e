"""Virtual clocks of the paper market: real time, real time times N, or stepped by a test.

A clock gives UTC epoch seconds of the *market*. It can be capped (recorded quotes end) and
made to jump (a fault that a client must survive).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """What the paper terminal asks for the time. ``speed`` is market seconds a real second."""

    @property
    def speed(self) -> float: ...
    def now(self) -> float: ...
    def cap(self, limit: float | None) -> None: ...
    def jump(self, seconds: float) -> None: ...


class RunningClock:
    """Starts at ``start`` (UTC epoch seconds) and runs ``speed`` times as fast as real time."""

    def __init__(
        self, start: float, speed: float = 1.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        if not 0 < speed < float("inf"):
            raise ValueError(f"speed must be a positive finite number, not {speed!r}")
        self._speed = speed
        self._monotonic = monotonic
        self._anchor = start
        self._since = monotonic()
        self._limit: float | None = None

    @property
    def speed(self) -> float:
        return self._speed

    def now(self) -> float:
        at = self._anchor + (self._monotonic() - self._since) * self._speed
        return at if self._limit is None else min(at, self._limit)

    def restart(self, start: float) -> None:
        """Run from ``start`` on."""
        self._anchor, self._since = start, self._monotonic()

    def set_speed(self, speed: float) -> None:
        """Run at another speed from now on; the time itself does not jump."""
        if not 0 < speed < float("inf"):
            raise ValueError(f"speed must be a positive finite number, not {speed!r}")
        at = self.now()
        self._anchor, self._since, self._speed = at, self._monotonic(), speed

    def cap(self, limit: float | None) -> None:
        """Never show a time after ``limit``."""
        self._limit = limit

    def jump(self, seconds: float) -> None:
        self._anchor += seconds


class SteppedClock:
    """Moves only when it is stepped: tests never sleep."""

    speed = 0.0

    def __init__(self, start: float) -> None:
        self._at = float(start)
        self._limit: float | None = None

    def now(self) -> float:
        return self._at if self._limit is None else min(self._at, self._limit)

    def step(self, seconds: float) -> None:
        self._at += seconds

    def set(self, at: float) -> None:
        self._at = float(at)

    def cap(self, limit: float | None) -> None:
        self._limit = limit

    def jump(self, seconds: float) -> None:
        self._at += seconds
