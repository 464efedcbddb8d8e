"""Times as people write them."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime

HINT = "such as 2026-03-04T13:05 (UTC), 13:05 or 10m (ago)"
_AGO = re.compile(r"-?(\d+(?:\.\d+)?)([smhd])")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_moment(text: str, now: float, day: float | None = None) -> float:
    """A moment as epoch seconds: ``2026-03-04T13:05``, ``13:05`` (UTC, of ``day`` or of
    ``now``), ``10m`` or ``-10m`` (before ``now``), or epoch seconds.

    Raises:
        ValueError: it is none of these.
    """
    text = text.strip()
    if ago := _AGO.fullmatch(text):
        return now - float(ago[1]) * _UNITS[ago[2]]
    if clock := _CLOCK.fullmatch(text):
        at = datetime.fromtimestamp(now if day is None else day, UTC)
        hour, minute, second = (int(part or 0) for part in clock.groups())
        return at.replace(hour=hour, minute=minute, second=second, microsecond=0).timestamp()
    with contextlib.suppress(ValueError):
        number = float(text)
        if 1e8 < number < 1e11:
            return number
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
