"""Runs the worker over history: the same code, on a clock that is stepped.

Terminal, observer, orders and worker are those of a live run; only the terminal is called in place
and market time is set. Same ticks and same settings give the same trades each time.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from execution import agent
from execution.account.observer import Observation, Observer
from execution.api.structs import SymbolInfo
from execution.orders.orders import Orders
from execution.paper import PaperTerminal
from execution.paper.account.money import tick_values
from execution.settings import TerminalSettings
from execution.transport.backend import About, Call, Reply
from execution.transport.client import TerminalClient
from execution.transport.traits import IN_MEMORY
from streamer.protocol.messages import Event

from ..base import Strategy
from ..institutional.strategy import InstitutionalStrategy
from ..scan.worker_thread import Inline
from ..settings import RiskSettings, StrategySettings
from ..trade.trade_history import ClosedTrade
from ..worker import Worker
from .precompute import PrecomputedStrategy
from .skip_rules import SkipRules


class Stepped(Protocol):
    """A clock that moves only when it is stepped, in market seconds."""

    def now(self) -> float: ...
    def step(self, seconds: float) -> None: ...


class Direct:
    """A backend that calls the terminal in place."""

    name = "paper"
    traits = IN_MEMORY

    def __init__(self, terminal: PaperTerminal) -> None:
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

    paper: PaperTerminal
    _known: dict[str, SymbolInfo]
    _currency: str

    async def open(self) -> None:
        """Connect. Raises :class:`TerminalError`."""
        self.paper, self._known = cast(Direct, self.backend).terminal, {}
        await self._connect()
        self._currency = (await self.account_info()).currency

    async def _submit(
        self, function: str, work: Callable[[float], Any], priority: int | None = None
    ) -> Any:
        return await work(0.0)

    async def spec(self, symbol: str, max_age: float = 60.0) -> SymbolInfo:
        """Tick values are those of the present, so that nothing depends on when it was asked for
        before; prices in it are those of the first time."""
        known = self._known.get(symbol)
        if known is None:
            known = self._known[symbol] = await self.symbol_info(symbol)
        if known.currency_profit == self._currency:
            return known  # the same always
        ledger = self.paper.ledger
        gain, loss = tick_values(ledger.tapes[symbol].spec, ledger.converter)
        return known._replace(
            trade_tick_value=gain, trade_tick_value_profit=gain, trade_tick_value_loss=loss
        )

    async def server_now(self) -> float:
        return self.paper.server_now()


class Stepping(Worker):
    """A worker whose scans can be limited to some symbols."""

    only: Sequence[str] = ()

    async def _universe(self) -> tuple[str, ...]:
        every = await super()._universe()
        return tuple(symbol for symbol in every if symbol in self.only)

    async def freshen(self, left_out: Collection[str], seen: Observation) -> None:
        """Read the bars that a correlation may need, of open positions in symbols that the scan
        leaves out."""
        held = sorted({p.symbol for p in seen.positions if p.symbol in left_out})
        if held:
            ticks = {s: (await self.client.symbol_info_tick(s)).time_msc / 1000.0 for s in held}
            frames = self.scanner.strategy.timeframes
            await self.scanner.bar_cache.refresh(self.client, ticks, frames[:2][-1:])


@dataclass
class BacktestReport:
    """The result of a run. Money in account currency, times in server seconds."""

    began: float
    ended: float
    start_balance: float
    trades: list[ClosedTrade] = field(default_factory=list)
    equity: list[tuple[float, float]] = field(default_factory=list)
    stopped: Counter[str] = field(default_factory=Counter)
    """Symbol-scans by the gate that stopped them; ``passed`` is the rest, ``waiting`` those
    that were left out because they could not lead to a trade."""
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
    terminal: PaperTerminal,
    clock: Stepped,
    strategy: Strategy,
    settings: StrategySettings,
    risk: RiskSettings,
    *,
    until: float,
    poll_s: float = 5.0,
    symbols: Sequence[str] = (),
    publish: Callable[[Event], None] | None = None,
    every: bool = False,
    go_on: Callable[[float, int], bool] = lambda now, trades: True,
) -> BacktestReport:
    """OpenTrade from the clock's present until server time ``until``, or the market's end.

    Args:
        poll_s: Market seconds between two readings of the account, each followed by the position
            rules; live it is ``terminal.poll_s``.
        publish: Gets all events of the run; no reading and no scan is left out then.
        every: Leave out no reading and no scan: slower, the same trades, a count for each gate.
        go_on: Called each market minute with server time and the count of closed trades;
            ``False`` ends the run.

    Raises:
        TerminalError: the terminal cannot be opened.
    """
    began = time.perf_counter()
    events = publish or (lambda event: None)
    execution = TerminalSettings.model_validate({"symbols": list(symbols)})
    client = DirectClient(Direct(terminal), settings=execution, on_status=events)
    await client.open()
    orders = Orders(client, events, execution)
    observer = Observer(
        client, events, settings=execution, mode="paper", symbols=symbols, sent=orders.sent
    )
    ahead = None
    if type(strategy) is InstitutionalStrategy:  # a subclass may see more than its ceiling says
        offset = float(client.clock.utc_offset or 0.0)
        ahead = PrecomputedStrategy(strategy, terminal.tapes, settings.bars, offset)
    worker = Stepping(
        client,
        observer,
        orders,
        events,
        strategy=strategy if ahead is None or every else ahead,
        settings=settings,
        risk=risk,
        mode="paper",
        journal_ok=lambda: True,
        compute=Inline(),
    )
    if worker.calendar is not None and settings.news.source is not None:
        await worker.calendar.read(settings.news.source)
    now = terminal.server_now()
    report = BacktestReport(now, now, (await client.account_info()).balance)
    skip = None if every or publish is not None else SkipRules(terminal, worker, ahead)
    seen, next_scan, noted = await observer.refresh(), now, -math.inf
    names = tuple(settings.symbols or observer.symbols)
    step = 0.0  # the first reading and scan are at the start, as live
    while seen is not None:
        clock.step(step)
        before, now = now, terminal.server_now()
        if step and now <= before:
            break  # the recorded quotes are at their end
        step = min(poll_s, max(until - now, 1e-3))
        due = now >= next_scan
        passed = skip is not None and skip.can_skip(now)
        wanted = names if due else ()
        if skip is not None and passed:
            wanted = skip.to_scan(wanted, now)
        if wanted or not passed:
            seen = await observer.refresh()
            if seen is None:
                break
            await worker.manage(seen)
            if skip is not None:
                skip.anchor(seen, await _infos(client, seen))
                wanted = skip.to_scan(wanted, now)
        if now - noted >= 60.0:
            report.equity.append((now, seen.account.equity if skip is None else skip.equity))
            noted = now
            await asyncio.sleep(0)
            if not go_on(now, len(worker.book.closed)):
                break
        if due:
            next_scan = now + settings.cycle_s
            report.scans += 1
            report.stopped["waiting"] += len(names) - len(wanted)
        if wanted:
            await worker.freshen(set(names) - set(wanted), seen)
            worker.only = wanted
            scan = await worker.cycle()
            if scan is not None:
                blocks = [row.block for row in scan.rows.values()]
                report.stopped.update("passed" if b is None else b.gate for b in blocks)
            if observer.latest is not None and observer.latest is not seen:
                # live, the rules follow each reading, also the one after an order
                seen = observer.latest
                await worker.manage(seen)
            if skip is not None:
                skip.anchor(seen, await _infos(client, seen))
        if now >= until:
            break
    report.stopped += Counter()  # without zeros
    report.trades = list(worker.book.closed)
    report.ended, report.seconds = now, time.perf_counter() - began
    await client.backend.stop()
    return report


async def _infos(client: TerminalClient, seen: Observation) -> dict[str, SymbolInfo]:
    return {p.symbol: await client.spec(p.symbol) for p in seen.positions}
