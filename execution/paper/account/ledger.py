"""What the paper account holds: positions, orders, deals, history and money.

Every change of the balance is a deal; the balance is the sum of all deals. Money is rounded to
the account's digits where a deal or a position's profit is made, as a terminal shows it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from ...api import constants as mt5
from ...api.structs import TradeDeal, TradeOrder, TradePosition
from ..market.symbols import Spec
from ..market.tape import Tape
from .money import Converter, hedged_margin, raw_margin, raw_profit, side_sums

BUYS = frozenset(
    {
        mt5.ORDER_TYPE_BUY,
        mt5.ORDER_TYPE_BUY_LIMIT,
        mt5.ORDER_TYPE_BUY_STOP,
        mt5.ORDER_TYPE_BUY_STOP_LIMIT,
    }
)


def lots(volume: float) -> float:
    """A volume without the dust of binary fractions."""
    return round(volume, 8)


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """The account as the broker set it up. Margin call and stop-out in percent or money, by
    ``so_mode``; ``commission`` per lot and side in deposit currency. Without a ``password`` any
    is right; ``only_server`` refuses a login at another server's name."""

    login: int = 5_012_345
    name: str = "Paper Trader"
    server: str = "mt5dash-Paper"
    password: str | None = None
    only_server: bool = False
    company: str = "mt5dash"
    currency: str = "USD"
    digits: int = 2
    balance: float = 10_000.0
    leverage: int = 500
    margin_mode: int = mt5.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING
    trade_mode: int = mt5.ACCOUNT_TRADE_MODE_DEMO
    commission: float = 0.0
    so_mode: int = mt5.ACCOUNT_STOPOUT_MODE_PERCENT
    margin_call: float = 50.0
    stop_out: float = 30.0
    limit_orders: int = 200
    fifo_close: bool = False
    positive_slippage: bool = False

    @property
    def hedging(self) -> bool:
        return self.margin_mode == mt5.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING


@dataclass(slots=True)
class Position:
    """An open position; ``margin`` is its own margin in deposit currency, fixed when opened."""

    ticket: int
    identifier: int
    symbol: str
    long: bool
    volume: float
    price_open: float
    time_msc: int
    update_msc: int
    margin: float
    sl: float = 0.0
    tp: float = 0.0
    swap: float = 0.0
    magic: int = 0
    reason: int = mt5.POSITION_REASON_EXPERT
    comment: str = ""


@dataclass(slots=True)
class Order:
    """An order, working or done. ``expires_ms`` is when it stops working, 0 never."""

    ticket: int
    symbol: str
    type: int
    volume: float
    left: float
    price: float
    setup_msc: int
    stoplimit: float = 0.0
    sl: float = 0.0
    tp: float = 0.0
    filling: int = mt5.ORDER_FILLING_FOK
    type_time: int = mt5.ORDER_TIME_GTC
    expiration: int = 0
    expires_ms: int = 0
    state: int = mt5.ORDER_STATE_PLACED
    magic: int = 0
    position_id: int = 0
    position_by_id: int = 0
    reason: int = mt5.ORDER_REASON_EXPERT
    comment: str = ""
    done_msc: int = 0
    margin: float = 0.0

    @property
    def buy(self) -> bool:
        return self.type in BUYS


@dataclass(slots=True)
class Holdings:
    """Positions and orders of one symbol."""

    positions: dict[int, Position] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sides:
    """One symbol's positions in sums: lots and lots * open price of each side."""

    count: int
    long_lots: float
    long_cost: float
    short_lots: float
    short_cost: float
    open_low: float
    open_high: float
    swap: float


class Ledger:
    """Positions, orders and deals of one account over the tapes of its symbols."""

    def __init__(self, config: AccountConfig, tapes: dict[str, Tape], converter: Converter) -> None:
        self.config = config
        self.tapes = tapes
        self.converter = converter
        self.positions: dict[int, Position] = {}
        self.orders: dict[int, Order] = {}
        self.on: dict[str, Holdings] = {}
        self.deals: list[TradeDeal] = []
        self.done: list[TradeOrder] = []
        self.balance = 0.0
        self.credit = 0.0
        self.next_order = 530_000_001
        self.next_deal = 507_000_001
        self.revision = 0
        self._margin: float | None = None
        self._sides: dict[str, Sides] | None = None

    # Books

    def changed(self) -> None:
        """Positions or orders are other than before."""
        self.revision += 1
        self._margin = None
        self._sides = None

    def holdings(self, symbol: str) -> Holdings:
        return self.on.setdefault(symbol, Holdings())

    def add_position(self, position: Position) -> None:
        self.positions[position.ticket] = position
        self.holdings(position.symbol).positions[position.ticket] = position
        self.changed()

    def drop_position(self, position: Position) -> None:
        del self.positions[position.ticket]
        del self.holdings(position.symbol).positions[position.ticket]
        self._tidy(position.symbol)

    def add_order(self, order: Order) -> None:
        self.orders[order.ticket] = order
        self.holdings(order.symbol).orders[order.ticket] = order
        self.changed()

    def finish_order(self, order: Order, state: int, at_ms: int) -> None:
        """The order leaves the working orders, if it was one, for the history."""
        order.state = state
        order.done_msc = at_ms
        if self.orders.pop(order.ticket, None) is not None:
            del self.holdings(order.symbol).orders[order.ticket]
            self._tidy(order.symbol)
        self.done.append(self.order_struct(order))

    def _tidy(self, symbol: str) -> None:
        held = self.on[symbol]
        if not held.positions and not held.orders:
            del self.on[symbol]
        self.changed()

    def order_ticket(self) -> int:
        self.next_order += 1
        return self.next_order - 1

    # Deals

    def deal(
        self,
        *,
        at_ms: int,
        type: int,
        entry: int = mt5.DEAL_ENTRY_IN,
        order: int = 0,
        position_id: int = 0,
        magic: int = 0,
        reason: int = mt5.DEAL_REASON_CLIENT,
        volume: float = 0.0,
        price: float = 0.0,
        commission: float = 0.0,
        swap: float = 0.0,
        profit: float = 0.0,
        symbol: str = "",
        comment: str = "",
    ) -> TradeDeal:
        """Book a deal; the balance moves by its profit, swap and commission."""
        deal = TradeDeal(
            ticket=self.next_deal,
            order=order,
            time=at_ms // 1000,
            time_msc=at_ms,
            type=type,
            entry=entry,
            magic=magic,
            position_id=position_id,
            reason=reason,
            volume=volume,
            price=price,
            commission=commission,
            swap=swap,
            profit=profit,
            fee=0.0,
            symbol=symbol,
            comment=comment,
            external_id="",
        )
        self.next_deal += 1
        self.deals.append(deal)
        self.balance = self.money(self.balance + profit + swap + commission)
        return deal

    def deposit(self, amount: float, at_ms: int, comment: str = "Deposit") -> TradeDeal:
        return self.deal(
            at_ms=at_ms,
            type=mt5.DEAL_TYPE_BALANCE,
            profit=self.money(amount),
            comment=comment,
        )

    def commission(self, spec: Spec, volume: float) -> float:
        if not spec.commissioned:
            return 0.0
        return self.money(-self.config.commission * volume)

    # Money

    def money(self, amount: float) -> float:
        return round(amount, self.config.digits) + 0.0

    def closing_price(self, position: Position) -> float:
        tape = self.tapes[position.symbol]
        return tape.quote_bid if position.long else tape.quote_ask

    def profit_at(self, position: Position, price: float, volume: float | None = None) -> float:
        """Profit of (part of) a position closed at ``price``, in deposit currency."""
        if not price:
            return 0.0
        spec = self.tapes[position.symbol].spec
        volume = position.volume if volume is None else volume
        raw = raw_profit(spec, position.long, volume, position.price_open, price)
        amount = self.converter.profit(spec, raw, price)
        # A position is only opened where its profit can be converted.
        return 0.0 if amount is None else self.money(amount)

    def floating(self) -> float:
        """Profit and swap of all open positions."""
        total = 0.0
        for position in self.positions.values():
            total += self.profit_at(position, self.closing_price(position)) + position.swap
        return self.money(total)

    def equity(self) -> float:
        return self.money(self.balance + self.credit + self.floating())

    def margin_of(self, spec: Spec, long: bool, volume: float, price: float) -> float | None:
        """Margin in deposit currency to open this; None when a rate is missing."""
        raw = raw_margin(spec, volume, price, self.config.leverage)
        if spec.margin == self.config.currency:
            return raw
        if spec.profit == self.config.currency and spec.margin == spec.base and price:
            return raw * price
        rate = self.converter.rate(spec.margin, buying=long)
        return None if rate is None else raw * rate

    def margin(self) -> float:
        """Margin of all positions and of those working orders that hold any."""
        if self._margin is None:
            total = sum(
                self.symbol_margin(symbol, held.positions.values())
                for symbol, held in self.on.items()
            )
            total += sum(order.margin for order in self.orders.values())
            self._margin = self.money(total)
        return self._margin

    def symbol_margin(self, symbol: str, positions: Iterable[Position]) -> float:
        sums = side_sums((each.long, each.volume, each.margin) for each in positions)
        spec = self.tapes[symbol].spec
        return hedged_margin(spec, sums[True], sums[False], self.config.hedging)

    def margin_level(self) -> float:
        margin = self.margin()
        return self.equity() / margin * 100 if margin else 0.0

    def sides(self) -> dict[str, Sides]:
        """The positions of each symbol in sums."""
        if self._sides is None:
            self._sides = {
                symbol: _sum_up(held.positions.values())
                for symbol, held in self.on.items()
                if held.positions
            }
        return self._sides

    # Structs

    def position_struct(self, position: Position) -> TradePosition:
        price = self.closing_price(position)
        return TradePosition(
            ticket=position.ticket,
            time=position.time_msc // 1000,
            time_msc=position.time_msc,
            time_update=position.update_msc // 1000,
            time_update_msc=position.update_msc,
            type=mt5.POSITION_TYPE_BUY if position.long else mt5.POSITION_TYPE_SELL,
            magic=position.magic,
            identifier=position.identifier,
            reason=position.reason,
            volume=position.volume,
            price_open=position.price_open,
            sl=position.sl,
            tp=position.tp,
            price_current=price,
            swap=position.swap,
            profit=self.profit_at(position, price),
            symbol=position.symbol,
            comment=position.comment,
            external_id="",
        )

    def order_struct(self, order: Order) -> TradeOrder:
        tape = self.tapes[order.symbol]
        return TradeOrder(
            ticket=order.ticket,
            time_setup=order.setup_msc // 1000,
            time_setup_msc=order.setup_msc,
            time_done=order.done_msc // 1000,
            time_done_msc=order.done_msc,
            time_expiration=order.expiration,
            type=order.type,
            type_time=order.type_time,
            type_filling=order.filling,
            state=order.state,
            magic=order.magic,
            position_id=order.position_id,
            position_by_id=order.position_by_id,
            reason=order.reason,
            volume_initial=order.volume,
            volume_current=order.left,
            price_open=order.price,
            sl=order.sl,
            tp=order.tp,
            price_current=tape.quote_ask if order.buy else tape.quote_bid,
            price_stoplimit=order.stoplimit,
            symbol=order.symbol,
            comment=order.comment,
            external_id="",
        )

    def deals_between(self, start: int, end: int) -> list[TradeDeal]:
        """Deals whose time, in whole server seconds, lies in ``start..end`` inclusive."""
        low = bisect_left(self.deals, start, key=lambda deal: deal.time)
        return self.deals[low : bisect_right(self.deals, end, key=lambda deal: deal.time)]

    def done_between(self, start: int, end: int) -> list[TradeOrder]:
        """Finished orders by the second in which they were done, inclusive."""
        low = bisect_left(self.done, start, key=lambda order: order.time_done)
        return self.done[low : bisect_right(self.done, end, key=lambda order: order.time_done)]


def _sum_up(positions: Collection[Position]) -> Sides:
    longs = [each for each in positions if each.long]
    shorts = [each for each in positions if not each.long]
    return Sides(
        count=len(positions),
        long_lots=sum(each.volume for each in longs),
        long_cost=sum(each.volume * each.price_open for each in longs),
        short_lots=sum(each.volume for each in shorts),
        short_cost=sum(each.volume * each.price_open for each in shorts),
        open_low=min(each.price_open for each in positions),
        open_high=max(each.price_open for each in positions),
        swap=sum(each.swap for each in positions),
    )
