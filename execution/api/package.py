"""The shape of the MetaTrader5 package, over any terminal: what ``import MetaTrader5`` gives.

Bots and libraries rely on it: they bind names from ``MetaTrader5.__dict__``, import with a star,
put functions into classes, print ``__version__``, make structs from one sequence. :func:`fill`
puts all of it into a module's namespace; every call goes to one function.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from . import constants as c
from . import structs
from .call_forms import KEYWORDS, NO_ARGUMENTS, POSITIONAL
from .struct_sequence import Struct, struct_sequence

VERSION = "5.0.6231"
"""The version of the package that this one is alike."""

AUTHOR = "MetaQuotes Ltd."

FUNCTIONS = tuple(sorted((*NO_ARGUMENTS, *POSITIONAL, *KEYWORDS)))
"""The package's functions, by name."""

CONSTANTS = {name: value for name, value in vars(c).items() if name.isupper()}

STRUCTS: dict[str, type[Struct]] = {
    kind.__name__: struct_sequence(kind.__name__, kind._fields, (kind.__doc__ or "").split("\n")[0])
    for kind in (
        structs.AccountInfo,
        structs.BookInfo,
        structs.OrderCheckResult,
        structs.OrderSendResult,
        structs.SymbolInfo,
        structs.TerminalInfo,
        structs.Tick,
        structs.TradeDeal,
        structs.TradeOrder,
        structs.TradePosition,
        structs.TradeRequest,
    )
}
"""The package's struct types, by name."""

Dispatch = Callable[[str, tuple[Any, ...], dict[str, Any]], Any]
"""Carries out a call: function, positional arguments, keywords."""

_TRIES = 10
_AGAIN = (c.TRADE_RETCODE_REQUOTE, c.TRADE_RETCODE_PRICE_OFF)


class BuiltinFunction:
    """A function of the package. Like a builtin it does not become a method when it is an
    attribute of a class."""

    __text_signature__ = None

    def __init__(self, name: str, dispatch: Dispatch) -> None:
        self.__name__ = self.__qualname__ = name
        self.__module__ = "MetaTrader5._core"
        self.__doc__ = f"{name} of the MetaTrader5 package."
        self._dispatch = dispatch

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return as_package(self._dispatch(self.__name__, args, kwargs))

    def __repr__(self) -> str:
        return f"<built-in function {self.__name__}>"

    def __reduce__(self) -> str:
        return self.__name__


BuiltinFunction.__name__ = BuiltinFunction.__qualname__ = "builtin_function_or_method"


def as_package(value: Any) -> Any:
    """Our structs, and tuples of them, as the package's types."""
    if not isinstance(value, tuple):
        return value
    kind = STRUCTS.get(type(value).__name__)
    if kind is not None and hasattr(value, "_fields"):
        return kind([as_package(field) for field in value])
    if type(value) is tuple:
        return tuple([as_package(item) for item in value])
    return value


def fill(namespace: dict[str, Any], dispatch: Dispatch) -> None:
    """Put the package's names into ``namespace``: constants, structs, functions, helpers, the
    version, and ``__all__`` so that a star import brings the same names as the package's."""
    functions = {name: BuiltinFunction(name, dispatch) for name in FUNCTIONS}
    core = types.ModuleType("MetaTrader5._core", "What the package has in C.")
    vars(core).update(functions, **STRUCTS)
    helpers = {
        helper.__name__: helper
        for helper in Helpers(
            functions["symbol_info_tick"], functions["positions_get"], functions["order_send"]
        ).functions()
    }
    public = CONSTANTS | STRUCTS | functions | helpers
    namespace.update(public)
    namespace["_RawOrder"] = public["_RawOrder"]
    namespace["_core"] = core
    namespace["__version__"] = VERSION
    namespace["__author__"] = AUTHOR
    namespace["__all__"] = sorted(name for name in public if not name.startswith("_"))


class Helpers:
    """``Buy``, ``Sell`` and ``Close``: the package writes them in Python, over its functions."""

    def __init__(
        self,
        symbol_info_tick: Callable[..., Any],
        positions_get: Callable[..., Any],
        order_send: Callable[..., Any],
    ) -> None:
        self._tick = symbol_info_tick
        self._positions = positions_get
        self._send = order_send

    def functions(self) -> tuple[Callable[..., Any], ...]:
        """As plain functions: in a class of a bot they become methods, as the package's do."""

        def _RawOrder(
            order_type: int,
            symbol: str,
            volume: float,
            price: float,
            comment: str | None = None,
            ticket: int | None = None,
        ) -> Any:
            """Send a market order."""
            return self._order(order_type, symbol, volume, price, comment, ticket)

        def Buy(
            symbol: str,
            volume: float,
            price: float | None = None,
            *,
            comment: str | None = None,
            ticket: int | None = None,
        ) -> Any:
            """Buy at the market; with ``ticket`` this closes a short position."""
            return self._trade(c.ORDER_TYPE_BUY, symbol, volume, price, comment, ticket)

        def Sell(
            symbol: str,
            volume: float,
            price: float | None = None,
            *,
            comment: str | None = None,
            ticket: int | None = None,
        ) -> Any:
            """Sell at the market; with ``ticket`` this closes a long position."""
            return self._trade(c.ORDER_TYPE_SELL, symbol, volume, price, comment, ticket)

        def Close(symbol: str, *, comment: str | None = None, ticket: int | None = None) -> Any:
            """Close a symbol's positions, or one: True all, False none, "Partially" some, None
            when the terminal does not answer an order."""
            return self._close(symbol, comment, ticket)

        return _RawOrder, Buy, Sell, Close

    def _order(
        self,
        order_type: int,
        symbol: str,
        volume: float,
        price: float,
        comment: str | None,
        ticket: int | None,
    ) -> Any:
        request: dict[str, Any] = {
            "action": c.TRADE_ACTION_DEAL,
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
        return self._send(request)

    def _trade(
        self,
        order_type: int,
        symbol: str,
        volume: float,
        price: float | None,
        comment: str | None,
        ticket: int | None,
    ) -> Any:
        """Without a price: at the current one, up to ten times while it moves away."""
        if price is not None:
            return self._order(order_type, symbol, volume, price, comment, ticket)
        result = None
        for _ in range(_TRIES):
            tick = self._tick(symbol)
            # Without a tick this raises AttributeError, as in the package.
            now = tick.ask if order_type == c.ORDER_TYPE_BUY else tick.bid
            result = self._order(order_type, symbol, volume, now, comment, ticket)
            if result is None or result.retcode not in _AGAIN:
                break
        return result

    def _close(self, symbol: str, comment: str | None, ticket: int | None) -> bool | str | None:
        query = {"symbol": symbol} if ticket is None else {"ticket": ticket}
        tried = done = 0
        # Without an answer this raises TypeError, as in the package.
        for position in self._positions(**query):
            tried += 1
            opposite = (
                c.ORDER_TYPE_SELL if position.type == c.POSITION_TYPE_BUY else c.ORDER_TYPE_BUY
            )
            for _ in range(_TRIES):
                tick = self._tick(symbol)
                if tick is None:
                    return None
                price = tick.bid if opposite == c.ORDER_TYPE_SELL else tick.ask
                result = self._order(
                    opposite, symbol, position.volume, price, comment, position.ticket
                )
                if result is None:
                    return None
                if result.retcode not in _AGAIN:
                    done += result.retcode == c.TRADE_RETCODE_DONE
                    break
        if not done:
            return False
        return True if done == tried else "Partially"
