"""Rebuilds trades from the terminal's deal and order history and the bars since.

Enough to know first stop, first volume, best and worst price after a restart, so that no
position rule is applied twice.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from execution.account.lifecycle import CloseReason, close_reason
from execution.api import constants as c
from execution.api.structs import SymbolInfo, TradeDeal, TradeOrder
from execution.api.terminal import TerminalError
from execution.orders.intents import by_of, id_in

MOST_BARS = 2000


class HistoryReader(Protocol):
    """What is read of ``TerminalClient``."""

    async def batch(self, calls: Sequence[Any], /) -> list[Any]: ...
    async def spec(self, symbol: str, /) -> SymbolInfo: ...


@dataclass(slots=True)
class OpenTrade:
    """A position of the bot. Prices in quote currency, times in server seconds; ``best`` and
    ``worst`` are NaN where the prices since are unknown."""

    ticket: int
    symbol: str
    sign: int
    opened: float
    entry: float
    first_volume: float
    first_sl: float
    best: float = math.nan
    worst: float = math.nan
    money_per_price: float = math.nan
    """Account currency that one lot makes by a move of 1.0 in price."""
    score: float | None = None
    components: Mapping[str, float] = field(default_factory=dict)

    def saw(self, price: float) -> None:
        """Take note of a price that closing would have got."""
        # `not <=` also replaces the NaN of a trade that has seen no price yet
        if not self.sign * (price - self.best) <= 0:
            self.best = price
        if not self.sign * (price - self.worst) >= 0:
            self.worst = price


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """A closed trade of the bot. ``net`` includes swap, commission and fee; ``r`` is ``net``
    over the money that the first stop risked; ``mae_r`` and ``mfe_r`` are how far it went
    against and for the trade, in R. NaN where it is unknown."""

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


async def past_of(
    terminal: HistoryReader, ticket: int
) -> tuple[tuple[TradeDeal, ...], tuple[TradeOrder, ...]]:
    """Deals and orders of a position. Raises :class:`TerminalError`."""
    deals, orders = await terminal.batch(
        [
            ("history_deals_get", (), {"position": ticket}),
            ("history_orders_get", (), {"position": ticket}),
        ]
    )
    for answer in (deals, orders):
        if isinstance(answer, TerminalError):
            raise answer
    return deals, orders


def by_position(deals: Iterable[TradeDeal], magic: int) -> dict[int, list[TradeDeal]]:
    """Deals by position, for the positions with an opening deal of ``magic``."""
    groups: dict[int, list[TradeDeal]] = defaultdict(list)
    for deal in deals:
        if deal.position_id and deal.type in (c.DEAL_TYPE_BUY, c.DEAL_TYPE_SELL):
            groups[deal.position_id].append(deal)
    return {
        ticket: own
        for ticket, own in groups.items()
        if any(d.entry == c.DEAL_ENTRY_IN and d.magic == magic for d in own)
    }


def trade_from(
    ticket: int, deals: Iterable[TradeDeal], orders: Iterable[TradeOrder], info: SymbolInfo | None
) -> OpenTrade | None:
    """The trade that deals and orders of a position make; ``None`` without an entry.

    ``first_sl`` is the stop of the opening order, 0.0 where there is no stop or it is no risk.
    """
    entries = [d for d in deals if d.entry == c.DEAL_ENTRY_IN]
    if not entries:
        return None
    first = min(entries, key=lambda d: (d.time_msc, d.ticket))
    sign = 1 if first.type == c.DEAL_TYPE_BUY else -1
    volume = sum(d.volume for d in entries)
    entry = sum(d.price * d.volume for d in entries) / volume
    stop = next((o.sl for o in orders if o.ticket == first.order), 0.0)
    value = math.nan
    if info is not None and info.trade_tick_size > 0:
        value = (info.trade_tick_value_loss or info.trade_tick_value) / info.trade_tick_size
    return OpenTrade(
        ticket=ticket,
        symbol=first.symbol,
        sign=sign,
        opened=first.time_msc / 1000.0,
        entry=entry,
        first_volume=volume,
        first_sl=stop if stop > 0 and sign * (entry - stop) > 0 else 0.0,
        money_per_price=value if value > 0 else math.nan,
    )


async def prices_since(
    terminal: HistoryReader, trade: OpenTrade, info: SymbolInfo, now: float, until: float = math.inf
) -> None:
    """Let the trade see the M1 bars since its opening (bids; the ask that closes a short is
    taken as the bid and the bar's spread), those that ended by ``until``. The bar of the
    opening is left out: part of it was before."""
    missed = int((now - trade.opened) / 60)
    if missed <= 0:
        return
    call = (trade.symbol, c.TIMEFRAME_M1, 0, min(missed + 1, MOST_BARS))
    (rates,) = await terminal.batch([("copy_rates_from_pos", call, {})])
    if isinstance(rates, TerminalError):
        raise rates
    if rates is None:
        return
    since = rates[(rates["time"] >= trade.opened) & (rates["time"] + 60 <= until)]
    if len(since):
        cost = since["spread"] * info.point if trade.sign < 0 else 0.0
        trade.saw(float((since["high"] + cost).max()))
        trade.saw(float((since["low"] + cost).min()))


def closed_from(
    ticket: int, deals: Sequence[TradeDeal], trade: OpenTrade | None
) -> ClosedTrade | None:
    """The closed trade that the deals of a position make; ``None`` while it is open or its
    opening is not among them."""
    entries = [d for d in deals if d.entry == c.DEAL_ENTRY_IN]
    exits = [d for d in deals if d.entry in (c.DEAL_ENTRY_OUT, c.DEAL_ENTRY_OUT_BY)]
    volume, out = sum(d.volume for d in entries), sum(d.volume for d in exits)
    if trade is None or not exits or out < volume - 1e-9:
        return None
    last = max(exits, key=lambda d: (d.time_msc, d.ticket))
    net = sum(d.profit + d.swap + d.commission + d.fee for d in deals)
    id = id_in(last.comment)
    r = mae = mfe = math.nan
    distance = trade.sign * (trade.entry - trade.first_sl) if trade.first_sl > 0 else math.nan
    if distance > 0:
        for deal in exits if math.isfinite(trade.best) else ():
            trade.saw(deal.price)
        mae = trade.sign * (trade.worst - trade.entry) / distance
        mfe = trade.sign * (trade.best - trade.entry) / distance
        money = distance * trade.money_per_price * volume
        r = net / money if money > 0 else math.nan
    return ClosedTrade(
        ticket=ticket,
        symbol=trade.symbol,
        sign=trade.sign,
        opened=trade.opened,
        closed=last.time_msc / 1000.0,
        entry=trade.entry,
        exit=sum(d.price * d.volume for d in exits) / out,
        volume=volume,
        net=net,
        why=close_reason(last, last.magic == entries[0].magic, by_of(id) if id else None),
        r=r,
        mae_r=mae,
        mfe_r=mfe,
        score=trade.score,
        components=trade.components,
    )
