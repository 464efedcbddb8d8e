"""Candles of one symbol with a heading that says what they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..chart import Level, candles
from ..lines import Line
from ..view import View, word

SEEN_BAR_S = 15


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
    drawn = candles(bars, cells, rows - 1, digits=digits, levels=levels)
    if not drawn:
        return [[(f"no bars of {word(symbol, 20)} yet", "dim")]]
    return [[(f"{word(symbol, 20)} ", "bold"), (name, "dim")], *drawn]
