"""CPU time of a scan: 50 symbols x 3 timeframes x 500 bars, beside TA-Lib and
smartmoneyconcepts on the same bars, in the same run.

    pip install -r benchmarks/scan/requirements.txt
    python benchmarks/scan/bench.py [--rounds 7]

Each round runs every subject; medians of CPU time over the rounds. ``full`` computes all 150
series anew; ``bar`` is the scan after one new M15 bar of all 50 symbols, which was added to the
bars that the strategy knows (as the bot's history does); ``idle`` is a scan without a new bar. smartmoneyconcepts is timed on a few series and scaled to 150, which is
said in its line; it does swings, breaks, gaps, order blocks and liquidity, as ours.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from execution.api.structs import SymbolInfo, Tick
from strategy.base import Bars, Context
from strategy.institutional.indicators import wilder
from strategy.institutional.strategy import InstitutionalStrategy
from strategy.settings import StrategySettings

SYMBOLS, BARS = 50, 500
FRAMES = {"M15": 900, "H1": 3600, "H4": 14400}
SOME = 3
"""Series on which smartmoneyconcepts is timed."""


def market(bars: int) -> dict[tuple[str, str], Bars]:
    """Seeded random walks with fat tails."""
    rng = np.random.default_rng(7)
    out = {}
    for frame, seconds in FRAMES.items():
        for i in range(SYMBOLS):
            close = 1.1 * np.exp(np.cumsum(rng.standard_t(4, bars) * 3e-4))
            open_ = np.concatenate((close[:1], close[:-1]))
            high = np.maximum(open_, close) + abs(rng.normal(0, 2e-4, bars))
            low = np.minimum(open_, close) - abs(rng.normal(0, 2e-4, bars))
            flat = np.full(bars, 10.0)
            at = np.arange(bars, dtype=np.int64) * seconds
            name = f"S{i:02d}"
            out[name, frame] = Bars(name, frame, at, open_, high, low, close, flat, flat)
    return out


def cut(bars: Bars, count: int) -> Bars:
    arrays = [getattr(bars, n)[:count] for n in ("time", "open", "high", "low", "close", "volume")]
    return Bars(bars.symbol, bars.timeframe, *arrays, bars.spread[:count])


def cpu(work: Callable[[], Any]) -> float:
    """Milliseconds of CPU time of this process."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1000.0


def contexts(series: dict[tuple[str, str], Bars]) -> list[Context]:
    empty = {k: "" if t is str else t() for k, t in SymbolInfo.__annotations__.items()}
    info = SymbolInfo(**empty)._replace(digits=5, point=1e-5)
    found = []
    for i in range(SYMBOLS):
        name = f"S{i:02d}"
        price = float(series[name, "M15"].close[-1])
        tick = Tick(0, price, price + 1e-4, 0.0, 0, 0, 0, 0.0)
        found.append(Context(name, info, tick, {f: series[name, f] for f in FRAMES}, 0.0))
    return found


def ours(series: dict[tuple[str, str], Bars]) -> dict[str, float]:
    settings = StrategySettings(preset="institutional")
    before = {key: cut(bars, BARS) for key, bars in series.items()}
    strategy = InstitutionalStrategy(settings)
    looks = contexts(before)

    def look(these: list[Context]) -> None:
        for context in these:
            strategy.evaluate(context)

    def full() -> None:
        strategy.prepare(list(before.values()))
        look(looks)

    after = {key: bars if key[1] == "M15" else before[key] for key, bars in series.items()}
    fresh = [bars for (_, frame), bars in after.items() if frame == "M15"]
    later = contexts(after)

    def one_bar() -> None:
        strategy.prepare(fresh)
        look(later)

    one = [fresh[0]]

    def one_symbol() -> None:
        strategy.prepare(one)
        look(later[:1])

    result = {"full": cpu(full), "idle": cpu(lambda: look(looks))}
    result["bar of all 50 symbols"] = cpu(one_bar)
    strategy = InstitutionalStrategy(settings)
    full()
    result["bar of one symbol"] = cpu(one_symbol)
    h, low, c = (
        np.stack([getattr(b, n) for b in before.values()], axis=1) for n in ("high", "low", "close")
    )
    result["ATR+ADX+RSI alone"] = cpu(lambda: wilder(h, low, c))
    return result


def talib_run(series: dict[tuple[str, str], Bars]) -> float:
    import talib

    def work() -> None:
        for b in series.values():
            talib.ATR(b.high[:BARS], b.low[:BARS], b.close[:BARS], 14)
            talib.ADX(b.high[:BARS], b.low[:BARS], b.close[:BARS], 14)
            talib.RSI(b.close[:BARS], 14)

    return cpu(work)


def smc_run(series: dict[tuple[str, str], Bars]) -> float:
    os.environ.setdefault("SMC_CREDIT", "0")
    import pandas as pd
    from smartmoneyconcepts.smc import smc

    frames = [
        pd.DataFrame(
            {
                "open": b.open[:BARS],
                "high": b.high[:BARS],
                "low": b.low[:BARS],
                "close": b.close[:BARS],
                "volume": b.volume[:BARS],
            }
        )
        for b in list(series.values())[:SOME]
    ]

    def work() -> None:
        for frame in frames:
            swings = smc.swing_highs_lows(frame, swing_length=3)
            smc.fvg(frame)
            smc.bos_choch(frame, swings)
            smc.ob(frame, swings)
            smc.liquidity(frame, swings)

    return cpu(work) * len(series) / len(frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    series = market(BARS + 1)
    subjects: dict[str, Callable[[dict[tuple[str, str], Bars]], Any]] = {"ours": ours}
    for name, run in (("TA-Lib (3 indicators)", talib_run), ("smartmoneyconcepts", smc_run)):
        try:
            run(series)  # also lets numba compile before it is timed
        except ImportError as error:
            print(f"{name}: left out, {error}")
        else:
            subjects[name] = run
    ours(series)
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, run in subjects.items():
            got = run(series)
            for what, ms in (got if isinstance(got, dict) else {name: got}).items():
                found.setdefault(what, []).append(ms)
    print(f"{SYMBOLS} symbols x {len(FRAMES)} timeframes x {BARS} bars, CPU ms, {rounds} rounds")
    full = statistics.median(found["full"])
    for what, times in found.items():
        note = f"  {statistics.median(times) / full:7.1f} x full" if what in subjects else ""
        if what == "smartmoneyconcepts":
            note += f" (timed on {SOME} series, scaled to {len(series)})"
        print(f"{what:>24}  median {statistics.median(times):9.1f}  least {min(times):9.1f}{note}")


if __name__ == "__main__":
    main()
