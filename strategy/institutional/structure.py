"""Market structure in numpy, for many series at once: swings, breaks, gaps, blocks, breakers.

Arrays have time on axis 0 and the series on axis 1. Everything is causal: row ``t`` uses bars
up to ``t``; a swing with ``k`` bars on each side is used from ``k`` bars after it on, and
nothing is repainted. The bearish half of every array is the bullish rule on mirrored prices,
so each rule is written once.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np

from ..base import Bools, Floats, Ints, Signs
from .liquidity import EQUAL_ATR, Pools, sweeps

DISPLACEMENT_ATR = 1.0
"""Least body of a displacement candle, in ATR."""
GAP_ATR = 0.25
"""Least size of a fair value gap that is kept, in ATR."""
BLOCK_REACH = 10
"""How many bars back the opposite candle of an order block may lie."""


_SIGN = np.array([1.0, -1.0])[:, None]


class Structure(NamedTuple):
    """Structure by bar. Shape (bars, 2, series): index 0 bullish, 1 bearish.

    Prices of the bearish side are true prices. NaN where there is nothing.

    trend: +1, -1, 0 (bars, series), by the last break. broke: a close went beyond the last
    unbroken swing. choch: that break was against the trend. displaced: with a body of at
    least ``DISPLACEMENT_ATR``. gap_*: the latest fair value gap that no close went through;
    near is the edge met first. block_*: the latest order block, alike; a close through it makes
    it a breaker_* of the other side. swept: a wick went through resting liquidity (bullish:
    below a swing low) and price closed back within two
    bars; swept_at is the wick's end, swept_equal: the level was touched twice.
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
    breaker_near: Floats
    breaker_far: Floats
    swept: Bools
    swept_at: Floats
    swept_equal: Bools
    swing: Floats
    guard: Floats


class StructureCarry(NamedTuple):
    """State carried from one bar to the next; arrays of shape (values, series), prices mirrored.

    trend, level (of the next break), near and far (gap, block, breaker; both sides each), opposite
    (the newest opposite candle: how many bars ago as a number up to 0, its high, its low),
    swing, guard, pools (those of the swings, packed).
    """

    trend: Floats
    level: Floats
    near: Floats
    far: Floats
    opposite: Floats
    swing: Floats
    guard: Floats
    pools: Floats

    @classmethod
    def empty(cls, series: int) -> StructureCarry:
        found = {name: np.full((rows, series), np.nan) for name, rows in STRUCTURE_ROWS.items()}
        found["trend"][:] = 0.0
        found["opposite"][:2] = -np.inf
        found["pools"] = Pools.empty(2 * series).packed(series)
        return cls(**found)


STRUCTURE_ROWS = {
    "trend": 1,
    "level": 2,
    "near": 6,
    "far": 6,
    "opposite": 6,
    "swing": 2,
    "guard": 2,
    "pools": 2 * len(Pools._fields),
}
"""Values of a series in each field of :class:`StructureCarry`."""


def context(k: int) -> int:
    """Bars before the first new one that :func:`analyse_incremental` looks back at, swings of ``k`` bars."""
    return 2 * k + 1


def pivots(high: Floats, k: int) -> Bools:
    """Where ``high`` is above the ``k`` bars before and not below the ``k`` bars after.

    Of equal highs the first counts. Row ``i`` depends on bars up to ``i + k``: use it from
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
    """Bullish fair value gaps, marked at the third candle: ``low[t] > high[t-2]`` and a bullish
    candle between. The bearish ones are those of the mirrored prices."""
    out = np.zeros(close.shape, dtype=np.bool_)
    out[2:] = (low[2:] > high[:-2]) & (close[1:-1] > open_[1:-1])
    return out


def confirmed(at: Bools, price: Floats, k: int) -> Floats:
    """Price of the last swing that was confirmed by row ``t``; NaN before the first."""
    known, moved = delayed(at, price, k)
    return forward_fill(known, moved, np.full(price.shape[1:], np.nan))


def forward_fill(
    event: Bools, value: Floats | Bools, before: Floats, tail: int | None = None
) -> Floats:
    """``value`` of the newest event up to each row, ``before`` where there was none yet; for
    the last ``tail`` rows only, where that is given."""
    bars = len(event)
    if tail == 1 and bars:
        newest: Ints = bars - 1 - np.argmax(event[::-1], axis=0, keepdims=True)
        taken = np.take_along_axis(value, newest, axis=0)
        return cast(Floats, np.where(event.any(axis=0), taken, before))
    rows = np.arange(bars).reshape(-1, *(1,) * (event.ndim - 1))
    last: Ints = np.maximum.accumulate(np.where(event, rows, -1), axis=0)
    last = last if tail is None else last[-tail:]
    taken = np.take_along_axis(value, np.maximum(last, 0), axis=0)
    return cast(Floats, np.where(last >= 0, taken, before))


def breaks(high: Floats, low: Floats, close: Floats, k: int) -> Bools:
    """Where a close broke the last unbroken swing, up or down, over one whole series.

    The breaks that :func:`analyse` finds in a window of the series are among these: until the
    window has a swing of its own it knows no level, from then on it knows the same one.
    """
    out = np.zeros(len(close), dtype=np.bool_)
    for h, c in ((high, close), (-low, -close)):
        new, price = delayed(pivots(h[:, None], k), h[:, None], k)
        level = np.nan
        swings, prices, closes = new[:, 0].tolist(), price[:, 0].tolist(), c.tolist()
        for t, value in enumerate(closes):
            if swings[t]:
                level = prices[t]
            if value > level:
                out[t] = True
                level = np.nan
    return out


def dealing_range(high: Floats, low: Floats, close: Floats, k: int = 10) -> Floats:
    """Where the close is between the last confirmed swing low (0) and high (1).

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
    return analyse_incremental(open_, high, low, close, atr, k)[0]


def analyse_incremental(
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    atr: Floats,
    k: int,
    past: StructureCarry | None = None,
    tail: int | None = None,
) -> tuple[Structure, StructureCarry]:
    """:func:`analyse`, and the carry. With ``past``, the first
    :func:`context` rows are bars that it knows; the result is of the rows after them, the same
    as if all bars had been given. With ``tail``, what holds after a bar (trend, zones, swing,
    guard) is given for that many last rows only; events are given for all."""
    series = close.shape[1]
    skip = 0 if past is None else context(k)
    past = past or StructureCarry.empty(series)
    o, c = np.hstack((open_, -open_)), np.hstack((close, -close))
    h, lo = np.hstack((high, -low)), np.hstack((low, -high))
    a = np.hstack((atr, atr))
    new_top, top = delayed(pivots(h, k), h, k)
    new_low, bottom = delayed(pivots(-lo, k), lo, k)
    with np.errstate(invalid="ignore"):
        strong = (np.abs(c - o) >= DISPLACEMENT_ATR * a)[skip:]
        gap = gaps(o, h, lo, c)
        kept = gap.copy()
        kept[2:] &= (lo[2:] - h[:-2]) >= GAP_ATR * a[2:]
    two_before = np.full_like(h, np.nan)
    two_before[2:] = h[:-2]
    # a level that was confirmed on the bar before rests from this bar on
    rests, at, near_enough = (_later(x)[skip:] for x in (new_low, bottom, EQUAL_ATR * a))
    pools = Pools.unpacked(past.pools)
    swept, pools = sweeps(lo[skip:], c[skip:], rests == 1, at, a[skip:], near_enough, pools, 1)
    new_top, new_low, gap, kept = (x[skip:] for x in (new_top, new_low, gap, kept))
    top, bottom, two_before, o, h, lo, c = (
        x[skip:] for x in (top, bottom, two_before, o, h, lo, c)
    )
    near_block, block_high, block_low, opposite = _opposite_candle(o, h, lo, c, past.opposite)
    zones = _Zones(past.level.ravel(), past.near.reshape(3, -1), past.far.reshape(3, -1))
    maker = strong & near_block
    broke, near, far = zones.advance(
        c, (new_top, top), (maker, block_high, block_low), (kept, lo, two_before), tail
    )
    # the trend is the side of the last break; before it, so that a break against it shows
    sign = broke[:, :series].astype(np.float64) - broke[:, series:]
    trend = forward_fill(sign != 0, sign, past.trend[0])
    before = np.concatenate((past.trend, trend[:-1]))
    choch = broke & np.hstack((before < 0, before > 0))
    swing = forward_fill(new_top, top, past.swing.ravel(), tail)
    guard = forward_fill(new_low, bottom, past.guard.ravel(), tail)

    def sides(x: Bools) -> Bools:
        return x.reshape(len(x), 2, series)

    def prices(x: Floats) -> Floats:
        shaped: Floats = x.reshape(len(x), 2, series) * _SIGN
        return shaped

    found = Structure(
        trend=(trend if tail is None else trend[-tail:]).astype(np.int8),
        broke=sides(broke),
        choch=sides(choch),
        displaced=sides(broke & strong),
        gap=sides(gap),
        gap_near=prices(near[:, 0]),
        gap_far=prices(far[:, 0]),
        block_near=prices(near[:, 1]),
        block_far=prices(far[:, 1]),
        breaker_near=prices(near[:, 2]),
        breaker_far=prices(far[:, 2]),
        swept=sides(swept.swept),
        swept_at=prices(swept.at),
        swept_equal=sides(swept.equal),
        swing=prices(swing),
        guard=prices(guard),
    )
    left = StructureCarry(
        trend=trend[-1:],
        level=zones.level.reshape(2, -1),
        near=zones.near.reshape(6, -1),
        far=zones.far.reshape(6, -1),
        opposite=opposite,
        swing=swing[-1].reshape(2, -1),
        guard=guard[-1].reshape(2, -1),
        pools=pools.packed(series),
    )
    return found, left


class _Zones:
    """The next level to break, and the open zones: gap, block, breaker (rows of ``near``
    and ``far``), by mirrored column."""

    def __init__(self, level: Floats, near: Floats, far: Floats) -> None:
        self.level, self.near, self.far = level.copy(), near.copy(), far.copy()

    def advance(
        self,
        c: Floats,
        tops: tuple[Bools, Floats],
        blocks: tuple[Bools, Floats, Floats],
        gaps: tuple[Bools, Floats, Floats],
        tail: int | None,
    ) -> tuple[Bools, Floats, Floats]:
        """Where a close broke the level, and the zones after each bar of the tail, (bars, 3,
        columns).

        Each of ``tops``, ``blocks`` and ``gaps`` marks its bars, with the price or the near and far
        edge. The loop is over time; most bars bring no event and then cost a few comparisons.
        """
        bars, width = c.shape
        level, near, far = self.level, self.near, self.far
        broke = np.zeros((bars, width), dtype=np.bool_)
        shown = bars if tail is None else min(tail, bars)
        nears, fars = np.empty((shown, 3, width)), np.empty((shown, 3, width))
        (new_top, top), (maker, high, low), (kept, inner, outer) = tops, blocks, gaps
        any_top, any_gap = _some(new_top), _some(kept)
        count = np.count_nonzero  # several times faster than any() on short rows
        for t in range(bars):
            close = c[t]
            if any_top[t]:
                np.copyto(level, top[t], where=new_top[t])
            up: Bools = close > level
            if count(up):
                broke[t] = up
                level[up] = np.nan
                fresh = up & maker[t]
                if count(fresh):
                    np.copyto(near[1], high[t], where=fresh)
                    np.copyto(far[1], low[t], where=fresh)
            dead: Bools = close < far
            if count(dead):
                self._fail(dead)
            if any_gap[t]:
                np.copyto(near[0], inner[t], where=kept[t])
                np.copyto(far[0], outer[t], where=kept[t])
            if t >= bars - shown:
                nears[t - bars + shown], fars[t - bars + shown] = near, far
        return broke, nears, fars

    def _fail(self, dead: Bools) -> None:
        """Zones that a close went through; a block becomes the other side's breaker."""
        near, far, failed = self.near, self.far, dead[1]
        if not np.count_nonzero(failed):
            near[dead] = far[dead] = np.nan
            return
        half = dead.shape[1] // 2
        turned, inner, outer = (
            np.concatenate((x[half:], x[:half])) for x in (failed, -far[1], -near[1])
        )
        near[dead] = far[dead] = np.nan
        np.copyto(near[2], inner, where=turned)
        np.copyto(far[2], outer, where=turned)


def _some(event: Bools) -> list[bool]:
    """Whether a row has any event; a list, because the loops ask for single rows."""
    found: list[bool] = np.asarray(event.any(axis=1)).tolist()
    return found


def delayed(at: Bools, price: Floats, k: int) -> tuple[Bools, Floats]:
    """For row ``t``: whether the bar ``k`` before was a swing, and its price."""
    known = np.zeros_like(at)
    moved = np.full_like(price, np.nan)
    if len(at) > k:
        known[k:] = at[:-k]
        moved[k:] = price[:-k]
    return known, moved


def _later(x: Floats | Bools) -> Floats:
    """Each row one bar later; NaN (no event) in the first."""
    out = np.full(x.shape, np.nan)
    out[1:] = x[:-1]
    return out


def _opposite_candle(
    o: Floats, h: Floats, lo: Floats, c: Floats, past: Floats
) -> tuple[Bools, Floats, Floats, Floats]:
    """Whether the last bearish candle before each row is near enough, its high and its low;
    and the newest one of all, as in :class:`StructureCarry`."""
    rows = np.arange(len(c), dtype=np.float64)[:, None]
    known = past.reshape(3, -1)
    bear = c < o
    newest = [
        forward_fill(bear, x, known[i])
        for i, x in enumerate((np.broadcast_to(rows, c.shape), h, lo))
    ]
    before = [np.concatenate((known[i : i + 1], x[:-1])) for i, x in enumerate(newest)]
    left = np.stack((newest[0][-1] - len(c), newest[1][-1], newest[2][-1]))
    return rows - before[0] <= BLOCK_REACH, before[1], before[2], left.reshape(6, -1)
