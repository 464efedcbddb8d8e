"""Numbers, prices, ages and times as short text. Pure: values in, text out.

An unknown value (``None``, or a number that is not finite) is written ``–``, never zero. The page
has the same functions (``streamer/web/format.js``) and passes the same vectors; it only draws the
minus sign as ``−``.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

UNKNOWN = "–"

SIGNIFICANT = 8
"""Digits at most of a price whose symbol's decimals are unknown."""


def known(value: Any) -> float | None:
    """``value`` as a finite number, or ``None``."""
    kind = type(value)
    if kind is float:  # nearly always: every cell comes through here
        return value + 0.0 if value - value == 0.0 else None
    if kind is int:
        return float(value) if abs(value) < 2**1000 else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value)
    return number + 0.0 if math.isfinite(number) else None  # + 0.0: -0.0 is 0.0


def number(value: Any, decimals: int = 0, *, sign: bool = False) -> str:
    """``1234.5`` as ``1,234.50``; a figure that rounds to zero has no sign, on every screen."""
    n = known(value)
    if n is None:
        return UNKNOWN
    text = f"{n:{'+' if sign else ''},.{decimals}f}"
    # A sign before nothing but zeros would show a gain or a loss that the figure does not.
    if text[0] in "+-" and not any(c in "123456789" for c in text):
        text = text[1:]
    return text


def money(value: Any, *, sign: bool = False) -> str:
    """Money with two decimals; from a million on without."""
    n = known(value)
    return number(n, 0 if n is not None and abs(n) >= 1e6 else 2, sign=sign)


def price_decimals(value: float) -> int:
    """Decimals of a price whose symbol's decimals are unknown.

    As many as are usual for its size, and more where it was sent with more.
    """
    size = abs(value)
    usual = 5 if size < 20 else 3 if size < 500 else 2
    whole = len(str(int(size))) if size >= 1 else 0
    most = max(0, SIGNIFICANT - whole)
    sent = f"{size:.{most}f}".rstrip("0").partition(".")[2] if most else ""
    return max(usual, len(sent))


def price(value: Any, digits: Any = None) -> str:
    """A price with the symbol's own decimals; 0.0 (no stop, no target) is ``–``."""
    n = known(value)
    if n is None or n == 0.0:
        return UNKNOWN
    if isinstance(digits, int) and not isinstance(digits, bool) and 0 <= digits <= 10:
        return f"{n:.{digits}f}"
    return f"{n:.{price_decimals(n)}f}"


def lots(value: Any) -> str:
    """A volume: two decimals, more only where it has them."""
    n = known(value)
    if n is None:
        return UNKNOWN
    return f"{n:.2f}" if abs(n * 100 - round(n * 100)) < 1e-6 else f"{n:.10g}"


def percent(value: Any, decimals: int = 1, *, sign: bool = False) -> str:
    """A percentage: ``12.5%``."""
    n = known(value)
    return UNKNOWN if n is None else number(n, decimals, sign=sign) + "%"


def multiple(value: Any) -> str:
    """An R multiple: ``+1.4``."""
    return number(value, 1, sign=True)


def age(seconds: Any) -> str:
    """How old: ``0.3s``, ``12s``, ``4m05``, ``2h07``, ``3d04``."""
    n = known(seconds)
    if n is None:
        return UNKNOWN
    n = max(0.0, n)
    if n < 9.95:
        return f"{n:.1f}s"
    s = int(n)
    if s < 60:
        return f"{s}s"
    if s < 3600:
        return f"{s // 60}m{s % 60:02d}"
    if s < 86400:
        return f"{s // 3600}h{s % 3600 // 60:02d}"
    return f"{s // 86400}d{s % 86400 // 3600:02d}"


def whole_age(seconds: Any) -> str:
    """As ``age``, in whole seconds: for ages that need not tick ten times a second."""
    n = known(seconds)
    if n is None:
        return UNKNOWN
    return f"{int(max(0.0, n))}s" if n < 60 else age(n)


def countdown(seconds: Any) -> str:
    """Time left: ``0:07``, ``1:48``, ``1:02:03``; ``now`` when it is due."""
    n = known(seconds)
    if n is None:
        return UNKNOWN
    if n <= 0:
        return "now"
    s = math.ceil(n)
    if s < 3600:
        return f"{s // 60}:{s % 60:02d}"
    return f"{s // 3600}:{s % 3600 // 60:02d}:{s % 60:02d}"


def parse_time(text: Any) -> float | None:
    """An ISO 8601 time as epoch seconds (UTC where it names no zone), or ``None``."""
    if not isinstance(text, str) or not text:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return when.timestamp()


def stamp(epoch: Any, pattern: str = "%H:%M:%S") -> str:
    """Epoch seconds as UTC text."""
    n = known(epoch)
    if n is None:
        return UNKNOWN
    try:
        return datetime.fromtimestamp(n, UTC).strftime(pattern)
    except (OverflowError, OSError, ValueError):
        return UNKNOWN


def clock(text: Any, *, milliseconds: bool = False) -> str:
    """The UTC time of day of an ISO 8601 time."""
    epoch = parse_time(text)
    if epoch is None:
        return UNKNOWN
    out = stamp(epoch)
    return f"{out}.{int(epoch * 1000) % 1000:03d}" if milliseconds else out
