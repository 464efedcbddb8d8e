"""Input of the gates: the account-wide ``AccountView`` and one symbol's ``GateInput``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from execution.api.structs import SymbolInfo, Tick
from streamer.protocol.messages import ScanCode

from ..base import Setup
from ..settings import RiskSettings, StrategySettings


@dataclass(frozen=True, slots=True)
class Block:
    """Why a symbol does not trade."""

    code: ScanCode
    text: str
    gate: str = ""
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Exposure:
    """Money at risk by currency and side: ``(currency, +1 or -1) -> account currency``.

    NaN where a position has no stop: its risk is unknown.
    """

    at_risk: Mapping[tuple[str, int], float] = field(default_factory=dict)

    def after(self, info: SymbolInfo, sign: int, money: float) -> dict[tuple[str, int], float]:
        """What the currencies of ``info`` would carry with a new trade of ``money`` risk."""
        return {key: self.at_risk.get(key, 0.0) + money for key in sides(info, sign)}


def sides(info: SymbolInfo, sign: int) -> tuple[tuple[str, int], tuple[str, int]]:
    """A buy is long of the base currency and short of the profit currency."""
    return (info.currency_base, sign), (info.currency_profit, -sign)


@dataclass(frozen=True, slots=True)
class AccountView:
    """The account-wide side of a gate input; the same for all symbols of a scan.

    ``open_symbols`` counts the bot's positions, pending orders and orders on their way, by
    symbol. ``blocks`` are the risk limits that are hit.
    """

    settings: StrategySettings
    risk: RiskSettings
    enabled: bool = True
    paused: bool = False
    halted: str | None = None
    mode: str = "observe"
    terminal: str = "connected"
    terminal_text: str = ""
    journal_ok: bool = True
    equity: float = math.nan
    margin: float = math.nan
    currency: str = ""
    open_symbols: Mapping[str, int] = field(default_factory=dict)
    open_sides: Mapping[str, int] = field(default_factory=dict)
    """Symbols with an open position of any owner: +1 long, -1 short, by net volume."""
    exposure: Exposure = field(default_factory=Exposure)
    blocks: tuple[Block, ...] = ()
    unknown: frozenset[str] = frozenset()
    """Symbols with an order of unknown outcome."""

    @property
    def planned_risk(self) -> float:
        """Money that one trade puts at risk."""
        return self.equity * self.risk.risk_per_trade_pct / 100.0


@dataclass(frozen=True, slots=True)
class GateInput:
    """Everything that the gates read of one symbol. Ages and times in seconds."""

    symbol: str
    account: AccountView
    info: SymbolInfo | None = None
    tick: Tick | None = None
    tick_age: float = math.nan
    usual_spread: float = math.nan
    """Points; the median of the symbol's trigger bars."""
    setup: Setup | None = None
    data_fault: str | None = None
    error: str | None = None
    sessions: frozenset[str] = frozenset()
    utc: float = math.nan
    news: str | None = None
    news_unreadable: bool = False
    since_last_trade_s: float = math.inf
    """Market seconds since the bot's last trade in this symbol."""
    correlate: Callable[[str], float] = lambda other: math.nan
    """Correlation with another symbol; asked only for what passed the gates before."""

    @property
    def setup_or_raise(self) -> Setup:
        """The set-up.

        Raises:
            LookupError: there is none; the gates before should have stopped the case.
        """
        if self.setup is None:
            raise LookupError("no set-up was computed")
        return self.setup

    @property
    def info_or_raise(self) -> SymbolInfo:
        """The symbol's specification, or ``LookupError``."""
        if self.info is None:
            raise LookupError("the symbol's specification is unknown")
        return self.info

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell, 0 without a direction."""
        direction = self.setup.direction if self.setup is not None else None
        return {"BUY": 1, "SELL": -1}.get(direction or "", 0)

    @property
    def spread(self) -> float:
        """Points; NaN when it is unknown."""
        if self.info is None or self.tick is None or not self.info.point > 0:
            return math.nan
        if not (self.tick.bid > 0 and self.tick.ask >= self.tick.bid):
            return math.nan
        return (self.tick.ask - self.tick.bid) / self.info.point

    @property
    def spread_limit(self) -> float:
        """Points: a multiple of the usual spread or a tenth of the ATR, whichever is more,
        and never above ``max_spread_pips``. NaN when neither is known."""
        settings, known = self.account.settings, []
        if self.usual_spread > 0:
            known.append(settings.max_spread_factor * self.usual_spread)
        if self.setup is not None and self.info is not None and self.setup.atr > 0:
            known.append(0.1 * self.setup.atr / self.info.point)
        limit = max(known, default=math.nan)
        if settings.max_spread_pips is not None:
            pips = settings.max_spread_pips * 10
            limit = pips if math.isnan(limit) else min(limit, pips)
        return limit
