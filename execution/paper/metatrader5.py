"""A drop-in for the ``MetaTrader5`` package, for the tests of a bot that uses it::

    import execution.paper.metatrader5 as mt5

All its constants, functions, helpers and struct types, on a paper terminal. The terminal is
opened with default settings at the first call, or given by ``use(terminal)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..api import constants as _constants
from ..api.structs import (
    AccountInfo,
    BookInfo,
    OrderCheckResult,
    OrderSendResult,
    SymbolInfo,
    TerminalInfo,
    Tick,
    TradeDeal,
    TradeOrder,
    TradePosition,
    TradeRequest,
)
from ..settings import PaperSettings
from .opening import open_paper
from .server.terminal import PaperTerminal

__all__ = [
    "FUNCTIONS",
    "AccountInfo",
    "BookInfo",
    "Buy",
    "Close",
    "OrderCheckResult",
    "OrderSendResult",
    "Sell",
    "SymbolInfo",
    "TerminalInfo",
    "Tick",
    "TradeDeal",
    "TradeOrder",
    "TradePosition",
    "TradeRequest",
    "terminal",
    "use",
]

FUNCTIONS = (
    "initialize", "login", "shutdown", "version", "terminal_info", "account_info", "last_error",
    "symbols_total", "symbols_get", "symbol_info", "symbol_info_tick", "symbol_select",
    "market_book_add", "market_book_get", "market_book_release", "copy_rates_from",
    "copy_rates_from_pos", "copy_rates_range", "copy_ticks_from", "copy_ticks_range",
    "orders_total", "orders_get", "order_calc_margin", "order_calc_profit", "order_check",
    "order_send", "positions_total", "positions_get", "history_orders_total",
    "history_orders_get", "history_deals_total", "history_deals_get",
)  # fmt: skip
"""The package's functions, by name."""

_TRIES = 10
_current: PaperTerminal | None = None


def use(paper: PaperTerminal | None) -> None:
    """Work on this terminal; None: a new one at the next call."""
    global _current
    _current = paper


def terminal() -> PaperTerminal:
    """The terminal in use."""
    global _current
    if _current is None:
        _current = open_paper(PaperSettings.model_validate({}))
    return _current


def _function(name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(terminal(), name)(*args, **kwargs)

    call.__name__ = name
    return call


def __getattr__(name: str) -> Any:
    if name in FUNCTIONS:
        return _function(name)
    if name.isupper() and hasattr(_constants, name):
        return getattr(_constants, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *FUNCTIONS, *(name for name in vars(_constants) if name.isupper())})


def _order(
    order_type: int,
    symbol: str,
    volume: float,
    price: float | None,
    comment: str | None,
    ticket: int | None,
) -> OrderSendResult | None:
    paper = terminal()
    if price is None:
        tick = paper.symbol_info_tick(symbol)
        if tick is None:
            return None
        price = tick.ask if order_type == _constants.ORDER_TYPE_BUY else tick.bid
    request: dict[str, Any] = {
        "action": _constants.TRADE_ACTION_DEAL,
        "symbol": symbol,
        "volume": volume,
        "type": order_type,
        "price": price,
        "deviation": 10,
    }
    if comment is not None:
        request["comment"] = comment
    if ticket is not None:
        request["position"] = ticket
    return paper.order_send(request)


def Buy(
    symbol: str,
    volume: float,
    price: float | None = None,
    *,
    comment: str | None = None,
    ticket: int | None = None,
) -> OrderSendResult | None:
    """Buy at the market; with ``ticket`` this closes a short position."""
    return _order(_constants.ORDER_TYPE_BUY, symbol, volume, price, comment, ticket)


def Sell(
    symbol: str,
    volume: float,
    price: float | None = None,
    *,
    comment: str | None = None,
    ticket: int | None = None,
) -> OrderSendResult | None:
    """Sell at the market; with ``ticket`` this closes a long position."""
    return _order(_constants.ORDER_TYPE_SELL, symbol, volume, price, comment, ticket)


def Close(
    symbol: str, *, comment: str | None = None, ticket: int | None = None
) -> bool | str | None:
    """Close a symbol's positions, or one: True all, False none, "Partially" some, None when the
    terminal does not answer. Requotes are tried again, ten times."""
    paper = terminal()
    if ticket is not None:
        positions = paper.positions_get(ticket=ticket)
    else:
        positions = paper.positions_get(symbol=symbol)
    if positions is None:
        return None
    done = 0
    again = (_constants.TRADE_RETCODE_REQUOTE, _constants.TRADE_RETCODE_PRICE_OFF)
    for position in positions:
        side = _constants.ORDER_TYPE_BUY if position.type else _constants.ORDER_TYPE_SELL
        for _ in range(_TRIES):
            result = _order(side, symbol, position.volume, None, comment, position.ticket)
            if result is None:
                return None
            if result.retcode not in again:
                done += result.retcode == _constants.TRADE_RETCODE_DONE
                break
    if not done:
        return False
    return True if done == len(positions) else "Partially"
