"""The bot's own trades: open ones, closed ones, and their results."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from execution.api.structs import TradeDeal, TradeOrder, TradePosition
from execution.api.terminal import TerminalError

from . import trade_history
from .exit_rules import PositionView
from .trade_history import ClosedTrade, OpenTrade, by_position, closed_from, past_of, trade_from

log = logging.getLogger(__name__)

LOOK_BACK_S = 7 * 86_400
"""How far back closed trades are read at a start."""
FUTURE = 2 * 86_400
"""Dates of a query end this far ahead: the server's clock is not ours."""
PATIENCE = 20
"""Polls before an order without deals is dropped."""


class DealReader(trade_history.HistoryReader, Protocol):
    """What the book reads of ``TerminalClient``."""

    async def history_deals_get(self, *dates: Any, **kwargs: Any) -> tuple[TradeDeal, ...]: ...
    async def history_orders_get(self, *dates: Any, **kwargs: Any) -> tuple[TradeOrder, ...]: ...


@dataclass(slots=True)
class OrderReason:
    """Score and components that justified an order; ``attempts`` counts the searches for it."""

    score: float | None
    components: Mapping[str, float]
    attempts: int = 0


@dataclass
class TradeBook:
    """Open and closed trades with the bot's ``magic``."""

    magic: int
    trades: dict[int, OpenTrade] = field(default_factory=dict)
    closed: list[ClosedTrade] = field(default_factory=list)
    last: dict[str, float] = field(default_factory=dict)
    """Server time of the bot's newest deal by symbol."""
    restored: bool = False
    open_at_last_exit: Mapping[int, OrderReason] = field(default_factory=dict)
    """Positions that were open when the run before ended, and why they had been opened."""
    _why: dict[int, OrderReason] = field(default_factory=dict)

    def justify(self, order: int, score: float, components: Mapping[str, float]) -> None:
        """Note why an order was sent, until its position is seen."""
        self._why[order] = OrderReason(score, dict(components))

    @property
    def waiting(self) -> bool:
        """Whether the trade of an order is still being searched for."""
        return bool(self._why)

    async def restore(self, terminal: DealReader, now: float) -> list[ClosedTrade]:
        """Read the closed trades of the last days and return those that closed while the
        program was away. Safe to repeat.

        Raises:
            TerminalError: the history cannot be read now.
        """
        dates = int(now - LOOK_BACK_S), int(now + FUTURE)
        deals = await terminal.history_deals_get(*dates)
        orders = await terminal.history_orders_get(*dates)
        found = {trade.ticket: trade for trade in self.closed}
        for ticket, own in by_position(deals, self.magic).items():
            self._touch(own)
            info = None
            try:
                info = await terminal.spec(own[0].symbol)
            except TerminalError:
                log.info("%s is not there any more: its trades have no R", own[0].symbol)
            trade = trade_from(ticket, own, orders, info)
            done = closed_from(ticket, own, trade)
            if done is None or trade is None:
                continue
            if ticket in self.open_at_last_exit and info is not None:
                self._explain(trade, ())
                trade.saw(trade.entry)
                await trade_history.prices_since(terminal, trade, info, now, done.closed)
                done = closed_from(ticket, own, trade) or done
            found.setdefault(ticket, done)
        self.closed = sorted(found.values(), key=lambda t: (t.closed, t.ticket))
        self.restored = True
        return [trade for trade in self.closed if trade.ticket in self.open_at_last_exit]

    async def update(
        self, terminal: DealReader, positions: Iterable[TradePosition], now: float
    ) -> list[ClosedTrade]:
        """Take the open positions and return the bot's trades that closed, also those that opened
        and closed between two readings."""
        mine = {p.identifier or p.ticket: p for p in positions if p.magic == self.magic}
        for ticket, position in mine.items():
            if ticket not in self.trades:
                try:
                    await self._take_up(terminal, position, now)
                except TerminalError as error:
                    log.info("position %d is not followed yet: %s", ticket, error)
                    continue
            self.trades[ticket].saw(position.price_current)
        out: list[ClosedTrade] = []
        for ticket in [t for t in self.trades if t not in mine]:
            try:
                deals, _ = await past_of(terminal, ticket)
            except TerminalError as error:
                log.info("the end of position %d is unknown yet: %s", ticket, error)
                continue
            done = closed_from(ticket, deals, self.trades[ticket])
            if done is not None:  # else its last deal is not in the history yet: try again
                del self.trades[ticket]
                out.append(self._close(done, deals))
        for order in list(self._why):
            out += await self._missed(terminal, order, mine)
        return out

    def position_view(
        self, position: TradePosition, atr: float, turned: bool
    ) -> PositionView | None:
        """The position as the rules see it; ``None`` while it is not followed."""
        trade = self.trades.get(position.identifier or position.ticket)
        if trade is None:
            return None
        return PositionView(
            ticket=position.ticket,
            symbol=trade.symbol,
            sign=trade.sign,
            volume=position.volume,
            first_volume=max(trade.first_volume, position.volume),
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

    def since_last_trade_s(self, now: float) -> dict[str, float]:
        """Server seconds since the bot's newest deal, by symbol."""
        return {symbol: now - at for symbol, at in self.last.items()}

    async def _take_up(self, terminal: DealReader, position: TradePosition, now: float) -> None:
        """Start to follow a position."""
        ticket = position.identifier or position.ticket
        info = await terminal.spec(position.symbol)
        deals, orders = await past_of(terminal, ticket)
        trade = trade_from(ticket, deals, orders, info)
        if trade is None:
            raise TerminalError(-1, "its deals are not in the history yet")
        if trade.first_sl == 0.0 and trade.sign * (trade.entry - position.sl) > 0:
            # opened without a stop: the first one it got, while it is still a risk
            trade.first_sl = max(position.sl, 0.0)
        trade.saw(trade.entry)
        await trade_history.prices_since(terminal, trade, info, now)
        self._explain(trade, deals)
        self._touch(deals)
        self.trades[ticket] = trade

    async def _missed(
        self, terminal: DealReader, order: int, mine: Mapping[int, TradePosition]
    ) -> list[ClosedTrade]:
        """The trade of an order of ours that was never seen among the positions."""
        why = self._why[order]
        why.attempts += 1
        try:
            found = await terminal.history_deals_get(ticket=order)
            ticket = found[0].position_id if found else 0
            if ticket in mine or why.attempts > PATIENCE:
                del self._why[order]
            if not found or ticket in mine or any(t.ticket == ticket for t in self.closed):
                return []
            info = await terminal.spec(found[0].symbol)
            deals, orders = await past_of(terminal, ticket)
        except TerminalError as error:
            log.info("the deals of order %d are unknown yet: %s", order, error)
            return []
        trade = trade_from(ticket, deals, orders, info)
        if trade is not None:
            trade.saw(trade.entry)
            self._explain(trade, deals)
        done = closed_from(ticket, deals, trade)
        return [] if done is None else [self._close(done, deals)]

    def _explain(self, trade: OpenTrade, deals: Iterable[TradeDeal]) -> None:
        before = self.open_at_last_exit.get(trade.ticket)
        if before is not None:
            trade.score, trade.components = before.score, before.components
        for deal in deals:
            why = self._why.pop(deal.order, None)
            if why is not None:
                trade.score, trade.components = why.score, why.components

    def _close(self, done: ClosedTrade, deals: Iterable[TradeDeal]) -> ClosedTrade:
        self.closed.append(done)
        self._touch(deals)
        return done

    def _touch(self, deals: Iterable[TradeDeal]) -> None:
        for deal in deals:
            at = deal.time_msc / 1000.0
            self.last[deal.symbol] = max(self.last.get(deal.symbol, -math.inf), at)
