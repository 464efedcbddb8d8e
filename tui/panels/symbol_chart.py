"""Candles of one symbol with a heading that names their source."""

from __future__ import annotations

from collections.abc import Sequence

from ..render.chart import Candle, PriceLevel, candles
from ..render.lines import Line
from ..session.view import View, word

CHART_ROWS = 12
"""A panel with so many free lines shows a chart."""

RECEIVED_BAR_S = 15
SECONDS = {"M1": 60, "M5": 300, "M15": 900, "H1": 3600, "H4": 14400, "D1": 86400}


def forming(view: View, symbol: str, timeframe: str, closed: Sequence[Candle]) -> Candle | None:
    """The bar that is still open, from the bids that this screen received; ``None`` without one.

    The feed has closed bars only: without this one the newest candle would end minutes ago,
    at a price that is not the price now.
    """
    bid, seconds = view.session.quote(symbol).bid, SECONDS.get(timeframe)
    now = view.server_now
    if bid is None or seconds is None or now is None:
        return None
    start = int(now // seconds * seconds)
    if start <= closed[-1].time:
        return None
    received = view.session.prices.candles(symbol, seconds, 1)
    if received and received[-1].time == start:
        bar = received[-1]
        return Candle(start, bar.open, max(bar.high, bid), min(bar.low, bid), bid)
    return Candle(start, bid, bid, bid, bid)


def chart(
    view: View, symbol: str, timeframe: str, cells: int, rows: int, levels: Sequence[PriceLevel]
) -> list[Line]:
    """``rows`` lines of candles; without bars of the feed, from prices this screen received."""
    digits = view.session.quote(symbol).digits
    bars, name = view.session.bars.candles(symbol, timeframe), timeframe
    if not bars:
        bars = view.session.prices.candles(symbol, RECEIVED_BAR_S, cells)
        name = f"{RECEIVED_BAR_S} s, from prices this screen saw (the feed has no {timeframe} bars)"
        if len(bars) < 2:
            bars = []
    else:
        newest = forming(view, symbol, timeframe, bars)
        if newest is not None:
            bars, name = [*bars, newest], f"{timeframe}, the newest candle still open"
    drawn = candles(bars, cells, rows - 1, digits=digits, levels=levels)
    if not drawn:
        return [[(f"no bars of {word(symbol, 20)} yet", "dim")]]
    return [[(f"{word(symbol, 20)} ", "bold"), (name, "dim")], *drawn]
