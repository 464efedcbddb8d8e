"""The trainer as a whole: history from the terminal, a child process, a swap or a refusal."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from support.paths import SUPPORT
from support.present import present
from support.trainer_kit import Oracle, Planted, bars_with_a_signal, runs

from strategy.base import Bars, Strategy
from strategy.ml import trainer as module
from strategy.ml.model import Model, load
from strategy.ml.model_features import names, row, table
from strategy.ml.model_gate import Judge, made_for
from strategy.ml.samples import walk
from strategy.ml.trainer import Trainer, child
from strategy.ml.trainer_child import read, write
from strategy.settings import StrategySettings
from streamer import floors

DRIFT = 1e-4
KIT = SUPPORT / "trainer_kit.py"


def settings(name: str = f"{KIT}:Planted", **changes: Any) -> StrategySettings:
    small = {"first_s": 0, "stride": 1, "bars": 4000, "horizon_bars": 30, "folds": 4}
    return StrategySettings.model_validate(
        {"name": name, "symbols": ["EURUSD"], "trainer": small | changes}
    )


class Kept:
    """A trainer over a terminal that only has a past."""

    def __init__(self, rates: Any, info: Any, given: StrategySettings, folder: Path) -> None:
        self.events: list[Any] = []
        self.terminal = Oracle(rates, info)
        self.strategy = Planted(given)
        self.judge = Judge(given, self.strategy.timeframes)
        self.trainer = Trainer(
            self.terminal,  # type: ignore[arg-type]
            self.judge,
            self.events.append,
            strategy=cast("Strategy", self.strategy),
            settings=given,
            symbols=lambda: ["EURUSD"],
            folder=folder,
        )

    def told(self, kind: str) -> list[Any]:
        return [e for e in self.events if type(e).__name__ == kind]

    @property
    def states(self) -> list[str]:
        return [e.state for e in self.told("TrainerStatus")]


async def test_a_planted_signal_goes_from_bars_through_the_child_into_the_gate(
    info: Any, tmp_path: Path
) -> None:
    given = settings()
    b = Kept(bars_with_a_signal(7, DRIFT), info(), given, tmp_path)
    await b.trainer.attempt("schedule")
    assert b.states[-1] == "swapped", b.told("TrainerStatus")[-1].text
    (swap,) = b.told("ModelSwapped")
    assert swap.model == present(b.judge.model).id
    assert swap.previous is None
    assert swap.metrics["log_loss"] < swap.metrics["log_loss_base"]
    assert swap.metrics["r_taken"] > swap.metrics["r_all"]
    assert b.told("ResearchStart")[0].symbol == "EURUSD"
    result = b.told("ResearchResult")[0]
    assert result.action in ("BUY", "SELL")
    assert 50 < result.confidence <= 100
    shares = [e.progress for e in b.told("TrainerStatus") if e.progress is not None]
    assert shares == sorted(shares)
    assert len(shares) >= 5
    kept = load(tmp_path / "planted.json")
    assert kept is not None
    assert present(kept).digest == present(b.judge.model).digest
    assert kept.metrics["samples"] >= given.trainer.min_samples
    last = float(b.terminal.rates["M1"]["time"][-1])
    assert kept.until <= last < kept.until + 3600

    # the next run takes it up, and does not swap without new data
    again = Kept(b.terminal.rates, info(), given, tmp_path)
    await again.trainer._restore()
    assert present(again.judge.model).id == present(kept).id
    await again.trainer.attempt("schedule")
    assert again.states[-1] == "refused"
    assert present(again.judge.model).id == present(kept).id


async def test_noise_leaves_the_gate_as_it_was(info: Any, tmp_path: Path) -> None:
    b = Kept(bars_with_a_signal(8, 0.0), info(), settings(), tmp_path)
    await b.trainer.attempt("schedule")
    assert b.states[-1] == "refused"
    assert b.judge.model is None
    assert list(tmp_path.iterdir()) == []
    assert b.told("ModelSwapped") == []
    assert b.told("ResearchResult")[0].action == "HOLD"


async def test_a_strategy_that_fails_in_the_child_costs_the_try_only(
    info: Any, tmp_path: Path
) -> None:
    given = settings(f"{KIT}:Missing")
    b = Kept(bars_with_a_signal(1, 0.0), info(), given, tmp_path)
    await b.trainer.attempt("schedule")
    assert b.states[-1] == "failed"
    assert "Missing" in b.told("TrainerStatus")[-1].text


async def test_a_terminal_without_history_is_told(info: Any, tmp_path: Path) -> None:
    b = Kept({}, info(), settings(), tmp_path)
    await b.trainer.attempt("schedule")
    assert "no history" in b.told("TrainerStatus")[-1].text


async def test_a_try_that_takes_too_long_is_given_up_and_its_child_is_gone(
    info: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    start = asyncio.create_subprocess_exec

    async def noted(*args: Any, **kwargs: Any) -> Any:
        process = await start(*args, **kwargs)
        pids.append(process.pid)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    b = Kept(bars_with_a_signal(1, 0.0), info(), settings(deadline_s=0.5), tmp_path)
    await b.trainer.attempt("schedule")
    assert "given up" in b.told("TrainerStatus")[-1].text
    assert len(pids) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 and ps are POSIX")
async def test_the_child_ends_when_the_program_is_killed(info: Any, tmp_path: Path) -> None:
    # work for a minute or so: it cannot have ended by itself
    b = Kept(bars_with_a_signal(1, 0.0, 60_000), info(), settings(bars=60_000), tmp_path)
    series, infos = await b.trainer._history()
    request = {
        "settings": b.trainer.settings.model_dump(mode="json"),
        "infos": {n: i._asdict() for n, i in infos.items()},
        "utc_offset": 0.0,
        "made_for": {},
        "old": None,
    }
    write(tmp_path, series, request)
    code = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen("
        " [sys.executable, '-P', sys.argv[2], 'strategy.ml.trainer_child', sys.argv[1]],"
        " stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(tmp_path), floors.__file__,
        stdout=asyncio.subprocess.PIPE, env=module._environment(),
    )  # fmt: skip
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    await asyncio.sleep(0.3)
    os.kill(pid, 0)
    parent.kill()
    await parent.wait()
    try:
        async with asyncio.timeout(10):
            while runs(pid):
                await asyncio.sleep(0.1)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def test_without_scikit_learn_it_says_so_and_the_gate_stays_open(
    info: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    b = Kept(bars_with_a_signal(1, 0.0), info(), settings(), tmp_path)
    async with asyncio.timeout(5):
        await b.trainer.run()
    assert b.states == ["off"]
    assert "pip install" in b.told("TrainerStatus")[0].text
    assert b.judge.model is None


async def test_a_kept_model_that_was_touched_or_is_of_the_future_is_not_used(
    info: Any, tmp_path: Path
) -> None:
    given = settings()
    b = Kept(bars_with_a_signal(1, 0.0), info(), given, tmp_path)
    model = _model(b, given, until=float(b.terminal.rates["M1"]["time"][-1]) + 1e6)
    path = tmp_path / "planted.json"
    model.save(path)
    await b.trainer._restore()
    assert b.judge.model is None
    assert "not reached" in b.told("TrainerStatus")[-1].text
    replace(model, until=2.0).save(path)
    path.write_text(path.read_text().replace("2.0", "3.0", 1))
    await b.trainer._restore()
    assert b.judge.model is None
    assert "was changed" in b.told("TrainerStatus")[-1].text


def _model(b: Kept, given: StrategySettings, **changes: Any) -> Any:
    features = names(b.strategy.timeframes)
    n = len(features)
    model = Model(
        "logistic", features, np.zeros(n), np.ones(n), np.zeros(n), 0.0, 1.0, 0.0,
        np.zeros((n, 9)), np.full((n, 10), 0.1), 0.1, 20, 1.0, 2.0,
        made_for(cast("Strategy", b.strategy), given, b.terminal.status.market),
    )  # fmt: skip
    return replace(model, **changes)


def _verdict(model: Model | None, **changes: Any) -> dict[str, Any]:
    text = None if model is None else model.to_json()
    done: dict[str, Any] = {
        "model": text,
        "retire": False,
        "why": "so",
        "previous": None,
        "symbols": [],
    }
    return done | changes


async def test_a_swap_tells_the_figures_of_the_old_model_beside_the_new_ones(
    info: Any, tmp_path: Path
) -> None:
    given = settings()
    b = Kept(bars_with_a_signal(1, 0.0), info(), given, tmp_path)
    old = _model(b, given, metrics={"log_loss": 0.69})
    new = _model(b, given, metrics={"log_loss": 0.61}, base=0.1)
    b.judge.swap(old)
    await b.trainer._carry_out(_verdict(new, previous={"log_loss": 0.68, "samples": 300.0}))
    (swap,) = b.told("ModelSwapped")
    assert swap.metrics == {"log_loss": 0.61}
    assert swap.previous == {"log_loss": 0.68, "samples": 300.0}
    assert present(load(tmp_path / "planted.json")).id == present(b.judge.model).id == new.id


async def test_a_retired_model_is_gone_from_the_gate_and_from_the_next_run(
    info: Any, tmp_path: Path
) -> None:
    given = settings()
    b = Kept(bars_with_a_signal(1, 0.0), info(), given, tmp_path)
    await b.trainer._carry_out(_verdict(_model(b, given)))
    assert b.judge.model is not None
    await b.trainer._carry_out(_verdict(None))
    assert b.judge.model is not None
    await b.trainer._carry_out(_verdict(None, retire=True))
    left: Model | None = b.judge.model
    assert left is None
    assert b.states == ["swapped", "refused", "retired"]
    await b.trainer._restore()
    assert b.judge.model is None


async def test_a_verdict_with_a_broken_model_changes_nothing(
    info: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings()
    b = Kept(bars_with_a_signal(1, 0.0), info(), given, tmp_path)

    async def learned() -> dict[str, Any]:
        broken = '{"mt5dash_model": 1, "model": {}, "sha256": ""}'
        return {**_verdict(_model(b, given)), "model": broken}

    monkeypatch.setattr(b.trainer, "_learn", learned)
    await b.trainer.attempt("schedule")
    assert b.states[-1] == "failed"
    assert b.judge.model is None
    assert list(tmp_path.iterdir()) == []


async def test_a_trainer_that_breaks_is_told_and_begun_again(
    info: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    b = Kept(bars_with_a_signal(1, 0.0), info(), settings(), tmp_path)
    tried: list[str] = []

    async def learn(why: str) -> None:
        tried.append(why)
        if len(tried) < 3:
            raise ZeroDivisionError("oh")
        raise asyncio.CancelledError

    monkeypatch.setattr(b.trainer, "attempt", learn)
    with pytest.raises(asyncio.CancelledError):
        await b.trainer.run()
    assert tried == ["schedule"] * 3
    assert b.states.count("failed") == 2


async def test_drift_of_the_set_ups_is_a_reason_to_learn_before_the_schedule(
    info: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.02)
    given = settings(least_gap_s=0.1)
    b = Kept(bars_with_a_signal(1, 0.0), info(), given, tmp_path)
    b.judge.swap(_model(b, given))
    drifted = b.judge.drift
    assert drifted() is None  # nothing was seen yet
    monkeypatch.setattr(b.judge, "drift", lambda: (0.4, 0.1))
    async with asyncio.timeout(10):
        assert "drifted (0.40 > 0.10)" in await b.trainer._until_due(1000.0)
    monkeypatch.setattr(b.judge, "drift", lambda: (0.05, 0.1))
    async with asyncio.timeout(10):
        assert await b.trainer._until_due(0.3) == "schedule"


def test_samples_are_what_a_scan_would_have_seen_and_nothing_later(info: Any) -> None:
    given = settings(stride=7)
    rates = bars_with_a_signal(3, DRIFT, count=2400)
    whole = {f: Bars.from_rates("EURUSD", f, r) for f, r in rates.items()}
    strategy = Planted(given)
    full = walk(cast("Strategy", strategy), {"EURUSD": whole}, {"EURUSD": info()}, given)
    assert len(full) > 40
    cut = {f: Bars.from_rates("EURUSD", f, r[: len(r) * 2 // 3]) for f, r in rates.items()}
    border = float(cut["M1"].time[-1]) + 60
    part = walk(cast("Strategy", Planted(given)), {"EURUSD": cut}, {"EURUSD": info()}, given)
    known = full.end <= border
    assert 20 < known.sum() < len(full)
    np.testing.assert_array_equal(part.x, full.x[known])
    np.testing.assert_array_equal(part.won, full.won[known])
    np.testing.assert_array_equal(part.time, full.time[known])
    assert (full.end > full.time).all()
    for moment, at, closes in strategy.asked:
        assert all(close <= moment for close in closes)
        assert at == moment
    i = len(full) // 2
    blocks = []
    for frame, bars in whole.items():
        n = int(
            np.searchsorted(
                bars.time + {"M1": 60, "M5": 300, "M15": 900}[frame], full.time[i], "right"
            )
        )
        blocks.append(table(bars, info().point, given.swing_bars)[n - 1])
    again = row(blocks, int(full.sign[i]), full.score[i], full.x[i][-3], full.time[i])
    np.testing.assert_allclose(again, full.x[i])


def test_what_the_child_reads_is_what_was_written_and_no_pickle(info: Any, tmp_path: Path) -> None:
    bars = Bars.from_rates("EURUSD", "M1", bars_with_a_signal(1, 0.0)["M1"][:100])
    write(tmp_path, [bars], {"hello": 1})
    history, request = read(tmp_path)
    np.testing.assert_array_equal(history["EURUSD"]["M1"].high, bars.high)
    assert request["hello"] == 1
    np.savez(tmp_path / "bars.npz", **cast("Any", {"0.time": np.array([object()], dtype=object)}))
    with pytest.raises(ValueError, match="allow_pickle"):
        read(tmp_path)


async def test_a_child_that_dies_without_a_word_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps({}))

    async def listen() -> list[dict[str, Any]]:
        return [line async for line in child(tmp_path)]

    with pytest.raises(module.TrainingFailed, match="process ended"):
        await listen()
