"""A MetaTrader 5 terminal in memory: the package's functions over a paper market and account.

Each call first lets the market happen up to the clock's present, then answers. Like the real
module it never raises for what goes wrong: it returns None (or False) and keeps the cause for
``last_error()``; only keywords where positions are wanted are a ``TypeError``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from .. import constants as mt5
from ..structs import (
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
from ..terminal import Array
from .account import Converter, raw_profit
from .bars import SECONDS
from .clock import Clock
from .faults import Faults
from .info import account_info, symbol_info, terminal_info
from .ledger import BUYS, AccountConfig, Ledger
from .market import Market
from .matching import Engine
from .requests import (
    BadArgument,
    group_matches,
    read_date,
    read_float,
    read_history,
    read_int,
    read_mask,
    read_query,
    read_request,
    read_symbol,
)
from .rules import Rules
from .tape import Tape
from .trading import Desk

P = ParamSpec("P")
R = TypeVar("R")

MAX_BARS = 100_000
BUILD = 5640
_SUCCESS = (mt5.RES_S_OK, "Success")
_FLAGS = {
    mt5.COPY_TICKS_INFO: mt5.TICK_FLAG_BID | mt5.TICK_FLAG_ASK,
    mt5.COPY_TICKS_TRADE: mt5.TICK_FLAG_LAST | mt5.TICK_FLAG_VOLUME,
}


class _Failed(Exception):
    """A call that the terminal does not carry out."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.error = (code, text)


_NOT_FOUND = (mt5.RES_E_NOT_FOUND, "Terminal: Not found")
_INVALID = (mt5.RES_E_INVALID_PARAMS, "Terminal: Invalid params")


def _api(
    method: Callable[Concatenate[PaperTerminal, P], R],
) -> Callable[Concatenate[PaperTerminal, P], R | None]:
    """A call of the package: failures become None and ``last_error()``."""

    def call(self: PaperTerminal, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        self._error = _SUCCESS
        try:
            return method(self, *args, **kwargs)
        except BadArgument as error:
            self._error = (mt5.RES_E_INVALID_PARAMS, str(error))
        except _Failed as failure:
            self._error = failure.error
        return None

    call.__name__, call.__doc__ = method.__name__, method.__doc__
    return call


class PaperTerminal:
    """One paper terminal on one market, with one account. Satisfies ``execution.Terminal``.

    ``offset_s`` is the server's clock minus UTC. ``faults`` can be set at any time. Not safe
    for use from several threads at once, like the real module.
    """

    def __init__(
        self,
        market: Market,
        clock: Clock,
        account: AccountConfig | None = None,
        *,
        offset_s: int = 0,
        faults: Faults | None = None,
    ) -> None:
        self.market = market
        self.clock = clock
        self.faults = faults or Faults()
        self._offset_s = offset_s
        self._initialized = False
        self._error: tuple[int, str] = _SUCCESS
        before = market.begin_ms // 1000 + offset_s
        self.tapes = {
            name: Tape(spec, market.history(name), before, offset_s)
            for name, spec in market.specs.items()
        }
        config = account or AccountConfig()
        converter = Converter(self.tapes.values(), config.currency)
        self.ledger = Ledger(config, self.tapes, converter)
        self._rules = Rules(self.ledger, self.is_open)
        self._desk = Desk(self.ledger, self._rules, self.faults)
        self._engine = Engine(
            self.ledger,
            market.chunk,
            market.begin_ms + offset_s * 1000,
            offset_s * 1000,
            self.is_open,
        )
        self.ledger.deposit(config.balance, int((market.start + offset_s) * 1000))
        self._advance()

    # Beyond the package

    @property
    def speed(self) -> float:
        """Market seconds a real second; 0.0 on a stepped clock."""
        return self.clock.speed

    @property
    def market_text(self) -> str:
        """The market in words."""
        speed = f" x{self.speed:g}" if self.speed not in (0.0, 1.0) else ""
        return self.market.text + speed

    @property
    def offset_s(self) -> int:
        """Server time minus UTC, seconds."""
        return self._offset_s

    def server_now(self) -> float:
        """Server time, epoch seconds of the server's wall clock."""
        return self.clock.now() + self._offset_s

    def is_open(self, symbol: str, server_ms: int) -> bool:
        """Does the symbol trade at this server time?"""
        tape = self.tapes[symbol]
        return self.market.is_open(tape.spec, server_ms - self._offset_s * 1000, self._quoted(tape))

    def _quoted(self, tape: Tape) -> int:
        return tape.quote_ms - self._offset_s * 1000

    def _advance(self) -> int:
        """Let everything happen up to now; returns now in server milliseconds."""
        now_ms = int(self.server_now() * 1000)
        self._engine.advance(now_ms)
        if self._engine.over and self.market.end_ms is not None:
            self.clock.cap(self.market.end_ms / 1000)
            now_ms = min(now_ms, self.market.end_ms + self._offset_s * 1000)
        return now_ms

    def _enter(self, function: str) -> int:
        """What comes before any answer: faults, the connection, the market up to now."""
        self.faults.enter(function)
        if self.faults.ipc_lost and self._initialized:
            self._initialized = False
            raise _Failed(mt5.RES_E_INTERNAL_FAIL_SEND, "IPC send failed")
        if not self._initialized:
            raise _Failed(mt5.RES_E_INTERNAL_FAIL_CONNECT, "No IPC connection")
        return self._advance()

    # Connection

    def initialize(self, *args: Any, **kwargs: Any) -> bool:
        """``initialize([path], login=, password=, server=, timeout=, portable=)``."""
        self._error = _SUCCESS
        self.faults.enter("initialize")
        known = {"path", "login", "password", "server", "timeout", "portable"}
        if len(args) > 1 or not known.issuperset(kwargs):
            self._error = (mt5.RES_E_INVALID_PARAMS, "Invalid arguments")
            return False
        if self.faults.ipc_lost:
            self._error = (
                mt5.RES_E_INTERNAL_FAIL_INIT,
                "IPC initialize failed, MetaTrader 5 x64 not found",
            )
            return False
        login = kwargs.get("login")
        if login and login != self.ledger.config.login:
            self._error = (mt5.RES_E_AUTH_FAILED, "Terminal: Authorization failed")
            return False
        self._initialized = True
        return True

    def login(self, login: int, password: str = "", server: str = "", timeout: int = 0) -> bool:
        """Log in to the paper account; there is only one."""
        self._error = _SUCCESS
        try:
            self._enter("login")
        except _Failed as failure:
            self._error = failure.error
            return False
        if login != self.ledger.config.login:
            self._error = (mt5.RES_E_AUTH_FAILED, "Terminal: Authorization failed")
            return False
        return True

    def shutdown(self) -> None:
        self._error = _SUCCESS
        self._initialized = False

    def last_error(self) -> tuple[int, str]:
        return self._error

    @_api
    def version(self) -> tuple[int, int, str]:
        self._enter("version")
        return 500, BUILD, "14 Nov 2025"

    @_api
    def terminal_info(self) -> TerminalInfo:
        self._enter("terminal_info")
        return terminal_info(self.faults, self.market_text, BUILD, MAX_BARS)

    @_api
    def account_info(self) -> AccountInfo:
        self._enter("account_info")
        return account_info(self.ledger, self.faults)

    # Symbols

    @_api
    def symbols_total(self) -> int:
        self._enter("symbols_total")
        return len(self.tapes)

    @_api
    def symbols_get(self, *args: Any, **kwargs: Any) -> tuple[SymbolInfo, ...]:
        masks = [*args, *([kwargs.pop("group")] if "group" in kwargs else [])]
        if len(masks) > 1 or kwargs:
            raise BadArgument("Invalid arguments")
        mask = read_mask(masks[0]) if masks else None
        self._enter("symbols_get")
        return tuple(
            symbol_info(self.ledger, tape)
            for name, tape in self.tapes.items()
            if mask is None or group_matches(mask, name)
        )

    @_api
    def symbol_info(self, *args: Any) -> SymbolInfo:
        symbol = read_symbol(_only(args, 1)[0])
        self._enter("symbol_info")
        return symbol_info(self.ledger, self._tape(symbol))

    @_api
    def symbol_info_tick(self, *args: Any) -> Tick:
        symbol = read_symbol(_only(args, 1)[0])
        self._enter("symbol_info_tick")
        tape = self._selected(symbol)
        if self.faults.zero_tick or not tape.quote_ms:
            return Tick(0, 0.0, 0.0, 0.0, 0, 0, 0, 0.0)
        flags = mt5.TICK_FLAG_BID | mt5.TICK_FLAG_ASK
        at = tape.quote_ms
        return Tick(at // 1000, tape.quote_bid, tape.quote_ask, 0.0, 0, at, flags, 0.0)

    def symbol_select(self, *args: Any) -> bool:
        self._error = _SUCCESS
        return bool(self._select(*args))

    @_api
    def _select(self, *args: Any) -> bool:
        if not 1 <= len(args) <= 2:
            raise BadArgument("Invalid arguments")
        symbol, enable = read_symbol(args[0]), bool(args[1]) if len(args) == 2 else True
        self._enter("symbol_select")
        tape = self._tape(symbol)
        if not enable and symbol in self.ledger.on:
            raise _Failed(mt5.RES_E_FAIL, "Terminal: Call failed")
        tape.selected = enable
        return True

    def _tape(self, symbol: str) -> Tape:
        tape = self.tapes.get(symbol)
        if tape is None:
            raise _Failed(*_NOT_FOUND)
        return tape

    def _selected(self, symbol: str) -> Tape:
        tape = self._tape(symbol)
        if not tape.selected:
            raise _Failed(*_NOT_FOUND)
        return tape

    # Bars and ticks

    def _rates_of(self, symbol: str, timeframe: int, function: str) -> Tape:
        self._enter(function)
        tape = self._selected(symbol)
        if timeframe not in SECONDS:
            raise _Failed(*_INVALID)
        return tape

    @_api
    def copy_rates_from(self, *args: Any) -> Array:
        """``count`` bars that end at ``date_from``."""
        symbol, timeframe, date, count = _only(args, 4)
        at, count, timeframe = read_date(date), read_int(count), read_int(timeframe)
        tape = self._rates_of(read_symbol(symbol), timeframe, "copy_rates_from")
        if count <= 0:
            raise _Failed(*_INVALID)
        bars = tape.bars(timeframe, MAX_BARS)
        end = int(np.searchsorted(bars["time"], at, side="right"))
        return bars[max(0, end - count) : end].copy()

    @_api
    def copy_rates_from_pos(self, *args: Any) -> Array:
        """``count`` bars that end ``start_pos`` bars before the forming one."""
        symbol, timeframe, start, count = _only(args, 4)
        start, count, timeframe = read_int(start), read_int(count), read_int(timeframe)
        tape = self._rates_of(read_symbol(symbol), timeframe, "copy_rates_from_pos")
        if start < 0 or count <= 0:
            raise _Failed(*_INVALID)
        bars = tape.bars(timeframe, min(start + count, MAX_BARS))
        end = len(bars) - start
        return bars[max(0, end - count) : max(0, end)].copy()

    @_api
    def copy_rates_range(self, *args: Any) -> Array:
        """Bars with ``date_from <= time <= date_to``."""
        symbol, timeframe, low, high = _only(args, 4)
        start, end, timeframe = read_date(low), read_date(high), read_int(timeframe)
        tape = self._rates_of(read_symbol(symbol), timeframe, "copy_rates_range")
        bars = tape.bars(timeframe, MAX_BARS)
        times = bars["time"]
        return bars[
            int(np.searchsorted(times, start)) : int(np.searchsorted(times, end, side="right"))
        ].copy()

    @_api
    def copy_ticks_from(self, *args: Any) -> Array:
        """``count`` ticks that begin at ``date_from``."""
        symbol, date, count, flags = _only(args, 4)
        at, count, flags = read_date(date), read_int(count), read_int(flags)
        symbol = read_symbol(symbol)
        self._enter("copy_ticks_from")
        if count <= 0:
            raise _Failed(*_INVALID)
        ticks = self._selected(symbol).ticks_between(at * 1000, None)
        return _flagged(ticks, flags)[:count].copy()

    @_api
    def copy_ticks_range(self, *args: Any) -> Array:
        """Ticks with ``date_from <= time <= date_to``, in whole seconds."""
        symbol, low, high, flags = _only(args, 4)
        start, end, flags = read_date(low), read_date(high), read_int(flags)
        symbol = read_symbol(symbol)
        self._enter("copy_ticks_range")
        ticks = self._selected(symbol).ticks_between(start * 1000, end * 1000 + 1)
        return _flagged(ticks, flags).copy()

    # Trading

    @_api
    def order_calc_margin(self, *args: Any) -> float:
        action, symbol, volume, price = _only(args, 4)
        action, symbol = read_int(action), read_symbol(symbol)
        volume, price = read_float(volume), read_float(price)
        self._enter("order_calc_margin")
        tape = self._tape(symbol)
        if action not in range(mt5.ORDER_TYPE_SELL_STOP_LIMIT + 1) or volume <= 0 or price <= 0:
            raise _Failed(*_INVALID)
        margin = self.ledger.margin_of(tape.spec, action in BUYS, volume, price)
        if margin is None:
            raise _Failed(mt5.RES_E_FAIL, "Terminal: Call failed")
        return self.ledger.money(margin)

    @_api
    def order_calc_profit(self, *args: Any) -> float:
        action, symbol, volume, price_open, price_close = _only(args, 5)
        action, symbol = read_int(action), read_symbol(symbol)
        volume = read_float(volume)
        price_open, price_close = read_float(price_open), read_float(price_close)
        self._enter("order_calc_profit")
        tape = self._tape(symbol)
        if action not in (mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL) or volume <= 0:
            raise _Failed(*_INVALID)
        raw = raw_profit(tape.spec, action == mt5.ORDER_TYPE_BUY, volume, price_open, price_close)
        profit = self.ledger.converter.profit(tape.spec, raw, price_close)
        if profit is None:
            raise _Failed(mt5.RES_E_FAIL, "Terminal: Call failed")
        return self.ledger.money(profit)

    @_api
    def order_check(self, *args: Any, **kwargs: Any) -> OrderCheckResult:
        request = read_request(args, kwargs)
        now_ms = self._enter("order_check")
        return self._desk.check(request, now_ms)

    @_api
    def order_send(self, *args: Any, **kwargs: Any) -> OrderSendResult:
        request = read_request(args, kwargs)
        now_ms = self._enter("order_send")
        faults = self.faults
        if faults.api_disabled:
            text = "Auto-Trading using Python API disabled in Terminal"
            raise _Failed(mt5.RES_E_AUTO_TRADING_DISABLED, text)
        lost = faults.lost_requests > 0 or faults.lost_answers > 0
        if faults.lost_requests > 0:
            faults.lost_requests -= 1
        else:
            result = self._desk.send(request, now_ms)
            if not lost:
                return result
            faults.lost_answers -= 1
        self._initialized = False
        raise _Failed(mt5.RES_E_INTERNAL_FAIL_RECEIVE, "IPC recv failed")

    # Positions, orders, history

    @_api
    def positions_total(self) -> int:
        self._enter("positions_total")
        return len(self.ledger.positions)

    @_api
    def positions_get(self, *args: Any, **kwargs: Any) -> tuple[TradePosition, ...]:
        ticket, symbol, group = read_query(args, kwargs)
        self._enter("positions_get")
        return tuple(
            self.ledger.position_struct(each)
            for each in self.ledger.positions.values()
            if _wanted(each.ticket, each.symbol, ticket, symbol, group)
        )

    @_api
    def orders_total(self) -> int:
        self._enter("orders_total")
        return len(self.ledger.orders)

    @_api
    def orders_get(self, *args: Any, **kwargs: Any) -> tuple[TradeOrder, ...]:
        ticket, symbol, group = read_query(args, kwargs)
        self._enter("orders_get")
        return tuple(
            self.ledger.order_struct(each)
            for each in self.ledger.orders.values()
            if _wanted(each.ticket, each.symbol, ticket, symbol, group)
        )

    @_api
    def history_orders_total(self, *args: Any) -> int:
        low, high = _only(args, 2)
        start, end = read_date(low), read_date(high)
        self._enter("history_orders_total")
        return len(self.ledger.done_between(start, end))

    @_api
    def history_orders_get(self, *args: Any, **kwargs: Any) -> tuple[TradeOrder, ...]:
        span, group, ticket, position = read_history(args, kwargs)
        self._enter("history_orders_get")
        found = self.ledger.done if span is None else self.ledger.done_between(*span)
        return tuple(
            order
            for order in found
            if (group is None or group_matches(group, order.symbol))
            and (ticket is None or order.ticket == ticket)
            and (position is None or position in (order.position_id, order.position_by_id))
        )

    @_api
    def history_deals_total(self, *args: Any) -> int:
        low, high = _only(args, 2)
        start, end = read_date(low), read_date(high)
        self._enter("history_deals_total")
        return len(self.ledger.deals_between(start, end))

    @_api
    def history_deals_get(self, *args: Any, **kwargs: Any) -> tuple[TradeDeal, ...]:
        """Deals by dates and group, or of an order (``ticket``), or of a position."""
        span, group, ticket, position = read_history(args, kwargs)
        self._enter("history_deals_get")
        found = self.ledger.deals if span is None else self.ledger.deals_between(*span)
        return tuple(
            deal
            for deal in found
            if (group is None or group_matches(group, deal.symbol))
            and (ticket is None or deal.order == ticket)
            and (position is None or deal.position_id == position)
        )


def _only(args: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    if len(args) != count:
        raise BadArgument("Invalid arguments")
    return args


def _wanted(own: int, name: str, ticket: int | None, symbol: str | None, group: str | None) -> bool:
    if ticket is not None:
        return own == ticket
    if symbol is not None:
        return name == symbol
    return group is None or group_matches(group, name)


def _flagged(ticks: Array, flags: int) -> Array:
    if flags == mt5.COPY_TICKS_ALL or not len(ticks):
        return ticks
    mask = _FLAGS.get(flags)
    if mask is None:
        raise _Failed(*_INVALID)
    wanted: Array = ticks[(ticks["flags"] & mask) != 0]
    return wanted
