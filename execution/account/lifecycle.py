"""Positions as the sum of their deals: what a new deal did to which position. Pure.

Deals are the record of what happened; the list of positions only shows the rest. Each deal is
counted once, in any order of the readings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from ..api import constants as c
from ..api.structs import TradeDeal, TradePosition

TRADES = frozenset({c.DEAL_TYPE_BUY, c.DEAL_TYPE_SELL})

COSTS = frozenset(
    {
        c.DEAL_TYPE_COMMISSION,
        c.DEAL_TYPE_COMMISSION_DAILY,
        c.DEAL_TYPE_COMMISSION_MONTHLY,
    }
)
"""Booked apart from a trade, yet the price of trading."""

DEPOSITS = frozenset({c.DEAL_TYPE_BALANCE, c.DEAL_TYPE_CREDIT, c.DEAL_TYPE_BONUS})
"""Money that came or went without trading: no profit."""

BOOKINGS = (
    COSTS
    | DEPOSITS
    | {
        c.DEAL_TYPE_CHARGE,
        c.DEAL_TYPE_CORRECTION,
        c.DEAL_TYPE_COMMISSION_AGENT_DAILY,
        c.DEAL_TYPE_COMMISSION_AGENT_MONTHLY,
        c.DEAL_TYPE_INTEREST,
        c.DEAL_DIVIDEND,
        c.DEAL_DIVIDEND_FRANKED,
        c.DEAL_TAX,
    }
)
"""Money that is booked without a trade. It changes no position and has no event."""

EXITS = frozenset({c.DEAL_ENTRY_OUT, c.DEAL_ENTRY_OUT_BY})

CloseReason = Literal["sl", "tp", "stop_out", "strategy", "operator", "external"]

EPS = 1e-9


def realised(deal: TradeDeal) -> float:
    """What a deal did to the balance by trading; 0 for deposits and their like."""
    if deal.type in TRADES or deal.type in COSTS:
        return deal.profit + deal.swap + deal.commission + deal.fee
    return 0.0


@dataclass(slots=True)
class Life:
    """One position from its first deal on. Volumes in lots, times in server seconds.

    ``profit``, ``swap`` and ``commission`` (fees included) are sums over its deals so far.
    """

    identifier: int
    symbol: str
    buy: bool
    magic: int
    opened: float
    volume: float = 0.0
    entered: float = 0.0
    """Lots of all entries."""
    entry_price: float = 0.0
    left: float = 0.0
    """Lots of all exits."""
    exit_price: float = 0.0
    profit: float = 0.0
    swap: float = 0.0
    commission: float = 0.0
    opening_order: int = 0
    ticket: int = 0
    """What it is shown under: the ticket of the order that opened it. Netting gives a reversed
    position a new one; the identifier stays."""
    partial: bool = False
    """Adopted without its whole history: sums are unknown."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a deal did: opened or enlarged, reduced or closed ``life`` (a copy, as it was right
    after it). ``volume`` lots of the deal went into it."""

    what: Literal["opened", "enlarged", "reduced", "closed"]
    deal: TradeDeal
    life: Life
    volume: float


@dataclass(slots=True)
class PositionBook:
    """All positions that are open, by identifier, and the deals counted so far."""

    lives: dict[int, Life] = field(default_factory=dict)
    seen: dict[int, float] = field(default_factory=dict)
    """Deal tickets counted, with their server time."""

    def copy(self) -> PositionBook:
        """A book to try deals on."""
        return PositionBook(
            {key: replace(life) for key, life in self.lives.items()}, dict(self.seen)
        )

    def apply(self, deal: TradeDeal) -> list[Change]:
        """Count one deal; ``[]`` when it was counted before, is no trade, or names a position or
        an entry that is unknown."""
        if deal.ticket in self.seen:
            return []
        self.seen[deal.ticket] = moment(deal)
        if deal.type not in TRADES or not deal.position_id:
            return []
        if deal.entry == c.DEAL_ENTRY_IN:
            return [self._enter(deal, deal.volume)]
        if deal.entry == c.DEAL_ENTRY_INOUT:
            return self._reverse(deal)
        change = self._leave(deal, deal.volume) if deal.entry in EXITS else None
        return [change] if change else []

    def adopt(self, position: TradePosition) -> Life:
        """Add a position without its deals, which cannot be read."""
        life = Life(
            position.identifier or position.ticket,
            position.symbol,
            position.type == c.POSITION_TYPE_BUY,
            position.magic,
            position.time_msc / 1000 if position.time_msc else float(position.time),
            volume=position.volume,
            entered=position.volume,
            entry_price=position.price_open,
            ticket=position.ticket,
            partial=True,
        )
        self.lives[life.identifier] = life
        return life

    def skip(self, deals: Iterable[TradeDeal]) -> None:
        """Count deals of the past without their effect on positions."""
        self.seen.update((deal.ticket, moment(deal)) for deal in deals)

    def forget(self, before: float) -> None:
        """Drop tickets older than server time ``before``: they are not read again."""
        if len(self.seen) > 4096:
            self.seen = {ticket: at for ticket, at in self.seen.items() if at >= before}

    def seed(self, deals: Iterable[TradeDeal]) -> None:
        """Count deals of the past silently."""
        for deal in sorted(deals, key=order_of):
            self.apply(deal)

    def _enter(self, deal: TradeDeal, volume: float) -> Change:
        life = self.lives.get(deal.position_id)
        what: Literal["opened", "enlarged"] = "enlarged"
        if life is None:
            what = "opened"
            life = Life(
                deal.position_id,
                deal.symbol,
                deal.type == c.DEAL_TYPE_BUY,
                deal.magic,
                moment(deal),
                opening_order=deal.order,
                ticket=deal.order or deal.position_id,
            )
            self.lives[deal.position_id] = life
        life.entry_price = _mean(life.entry_price, life.volume, deal.price, volume)
        life.entered = _lots(life.entered + volume)
        life.volume = _lots(life.volume + volume)
        _book(life, deal)
        return Change(what, deal, replace(life), volume)

    def _leave(self, deal: TradeDeal, volume: float) -> Change | None:
        life = self.lives.get(deal.position_id)
        if life is None:
            return None
        volume = min(volume, life.volume)
        life.exit_price = _mean(life.exit_price, life.left, deal.price, volume)
        life.left = _lots(life.left + volume)
        life.volume = _lots(life.volume - volume)
        _book(life, deal)
        if life.volume > EPS:
            return Change("reduced", deal, replace(life), volume)
        del self.lives[deal.position_id]
        return Change("closed", deal, replace(life), volume)

    def _reverse(self, deal: TradeDeal) -> list[Change]:
        """Netting: one deal closes the position and opens the rest on the other side. Its
        money belongs to what it closed."""
        life = self.lives.get(deal.position_id)
        gone = life.volume if life is not None else 0.0
        changes: list[Change] = []
        closed = self._leave(deal, gone) if life is not None else None
        if closed is not None:
            changes.append(closed)
        rest = _lots(deal.volume - gone)
        if rest > EPS:
            free = deal._replace(profit=0.0, swap=0.0, commission=0.0, fee=0.0)
            changes.append(self._enter(free, rest))
        return changes


def order_of(deal: TradeDeal) -> tuple[int, int]:
    """Sort key: when it happened."""
    return (deal.time_msc or deal.time * 1000, deal.ticket)


def moment(deal: TradeDeal) -> float:
    """A deal's server time in seconds."""
    return deal.time_msc / 1000 if deal.time_msc else float(deal.time)


def close_reason(deal: TradeDeal, ours: bool, by: str | None) -> CloseReason:
    """Why a closing deal happened. ``ours``: it has our magic; ``by``: strategy or operator, where
    that is known."""
    if deal.reason == c.DEAL_REASON_SL:
        return "sl"
    if deal.reason == c.DEAL_REASON_TP:
        return "tp"
    if deal.reason == c.DEAL_REASON_SO:
        return "stop_out"
    if by == "operator":
        return "operator"
    if by == "strategy" or (ours and deal.reason == c.DEAL_REASON_EXPERT):
        return "strategy"
    return "external"


def _book(life: Life, deal: TradeDeal) -> None:
    life.profit += deal.profit
    life.swap += deal.swap
    life.commission += deal.commission + deal.fee


def _mean(old: float, weight: float, new: float, added: float) -> float:
    total = weight + added
    return round((old * weight + new * added) / total, 10) if total > EPS else new


def _lots(volume: float) -> float:
    return round(volume, 8)
