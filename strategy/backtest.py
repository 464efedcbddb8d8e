"""The worker over history: the same code, on a clock that is stepped instead of waited for.

Terminal, observer, orders and worker are those of a live run; only the way to the terminal is
direct and market time is told. Same ticks and same settings give the same trades each time.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from execution import agent
from execution.backend import About, Call, Reply
from execution.client import TerminalClient
from execution.observer import Observer
from execution.orders import Orders
from execution.settings import TerminalSettings
from execution.structs import SymbolInfo
from execution.terminal import Terminal
from strategy.base import Strategy
from strategy.compute import Inline
from strategy.recall import Closed
from strategy.settings import RiskSettings, StrategySettings
from strategy.worker import Worker
from streamer.protocol import Event


class Stepped(Protocol):
    """A clock that stands still until it is set, in market seconds."""

    def now(self) -> float: ...
    def step(self, seconds: float) -> None: ...


class PaperLike(Terminal, Protocol):
    """A terminal that tells its time."""

    def server_now(self) -> float: ...


class Direct:
    """A backend that calls the terminal in place."""

    name = "paper"

    def __init__(self, terminal: PaperLike) -> None:
        self.terminal = terminal

    async def start(self, deadline: float) -> None:
        """Nothing to start."""

    async def call(
        self, function: str, args: Sequence[Any], kwargs: dict[str, Any], deadline: float
    ) -> Reply:
        return Reply(*agent.perform(self.terminal, (function, args, kwargs)))

    async def batch(self, calls: Sequence[Call], deadline: float) -> list[Reply]:
        return [Reply(*agent.perform(self.terminal, call)) for call in calls]

    async def about(self, deadline: float) -> About:
        offset = float(getattr(self.terminal, "utc_offset", 0.0))
        # speed 0: between two steps no market time passes, however long they take
        return About("backtest", 0.0, self.terminal.server_now(), offset)

    async def stop(self) -> None:
        self.terminal.shutdown()

    def kill(self) -> None:
        """Nothing to kill."""


class DirectClient(TerminalClient):
    """``TerminalClient`` without queue, deadlines and tasks: calls happen in place."""

    _known: dict[str, tuple[float, SymbolInfo]]

    async def open(self) -> None:
        """Connect. Raises :class:`TerminalError`."""
        self._known = {}
        await self._connect()

    async def _submit(
        self, function: str, work: Callable[[float], Any], priority: int | None = None
    ) -> Any:
        return await work(0.0)

    async def spec(self, symbol: str, max_age: float = 60.0) -> SymbolInfo:
        # ages in market time: the real time of the live client would differ from run to run
        now = await self.server_now() or 0.0
        known = self._known.get(symbol)
        if known is None or now - known[0] >= max_age:
            known = self._known[symbol] = (now, await self.symbol_info(symbol))
        return known[1]


@dataclass
class Report:
    """What came of a run. Money in account currency, times in server seconds."""

    began: float
    ended: float
    start_balance: float
    trades: list[Closed] = field(default_factory=list)
    equity: list[tuple[float, float]] = field(default_factory=list)
    stopped: Counter[str] = field(default_factory=Counter)
    """Symbol-scans by the gate that stopped them; ``passed`` is the rest."""
    scans: int = 0
    orders: int = 0
    seconds: float = 0.0
    """Real seconds that the run took."""

    def statistics(self) -> dict[str, float]:
        """Over the closed trades; NaN where there are none to count."""
        r = [t.r for t in self.trades if math.isfinite(t.r)]
        wins = [t.net for t in self.trades if t.net > 0]
        losses = [-t.net for t in self.trades if t.net < 0]
        peak, drawdown = -math.inf, 0.0
        for _, value in self.equity:
            peak = max(peak, value)
            drawdown = max(drawdown, (peak - value) / peak * 100.0)
        count = len(self.trades)
        held = [t.closed - t.opened for t in self.trades]
        return {
            "trades": float(count),
            "net": sum(t.net for t in self.trades),
            "win_rate_pct": 100.0 * len(wins) / count if count else math.nan,
            "average_r": sum(r) / len(r) if r else math.nan,
            "profit_factor": sum(wins) / sum(losses) if losses else math.nan,
            "max_drawdown_pct": drawdown,
            "average_minutes": sum(held) / count / 60.0 if count else math.nan,
        }


async def run(
    terminal: PaperLike,
    clock: Stepped,
    strategy: Strategy,
    settings: StrategySettings,
    risk: RiskSettings,
    *,
    until: float,
    poll_s: float = 5.0,
    symbols: Sequence[str] = (),
    publish: Callable[[Event], None] | None = None,
    go_on: Callable[[float, int], bool] = lambda now, trades: True,
) -> Report:
    """Trade from the clock's present until server time ``until``, or the market's end.

    Args:
        poll_s: How often, in market seconds, the account is looked at and the position rules
            are asked; live it is ``terminal.poll_s``.
        go_on: Asked each market minute with server time and the count of closed trades;
            ``False`` ends the run.

    Raises:
        TerminalError: the terminal cannot be opened.
    """
    began = time.perf_counter()
    events = publish or (lambda event: None)
    execution = TerminalSettings.model_validate({"symbols": list(symbols)})
    client = DirectClient(Direct(terminal), settings=execution, on_status=events)
    await client.open()
    observer = Observer(client, events, settings=execution, mode="paper", symbols=symbols)
    orders = Orders(client, events, execution)
    worker = Worker(
        client,
        observer,
        orders,
        events,
        strategy=strategy,
        settings=settings,
        risk=risk,
        mode="paper",
        journal_ok=lambda: True,
        compute=Inline(),
    )
    if worker.calendar is not None and settings.news.source is not None:
        await worker.calendar.read(settings.news.source)
    now = terminal.server_now()
    report = Report(now, now, (await client.account_info()).balance)
    next_scan, noted = now, -math.inf
    while now < until:
        clock.step(min(poll_s, max(until - now, 1e-3)))
        before, now = now, terminal.server_now()
        if now <= before:
            break  # the recorded quotes are at their end
        seen = await observer.refresh()
        if seen is None:
            continue
        await worker.manage(seen)
        if now - noted >= 60.0:
            report.equity.append((now, seen.account.equity))
            noted = now
            await asyncio.sleep(0)
            if not go_on(now, len(worker.book.closed)):
                break
        if now >= next_scan:
            scan = await worker.cycle()
            next_scan = now + settings.cycle_s
            if scan is not None:
                report.scans += 1
                names = ["passed" if r.stop is None else r.stop.gate for r in scan.rows.values()]
                report.stopped.update(names)
    report.trades = list(worker.book.closed)
    report.ended, report.seconds = now, time.perf_counter() - began
    await client.backend.stop()
    return report
