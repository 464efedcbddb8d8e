"""Server midnight: swaps for the night, orders and stops that live only a day."""

from __future__ import annotations

from ...api import constants as mt5
from ..market.tape import DAY_MS
from .ledger import Ledger, Position
from .money import swap_amount, swap_nights

_REOPEN = (mt5.SYMBOL_SWAP_MODE_REOPEN_CURRENT, mt5.SYMBOL_SWAP_MODE_REOPEN_BID)


def rollover(ledger: Ledger, at_ms: int) -> None:
    """What happens at the midnight ``at_ms`` (server milliseconds)."""
    weekday = (at_ms // DAY_MS - 1 + 4) % 7  # of the day that ends; 1970-01-01 was day 4
    for position in list(ledger.positions.values()):
        _swap(ledger, position, weekday, at_ms)
    for order in list(ledger.orders.values()):
        if ledger.tapes[order.symbol].spec.gtc_mode != mt5.SYMBOL_ORDERS_GTC:
            ledger.finish_order(order, mt5.ORDER_STATE_EXPIRED, at_ms)
    for position in ledger.positions.values():
        if ledger.tapes[position.symbol].spec.gtc_mode == mt5.SYMBOL_ORDERS_DAILY:
            position.sl = position.tp = 0.0
            ledger.changed()


def _swap(ledger: Ledger, position: Position, weekday: int, at_ms: int) -> None:
    spec = ledger.tapes[position.symbol].spec
    nights = swap_nights(spec, weekday)
    price = ledger.closing_price(position)
    if not nights or not price:
        return
    if spec.swap_mode in _REOPEN:
        _reopen(ledger, position, nights, at_ms)
        return
    amount, currency = swap_amount(spec, position.long, position.volume, position.price_open, price)
    rate = ledger.converter.rate(currency, buying=amount < 0) if currency else 1.0
    if rate is not None:
        position.swap = ledger.money(position.swap + amount * nights * rate)
        ledger.changed()


def _reopen(ledger: Ledger, position: Position, nights: int, at_ms: int) -> None:
    """Swap by re-opening: out at the close price, in again at that price plus the swap."""
    tape = ledger.tapes[position.symbol]
    spec = tape.spec
    bid_only = spec.swap_mode == mt5.SYMBOL_SWAP_MODE_REOPEN_BID
    price = tape.quote_bid if bid_only else ledger.closing_price(position)
    swap = spec.swap_long if position.long else spec.swap_short
    shift = swap * spec.point * nights * (-1.0 if position.long else 1.0)
    profit = ledger.profit_at(position, price)
    for entry, at, result in (
        (mt5.DEAL_ENTRY_OUT, price, profit),
        (mt5.DEAL_ENTRY_IN, spec.round(price + shift), 0.0),
    ):
        buys = position.long == (entry == mt5.DEAL_ENTRY_IN)
        ledger.deal(
            at_ms=at_ms,
            type=mt5.DEAL_TYPE_BUY if buys else mt5.DEAL_TYPE_SELL,
            entry=entry,
            position_id=position.identifier,
            magic=position.magic,
            reason=mt5.DEAL_REASON_ROLLOVER,
            volume=position.volume,
            price=at,
            profit=result,
            symbol=position.symbol,
        )
        position.price_open = at
    position.update_msc = at_ms
    ledger.changed()
