"""When a paper symbol trades: FX week, metals with a daily break, crypto round the clock.

All in UTC epoch seconds, vectorised. The FX week runs from Sunday 17:00 to Friday 17:00 New
York time, which is 21:00 or 22:00 UTC; metals also rest from 17:00 to 18:00 New York.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Session: TypeAlias = Literal["fx", "metal", "crypto"]

DAY = 86_400
_STEP = 900


@lru_cache(maxsize=256)
def _daylight(year: int) -> tuple[int, int]:
    """UTC seconds at which New York's daylight saving begins and ends (the rule since 2007)."""
    march = datetime(year, 3, 1, 7, tzinfo=UTC)
    begin = march + timedelta(days=(6 - march.weekday()) % 7 + 7)
    november = datetime(year, 11, 1, 6, tzinfo=UTC)
    end = november + timedelta(days=(6 - november.weekday()) % 7)
    return int(begin.timestamp()), int(end.timestamp())


def new_york_offset(utc: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """New York minus UTC in seconds, for each moment."""
    offset = np.full(utc.shape, -5 * 3600, dtype=np.int64)
    if utc.size == 0:
        return offset
    first = datetime.fromtimestamp(int(utc.min()), UTC).year
    last = datetime.fromtimestamp(int(utc.max()), UTC).year
    for year in range(first, last + 1):
        begin, end = _daylight(year)
        offset[(utc >= begin) & (utc < end)] = -4 * 3600
    return offset


def open_mask(session: Session, utc: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """For each UTC second: is the market open?"""
    if session == "crypto":
        return np.ones(utc.shape, dtype=np.bool_)
    # Shifted by seven hours, New York's trading day is a calendar day, Monday to Friday.
    day = utc + new_york_offset(utc) + 7 * 3600
    week = (day // DAY + 3) % 7 < 5
    if session == "metal":
        week &= day % DAY >= 3600
    return week


def is_open(session: Session, utc: float) -> bool:
    return bool(open_mask(session, np.array([int(utc)], dtype=np.int64))[0])


def open_throughout(session: Session, utc: float, seconds: float) -> bool:
    """Is the market open now and for the next ``seconds``?"""
    grid = np.arange(int(utc), int(utc + seconds) + 1, _STEP, dtype=np.int64)
    return bool(open_mask(session, grid).all())


def demo_start(now: float, ahead: float = 12 * 3600) -> float:
    """The moment a generated market starts at: now while the FX market is open, else whole
    days earlier, the last day on which it is open at this time and ``ahead`` seconds on."""
    if is_open("fx", now):
        return now
    for days in range(1, 8):
        if open_throughout("fx", now - days * DAY, ahead):
            return now - days * DAY
    raise AssertionError("no open FX day within a week")  # a week always has one
