"""The outcome of a set-up: target or stop first, within a horizon, costs included.

The triple barrier (Lopez de Prado, Advances in Financial Machine Learning, 2018, ch. 3) on the
set-up's own stop and target. Labels use the future; nothing here may reach a feature.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..base import Bars


class Outcome(NamedTuple):
    """``won``: the target was reached before the stop. ``r``: net result in units of the first
    risk. ``end``: row of the bar at the close of which it was known."""

    won: bool
    r: float
    end: int


def triple_barrier(
    bars: Bars,
    at: int,
    sign: int,
    sl: float,
    tp: float,
    *,
    horizon: int,
    point: float,
    commission: float = 0.0,
) -> Outcome | None:
    """The outcome of a trade decided at the close of row ``at``; ``None`` while it is open at
    the end of the bars, or where the next open is already beyond a barrier.

    The entry is the next bar's open: a buy pays that bar's spread on top. A sell is closed at
    the ask. Where a bar reaches both barriers the stop counts; an open beyond the stop fills at
    that open. After ``horizon`` bars the trade is closed and is no win, whatever its result.

    Args:
        sign: +1 a buy, -1 a sell.
        sl, tp: Prices of the barriers.
        point: Price of one point of ``bars.spread``.
        commission: Cost of the round trip as a distance in price.
    """
    first, last = at + 1, min(at + horizon, len(bars) - 1)
    if first > last:
        return None
    rows = slice(first, last + 1)
    spread = bars.spread[rows] * point
    cost = spread if sign < 0 else np.zeros_like(spread)
    # the prices at which the trade could be closed: bid for a buy, ask for a sell
    opened, high, low = (x[rows] + cost for x in (bars.open, bars.high, bars.low))
    entry = float(bars.open[first] + (spread[0] if sign > 0 else 0.0))
    risk = sign * (entry - sl)
    if not (risk > 0 and sign * (tp - entry) > 0 and sign * (opened[0] - sl) > 0):
        return None
    worst, best = (low, high) if sign > 0 else (high, low)
    stopped = np.flatnonzero(sign * (worst - sl) <= 0)
    reached = np.flatnonzero(sign * (best - tp) >= 0)
    stop_at = int(stopped[0]) if len(stopped) else math.inf
    reach_at = int(reached[0]) if len(reached) else math.inf
    fee = commission / risk
    if stop_at <= reach_at and stop_at < math.inf:
        row = int(stop_at)
        price = sl if row == 0 else sign * min(sign * sl, sign * float(opened[row]))
        return Outcome(False, sign * (price - entry) / risk - fee, first + row)
    if reach_at < math.inf:
        return Outcome(True, sign * (tp - entry) / risk - fee, first + int(reach_at))
    if last < at + horizon:
        return None
    price = float(bars.close[last]) + float(cost[-1])
    return Outcome(False, sign * (price - entry) / risk - fee, last)
