"""Levels with resting orders: swings, and the extremes of days, weeks and sessions.

Arrays have time on axis 0. A level rests from the bar after it is known, until a wick takes it
and the close comes back (a sweep) or does not (it is gone). Bearish columns carry mirrored
prices, so that each rule is written once, for lows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..base import Bools, Floats, Ints
from ..sessions import session_days

SWEEP_ATR = 0.05
"""Least reach of a wick beyond a level for a sweep, in ATR."""
EQUAL_ATR = 0.1
"""Swings this near to each other are equal highs or lows, in ATR."""
KINDS = ("week", "day", "tokyo", "london", "new_york")
"""Periods with extremes that are levels: the previous week and day, and the last session."""
NAMES = (("PWL", "PWH"), ("PDL", "PDH"), ("ASL", "ASH"), ("LOL", "LOH"), ("NYL", "NYH"))
"""What their lows and highs are called."""
SESSION_BAR = 3600
"""Longer bars do not show a session."""


class Pools(NamedTuple):
    """ExtremeLevels that rest, by column: the price (NaN: none), the one before it, the wick of a bar
    that closed beyond it, whether it is a double, whether such a bar waits for the next."""

    level: Floats
    last: Floats
    wick: Floats
    double: Floats
    pending: Floats

    @classmethod
    def empty(cls, width: int) -> Pools:
        nan = np.full(width, np.nan)
        return cls(nan, nan.copy(), nan.copy(), np.zeros(width), np.zeros(width))

    @classmethod
    def unpacked(cls, rows: Floats) -> Pools:
        """The pools that were packed into ``rows``."""
        return cls(*rows.reshape(len(cls._fields), -1))

    def packed(self, series: int) -> Floats:
        """All columns as (values, series)."""
        return np.stack(self).reshape(-1, series)


class Sweeps(NamedTuple):
    """By bar and column: whether a level was swept, the wick's end (NaN: not), whether the
    level was a double, and the level that still rests after the bar (NaN: none)."""

    swept: Bools
    at: Floats
    equal: Bools
    resting: Floats


def sweeps(
    lo: Floats,
    c: Floats,
    new: Bools,
    price: Floats,
    atr: Floats,
    same: Floats,
    pools: Pools,
    tail: int | None = None,
) -> tuple[Sweeps, Pools]:
    """Where a wick took the orders resting below a level and the close came back above it on
    the same or the next bar. ``new`` marks a ``price`` that is a level from this bar on; ``same``
    is how near to the one before makes it a double. What rests is given for the last ``tail``
    bars only, where that is given."""
    bars, width = c.shape
    shown = bars if tail is None else min(tail, bars)
    swept, equal = (np.zeros((bars, width), dtype=np.bool_) for _ in range(2))
    swept_at, resting = np.full((bars, width), np.nan), np.empty((shown, width))
    any_new: list[bool] = np.asarray(new.any(axis=1)).tolist()
    reached = lo + SWEEP_ATR * atr
    level, last, wick = (x.copy() for x in pools[:3])
    double, pending = pools.double != 0, pools.pending != 0
    count = np.count_nonzero  # several times faster than any() on short rows
    waiting = bool(count(pending))
    for t in range(bars):
        if any_new[t]:
            fresh, at = new[t], price[t]
            with np.errstate(invalid="ignore"):
                near = np.abs(at - last) <= same[t]
            np.copyto(double, near, where=fresh)
            np.copyto(level, at, where=fresh)
            np.copyto(last, at, where=fresh)
            pending &= ~fresh
        deep: Bools = reached[t] < level
        if waiting or count(deep):
            inside = c[t] > level
            np.minimum(wick, lo[t], out=wick, where=pending)
            np.copyto(wick, lo[t], where=deep & ~pending)
            hit = inside & (deep | pending)
            gone: Bools = hit | pending
            if count(gone):
                swept[t] = hit
                np.copyto(swept_at[t], wick, where=hit)
                equal[t] = hit & double
                level[gone] = np.nan
            pending = deep & ~gone
            waiting = bool(count(pending))
        if t >= bars - shown:
            resting[t - bars + shown] = level
    left = Pools(level, last, wick, double.astype(np.float64), pending.astype(np.float64))
    return Sweeps(swept, swept_at, equal, resting), left


class Periods(NamedTuple):
    """The stretches that the newest bar is in, (kinds, series): which one (-1: none, -2: not
    known), whether its beginning was seen, its high and low so far."""

    at: Floats
    whole: Floats
    high: Floats
    low: Floats

    @classmethod
    def unknown(cls, series: int) -> Periods:
        nan = np.full((len(KINDS), series), np.nan)
        return cls(np.full_like(nan, -2.0), np.zeros_like(nan), nan, nan.copy())


def periods(time: Ints, seconds: Ints, utc_offset: Floats) -> Ints:
    """Number of the week, day and sessions that each bar begins in, (bars, kinds, series); -1
    outside a session, and where bars are too long or the server's offset is unknown.

    Args:
        time: Server seconds at which the bars opened, (bars, series).
        seconds: Length of a bar, by series.
        utc_offset: Seconds by which the server's clock is ahead of UTC, by series; NaN: unknown.
    """
    out: Ints = np.full((len(time), len(KINDS), time.shape[1]), -1, dtype=np.int64)
    day = time // 86_400
    # as the terminal's own weeks, which begin on Sunday; day 0 was a Thursday
    out[:, 0] = np.where(seconds < 604_800, (day + 4) // 7, -1)
    out[:, 1] = np.where(seconds < 86_400, day, -1)
    shown = np.flatnonzero((seconds <= SESSION_BAR) & np.isfinite(utc_offset))
    if len(shown):
        utc = time[:, shown] - utc_offset[shown].astype(np.int64)
        for i, name in enumerate(KINDS[2:], start=2):
            out[:, i, shown] = session_days(name, utc)
    return out


def ended(
    at: Ints, high: Floats, low: Floats, past: Periods
) -> tuple[Bools, Floats, Floats, Periods]:
    """Where a stretch has just ended that was seen from its beginning, (bars, kinds, series),
    with its high and low; and the stretches that continue.

    Args:
        at: As from :func:`periods`.
        high, low: (bars, series).
    """
    bars, kinds, series = at.shape
    rows: Ints = np.ascontiguousarray(at.transpose(1, 2, 0)).reshape(-1, bars)
    known = past.at.reshape(-1, 1)
    before = np.concatenate((known, rows[:, :-1]), axis=1)
    change = rows != before
    begins = change.copy()
    begins[:, 0] = True
    starts = np.flatnonzero(begins)
    number = np.cumsum(begins.ravel()).reshape(rows.shape) - 1
    first, goes_on = number[:, 0], ~change[:, 0]
    whole = np.ones(len(starts), dtype=np.bool_)
    whole[first] = np.where(goes_on, past.whole.ravel() != 0, known[:, 0] != -2)
    found = []
    for price, old, pick in ((high, past.high, np.maximum), (low, past.low, np.minimum)):
        flat = np.tile(price.T, (kinds, 1)).ravel()
        best = pick.reduceat(flat, starts)
        best[first] = np.where(goes_on, pick(best[first], old.ravel()), best[first])
        # the stretch before the one that begins here
        prior = np.take(best, np.maximum(number - 1, 0))
        prior[:, 0] = old.ravel()
        found.append((prior, best[number[:, -1]]))
    was_whole = np.take(whole, np.maximum(number - 1, 0))
    was_whole[:, 0] = past.whole.ravel() != 0
    over = change & (before >= 0) & was_whole

    def shaped(x: Floats) -> Floats:
        return np.ascontiguousarray(x.reshape(kinds, series, bars).transpose(2, 0, 1))

    left = Periods(
        at[-1].astype(np.float64),
        whole[number[:, -1]].astype(np.float64).reshape(kinds, series),
        found[0][1].reshape(kinds, series),
        found[1][1].reshape(kinds, series),
    )
    found_over: Bools = np.ascontiguousarray(over.reshape(kinds, series, bars).transpose(2, 0, 1))
    return found_over, shaped(found[0][0]), shaped(found[1][0]), left


class ExtremeLevels(NamedTuple):
    """Extremes of weeks, days and sessions, (bars, kinds, 2, series): index 0 the lows, which
    a bullish sweep takes, 1 the highs. NaN where there is nothing."""

    swept: Bools
    swept_at: Floats
    resting: Floats


def levels(
    high: Floats,
    low: Floats,
    close: Floats,
    atr: Floats,
    at: Ints,
    past: Periods,
    pools: Pools,
    tail: int | None = None,
) -> tuple[ExtremeLevels, Periods, Pools]:
    """ExtremeLevels of prices of shape (bars, series) in the stretches ``at`` of :func:`periods`; what
    rests is given for the last ``tail`` bars only, where that is given."""
    bars, series = close.shape
    over, top, bottom, went_on = ended(at, high, low, past)
    shape = (bars, len(KINDS), 2, series)

    def columns(bull: Floats, bear: Floats) -> Floats:
        pair = np.stack((bull, bear), axis=-2)
        wide = pair if pair.ndim == 4 else pair[:, None]
        return np.broadcast_to(wide, shape).reshape(bars, -1)

    new: Bools = np.broadcast_to(over[:, :, None], shape).reshape(bars, -1)
    found, left = sweeps(
        columns(low, -high),
        columns(close, -close),
        new,
        columns(bottom, -top),
        columns(atr, atr),
        np.zeros((bars, 1)),
        pools,
        tail,
    )
    sign = np.array([1.0, -1.0])[:, None]
    return (
        ExtremeLevels(
            found.swept.reshape(shape),
            found.at.reshape(shape) * sign,
            found.resting.reshape(-1, *shape[1:]) * sign,
        ),
        went_on,
        left,
    )
