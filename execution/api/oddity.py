"""Symbols that a broker lists but that cannot be computed with: a point of 0, a step of 0 ..."""

from __future__ import annotations

from math import isfinite
from typing import Any

DIGITS_MAX = 15


def oddity(symbol: Any) -> str | None:
    """What makes a symbol unusable, in words; None for a usable one.

    Args:
        symbol: Anything with the fields of ``SymbolInfo`` that are looked at here.
    """
    if not 0 <= symbol.digits <= DIGITS_MAX:
        return f"digits are {symbol.digits}"
    for name in ("point", "trade_contract_size", "volume_min", "volume_max", "volume_step"):
        value = getattr(symbol, name)
        if not (isfinite(value) and value > 0):
            return f"{name} is {value:g}"
    if symbol.volume_max < symbol.volume_min:
        return f"volume_max {symbol.volume_max:g} is below volume_min {symbol.volume_min:g}"
    if not (isfinite(symbol.trade_tick_size) and symbol.trade_tick_size >= 0):
        return f"trade_tick_size is {symbol.trade_tick_size:g}"
    for name in ("currency_profit", "currency_margin"):
        if not getattr(symbol, name):
            return f"{name} is empty"
    return None
