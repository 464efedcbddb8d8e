"""Prices that this screen received, and bars: the feed's own, or made from those prices."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streamer.protocol.lenient import read_list
from streamer.protocol.messages import Quote
from streamer.protocol.payloads import Received
from streamer.state.source import Source

from ..options import Clock
from ..render.chart import Candle
from . import fetch

POINTS_KEPT = 3_600
BARS_ASKED = 300
ASK_AGAIN_S = 5.0
SERIES_KEPT = 40
BACK_S = 5.0
"""A market clock that goes back further than this is that of a replay that was moved."""


class Bar(Received):
    """A bar as ``/api/bars`` sends it. ``time`` is its opening, server epoch seconds."""

    time: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None


def candles_of(rows: object) -> list[Candle]:
    """JSON objects as candles, in their order; incomplete ones are left out."""
    return [
        Candle(bar.time, bar.open, bar.high, bar.low, bar.close)
        for bar in read_list(rows, Bar)
        if bar.time is not None
        and bar.open is not None
        and bar.high is not None
        and bar.low is not None
        and bar.close is not None
    ]


@dataclass(slots=True)
class PriceHistory:
    """The bid of each symbol, as charts of MetaTrader draw it, one point a second at most.

    Times are the market's own (server time) where the feed sends it.
    """

    points: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)
    _revision: int = -1
    _at: float = 0.0

    def note(self, quotes: Mapping[str, Quote], revision: int, now: float) -> None:
        """Keep the bids at ``now`` (epoch seconds)."""
        if revision == self._revision or 0 <= now - self._at < 1.0:
            return
        if now < self._at - BACK_S:
            self.points.clear()  # a replay went back: later prices are not known yet
        self._revision, self._at = revision, now
        for symbol, quote in quotes.items():
            if quote.bid is None:
                continue
            points = self.points.setdefault(symbol, deque(maxlen=POINTS_KEPT))
            points.append((now, quote.bid))

    def candles(self, symbol: str, seconds: int, count: int) -> list[Candle]:
        """The points as candles of so many seconds, oldest first, at most the newest ``count``;
        stretches without a point are left out."""
        candles: list[Candle] = []
        start = None
        open_ = high = low = close = 0.0
        for at, price in reversed(self.points.get(symbol, ())):  # newest first: few are needed
            begin = int(at // seconds * seconds)
            if begin == start:
                open_, high, low = price, max(high, price), min(low, price)
                continue
            if start is not None:
                candles.append(Candle(start, open_, high, low, close))
                if len(candles) == count:
                    break
            start, open_, high, low, close = begin, price, price, price, price
        else:
            if start is not None:
                candles.append(Candle(start, open_, high, low, close))
        candles.reverse()
        return candles


async def fetch_candles(
    source: Source, symbol: str, timeframe: str, count: int
) -> list[Candle] | None:
    """Bars of the feed: of this process, or over its HTTP. ``None`` when it has none."""
    provider = source.capabilities.bars
    if provider is not None:
        found = await provider(symbol, timeframe, count)
        return None if found is None else candles_of(found)
    url = fetch.address(source, "/api/bars", symbol=symbol, timeframe=timeframe, count=count)
    if url is None:
        return None
    rows = await asyncio.to_thread(fetch.rows, url, source.capabilities.token)
    return None if rows is None else candles_of(rows)


@dataclass(slots=True)
class BarLookup:
    """The bars of a feed, requested again when they are older than ``ASK_AGAIN_S``.

    ``candles`` never waits: it returns the bars that are there, later calls return the answer.
    """

    source: Source
    clock: Clock
    _known: dict[tuple[str, str], tuple[float, list[Candle] | None]] = field(default_factory=dict)
    _asking: asyncio.Task[None] | None = None

    def candles(self, symbol: str, timeframe: str) -> Sequence[Candle] | None:
        """The newest bars, oldest first; ``None`` while there are none. Used on the loop."""
        at, candles = self._known.get((symbol, timeframe), (-1e9, None))
        idle = self._asking is None or self._asking.done()
        if idle and self.clock.mono() - at >= ASK_AGAIN_S:
            self._asking = asyncio.create_task(self._ask(symbol, timeframe), name="bars")
        return candles

    async def _ask(self, symbol: str, timeframe: str) -> None:
        key = symbol, timeframe
        self._known[key] = (self.clock.mono(), self._known.get(key, (0.0, None))[1])
        candles = await fetch_candles(self.source, symbol, timeframe, BARS_ASKED)
        if len(self._known) > SERIES_KEPT:
            self._known.clear()
        self._known[key] = (self.clock.mono(), candles)

    def close(self) -> None:
        """Cancel the request that is under way."""
        if self._asking is not None:
            self._asking.cancel()
