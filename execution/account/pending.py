"""Pending orders from one reading to the next: placed, changed, filled, ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from ..api import constants as c
from ..api.structs import TradeOrder
from ..orders.kinds import PENDING_TYPES

Status = Literal["placed", "partial", "filled", "cancelled", "expired", "rejected"]

ENDS: dict[int, Status] = {
    c.ORDER_STATE_CANCELED: "cancelled",
    c.ORDER_STATE_PARTIAL: "cancelled",
    c.ORDER_STATE_FILLED: "filled",
    c.ORDER_STATE_REJECTED: "rejected",
    c.ORDER_STATE_EXPIRED: "expired",
}


@dataclass(frozen=True, slots=True)
class OrderStep:
    """What happened to an order, and the order as it then was."""

    status: Status
    order: TradeOrder
    reason: str | None = None


@dataclass(slots=True)
class PendingBook:
    """The pending orders of the last reading, by ticket."""

    orders: dict[int, TradeOrder] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    """Orders with a published end."""
    leaving: set[int] = field(default_factory=set)
    """Orders that left the list and are not in the history yet."""

    def copy(self) -> PendingBook:
        """A book to try a reading on."""
        return PendingBook(dict(self.orders), set(self.ended), set(self.leaving))

    def load(self, orders: Iterable[TradeOrder]) -> None:
        """Take the first reading; its orders are no events."""
        self.orders = {order.ticket: order for order in orders if order.type in PENDING_TYPES}

    def read(self, orders: Iterable[TradeOrder]) -> list[OrderStep]:
        """Compare with the last reading. What is gone moves to ``leaving``."""
        now = {order.ticket: order for order in orders if order.type in PENDING_TYPES}
        steps: list[OrderStep] = []
        for ticket, order in now.items():
            old = self.orders.get(ticket)
            if old is None:
                if ticket not in self.ended:
                    steps.append(OrderStep("placed", order))
            elif order.volume_current < old.volume_current:
                steps.append(OrderStep("partial", order))
            elif _terms(order) != _terms(old):
                steps.append(OrderStep("placed", order, "changed"))
        self.leaving |= self.orders.keys() - now.keys()
        self.leaving -= now.keys()
        self.orders = now
        return steps

    def end(self, order: TradeOrder) -> OrderStep | None:
        """The order as the history shows it; ``None`` when its end is published already
        or it has not ended."""
        self.leaving.discard(order.ticket)
        status = ENDS.get(order.state)
        if order.type not in PENDING_TYPES or status is None or order.ticket in self.ended:
            return None
        if order.ticket in self.orders:
            return None  # still pending in the list we read: the next reading decides
        self.ended.add(order.ticket)
        if len(self.ended) > 4096:
            self.ended = set(sorted(self.ended)[-2048:])
        return OrderStep(status, order)


def _terms(order: TradeOrder) -> tuple[float, float, float, float, int]:
    return (
        order.price_open,
        order.sl,
        order.tp,
        order.price_stoplimit,
        order.time_expiration,
    )
