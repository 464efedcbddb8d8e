"""Finds an order with a lost answer: by its id, otherwise by magic, symbol, volume and time.

The second way exists because brokers may rewrite a comment. It is used only when exactly one
order fits that no other intent has claimed and that has no other id of ours.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from ..api import constants as c
from ..api.structs import TradeDeal, TradeOrder
from ..transport.client import TerminalClient
from .intents import Intent, id_in
from .kinds import type_of

LATEST = 2**31 - 86_400
"""The module's dates are 32 bits."""

ENDED: dict[int, Literal["cancelled", "expired", "rejected"]] = {
    c.ORDER_STATE_CANCELED: "cancelled",
    c.ORDER_STATE_EXPIRED: "expired",
    c.ORDER_STATE_REJECTED: "rejected",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of an order at the terminal; ``how`` it was found, in words."""

    status: Literal["placed", "filled", "partial", "cancelled", "expired", "rejected"]
    order: int
    how: str
    deal: int | None = None
    price: float | None = None
    filled: float | None = None


async def look_for(
    client: TerminalClient, intent: Intent, claimed: Collection[int]
) -> Finding | None:
    """Search once. ``None``: not found (yet). Raises :class:`TerminalError`."""
    start, end = window(intent)
    pending, done, deals = await client.reads(
        [
            ("orders_get", (), {"symbol": intent.symbol}),
            ("history_orders_get", (start, end), {}),
            ("history_deals_get", (start, end), {}),
        ]
    )
    for how, order in candidates(intent, [*pending, *done], deals, claimed):
        own = [deal for deal in deals if deal.order == order]
        finding = judge(intent, order, pending, done, own, how)
        if finding is not None:
            return finding
    return None


def window(intent: Intent) -> tuple[int, int]:
    """The server times to search between. While the offset from UTC is unknown, the window is
    wide enough for any."""
    if intent.sent_server is not None:
        start = int(intent.sent_server) - 60
    else:
        start = int(intent.sent_at) - 15 * 3600
    end = int(max(time.time(), intent.sent_server or 0.0)) + 2 * 86_400
    return max(start, 1), min(end, LATEST)


def candidates(
    intent: Intent,
    orders: Iterable[TradeOrder],
    deals: Iterable[TradeDeal],
    claimed: Collection[int],
) -> list[tuple[str, int]]:
    """Order tickets that are, or must be, the intent's, with how that is known."""
    orders = list(orders)
    by_id = {order.ticket for order in orders if id_in(order.comment) == intent.id}
    by_id |= {deal.order for deal in deals if id_in(deal.comment) == intent.id}
    if by_id:
        return [("its id", ticket) for ticket in sorted(by_id)]
    fits = {
        order.ticket
        for order in orders
        if order.magic == intent.magic
        and order.symbol == intent.symbol
        and order.type == type_of(intent.kind, intent.direction)
        and abs(order.volume_initial - intent.volume) < 1e-9
        and (intent.kind != "close" or order.position_id == intent.position)
        and (intent.sent_server is None or order.time_setup >= int(intent.sent_server) - 2)
        and id_in(order.comment) is None
        and order.ticket not in claimed
    }
    return [("magic, volume and time", fits.pop())] if len(fits) == 1 else []


def judge(
    intent: Intent,
    ticket: int,
    pending: Iterable[TradeOrder],
    done: Iterable[TradeOrder],
    deals: list[TradeDeal],
    how: str,
) -> Finding | None:
    """The outcome of the order ``ticket``; ``None`` while the broker still works on it."""
    filled = round(sum(deal.volume for deal in deals), 8)
    price = sum(deal.price * deal.volume for deal in deals) / filled if filled else None
    deal = deals[0].ticket if deals else None
    for order in done:
        if order.ticket != ticket:
            continue
        if order.state == c.ORDER_STATE_FILLED:
            return Finding("filled", ticket, how, deal, price, filled or order.volume_initial)
        if filled:
            return Finding("partial", ticket, how, deal, price, filled)
        if order.state in ENDED:
            return Finding(ENDED[order.state], ticket, how)
    for order in pending:
        if order.ticket == ticket and intent.kind not in {"market", "close"}:
            return Finding("placed", ticket, how, price=order.price_open)
    if filled >= intent.volume - 1e-9 and filled:
        return Finding("filled", ticket, how, deal, price, filled)
    return None
