"""Features of the shipped strategy after each closed bar, computed incrementally.

The numbers of a bar follow from the bar and from a carry of fixed size that the bars before it
leave, so a new bar costs one step and not the whole window. Steps and a computation over all bars
at once give the same numbers, to the last bit; tests check it on real bars.
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
from .structure import (
    STRUCTURE_ROWS,
    StructureCarry,
    analyse_incremental,
    context,
    delayed,
    forward_fill,
    pivots,
)

RANGE_SWING = 10
"""Bars on each side of the swings that the dealing range lies between."""
CALM = 50
"""Bars of the mean that the ATR is compared with."""
LEAST = 64
"""Bars from which a series can be continued incrementally."""

Pair = tuple[float, float]


class Features(NamedTuple):
    """One series after its newest closed bar. Pairs are (bullish, bearish).

    NaN where there is nothing. Ages count bars since the newest event: 0 on the bar itself,
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
    """The extremes that no price has reached since: the low, the high."""


_K = len(KINDS)
_SCALARS = ("atr", "adx", "rsi", "calm", "place", "trend")
_BY_KIND = ("taken_age", "taken_at", "resting")
_PAIRS = tuple(name for name in Features._fields if name not in ("time", *_SCALARS, *_BY_KIND))
_COLUMN = (*_SCALARS, *_PAIRS, *_BY_KIND)
"""The fields of :class:`Features` in the order in which a column holds them."""
ROWS = len(_SCALARS) + 2 * len(_PAIRS) + 2 * _K * len(_BY_KIND)
"""Numbers of a bar as a column."""


class FeatureCarry(NamedTuple):
    """State carried from one bar to the next; arrays of shape (values, series)."""

    sums: Floats
    """Wilder's sums of the indicators."""
    adx: Floats
    totals: Floats
    """Sums of all ATR up to each of the last ``CALM`` bars."""
    ends: Floats
    """High and low of the dealing range."""
    structure: StructureCarry
    broke: Floats
    """Newest break by side: how many bars ago (up to 0), displaced, against the trend."""
    swept: Floats
    """Newest sweep by side: how many bars ago, the wick, whether of a double."""
    periods: Periods
    level_pools: Floats
    """:class:`Pools` of the extremes of weeks, days and sessions, packed."""
    taken: Floats
    """Newest sweep of each extreme: how many bars ago, the wick."""

    def packed(self) -> Floats:
        """All values in one array, (values, series), so that series can be put side by side."""
        rows: list[Floats] = []
        for (name, inner), _ in _LAYOUT:
            value = getattr(self, name)
            rows.append(value if inner is None else getattr(value, inner))
        return np.concatenate(rows)

    @classmethod
    def unpacked(cls, memory: Floats) -> FeatureCarry:
        """The carry that was packed into ``memory``."""
        parts = np.split(memory, _ENDS)
        own: dict[str, Floats] = {}
        structure: dict[str, Floats] = {}
        stretch: dict[str, Floats] = {}
        for ((name, inner), _), part in zip(_LAYOUT, parts, strict=True):
            if inner is None:
                own[name] = part
            else:
                (structure if name == "structure" else stretch)[inner] = part
        return cls(structure=StructureCarry(**structure), periods=Periods(**stretch), **own)


def _layout() -> list[tuple[tuple[str, str | None], int]]:
    """The fields of a carry, those of its parts in their place, and the rows of each."""
    rows: dict[str, int | dict[str, int]] = {
        "sums": 6,
        "adx": 1,
        "totals": CALM,
        "ends": 2,
        "structure": STRUCTURE_ROWS,
        "broke": 6,
        "swept": 6,
        "periods": dict.fromkeys(Periods._fields, _K),
        "level_pools": 2 * _K * len(Pools._fields),
        "taken": 4 * _K,
    }
    found: list[tuple[tuple[str, str | None], int]] = []
    for name in FeatureCarry._fields:
        size = rows[name]
        if isinstance(size, int):
            found.append(((name, None), size))
        else:
            found += [((name, inner), count) for inner, count in size.items()]
    return found


_LAYOUT = _layout()
_ENDS = np.cumsum([count for _, count in _LAYOUT])[:-1]


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
    """By series; NaN where the server's offset is unknown."""
    leveled: Ints
    """Indices of the series that need the extremes of weeks, days and sessions."""

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
    """Numbers of the last ``tail`` bars, (bars, ``ROWS``, series), and the packed carry.

    Args:
        k: Bars on each side of a swing.
        memory: The packed carry of the bars before; the first :func:`look_back` bars of ``s``
            are then known ones, and the numbers are of those after them.

    Returns:
        The numbers, and the carry: ``None`` while there are fewer than ``LEAST`` bars.
    """
    series, skip = s.close.shape[1], 0 if memory is None else look_back(k)
    left = None if memory is None else FeatureCarry.unpacked(memory)
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
    before = None if left is None else left.structure
    found, structure = analyse_incremental(o, h, low, c, ranges, k, before, tail)
    top, bottom = np.full((2, series), np.nan) if left is None else left.ends
    own = slice(-tail, None)
    tops = _swings(s.high, skip, top, tail)
    lows = -_swings(-s.low, skip, -bottom, tail)
    span = tops - lows
    with np.errstate(invalid="ignore", divide="ignore"):
        place = np.where(span > 0, (s.close[skip:][own] - lows) / span, np.nan)
        calm = w.atr[own] / mean[own]
    broke, next_broke = _newest(
        found.broke, (found.displaced, found.choch), None if left is None else left.broke, tail
    )
    swept, next_swept = _newest(
        found.swept, (found.swept_at, found.swept_equal), None if left is None else left.swept, tail
    )
    extremes = _extremes(s, skip, atr, left, tail)
    rows = len(place)
    columns: dict[str, Floats] = {
        "atr": w.atr[own],
        "adx": w.adx[own],
        "rsi": w.rsi[own],
        "calm": calm,
        "place": place,
        "trend": found.trend.astype(np.float64),
        "broke_age": broke[0],
        "displaced": broke[1],
        "choch": broke[2],
        "gap_near": found.gap_near,
        "gap_far": found.gap_far,
        "block_near": found.block_near,
        "block_far": found.block_far,
        "breaker_near": found.breaker_near,
        "breaker_far": found.breaker_far,
        "swept_age": swept[0],
        "swept_at": swept[1],
        "swept_equal": swept[2],
        "swing": found.swing,
        "guard": found.guard,
        "taken_age": extremes.age,
        "taken_at": extremes.at,
        "resting": extremes.resting,
    }
    numbers = np.concatenate([columns[name].reshape(rows, -1, series) for name in _COLUMN], axis=1)
    if sums is None or (left is None and len(s.close) < LEAST):
        return numbers, None
    carry = FeatureCarry(
        sums=sums.sums,
        adx=sums.adx[None],
        totals=total[-CALM:],
        ends=np.stack((tops[-1], lows[-1])),
        structure=structure,
        broke=next_broke,
        swept=next_swept,
        periods=extremes.periods,
        level_pools=extremes.pools,
        taken=extremes.taken,
    )
    return numbers, carry.packed()


def _swings(high: Floats, skip: int, before: Floats, tail: int) -> Floats:
    """The last confirmed swing high of the dealing range; the first ``skip`` rows are known."""
    confirmed, price = delayed(pivots(high, RANGE_SWING), high, RANGE_SWING)
    return forward_fill(confirmed[skip:], price[skip:], before, tail)


def _newest(
    event: Bools, values: Sequence[Floats | Bools], left: Floats | None, tail: int
) -> tuple[list[Floats], Floats]:
    """Bars since the newest event and its values, for the last ``tail`` rows; and those of the
    last row for the carry. ``event`` has the series on its last axis."""
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


class _Extremes(NamedTuple):
    """Sweeps of the extremes of weeks, days and sessions (age, wick) and the extremes that rest,
    each (bars, kinds, 2, series); and their part of the carry."""

    age: Floats
    at: Floats
    resting: Floats
    periods: Periods
    pools: Floats
    taken: Floats


def _extremes(s: Series, skip: int, atr: Floats, left: FeatureCarry | None, tail: int) -> _Extremes:
    """Extremes of the series that are ``leveled``; NaN and infinite for the others."""
    bars, series = min(len(s.close) - skip, tail), s.close.shape[1]
    wanted, some = s.leveled, len(s.leveled)
    shape = (bars, _K, 2, series)
    age, at, resting = np.full(shape, np.inf), np.full(shape, np.nan), np.full(shape, np.nan)
    if left is None:
        stretch = Periods.unknown(series)
        pools = Pools.empty(2 * _K * series).packed(series)
        taken = np.full((4 * _K, series), np.nan)
        taken[: 2 * _K] = -np.inf
    else:
        stretch = Periods(*(x.copy() for x in left.periods))
        pools, taken = left.level_pools.copy(), left.taken.copy()
    if some:
        high, low, close = (x[skip:, wanted] for x in (s.high, s.low, s.close))
        past = Periods(*(x[:, wanted] for x in stretch))
        own = Pools.unpacked(pools[:, wanted])
        when = periods(s.time[skip:, wanted], s.seconds[wanted], s.utc_offset[wanted])
        found, past, own = levels(high, low, close, atr[skip:, wanted], when, past, own, tail)
        (ages, wicks), newest = _newest(found.swept, (found.swept_at,), taken[:, wanted], tail)
        age[..., wanted], at[..., wanted], resting[..., wanted] = ages, wicks, found.resting
        for part, now in zip(stretch, past, strict=True):
            part[:, wanted] = now
        pools[:, wanted] = own.packed(some)
        taken[:, wanted] = newest
    return _Extremes(age, at, resting, stretch, pools, taken)


def as_features(column: Floats, time: int) -> Features:
    """The numbers of a bar by name, from a column of ``ROWS``."""
    v: list[float] = column.tolist()
    single, double = len(_SCALARS), len(_PAIRS)
    pairs = [(v[i], v[i + 1]) for i in range(single, len(v), 2)]
    by_kind = (tuple(pairs[i : i + _K]) for i in range(double, len(pairs), _K))
    return Features(
        time=time,
        **dict(zip(_SCALARS, v, strict=False)),  # type: ignore[arg-type]
        **dict(zip(_PAIRS, pairs, strict=False)),  # type: ignore[arg-type]
        **dict(zip(_BY_KIND, by_kind, strict=True)),  # type: ignore[arg-type]
    )


class IncrementalState(NamedTuple):
    """Bars, the features of the newest one, and the packed carry; ``None`` where the series
    cannot be continued."""

    bars: Bars
    features: Features
    carry: Floats | None


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
    """Features of series to which equally many bars were appended, from their state before."""
    more = len(bars[0]) - len(known[0].bars)
    s = Series.of(bars, leveled, -more - look_back(k))
    left = np.stack([each.carry for each in known if each.carry is not None], axis=1)
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
    """How many bars were appended to the series since ``known``; 0 where it is the same, is
    another series, or cannot be continued. More than ``most`` bars count as another series."""
    if known is None or known.carry is None:
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
