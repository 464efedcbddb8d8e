"""A market whose every tick is given: for tests of bots, and of this package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .model import Chunk, Layer, Ticks
from .sessions import is_open
from .symbols import Spec

Quotes = Sequence[tuple[float, float, float]]
"""(UTC seconds, bid, ask), in time order."""


class ScriptedMarket:
    """Ticks from lists. ``start`` is UTC seconds; earlier ticks have happened when the terminal
    opens. Always open, unless ``sessions`` asks for the symbols' own."""

    text = "scripted"

    def __init__(
        self,
        specs: Iterable[Spec],
        quotes: Mapping[str, Quotes],
        start: float,
        *,
        layers: Mapping[str, list[Layer]] | None = None,
        sessions: bool = False,
        ends: bool = False,
    ) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self.lazy = False
        self.start = start
        self.end_ms: int | None = None
        self._layers = dict(layers or {})
        self._sessions = sessions
        self._ends = ends
        self._ticks = {}
        first = last = round(start * 1000)
        for symbol, rows in quotes.items():
            table = np.array(rows, dtype=np.float64).reshape(-1, 3)
            times = np.rint(table[:, 0] * 1000).astype(np.int64)
            self._ticks[symbol] = Ticks(times, table[:, 1].copy(), table[:, 2].copy())
            if times.size:
                first, last = min(first, int(times[0])), max(last, int(times[-1]))
        self.begin_ms = first
        self._last_ms = last
        self._given = False

    def history(self, symbol: str) -> list[Layer]:
        return self._layers.get(symbol, [])

    def past(self, symbol: str) -> None:
        """There is nothing but what was given."""

    def quote(self, symbol: str) -> list[Ticks]:
        return []

    def chunk(self) -> Chunk | None:
        if self._given:
            if self._ends:
                self.end_ms = self._last_ms
            return None
        self._given = True
        return Chunk(self._last_ms + 1, self._ticks)

    def is_open(self, spec: Spec, utc_ms: int, quoted_ms: int) -> bool:
        return is_open(spec.session, utc_ms / 1000) if self._sessions else True
