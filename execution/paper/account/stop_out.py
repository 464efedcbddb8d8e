"""When the account's margin level falls to the stop-out, found without looking at each tick.

A bound on the equity over a whole stretch of ticks clears almost every stretch at once; only
where the bound fails is the stretch searched for the first tick that could do it.
"""

from __future__ import annotations

import numpy as np

from ...api import constants as mt5
from ..market.tape import Tape
from .ledger import Ledger, Sides
from .money import raw_profit


def stopped_out(ledger: Ledger) -> bool:
    """Is the account at or under its stop-out level now?"""
    margin = ledger.margin()
    return bool(margin) and under(ledger, ledger.equity(), margin)


def under(ledger: Ledger, equity: float, margin: float) -> bool:
    config = ledger.config
    if config.so_mode == mt5.ACCOUNT_STOPOUT_MODE_MONEY:
        return equity <= config.stop_out
    return equity / margin * 100 <= config.stop_out


def next_stop_out(ledger: Ledger, until_ms: int) -> int | None:
    """The first tick time until ``until_ms`` up to which a stop-out cannot be ruled
    out, None when it can be ruled out all the way. May be early, never late."""
    margin = ledger.margin()
    if not margin or not under(ledger, _worst_equity(ledger, until_ms), margin):
        return None
    pieces = [tape.time_ms[tape.at : tape.until(until_ms)] for tape in _relevant(ledger)]
    times = np.unique(np.concatenate(pieces)) if pieces else np.empty(0, dtype=np.int64)
    low, high = 0, len(times) - 1
    if high < 0:
        return None
    # The bound only gets worse with time, so the first bad tick is found by halving.
    while low < high:
        middle = (low + high) // 2
        if under(ledger, _worst_equity(ledger, int(times[middle])), margin):
            high = middle
        else:
            low = middle + 1
    return int(times[low])


def _relevant(ledger: Ledger) -> list[Tape]:
    """Tapes whose ticks move the equity: of the positions and of their conversion."""
    tapes: dict[str, Tape] = {}
    for symbol in ledger.sides():
        tape = ledger.tapes[symbol]
        tapes[symbol] = tape
        for quote in ledger.converter.symbols(tape.spec.profit):
            tapes[quote.spec.name] = ledger.tapes[quote.spec.name]
    return list(tapes.values())


def _reach(tape: Tape, until_ms: int) -> tuple[float, float]:
    """Lowest bid and highest ask from now until then, the present quote included."""
    end = tape.until(until_ms)
    low, high = tape.quote_bid, tape.quote_ask
    if end > tape.at:
        bid = float(tape.bid[tape.at : end].min())
        ask = float(tape.ask[tape.at : end].max())
        low = min(low, bid) if low else bid
        high = max(high, ask)
    return low, high


def _worst_equity(ledger: Ledger, until_ms: int) -> float:
    """No tick until then can bring the equity below this."""
    total = ledger.balance + ledger.credit
    for symbol, sides in ledger.sides().items():
        tape = ledger.tapes[symbol]
        low, high = _reach(tape, until_ms)
        rate_low, rate_high = _rates(ledger, tape, low, high, until_ms)
        slope = raw_profit(tape.spec, True, 1.0, 0.0, 1.0)
        raw = size = 0.0
        if sides.long_lots:
            raw += (low * sides.long_lots - sides.long_cost) * slope
            size += _largest(low, sides) * sides.long_lots * slope
        if sides.short_lots:
            raw += (sides.short_cost - high * sides.short_lots) * slope
            size += _largest(high, sides) * sides.short_lots * slope
        # Profits and losses convert at different sides of a quote, all within the two rates.
        total += raw * (rate_low + rate_high) / 2 - size * (rate_high - rate_low) / 2
        # Each position is rounded to the account's digits on its own.
        total += sides.swap - 0.6 * 10.0**-ledger.config.digits * sides.count
    return total


def _largest(price: float, sides: Sides) -> float:
    return max(abs(price - sides.open_low), abs(price - sides.open_high))


def _rates(
    ledger: Ledger, tape: Tape, low: float, high: float, until_ms: int
) -> tuple[float, float]:
    """Lowest and highest rate at which the symbol's profit can convert until then."""
    spec, converter = tape.spec, ledger.converter
    if spec.profit == converter.deposit:
        return 1.0, 1.0
    unit = converter.unit
    if spec.base == converter.currency and low:
        return unit / high, unit / low
    rate_low = rate_high = unit
    currency = spec.profit
    for quote in ledger.converter.symbols(currency):
        low, high = _reach(ledger.tapes[quote.spec.name], until_ms)
        if quote.spec.base != currency:
            low, high = (1 / high if high else 0.0), (1 / low if low else 0.0)
            currency = quote.spec.base
        else:
            currency = quote.spec.profit
        rate_low, rate_high = rate_low * low, rate_high * high
    return rate_low, rate_high
