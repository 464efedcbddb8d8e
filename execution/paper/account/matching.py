"""The paper server's engine: it moves the market to a moment and does what that causes.

Orders and stops are found by array comparisons against the present levels, so a tick costs
nothing while no level is reached. Events happen in time order over all symbols: triggers,
stop-out, expiry, rollover at server midnight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf

from ...api import constants as mt5
from ..market.model import Chunk, Ticks
from ..market.tape import DAY_MS, Tape
from .fills import close, fill
from .ledger import Holdings, Ledger, Order, Position
from .rollover import rollover
from .stop_out import next_stop_out, stopped_out

_MARKETS = (mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL)
_BUY_LIMITS = (mt5.ORDER_TYPE_BUY_LIMIT,)
_SELL_LIMITS = (mt5.ORDER_TYPE_SELL_LIMIT,)
_BUY_STOPS = (mt5.ORDER_TYPE_BUY_STOP, mt5.ORDER_TYPE_BUY_STOP_LIMIT)
_SELL_STOPS = (mt5.ORDER_TYPE_SELL_STOP, mt5.ORDER_TYPE_SELL_STOP_LIMIT)


@dataclass(frozen=True, slots=True)
class Levels:
    """The nearest prices at which something happens on one symbol."""

    bid_low: float
    bid_high: float
    ask_low: float
    ask_high: float

    def first_hit(self, tape: Tape, end: int) -> int | None:
        """Index of the first tick before ``end`` that reaches a level."""
        start = tape.at
        if end <= start:
            return None
        if end == start + 1:
            bid, ask = tape.bid[start], tape.ask[start]
            hit = (
                bid <= self.bid_low
                or bid >= self.bid_high
                or ask <= self.ask_low
                or ask >= self.ask_high
            )
            return start if hit else None
        bids, asks = tape.bid[start:end], tape.ask[start:end]
        hits = (bids <= self.bid_low) | (bids >= self.bid_high)
        hits |= (asks <= self.ask_low) | (asks >= self.ask_high)
        first = int(hits.argmax())
        return start + first if hits[first] else None


def levels(held: Holdings) -> Levels:
    """The levels of one symbol's positions and orders."""
    bid_low, bid_high, ask_low, ask_high = -inf, inf, -inf, inf
    for position in held.positions.values():
        sl, tp = position.sl, position.tp
        if position.long:
            bid_low = max(bid_low, sl or -inf)
            bid_high = min(bid_high, tp or inf)
        else:
            ask_high = min(ask_high, sl or inf)
            ask_low = max(ask_low, tp or -inf)
    for order in held.orders.values():
        kind, price = order.type, order.price
        if kind in _BUY_LIMITS:
            ask_low = max(ask_low, price)
        elif kind in _SELL_LIMITS:
            bid_high = min(bid_high, price)
        elif kind in _BUY_STOPS:
            ask_high = min(ask_high, price)
        elif kind in _SELL_STOPS:
            bid_low = max(bid_low, price)
        else:  # the rest of a market order: the next tick, whatever it is
            bid_low = inf
    return Levels(bid_low, bid_high, ask_low, ask_high)


def reached(order: Order, bid: float, ask: float) -> bool:
    """Does this quote activate the pending order?"""
    if order.type in _BUY_LIMITS:
        return ask <= order.price
    if order.type in _SELL_LIMITS:
        return bid >= order.price
    if order.type in _BUY_STOPS:
        return ask >= order.price
    return order.type in _MARKETS or bid <= order.price


class Engine:
    """Moves tapes and ledger together. ``load`` gives the next chunk of ticks, None at the end
    of the market; ``is_open``: whether a symbol trades at a server millisecond."""

    def __init__(
        self,
        ledger: Ledger,
        load: Callable[[], Chunk | None],
        begin_ms: int,
        offset_ms: int,
        is_open: Callable[[str, int], bool],
    ) -> None:
        self.ledger = ledger
        self.tapes = ledger.tapes
        self.is_open = is_open
        self.over = False
        self.done_ms = begin_ms - 1
        self._load = load
        self._live: dict[str, Tape] = {}
        self._loaded_ms = begin_ms
        self._offset_ms = offset_ms
        self._midnight = (begin_ms // DAY_MS + 1) * DAY_MS
        self._levels: dict[str, Levels] = {}
        self._revision = -1
        self._expiry = 0

    # Time

    def advance(self, now_ms: int) -> None:
        """Bring market and account up to ``now_ms``; going back does nothing."""
        while self.done_ms < now_ms:
            loaded = inf if self.over else self._loaded_ms
            boundary = min(loaded, self._midnight, self._next_expiry())
            if boundary > now_ms:
                self._run(now_ms)
                self.done_ms = now_ms
                return
            at_ms = max(int(boundary), self.done_ms + 1)
            self._run(at_ms - 1)
            self.done_ms = at_ms - 1
            if boundary == self._midnight:
                self._midnight += DAY_MS
                rollover(self.ledger, at_ms)
            self._expire(at_ms)
            if boundary == loaded:
                self._load_next()

    def quiet_until(self, limit_ms: int) -> int:
        """The last millisecond, ``limit_ms`` at most, up to which nothing happens to the
        account: no level reached, no order ended, no night, no stop-out, no ticks to be
        loaded. May be too early, never too late."""
        if self.over:
            return self.done_ms
        stop = min(limit_ms, self._loaded_ms - 1, self._midnight - 1, self._next_expiry() - 1)
        stop = max(int(stop), self.done_ms)
        for symbol, each in self._levels.items():
            tape = self.tapes[symbol]
            index = each.first_hit(tape, tape.until(stop))
            if index is not None:
                stop = min(stop, int(tape.time_ms[index]) - 1)
        if self.ledger.positions:
            earlier = next_stop_out(self.ledger, stop)
            if earlier is not None:
                stop = min(stop, earlier - 1)
        return stop

    def _load_next(self) -> None:
        chunk = self._load()
        if chunk is None:
            self.over = True
            return
        self._loaded_ms = chunk.end_ms + self._offset_ms
        for symbol, ticks in chunk.ticks.items():
            if symbol in self.tapes:
                self.quote(symbol, ticks)

    def quote(self, symbol: str, ticks: Ticks) -> None:
        """The next stretch of a symbol's ticks; what lies before now has happened."""
        tape = self._live[symbol] = self.tapes[symbol]
        tape.load(ticks)
        tape.take(tape.until(self.done_ms))

    def _run(self, end_ms: int) -> None:
        ledger = self.ledger
        while True:
            stop, hit = end_ms, None
            if ledger.on:
                self._refresh()
                for symbol, each in self._levels.items():
                    tape = self.tapes[symbol]
                    index = each.first_hit(tape, tape.until(stop))
                    if index is not None and (hit is None or tape.time_ms[index] < stop):
                        stop, hit = int(tape.time_ms[index]), (symbol, index)
                if ledger.positions:
                    earlier = next_stop_out(ledger, stop)
                    if earlier is not None and earlier < stop:
                        stop, hit = earlier, None
            for symbol, tape in self._live.items():
                if hit is not None and symbol == hit[0]:
                    tape.take(hit[1] + 1)
                else:
                    tape.take(tape.until(stop))
            self.done_ms = max(self.done_ms, stop if hit is None else stop - 1)
            if hit is not None:
                self._trigger(hit[0], stop)
            if ledger.positions and stopped_out(ledger):
                self._stop_out(stop)
            if hit is None and stop >= end_ms:
                return

    def _refresh(self) -> None:
        if self._revision != self.ledger.revision:
            self._revision = self.ledger.revision
            self._levels = {symbol: levels(held) for symbol, held in self.ledger.on.items()}
            self._expiry = min(
                (order.expires_ms for order in self.ledger.orders.values() if order.expires_ms),
                default=0,
            )

    def _next_expiry(self) -> float:
        self._refresh()
        return self._expiry or inf

    # Triggers

    def _trigger(self, symbol: str, at_ms: int) -> None:
        """Everything that the symbol's present quote sets off, oldest ticket first."""
        tape = self.tapes[symbol]
        bid, ask = tape.quote_bid, tape.quote_ask
        held = self.ledger.holdings(symbol)
        for ticket in sorted([*held.positions, *held.orders]):
            position = held.positions.get(ticket)
            if position is not None:
                self._stops(position, bid, ask, at_ms)
            order = held.orders.get(ticket)
            if order is not None and reached(order, bid, ask):
                self._activate(order, bid, ask, at_ms)

    def _stops(self, position: Position, bid: float, ask: float, at_ms: int) -> None:
        price = bid if position.long else ask
        sign = 1.0 if position.long else -1.0
        digits = self.tapes[position.symbol].spec.digits
        if position.sl and (price - position.sl) * sign <= 0:
            comment = f"[sl {position.sl:.{digits}f}]"
            self.close_position(position, price, at_ms, mt5.ORDER_REASON_SL, comment)
        elif position.tp and (price - position.tp) * sign >= 0:
            comment = f"[tp {position.tp:.{digits}f}]"
            at = price if self.ledger.config.positive_slippage else position.tp
            self.close_position(position, at, at_ms, mt5.ORDER_REASON_TP, comment)

    def close_position(
        self, position: Position, price: float, at_ms: int, reason: int, comment: str
    ) -> None:
        """The server closes a position: an order of its own, filled at once."""
        order = Order(
            ticket=self.ledger.order_ticket(),
            symbol=position.symbol,
            type=mt5.ORDER_TYPE_SELL if position.long else mt5.ORDER_TYPE_BUY,
            volume=position.volume,
            left=0.0,
            price=price,
            setup_msc=at_ms,
            magic=position.magic,
            position_id=position.identifier,
            reason=reason,
            comment=comment,
        )
        close(self.ledger, position, order, position.volume, price, at_ms)
        self.ledger.finish_order(order, mt5.ORDER_STATE_FILLED, at_ms)

    def _activate(self, order: Order, bid: float, ask: float, at_ms: int) -> None:
        if order.type in (mt5.ORDER_TYPE_BUY_STOP_LIMIT, mt5.ORDER_TYPE_SELL_STOP_LIMIT):
            order.type = mt5.ORDER_TYPE_BUY_LIMIT if order.buy else mt5.ORDER_TYPE_SELL_LIMIT
            order.price, order.stoplimit = order.stoplimit, 0.0
            self.ledger.changed()
            return
        market = ask if order.buy else bid
        limit = order.type in (mt5.ORDER_TYPE_BUY_LIMIT, mt5.ORDER_TYPE_SELL_LIMIT)
        better = not limit or self.ledger.config.positive_slippage
        price = market if better else order.price
        if not self._affordable(order, price):
            order.comment = "no money"
            self.ledger.finish_order(order, mt5.ORDER_STATE_REJECTED, at_ms)
            return
        fill(self.ledger, order, order.left, price, at_ms)
        self.ledger.finish_order(order, mt5.ORDER_STATE_FILLED, at_ms)

    def _affordable(self, order: Order, price: float) -> bool:
        spec = self.tapes[order.symbol].spec
        after = margin_after(self.ledger, order.symbol, order.buy, order.left, price)
        if after is None:
            return False
        cost = self.ledger.commission(spec, order.left)
        have = self.ledger.margin()
        return after <= have or self.ledger.equity() + cost >= after

    # Time of day

    def _expire(self, at_ms: int) -> None:
        due = [o for o in self.ledger.orders.values() if o.expires_ms and o.expires_ms <= at_ms]
        for order in due:
            self.ledger.finish_order(order, mt5.ORDER_STATE_EXPIRED, at_ms)

    # Stop-out

    def _stop_out(self, at_ms: int) -> None:
        """Free margin until the level is above the stop-out: orders that hold margin first, the
        largest first, then the position with the largest loss."""
        ledger = self.ledger
        while stopped_out(ledger):
            level, equity, margin = ledger.margin_level(), ledger.equity(), ledger.margin()
            comment = f"[so {level:.1f}%/{equity:.2f}/{margin:.2f}]"
            holding = [order for order in ledger.orders.values() if order.margin]
            if holding:
                largest = max(holding, key=lambda order: order.margin)
                largest.comment = comment
                ledger.finish_order(largest, mt5.ORDER_STATE_CANCELED, at_ms)
                continue
            worst = self._worst(at_ms)
            if worst is None:
                return
            price = ledger.closing_price(worst)
            self.close_position(worst, price, at_ms, mt5.ORDER_REASON_SO, comment)

    def _worst(self, at_ms: int) -> Position | None:
        """The position with the largest loss, of those whose market is open."""
        able: Iterable[Position] = (
            each for each in self.ledger.positions.values() if self.is_open(each.symbol, at_ms)
        )
        return min(
            able,
            key=lambda each: (
                self.ledger.profit_at(each, self.ledger.closing_price(each)) + each.swap
            ),
            default=None,
        )


def margin_after(
    ledger: Ledger, symbol: str, buy: bool, volume: float, price: float
) -> float | None:
    """The account's margin if this were opened now; None when a rate is missing."""
    spec = ledger.tapes[symbol].spec
    own = ledger.margin_of(spec, buy, volume, price)
    if own is None:
        return None
    held = ledger.on.get(symbol)
    before = list(held.positions.values()) if held else []
    extra = Position(0, 0, symbol, buy, volume, price, 0, 0, own)
    after = [*before, extra]
    if not ledger.config.hedging and before and before[0].long != buy:
        one = before[0]
        share = abs(one.volume - volume)
        of = one if one.volume >= volume else extra
        after = [Position(0, 0, symbol, of.long, share, price, 0, 0, of.margin * share / of.volume)]
    return ledger.money(
        ledger.margin() - ledger.symbol_margin(symbol, before) + ledger.symbol_margin(symbol, after)
    )
