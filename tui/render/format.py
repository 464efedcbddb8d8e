"""Numbers, prices, times and ages as short text. Pure: values in, text out.

What is not known (``None``, or a number that is not finite) is written ``–``, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

UNKNOWN = "–"
BLOCKS = "▁▂▃▄▅▆▇█"


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
    """``1234.5`` as ``1,234.50``; what rounds to zero has no sign, on every screen."""
    n = known(value)
    if n is None:
        return UNKNOWN
    text = f"{n:{'+' if sign else ''},.{decimals}f}"
    # A sign before nothing but zeros tells of a gain or a loss that the figure does not show.
    if text[0] in "+-" and not any(c in "123456789" for c in text):
        text = text[1:]
    return text


def money(value: Any, *, sign: bool = False) -> str:
    """Money with two decimals; from a million on without."""
    n = known(value)
    return number(n, 0 if n is not None and abs(n) >= 1e6 else 2, sign=sign)


def arrow(value: Any) -> str:
    """``▲`` for more than zero, ``▼`` for less: the sign without colour."""
    n = known(value)
    if n is None or abs(n) < 0.005:
        return " "
    return "▲" if n > 0 else "▼"


def price(value: Any, digits: Any = None) -> str:
    """A price with the symbol's own digits; 0.0 (no stop, no target) is ``–``."""
    n = known(value)
    if n is None or n == 0.0:
        return UNKNOWN
    if isinstance(digits, int) and not isinstance(digits, bool) and 0 <= digits <= 10:
        return f"{n:.{digits}f}"
    return f"{n:.5f}" if abs(n) < 20 else f"{n:.3f}" if abs(n) < 500 else f"{n:.2f}"


def lots(value: Any) -> str:
    """A volume: two decimals, more only where it has them."""
    n = known(value)
    if n is None:
        return UNKNOWN
    return f"{n:.2f}" if abs(n * 100 - round(n * 100)) < 1e-6 else f"{n:g}"


def percent(value: Any, decimals: int = 1, *, sign: bool = False) -> str:
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
    """As ``age`` in whole seconds: for what need not tick ten times a second."""
    n = known(seconds)
    if n is None:
        return UNKNOWN
    return f"{int(max(0.0, n))}s" if n < 60 else age(n)


def short_age(seconds: Any) -> str:
    """As ``whole_age``, at least three cells: what stands behind it does not jump each second."""
    return f"{whole_age(seconds):>3}"


def countdown(seconds: Any) -> str:
    """Until then: ``0:07``, ``1:48``, ``1:02:03``; ``now`` when it is due."""
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
    """The time of day of an ISO 8601 time."""
    epoch = parse_time(text)
    if epoch is None:
        return UNKNOWN
    out = stamp(epoch)
    return f"{out}.{int(epoch * 1000) % 1000:03d}" if milliseconds else out


def speed(value: Any) -> str:
    """How fast the market's clock runs: nothing at normal speed, else ``x60``."""
    n = known(value)
    return "" if n is None or n == 1.0 else f"x{n:g}"


def side(direction: Any, kind: Any = None) -> str:
    """``▲BUY`` or ``▼SELL`` of a direction, or of MT5's position type 0/1."""
    if direction not in ("BUY", "SELL") and type(kind) is int and kind in (0, 1):
        direction = ("BUY", "SELL")[kind]
    return {"BUY": "▲BUY", "SELL": "▼SELL"}.get(str(direction), UNKNOWN)


def resample(values: Sequence[float], count: int) -> list[float]:
    """At most ``count`` values, each the last of its stretch; a single one stays single."""
    if count <= 0:
        return []
    if len(values) <= count:
        return list(values)
    step = len(values) / count
    return [values[min(len(values) - 1, int((i + 1) * step) - 1)] for i in range(count)]


def strip(values: Iterable[Any], width: int) -> str:
    """Values as a line of blocks between their least and greatest; flat is the low middle."""
    points = resample([v for v in map(known, values) if v is not None], width)
    if not points:
        return ""
    low, high = min(points), max(points)
    if high - low < 1e-9:
        return BLOCKS[2] * len(points)
    return "".join(BLOCKS[min(7, int((v - low) / (high - low) * 7.999))] for v in points)


def gauge(value: Any, limit: Any, width: int) -> str:
    """How much of a limit is used: full blocks and dots; all dots while not known."""
    v, top = known(value), known(limit)
    if v is None or top is None or top <= 0:
        return "·" * width
    filled = min(width, max(0, round(abs(v) / top * width)))
    if v and not filled:
        filled = 1
    return "█" * filled + "·" * (width - filled)


def stop_bar(entry: Any, now: Any, sl: Any, tp: Any, width: int) -> str:
    """Where the price stands between stop (left) and target (right).

    ``├──┼─●──┤``: ``┼`` is the entry, ``●`` the price. A side without stop or target is open
    (``╌``); without a stop the price stands in the middle of nothing, and the bar says so.
    """
    e, n, s, t = (known(v) or 0.0 for v in (entry, now, sl, tp))
    inner = width - 2
    if not n or not e or inner < 3:
        return UNKNOWN
    if not s and not t:
        return "no SL, no TP"[:width] if width >= 12 else "no SL/TP"[:width]
    if not s:
        return "no SL" + "╌" * (width - 6) + "┤"
    # Without a target the bar ends as far above the entry as the stop lies below it; a stop
    # moved beyond the entry leaves the price itself as the scale.
    far = t or (e + (e - s) if e != s and (e - s) * (n - s) >= 0 else n + (n - s))
    span = far - s
    if not span:
        return UNKNOWN

    def place(value: float) -> int:
        return min(inner - 1, max(0, round((value - s) / span * (inner - 1))))

    cells = ["─" if t or i <= place(n) else "╌" for i in range(inner)]
    if 0.0 <= (e - s) / span <= 1.0:
        cells[place(e)] = "┼"
    cells[place(n)] = "●"
    return "├" + "".join(cells) + ("┤" if t else "╌")


def pips(entry: Any, now: Any, direction: Any, digits: Any) -> float | None:
    """Signed distance in pips: 10 points where the price has 3 or 5 digits, else a point."""
    e, n = known(entry), known(now)
    if e is None or n is None or not isinstance(digits, int) or direction not in ("BUY", "SELL"):
        return None
    pip = 10.0 ** -(digits - 1 if digits in (3, 5) else digits)
    return (n - e) / pip * (1 if direction == "BUY" else -1)
