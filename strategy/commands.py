"""What an operator may ask for, checked before anything is done."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from execution.orders import OrderOutcome, Orders
from execution.structs import TradeOrder, TradePosition
from strategy.desk import RiskDesk
from streamer.protocol import Command, CommandError, CommandResult

NAMES = (
    "pause",
    "resume",
    "scan_now",
    "close_position",
    "modify_position",
    "cancel_order",
    "flatten",
    "halt",
    "release",
)
SENDS_ORDERS = frozenset({"close_position", "modify_position", "cancel_order", "flatten"})

KNOWN_ARGS: dict[str, frozenset[str]] = {
    "close_position": frozenset({"ticket", "volume"}),
    "modify_position": frozenset({"ticket", "sl", "tp"}),
    "cancel_order": frozenset({"order"}),
    "flatten": frozenset({"symbol", "owner"}),
    "halt": frozenset({"reason"}),
}


class BadCommand(Exception):
    """A command that is not carried out; ``code`` is for programs, the text for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def check(command: Command) -> None:
    """Raise :class:`BadCommand` for an unknown name or argument."""
    if command.name not in NAMES:
        raise BadCommand(
            "UNKNOWN_COMMAND", f"no command {command.name!r}; known are {', '.join(NAMES)}"
        )
    extra = set(command.args) - KNOWN_ARGS.get(command.name, frozenset())
    if extra:
        raise BadCommand("BAD_ARGS", f"{command.name} takes no {', '.join(sorted(extra))}")


def ticket(args: Mapping[str, Any], name: str = "ticket") -> int:
    """A ticket: a whole number above zero."""
    value = args.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise BadCommand("BAD_ARGS", f"{name} must be a whole number above 0, got {value!r}")
    return value


def number(args: Mapping[str, Any], name: str, *, zero: bool) -> float | None:
    """A finite number, not negative; ``None`` where it was not given."""
    value = args.get(name)
    if value is None:
        return None
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        least = "0 or more" if zero else "above 0"
        raise BadCommand("BAD_ARGS", f"{name} must be a number {least}, got {value!r}")
    return float(value)


def words(args: Mapping[str, Any], name: str, default: str | None = None) -> str | None:
    """A short text."""
    value = args.get(name, default)
    if value is not None and not isinstance(value, str):
        raise BadCommand("BAD_ARGS", f"{name} must be text, got {value!r}")
    return value[:200] if value else default


def refused(command: Command, code: str, message: str) -> CommandResult:
    return CommandResult(id=command.id, ok=False, error=CommandError(code=code, message=message))


class Reader(Protocol):
    """What the operator's commands read of ``TerminalClient``."""

    async def positions_get(self, **kwargs: Any) -> tuple[TradePosition, ...]: ...
    async def orders_get(self, **kwargs: Any) -> tuple[TradeOrder, ...]: ...
    async def server_now(self) -> float | None: ...


class Bot(Protocol):
    """The part of the worker that commands work on."""

    paused: bool
    desk: RiskDesk
    magic: int

    @property
    def client(self) -> Reader: ...
    @property
    def orders(self) -> Orders: ...
    def tell(self) -> None: ...
    def wake(self) -> None: ...
    def alert(self, code: str, text: str) -> None: ...
    async def look(self) -> object: ...


class Operator:
    """Carries out commands. All of it on the loop; raises :class:`BadCommand` for what is
    refused and ``TerminalError`` where the terminal does not answer."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._carry: dict[str, Callable[[Command, str], Awaitable[dict[str, Any]]]] = {
            "pause": self._pause,
            "resume": self._resume,
            "scan_now": self._scan_now,
            "close_position": self._close,
            "modify_position": self._modify,
            "cancel_order": self._cancel,
            "flatten": self._flatten,
            "halt": self._halt,
            "release": self._release,
        }

    async def carry_out(self, command: Command, actor: str) -> CommandResult:
        """Do it and answer; the status is told right away."""
        result = await self._carry[command.name](command, actor)
        self._bot.tell()
        return CommandResult(id=command.id, ok=True, result=result)

    async def _pause(self, command: Command, actor: str) -> dict[str, Any]:
        self._bot.paused = True
        return {"paused": True}

    async def _resume(self, command: Command, actor: str) -> dict[str, Any]:
        self._bot.paused = False
        self._bot.wake()
        return {"paused": False, "halted": self._bot.desk.halted is not None}

    async def _scan_now(self, command: Command, actor: str) -> dict[str, Any]:
        self._bot.wake()
        return {"scan": "started"}

    async def _halt(self, command: Command, actor: str) -> dict[str, Any]:
        reason = words(command.args, "reason") or "halted by the operator"
        self._bot.desk.halted = reason
        self._bot.alert("KILL_SWITCH", f"kill switch on: {reason} ({actor})")
        return {"halted": True, "reason": reason}

    async def _release(self, command: Command, actor: str) -> dict[str, Any]:
        now = await self._bot.client.server_now()
        self._bot.desk.release(math.inf if now is None else now)
        self._bot.alert("RELEASED", f"kill switch off, limits counted anew ({actor})")
        self._bot.wake()
        return {"halted": False}

    async def _close(self, command: Command, actor: str) -> dict[str, Any]:
        number_ = ticket(command.args)
        volume = number(command.args, "volume", zero=False)
        return await self._answer(
            await self._bot.orders.close(number_, volume, comment="close", by="operator")
        )

    async def _modify(self, command: Command, actor: str) -> dict[str, Any]:
        sl, tp = (number(command.args, name, zero=True) for name in ("sl", "tp"))
        if sl is None and tp is None:
            raise BadCommand("BAD_ARGS", "modify_position needs sl, tp or both; 0 takes one away")
        return await self._answer(await self._bot.orders.modify(ticket(command.args), sl=sl, tp=tp))

    async def _cancel(self, command: Command, actor: str) -> dict[str, Any]:
        return await self._answer(await self._bot.orders.cancel(ticket(command.args, "order")))

    async def _flatten(self, command: Command, actor: str) -> dict[str, Any]:
        """Close all positions and cancel all pending orders: of the account, of one symbol,
        or (``owner`` "bot") the bot's only. Those that fail are named; none is left out
        because another failed."""
        symbol = words(command.args, "symbol")
        owner = words(command.args, "owner", "all")
        if owner not in ("all", "bot"):
            raise BadCommand("BAD_ARGS", f"owner must be all or bot, got {owner!r}")

        def wanted(one: TradePosition | TradeOrder) -> bool:
            mine = owner == "all" or one.magic == self._bot.magic
            return mine and symbol in (None, one.symbol)

        client, orders = self._bot.client, self._bot.orders
        results: list[tuple[str, OrderOutcome]] = []
        for order in filter(wanted, await client.orders_get()):
            outcome = await orders.cancel(order.ticket)
            results.append((f"order {order.ticket}", outcome))
        for position in filter(wanted, await client.positions_get()):
            outcome = await orders.close(position.ticket, comment="flatten", by="operator")
            results.append((f"position {position.ticket}", outcome))
        await self._bot.look()
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
        await self._bot.look()
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
