"""What the strategy's tests share: a paper terminal on a stepped clock, random walks, cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from execution.account.observer import Observer
from execution.api.structs import SymbolInfo, Tick
from execution.orders.orders import Orders
from execution.paper.market.clock import SteppedClock
from execution.paper.market.generator import GeneratedMarket
from execution.paper.opening import account_config
from execution.paper.server.terminal import PaperTerminal
from execution.settings import PaperSettings, TerminalSettings
from strategy.backtest.backtest import Direct, DirectClient
from strategy.base import Setup
from strategy.registry import load
from strategy.scan.gate_context import AccountView, GateInput
from strategy.scan.worker_thread import Inline
from strategy.settings import RiskSettings, StrategySettings
from strategy.worker import Worker
from streamer.protocol.messages import Command, CommandResult, Event

BUSY: dict[str, Any] = {
    "min_score": 45.0,
    "min_stop_spreads": 5.0,
    "max_cost_pct": 30.0,
    "cooldown_s": 60.0,
    "exits": {"time_stop_bars": 10},
}
"""Many trades in little time, which the shipped settings avoid."""
BUSY_RISK = {"risk_per_trade_pct": 0.25}
START = 1_763_470_800.0  # 2025-11-18 13:00 UTC, a Tuesday


@dataclass
class Bench:
    """A worker over a paper terminal whose time is told. ``step`` lets market time pass."""

    clock: SteppedClock
    terminal: PaperTerminal
    settings: StrategySettings = field(default_factory=lambda: StrategySettings(**BUSY))
    risk: RiskSettings = field(default_factory=lambda: RiskSettings(**BUSY_RISK))
    mode: str = "paper"
    journal_ok: bool = True
    strategy: Any = None
    compute: Any = None
    left_open: Any = None
    events: list[Event] = field(default_factory=list)

    async def open(self) -> Bench:
        """Make client, observer, orders and worker anew, as after a restart of the program."""
        settings = TerminalSettings.model_validate({"symbols": self.settings.symbols})
        self.client = DirectClient(
            Direct(self.terminal), settings=settings, on_status=self.events.append
        )
        await self.client.open()
        self.orders = Orders(self.client, self.events.append, settings)
        self.observer = Observer(
            self.client,
            self.events.append,
            settings=settings,
            mode=self.mode,
            symbols=self.settings.symbols,
            sent=self.orders.sent,
        )
        self.worker = Worker(
            self.client,
            self.observer,
            self.orders,
            self.events.append,
            strategy=self.strategy or load(self.settings),
            settings=self.settings,
            risk=self.risk,
            mode=self.mode,  # type: ignore[arg-type]
            journal_ok=lambda: self.journal_ok,
            compute=self.compute or Inline(),
            left_open=self.left_open,
        )
        await self.refresh_account()
        return self

    async def refresh_account(self) -> None:
        seen = await self.observer.refresh()
        assert seen is not None
        await self.worker.manage(seen)

    async def step(self, seconds: float) -> None:
        self.clock.step(seconds)
        await self.refresh_account()

    async def cycle_until(self, kind: str, minutes: float = 60) -> Event:
        """Scan every ten market seconds until an event of this kind comes."""
        known = len(self.events)
        for _ in range(int(minutes * 6)):
            await self.step(10.0)
            await self.worker.cycle()
            found = [e for e in self.events[known:] if type(e).__name__ == kind]
            if found:
                return found[0]
        raise AssertionError(f"no {kind} in {minutes:g} market minutes")

    def told(self, kind: str) -> list[Any]:
        return [e for e in self.events if type(e).__name__ == kind]

    async def command(self, name: str, **args: Any) -> CommandResult:
        return await self.worker.command(Command(id=uuid4().hex, name=name, args=args), "tester")


@pytest.fixture(scope="session")
def busy() -> Callable[..., StrategySettings]:
    """``busy(**changes)``: settings that trade often, with changes."""

    def make(**changes: Any) -> StrategySettings:
        exits = {**BUSY["exits"], **changes.pop("exits", {})}
        return StrategySettings.model_validate({**BUSY, **changes, "exits": exits})

    return make


@pytest.fixture(scope="session")
def bench() -> Callable[..., Bench]:
    """``bench(**settings)``: a bench that is not opened yet."""

    def make(start: float = START, seed: int = 7, **kwargs: Any) -> Bench:
        market = GeneratedMarket(seed, start)
        clock = SteppedClock(market.start)
        terminal = PaperTerminal(market, clock, account_config(PaperSettings()))
        return Bench(clock, terminal, **kwargs)

    return make


@pytest.fixture(scope="session")
def walk() -> Callable[..., tuple[Any, Any, Any, Any]]:
    """``walk(bars, series, seed)``: open, high, low, close of random walks."""

    def make(bars: int = 400, series: int = 4, seed: int = 1) -> tuple[Any, Any, Any, Any]:
        rng = np.random.default_rng(seed)
        close = 1.1 * np.exp(np.cumsum(rng.standard_t(4, (bars, series)) * 2e-4, axis=0))
        open_ = np.vstack((close[:1], close[:-1]))
        # rounded to a coarse tick, so that equal highs and lows do occur
        open_, close = np.round(open_, 4), np.round(close, 4)
        high = np.round(np.maximum(open_, close) + abs(rng.normal(0, 1e-4, close.shape)), 4)
        low = np.round(np.minimum(open_, close) - abs(rng.normal(0, 1e-4, close.shape)), 4)
        return open_, high, low, close

    return make


def symbol(**changes: Any) -> SymbolInfo:
    """A EURUSD of five digits on a USD account."""
    zero: dict[str, Any] = {
        name: "" if kind is str else kind()
        for name, kind in SymbolInfo.__annotations__.items()
        if isinstance(kind, type)
    }
    info = SymbolInfo(**zero)
    values: dict[str, Any] = {
        "name": "EURUSD",
        "digits": 5,
        "point": 1e-5,
        "trade_tick_size": 1e-5,
        "trade_tick_value": 1.0,
        "trade_tick_value_loss": 1.0,
        "trade_contract_size": 100_000.0,
        "volume_min": 0.01,
        "volume_max": 100.0,
        "volume_step": 0.01,
        "trade_mode": 4,
        "currency_base": "EUR",
        "currency_profit": "USD",
    }
    return info._replace(**(values | changes))


def tick(bid: float = 1.1, ask: float = 1.10011, at: float = START) -> Tick:
    return Tick(int(at), bid, ask, 0.0, 0, int(at * 1000), 6, 0.0)


def good_case(**changes: Any) -> GateInput:
    """A case that passes every gate; ``account=`` and ``setup=`` take dicts of changes."""
    settings, risk = StrategySettings(**BUSY), RiskSettings(**BUSY_RISK)
    account = AccountView(settings, risk, mode="paper", equity=10_000.0, margin=0.0, currency="USD")
    setup = Setup(
        "EURUSD",
        "BUY",
        score=70.0,
        components={"bias": 70.0},
        regime="TRENDING",
        atr=0.0005,
        trigger="M1 CHoCH",
        entry=1.10011,
        sl=1.09911,
        tp=1.10161,
    )
    if "correlations" in changes:
        known = changes.pop("correlations")
        changes["correlate"] = lambda other: known.get(other, float("nan"))
    account_changes, setup_changes = changes.pop("account", {}), changes.pop("setup", {})
    case = GateInput(
        "EURUSD",
        replace(account, **account_changes),
        info=symbol(),
        tick=tick(),
        tick_age=1.0,
        usual_spread=11.0,
        setup=None if setup_changes is None else replace(setup, **setup_changes),
        sessions=frozenset({"london"}),
        utc=START,
        since_last_trade_s=1e6,
    )
    return replace(case, **changes)


@pytest.fixture(scope="session")
def case() -> Callable[..., GateInput]:
    return good_case


@pytest.fixture(scope="session")
def info() -> Callable[..., SymbolInfo]:
    return symbol
