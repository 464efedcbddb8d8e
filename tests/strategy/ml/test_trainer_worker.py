"""The worker with the trainer beside it and a model in its gate."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.trainer_kit import runs

from execution.account.observer import Observer
from execution.orders.orders import Orders
from execution.paper import open_paper
from execution.settings import PaperSettings, TerminalSettings
from execution.transport.backend import InProcess
from execution.transport.client import TerminalClient
from strategy.ml.model import Model
from strategy.ml.model_features import names
from strategy.ml.model_gate import Judge
from strategy.settings import RiskSettings, StrategySettings, TrainerSettings
from strategy.worker import Worker, build_strategy
from streamer.protocol.messages import TrainerStatus


async def test_the_worker_stops_set_ups_that_the_model_thinks_little_of(bench: Any) -> None:
    b = await bench().open()
    judge = b.worker.scanner.judge = Judge(b.settings, b.worker.scanner.strategy.timeframes)
    features = names(b.worker.scanner.strategy.timeframes)
    n = len(features)

    def constant(p: float) -> Any:
        return Model(
            "logistic", features, np.zeros(n), np.ones(n), np.zeros(n), float(np.log(p / (1 - p))),
            1.0, 0.0, np.zeros((n, 9)), np.full((n, 10), 0.1), 0.1, 20, 1.0, 2.0,
        )  # fmt: skip

    judge.swap(constant(0.31))
    for _ in range(90):
        await b.step(10.0)
        await b.worker.cycle()
    assert b.told("PositionOpened") == []
    stops = [d for s in b.told("ScanSummary") for d in s.details.values()]
    asked = [d for d in stops if d.gate == "probability"]
    assert asked
    rows = [text for s in b.told("ScanSummary") for text in s.symbols.values()]
    assert "Low ML Prob (0.31 < 0.50)" in rows
    judge.swap(constant(0.69))
    assert (await b.cycle_until("PositionOpened", minutes=30)).owner == "bot"


async def test_the_worker_runs_the_trainer_and_ends_its_child_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    start = asyncio.create_subprocess_exec

    async def noted(*args: Any, **kwargs: Any) -> Any:
        process = await start(*args, **kwargs)
        pids.append(process.pid)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    events: list[Any] = []
    terminal, given = (
        TerminalSettings(poll_s=0.1, quotes_s=0.1),
        StrategySettings(trainer=TrainerSettings(first_s=0)),
    )
    client = TerminalClient(
        InProcess(lambda: open_paper(PaperSettings(start="2025-11-18T13:00"))),
        settings=terminal,
        on_status=events.append,
    )
    observer = Observer(client, events.append, settings=terminal, mode="paper", symbols=())
    worker = Worker(
        client,
        observer,
        Orders(client, events.append, terminal),
        events.append,
        strategy=build_strategy(given),
        settings=given,
        risk=RiskSettings(),
        mode="paper",
        journal_ok=lambda: True,
        models=tmp_path,
    )
    await client.start()
    tasks = [asyncio.create_task(observer.run()), asyncio.create_task(worker.run())]
    try:
        async with asyncio.timeout(60):
            while not any(isinstance(e, TrainerStatus) and e.state == "learning" for e in events):
                await asyncio.sleep(0.02)
        os.kill(pids[0], 0)
        async with asyncio.timeout(10):
            await worker.stop()
            await asyncio.gather(*tasks[1:], return_exceptions=True)
            while runs(pids[0]):
                await asyncio.sleep(0.02)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.close()
