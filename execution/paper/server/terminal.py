"""A MetaTrader 5 terminal in memory: the package's functions over a paper market and account.

Each call first lets the market happen up to the clock's present, then answers. A failure returns None
(or False) and its cause in ``last_error()``; arguments are read, refused and raised for as
:mod:`execution.api.call_forms` says.
"""

from __future__ import annotations

import numpy as np

from ...api import constants as mt5
from ...api.structs import (
    OrderCheckResult,
    OrderSendResult,
    TradeDeal,
    TradeOrder,
    TradePosition,
    TradeRequest,
)
from ...api.terminal import Array
from ..account.ledger import BUYS
from ..account.money import raw_profit
from ..market.bars import SECONDS
from ..market.tape import Tape
from .core import INVALID, Core, Failed, api
from .masks import group_matches

_FLAGS = {
    mt5.COPY_TICKS_INFO: mt5.TICK_FLAG_BID | mt5.TICK_FLAG_ASK,
    mt5.COPY_TICKS_TRADE: mt5.TICK_FLAG_LAST | mt5.TICK_FLAG_VOLUME,
}
_CARRIED_OUT = (mt5.TRADE_RETCODE_DONE, mt5.TRADE_RETCODE_DONE_PARTIAL)


class PaperTerminal(Core):
    """One paper terminal on one market, with one account. Satisfies ``execution.api.terminal.Terminal``.

    ``offset_s`` is the server's clock minus UTC. ``faults`` can be set at any time. Any number of
    threads may call it: calls are carried out one after another, as the real module's are.
    """

    def _rates_of(self, symbol: str, timeframe: int, function: str) -> Tape:
        self._enter(function)
        tape = self.selected(symbol)
        if timeframe not in SECONDS:
            raise Failed(*INVALID)
        return tape

    @api
    def copy_rates_from(self, symbol: str, timeframe: int, date_from: int, count: int) -> Array:
        """``count`` bars that end at ``date_from``."""
        tape = self._rates_of(symbol, timeframe, "copy_rates_from")
        if count <= 0:
            raise Failed(*INVALID)
        bars = tape.rates(timeframe, since=date_from)
        end = int(np.searchsorted(bars["time"], date_from, side="right"))
        if end < count:
            bars = tape.rates(timeframe, count=len(bars) - end + count)
            end = int(np.searchsorted(bars["time"], date_from, side="right"))
        start = max(0, end - count, len(bars) - self.max_bars)
        return bars[start : max(start, end)].copy()

    @api
    def copy_rates_from_pos(self, symbol: str, timeframe: int, start_pos: int, count: int) -> Array:
        """``count`` bars that end ``start_pos`` bars before the forming one."""
        tape = self._rates_of(symbol, timeframe, "copy_rates_from_pos")
        if start_pos < 0 or count <= 0:
            raise Failed(*INVALID)
        bars = tape.rates(timeframe, count=min(start_pos + count, self.max_bars))
        end = len(bars) - start_pos
        return bars[max(0, end - count) : max(0, end)].copy()

    @api
    def copy_rates_range(self, symbol: str, timeframe: int, date_from: int, date_to: int) -> Array:
        """Bars with ``date_from <= time <= date_to``."""
        tape = self._rates_of(symbol, timeframe, "copy_rates_range")
        bars = tape.rates(timeframe, since=date_from)[-self.max_bars :]
        times = bars["time"]
        return bars[
            int(np.searchsorted(times, date_from)) : int(
                np.searchsorted(times, date_to, side="right")
            )
        ].copy()

    @api
    def copy_ticks_from(self, symbol: str, date_from: int, count: int, flags: int) -> Array:
        """``count`` ticks that begin at ``date_from``."""
        self._enter("copy_ticks_from")
        if count <= 0:
            raise Failed(*INVALID)
        ticks = self.selected(symbol).ticks_between(date_from * 1000, None, count)
        return _flagged(ticks, flags)[:count].copy()

    @api
    def copy_ticks_range(self, symbol: str, date_from: int, date_to: int, flags: int) -> Array:
        """Ticks with ``date_from <= time <= date_to``, in whole seconds."""
        self._enter("copy_ticks_range")
        ticks = self.selected(symbol).ticks_between(date_from * 1000, date_to * 1000 + 1)
        return _flagged(ticks, flags).copy()

    # Trading

    @api
    def order_calc_margin(self, action: int, symbol: str, volume: float, price: float) -> float:
        self._enter("order_calc_margin")
        tape = self.tape_of(symbol)
        if action not in range(mt5.ORDER_TYPE_SELL_STOP_LIMIT + 1) or volume <= 0 or price <= 0:
            raise Failed(*INVALID)
        margin = self.ledger.margin_of(tape.spec, action in BUYS, volume, price)
        if margin is None:
            raise Failed(mt5.RES_E_FAIL, "Terminal: Call failed")
        return self.ledger.money(margin)

    @api
    def order_calc_profit(
        self, action: int, symbol: str, volume: float, price_open: float, price_close: float
    ) -> float:
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
    def order_check(self, request: TradeRequest) -> OrderCheckResult:
        now_ms = self._enter("order_check")
        return self._desk.check(request, now_ms)

    @api
    def order_send(self, request: TradeRequest) -> OrderSendResult:
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
    def positions_get(
        self, ticket: int | None = None, symbol: str | None = None, group: str | None = None
    ) -> tuple[TradePosition, ...]:
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
    def orders_get(
        self, ticket: int | None = None, symbol: str | None = None, group: str | None = None
    ) -> tuple[TradeOrder, ...]:
        self._enter("orders_get")
        return tuple(
            self.ledger.order_struct(each)
            for each in self.ledger.orders.values()
            if _wanted(each.ticket, each.symbol, ticket, symbol, group)
        )

    @api
    def history_orders_total(self, date_from: int, date_to: int) -> int:
        self._enter("history_orders_total")
        return len(self.ledger.done_between(date_from, date_to))

    @api
    def history_orders_get(
        self,
        *span: int,
        group: str | None = None,
        ticket: int | None = None,
        position: int | None = None,
    ) -> tuple[TradeOrder, ...]:
        self._enter("history_orders_get")
        found = self.ledger.done_between(*span) if span else self.ledger.done
        return tuple(
            order
            for order in found
            if (group is None or group_matches(group, order.symbol))
            and (ticket is None or order.ticket == ticket)
            and (position is None or position in (order.position_id, order.position_by_id))
        )

    @api
    def history_deals_total(self, date_from: int, date_to: int) -> int:
        self._enter("history_deals_total")
        return len(self.ledger.deals_between(date_from, date_to))

    @api
    def history_deals_get(
        self,
        *span: int,
        group: str | None = None,
        ticket: int | None = None,
        position: int | None = None,
    ) -> tuple[TradeDeal, ...]:
        """Deals by dates and group, or of an order (``ticket``), or of a position."""
        self._enter("history_deals_get")
        found = self.ledger.deals_between(*span) if span else self.ledger.deals
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
