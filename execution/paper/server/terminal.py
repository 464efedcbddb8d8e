"""A MetaTrader 5 terminal in memory: the package's functions over a paper market and account.

Each call first lets the market happen up to the clock's present, then answers. Like the real
module it never raises for what goes wrong: it returns None (or False) and keeps the cause for
``last_error()``; only keywords where positions are wanted are a ``TypeError``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...api import constants as mt5
from ...api.structs import OrderCheckResult, OrderSendResult, TradeDeal, TradeOrder, TradePosition
from ...api.terminal import Array
from ..account.ledger import BUYS
from ..account.money import raw_profit
from ..market.bars import SECONDS
from ..market.tape import Tape
from .core import INVALID, MAX_BARS, Core, Failed, api, only
from .requests import (
    group_matches,
    read_date,
    read_float,
    read_history,
    read_int,
    read_query,
    read_request,
    read_symbol,
)

_FLAGS = {
    mt5.COPY_TICKS_INFO: mt5.TICK_FLAG_BID | mt5.TICK_FLAG_ASK,
    mt5.COPY_TICKS_TRADE: mt5.TICK_FLAG_LAST | mt5.TICK_FLAG_VOLUME,
}
_CARRIED_OUT = (mt5.TRADE_RETCODE_DONE, mt5.TRADE_RETCODE_DONE_PARTIAL)


class PaperTerminal(Core):
    """One paper terminal on one market, with one account. Satisfies ``execution.api.terminal.Terminal``.

    ``offset_s`` is the server's clock minus UTC. ``faults`` can be set at any time. Not safe
    for use from several threads at once, like the real module.
    """

    def _rates_of(self, symbol: str, timeframe: int, function: str) -> Tape:
        self._enter(function)
        tape = self.selected(symbol)
        if timeframe not in SECONDS:
            raise Failed(*INVALID)
        return tape

    @api
    def copy_rates_from(self, *args: Any) -> Array:
        """``count`` bars that end at ``date_from``."""
        symbol, timeframe, date, count = only(args, 4)
        at, count, timeframe = read_date(date), read_int(count), read_int(timeframe)
        tape = self._rates_of(read_symbol(symbol), timeframe, "copy_rates_from")
        if count <= 0:
            raise Failed(*INVALID)
        bars = tape.bars(timeframe, MAX_BARS)
        end = int(np.searchsorted(bars["time"], at, side="right"))
        return bars[max(0, end - count) : end].copy()

    @api
    def copy_rates_from_pos(self, *args: Any) -> Array:
        """``count`` bars that end ``start_pos`` bars before the forming one."""
        symbol, timeframe, start, count = only(args, 4)
        start, count, timeframe = read_int(start), read_int(count), read_int(timeframe)
        tape = self._rates_of(read_symbol(symbol), timeframe, "copy_rates_from_pos")
        if start < 0 or count <= 0:
            raise Failed(*INVALID)
        bars = tape.bars(timeframe, min(start + count, MAX_BARS))
        end = len(bars) - start
        return bars[max(0, end - count) : max(0, end)].copy()

    @api
    def copy_rates_range(self, *args: Any) -> Array:
        """Bars with ``date_from <= time <= date_to``."""
        symbol, timeframe, low, high = only(args, 4)
        start, end, timeframe = read_date(low), read_date(high), read_int(timeframe)
        tape = self._rates_of(read_symbol(symbol), timeframe, "copy_rates_range")
        bars = tape.bars(timeframe, MAX_BARS)
        times = bars["time"]
        return bars[
            int(np.searchsorted(times, start)) : int(np.searchsorted(times, end, side="right"))
        ].copy()

    @api
    def copy_ticks_from(self, *args: Any) -> Array:
        """``count`` ticks that begin at ``date_from``."""
        symbol, date, count, flags = only(args, 4)
        at, count, flags = read_date(date), read_int(count), read_int(flags)
        symbol = read_symbol(symbol)
        self._enter("copy_ticks_from")
        if count <= 0:
            raise Failed(*INVALID)
        ticks = self.selected(symbol).ticks_between(at * 1000, None)
        return _flagged(ticks, flags)[:count].copy()

    @api
    def copy_ticks_range(self, *args: Any) -> Array:
        """Ticks with ``date_from <= time <= date_to``, in whole seconds."""
        symbol, low, high, flags = only(args, 4)
        start, end, flags = read_date(low), read_date(high), read_int(flags)
        symbol = read_symbol(symbol)
        self._enter("copy_ticks_range")
        ticks = self.selected(symbol).ticks_between(start * 1000, end * 1000 + 1)
        return _flagged(ticks, flags).copy()

    # Trading

    @api
    def order_calc_margin(self, *args: Any) -> float:
        action, symbol, volume, price = only(args, 4)
        action, symbol = read_int(action), read_symbol(symbol)
        volume, price = read_float(volume), read_float(price)
        self._enter("order_calc_margin")
        tape = self.tape_of(symbol)
        if action not in range(mt5.ORDER_TYPE_SELL_STOP_LIMIT + 1) or volume <= 0 or price <= 0:
            raise Failed(*INVALID)
        margin = self.ledger.margin_of(tape.spec, action in BUYS, volume, price)
        if margin is None:
            raise Failed(mt5.RES_E_FAIL, "Terminal: Call failed")
        return self.ledger.money(margin)

    @api
    def order_calc_profit(self, *args: Any) -> float:
        action, symbol, volume, price_open, price_close = only(args, 5)
        action, symbol = read_int(action), read_symbol(symbol)
        volume = read_float(volume)
        price_open, price_close = read_float(price_open), read_float(price_close)
        self._enter("order_calc_profit")
        tape = self.tape_of(symbol)
        if action not in (mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL) or volume <= 0:
            raise Failed(*INVALID)
        raw = raw_profit(tape.spec, action == mt5.ORDER_TYPE_BUY, volume, price_open, price_close)
        profit = self.ledger.converter.profit(tape.spec, raw, price_close)
        if profit is None:
            raise Failed(mt5.RES_E_FAIL, "Terminal: Call failed")
        return self.ledger.money(profit)

    @api
    def order_check(self, *args: Any, **kwargs: Any) -> OrderCheckResult:
        request = read_request(args, kwargs)
        now_ms = self._enter("order_check")
        return self._desk.check(request, now_ms)

    @api
    def order_send(self, *args: Any, **kwargs: Any) -> OrderSendResult:
        request = read_request(args, kwargs)
        now_ms = self._enter("order_send")
        faults = self.faults
        if faults.api_disabled:
            text = "Auto-Trading using Python API disabled in Terminal"
            raise Failed(mt5.RES_E_AUTO_TRADING_DISABLED, text)
        lost = faults.lost_requests > 0 or faults.lost_answers > 0
        if faults.lost_requests > 0:
            faults.lost_requests -= 1
        else:
            result = self._desk.send(request, now_ms)
            self.keep(now=result.retcode in _CARRIED_OUT)
            if not lost:
                return result
            faults.lost_answers -= 1
        self._initialized = False
        raise Failed(mt5.RES_E_INTERNAL_FAIL_RECEIVE, "IPC recv failed")

    # Positions, orders, history

    @api
    def positions_total(self) -> int:
        self._enter("positions_total")
        return len(self.ledger.positions)

    @api
    def positions_get(self, *args: Any, **kwargs: Any) -> tuple[TradePosition, ...]:
        ticket, symbol, group = read_query(args, kwargs)
        self._enter("positions_get")
        return tuple(
            self.ledger.position_struct(each)
            for each in self.ledger.positions.values()
            if _wanted(each.ticket, each.symbol, ticket, symbol, group)
        )

    @api
    def orders_total(self) -> int:
        self._enter("orders_total")
        return len(self.ledger.orders)

    @api
    def orders_get(self, *args: Any, **kwargs: Any) -> tuple[TradeOrder, ...]:
        ticket, symbol, group = read_query(args, kwargs)
        self._enter("orders_get")
        return tuple(
            self.ledger.order_struct(each)
            for each in self.ledger.orders.values()
            if _wanted(each.ticket, each.symbol, ticket, symbol, group)
        )

    @api
    def history_orders_total(self, *args: Any) -> int:
        low, high = only(args, 2)
        start, end = read_date(low), read_date(high)
        self._enter("history_orders_total")
        return len(self.ledger.done_between(start, end))

    @api
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

    @api
    def history_deals_total(self, *args: Any) -> int:
        low, high = only(args, 2)
        start, end = read_date(low), read_date(high)
        self._enter("history_deals_total")
        return len(self.ledger.deals_between(start, end))

    @api
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
        raise Failed(*INVALID)
    wanted: Array = ticks[(ticks["flags"] & mask) != 0]
    return wanted
