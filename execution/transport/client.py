"""``TerminalClient``: the terminal as the rest of the program sees it, async and never blocking.

The module's functions under their own names; a failure is an exception instead of ``None``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..api import constants as c
from ..api.coerce import coerce
from ..api.structs import (
    AccountInfo,
    OrderCheckResult,
    OrderSendResult,
    SymbolInfo,
    TerminalInfo,
    Tick,
    TradeDeal,
    TradeOrder,
    TradePosition,
)
from ..api.terminal import Array, CallRefused, OutcomeUnknown, TerminalError, TerminalTimeout, When
from .backend import Backend, Call, InProcess, Reply
from .connection import HISTORY, PRIORITY, READ, Connection
from .health import Status
from .values import expect, value

NEVER_SENT = frozenset(
    {
        c.RES_E_INVALID_PARAMS,
        c.RES_E_INVALID_VERSION,
        c.RES_E_AUTH_FAILED,
        c.RES_E_UNSUPPORTED,
        c.RES_E_AUTO_TRADING_DISABLED,
        c.RES_E_INTERNAL_FAIL_INIT,
        c.RES_E_INTERNAL_FAIL_CONNECT,
    }
)
"""Codes of ``order_send`` that mean the order certainly did not leave; any other failure
leaves its outcome unknown."""

BATCH = 64


class TerminalClient(Connection):
    """One terminal: calls, deadlines and health over a :class:`execution.backend.Backend`."""

    async def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the module by its name.

        Raises:
            CallRefused: it never reached the terminal.
            TerminalError: the terminal answered with a failure, or the connection broke.
            TerminalTimeout: no answer in time.
            OutcomeUnknown: ``order_send`` only: the order may stand or not.
        """
        reply: Reply = await self._submit(
            function,
            lambda deadline: self.backend.call(function, args, kwargs, deadline),
        )
        return value(function, reply)

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Reads in one round trip for each ``BATCH`` of them; within one nothing happens
        between. An entry that failed is the ``TerminalError``, not raised. Never for orders.
        """
        if any(function == "order_send" for function, _, _ in calls):
            raise ValueError("an order is never sent in a batch")
        out: list[Any] = []
        for start in range(0, len(calls), BATCH):
            out += await self._batch(calls[start : start + BATCH])
        return out

    async def reads(self, calls: Sequence[Call]) -> list[Any]:
        """Like :meth:`batch`, all or nothing: raises the first failure."""
        answers = await self.batch(calls)
        for answer in answers:
            if isinstance(answer, TerminalError):
                raise answer
        return answers

    async def _batch(self, calls: Sequence[Call]) -> list[Any]:
        slow = any(PRIORITY.get(function) == HISTORY for function, _, _ in calls)
        replies: list[Reply] = await self._submit(
            "history_deals_get" if slow else "batch",
            lambda deadline: self.backend.batch(calls, deadline),
            priority=READ,
        )
        out: list[Any] = []
        for (function, _, _), reply in zip(calls, replies, strict=True):
            try:
                out.append(value(function, reply))
            except TerminalError as error:
                out.append(error)
        return out

    async def account_info(self) -> AccountInfo:
        return expect(AccountInfo, await self.call("account_info"))

    async def terminal_info(self) -> TerminalInfo:
        return expect(TerminalInfo, await self.call("terminal_info"))

    async def symbols_get(self, group: str | None = None) -> tuple[SymbolInfo, ...]:
        kwargs = {} if group is None else {"group": group}
        return tuple(await self.call("symbols_get", **kwargs))

    async def symbol_info(self, symbol: str) -> SymbolInfo:
        info = expect(SymbolInfo, await self.call("symbol_info", symbol))
        self._specs[symbol] = (time.monotonic(), info)
        return info

    async def spec(self, symbol: str, max_age: float = 60.0) -> SymbolInfo:
        """``symbol_info`` from a cache: for what seldom changes, never for prices."""
        known = self._specs.get(symbol)
        if known is not None and time.monotonic() - known[0] < max_age:
            return known[1]
        return await self.symbol_info(symbol)

    async def symbol_info_tick(self, symbol: str) -> Tick:
        return expect(Tick, await self.call("symbol_info_tick", symbol))

    async def symbol_select(self, symbol: str, enable: bool = True) -> bool:
        return bool(await self.call("symbol_select", symbol, enable))

    async def copy_rates_from_pos(
        self, symbol: str, timeframe: int, start_pos: int, count: int
    ) -> Array:
        rates: Array = await self.call("copy_rates_from_pos", symbol, timeframe, start_pos, count)
        return rates

    async def positions_get(self, **kwargs: Any) -> tuple[TradePosition, ...]:
        return tuple(await self.call("positions_get", **kwargs))

    async def orders_get(self, **kwargs: Any) -> tuple[TradeOrder, ...]:
        return tuple(await self.call("orders_get", **kwargs))

    async def history_deals_get(self, *dates: When, **kwargs: Any) -> tuple[TradeDeal, ...]:
        return tuple(await self.call("history_deals_get", *dates, **kwargs))

    async def history_orders_get(self, *dates: When, **kwargs: Any) -> tuple[TradeOrder, ...]:
        return tuple(await self.call("history_orders_get", *dates, **kwargs))

    async def order_calc_margin(
        self, action: int, symbol: str, volume: float, price: float
    ) -> float:
        return float(
            await self.call("order_calc_margin", action, symbol, float(volume), float(price))
        )

    async def order_calc_profit(
        self, action: int, symbol: str, volume: float, price_open: float, price_close: float
    ) -> float:
        return float(
            await self.call(
                "order_calc_profit",
                action,
                symbol,
                float(volume),
                float(price_open),
                float(price_close),
            )
        )

    async def order_check(self, request: Mapping[str, Any]) -> OrderCheckResult:
        return expect(OrderCheckResult, await self.call("order_check", coerce(request)))

    async def order_send(self, request: Mapping[str, Any]) -> OrderSendResult:
        """Send an order once.

        Raises:
            TerminalError: it certainly was not sent.
            OutcomeUnknown: it may have been; it must not be sent again.
        """
        exact = coerce(request)
        try:
            return expect(OrderSendResult, await self.call("order_send", exact))
        except CallRefused:
            raise
        except TerminalError as error:
            if error.code in NEVER_SENT:
                raise
            raise OutcomeUnknown(exact, error) from error

    async def server_now(self) -> float | None:
        """Server time in epoch seconds; ``None`` for a real terminal that has not shown a
        fresh tick yet (set ``terminal.utc_offset_h`` to know it always)."""
        if self.about.server_now is not None:
            with suppress(TerminalError):
                await self._learn(await self._submit("about", self.backend.about))
        return self.clock.now(time.monotonic(), time.time())


__all__ = [
    "Backend",
    "CallRefused",
    "InProcess",
    "OutcomeUnknown",
    "Status",
    "TerminalClient",
    "TerminalError",
    "TerminalTimeout",
]
