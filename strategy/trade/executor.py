"""Sends the order of a candidate and the request of a position rule: once, and recorded."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from execution.api import constants as c
from execution.api.structs import SymbolInfo, Tick
from execution.api.terminal import TerminalError
from execution.orders.orders import OrderOutcome

from ..base import Direction, Setup
from ..risk.sizing import allowed_risk, kelly_share, size
from ..scan.gate_context import AccountView, Block, GateInput
from ..scan.gates import first_block
from ..scan.scanner import SymbolResult
from ..settings import RiskSettings, StrategySettings
from .exit_rules import Action, Close
from .trade_book import TradeBook

log = logging.getLogger(__name__)

RETRY_S = 30.0
"""Market seconds until a position rule that the broker refused is tried again."""


class PriceReader(Protocol):
    """What the trader reads of ``TerminalClient``."""

    async def spec(self, symbol: str, /) -> SymbolInfo: ...
    async def symbol_info_tick(self, symbol: str, /) -> Tick: ...
    async def order_calc_profit(
        self, action: int, symbol: str, volume: float, price_open: float, price_close: float, /
    ) -> float: ...
    async def order_calc_margin(
        self, action: int, symbol: str, volume: float, price: float, /
    ) -> float: ...


class OrderSender(Protocol):
    """What the trader uses of ``Orders``."""

    async def open(
        self,
        symbol: str,
        direction: Direction,
        volume: float,
        sl: float | None = None,
        tp: float | None = None,
        comment: str = "",
    ) -> OrderOutcome: ...
    async def close(self, ticket: int, volume: float | None = None) -> OrderOutcome: ...
    async def modify(
        self, ticket: int, sl: float | None = None, tp: float | None = None
    ) -> OrderOutcome: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of a candidate: the outcome of its order, or the block that it met."""

    block: Block | None = None
    outcome: OrderOutcome | None = None
    risk: float = math.nan


@dataclass
class Executor:
    """Sends the bot's orders."""

    terminal: PriceReader
    orders: OrderSender
    book: TradeBook
    settings: StrategySettings
    risk: RiskSettings
    justify: Callable[[int, Setup, float], None]
    """Gets the order's ticket, the set-up and the money at risk, for the events of the trade."""
    _refused: dict[int, float] = field(default_factory=dict)

    async def take(self, row: SymbolResult, view: AccountView) -> Taken:
        """Check a candidate again at the present price, size it, send it.

        Raises:
            TerminalError: the terminal did not answer before anything was sent.
        """
        case = await self._at_present(row.case, view)
        block = first_block(case)
        if block is not None:
            return Taken(block)
        setup, info = case.setup_or_raise, case.info_or_raise
        action = c.ORDER_TYPE_BUY if case.sign > 0 else c.ORDER_TYPE_SELL
        loss = await self.terminal.order_calc_profit(
            action, case.symbol, 1.0, setup.entry, setup.sl
        )
        results = [trade.r for trade in self.book.closed]
        kelly = None
        if self.risk.kelly_fraction is not None:
            kelly = kelly_share(results, self.risk.kelly_fraction, self.risk.kelly_min_trades)
        money = allowed_risk(view.equity, self.risk, kelly)
        lot = size(money, -loss + self.settings.commission_per_lot, info, self.risk.max_lot)
        if lot.refused is not None:
            return Taken(Block("RISK", lot.refused, "size"))
        margin = await self.terminal.order_calc_margin(action, case.symbol, lot.volume, setup.entry)
        most = view.equity * self.risk.max_margin_pct / 100.0
        if not view.margin + margin <= most:
            text = f"Exec Block: Margin Too High ({view.margin + margin:.2f} > {most:.2f})"
            return Taken(Block("RISK", text, "margin", view.margin + margin, most))
        direction: Direction = "BUY" if case.sign > 0 else "SELL"
        outcome = await self.orders.open(
            case.symbol, direction, lot.volume, setup.sl, setup.tp, self.settings.comment
        )
        if outcome.order is not None and outcome.ok:
            self.justify(outcome.order, setup, lot.risk)
        return Taken(outcome=outcome, risk=lot.risk)

    async def _at_present(self, case: GateInput, view: AccountView) -> GateInput:
        """The case with the newest tick: the stop stays where the structure is, the target
        keeps its place, so a price that ran away shows as a worse R."""
        tick = await self.terminal.symbol_info_tick(case.symbol)
        setup = replace(case.setup_or_raise, entry=tick.ask if case.sign > 0 else tick.bid)
        return replace(case, account=view, tick=tick, setup=setup)

    async def apply(self, ticket: int, action: Action, now: float) -> OrderOutcome | None:
        """Carry out a position rule; ``None`` while a refused one waits."""
        if now < self._refused.get(ticket, -math.inf):
            return None
        try:
            if isinstance(action, Close):
                outcome = await self.orders.close(ticket, action.volume)
            else:
                outcome = await self.orders.modify(ticket, sl=action.sl)
        except TerminalError as error:
            log.info("%s of position %d: %s", action, ticket, error)
            self._refused[ticket] = now + RETRY_S
            return None
        if outcome.ok:
            self._refused.pop(ticket, None)
        else:
            log.info("%s of position %d: %s", action, ticket, outcome.text)
            self._refused[ticket] = now + RETRY_S
        return outcome

    def forget(self, open_tickets: Mapping[int, object]) -> None:
        """Drop the notes of positions that are closed."""
        self._refused = {t: at for t, at in self._refused.items() if t in open_tickets}
