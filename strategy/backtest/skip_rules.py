"""Skips readings of the account and scans of a backtest that would change nothing.

Each rule is exact. A reading is skipped while no level is reached, no position rule acts and no
limit is near; a scan of a symbol while it could not lead to a trade. A test compares the trades and
the equity of a run with skips to a run without.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from execution.account.observer import Observation
from execution.api.structs import SymbolInfo, TradePosition

from ..trade.exit_rules import decide
from ..worker import Worker
from .precompute import PrecomputedStrategy, TickTape

AHEAD_MS = 900_000
"""How far ahead the next event of the market is searched for."""
NEAR = 0.999
"""The part of a limit from which on no reading is skipped."""


class Paper(Protocol):
    """What is used of the paper terminal beside the functions of the module."""

    @property
    def tapes(self) -> Mapping[str, Any]: ...
    @property
    def ledger(self) -> Any: ...
    @property
    def engine(self) -> Any: ...


class SkipRules:
    """The skips of one run. Call :meth:`anchor` after each reading."""

    def __init__(self, paper: Paper, worker: Worker, ahead: PrecomputedStrategy | None) -> None:
        self._paper, self._worker, self._ahead = paper, worker, ahead
        self._seen: Observation | None = None
        self._settled = False
        self._infos: Mapping[str, SymbolInfo] = {}
        self._until_ms = -1
        self._stand = (-1, -1)
        self.equity = math.nan
        """The account's equity at the newest reading, also a skipped one."""

    def anchor(self, seen: Observation, infos: Mapping[str, SymbolInfo]) -> None:
        """Note a reading of the account; ``infos`` are of the symbols with a position."""
        ledger, book = self._paper.ledger, self._worker.book
        self.equity, self._infos, self._until_ms = seen.account.equity, infos, -1
        settled = (
            not ledger.orders
            and not book.waiting
            and set(book.trades) == {p.identifier or p.ticket for p in seen.positions}
            and len(seen.positions) == len(ledger.positions)
            and seen.server_time is not None
            and all(p.symbol in infos and self._plain(p.symbol) for p in seen.positions)
        )
        self._stand = (ledger.revision, len(ledger.deals))
        self._seen, self._settled = seen, settled

    def _plain(self, symbol: str) -> bool:
        """The position's profit depends on its own symbol's price only."""
        spec, currency = self._paper.tapes[symbol].spec, self._paper.ledger.config.currency
        return currency in (spec.profit, spec.base)

    def can_skip(self, now: float) -> bool:
        """Whether a reading of the account at ``now`` would change nothing. Its side effects
        (prices seen, highest equity) are applied."""
        seen, ledger = self._seen, self._paper.ledger
        if seen is None or not self._settled or self._stand != (ledger.revision, len(ledger.deals)):
            return False
        now_ms = int(now * 1000)
        if now_ms > self._until_ms:
            self._until_ms = self._paper.engine.quiet_until(now_ms + AHEAD_MS)
            if now_ms > self._until_ms:
                return False
        blocks = self._worker.risk_limits.blocks
        if not seen.positions:
            self.equity = seen.account.equity
            if any(block.gate == "consecutive_losses" for block in blocks):
                self._worker.judge(replace(seen, server_time=now))  # its pause ends by the clock
            return True
        if blocks:
            return False
        floating = 0.0
        for position in seen.positions:
            price = self._price(position, now_ms)
            if not self._rests(position, price, now):
                return False
            own = ledger.positions[position.ticket]
            floating += ledger.profit_at(own, price) + own.swap
        floating = ledger.money(floating)
        equity = ledger.money(ledger.balance + ledger.credit + floating)
        if self._near_limit(seen, equity, floating):
            return False
        observer = self._worker.observer
        observer.peak_equity = max(observer.peak_equity or equity, equity)
        self.equity = equity
        return True

    def _price(self, position: TradePosition, now_ms: int) -> float:
        tape: TickTape = self._paper.tapes[position.symbol]
        _, bid, ask = tape.quote_at(now_ms)
        return bid if position.type == 0 else ask

    def _rests(self, position: TradePosition, price: float, now: float) -> bool:
        """Whether the rules leave the position alone at this price."""
        worker = self._worker
        worker.book.trades[position.identifier or position.ticket].saw(price)
        held = worker.positions.position_view(position._replace(price_current=price))
        info = self._infos[position.symbol]
        return held is not None and decide(held, now, worker.settings, info) is None

    def _near_limit(self, seen: Observation, equity: float, floating: float) -> bool:
        risk, realised = self._worker.risk, seen.realised_today
        if risk.daily_loss_pct is not None:
            if realised is None:
                return True
            limit = (seen.account.balance - realised) * risk.daily_loss_pct / 100.0
            if not -(realised + floating) < NEAR * limit:
                return True
        if risk.max_drawdown_pct is not None:
            peak = max(self._worker.observer.peak_equity or equity, equity)
            if not 100.0 * (peak - equity) / peak < NEAR * risk.max_drawdown_pct:
                return True
        return False

    # -- scans ------------------------------------------------------------------------------

    def to_scan(self, symbols: Sequence[str], now: float) -> tuple[str, ...]:
        """The symbols in which a scan at ``now`` could find a trade, or must read the ATR."""
        ahead = self._ahead
        if ahead is None or self._seen is None:
            return tuple(symbols)
        now_ms = int(now * 1000)
        return tuple(s for s in symbols if self._must_scan(ahead, s, now, now_ms))

    def _must_scan(self, ahead: PrecomputedStrategy, symbol: str, now: float, now_ms: int) -> bool:
        worker, seen = self._worker, self._seen
        tape: TickTape = self._paper.tapes[symbol]
        if seen is not None and any(p.symbol == symbol for p in seen.positions):
            return not self._keep_atr(ahead, symbol, tape.quote_at(now_ms)[0])
        if worker.risk_limits.blocks:
            return False
        if now - worker.book.last.get(symbol, -math.inf) < worker.settings.cooldown_s:
            return False
        quote_ms, bid, ask = tape.quote_at(now_ms)
        if now - quote_ms / 1000.0 > worker.settings.max_tick_age_s:
            return False
        return ahead.may_trade(symbol, quote_ms, bid, ask)

    def _keep_atr(self, ahead: PrecomputedStrategy, symbol: str, quote_ms: int) -> bool:
        """Let the rules of a held symbol see the ATR that a scan would have shown them."""
        worker = self._worker
        known, setup = ahead.atr(symbol, quote_ms), worker.setups.get(symbol)
        if worker.risk.max_per_symbol > 1 or worker.settings.exits.early_cut_r is not None:
            return False
        if known is None or setup is None:
            return False
        if setup.atr != known:
            worker.setups[symbol] = replace(setup, atr=known)
        return True
