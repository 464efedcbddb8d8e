"""The bot's own trades, read back from the terminal: what stands, what closed, how it went.

Nothing here is kept over a restart but what the terminal itself remembers: first stop and
volume from the opening order and deal, best and worst price from the bars since.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from execution import constants as c
from execution.intents import by_of, id_in
from execution.lifecycle import CloseReason, close_reason
from execution.structs import SymbolInfo, TradeDeal, TradeOrder, TradePosition
from execution.terminal import TerminalError
from strategy.positions import Held

log = logging.getLogger(__name__)

LOOK_BACK_S = 7 * 86_400
"""How far back closed trades are read at a start."""
MOST_BARS = 2000
FUTURE = 2 * 86_400
"""Dates of a query end this far ahead: the server's clock is not ours."""


class Terminal(Protocol):
    """What the book reads of ``TerminalClient``."""

    async def batch(self, calls: Sequence[Any], /) -> list[Any]: ...
    async def spec(self, symbol: str, /) -> SymbolInfo: ...
    async def history_deals_get(self, *dates: Any, **kwargs: Any) -> tuple[TradeDeal, ...]: ...


@dataclass(slots=True)
class Trade:
    """An open position of the bot. Prices in quote currency, times in server seconds."""

    ticket: int
    symbol: str
    sign: int
    opened: float
    entry: float
    volume: float
    first_volume: float
    first_sl: float
    best: float
    worst: float
    money_per_price: float = math.nan
    """Account currency that one lot makes by a move of 1.0 in price."""
    score: float | None = None
    components: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed trade of the bot. ``net`` includes swap, commission and fee; ``r`` is ``net``
    over the money that the first stop risked; ``mae_r`` and ``mfe_r`` are how far it went
    against and for the trade, in R. NaN where it is not known."""

    ticket: int
    symbol: str
    sign: int
    opened: float
    closed: float
    entry: float
    exit: float
    volume: float
    net: float
    why: CloseReason
    r: float = math.nan
    mae_r: float = math.nan
    mfe_r: float = math.nan
    score: float | None = None
    components: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Book:
    """Open and closed trades that bear ``magic``."""

    magic: int
    trades: dict[int, Trade] = field(default_factory=dict)
    closed: list[Closed] = field(default_factory=list)
    last: dict[str, float] = field(default_factory=dict)
    """Server time of the bot's newest deal by symbol."""
    why: dict[int, tuple[float, Mapping[str, float]]] = field(default_factory=dict)
    """Score and components by the ticket of the order that they justified."""
    restored: bool = False

    async def restore(self, terminal: Terminal, now: float) -> None:
        """Read the closed trades of the last days. Safe to repeat.

        Raises:
            TerminalError: the history cannot be read now.
        """
        # a position may have been opened before the window: the deals of its ticket tell
        deals = await terminal.history_deals_get(int(now - LOOK_BACK_S), int(now + FUTURE))
        found = []
        for ticket, own in by_position(deals, self.magic).items():
            trade = closed_from(ticket, own)
            if trade is not None:
                found.append(trade)
            self._touch(own)
        known = {trade.ticket for trade in found}
        found += [trade for trade in self.closed if trade.ticket not in known]
        self.closed = sorted(found, key=lambda t: (t.closed, t.ticket))
        self.restored = True

    async def follow(
        self, terminal: Terminal, positions: Iterable[TradePosition], now: float
    ) -> list[Closed]:
        """Take in the positions that stand now and return the bot's trades that closed."""
        mine = {p.ticket: p for p in positions if p.magic == self.magic}
        for ticket, position in mine.items():
            trade = self.trades.get(ticket)
            if trade is None:
                try:
                    trade = await self._open(terminal, position, now)
                except TerminalError as error:
                    log.info("position %d is not followed yet: %s", ticket, error)
                    continue
                self.trades[ticket] = trade
            price = position.price_current
            trade.volume = position.volume
            if trade.sign * (price - trade.best) > 0:
                trade.best = price
            if trade.sign * (price - trade.worst) < 0:
                trade.worst = price
        out = []
        for ticket in [t for t in self.trades if t not in mine]:
            try:
                deals = await terminal.history_deals_get(position=ticket)
            except TerminalError as error:
                log.info("the end of position %d is not known yet: %s", ticket, error)
                continue
            trade = self.trades[ticket]
            own = [deal for deal in deals if deal.position_id == ticket]
            done = closed_from(ticket, own, trade)
            if done is None:
                # gone from the list before its deal is in the history: look again
                continue
            del self.trades[ticket]
            self.closed.append(done)
            self._touch(own)
            out.append(done)
        return out

    def held(self, position: TradePosition, atr: float, turned: bool) -> Held | None:
        """The position as the rules see it; ``None`` while it is not followed."""
        trade = self.trades.get(position.ticket)
        if trade is None:
            return None
        return Held(
            ticket=trade.ticket,
            symbol=trade.symbol,
            sign=trade.sign,
            volume=position.volume,
            first_volume=trade.first_volume,
            entry=trade.entry,
            first_sl=trade.first_sl,
            sl=position.sl,
            tp=position.tp,
            price=position.price_current,
            best=trade.best,
            worst=trade.worst,
            opened=trade.opened,
            atr=atr,
            turned=turned,
        )

    def losses(self) -> list[float]:
        """Closing times of the newest losing trades in a row, newest first."""
        out = []
        for trade in reversed(self.closed):
            if trade.net >= 0:
                break
            out.append(trade.closed)
        return out

    def rested(self, now: float) -> dict[str, float]:
        """Server seconds since the bot's newest deal, by symbol."""
        return {symbol: now - at for symbol, at in self.last.items()}

    def _touch(self, deals: Iterable[TradeDeal]) -> None:
        for deal in deals:
            self.last[deal.symbol] = max(self.last.get(deal.symbol, 0.0), deal.time_msc / 1000.0)

    async def _open(self, terminal: Terminal, position: TradePosition, now: float) -> Trade:
        """What the opening order, the deals and the bars say of a position."""
        info = await terminal.spec(position.symbol)
        orders, deals = await terminal.batch(
            [
                ("history_orders_get", (), {"position": position.ticket}),
                ("history_deals_get", (), {"position": position.ticket}),
            ]
        )
        for answer in (orders, deals):
            if isinstance(answer, TerminalError):
                raise answer
        sign = 1 if position.type == c.POSITION_TYPE_BUY else -1
        entries = [d for d in deals if d.entry == c.DEAL_ENTRY_IN]
        first_volume = sum(d.volume for d in entries) or position.volume
        score, components = self.why.pop(_opening(position, orders), (None, {}))
        best, worst = await _extremes(terminal, position, sign, info, now)
        self._touch(deals)
        value = info.trade_tick_value_loss or info.trade_tick_value
        return Trade(
            ticket=position.ticket,
            symbol=position.symbol,
            sign=sign,
            opened=position.time_msc / 1000.0,
            entry=position.price_open,
            volume=position.volume,
            first_volume=max(first_volume, position.volume),
            first_sl=_first_stop(position, orders, sign),
            best=best,
            worst=worst,
            money_per_price=value / info.trade_tick_size if info.trade_tick_size > 0 else math.nan,
            score=score,
            components=components,
        )


def _opening(position: TradePosition, orders: Iterable[TradeOrder]) -> int:
    """Ticket of the order that opened the position."""
    own = [o for o in orders if o.position_id == position.ticket]
    own.sort(key=lambda o: (o.time_setup_msc, o.ticket))
    return own[0].ticket if own else position.ticket


def _first_stop(position: TradePosition, orders: Iterable[TradeOrder], sign: int) -> float:
    """The stop of the opening order, else the one that stands while it is still a risk."""
    ticket = _opening(position, orders)
    for order in orders:
        if order.ticket == ticket and order.sl > 0 and sign * (position.price_open - order.sl) > 0:
            return order.sl
    if position.sl > 0 and sign * (position.price_open - position.sl) > 0:
        return position.sl
    return 0.0


async def _extremes(
    terminal: Terminal, position: TradePosition, sign: int, info: SymbolInfo, now: float
) -> tuple[float, float]:
    """Best and worst price since the opening, from M1 bars (bids; the ask of a short is taken
    as the bid and the bar's spread). The bar of the opening is left out: part of it was before."""
    best = worst = position.price_open
    missed = int((now - position.time) / 60)
    rates = None
    if missed > 0:
        call = (position.symbol, c.TIMEFRAME_M1, 0, min(missed + 1, MOST_BARS))
        (rates,) = await terminal.batch([("copy_rates_from_pos", call, {})])
    if isinstance(rates, TerminalError):
        raise rates
    if rates is not None and len(rates):
        since = rates[rates["time"] >= position.time]
        if len(since):
            cost = since["spread"] * info.point if sign < 0 else 0.0
            high, low = (since["high"] + cost).max(), (since["low"] + cost).min()
            best, worst = (
                (max(best, high), min(worst, low))
                if sign > 0
                else (
                    min(best, low),
                    max(worst, high),
                )
            )
    price = position.price_current
    best = max(best, price) if sign > 0 else min(best, price)
    worst = min(worst, price) if sign > 0 else max(worst, price)
    return float(best), float(worst)


def by_position(deals: Iterable[TradeDeal], magic: int) -> dict[int, list[TradeDeal]]:
    """Deals by position, for the positions whose opening deal bears ``magic``."""
    groups: dict[int, list[TradeDeal]] = defaultdict(list)
    for deal in deals:
        if deal.position_id and deal.type in (c.DEAL_TYPE_BUY, c.DEAL_TYPE_SELL):
            groups[deal.position_id].append(deal)
    return {
        ticket: own
        for ticket, own in groups.items()
        if any(d.entry == c.DEAL_ENTRY_IN and d.magic == magic for d in own)
    }


def closed_from(
    ticket: int, deals: Sequence[TradeDeal], trade: Trade | None = None
) -> Closed | None:
    """The closed trade that the deals of a position make; ``None`` while it is open or its
    opening is not among them."""
    entries = [d for d in deals if d.entry == c.DEAL_ENTRY_IN]
    exits = [d for d in deals if d.entry in (c.DEAL_ENTRY_OUT, c.DEAL_ENTRY_OUT_BY)]
    volume, out = sum(d.volume for d in entries), sum(d.volume for d in exits)
    if not entries or not exits or out < volume - 1e-9:
        return None
    entry = sum(d.price * d.volume for d in entries) / volume
    last = max(exits, key=lambda d: (d.time_msc, d.ticket))
    net = sum(d.profit + d.swap + d.commission + d.fee for d in deals)
    id = id_in(last.comment)
    r = mae = mfe = math.nan
    sign = 1 if entries[0].type == c.DEAL_TYPE_BUY else -1
    if trade is not None and trade.first_sl > 0:
        distance = sign * (entry - trade.first_sl)
        money = distance * trade.money_per_price * volume
        if distance > 0:
            ends = [sign * (d.price - entry) for d in exits]
            mae = min(sign * (trade.worst - entry), *ends) / distance
            mfe = max(sign * (trade.best - entry), *ends) / distance
            r = net / money if money > 0 else math.nan
    return Closed(
        ticket=ticket,
        symbol=entries[0].symbol,
        sign=sign,
        opened=min(d.time_msc for d in entries) / 1000.0,
        closed=last.time_msc / 1000.0,
        entry=entry,
        exit=sum(d.price * d.volume for d in exits) / out,
        volume=volume,
        net=net,
        why=close_reason(last, last.magic == entries[0].magic, by_of(id) if id else None),
        r=r,
        mae_r=mae,
        mfe_r=mfe,
        score=None if trade is None else trade.score,
        components={} if trade is None else trade.components,
    )
