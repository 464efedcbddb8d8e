"""The part of the MetaTrader 5 API in use: names, call forms and error conventions.

A ``Terminal`` is synchronous and may block, exactly like the ``MetaTrader5`` module: it is
only ever called through :class:`execution.transport.client.TerminalClient`, never on the loop.

Conventions of the real module, kept by every implementation: a call that fails returns
``None`` (``False`` for initialize, login, symbol_select) and leaves the cause in
``last_error()``; an empty result is ``()``, not ``None``. A wrong form of a call
raises ``TypeError``, a number of a wrong kind or range ``SystemError``
(:mod:`execution.api.call_forms`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from streamer.errors import Mt5dashError

from .structs import (
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

When: TypeAlias = int | float | datetime
"""Epoch seconds of server time, or a datetime (a naive one means local time)."""

Array: TypeAlias = npt.NDArray[np.void]
"""A structured array of ``RATES_DTYPE`` or ``TICKS_DTYPE``, oldest row first."""


class Terminal(Protocol):
    """One MetaTrader 5 terminal. The slash marks what the real module takes by position."""

    def initialize(self, *args: Any, **kwargs: Any) -> bool: ...
    def login(self, login: int, password: str = "", server: str = "", timeout: int = 0) -> bool: ...
    def shutdown(self) -> bool: ...
    def version(self) -> tuple[int, int, str] | None: ...
    def last_error(self) -> tuple[int, str]: ...
    def terminal_info(self) -> TerminalInfo | None: ...
    def account_info(self) -> AccountInfo | None: ...

    def symbols_total(self) -> int | None: ...
    def symbols_get(self, *args: Any, **kwargs: Any) -> tuple[SymbolInfo, ...] | None: ...
    def symbol_info(self, symbol: str, /) -> SymbolInfo | None: ...
    def symbol_info_tick(self, symbol: str, /) -> Tick | None: ...
    def symbol_select(self, symbol: str, enable: bool = True, /) -> bool: ...

    def copy_rates_from(
        self, symbol: str, timeframe: int, date_from: When, count: int, /
    ) -> Array | None: ...
    def copy_rates_from_pos(
        self, symbol: str, timeframe: int, start_pos: int, count: int, /
    ) -> Array | None: ...
    def copy_rates_range(
        self, symbol: str, timeframe: int, date_from: When, date_to: When, /
    ) -> Array | None: ...
    def copy_ticks_from(
        self, symbol: str, date_from: When, count: int, flags: int, /
    ) -> Array | None: ...
    def copy_ticks_range(
        self, symbol: str, date_from: When, date_to: When, flags: int, /
    ) -> Array | None: ...

    def order_calc_margin(
        self, action: int, symbol: str, volume: float, price: float, /
    ) -> float | None: ...
    def order_calc_profit(
        self, action: int, symbol: str, volume: float, price_open: float, price_close: float, /
    ) -> float | None: ...
    def order_check(self, *args: Any, **kwargs: Any) -> OrderCheckResult | None: ...
    def order_send(self, *args: Any, **kwargs: Any) -> OrderSendResult | None: ...

    def positions_total(self) -> int | None: ...
    def positions_get(self, *args: Any, **kwargs: Any) -> tuple[TradePosition, ...] | None: ...
    def orders_total(self) -> int | None: ...
    def orders_get(self, *args: Any, **kwargs: Any) -> tuple[TradeOrder, ...] | None: ...
    def history_orders_total(self, *args: Any) -> int | None: ...
    def history_orders_get(self, *args: Any, **kwargs: Any) -> tuple[TradeOrder, ...] | None: ...
    def history_deals_total(self, *args: Any) -> int | None: ...
    def history_deals_get(self, *args: Any, **kwargs: Any) -> tuple[TradeDeal, ...] | None: ...


class TerminalError(Mt5dashError):
    """A call that the terminal did not carry out.

    ``code`` and ``text`` are the module's ``last_error()``; ``function`` the call's name.
    """

    def __init__(self, code: int, text: str, function: str = "") -> None:
        super().__init__(f"{function}: {text} ({code})" if function else f"{text} ({code})")
        self.code = code
        self.text = text
        self.function = function


class TerminalTimeout(TerminalError):
    """A call that had no answer within its deadline. Its effect is unknown."""

    def __init__(self, function: str, deadline: float) -> None:
        super().__init__(-10005, f"no answer within {deadline:g} s", function)


class CallRefused(TerminalError):
    """A call that never reached the terminal, so that it certainly had no effect."""


class OutcomeUnknown(Mt5dashError):
    """An order was handed over and its answer was lost: it may have been carried out or not.

    It must never be sent again; the observer finds it by its id (in the comment) and magic.
    """

    def __init__(self, request: dict[str, Any], cause: BaseException) -> None:
        super().__init__(f"outcome of the order is not known: {cause}")
        self.request = request
        self.cause = cause
