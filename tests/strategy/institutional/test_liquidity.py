"""Extremes of weeks, days and sessions, and breakers: equal to slow oracles, and causal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from strategy.institutional.indicators import wilder
from strategy.institutional.liquidity import (
    KINDS,
    SWEEP_ATR,
    ExtremeLevels,
    Periods,
    Pools,
    levels,
    periods,
)
from strategy.institutional.structure import BLOCK_REACH, analyse
from strategy.sessions import SESSIONS, session_days, sessions_at

Walk = Callable[..., tuple[Any, Any, Any, Any]]
HOURS = {"tokyo": ("Asia/Tokyo", 9, 18), "london": ("Europe/London", 8, 17)}
HOURS["new_york"] = ("America/New_York", 8, 17)


def stretch(kind: str, server: int, offset: float) -> Any:
    """Which week, day or session a bar begins in, by the calendar."""
    if kind in ("week", "day"):
        day = datetime.fromtimestamp(server, UTC).date()
        if kind == "day":
            return day
        return day - timedelta(days=(day.weekday() + 1) % 7)
    zone, start, end = HOURS[kind]
    local = datetime.fromtimestamp(server - offset, ZoneInfo(zone))
    return local.date() if local.weekday() < 5 and start <= local.hour < end else None


def oracle(
    kind: str, time: Any, h: Any, lo: Any, c: Any, atr: Any, offset: float
) -> tuple[list[float], list[bool], list[float]]:
    """The lows of one kind, one series, as the definitions read: what rests after each bar,
    where it was swept, the wick."""
    seen: list[tuple[Any, list[int]]] = []  # stretches in order, with their bars
    level, waiting = None, None
    resting, swept, wicks = [], [], []
    for t in range(len(c)):
        now = stretch(kind, int(time[t]), offset)
        if not seen or seen[-1][0] != now:
            # the very first stretch may have begun before the bars do
            if len(seen) > 1 and seen[-1][0] is not None:
                level, waiting = min(lo[i] for i in seen[-1][1]), None
            seen.append((now, []))
        seen[-1][1].append(t)
        hit, wick = False, np.nan
        if level is not None:
            if waiting is not None:
                wick = min(waiting, lo[t])
                hit, gone = c[t] > level, True
            elif lo[t] + SWEEP_ATR * atr[t] < level:
                wick = lo[t]
                hit = gone = bool(c[t] > level)
                waiting = None if hit else wick
            else:
                gone = False
            if gone:
                level, waiting = None, None
        resting.append(np.nan if level is None else level)
        swept.append(hit)
        wicks.append(wick if hit else np.nan)
    return resting, swept, wicks


def quarter_hours(seed: int, count: int) -> Any:
    """M15 opening times from a Wednesday in March, over a change of clocks, with weekends and
    some bars missing."""
    at = 1_741_132_800 + 900 * np.arange(3 * count)
    day = at // 86_400 % 7
    keep = ~np.isin(day, (2, 3)) & (np.random.default_rng(seed).random(len(at)) < 0.97)
    return at[keep][:count]


def found(walk: Walk, seed: int, offset: float = 7200.0, count: int = 2500) -> Any:
    _, h, lo, c = walk(count, 2, seed)
    atr = wilder(h, lo, c).atr
    time = np.stack([quarter_hours(seed + j, count) for j in range(2)], axis=1)
    seconds, offsets = np.array([900, 900]), np.array([offset, offset])
    at = periods(time, seconds, offsets)
    past, pools = Periods.unknown(2), Pools.empty(2 * 2 * len(KINDS))
    got, _, _ = levels(h, lo, c, atr, at, past, pools)
    return time, h, lo, c, atr, at, got


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("offset", [0.0, 10_800.0])
def test_extremes_equal_a_slow_oracle_on_random_walks(walk: Walk, seed: int, offset: float) -> None:
    time, h, lo, c, atr, _, got = found(walk, seed, offset)
    for j in range(2):
        for n, kind in enumerate(KINDS):
            for side, (high, low, close) in enumerate(
                ((h, lo, c), (-lo, -h, -c))  # the highs are the lows upside down
            ):
                args = (time[:, j], high[:, j], low[:, j], close[:, j], atr[:, j], offset)
                resting, swept, wick = oracle(kind, *args)
                sign = 1 if side == 0 else -1
                np.testing.assert_array_equal(got.resting[:, n, side, j], sign * np.array(resting))
                np.testing.assert_array_equal(got.swept[:, n, side, j], swept)
                np.testing.assert_array_equal(got.swept_at[:, n, side, j], sign * np.array(wick))
                assert kind == "week" or sum(swept) > 2, kind
    assert got.swept[:, KINDS.index("week")].any()


def test_a_prefix_of_the_bars_gives_the_prefix_of_the_extremes(walk: Walk) -> None:
    _, h, lo, c, atr, at, whole = found(walk, 3)
    for stop in (1, 90, 777, 2400):
        parts: list[Any] = [x[:stop] for x in (h, lo, c, atr, at)]
        past, pools = Periods.unknown(2), Pools.empty(2 * 2 * len(KINDS))
        part, _, _ = cast("Any", levels)(*parts, past, pools)
        for name in ExtremeLevels._fields:
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:stop])


def test_a_stretch_whose_beginning_was_not_seen_gives_no_level(walk: Walk) -> None:
    time, _, _, _, _, _, got = found(walk, 5)
    day = time[:, 0] // 86_400
    second, third = (int(np.flatnonzero(day == d)[0]) for d in np.unique(day)[1:3])
    assert np.isnan(got.resting[:third, KINDS.index("day"), :, 0]).all()
    assert np.isfinite(got.resting[third : third + 5, KINDS.index("day"), :, 0]).any()
    assert second < third


def test_without_the_servers_offset_there_are_no_sessions_but_days_and_weeks(walk: Walk) -> None:
    *_, at, got = found(walk, 2, float("nan"))
    assert (at[:, 2:] == -1).all()
    assert np.isnan(got.resting[:, 2:]).all()
    assert np.isfinite(got.resting[:, :2]).any()


def test_bars_too_long_for_a_stretch_show_none_of_it() -> None:
    time = np.repeat(14_400 * np.arange(200)[:, None], 3, axis=1)
    at = periods(time, np.array([14_400, 86_400, 604_800]), np.zeros(3))
    assert (at[:, 2:] == -1).all()  # H4 and longer: no sessions
    assert (at[:, 1] >= 0).all(axis=0).tolist() == [True, False, False]
    assert (at[:, 0] >= 0).all(axis=0).tolist() == [True, True, False]


@pytest.mark.parametrize("name", sorted(SESSIONS))
def test_sessions_of_many_bars_are_those_of_each(name: str) -> None:
    hours = 1_704_067_200 + 1800 * np.arange(2 * 365 * 48)  # two years, all changes of clocks
    some = np.random.default_rng(1).choice(hours, 4000)
    days = session_days(name, some)
    assert [bool(day >= 0) for day in days] == [name in sessions_at(float(t)) for t in some]
    assert 0 < (days >= 0).sum() < len(some)


def slow_breakers(o: Any, h: Any, lo: Any, c: Any, atr: Any, k: int) -> list[Any]:
    """Bullish breakers of one series, as the definition reads: a bearish order block that a
    close went above, until a close goes below it."""
    columns: list[Any] = [x[:, None] for x in (o, h, lo, c, atr)]
    seen = cast("Any", analyse)(*columns, k)
    block: tuple[Any, Any] | None = None
    breaker: tuple[Any, Any] | None = None
    out: list[Any] = []
    for t in range(len(c)):
        if breaker is not None and c[t] < breaker[1]:
            breaker = None
        if seen.broke[t, 1, 0] and seen.displaced[t, 1, 0]:
            before = [i for i in range(max(t - BLOCK_REACH, 0), t) if c[i] > o[i]]
            if before:
                block = (h[before[-1]], lo[before[-1]])
        if block is not None and c[t] > block[0]:
            block, breaker = None, block
        out.append((np.nan, np.nan) if breaker is None else breaker)
    return out


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_breakers_equal_a_slow_oracle_on_random_walks(walk: Walk, seed: int) -> None:
    o, h, lo, c = (x[:, 0] for x in walk(900, 1, seed))
    atr = wilder(h, lo, c).atr
    columns: list[Any] = [x[:, None] for x in (o, h, lo, c, atr)]
    found = cast("Any", analyse)(*columns, 2)
    for side, want in enumerate(
        (slow_breakers(o, h, lo, c, atr, 2), slow_breakers(-o, -lo, -h, -c, atr, 2))
    ):
        near, far = np.array(want).T
        sign = 1 if side == 0 else -1
        np.testing.assert_array_equal(found.breaker_near[:, side, 0], sign * near)
        np.testing.assert_array_equal(found.breaker_far[:, side, 0], sign * far)
        assert np.isfinite(near).any()
        assert np.isnan(near).any()
