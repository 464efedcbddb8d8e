"""Which trading sessions are open, by the clocks of their own cities (so with their DST)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

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
