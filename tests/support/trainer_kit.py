"""A market with a signal planted in it, a strategy that always has a set-up, a terminal of it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from execution.api import constants as c
from execution.api.structs import RATES_DTYPE
from strategy.base import Setup

START = 1_700_000_100 // 900 * 900


def bars_with_a_signal(seed: int, drift: float, count: int = 4000) -> dict[str, Any]:
    """M1, M5 and M15 rates. The price drifts by ``drift`` a minute, up or down for twenty
    minutes, so that it goes on as it went; 0 is a random walk."""
    rng = np.random.default_rng(seed)
    minute = np.arange(count)
    side = rng.choice([-1.0, 1.0], count // 20 + 1)[minute // 20]
    close = 1.1 + np.cumsum(drift * side + rng.normal(0, 0.8e-4, count))
    open_ = np.concatenate(([1.1], close[:-1]))
    volume = rng.uniform(50, 150, count)
    m1 = np.zeros(count, dtype=RATES_DTYPE)
    m1["time"] = START + 60 * minute
    m1["open"], m1["close"] = open_, close
    m1["high"] = np.maximum(open_, close) + np.abs(rng.normal(0, 3e-5, count))
    m1["low"] = np.minimum(open_, close) - np.abs(rng.normal(0, 3e-5, count))
    m1["tick_volume"], m1["spread"] = volume.astype(np.uint64), 3
    return {"M1": m1, "M5": _coarser(m1, 5), "M15": _coarser(m1, 15)}


def _coarser(m1: Any, n: int) -> Any:
    parts = m1[: len(m1) // n * n].reshape(-1, n)
    out = np.zeros(len(parts), dtype=RATES_DTYPE)
    out["time"], out["open"], out["close"] = (
        parts["time"][:, 0],
        parts["open"][:, 0],
        parts["close"][:, -1],
    )
    out["high"], out["low"] = parts["high"].max(axis=1), parts["low"].min(axis=1)
    out["tick_volume"], out["spread"] = parts["tick_volume"].sum(axis=1), 3
    return out


class Planted:
    """A buy or a sell at every bar, by turns, with stop and target of its own size."""

    name = "planted"
    timeframes = ("M1", "M5", "M15")

    def __init__(self, settings: Any) -> None:
        self.asked: list[tuple[float, float, list[float]]] = []

    def prepare(self, fresh: Any) -> None:
        pass

    def evaluate(self, context: Any) -> Setup:
        seconds = {"M1": 60, "M5": 300, "M15": 900}
        ends = [float(b.time[-1]) + seconds[f] for f, b in context.bars.items()]
        self.asked.append((context.server_time, float(context.tick.time), ends))
        sign = 1 if int(context.server_time) // 60 % 2 else -1
        entry = context.tick.ask if sign > 0 else context.tick.bid
        return Setup(
            context.symbol,
            "BUY" if sign > 0 else "SELL",
            score=50.0,
            regime="NORMAL",
            trigger="always",
            entry=entry,
            sl=entry - sign * 4e-4,
            tp=entry + sign * 5e-4,
        )


class Oracle:
    """The part of the client that the trainer reads, over rates whose last bar forms."""

    def __init__(self, rates: dict[str, Any], info: Any) -> None:
        self.rates, self._info = rates, info
        self.status = SimpleNamespace(connected=True, market="planted")
        self.clock = SimpleNamespace(speed=1.0, utc_offset=0.0)

    async def batch(self, calls: Any) -> list[Any]:
        out = []
        for name, (_, timeframe, start, count), _ in calls:
            assert (name, start) == ("copy_rates_from_pos", 0)
            found = [f for f in self.rates if getattr(c, f"TIMEFRAME_{f}") == timeframe]
            out.append(self.rates[found[0]][-count:] if found else None)
        return out

    async def spec(self, symbol: str) -> Any:
        return self._info

    async def server_now(self) -> float:
        return float(self.rates["M1"]["time"][-1]) + 30.0


def runs(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # an orphan that nobody waits for stays as a zombie in a container
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
