"""Prices that this screen saw go by, and bars: the feed's own, or made from those prices."""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streamer.source import Source

from .format import known

log = logging.getLogger("mt5dash.ui")

POINTS_KEPT = 3_600
FETCH_S = 3.0
Bar = dict[str, Any]


@dataclass(slots=True)
class Tape:
    """The middle price of each symbol, one point a second at most, for an hour."""

    points: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)
    _revision: int = -1
    _at: float = 0.0

    def note(self, quotes: Mapping[str, Any], revision: int, now: float) -> None:
        """Keep what the quotes say now (epoch seconds)."""
        if revision == self._revision or 0 <= now - self._at < 1.0:
            return
        self._revision, self._at = revision, now
        for symbol, quote in quotes.items():
            bid, ask = known(quote.get("bid")), known(quote.get("ask"))
            if bid is None or ask is None:
                continue
            points = self.points.setdefault(symbol, deque(maxlen=POINTS_KEPT))
            points.append((now, (bid + ask) / 2))

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
    provider = getattr(source, "bars", None)
    if provider is not None:
        found = await provider(symbol, timeframe, count)
        return list(found) if found is not None else None
    if source.link.state == "local" or not source.link.url.startswith("ws"):
        return None
    parts = urllib.parse.urlsplit(source.link.url)
    query = urllib.parse.urlencode({"symbol": symbol, "timeframe": timeframe, "count": count})
    scheme = "https" if parts.scheme == "wss" else "http"
    url = f"{scheme}://{parts.netloc}/api/bars?{query}"
    return await asyncio.to_thread(_get, url)


def _get(url: str) -> list[Bar] | None:
    try:
        # The scheme is http or https: it was made above.
        with urllib.request.urlopen(url, timeout=FETCH_S) as answer:
            bars = json.loads(answer.read(4_000_000))
    except (urllib.error.URLError, OSError, ValueError) as error:
        log.debug("bars: %s", error)
        return None
    return [b for b in bars if isinstance(b, dict)] if isinstance(bars, list) else None
