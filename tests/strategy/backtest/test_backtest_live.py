"""The live worker and the backtest on the same ticks: the same trades.

The live side is the real one: a client with its queue, the terminal in a thread, the scan in
another, the worker's own two loops. Only market time is told, because real time would put its
looks and scans at other ticks on each run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from support.until import until

from execution.account.observer import Observer
from execution.orders.orders import Orders
from execution.paper import PaperTerminal, open_paper
from execution.paper.market.clock import SteppedClock
from execution.settings import PaperSettings, TerminalSettings
from execution.transport.backend import InProcess
from execution.transport.client import TerminalClient
from strategy.backtest.backtest import BacktestReport, run
from strategy.registry import load
from strategy.settings import RiskSettings, StrategySettings
from strategy.trade.trade_history import ClosedTrade
from strategy.worker import Worker

POLL_S = 5.0


class Watched(Worker):
    """The worker as it is; it counts what its loops have done."""

    begun = managed = scanned = 0

    async def manage(self, seen: Any) -> None:
        self.begun += 1
        await super().manage(seen)
        self.managed += 1

    async def cycle(self) -> Any:
        done = await super().cycle()
        self.scanned += 1
        return done


async def at_rest(worker: Watched) -> None:
    """Wait until every look, also the one after an order, has been managed."""
    await until(lambda: worker.begun == worker.managed and not worker._observed.is_set(), every=0.0)


async def live(paper: PaperSettings, plan: StrategySettings, seconds: float) -> list[ClosedTrade]:
    made: list[PaperTerminal] = []

    def factory() -> PaperTerminal:
        made.append(open_paper(paper, SteppedClock))
        return made[0]

    settings = TerminalSettings()
    client = TerminalClient(InProcess(factory), settings=settings, on_status=lambda event: None)
    observer = Observer(client, lambda event: None, settings=settings, mode="paper")
    worker = Watched(
        client,
        observer,
        Orders(client, lambda event: None, settings),
        lambda event: None,
        strategy=load(plan),
        settings=plan,
        risk=RiskSettings(),
        mode="paper",
        journal_ok=lambda: True,
    )
    await client.start()
    assert await client.wait_connected(20)
    clock = cast(SteppedClock, made[0].clock)
    began = made[0].server_now()
    task = asyncio.create_task(worker.run())
    try:
        await until(
            lambda: worker.scanned, every=0.0
        )  # its first scan, of a terminal not yet looked at
        await observer.refresh()
        await until(
            lambda: worker.managed and worker.scanned >= 2, every=0.0
        )  # woken by the first sight
        await at_rest(worker)
        next_scan = began + plan.cycle_s
        while made[0].server_now() < began + seconds:
            clock.step(POLL_S)
            managed, seen = worker.managed, worker.scanned
            await observer.refresh()
            await until(lambda m=managed: worker.managed > m, every=0.0)
            if made[0].server_now() >= next_scan:
                next_scan = made[0].server_now() + plan.cycle_s
                worker.wake()
                await until(lambda s=seen: worker.scanned > s, every=0.0)
                await at_rest(worker)
        return list(worker.book.closed)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


async def backtest(paper: PaperSettings, plan: StrategySettings, seconds: float) -> BacktestReport:
    terminal = open_paper(paper, SteppedClock)
    end = terminal.server_now() + seconds
    clock = cast(SteppedClock, terminal.clock)
    return await run(terminal, clock, load(plan), plan, RiskSettings(), until=end, poll_s=POLL_S)


@pytest.mark.parametrize("quotes", ["generated", "real"])
async def test_the_live_worker_makes_the_same_trades_on_the_same_ticks(
    quotes: str, request: pytest.FixtureRequest, busy: Callable[..., StrategySettings]
) -> None:
    paper = PaperSettings(start="2025-11-18T13:00")
    if quotes == "real":
        folder: Path = request.getfixturevalue("real_quotes") / "lean"
        paper = PaperSettings(market=folder, start="2014-05-07T12:00")
    plan = busy()
    seconds = 900.0 if quotes == "generated" else 3600.0
    found = await live(paper, plan, seconds)
    report = await backtest(paper, plan, seconds)
    assert len(report.trades) > 3
    assert [repr(trade) for trade in found] == [repr(trade) for trade in report.trades]
