"""What an operator may ask for, checked before anything is done."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from execution.api import constants as c
from execution.api.structs import TradeOrder, TradePosition
from execution.api.terminal import TerminalError
from execution.orders.orders import OrderOutcome, Orders
from streamer.protocol.commands import (
    TEXT_MAX,
    Args,
    BadCommand,
    CancelOrder,
    ClosePosition,
    Flatten,
    Halt,
    ModifyPosition,
    NoArgs,
    parse,
    refusal,
)
from streamer.protocol.messages import Command, CommandResult, Expect
from streamer.protocol.sanitise import clean

from .risk.risk_limits import RiskLimits

SENDS_ORDERS = frozenset({"close_position", "modify_position", "cancel_order", "flatten"})

OBSERVE = 'observing only: no order is sent. Set mode = "paper" or "live" to trade.'


def check(command: Command, mode: str) -> Args:
    """The typed arguments of a command that may be carried out in this mode.

    Raises:
        BadCommand: it is malformed, or it would send orders while only observing.
    """
    args = parse(command.name, command.args)
    if mode == "observe" and command.name in SENDS_ORDERS:
        raise BadCommand("OBSERVE", OBSERVE)
    if mode == "observe" and isinstance(args, Halt) and args.flatten:
        raise BadCommand("OBSERVE", f"{OBSERVE} A halt without flatten is possible.")
    return args


def refused(command: Command, code: str, message: str) -> CommandResult:
    """A result that says no."""
    return refusal(command.id, code, message)


class Reader(Protocol):
    """What the operator's commands read of ``TerminalClient``."""

    async def positions_get(self, **kwargs: Any) -> tuple[TradePosition, ...]: ...
    async def orders_get(self, **kwargs: Any) -> tuple[TradeOrder, ...]: ...
    async def server_now(self) -> float | None: ...


class Bot(Protocol):
    """The part of the worker that commands work on."""

    paused: bool
    risk_limits: RiskLimits
    magic: int

    @property
    def client(self) -> Reader: ...
    @property
    def orders(self) -> Orders: ...
    def publish_status(self) -> None: ...
    def wake(self) -> None: ...
    def alert(self, code: str, text: str) -> None: ...
    async def refresh_account(self) -> object: ...


class Operator:
    """Carries out commands. All of it on the loop; raises :class:`BadCommand` for what is
    refused and ``TerminalError`` where the terminal does not answer."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot

    async def carry_out(self, command: Command, args: Args, actor: str) -> CommandResult:
        """Do it and answer; the status is told right away.

        Orders carry the command's ``id``, so that even when it is given again after a crash
        none is sent twice.
        """
        match args:
            case ClosePosition():
                result = await self._close(args, command.id)
            case ModifyPosition():
                result = await self._modify(args)
            case CancelOrder():
                result = await self._cancel(args)
            case Flatten():
                result = await self._flatten(args, command.id)
            case Halt():
                result = await self._halt(args, command.id, actor)
            case NoArgs():
                plain: dict[str, Callable[[str], Awaitable[dict[str, Any]]]] = {
                    "pause": self._pause,
                    "resume": self._resume,
                    "scan_now": self._scan_now,
                    "release": self._release,
                }
                result = await plain[command.name](actor)
            case _:
                raise BadCommand("UNKNOWN_COMMAND", f"{command.name} is not carried out here")
        self._bot.publish_status()
        return CommandResult(id=command.id, ok=True, result=result)

    async def _pause(self, actor: str) -> dict[str, Any]:
        self._bot.paused = True
        return {"paused": True}

    async def _resume(self, actor: str) -> dict[str, Any]:
        self._bot.paused = False
        self._bot.wake()
        return {"paused": False, "halted": self._bot.risk_limits.halted is not None}

    async def _scan_now(self, actor: str) -> dict[str, Any]:
        self._bot.wake()
        return {"scan": "started"}

    async def _halt(self, args: Halt, id: str, actor: str) -> dict[str, Any]:
        reason = clean(args.reason or "", TEXT_MAX) or "halted by the operator"
        self._bot.risk_limits.halted = reason
        self._bot.alert("KILL_SWITCH", f"kill switch on: {reason} ({actor})")
        self._bot.publish_status()
        result: dict[str, Any] = {"halted": True, "reason": reason}
        if args.flatten:
            try:
                result |= await self._flatten(Flatten(), id)
            except (BadCommand, TerminalError) as error:
                code = error.code if isinstance(error, BadCommand) else "TERMINAL"
                raise BadCommand(code, f"the kill switch is on, but {error}") from None
        return result

    async def _release(self, actor: str) -> dict[str, Any]:
        now = await self._bot.client.server_now()
        self._bot.risk_limits.release(math.inf if now is None else now)
        self._bot.alert("RELEASED", f"kill switch off, limits counted anew ({actor})")
        self._bot.wake()
        return {"halted": False}

    async def _close(self, args: ClosePosition, id: str) -> dict[str, Any]:
        await self._expect(args.expect, args.ticket)
        return await self._answer(
            await self._bot.orders.close(
                args.ticket, args.volume, comment="close", by="operator", key=f"{id}:{args.ticket}"
            )
        )

    async def _modify(self, args: ModifyPosition) -> dict[str, Any]:
        await self._expect(args.expect, args.ticket)
        return await self._answer(
            await self._bot.orders.modify(args.ticket, sl=args.sl, tp=args.tp)
        )

    async def _cancel(self, args: CancelOrder) -> dict[str, Any]:
        await self._expect(args.expect, args.order, pending=True)
        return await self._answer(await self._bot.orders.cancel(args.order))

    async def _expect(self, expect: Expect | None, ticket: int, *, pending: bool = False) -> None:
        """Refuse when what stands is not what the sender saw. The terminal is asked now;
        what moves between this and the order cannot be seen by anybody."""
        if expect is None:
            return
        what = "order" if pending else "position"
        if expect.ticket not in (None, ticket):
            raise BadCommand("BAD_ARGS", f"expect.ticket is {expect.ticket}, the {what} {ticket}")
        client = self._bot.client
        found: tuple[TradeOrder, ...] | tuple[TradePosition, ...]
        if pending:
            found = await client.orders_get(ticket=ticket)
        else:
            found = await client.positions_get(ticket=ticket)
        if not found:
            raise BadCommand("MOVED", f"{what} {ticket} is gone; nothing was done")
        differs = different(expect, found[0])
        if differs:
            raise BadCommand("MOVED", f"{what} {ticket} has moved, nothing was done: {differs}")

    async def _flatten(self, args: Flatten, id: str) -> dict[str, Any]:
        """Close all positions and cancel all pending orders: of the account, of one symbol,
        or (``owner`` "bot") the bot's only. Those that fail are named; none is left out
        because another failed."""

        def wanted(one: TradePosition | TradeOrder) -> bool:
            mine = args.owner == "all" or one.magic == self._bot.magic
            return mine and args.symbol in (None, one.symbol)

        client, orders = self._bot.client, self._bot.orders
        results: list[tuple[str, OrderOutcome]] = []
        for order in filter(wanted, await client.orders_get()):
            outcome = await orders.cancel(order.ticket)
            results.append((f"order {order.ticket}", outcome))
        for position in filter(wanted, await client.positions_get()):
            key = f"{id}:{position.ticket}"
            outcome = await orders.close(position.ticket, comment="flatten", by="operator", key=key)
            results.append((f"position {position.ticket}", outcome))
        await self._bot.refresh_account()
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

    async def _answer(self, outcome: OrderOutcome) -> dict[str, Any]:
        if outcome.status == "unknown":
            raise BadCommand("UNKNOWN_OUTCOME", outcome.text)
        if not outcome.ok:
            raise BadCommand("REJECTED", outcome.text)
        await self._bot.refresh_account()
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


def failures(results: Iterable[tuple[str, OrderOutcome]]) -> list[str]:
    """Those that were refused, or of which nothing is known, in words."""
    return [f"{name}: {outcome.text}" for name, outcome in results if not outcome.ok]


def different(expect: Expect, found: TradePosition | TradeOrder) -> str:
    """What is not as expected, in words; empty when all of it is."""
    buys = {
        c.ORDER_TYPE_BUY,
        c.ORDER_TYPE_BUY_LIMIT,
        c.ORDER_TYPE_BUY_STOP,
        c.ORDER_TYPE_BUY_STOP_LIMIT,
    }
    volume = found.volume if isinstance(found, TradePosition) else found.volume_current
    words = []
    side = "BUY" if found.type in buys else "SELL"
    if expect.side not in (None, side):
        words.append(f"{side}, expected {expect.side}")
    if expect.symbol not in (None, found.symbol):
        words.append(f"{found.symbol}, expected {expect.symbol}")
    if expect.volume is not None and not math.isclose(expect.volume, volume, abs_tol=1e-9):
        words.append(f"{volume:g} lots, expected {expect.volume:g}")
    return "; ".join(words)
