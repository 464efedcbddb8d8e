"""The risk limits of an account: their names, and how near a value is to one."""

from __future__ import annotations

from typing import Literal

from .figures import UNKNOWN, money, percent
from .table import TABLE, LimitWords

SHORT_MAX = 8

LimitGrade = Literal["", "ok", "warn", "crit"]


def limit_words(limit: str) -> LimitWords:
    """What a limit is called; one that is not in the table says itself."""
    found = TABLE.limits.get(limit)
    if found is not None:
        return found
    return LimitWords(name=limit.replace("_", " ").capitalize(), short=limit[:SHORT_MAX])


def amount(limit: str, value: float | None, unit: str) -> str:
    """A value of a limit without its unit, ``%`` excepted: a percentage, a number or money."""
    if unit == "%":
        return percent(value, limit_words(limit).decimals)
    if is_money(unit):
        return money(value)
    return UNKNOWN if value is None else f"{value:.10g}"


def is_money(unit: str) -> bool:
    """Whether a limit in this unit is about money."""
    return unit != "%" and unit not in TABLE.counted_units


def grade(value: float | None, limit: float | None) -> LimitGrade:
    """How near a value is to its limit; empty where either is unknown."""
    if value is None or not limit:
        return ""
    share = abs(value) / abs(limit)
    shares = TABLE.limit_shares
    return "crit" if share >= shares.crit else "warn" if share >= shares.warn else "ok"
