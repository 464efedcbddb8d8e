"""Market structure in numpy, for many series at once: swings, breaks, gaps, blocks, sweeps.

Arrays have time on axis 0 and the series on axis 1. Everything is causal: row ``t`` uses bars
up to ``t``; a swing with ``k`` bars on each side is used from ``k`` bars after it on, and
nothing is repainted. The bearish half of every array is the bullish rule on mirrored prices,
so each rule is written once.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np

from strategy.base import Bools, Floats, Signs

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
    rows = np.arange(len(at))[:, None]
    index = np.where(at, rows, -1)
    index = np.maximum.accumulate(index, axis=0)
    delayed = np.full_like(index, -1)
    delayed[k:] = index[: len(index) - k]
    taken = np.take_along_axis(price, np.maximum(delayed, 0), axis=0)
    return np.where(delayed >= 0, taken, np.nan)


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
    width = 2 * series

    top_new, top_price = _delayed(pivots(h, k), h, k)
    low_new, low_price = _delayed(pivots(-lo, k), lo, k)
    with np.errstate(invalid="ignore"):
        strong = np.abs(c - o) >= DISPLACEMENT_ATR * a
        gap = gaps(o, h, lo, c)
        kept = gap.copy()
        kept[2:] &= (lo[2:] - h[:-2]) >= GAP_ATR * a[2:]
    block_ok, block_high, block_low = _opposite_candle(o, h, lo, c)
    reach = SWEEP_ATR * a
    same = EQUAL_ATR * a

    def empty() -> Floats:
        return np.full((bars, width), np.nan)

    broke, choch, swept, equal = (np.zeros((bars, width), dtype=np.bool_) for _ in range(4))
    trend_out = np.zeros((bars, width), dtype=np.int8)
    gap_near, gap_far, block_near, block_far = empty(), empty(), empty(), empty()
    swept_at, swing, guard = empty(), empty(), empty()

    nan = np.full(width, np.nan)
    level, last_top, last_low, pool = nan.copy(), nan.copy(), nan.copy(), nan.copy()
    g_near, g_far, b_near, b_far = nan.copy(), nan.copy(), nan.copy(), nan.copy()
    wick = nan.copy()
    pool_equal, pending = np.zeros(width, dtype=np.bool_), np.zeros(width, dtype=np.bool_)
    trend = np.zeros(width, dtype=np.int8)
    mirror = np.concatenate((np.arange(series, width), np.arange(series)))

    with np.errstate(invalid="ignore"):
        for t in range(bars):
            close_t, low_t = c[t], lo[t]
            new = top_new[t]
            if new.any():
                np.copyto(level, top_price[t], where=new)
                np.copyto(last_top, top_price[t], where=new)

            # a resting order below: taken by a wick, with a close back inside in two bars
            inside = close_t > pool
            deep = low_t < pool - reach[t]
            np.minimum(wick, low_t, out=wick, where=pending)
            np.copyto(wick, low_t, where=deep & ~pending)
            hit = inside & (deep | pending)
            swept[t] = hit
            swept_at[t] = np.where(hit, wick, np.nan)
            equal[t] = hit & pool_equal
            gone = hit | (pending & ~inside)
            pending = deep & ~inside & ~gone
            np.copyto(pool, np.nan, where=gone)
            new = low_new[t]
            if new.any():
                price = low_price[t]
                near = np.abs(price - last_low) <= same[t]
                pool_equal = np.where(new, near, pool_equal)
                np.copyto(pool, price, where=new)
                np.copyto(last_low, price, where=new)
                pending &= ~new

            up = close_t > level
            if up.any():
                broke[t] = up
                choch[t] = up & (trend < 0)
                trend = np.where(up, np.int8(1), np.where(up[mirror], np.int8(-1), trend))
                np.copyto(level, np.nan, where=up)
                made = up & strong[t] & block_ok[t]
                np.copyto(b_near, block_high[t], where=made)
                np.copyto(b_far, block_low[t], where=made)
            trend_out[t] = trend

            dead = close_t < b_far
            np.copyto(b_near, np.nan, where=dead)
            np.copyto(b_far, np.nan, where=dead)
            dead = close_t < g_far
            np.copyto(g_near, np.nan, where=dead)
            np.copyto(g_far, np.nan, where=dead)
            new = kept[t]
            if new.any():
                np.copyto(g_near, low_t, where=new)
                np.copyto(g_far, h[t - 2], where=new)

            gap_near[t], gap_far[t] = g_near, g_far
            block_near[t], block_far[t] = b_near, b_far
            swing[t], guard[t] = last_top, last_low

    def sides(x: Bools) -> Bools:
        return x.reshape(bars, 2, series)

    def prices(x: Floats) -> Floats:
        shaped = x.reshape(bars, 2, series)
        shaped[:, 1] *= -1.0
        return shaped

    return Structure(
        trend=trend_out[:, :series],
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
        swing=prices(swing),
        guard=prices(guard),
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
    last = np.maximum.accumulate(np.where(c < o, rows, -1), axis=0)
    before = np.full_like(last, -1)
    before[1:] = last[:-1]
    ok = (before >= 0) & (rows - before <= BLOCK_REACH)
    index = np.maximum(before, 0)
    return ok, np.take_along_axis(h, index, axis=0), np.take_along_axis(lo, index, axis=0)
