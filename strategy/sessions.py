"""Which trading sessions are open, by the clocks of their own cities (so with their DST)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from .base import Ints

SESSIONS: dict[str, tuple[str, int, int]] = {
    "sydney": ("Australia/Sydney", 8, 17),
    "tokyo": ("Asia/Tokyo", 9, 18),
    "london": ("Europe/London", 8, 17),
    "new_york": ("America/New_York", 8, 17),
}
"""City clock, first hour, hour of the end; Monday to Friday there."""


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def sessions_at(utc: float) -> frozenset[str]:
    """Names of the sessions open at ``utc`` (epoch seconds, real UTC, not server time)."""
    moment = datetime.fromtimestamp(utc, UTC)
    found = set()
    for name, (zone, start, end) in SESSIONS.items():
        local = moment.astimezone(_zone(zone))
        if local.weekday() < 5 and start <= local.hour < end:
            found.add(name)
    return frozenset(found)


def session_days(name: str, utc: Ints) -> Ints:
    """Number of the local day whose session ``name`` is open at each of ``utc`` (epoch seconds,
    real UTC), -1 where it is closed. The same rule as :func:`sessions_at`, for arrays."""
    zone, start, end = SESSIONS[name]
    if not utc.size:
        return np.full(utc.shape, -1, dtype=np.int64)
    years = range(_year(int(utc.min())), _year(int(utc.max())) + 1)
    changes = [change for year in years for change in _offsets(zone, year)]
    moments = np.array([at for at, _ in changes], dtype=np.int64)
    offsets = np.array([offset for _, offset in changes], dtype=np.int64)
    local = utc + offsets[np.searchsorted(moments, utc, side="right") - 1]
    day, hour = local // 86_400, local // 3600 % 24
    weekday = (day + 3) % 7  # day 0 was a Thursday
    return np.where((weekday < 5) & (hour >= start) & (hour < end), day, -1)


def _year(utc: int) -> int:
    return datetime.fromtimestamp(utc, UTC).year


@lru_cache(maxsize=64)
def _offsets(zone: str, year: int) -> tuple[tuple[int, int], ...]:
    """When in a year (UTC seconds) a city's clock changes, and by how many seconds it is ahead
    of UTC from then on; the first entry is the year's beginning."""

    def ahead(utc: int) -> int:
        offset = datetime.fromtimestamp(utc, _zone(zone)).utcoffset()
        return 0 if offset is None else int(offset.total_seconds())

    start, end = (int(datetime(y, 1, 1, tzinfo=UTC).timestamp()) for y in (year, year + 1))
    out = [(start, ahead(start))]
    for day in range(start, end, 86_400):
        if ahead(min(day + 86_400, end - 1)) != out[-1][1]:
            at = next(t for t in range(day, day + 86_401, 900) if ahead(t) != out[-1][1])
            out.append((at, ahead(at)))
    return tuple(out)
