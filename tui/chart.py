"""Curves and candles drawn with block characters."""

from __future__ import annotations

from collections.abc import Sequence

from .format import BLOCKS, resample


def area(values: Sequence[float], width: int, height: int) -> list[str]:
    """The values as a filled curve of ``height`` lines, an eighth of a line fine.

    Fewer values than cells are spread over the whole width. The lowest value keeps one eighth,
    so that a flat curve is a line and not nothing.
    """
    if not values or width <= 0 or height <= 0:
        return []
    points = resample(values, width)
    if len(points) < width:
        points = [points[i * len(points) // width] for i in range(width)]
    low, high = min(points), max(points)
    span = high - low
    steps = height * 8
    levels = [1 + round((v - low) / span * (steps - 1)) if span else steps // 2 for v in points]
    lines = []
    for row in range(height - 1, -1, -1):
        line = ""
        for level in levels:
            part = level - row * 8
            line += " " if part <= 0 else BLOCKS[7] if part >= 8 else BLOCKS[part - 1]
        lines.append(line)
    return lines
