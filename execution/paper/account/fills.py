"""What a fill does to the account: deals, positions opened, added to, reduced or reversed.

Hedging: each deal opens a position of its own unless it closes a named one. Netting: one
position a symbol, with the average price of what was added.
"""

from __future__ import annotations

from ...api import constants as mt5
from ...api.structs import TradeDeal
from .ledger import Ledger, Order, Position, lots

_DEAL_REASON = {
    mt5.ORDER_REASON_CLIENT: mt5.DEAL_REASON_CLIENT,
    mt5.ORDER_REASON_MOBILE: mt5.DEAL_REASON_MOBILE,
    mt5.ORDER_REASON_WEB: mt5.DEAL_REASON_WEB,
    mt5.ORDER_REASON_EXPERT: mt5.DEAL_REASON_EXPERT,
    mt5.ORDER_REASON_SL: mt5.DEAL_REASON_SL,
    mt5.ORDER_REASON_TP: mt5.DEAL_REASON_TP,
    mt5.ORDER_REASON_SO: mt5.DEAL_REASON_SO,
}


def deal_type(buy: bool) -> int:
    return mt5.DEAL_TYPE_BUY if buy else mt5.DEAL_TYPE_SELL


def netted(ledger: Ledger, symbol: str) -> Position | None:
    """The one position of a netting account on this symbol."""
    if ledger.config.hedging:
        return None
    held = ledger.on.get(symbol)
    return next(iter(held.positions.values()), None) if held else None


def fill(ledger: Ledger, order: Order, volume: float, price: float, at_ms: int) -> TradeDeal:
    """Execute ``volume`` lots of an order at ``price``; the order itself is not finished here."""
    order.left = lots(order.left - volume)
    target: Position | None
    if ledger.config.hedging:
        target = ledger.positions.get(order.position_id) if order.position_id else None
    else:
        target = netted(ledger, order.symbol)
    if target is None:
        return _open(ledger, order, volume, price, at_ms)
    if target.long == order.buy:
        return _add(ledger, target, order, volume, price, at_ms)
    if volume <= target.volume:
        return close(ledger, target, order, volume, price, at_ms)
    return _reverse(ledger, target, order, volume, price, at_ms)


def _margin(ledger: Ledger, order: Order, volume: float, price: float) -> float:
    spec = ledger.tapes[order.symbol].spec
    return ledger.margin_of(spec, order.buy, volume, price) or 0.0


def _open(ledger: Ledger, order: Order, volume: float, price: float, at_ms: int) -> TradeDeal:
    spec = ledger.tapes[order.symbol].spec
    position = Position(
        ticket=order.ticket,
        identifier=order.ticket,
        symbol=order.symbol,
        long=order.buy,
        volume=volume,
        price_open=price,
        time_msc=at_ms,
        update_msc=at_ms,
        margin=_margin(ledger, order, volume, price),
        sl=order.sl,
        tp=order.tp,
        magic=order.magic,
        reason=order.reason,
        comment=order.comment,
    )
    ledger.add_position(position)
    order.position_id = position.identifier
    return ledger.deal(
        at_ms=at_ms,
        type=deal_type(order.buy),
        entry=mt5.DEAL_ENTRY_IN,
        order=order.ticket,
        position_id=position.identifier,
        magic=order.magic,
        reason=_DEAL_REASON[order.reason],
        volume=volume,
        price=price,
        commission=ledger.commission(spec, volume),
        symbol=order.symbol,
        comment=order.comment,
    )


def _add(
    ledger: Ledger, position: Position, order: Order, volume: float, price: float, at_ms: int
) -> TradeDeal:
    spec = ledger.tapes[order.symbol].spec
    total = lots(position.volume + volume)
    # The average keeps its digits beyond the symbol's, as a terminal does: rounding it would
    # move money.
    position.price_open = (position.price_open * position.volume + price * volume) / total
    position.volume = total
    position.margin += _margin(ledger, order, volume, price)
    position.update_msc = at_ms
    ledger.changed()
    position.sl, position.tp = order.sl, order.tp
    order.position_id = position.identifier
    return ledger.deal(
        at_ms=at_ms,
        type=deal_type(order.buy),
        entry=mt5.DEAL_ENTRY_IN,
        order=order.ticket,
        position_id=position.identifier,
        magic=order.magic,
        reason=_DEAL_REASON[order.reason],
        volume=volume,
        price=price,
        commission=ledger.commission(spec, volume),
        symbol=order.symbol,
        comment=order.comment,
    )


def close(
    ledger: Ledger,
    position: Position,
    order: Order,
    volume: float,
    price: float,
    at_ms: int,
    entry: int = mt5.DEAL_ENTRY_OUT,
) -> TradeDeal:
    """Close ``volume`` lots of a position: profit, and swap in proportion, are realised."""
    spec = ledger.tapes[position.symbol].spec
    order.position_id = position.identifier
    profit = ledger.profit_at(position, price, volume)
    swap = _take_part(ledger, position, volume, at_ms)
    return ledger.deal(
        at_ms=at_ms,
        type=deal_type(not position.long),
        entry=entry,
        order=order.ticket,
        position_id=position.identifier,
        magic=order.magic,
        reason=_DEAL_REASON[order.reason],
        volume=volume,
        price=price,
        commission=ledger.commission(spec, volume),
        swap=swap,
        profit=profit,
        symbol=position.symbol,
        comment=order.comment,
    )


def _take_part(ledger: Ledger, position: Position, volume: float, at_ms: int) -> float:
    """Take ``volume`` off a position; returns the swap that leaves with it."""
    rest = lots(position.volume - volume)
    if rest <= 0:
        ledger.drop_position(position)
        return position.swap
    swap = ledger.money(position.swap * volume / position.volume)
    position.swap = ledger.money(position.swap - swap)
    position.margin *= rest / position.volume
    position.volume = rest
    position.update_msc = at_ms
    ledger.changed()
    return swap


def _reverse(
    ledger: Ledger, position: Position, order: Order, volume: float, price: float, at_ms: int
) -> TradeDeal:
    """Netting: more than the position in the other direction. One INOUT deal; the position
    takes the order's ticket, its identifier stays."""
    spec = ledger.tapes[order.symbol].spec
    profit = ledger.profit_at(position, price)
    swap = position.swap
    rest = lots(volume - position.volume)
    ledger.drop_position(position)
    order.position_id = position.identifier
    ledger.add_position(
        Position(
            ticket=order.ticket,
            identifier=position.identifier,
            symbol=order.symbol,
            long=order.buy,
            volume=rest,
            price_open=price,
            time_msc=position.time_msc,
            update_msc=at_ms,
            margin=_margin(ledger, order, rest, price),
            sl=order.sl,
            tp=order.tp,
            magic=order.magic,
            reason=order.reason,
            comment=order.comment,
        )
    )
    return ledger.deal(
        at_ms=at_ms,
        type=deal_type(order.buy),
        entry=mt5.DEAL_ENTRY_INOUT,
        order=order.ticket,
        position_id=position.identifier,
        magic=order.magic,
        reason=_DEAL_REASON[order.reason],
        volume=volume,
        price=price,
        commission=ledger.commission(spec, volume),
        swap=swap,
        profit=profit,
        symbol=order.symbol,
        comment=order.comment,
    )


def close_by(
    ledger: Ledger, position: Position, other: Position, order: Order, at_ms: int
) -> tuple[TradeDeal, TradeDeal]:
    """Close two opposite positions against each other: the smaller volume goes from both, at
    the other's open price, and no spread is paid. The whole result is on the first deal;
    the second, at its own open price, has none."""
    volume = min(position.volume, other.volume)
    order.position_by_id = other.identifier
    price = other.price_open
    first = close(ledger, position, order, volume, price, at_ms, mt5.DEAL_ENTRY_OUT_BY)
    second = close(ledger, other, order, volume, price, at_ms, mt5.DEAL_ENTRY_OUT_BY)
    order.position_id = position.identifier
    return first, second
