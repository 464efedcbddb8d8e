"""Moments in the time columns of quote files, decoded as whole arrays.

A template says where the digits are: ``Y M D h m s f`` (``f`` milliseconds), everything else
is a separator that must be there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .model import Ints

TEMPLATES = (
    "YYYY.MM.DD hh:mm:ss.fff",
    "YYYY-MM-DD hh:mm:ss.fff",
    "YYYY-MM-DDThh:mm:ss.fff",
    "DD.MM.YYYY hh:mm:ss.fff",
    "YYYY.MM.DD\thh:mm:ss.fff",
    "YYYY.MM.DD,hh:mm:ss.fff",
    "YYYY.MM.DD hh:mm:ss",
    "YYYY-MM-DD hh:mm:ss",
    "YYYY-MM-DDThh:mm:ss",
    "DD.MM.YYYY hh:mm:ss",
    "YYYY.MM.DD\thh:mm:ss",
    "YYYY.MM.DD,hh:mm:ss",
    "YYYY.MM.DD hh:mm",
    "YYYY-MM-DD hh:mm",
    "YYYY.MM.DD\thh:mm",
    "YYYY.MM.DD,hh:mm",
    "YYYYMMDD hhmmssfff",
    "YYYYMMDD hhmmss",
    "YYYYMMDD hh:mm",
    "YYYY.MM.DD",
    "YYYY-MM-DD",
)
"""Longest first: the first that fits the beginning of a line counts."""

_FIELDS = "YMDhmsf"


def fitting(line: bytes, separators: bytes) -> str | None:
    """The template that a line begins with, if a separator follows it."""
    for template in TEMPLATES:
        size = len(template)
        if len(line) > size and line[size] in separators and _fits(line[:size], template):
            return template
    return None


def _fits(text: bytes, template: str) -> bool:
    return all(
        (48 <= char <= 57) if mark in _FIELDS else char == ord(mark)
        for char, mark in zip(text, template, strict=True)
    )


def decode(cells: Sequence[bytes], template: str) -> tuple[Ints, int | None]:
    """Epoch milliseconds of each cell as if UTC, and the index of the first bad cell."""
    width = len(template)
    if not cells:
        return np.empty(0, dtype=np.int64), None
    wide = np.array(cells, dtype=f"S{width}")
    chars = np.frombuffer(wide.tobytes(), dtype=np.uint8).reshape(len(cells), width)
    digits = chars.astype(np.int64) - 48
    bad = np.zeros(len(cells), dtype=np.bool_)
    values: dict[str, Ints] = {mark: np.zeros(len(cells), dtype=np.int64) for mark in _FIELDS}
    for column, mark in enumerate(template):
        if mark in _FIELDS:
            bad |= (digits[:, column] < 0) | (digits[:, column] > 9)
            values[mark] = values[mark] * 10 + digits[:, column]
        else:
            bad |= chars[:, column] != ord(mark)
    month, day = values["M"], values["D"]
    bad |= (month < 1) | (month > 12) | (day < 1) | (day > 31) | (values["Y"] < 1970)
    bad |= (values["h"] > 23) | (values["m"] > 59) | (values["s"] > 59)
    days = _days(values["Y"], month, day)
    seconds = (days * 24 + values["h"]) * 3600 + values["m"] * 60 + values["s"]
    first = int(np.argmax(bad)) if bad.any() else None
    return seconds * 1000 + values["f"], first


def _days(year: Ints, month: Ints, day: Ints) -> Ints:
    """Days since 1970-01-01 of a Gregorian date (Howard Hinnant's days_from_civil)."""
    year = year - (month <= 2)
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days: Ints = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
    return days
