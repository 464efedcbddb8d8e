"""What the shipped strategy knows of a series after each closed bar, and how it is kept current.

A fold: the numbers of a bar come from the bar and from what the bars before have left, so that
a new bar costs one step and not the whole window. Stepping and computing over all bars at once
give the same numbers, to the last bit; tests hold it on real bars.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..base import Bars, Bools, Floats, Ints
from ..settings import TIMEFRAME_SECONDS
from .indicators import PERIOD, Smoothed, resumed, running_total, smoothed
from .liquidity import KINDS, Periods, Pools, levels, periods
from .structure import StructureCarry, analyse_incremental, context, delayed, forward_fill, pivots

RANGE_SWING = 10
"""Bars on each side of the swings that the dealing range lies between."""
CALM = 50
"""Bars of the mean that the ATR is held against."""
LEAST = 64
"""Bars from which a series can be kept current by steps."""

Pair = tuple[float, float]


class Features(NamedTuple):
    """One series after its newest closed bar. Pairs are (bullish, bearish).

    NaN where there is nothing; ages count bars since the newest one, 0 on the bar itself,
    infinite where there was none.
    """

    time: int
    """Server time of the bar."""
    atr: float
    adx: float
    rsi: float
    calm: float
    """ATR over its own mean of ``CALM`` bars."""
    place: float
    """Position of the close in the dealing range, 0 to 1."""
    trend: float
    broke_age: Pair
    displaced: Pair
    """Of that break: 1 or 0; ``choch`` too."""
    choch: Pair
    gap_near: Pair
    gap_far: Pair
    block_near: Pair
    block_far: Pair
    breaker_near: Pair
    breaker_far: Pair
    swept_age: Pair
    swept_at: Pair
    swept_equal: Pair
    swing: Pair
    guard: Pair
    taken_age: tuple[Pair, ...]
    """Sweeps of the extremes of weeks, days and sessions, by kind of ``KINDS``."""
    taken_at: tuple[Pair, ...]
    resting: tuple[Pair, ...]
    """Those extremes that rest: the low, the high."""


ROWS = 6 + 2 * 14 + 3 * 2 * len(KINDS)
"""Numbers of a bar as a column, in the order of :class:`Features`."""


class FeatureCarry(NamedTuple):
    """What the bars so far leave to the next one, as (numbers, series)."""

    sums: Floats
    adx: Floats
    totals: Floats
    """Sums of all ATR up to each of the last ``CALM`` bars."""
    ends: Floats
    """High and low of the dealing range."""
    trend: Floats
    level: Floats
    near: Floats
    far: Floats
    bear: Floats
    swing: Floats
    guard: Floats
    pools: Floats
    broke: Floats
    """Newest break by side: how many bars ago (up to 0), displaced, against the trend."""
    swept: Floats
    """Newest sweep by side: how many bars ago, the wick, whether of a double."""
    at: Floats
    whole: Floats
    high: Floats
    low: Floats
    level_pools: Floats
    taken: Floats
    """Newest sweep of each extreme: how many bars ago, the wick."""


_K = len(KINDS)
_SIZES = (6, 1, CALM, 2, 1, 2, 6, 6, 6, 2, 2, 10, 6, 6, _K, _K, _K, _K, 10 * _K, 4 * _K)
_ENDS = np.cumsum(_SIZES)[:-1]


class Series(NamedTuple):
    """Bars of equally long series side by side, (bars, series), oldest first."""

    time: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    seconds: Ints
    """Length of a bar, by series."""
    utc_offset: Floats
    """By series; NaN where the server's offset is not known."""
    leveled: Ints
    """The series whose extremes of weeks, days and sessions are wanted."""

    @classmethod
    def of(
        cls, bars: Sequence[Bars], leveled: Sequence[bool], start: int, stop: int | None = None
    ) -> Series:
        """Rows ``start`` to ``stop`` of each, counted from its own end where negative."""
        own = slice(start, stop)
        o, h, low, c = (
            np.stack([getattr(b, name)[own] for b in bars], axis=1)
            for name in ("open", "high", "low", "close")
        )
        return cls(
            np.stack([b.time[own] for b in bars], axis=1),
            o,
            h,
            low,
            c,
            np.array([TIMEFRAME_SECONDS[b.timeframe] for b in bars]),
            np.array([b.utc_offset for b in bars]),
            np.flatnonzero(leveled),
        )


def look_back(k: int) -> int:
    """IncrementalState bars before the first new one that a step needs, swings of ``k`` bars."""
    return max(context(k), context(RANGE_SWING), PERIOD)


def compute_chunk(
    s: Series, k: int, memory: Floats | None = None, tail: int = 1
) -> tuple[Floats, Floats | None]:
    """Numbers of the last ``tail`` bars, (bars, ``ROWS``, series), and what is left to the next.

    With that as ``memory`` the first :func:`look_back` bars are known ones. Nothing is left while there are fewer than ``LEAST`` bars.
    """
    series, skip = s.close.shape[1], 0 if memory is None else look_back(k)
    left = None if memory is None else FeatureCarry(*np.split(memory, _ENDS))
    lead = 0 if left is None else skip - context(k)
    if left is None:
        w, sums = smoothed(s.high, s.low, s.close)
        total, start = running_total(w.atr)
        mean = np.full(w.atr.shape, np.nan)
        if len(total) >= CALM:
            mean[start + CALM - 1] = total[CALM - 1] / CALM
            mean[start + CALM :] = (total[CALM:] - total[:-CALM]) / CALM
        atr = w.atr
    else:
        known = Smoothed(left.sums, left.adx[0])
        h, low, c = (x[skip - 1 :] for x in (s.high, s.low, s.close))
        w, sums = resumed(h, low, c, known)
        more = np.cumsum(np.concatenate((left.totals[-1:], w.atr)), axis=0)[1:]
        total = np.concatenate((left.totals, more))
        mean = (total[CALM:] - total[:-CALM]) / CALM
        atr = np.concatenate((np.full((skip - 1, series), np.nan), left.sums[:1], w.atr))
    o, h, low, c, ranges = (x[lead:] for x in (s.open, s.high, s.low, s.close, atr))
    structure = None if left is None else StructureCarry(*left[4:12])
    found, left_structure = analyse_incremental(o, h, low, c, ranges, k, structure, tail)
    top, bottom = np.full((2, series), np.nan) if left is None else left.ends
    own = slice(-tail, None)
    tops = _swings(s.high, skip, top, tail)
    lows = -_swings(-s.low, skip, -bottom, tail)
    span = tops - lows
    with np.errstate(invalid="ignore", divide="ignore"):
        place = np.where(span > 0, (s.close[skip:][own] - lows) / span, np.nan)
        calm = w.atr[own] / mean[own]
    broke = _newest(
        found.broke, (found.displaced, found.choch), None if left is None else left.broke, tail
    )
    swept = _newest(
        found.swept, (found.swept_at, found.swept_equal), None if left is None else left.swept, tail
    )
    taken, resting, left_levels = _extremes(s, skip, atr, left, tail)
    rows = len(place)
    numbers = np.concatenate(
        (
            *(x[:, None] for x in (w.atr[own], w.adx[own], w.rsi[own], calm, place)),
            found.trend[:, None].astype(np.float64),
            *broke[0],
            found.gap_near,
            found.gap_far,
            found.block_near,
            found.block_far,
            found.breaker_near,
            found.breaker_far,
            *swept[0],
            found.swing,
            found.guard,
            *(x.reshape(rows, -1, series) for x in (*taken, resting)),
        ),
        axis=1,
    )
    if sums is None or (left is None and len(s.close) < LEAST):
        return numbers, None
    ends = np.stack((tops[-1], lows[-1]))
    after = (sums.sums, sums.adx[None], total[-CALM:], ends, *left_structure, broke[1], swept[1])
    return numbers, np.concatenate((*after, *left_levels))


def _swings(high: Floats, skip: int, before: Floats, tail: int) -> Floats:
    """The last confirmed swing high of the dealing range; the first ``skip`` rows are known."""
    told, price = delayed(pivots(high, RANGE_SWING), high, RANGE_SWING)
    return forward_fill(told[skip:], price[skip:], before, tail)


def _newest(
    event: Bools, values: Sequence[Floats | Bools], left: Floats | None, tail: int
) -> tuple[list[Floats], Floats]:
    """Bars since the newest event and its values, for the last ``tail`` rows; and those of the
    last row as they are left to the next bar. ``event`` has the series on its last axis."""
    bars, series = len(event), event.shape[-1]
    rows = np.arange(bars, dtype=np.float64).reshape(-1, *(1,) * (event.ndim - 1))
    shape = (len(values) + 1, *event.shape[1:])
    if left is None:
        before = np.full(shape, np.nan)
        before[0] = -np.inf
    else:
        before = left.reshape(shape)
    at = forward_fill(event, np.broadcast_to(rows, event.shape), before[0], tail)
    held = [forward_fill(event, x, b, tail) for x, b in zip(values, before[1:], strict=True)]
    after = np.stack((at[-1] - bars, *(x[-1] for x in held)))
    return [rows[-tail:] - at, *held], after.reshape(-1, series)


def _extremes(
    s: Series, skip: int, atr: Floats, left: FeatureCarry | None, tail: int
) -> tuple[list[Floats], Floats, tuple[Floats, ...]]:
    """Sweeps of the extremes of weeks, days and sessions (age, wick) and those that rest, each
    (bars, kinds, 2, series); NaN and infinite for series that are not ``leveled``."""
    bars, series = min(len(s.close) - skip, tail), s.close.shape[1]
    wanted, some = s.leveled, len(s.leveled)
    shape = (bars, _K, 2, series)
    age, at, resting = np.full(shape, np.inf), np.full(shape, np.nan), np.full(shape, np.nan)
    if left is None:
        parts = [*Periods.unknown(series), np.full((10 * _K, series), np.nan)]
        taken = np.full((4 * _K, series), np.nan)
        parts[4].reshape(5, -1)[3:] = 0.0
        taken[: 2 * _K] = -np.inf
    else:
        parts, taken = [x.copy() for x in left[14:19]], left.taken.copy()
    if some:
        high, low, close = (x[skip:, wanted] for x in (s.high, s.low, s.close))
        past = Periods(*(x[:, wanted] for x in parts[:4]))
        pools = Pools(*parts[4][:, wanted].reshape(5, -1))
        when = periods(s.time[skip:, wanted], s.seconds[wanted], s.utc_offset[wanted])
        found, past, pools = levels(high, low, close, atr[skip:, wanted], when, past, pools, tail)
        (ages, wicks), newest = _newest(found.swept, (found.swept_at,), taken[:, wanted], tail)
        age[..., wanted], at[..., wanted], resting[..., wanted] = ages, wicks, found.resting
        for part, now in zip(parts, (*past, np.stack(pools).reshape(-1, some)), strict=True):
            part[:, wanted] = now
        taken[:, wanted] = newest
    return [age, at], resting, (*parts, taken)


def as_features(column: Floats, time: int) -> Features:
    """A column of numbers by name."""
    v: list[float] = column.tolist()
    pairs = [(v[i], v[i + 1]) for i in range(6, len(v), 2)]
    taken_age, taken_at, resting = (tuple(pairs[i : i + _K]) for i in range(14, len(pairs), _K))
    (
        broke_age,
        displaced,
        choch,
        gap_near,
        gap_far,
        block_near,
        block_far,
        breaker_near,
        breaker_far,
        swept_age,
        swept_at,
        swept_equal,
        swing,
        guard,
    ) = pairs[:14]
    return Features(
        time=time,
        atr=v[0],
        adx=v[1],
        rsi=v[2],
        calm=v[3],
        place=v[4],
        trend=v[5],
        broke_age=broke_age,
        displaced=displaced,
        choch=choch,
        gap_near=gap_near,
        gap_far=gap_far,
        block_near=block_near,
        block_far=block_far,
        breaker_near=breaker_near,
        breaker_far=breaker_far,
        swept_age=swept_age,
        swept_at=swept_at,
        swept_equal=swept_equal,
        swing=swing,
        guard=guard,
        taken_age=taken_age,
        taken_at=taken_at,
        resting=resting,
    )


class IncrementalState(NamedTuple):
    """Bars, their features, and what they leave to the next bar."""

    bars: Bars
    features: Features
    left: Floats | None


def compute(series: Sequence[Bars], k: int, leveled: Sequence[bool]) -> list[IncrementalState]:
    """Features of series from all of their bars, in as few passes as their lengths allow."""
    out: dict[int, IncrementalState] = {}
    short: dict[int, list[int]] = defaultdict(list)
    long: list[int] = []
    for i, bars in enumerate(series):
        if len(bars) < LEAST:
            short[len(bars)].append(i)
        else:
            long.append(i)
    for group in short.values():
        s = Series.of([series[i] for i in group], [leveled[i] for i in group], 0)
        numbers, _ = compute_chunk(s, k)
        for j, i in enumerate(group):
            out[i] = IncrementalState(
                series[i], as_features(numbers[-1, :, j], int(s.time[-1, j])), None
            )
    long.sort(key=lambda i: len(series[i]))
    left: Floats | None = None
    done = 0
    while long:
        stop = len(series[long[0]])
        start = 0 if left is None else done - look_back(k)
        s = Series.of([series[i] for i in long], [leveled[i] for i in long], start, stop)
        numbers, left = compute_chunk(s, k, left)
        ready = sum(len(series[i]) == stop for i in long)
        for j, i in enumerate(long[:ready]):
            column = None if left is None else left[:, j].copy()
            out[i] = IncrementalState(
                series[i], as_features(numbers[-1, :, j], int(s.time[-1, j])), column
            )
        long, done = long[ready:], stop
        left = None if left is None else left[:, ready:]
    return [out[i] for i in range(len(series))]


def append_bars(
    known: Sequence[IncrementalState], bars: Sequence[Bars], k: int, leveled: Sequence[bool]
) -> list[IncrementalState]:
    """Features of series that have grown by equally many bars, from what was known before."""
    more = len(bars[0]) - len(known[0].bars)
    s = Series.of(bars, leveled, -more - look_back(k))
    left = np.stack([each.left for each in known if each.left is not None], axis=1)
    numbers, after = compute_chunk(s, k, left)
    return [
        IncrementalState(
            each,
            as_features(numbers[-1, :, j], int(each.time[-1])),
            None if after is None else after[:, j].copy(),
        )
        for j, each in enumerate(bars)
    ]


def bars_appended(known: IncrementalState | None, bars: Bars, most: int = 256) -> int:
    """By how many bars the series has grown since it was known; 0 where it is another one, is
    the same or cannot be stepped."""
    if known is None or known.left is None:
        return 0
    old = known.bars
    count = len(old)
    more = len(bars) - count
    if not 0 < more <= most or not _same_clock(old, bars):
        return 0
    same = all(
        np.array_equal(getattr(bars, name)[:count], getattr(old, name))
        for name in ("time", "open", "high", "low", "close")
    )
    return more if same else 0


def _same_clock(a: Bars, b: Bars) -> bool:
    return a.utc_offset == b.utc_offset or (math.isnan(a.utc_offset) and math.isnan(b.utc_offset))
