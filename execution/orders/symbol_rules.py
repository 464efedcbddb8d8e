"""The rules of a symbol, applied to an order before it is sent: volume, prices, filling, distances.

Pure functions of ``SymbolInfo``. A rule that is broken is a :class:`RuleError` with the return
code that the server would have given.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from streamer.errors import Mt5dashError

from ..api import constants as c
from ..api.structs import SymbolInfo
from .kinds import BUY_TYPES, LIMIT_TYPES, MARKET_TYPES

FOK, IOC, RETURN = c.ORDER_FILLING_FOK, c.ORDER_FILLING_IOC, c.ORDER_FILLING_RETURN


class RuleError(Mt5dashError):
    """An order that the symbol's rules do not allow."""

    def __init__(self, retcode: int, text: str) -> None:
        super().__init__(text)
        self.retcode = retcode
        self.text = text


def fillings(info: SymbolInfo, kind: int) -> list[int]:
    """Filling policies to try for an order of type ``kind``, the best first.

    ``filling_mode`` is a mask (FOK 1, IOC 2), not a policy (FOK 0, IOC 1, RETURN 2); taking the
    one for the other is the usual cause of 10030.
    """
    flagged = [policy for bit, policy in ((1, FOK), (2, IOC)) if info.filling_mode & bit]
    exchange = info.trade_exemode == c.SYMBOL_TRADE_EXECUTION_EXCHANGE
    market = info.trade_exemode == c.SYMBOL_TRADE_EXECUTION_MARKET
    if kind not in MARKET_TYPES and (exchange or (market and kind in LIMIT_TYPES)):
        order = [RETURN, *flagged]
    elif exchange:
        order = [*flagged, RETURN]
    else:
        order = flagged or [FOK]
    return order + [policy for policy in (FOK, IOC, RETURN) if policy not in order]


def volume(info: SymbolInfo, lots: float) -> float:
    """``lots`` rounded down to the symbol's step, in decimal.

    Raises:
        RuleError: below the minimum or above the maximum.
    """
    step = _decimal(info.volume_step or info.volume_min)
    if step <= 0 or lots != lots:
        raise RuleError(c.TRADE_RETCODE_INVALID_VOLUME, f"{info.name} gives no volume step")
    # 0.7999999999999999 is 0.8 that went through float arithmetic, not 0.79.
    wanted = _decimal(lots)
    steps = (wanted / step).to_integral_value(rounding=ROUND_FLOOR)
    exact = steps * step
    low, high = _decimal(info.volume_min), _decimal(info.volume_max)
    if exact < low or exact <= 0:
        raise RuleError(
            c.TRADE_RETCODE_INVALID_VOLUME,
            f"volume {lots:g} is below the minimum of {info.name}, {info.volume_min:g} lots",
        )
    if high > 0 and exact > high:
        raise RuleError(
            c.TRADE_RETCODE_INVALID_VOLUME,
            f"volume {lots:g} is above the maximum of {info.name}, {info.volume_max:g} lots",
        )
    return float(exact)


def price(info: SymbolInfo, value: float | None) -> float:
    """A price on the symbol's grid (tick size, then digits); ``None`` and 0 are 0.0: none."""
    if not value:
        return 0.0
    if value != value or value < 0:
        raise RuleError(c.TRADE_RETCODE_INVALID_PRICE, f"{value} is no price")
    exact = _decimal(value)
    tick = _decimal(info.trade_tick_size or info.point)
    if tick > 0:
        exact = (exact / tick).to_integral_value(rounding=ROUND_HALF_EVEN) * tick
    return float(round(exact, info.digits))


def check_stops(info: SymbolInfo, kind: int, at: float, sl: float, tp: float) -> None:
    """Distances of stop loss and take profit, as the server checks them.

    A market order and an open position are measured from the price at which they would close
    (bid for a buy, ask for a sell), a pending order from its own price.

    Raises:
        RuleError: 10016, in points.
    """
    buy = kind in BUY_TYPES
    base = at if kind not in MARKET_TYPES else (info.bid if buy else info.ask)
    if base <= 0:
        raise RuleError(c.TRADE_RETCODE_PRICE_OFF, f"{info.name} has no price now")
    least = max(info.trade_stops_level, 1)
    for name, level, sign in (
        ("stop loss", sl, 1 if buy else -1),
        ("take profit", tp, -1 if buy else 1),
    ):
        if not level:
            continue
        distance = round(sign * (base - level) / info.point)
        if distance < least:
            side = "below" if sign > 0 else "above"
            raise RuleError(
                c.TRADE_RETCODE_INVALID_STOPS,
                f"{name} {level:.{info.digits}f} must be at least {least} points {side} "
                f"{base:.{info.digits}f}",
            )


def check_pending(info: SymbolInfo, kind: int, at: float) -> None:
    """A pending order's price against the market. Raises :class:`RuleError` 10015."""
    buy = kind in BUY_TYPES
    market = info.ask if buy else info.bid
    if market <= 0:
        raise RuleError(c.TRADE_RETCODE_PRICE_OFF, f"{info.name} has no price now")
    below = kind in (c.ORDER_TYPE_BUY_LIMIT, c.ORDER_TYPE_SELL_STOP, c.ORDER_TYPE_SELL_STOP_LIMIT)
    distance = round((market - at if below else at - market) / info.point)
    least = max(info.trade_stops_level, 1)
    if distance < least:
        raise RuleError(
            c.TRADE_RETCODE_INVALID_PRICE,
            f"price {at:.{info.digits}f} must be at least {least} points "
            f"{'below' if below else 'above'} {market:.{info.digits}f}",
        )


def check_freeze(info: SymbolInfo, buy: bool, sl: float, tp: float) -> None:
    """A position so close to its stop or target that it may not be changed. Raises 10029."""
    level = info.trade_freeze_level
    base = info.bid if buy else info.ask
    if level <= 0 or base <= 0:
        return
    for name, stop in (("stop loss", sl), ("take profit", tp)):
        if stop and round(abs(base - stop) / info.point) <= level:
            raise RuleError(
                c.TRADE_RETCODE_FROZEN,
                f"the price is within {level} points of the {name}: it cannot be changed now",
            )


def _decimal(value: float) -> Decimal:
    return Decimal(repr(float(value))).quantize(Decimal("1e-8"))
