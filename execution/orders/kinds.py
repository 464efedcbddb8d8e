"""Kinds of orders: our words for them and MetaTrader's numbers, in one table."""

from __future__ import annotations

from typing import Literal, TypeAlias

from streamer.protocol.messages import Direction

from ..api import constants as c

Kind: TypeAlias = Literal["market", "limit", "stop", "stop_limit"]

TYPES: dict[tuple[Kind, Direction], int] = {
    ("market", "BUY"): c.ORDER_TYPE_BUY,
    ("market", "SELL"): c.ORDER_TYPE_SELL,
    ("limit", "BUY"): c.ORDER_TYPE_BUY_LIMIT,
    ("limit", "SELL"): c.ORDER_TYPE_SELL_LIMIT,
    ("stop", "BUY"): c.ORDER_TYPE_BUY_STOP,
    ("stop", "SELL"): c.ORDER_TYPE_SELL_STOP,
    ("stop_limit", "BUY"): c.ORDER_TYPE_BUY_STOP_LIMIT,
    ("stop_limit", "SELL"): c.ORDER_TYPE_SELL_STOP_LIMIT,
}
"""MetaTrader's order type by our kind and direction."""

KINDS: dict[int, tuple[Kind, Direction]] = {number: kind for kind, number in TYPES.items()}
"""Our kind and direction by MetaTrader's order type."""

BUY_TYPES = frozenset(number for (_, direction), number in TYPES.items() if direction == "BUY")
MARKET_TYPES = frozenset(number for (kind, _), number in TYPES.items() if kind == "market")
PENDING_TYPES = frozenset(TYPES.values()) - MARKET_TYPES
LIMIT_TYPES = frozenset(
    number for (kind, _), number in TYPES.items() if kind in ("limit", "stop_limit")
)
"""Orders that are filled at their price or better."""


def type_of(kind: str, direction: str) -> int:
    """MetaTrader's order type. An order that closes a position is a market order.

    Raises:
        LookupError: there is no such kind or direction.
    """
    return _BY_WORDS["market" if kind == "close" else kind, direction]


_BY_WORDS: dict[tuple[str, str], int] = dict(TYPES.items())
