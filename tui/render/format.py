"""Numbers, prices, times and ages as the screen draws them, and bars of characters. Pure.

The figures that screen and page share are those of ``streamer.words.figures``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from streamer.words.figures import UNKNOWN as UNKNOWN
from streamer.words.figures import age as age
from streamer.words.figures import clock as clock
from streamer.words.figures import countdown as countdown
from streamer.words.figures import known as known
from streamer.words.figures import lots as lots
from streamer.words.figures import money as money
from streamer.words.figures import multiple as multiple
from streamer.words.figures import number as number
from streamer.words.figures import parse_time as parse_time
from streamer.words.figures import percent as percent
from streamer.words.figures import price as price
from streamer.words.figures import stamp as stamp
from streamer.words.figures import whole_age as whole_age

BLOCKS = "▁▂▃▄▅▆▇█"


def arrow(value: Any) -> str:
    """``▲`` for more than zero, ``▼`` for less: the sign without colour."""
    n = known(value)
    if n is None or abs(n) < 0.005:
        return " "
    return "▲" if n > 0 else "▼"


def short_age(seconds: Any) -> str:
    """As ``whole_age``, at least three cells wide, so that the text after it does not move each second."""
    return f"{whole_age(seconds):>3}"


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
    """How much of a limit is used: full blocks and dots; all dots while it is unknown."""
    v, top = known(value), known(limit)
    if v is None or top is None or top <= 0:
        return "·" * width
    filled = min(width, max(0, round(abs(v) / top * width)))
    if v and not filled:
        filled = 1
    return "█" * filled + "·" * (width - filled)


def stop_bar(entry: Any, now: Any, sl: Any, tp: Any, width: int) -> str:
    """The price between stop (left) and target (right).

    ``├──┼─●──┤``: ``┼`` is the entry, ``●`` the price. A side without stop or target is open
    (``╌``); without a stop there is no scale, and the bar says so.
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
