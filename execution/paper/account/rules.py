"""What the paper trade server accepts: the checks of a request, in a fixed order.

The first failure wins. The order of the checks is ours, as the real server's is not published:
type and ticket, volume, trade mode, session, price, filling, expiration, stops, freeze, counts,
money, requote. Switches (connection, AutoTrading) are the terminal's and come before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite

from streamer.errors import Mt5dashError

from ...api import constants as mt5
from ...api.structs import TradeRequest
from ..market.symbols import FILL_BOC, FILL_FOK, FILL_IOC, Spec
from ..market.tape import DAY_MS, Tape
from .fills import netted
from .ledger import BUYS, Ledger, Order, Position, lots
from .matching import margin_after

_DAY_S = DAY_MS // 1000
_MARKET = (mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL)
_LIMITS = (mt5.ORDER_TYPE_BUY_LIMIT, mt5.ORDER_TYPE_SELL_LIMIT)
_STOPS = (mt5.ORDER_TYPE_BUY_STOP, mt5.ORDER_TYPE_SELL_STOP)
_STOP_LIMITS = (mt5.ORDER_TYPE_BUY_STOP_LIMIT, mt5.ORDER_TYPE_SELL_STOP_LIMIT)
_ORDER_MODE = {**dict.fromkeys(_MARKET, 1), **dict.fromkeys(_LIMITS, 2),
               **dict.fromkeys(_STOPS, 4), **dict.fromkeys(_STOP_LIMITS, 8)}  # fmt: skip
PRICED = (mt5.SYMBOL_TRADE_EXECUTION_REQUEST, mt5.SYMBOL_TRADE_EXECUTION_INSTANT)
_FILL_BIT = {mt5.ORDER_FILLING_FOK: FILL_FOK, mt5.ORDER_FILLING_IOC: FILL_IOC}
_OPENING = {
    mt5.SYMBOL_TRADE_MODE_LONGONLY: mt5.TRADE_RETCODE_LONG_ONLY,
    mt5.SYMBOL_TRADE_MODE_SHORTONLY: mt5.TRADE_RETCODE_SHORT_ONLY,
    mt5.SYMBOL_TRADE_MODE_CLOSEONLY: mt5.TRADE_RETCODE_CLOSE_ONLY,
}


class Refused(Mt5dashError):
    """A request that the server refuses, with its return code."""

    def __init__(self, retcode: int) -> None:
        super().__init__(retcode)
        self.retcode = retcode


@dataclass(slots=True)
class Plan:
    """A request that passed: what it is about. ``price`` is the market's for a deal; ``margin``
    the account's after it."""

    request: TradeRequest
    tape: Tape
    buy: bool = True
    volume: float = 0.0
    price: float = 0.0
    margin: float = 0.0
    expires_ms: int = 0
    position: Position | None = None
    other: Position | None = None
    order: Order | None = None


class Rules:
    """Checks requests against account, symbols and market at ``now_ms``."""

    def __init__(self, ledger: Ledger, is_open: Callable[[str, int], bool]) -> None:
        self._ledger = ledger
        self._is_open = is_open

    def check(self, request: TradeRequest, now_ms: int) -> Plan:
        """The plan of an acceptable request.

        Raises:
            Refused: with the return code of the first rule that it breaks.
        """
        action = request.action
        if not all(map(isfinite, (request.volume, *_prices(request)))):
            raise Refused(mt5.TRADE_RETCODE_INVALID)
        if action == mt5.TRADE_ACTION_DEAL:
            return self._deal(request, now_ms)
        if action == mt5.TRADE_ACTION_PENDING:
            return self._pending(request, now_ms)
        if action == mt5.TRADE_ACTION_SLTP:
            return self._sltp(request, now_ms)
        if action == mt5.TRADE_ACTION_MODIFY:
            return self._modify(request, now_ms)
        if action == mt5.TRADE_ACTION_REMOVE:
            return self._remove(request, now_ms)
        if action == mt5.TRADE_ACTION_CLOSE_BY:
            return self._close_by(request, now_ms)
        raise Refused(mt5.TRADE_RETCODE_INVALID)

    # Actions

    def _deal(self, request: TradeRequest, now_ms: int) -> Plan:
        tape = self._tape(request.symbol)
        spec = tape.spec
        if request.type not in _MARKET:
            raise Refused(mt5.TRADE_RETCODE_INVALID)
        buy = request.type == mt5.ORDER_TYPE_BUY
        plan = Plan(request, tape, buy, lots(request.volume))
        if self._ledger.config.hedging and request.position:
            plan.position = self._position(request.position)
            if plan.position.symbol != request.symbol or plan.position.long == buy:
                raise Refused(mt5.TRADE_RETCODE_INVALID)
            self._fifo(plan.position)
        self._order_mode(spec, 1)
        self._volume(spec, plan)
        if plan.position is None:
            self._trade_mode(spec, buy, plan.volume)
        self._session(spec, now_ms)
        plan.price = self._market_price(tape, request, buy)
        self._filling(spec, request)
        if plan.position is None:
            base = tape.quote_bid if buy else tape.quote_ask
            if (request.sl or request.tp) and not spec.stops_on_open:
                raise Refused(mt5.TRADE_RETCODE_INVALID_STOPS)
            self._stops(spec, buy, base, request.sl, request.tp)
        else:
            self._not_frozen(plan.position, tape)
        self._money(plan)
        if spec.exemode in PRICED:
            off = abs(plan.price - request.price)
            if off > request.deviation * spec.point + spec.point * 1e-6:
                raise Refused(mt5.TRADE_RETCODE_REQUOTE)
        return plan

    def _pending(self, request: TradeRequest, now_ms: int) -> Plan:
        tape = self._tape(request.symbol)
        spec = tape.spec
        mode = _ORDER_MODE.get(request.type)
        if mode is None or request.type in _MARKET:
            raise Refused(mt5.TRADE_RETCODE_INVALID)
        buy = request.type in BUYS
        plan = Plan(request, tape, buy, lots(request.volume), request.price)
        self._order_mode(spec, mode)
        self._volume(spec, plan)
        self._trade_mode(spec, buy, plan.volume)
        self._session(spec, now_ms)
        self._pending_price(tape, request.type, request.price, request.stoplimit)
        self._filling(spec, request)
        plan.expires_ms = self._expires(spec, request.type_time, request.expiration, now_ms)
        at = request.stoplimit if request.type in _STOP_LIMITS else request.price
        self._stops(spec, buy, at, request.sl, request.tp)
        limit = self._ledger.config.limit_orders
        if limit and len(self._ledger.orders) >= limit:
            raise Refused(mt5.TRADE_RETCODE_LIMIT_ORDERS)
        plan.margin = self._ledger.margin()
        return plan

    def _sltp(self, request: TradeRequest, now_ms: int) -> Plan:
        position = self._named_position(request)
        tape = self._ledger.tapes[position.symbol]
        if request.symbol and request.symbol != position.symbol:
            raise Refused(mt5.TRADE_RETCODE_INVALID)
        self._session(tape.spec, now_ms)
        base = tape.quote_bid if position.long else tape.quote_ask
        self._stops(tape.spec, position.long, base, request.sl, request.tp)
        self._not_frozen(position, tape)
        if (request.sl, request.tp) == (position.sl, position.tp):
            raise Refused(mt5.TRADE_RETCODE_NO_CHANGES)
        margin = self._ledger.margin()
        return Plan(request, tape, position=position, margin=margin)

    def _modify(self, request: TradeRequest, now_ms: int) -> Plan:
        order = self._order(request.order)
        tape = self._ledger.tapes[order.symbol]
        spec = tape.spec
        self._session(spec, now_ms)
        self._pending_price(tape, order.type, request.price, request.stoplimit)
        expires_ms = self._expires(spec, request.type_time, request.expiration, now_ms)
        at = request.stoplimit if order.type in _STOP_LIMITS else request.price
        self._stops(spec, order.buy, at, request.sl, request.tp)
        self._order_not_frozen(order, tape)
        new = (
            request.price,
            request.stoplimit,
            request.sl,
            request.tp,
            request.type_time,
            expires_ms,
        )
        old = (order.price, order.stoplimit, order.sl, order.tp, order.type_time, order.expires_ms)
        if new == old:
            raise Refused(mt5.TRADE_RETCODE_NO_CHANGES)
        plan = Plan(request, tape, order.buy, order=order, price=request.price)
        plan.expires_ms = expires_ms
        plan.margin = self._ledger.margin()
        return plan

    def _remove(self, request: TradeRequest, now_ms: int) -> Plan:
        order = self._order(request.order)
        tape = self._ledger.tapes[order.symbol]
        self._session(tape.spec, now_ms)
        self._order_not_frozen(order, tape)
        return Plan(request, tape, order.buy, order=order, margin=self._ledger.margin())

    def _close_by(self, request: TradeRequest, now_ms: int) -> Plan:
        if not self._ledger.config.hedging:
            raise Refused(mt5.TRADE_RETCODE_INVALID)
        position = self._position(request.position)
        other = self._position(request.position_by)
        if position.symbol != other.symbol or position.long == other.long:
            raise Refused(mt5.TRADE_RETCODE_INVALID)
        tape = self._ledger.tapes[position.symbol]
        self._order_mode(tape.spec, 64)
        self._session(tape.spec, now_ms)
        self._not_frozen(position, tape)
        self._not_frozen(other, tape)
        plan = Plan(request, tape, not position.long, position=position, other=other)
        plan.volume = min(position.volume, other.volume)
        plan.margin = self._ledger.margin()
        return plan

    # Things named in the request

    def _tape(self, symbol: str) -> Tape:
        tape = self._ledger.tapes.get(symbol)
        if tape is None:
            raise Refused(mt5.TRADE_RETCODE_INVALID)
        if tape.spec.trade_mode == mt5.SYMBOL_TRADE_MODE_DISABLED:
            raise Refused(mt5.TRADE_RETCODE_TRADE_DISABLED)
        return tape

    def _position(self, ticket: int) -> Position:
        position = self._ledger.positions.get(ticket)
        if position is None:
            raise Refused(mt5.TRADE_RETCODE_POSITION_CLOSED)
        return position

    def _named_position(self, request: TradeRequest) -> Position:
        if request.position:
            return self._position(request.position)
        position = netted(self._ledger, request.symbol)
        if position is None:
            raise Refused(
                mt5.TRADE_RETCODE_INVALID
                if self._ledger.config.hedging
                else mt5.TRADE_RETCODE_POSITION_CLOSED
            )
        return position

    def _order(self, ticket: int) -> Order:
        order = self._ledger.orders.get(ticket)
        if order is None:
            raise Refused(mt5.TRADE_RETCODE_INVALID_ORDER)
        return order

    # Rules

    def _order_mode(self, spec: Spec, bit: int) -> None:
        if not spec.order_mode & bit:
            raise Refused(mt5.TRADE_RETCODE_INVALID_ORDER)

    def _fifo(self, position: Position) -> None:
        if not self._ledger.config.fifo_close:
            return
        same = self._ledger.holdings(position.symbol).positions.values()
        oldest = min(
            (each for each in same if each.long == position.long), key=lambda each: each.ticket
        )
        if oldest is not position:
            raise Refused(mt5.TRADE_RETCODE_FIFO_CLOSE)

    def _volume(self, spec: Spec, plan: Plan) -> None:
        volume = plan.volume
        steps = Decimal(repr(volume)) / Decimal(repr(spec.volume_step))
        if steps != steps.to_integral_value() or not spec.volume_min <= volume <= spec.volume_max:
            raise Refused(mt5.TRADE_RETCODE_INVALID_VOLUME)
        if plan.position is not None:
            if volume > plan.position.volume:
                raise Refused(mt5.TRADE_RETCODE_INVALID_CLOSE_VOLUME)
        elif spec.volume_limit:
            held = self._ledger.on.get(spec.name)
            used = 0.0
            if held:
                used += sum(p.volume for p in held.positions.values() if p.long == plan.buy)
                used += sum(o.left for o in held.orders.values() if o.buy == plan.buy)
            if lots(used + volume) > spec.volume_limit:
                raise Refused(mt5.TRADE_RETCODE_LIMIT_VOLUME)

    def _trade_mode(self, spec: Spec, buy: bool, volume: float) -> None:
        mode = spec.trade_mode
        if mode == mt5.SYMBOL_TRADE_MODE_FULL:
            return
        one = netted(self._ledger, spec.name)
        if one is not None and one.long != buy and volume <= one.volume:
            return  # this only reduces
        allowed = mt5.SYMBOL_TRADE_MODE_LONGONLY if buy else mt5.SYMBOL_TRADE_MODE_SHORTONLY
        if mode != allowed:
            raise Refused(_OPENING.get(mode, mt5.TRADE_RETCODE_TRADE_DISABLED))

    def _session(self, spec: Spec, now_ms: int) -> None:
        if not self._is_open(spec.name, now_ms):
            raise Refused(mt5.TRADE_RETCODE_MARKET_CLOSED)

    def _market_price(self, tape: Tape, request: TradeRequest, buy: bool) -> float:
        price = tape.quote_ask if buy else tape.quote_bid
        if not price:
            raise Refused(mt5.TRADE_RETCODE_PRICE_OFF)
        if tape.spec.exemode in PRICED and request.price <= 0:
            raise Refused(mt5.TRADE_RETCODE_INVALID_PRICE)
        if request.price < 0:
            raise Refused(mt5.TRADE_RETCODE_INVALID_PRICE)
        return price

    def _pending_price(self, tape: Tape, kind: int, price: float, stoplimit: float) -> None:
        spec, bid, ask = tape.spec, tape.quote_bid, tape.quote_ask
        if not bid or not ask:
            raise Refused(mt5.TRADE_RETCODE_PRICE_OFF)
        if price <= 0 or not on_grid(price, spec):
            raise Refused(mt5.TRADE_RETCODE_INVALID_PRICE)
        level = spec.stops_level * spec.point - spec.point * 1e-6
        distance = {
            mt5.ORDER_TYPE_BUY_LIMIT: ask - price,
            mt5.ORDER_TYPE_BUY_STOP: price - ask,
            mt5.ORDER_TYPE_BUY_STOP_LIMIT: price - ask,
            mt5.ORDER_TYPE_SELL_LIMIT: price - bid,
            mt5.ORDER_TYPE_SELL_STOP: bid - price,
            mt5.ORDER_TYPE_SELL_STOP_LIMIT: bid - price,
        }[kind]
        if distance < level or abs(distance) < spec.point * 1e-6:
            raise Refused(mt5.TRADE_RETCODE_INVALID_PRICE)
        if kind in _STOP_LIMITS:
            if stoplimit <= 0 or not on_grid(stoplimit, spec):
                raise Refused(mt5.TRADE_RETCODE_INVALID_PRICE)
            below = price - stoplimit
            if (below if kind in BUYS else -below) < level:
                raise Refused(mt5.TRADE_RETCODE_INVALID_PRICE)

    def _filling(self, spec: Spec, request: TradeRequest) -> None:
        """FOK and IOC need their bit, RETURN any execution but by the market, or a pending order;
        BOC is only for limits. Instant and request execution fill whole: they take FOK always,
        and RETURN (as MetaQuotes' own sample of order_send shows)."""
        policy, pending = request.type_filling, request.type not in _MARKET
        bit = _FILL_BIT.get(policy)
        if bit is not None:
            allowed = bool(spec.filling_mode & bit)
            if spec.exemode in PRICED and policy == mt5.ORDER_FILLING_FOK:
                allowed = True
        elif policy == mt5.ORDER_FILLING_RETURN:
            allowed = pending or spec.exemode != mt5.SYMBOL_TRADE_EXECUTION_MARKET
        elif policy == mt5.ORDER_FILLING_BOC:
            limit = request.type in (*_LIMITS, *_STOP_LIMITS)
            allowed = limit and bool(spec.filling_mode & FILL_BOC)
        else:
            allowed = False
        if not allowed:
            raise Refused(mt5.TRADE_RETCODE_INVALID_FILL)

    def _expires(self, spec: Spec, type_time: int, expiration: int, now_ms: int) -> int:
        """Server milliseconds at which the order stops working, 0 for never."""
        if type_time > mt5.ORDER_TIME_SPECIFIED_DAY or not spec.expiration_mode & (1 << type_time):
            raise Refused(mt5.TRADE_RETCODE_INVALID_EXPIRATION)
        if type_time == mt5.ORDER_TIME_GTC:
            return 0
        if type_time == mt5.ORDER_TIME_DAY:
            return (now_ms // DAY_MS + 1) * DAY_MS
        until = expiration
        if type_time == mt5.ORDER_TIME_SPECIFIED_DAY:
            until = expiration // _DAY_S * _DAY_S + _DAY_S - 1
        if until * 1000 <= now_ms:
            raise Refused(mt5.TRADE_RETCODE_INVALID_EXPIRATION)
        return until * 1000

    def _stops(self, spec: Spec, long: bool, base: float, sl: float, tp: float) -> None:
        """Stop loss and take profit on the right side of ``base``, ``stops_level`` away."""
        if not sl and not tp:
            return
        if sl < 0 or tp < 0:
            raise Refused(mt5.TRADE_RETCODE_INVALID_STOPS)
        level = max(spec.stops_level * spec.point, spec.point * 1e-3) - spec.point * 1e-6
        sign = 1.0 if long else -1.0
        for price, distance in ((sl, (base - sl) * sign), (tp, (tp - base) * sign)):
            if price and (distance < level or not on_grid(price, spec)):
                raise Refused(mt5.TRADE_RETCODE_INVALID_STOPS)

    def _not_frozen(self, position: Position, tape: Tape) -> None:
        freeze = tape.spec.freeze_level * tape.spec.point
        price = tape.quote_bid if position.long else tape.quote_ask
        for level in (position.sl, position.tp):
            if freeze and level and abs(price - level) <= freeze:
                raise Refused(mt5.TRADE_RETCODE_FROZEN)

    def _order_not_frozen(self, order: Order, tape: Tape) -> None:
        freeze = tape.spec.freeze_level * tape.spec.point
        price = tape.quote_ask if order.buy else tape.quote_bid
        if freeze and abs(price - order.price) <= freeze:
            raise Refused(mt5.TRADE_RETCODE_FROZEN)

    def _money(self, plan: Plan) -> None:
        """Equity must carry the margin after the deal, unless the deal lowers it."""
        ledger = self._ledger
        if plan.position is not None:
            plan.margin = ledger.margin()
            return
        spec = plan.tape.spec
        after = margin_after(ledger, spec.name, plan.buy, plan.volume, plan.price)
        if after is None or ledger.converter.rate(spec.profit, buying=True) is None:
            raise Refused(mt5.TRADE_RETCODE_PRICE_OFF)
        plan.margin = after
        equity = ledger.equity() + ledger.commission(spec, plan.volume)
        if after > ledger.margin() and equity < after:
            raise Refused(mt5.TRADE_RETCODE_NO_MONEY)


def _prices(request: TradeRequest) -> tuple[float, ...]:
    return request.price, request.stoplimit, request.sl, request.tp


def on_grid(price: float, spec: Spec) -> bool:
    """Is the price a whole number of the symbol's ticks?"""
    ticks = price / spec.tick
    return abs(ticks - round(ticks)) < 1e-4
