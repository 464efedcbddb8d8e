"""Market structure in numpy, for many series at once: swings, breaks, gaps, blocks, sweeps.

Arrays have time on axis 0 and the series on axis 1. Everything is causal: row ``t`` uses bars
up to ``t``; a swing with ``k`` bars on each side is used from ``k`` bars after it on, and
nothing is repainted. The bearish half of every array is the bullish rule on mirrored prices,
so each rule is written once.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np

from strategy.base import Bools, Floats, Ints, Signs

DISPLACEMENT_ATR = 1.0
"""Least body of a displacement candle, in ATR."""
GAP_ATR = 0.25
"""Least size of a fair value gap that is kept, in ATR."""
SWEEP_ATR = 0.05
"""Least reach of a wick beyond a level for a sweep, in ATR."""
EQUAL_ATR = 0.1
"""Swings this near to each other are equal highs or lows, in ATR."""
BLOCK_REACH = 10
"""How many bars back the opposite candle of an order block may lie."""


class Structure(NamedTuple):
    """Structure by bar. Shape (bars, 2, series): index 0 bullish, 1 bearish.

    Prices of the bearish side are true prices. NaN where there is nothing.

    trend: +1, -1, 0 (bars, series), by the last break. broke: a close went beyond the last
    unbroken swing. choch: that break was against the trend. displaced: with a body of at
    least ``DISPLACEMENT_ATR``. gap_*: the latest fair value gap that no close went through;
    near is the edge met first. block_*: the latest order block, alike. swept: a wick went
    through resting liquidity (bullish: below a swing low) and price closed back within two
    bars; swept_at is the wick's end, swept_equal tells that the level was touched twice.
    swing: last confirmed swing in the direction of the side (bullish: the high), guard: the
    opposite one (bullish: the low that protects).
    """

    trend: Signs
    broke: Bools
    choch: Bools
    displaced: Bools
    gap: Bools
    gap_near: Floats
    gap_far: Floats
    block_near: Floats
    block_far: Floats
    swept: Bools
    swept_at: Floats
    swept_equal: Bools
    swing: Floats
    guard: Floats


def pivots(high: Floats, k: int) -> Bools:
    """Where ``high`` is above the ``k`` bars before and not below the ``k`` bars after.

    Of equal highs the first counts. Row ``i`` looks at bars up to ``i + k``: use it from
    there on only.
    """
    out = np.zeros(high.shape, dtype=np.bool_)
    if len(high) <= 2 * k:
        return out
    windows = np.lib.stride_tricks.sliding_window_view(high, k, axis=0)
    best = windows.max(axis=-1)  # best[i] = max of high[i : i + k]
    middle = high[k:-k]
    out[k:-k] = (middle > best[: len(middle)]) & (middle >= best[k + 1 : k + 1 + len(middle)])
    return out


def gaps(open_: Floats, high: Floats, low: Floats, close: Floats) -> Bools:
    """Bullish fair value gaps, told at the third candle: ``low[t] > high[t-2]`` and a bullish
    candle between. The bearish ones are those of the mirrored prices."""
    out = np.zeros(close.shape, dtype=np.bool_)
    out[2:] = (low[2:] > high[:-2]) & (close[1:-1] > open_[1:-1])
    return out


def confirmed(at: Bools, price: Floats, k: int) -> Floats:
    """Price of the last swing that was confirmed by row ``t``; NaN before the first."""
    index = _last(at)
    delayed = np.full_like(index, -1)
    delayed[k:] = index[: max(len(index) - k, 0)]
    taken = np.take_along_axis(price, np.maximum(delayed, 0), axis=0)
    return np.where(delayed >= 0, taken, np.nan)


def breaks(high: Floats, low: Floats, close: Floats, k: int) -> Bools:
    """Where a close broke the last unbroken swing, up or down, over one whole series.

    The breaks that :func:`analyse` finds in a window of the series are among these: until the
    window has a swing of its own it knows no level, from then on it knows the same one.
    """
    out = np.zeros(len(close), dtype=np.bool_)
    for h, c in ((high, close), (-low, -close)):
        new, price = _delayed(pivots(h[:, None], k), h[:, None], k)
        level = np.nan
        told, prices, closes = new[:, 0].tolist(), price[:, 0].tolist(), c.tolist()
        for t, value in enumerate(closes):
            if told[t]:
                level = prices[t]
            if value > level:
                out[t] = True
                level = np.nan
    return out


def dealing_range(high: Floats, low: Floats, close: Floats, k: int = 10) -> Floats:
    """Where the close stands between the last confirmed swing low (0) and high (1).

    Below 0.5 is discount, above it premium; outside the range the value leaves 0 to 1.
    """
    top = confirmed(pivots(high, k), high, k)
    bottom = confirmed(pivots(-low, k), low, k)
    span = top - bottom
    with np.errstate(invalid="ignore", divide="ignore"):
        return cast(Floats, np.where(span > 0, (close - bottom) / span, np.nan))


def analyse(
    open_: Floats, high: Floats, low: Floats, close: Floats, atr: Floats, k: int = 3
) -> Structure:
    """All of :class:`Structure` for prices of shape (bars, series), swings of ``k`` bars."""
    bars, series = close.shape
    o, c = np.hstack((open_, -open_)), np.hstack((close, -close))
    h, lo = np.hstack((high, -low)), np.hstack((low, -high))
    a = np.hstack((atr, atr))
    tops, lows = pivots(h, k), pivots(-lo, k)
    with np.errstate(invalid="ignore"):
        strong = np.abs(c - o) >= DISPLACEMENT_ATR * a
        gap = gaps(o, h, lo, c)
        kept = gap.copy()
        kept[2:] &= (lo[2:] - h[:-2]) >= GAP_ATR * a[2:]
    block_ok, block_high, block_low = _opposite_candle(o, h, lo, c)
    broke, made, block_dead, gap_dead = _breaks(h, c, k, tops, strong & block_ok, block_low, kept)
    swept, swept_at, equal = _sweeps(lo, c, k, lows, a)

    # the trend is the side of the last break; before it, so that a break against it shows
    sign = broke[:, :series].astype(np.int8) - broke[:, series:].astype(np.int8)
    told = _last(sign != 0)
    trend = np.where(told >= 0, np.take_along_axis(sign, np.maximum(told, 0), axis=0), 0)
    before = np.zeros_like(trend)
    before[1:] = trend[:-1]
    choch = broke & np.hstack((before < 0, before > 0))

    at = _last(made)
    block_near, block_far = _alive(at, _last(block_dead) < at, block_high, block_low)
    at = _last(kept)
    two_before = np.full_like(h, np.nan)
    two_before[2:] = h[:-2]
    # a close through the old gap on the bar that makes a new one does not harm the new one
    gap_near, gap_far = _alive(at, _last(gap_dead) <= at, lo, two_before)

    def sides(x: Bools) -> Bools:
        return x.reshape(bars, 2, series)

    def prices(x: Floats) -> Floats:
        shaped = x.reshape(bars, 2, series)
        shaped[:, 1] *= -1.0
        return shaped

    return Structure(
        trend=trend.astype(np.int8),
        broke=sides(broke),
        choch=sides(choch),
        displaced=sides(broke & strong),
        gap=sides(gap),
        gap_near=prices(gap_near),
        gap_far=prices(gap_far),
        block_near=prices(block_near),
        block_far=prices(block_far),
        swept=sides(swept),
        swept_at=prices(swept_at),
        swept_equal=sides(equal),
        swing=prices(confirmed(tops, h, k)),
        guard=prices(confirmed(lows, lo, k)),
    )


def _breaks(
    h: Floats, c: Floats, k: int, tops: Bools, maker: Bools, block_low: Floats, kept: Bools
) -> tuple[Bools, Bools, Bools, Bools]:
    """Where a close broke the last unbroken swing, where that made an order block, and where
    a close went through the far edge of the block or gap of the time.

    The loop is over time; most bars bring no event, and then cost four comparisons.
    """
    bars, width = c.shape
    broke, made, block_dead, gap_dead = (np.zeros((bars, width), dtype=np.bool_) for _ in range(4))
    new_top, top_price = _delayed(tops, h, k)
    any_top, any_gap = _some(new_top), _some(kept)
    count = np.count_nonzero  # several times faster than any() on short rows
    level, block, gap = (np.full(width, np.nan) for _ in range(3))
    for t in range(bars):
        close = c[t]
        if any_top[t]:
            np.copyto(level, top_price[t], where=new_top[t])
        up: Bools = close > level
        if count(up):
            broke[t] = up
            level[up] = np.nan
            fresh = up & maker[t]
            if count(fresh):
                made[t] = fresh
                np.copyto(block, block_low[t], where=fresh)
        dead = close < block
        if count(dead):
            block_dead[t] = dead
            block[dead] = np.nan
        dead = close < gap
        if count(dead):
            gap_dead[t] = dead
            gap[dead] = np.nan
        if any_gap[t]:
            np.copyto(gap, h[t - 2], where=kept[t])
    return broke, made, block_dead, gap_dead


def _sweeps(lo: Floats, c: Floats, k: int, lows: Bools, a: Floats) -> tuple[Bools, Floats, Bools]:
    """Where a wick took the orders resting below the last swing low and the close came back
    above it on the same or the next bar; the end of the wick; whether the low was a double."""
    bars, width = c.shape
    swept, equal = (np.zeros((bars, width), dtype=np.bool_) for _ in range(2))
    swept_at = np.full((bars, width), np.nan)
    new_low, low_price = _delayed(lows, lo, k)
    any_low = _some(new_low)
    reached, same = lo + SWEEP_ATR * a, EQUAL_ATR * a
    pool, last, wick = (np.full(width, np.nan) for _ in range(3))
    double, pending = (np.zeros(width, dtype=np.bool_) for _ in range(2))
    waiting, count = False, np.count_nonzero
    for t in range(bars):
        deep: Bools = reached[t] < pool
        if waiting or count(deep):
            inside = c[t] > pool
            np.minimum(wick, lo[t], out=wick, where=pending)
            np.copyto(wick, lo[t], where=deep & ~pending)
            hit = inside & (deep | pending)
            gone: Bools = hit | pending
            if count(gone):
                swept[t] = hit
                np.copyto(swept_at[t], wick, where=hit)
                equal[t] = hit & double
                pool[gone] = np.nan
            pending = deep & ~gone
            waiting = bool(count(pending))
        if any_low[t]:
            new, price = new_low[t], low_price[t]
            with np.errstate(invalid="ignore"):
                near = np.abs(price - last) <= same[t]
            np.copyto(double, near, where=new)
            np.copyto(pool, price, where=new)
            np.copyto(last, price, where=new)
            pending &= ~new
    return swept, swept_at, equal


def _some(event: Bools) -> list[bool]:
    """Whether a row has any event; a list, because the loops ask for single rows."""
    found: list[bool] = np.asarray(event.any(axis=1)).tolist()
    return found


def _last(event: Bools) -> Ints:
    """Row of the newest event up to each row; -1 before the first."""
    rows = np.arange(len(event))[:, None]
    return np.maximum.accumulate(np.where(event, rows, -1), axis=0)


def _alive(at: Ints, alive: Bools, near: Floats, far: Floats) -> tuple[Floats, Floats]:
    """Edges of the zone made at row ``at``, where there is one and it is alive."""
    there = (at >= 0) & alive
    index = np.maximum(at, 0)
    return (
        np.where(there, np.take_along_axis(near, index, axis=0), np.nan),
        np.where(there, np.take_along_axis(far, index, axis=0), np.nan),
    )


def _delayed(at: Bools, price: Floats, k: int) -> tuple[Bools, Floats]:
    """Row ``t`` tells whether the bar ``k`` before was a swing, and its price."""
    told = np.zeros_like(at)
    moved = np.full_like(price, np.nan)
    if len(at) > k:
        told[k:] = at[:-k]
        moved[k:] = price[:-k]
    return told, moved


def _opposite_candle(o: Floats, h: Floats, lo: Floats, c: Floats) -> tuple[Bools, Floats, Floats]:
    """The last bearish candle before row ``t``, if it is near enough, and its high and low."""
    rows = np.arange(len(c))[:, None]
    last = _last(c < o)
    before = np.full_like(last, -1)
    before[1:] = last[:-1]
    ok = (before >= 0) & (rows - before <= BLOCK_REACH)
    index = np.maximum(before, 0)
    return ok, np.take_along_axis(h, index, axis=0), np.take_along_axis(lo, index, axis=0)
