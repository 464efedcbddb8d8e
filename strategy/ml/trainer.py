"""The trainer beside the worker: reads history, lets a child process learn, swaps the model.

Learning costs the event loop nothing and the market's calls go first. A model takes over only
by the verdict of the child: it beat the old one and the baselines out of sample.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from execution.api import constants as c
from execution.api.structs import SymbolInfo
from execution.api.terminal import TerminalError
from execution.transport.client import TerminalClient
from streamer import floors
from streamer.errors import Mt5dashError
from streamer.protocol.messages import (
    Event,
    ModelSwapped,
    ResearchResult,
    ResearchStart,
    TrainerStatus,
)

from ..base import Bars, Strategy
from ..settings import TIMEFRAME_SECONDS, StrategySettings
from .model import Model, ModelError, load
from .model_features import names
from .model_gate import Judge, fits, made_for
from .trainer_child import write

log = logging.getLogger(__name__)

LOOK_S = 15.0
"""Seconds between two checks of connection and drift."""
AGAIN_S = 60.0
"""Seconds before the trainer is begun again after it broke."""
LONGEST_LINE = 16_000_000
INSTALL = "pip install 'mt5dash[train]'"

APART: dict[str, Any]
if sys.platform == "win32":
    APART = {
        "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP
        | subprocess.BELOW_NORMAL_PRIORITY_CLASS
    }
else:
    APART = {"start_new_session": True}


class TrainingFailed(Mt5dashError):
    """A try without a verdict, with its reason."""


class Trainer:
    """``run()`` until cancelled. A try that fails is published and repeated, never raised.

    Args:
        judge: Holds the model in force; a swap goes there.
        symbols: The symbols to learn from, asked at each try.
        folder: Where the model is kept; ``None``: not kept.
    """

    def __init__(
        self,
        client: TerminalClient,
        judge: Judge,
        publish: Callable[[Event], None],
        *,
        strategy: Strategy,
        settings: StrategySettings,
        symbols: Callable[[], Sequence[str]],
        folder: Path | None,
    ) -> None:
        self.client, self.judge, self.publish = client, judge, publish
        self.settings, self._strategy, self._symbols = settings, strategy, symbols
        name = re.sub(r"[^\w.-]", "_", strategy.name)
        self.path = None if folder is None else folder / f"{name}.json"
        self._progress = -1.0
        self._read_file = False

    # -- life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Wait, learn, judge, again. Ends by itself only where scikit-learn is missing."""
        while True:
            try:
                return await self._run()
            except Exception as error:
                # the bot trades on without its trainer
                log.exception("trainer")
                self._tell("failed", f"{type(error).__name__}: {error}")
                await asyncio.sleep(AGAIN_S)

    async def _run(self) -> None:
        await self._connected()
        await self._restore()
        if importlib.util.find_spec("sklearn") is None:
            stays = "the probability gate stays open"
            if self.judge.model is not None:
                stays = f"{self.judge.model.id} stays in force"
            self._tell("off", f"scikit-learn is not installed ({INSTALL}); {stays}")
            return
        wait = self.settings.trainer.first_s
        while True:
            why = await self._until_due(wait)
            await self._connected()
            await self.attempt(why)
            wait = max(
                self.settings.trainer.every_h * 3600.0 / max(self.client.clock.speed, 1e-9),
                self.settings.trainer.least_gap_s,
            )

    async def _connected(self) -> None:
        while not (self.client.status.connected and self._symbols()):
            await asyncio.sleep(0.5)

    async def _until_due(self, seconds: float) -> str:
        """Sleep until the next try; return the reason why it is due."""
        began = time.monotonic()
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        self._tell("waiting", self._in_force(), at=at.isoformat(timespec="seconds"))
        while (left := began + seconds - time.monotonic()) > 0:
            await asyncio.sleep(min(left, LOOK_S))
            found = self.judge.drift()
            gone = time.monotonic() - began
            if found is None or gone < self.settings.trainer.least_gap_s:
                continue
            if found[0] > found[1]:
                return f"the set-ups have drifted ({found[0]:.2f} > {found[1]:.2f})"
        return "schedule"

    def _in_force(self) -> str:
        model = self.judge.model
        if model is None:
            return "no model in force: the probability gate is open"
        until = datetime.fromtimestamp(model.until, UTC)
        return f"{model.id} in force, data until {until:%Y-%m-%d %H:%M} server time"

    def _tell(
        self, state: str, text: str, progress: float | None = None, at: str | None = None
    ) -> None:
        self.publish(TrainerStatus(state=state, text=text, progress=progress, next_run_at=at))

    # -- the model's file -------------------------------------------------------------------

    async def _restore(self) -> None:
        """Take the kept model where it fits strategy, settings, market and time."""
        if self.path is None or self.judge.model is not None:
            return
        try:
            model = await asyncio.to_thread(load, self.path)
            now = await self.client.server_now()
        except (ModelError, OSError, TerminalError) as error:
            self._tell("waiting", f"the kept model is not used: {error}")
            return
        if model is None or now is None:
            return
        fault = fits(model, self._made_for(), self._features(), now)
        if fault:
            self._tell("waiting", f"{model.id} is not used: {fault}")
            return
        self.judge.swap(model)

    def _made_for(self) -> dict[str, Any]:
        return made_for(self._strategy, self.settings, self.client.status.market)

    def _features(self) -> tuple[str, ...]:
        return names(self._strategy.timeframes)

    # -- one try ----------------------------------------------------------------------------

    async def attempt(self, why: str) -> None:
        """Learn once, and swap the model where the verdict allows it."""
        self._progress = -1.0
        self._tell("reading", f"reading history; {why}", progress=0.0)
        try:
            async with asyncio.timeout(self.settings.trainer.deadline_s):
                done = await self._learn()
            await self._carry_out(done)
        except TimeoutError:
            text = f"given up after {self.settings.trainer.deadline_s:g}s; fewer trainer.bars help"
            self._tell("failed", text)
        except (TrainingFailed, TerminalError, ModelError, OSError) as error:
            log.warning("training: %s", error)
            self._tell("failed", str(error))
        except Exception as error:
            log.exception("training")
            self._tell("failed", f"{type(error).__name__}: {error}")

    async def _learn(self) -> dict[str, Any]:
        series, infos = await self._history()
        model = self.judge.model
        request = {
            "settings": self.settings.model_dump(mode="json"),
            "infos": {name: info._asdict() for name, info in infos.items()},
            "utc_offset": self.client.clock.utc_offset or 0.0,
            "made_for": self._made_for(),
            "old": None if model is None else model.to_json(),
        }
        with tempfile.TemporaryDirectory(prefix="mt5dash-train-") as folder:
            await asyncio.to_thread(write, Path(folder), series, request)
            done: dict[str, Any] | None = None
            async with contextlib.aclosing(child(Path(folder))) as lines:
                async for line in lines:
                    if "failed" in line:
                        raise TrainingFailed(str(line["failed"]))
                    done = line.get("done", done)
                    self._hear(line)
        if done is None:
            raise TrainingFailed("the trainer's process ended without a verdict")
        return done

    async def _history(self) -> tuple[list[Bars], dict[str, SymbolInfo]]:
        """Closed bars of all symbols and timeframes; one call each, so that orders go between.

        Raises:
            TrainingFailed: there are none.
        """
        frames, t = self._strategy.timeframes, self.settings.trainer
        span = t.bars * TIMEFRAME_SECONDS[frames[0]]
        out: list[Bars] = []
        infos: dict[str, SymbolInfo] = {}
        for symbol in self._symbols():
            own = []
            for frame in frames:
                count = int(span / TIMEFRAME_SECONDS[frame]) + self.settings.bars + 1
                call = (symbol, getattr(c, f"TIMEFRAME_{frame}"), 0, count)
                (rates,) = await self.client.batch([("copy_rates_from_pos", call, {})])
                if rates is None or isinstance(rates, TerminalError) or len(rates) < 2:
                    log.info("%s %s: no history to learn from (%s)", symbol, frame, rates)
                    break
                own.append(Bars.from_rates(symbol, frame, rates[:-1]))
            else:
                out += own
                infos[symbol] = await self.client.spec(symbol)
        if not out:
            raise TrainingFailed("the terminal has no history of any symbol")
        return out, infos

    def _hear(self, line: dict[str, Any]) -> None:
        """Publish the child's progress, in steps of a tenth, and its samples."""
        progress = line.get("progress")
        if progress is not None and progress >= self._progress + 0.1:
            self._progress = float(progress)
            self._tell("learning", str(line.get("text", "")), progress=self._progress)
        for found in line.get("samples", ()):
            data = {
                "samples": found["samples"],
                "began": datetime.fromtimestamp(found["began"], UTC).isoformat(),
                "until": datetime.fromtimestamp(found["until"], UTC).isoformat(),
            }
            self.publish(ResearchStart(symbol=found["symbol"], data=data))

    async def _carry_out(self, done: dict[str, Any]) -> None:
        for found in done["symbols"]:
            self.publish(ResearchResult(**found))
        if done["model"] is not None:
            model = Model.from_json(done["model"])
            if self.path is not None:
                await asyncio.to_thread(model.save, self.path)
            old = self.judge.model
            self.judge.swap(model)
            self._tell("swapped", f"{model.id} takes over: {done['why']}", progress=1.0)
            previous = done["previous"] or (dict(old.metrics) if old is not None else None)
            self.publish(
                ModelSwapped(model=model.id, metrics=dict(model.metrics), previous=previous)
            )
        elif done["retire"] and self.judge.model is not None:
            gone = self.judge.model.id
            if self.path is not None:
                await asyncio.to_thread(self.path.unlink, missing_ok=True)
            self.judge.swap(None)
            text = f"{gone} is worse than the base rate by now and is taken out; {done['why']}"
            self._tell("retired", text, progress=1.0)
        else:
            self._tell("refused", f"no swap: {done['why']}", progress=1.0)


async def child(folder: Path) -> AsyncGenerator[dict[str, Any], None]:
    """Run the child process on a folder and yield its messages; it is killed when the caller
    leaves early.

    Raises:
        TrainingFailed: it ended without a word.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        floors.__file__,  # a folder named `strategy` on PYTHONPATH must not replace ours
        "strategy.ml.trainer_child",
        str(folder),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LONGEST_LINE,
        env=_environment(),
        **APART,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    errors = asyncio.create_task(process.stderr.read())
    try:
        async for line in process.stdout:
            yield json.loads(line)
        code = await process.wait()
        if code:
            words = (await errors).decode(errors="replace").strip().splitlines()
            text = words[-1] if words else f"code {code}"
            raise TrainingFailed(f"the trainer's process ended: {text}")
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        errors.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await errors


def _environment() -> dict[str, str]:
    # one core: the bot has the others
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
