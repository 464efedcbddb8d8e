"""The trainer's child process: reads a folder with bars, writes its progress line by line.

``python -m strategy.ml.trainer_child FOLDER``. Lines of JSON go to standard output; the last one
holds ``done`` or ``failed``. It ends when its standard input does, so it never outlives the
program. Bars are plain arrays (no pickle).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from execution.api.structs import SymbolInfo

from ..base import Bars
from ..registry import load
from ..settings import TIMEFRAME_SECONDS, StrategySettings
from .fit import Verdict, fit, judge, walk_forward, with_drift
from .model import Model, ModelError
from .samples import Samples, walk

log = logging.getLogger(__name__)

REQUEST, BARS = "request.json", "bars.npz"
COLUMNS = ("time", "open", "high", "low", "close", "volume", "spread")
Tell = Callable[[dict[str, Any]], None]


def write(folder: Path, series: list[Bars], request: dict[str, Any]) -> None:
    """Put down what the child is to work on."""
    arrays = {
        f"{i}.{name}": getattr(bars, name) for i, bars in enumerate(series) for name in COLUMNS
    }
    np.savez(folder / BARS, allow_pickle=False, **arrays)
    keys = [[bars.symbol, bars.timeframe] for bars in series]
    (folder / REQUEST).write_text(json.dumps({**request, "series": keys}), encoding="utf-8")


def read(folder: Path) -> tuple[dict[str, dict[str, Bars]], dict[str, Any]]:
    """What :func:`write` put down."""
    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    history: dict[str, dict[str, Bars]] = {}
    with np.load(folder / BARS, allow_pickle=False) as arrays:
        for i, (symbol, timeframe) in enumerate(request["series"]):
            columns = [arrays[f"{i}.{name}"] for name in COLUMNS]
            history.setdefault(symbol, {})[timeframe] = Bars(symbol, timeframe, *columns)
    return history, request


def work(folder: Path, tell: Tell) -> dict[str, Any]:
    """Samples, walk-forward test, verdict and, where it is good, the model."""
    history, request = read(folder)
    settings = StrategySettings.model_validate(request["settings"])
    infos = {name: SymbolInfo(**values) for name, values in request["infos"].items()}
    strategy = load(settings)

    def progress(start: float, length: float, text: str) -> Callable[[float], None]:
        return lambda share: tell({"progress": round(start + length * share, 3), "text": text})

    samples = walk(
        strategy,
        history,
        infos,
        settings,
        utc_offset=float(request["utc_offset"]),
        progress=progress(0.0, 0.7, "reading the past"),
    )
    tell({"samples": _counts(samples)})
    step = TIMEFRAME_SECONDS[strategy.timeframes[0]]
    embargo = float(settings.trainer.embargo_bars * step)
    tested = walk_forward(
        samples, settings.trainer.folds, embargo, progress(0.7, 0.25, "testing forward in time")
    )
    old = _old(request["old"])
    verdict = judge(samples, tested, old, settings)
    model = None
    if verdict.swap:
        progress(0.95, 0.05, "learning from all of it")(0.0)
        model = fit(samples, np.arange(len(samples)), embargo)
        if model is None:
            verdict = replace(verdict, swap=False, why="the newest set-ups cannot calibrate it")
    text = None
    if model is not None:
        model = with_drift(model, samples.x)
        text = replace(model, made_for=request["made_for"], metrics=verdict.metrics).to_json()
    return {
        "model": text,
        "retire": verdict.retire,
        "why": verdict.why,
        "metrics": verdict.metrics,
        "previous": verdict.previous,
        "symbols": by_symbol(samples, tested.rows, tested.model, verdict, settings),
    }


def _old(text: str | None) -> Model | None:
    if text is None:
        return None
    with contextlib.suppress(ModelError):
        return Model.from_json(text)
    return None


def _counts(samples: Samples) -> list[dict[str, Any]]:
    """By symbol: how many set-ups there were, and from when to when (server seconds)."""
    out = []
    for i, symbol in enumerate(samples.symbols):
        own = samples.time[samples.which == i]
        if len(own):
            times = {"began": float(own[0]), "until": float(own[-1])}
            out.append({"symbol": symbol, "samples": len(own), **times})
    return out


def by_symbol(
    samples: Samples, rows: Any, p: Any, verdict: Verdict, settings: StrategySettings
) -> list[dict[str, Any]]:
    """What the walk-forward test found in each symbol, for RESEARCH_RESULT.

    ``action`` is a side only for a model that takes over and made money on that side of the
    symbol out of sample; ``confidence`` is the share in % that reached their target: of the
    set-ups let through on that side, and of all for HOLD.
    """
    out = []
    for i, symbol in enumerate(samples.symbols):
        own = samples.which[rows] == i
        if not own.any():
            continue
        won, r, sign = samples.won[rows][own], samples.r[rows][own], samples.sign[rows][own]
        taken = p[own] >= settings.min_probability
        action, chosen = "HOLD", np.ones_like(taken)
        sums = {side: float(r[taken & (sign == side)].sum()) for side in (1, -1)}
        best = max(sums, key=lambda side: sums[side])
        if verdict.swap and sums[best] > 0:
            action, chosen = "BUY" if best > 0 else "SELL", taken & (sign == best)
        reason = (
            f"{len(won)} set-ups out of sample: {100 * won.mean():.0f}% reached the target"
            f" ({r.mean():+.2f} R)"
        )
        if taken.any():
            reason += f"; {taken.sum()} let through ({r[taken].mean():+.2f} R)"
        confidence = round(100.0 * float(won[chosen].mean()), 1)
        out.append({"symbol": symbol, "action": action, "confidence": confidence, "reason": reason})
    return out


def main(folder: Path) -> int:
    """Work, and write the result; returns 0 when a verdict was reached."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(10)  # the bot goes first

    def tell(line: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    try:
        tell({"done": work(folder, tell)})
    except Exception as error:
        # a foreign strategy or odd data may fail in any way: it is reported, and costs one try
        log.exception("training")
        tell({"failed": f"{type(error).__name__}: {error}"})
        return 1
    return 0


def _end_with_parent() -> None:
    # not sys.stdin: its lock, held here for ever, would not let the interpreter end
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
