"""The worker's own loops on a real client in a thread: start, trouble, stop."""

from __future__ import annotations

import asyncio
from typing import Any

from support.until import until

from execution.account.observer import Observer
from execution.orders.orders import Orders
from execution.paper import open_paper
from execution.paper.market.symbols import SPECS
from execution.settings import PaperSettings, TerminalSettings
from execution.transport.backend import InProcess
from execution.transport.client import TerminalClient
from strategy.registry import load
from strategy.settings import RiskSettings, StrategySettings
from strategy.worker import Worker


class Live:
    def __init__(self, speed: float = 60.0, **changes: Any) -> None:
        self.events: list[Any] = []
        self.terminals: list[Any] = []
        settings = TerminalSettings(poll_s=0.1, quotes_s=0.1)
        strategy = StrategySettings(**changes)

        def factory() -> Any:
            self.terminals.append(open_paper(PaperSettings(speed=speed, start="2025-11-18T13:00")))
            return self.terminals[-1]

        self.client = TerminalClient(
            InProcess(factory), settings=settings, on_status=self.events.append
        )
        self.observer = Observer(
            self.client, self.events.append, settings=settings, mode="paper", symbols=()
        )
        self.worker = Worker(
            self.client,
            self.observer,
            Orders(self.client, self.events.append, settings),
            self.events.append,
            strategy=load(strategy),
            settings=strategy,
            risk=RiskSettings(),
            mode="paper",
            journal_ok=lambda: True,
        )

    def told(self, kind: str) -> list[Any]:
        return [e for e in self.events if type(e).__name__ == kind]

    async def __aenter__(self) -> Live:
        await self.client.start()
        self.tasks = [
            asyncio.create_task(self.observer.run()),
            asyncio.create_task(self.worker.run()),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.client.close()


async def test_it_scans_at_the_first_sight_of_the_terminal_and_tells_the_next_scan() -> None:
    async with Live(speed=1.0) as live:
        await until(lambda: live.told("ScanSummary"), 5.0)  # the cycle is ten seconds
        status = await until(lambda: [s for s in live.told("BotStatus") if s.gates], 5.0)
        assert status[-1].next_scan_at is not None
        summary = live.told("ScanSummary")[-1]
        assert sum(status[-1].gates.values()) + summary.candidates == summary.count == len(SPECS)
        assert live.told("BotStatus")[0].state == "starting"


async def test_while_the_terminal_is_away_the_rows_say_so_and_trading_comes_back() -> None:
    async with Live() as live:
        await until(lambda: live.told("ScanSummary"))
        live.terminals[0].faults.ipc_lost = True
        summary = await until(
            lambda: [s for s in live.told("ScanSummary") if s.details["EURUSD"].code == "TERMINAL"]
        )
        assert all(text.startswith("Terminal ") for text in summary[-1].symbols.values())
        status = await until(lambda: [s for s in live.told("BotStatus") if s.reason])
        assert status[-1].reason.code == "TERMINAL"
        known = len(live.told("ScanSummary"))
        live.terminals[0].faults.ipc_lost = False
        await until(
            lambda: [
                s for s in live.told("ScanSummary")[known:] if s.details["EURUSD"].score is not None
            ]
        )


async def test_scan_now_does_not_wait_for_the_cycle() -> None:
    from streamer.protocol.messages import Command

    async with Live(speed=1.0) as live:
        await until(lambda: live.told("ScanSummary"))
        known = len(live.told("ScanSummary"))
        assert (await live.worker.command(Command(id="1", name="scan_now"), "me")).ok
        await until(lambda: len(live.told("ScanSummary")) > known, 5.0)


async def test_a_scan_that_fails_is_told_and_tried_again() -> None:
    async with Live() as live:
        await until(lambda: live.told("ScanSummary"))
        scan = live.worker.scanner.scan

        async def broken(*args: Any, **kwargs: Any) -> Any:
            raise ZeroDivisionError("oh")

        live.worker.scanner.scan = broken  # type: ignore[method-assign]
        alert = await until(lambda: [a for a in live.told("RiskAlert") if a.code == "WORKER_ERROR"])
        assert "ZeroDivisionError: oh" in alert[0].text
        await until(lambda: [s for s in live.told("BotStatus") if s.state == "error"])
        live.worker.scanner.scan = scan  # type: ignore[method-assign]
        known = len(live.told("ScanSummary"))
        live.worker.wake()
        await until(lambda: len(live.told("ScanSummary")) > known)
        await until(lambda: live.told("BotStatus")[-1].state != "error")


async def test_stop_ends_in_order_and_says_so() -> None:
    async with Live() as live:
        await until(lambda: live.told("ScanSummary"))
        async with asyncio.timeout(2.0):
            await live.worker.stop()
        assert live.told("BotStatus")[-1].state == "stopped"
        known = len(live.told("ScanSummary"))
        await asyncio.sleep(1.5)
        assert len(live.told("ScanSummary")) == known
        assert live.told("BotStatus")[-1].state == "stopped"
