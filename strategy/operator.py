"""Commands that send orders for an operator: close, modify, cancel, flatten."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeVar

from execution.account.observer import Observer
from execution.api.structs import TradeOrder, TradePosition
from execution.orders.kinds import BUY_TYPES
from execution.orders.orders import OrderOutcome, Orders
from execution.transport.client import TerminalClient
from streamer.protocol.commands import (
    Args,
    BadCommand,
    CancelOrder,
    ClosePosition,
    Flatten,
    Halt,
    ModifyPosition,
    parse,
)
from streamer.protocol.messages import Command, Expect

SENDS_ORDERS = frozenset({"close_position", "modify_position", "cancel_order", "flatten"})

_T = TypeVar("_T", TradePosition, TradeOrder)

OBSERVE = 'observing only: no order is sent. Set mode = "paper" or "live" to trade.'


def check(command: Command, mode: str) -> Args:
    """The typed arguments of a command that may be carried out in this mode.

    Raises:
        BadCommand: it is malformed, or it would send orders while the mode is observe.
    """
    args = parse(command.name, command.args)
    if mode == "observe" and command.name in SENDS_ORDERS:
        raise BadCommand("OBSERVE", OBSERVE)
    if mode == "observe" and isinstance(args, Halt) and args.flatten:
        raise BadCommand("OBSERVE", f"{OBSERVE} A halt without flatten is possible.")
    return args


class OperatorOrders:
    """Sends the orders that an operator asks for, on the loop.

    Opening and closing orders carry the command's ``id``: a command that is repeated after a
    crash sends nothing twice. All methods raise :class:`BadCommand` for what is refused and
    ``TerminalError`` when the terminal does not answer; they return the result of the command.
    """

    def __init__(
        self, client: TerminalClient, orders: Orders, observer: Observer, magic: int
    ) -> None:
        self._client, self._orders, self._observer, self._magic = client, orders, observer, magic

    async def close(self, args: ClosePosition, id: str) -> dict[str, Any]:
        """Close a position or a part of it."""
        found = await self._expected_position(args.expect, args.ticket)
        return await self._answer(
            await self._orders.close(
                args.ticket,
                args.volume,
                comment="close",
                by="operator",
                key=f"{id}:{args.ticket}",
                position=found,
            )
        )

    async def modify(self, args: ModifyPosition) -> dict[str, Any]:
        """Move the stop loss or take profit of a position."""
        found = await self._expected_position(args.expect, args.ticket)
        outcome = await self._orders.modify(args.ticket, sl=args.sl, tp=args.tp, position=found)
        return await self._answer(outcome)

    async def cancel(self, args: CancelOrder) -> dict[str, Any]:
        """Cancel a pending order."""
        found = None
        if args.expect is not None:
            _same_ticket(args.expect, args.order, "order")
            orders = await self._client.orders_get(ticket=args.order)
            found = _as_expected(args.expect, orders, args.order, "order")
        return await self._answer(await self._orders.cancel(args.order, pending=found))

    async def flatten(self, args: Flatten, id: str) -> dict[str, Any]:
        """Close all positions and cancel all pending orders: of the account, of one symbol,
        or (``owner`` "bot") the bot's only. An order that fails does not keep the others from
        being sent; the refusal names all that failed."""

        def wanted(one: TradePosition | TradeOrder) -> bool:
            mine = args.owner == "all" or one.magic == self._magic
            return mine and args.symbol in (None, one.symbol)

        results: list[tuple[str, OrderOutcome]] = []
        for order in filter(wanted, await self._client.orders_get()):
            outcome = await self._orders.cancel(order.ticket)
            results.append((f"order {order.ticket}", outcome))
        for position in filter(wanted, await self._client.positions_get()):
            key = f"{id}:{position.ticket}"
            outcome = await self._orders.close(
                position.ticket, comment="flatten", by="operator", key=key
            )
            results.append((f"position {position.ticket}", outcome))
        await self._observer.refresh()
        failed = failures(results)
        if failed:
            raise BadCommand(
                "NOT_FLAT",
                f"{len(results) - len(failed)} of {len(results)} done; not done: "
                + "; ".join(failed)
                + ". Repeat the command, or close them in the terminal.",
            )
        return {
            "closed": sum(name.startswith("position") for name, _ in results),
            "cancelled": sum(name.startswith("order") for name, _ in results),
        }

    async def _expected_position(self, expect: Expect | None, ticket: int) -> TradePosition | None:
        """The position as it is now, or ``None`` where nothing is expected of it.

        A change between this reading and the order cannot be noticed.
        """
        if expect is None:
            return None
        _same_ticket(expect, ticket, "position")
        positions = await self._client.positions_get(ticket=ticket)
        return _as_expected(expect, positions, ticket, "position")

    async def _answer(self, outcome: OrderOutcome) -> dict[str, Any]:
        if outcome.status == "unknown":
            raise BadCommand("UNKNOWN_OUTCOME", outcome.text)
        if not outcome.ok:
            raise BadCommand("REJECTED", outcome.text)
        await self._observer.refresh()
        found = {
            "status": outcome.status,
            "retcode": outcome.retcode,
            "text": outcome.text,
            "order": outcome.order,
            "deal": outcome.deal,
            "price": outcome.price,
            "volume": outcome.volume,
        }
        return {name: value for name, value in found.items() if value is not None}


def _same_ticket(expect: Expect, ticket: int, what: str) -> None:
    if expect.ticket not in (None, ticket):
        raise BadCommand("BAD_ARGS", f"expect.ticket is {expect.ticket}, the {what} {ticket}")


def _as_expected(expect: Expect, found: tuple[_T, ...], ticket: int, what: str) -> _T:
    if not found:
        raise BadCommand("MOVED", f"{what} {ticket} is gone; nothing was done")
    differs = different(expect, found[0])
    if differs:
        raise BadCommand("MOVED", f"{what} {ticket} has moved, nothing was done: {differs}")
    return found[0]


def failures(results: Iterable[tuple[str, OrderOutcome]]) -> list[str]:
    """Orders that were refused or whose outcome is unknown, in words."""
    return [f"{name}: {outcome.text}" for name, outcome in results if not outcome.ok]


def different(expect: Expect, found: TradePosition | TradeOrder) -> str:
    """How ``found`` differs from what is expected, in words; empty when it does not."""
    volume = found.volume if isinstance(found, TradePosition) else found.volume_current
    words = []
    side = "BUY" if found.type in BUY_TYPES else "SELL"
    if expect.side not in (None, side):
        words.append(f"{side}, expected {expect.side}")
    if expect.symbol not in (None, found.symbol):
        words.append(f"{found.symbol}, expected {expect.symbol}")
    if expect.volume is not None and not math.isclose(expect.volume, volume, abs_tol=1e-9):
        words.append(f"{volume:g} lots, expected {expect.volume:g}")
    return "; ".join(words)
