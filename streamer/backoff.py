"""Growing pauses between tries. This module imports nothing of ours."""

from __future__ import annotations

import random


class Backoff:
    """Pauses for a loop that tries again: each is ``factor`` times the one before, up to ``most``.

    ``next()`` before each pause, ``reset()`` after a success::

        backoff = Backoff(0.5, 15.0)
        while True:
            try:
                await connect_and_serve()
                backoff.reset()
            except ConnectionError:
                await asyncio.sleep(backoff.next())

    Args:
        first: The first pause, seconds.
        most: The longest pause before jitter, seconds.
        jitter: Each pause is multiplied by a random number from this range, so that many clients
            of one server do not return at the same moment; ``None`` for exact pauses.
        factor: Growth from one pause to the next.
    """

    __slots__ = ("_pause", "factor", "first", "jitter", "most")

    def __init__(
        self,
        first: float,
        most: float,
        jitter: tuple[float, float] | None = (0.5, 1.5),
        factor: float = 2.0,
    ) -> None:
        self.first = first
        self.most = most
        self.jitter = jitter
        self.factor = factor
        self._pause = first

    def next(self) -> float:
        """The pause to make now, seconds; the one after it is longer."""
        pause = self._pause
        self._pause = min(pause * self.factor, self.most)
        return pause if self.jitter is None else pause * random.uniform(*self.jitter)

    def reset(self) -> None:
        """Begin with the first pause again."""
        self._pause = self.first
