"""Prices that this screen saw go by, and bars: the feed's own, or made from those prices."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streamer.state.source import Source

from ..options import Clock
from ..render.format import known
from . import fetch

POINTS_KEPT = 3_600
BARS_ASKED = 300
ASK_AGAIN_S = 5.0
SERIES_KEPT = 40
BACK_S = 5.0
"""A market clock that goes back further than this shows another time."""
Bar = dict[str, Any]


@dataclass(slots=True)
class Tape:
    """The bid of each symbol, as charts of MetaTrader draw it, one point a second at most.

    Times are the market's own (server time) where the feed tells it.
    """

    points: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)
    _revision: int = -1
    _at: float = 0.0

    def note(self, quotes: Mapping[str, Any], revision: int, now: float) -> None:
        """Keep what the quotes say at ``now`` (epoch seconds)."""
        if revision == self._revision or 0 <= now - self._at < 1.0:
            return
        if now < self._at - BACK_S:
            self.points.clear()  # a replay went back: what comes after then is not known yet
        self._revision, self._at = revision, now
        for symbol, quote in quotes.items():
            bid = known(quote.get("bid"))
            if bid is None:
                continue
            points = self.points.setdefault(symbol, deque(maxlen=POINTS_KEPT))
            points.append((now, bid))

    def bars(self, symbol: str, seconds: int, count: int) -> list[Bar]:
        """The points as bars of so many seconds, the newest last; empty stretches left out."""
        bars: list[Bar] = []
        for at, price in self.points.get(symbol, ()):
            start = int(at // seconds * seconds)
            if not bars or bars[-1]["time"] != start:
                bars.append(
                    {"time": start, "open": price, "high": price, "low": price, "close": price}
                )
            bar = bars[-1]
            bar["high"], bar["low"] = max(bar["high"], price), min(bar["low"], price)
            bar["close"] = price
        return bars[-count:]


async def fetch_bars(source: Source, symbol: str, timeframe: str, count: int) -> list[Bar] | None:
    """Bars from the feed: of this process, or over its HTTP. ``None`` when it has none."""
    provider = source.capabilities.bars
    if provider is not None:
        found = await provider(symbol, timeframe, count)
        return list(found) if found is not None else None
    url = fetch.address(source, "/api/bars", symbol=symbol, timeframe=timeframe, count=count)
    if url is None:
        return None
    return await asyncio.to_thread(fetch.rows, url, source.capabilities.token)


@dataclass(slots=True)
class BarsDesk:
    """Bars of a feed as far as they are known, asked for again when they grow old.

    Asking never waits: ``bars`` gives what is there, and what comes in is there the next time.
    """

    source: Source
    clock: Clock
    _known: dict[tuple[str, str], tuple[float, list[Bar] | None]] = field(default_factory=dict)
    _asking: asyncio.Task[None] | None = None

    def bars(self, symbol: str, timeframe: str) -> list[Bar] | None:
        """The newest bars, oldest first; ``None`` while there are none. Used on the loop."""
        at, bars = self._known.get((symbol, timeframe), (-1e9, None))
        idle = self._asking is None or self._asking.done()
        if idle and self.clock.mono() - at >= ASK_AGAIN_S:
            self._asking = asyncio.create_task(self._ask(symbol, timeframe), name="bars")
        return bars

    async def _ask(self, symbol: str, timeframe: str) -> None:
        key = symbol, timeframe
        self._known[key] = (self.clock.mono(), self._known.get(key, (0.0, None))[1])
        bars = await fetch_bars(self.source, symbol, timeframe, BARS_ASKED)
        if len(self._known) > SERIES_KEPT:
            self._known.clear()
        self._known[key] = (self.clock.mono(), bars)

    def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
