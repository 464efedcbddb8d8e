"""Candles of one symbol with a heading that says what they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..render import format as f
from ..render.chart import Level, candles
from ..render.lines import Line
from ..session.price_history import Bar
from ..session.view import View, word

CHART_ROWS = 12
"""Free lines of a panel from which a chart is drawn into it."""

SEEN_BAR_S = 15
SECONDS = {"M1": 60, "M5": 300, "M15": 900, "H1": 3600, "H4": 14400, "D1": 86400}


def forming(view: View, symbol: str, timeframe: str, closed: Sequence[Bar]) -> Bar | None:
    """The bar that is still open, from the bids that this screen saw; ``None`` without one.

    The feed has closed bars only: without this one the newest candle would end minutes ago,
    at a price that is not the price now.
    """
    quote: Any = view.session.state.quotes.get(symbol) or {}
    bid, seconds = f.known(quote.get("bid")), SECONDS.get(timeframe)
    now, last = view.server_now, f.known(closed[-1].get("time"))
    if bid is None or seconds is None or now is None or last is None:
        return None
    start = int(now // seconds * seconds)
    if start <= last:
        return None
    seen = view.session.tape.bars(symbol, seconds, 1)
    if seen and seen[-1]["time"] == start:
        bar = dict(seen[-1])
        bar["high"], bar["low"] = max(bar["high"], bid), min(bar["low"], bid)
        bar["close"] = bid
        return bar
    return {"time": start, "open": bid, "high": bid, "low": bid, "close": bid}


def chart(
    view: View, symbol: str, timeframe: str, cells: int, rows: int, levels: Sequence[Level]
) -> list[Line]:
    """``rows`` lines of candles; without bars of the feed, from prices this screen saw."""
    quote: Any = view.session.state.quotes.get(symbol) or {}
    digits = quote.get("digits")
    bars, name = view.session.charts.bars(symbol, timeframe), timeframe
    if not bars:
        bars = view.session.tape.bars(symbol, SEEN_BAR_S, cells)
        name = f"{SEEN_BAR_S} s, from prices this screen saw (the feed has no {timeframe} bars)"
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
