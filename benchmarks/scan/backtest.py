"""Ticks a second of a backtest over recorded quotes, and whether its shortcuts are exact.

    python benchmarks/scan/backtest.py MARKET [--hours N] [--rounds 3] [--every]

Runs the default settings, the same with the risk limits off (after a limit nothing is traded, which
is fast), and a busy one: no limits, near stops, a symbol rests a minute after a trade. Each round is a whole run with the market opened anew; all rounds must give the
same trades and equity. ``--every`` adds a run that leaves no look and no scan out, for
comparison: the same trades, about twenty times as long.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tui.run.backtest import Done, run_backtest
from tui.settings import Settings


def timed(settings: Settings, hours: float | None, every: bool) -> tuple[Done, float]:
    """A run, and the CPU seconds that it took, the market's opening included."""
    began = time.process_time()
    done = asyncio.run(run_backtest(settings, hours=hours, every=every))
    return done, time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("market", type=Path)
    parser.add_argument("--hours", type=float)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", action="store_true")
    args = parser.parse_args()
    off: dict[str, Any] = {
        "daily_loss_pct": None,
        "max_drawdown_pct": None,
        "max_consecutive_losses": None,
    }
    busy: dict[str, Any] = {
        "min_score": 45.0,
        "min_stop_spreads": 5.0,
        "max_cost_pct": 30.0,
        "cooldown_s": 60.0,
    }
    busy["exits"] = {"time_stop_bars": 10}
    for name, limits, plan in (
        ("default", {}, {}),
        ("limits off", off, {}),
        ("busy", {**off, "risk_per_trade_pct": 0.25}, busy),
    ):
        settings = Settings.model_validate(
            {"paper": {"market": args.market}, "risk": limits, "strategy": plan}
        )
        runs = [timed(settings, args.hours, False) for _ in range(args.rounds)]
        texts = {repr((done.report.trades, done.report.equity)) for done, _ in runs}
        first = runs[0][0]
        speed = statistics.median(done.ticks / done.report.seconds for done, _ in runs)
        cpu = statistics.median(done.ticks / seconds for done, seconds in runs)
        print(
            f"{name:>10}: {first.ticks:,} ticks, {len(first.report.trades)} trades,"
            f" {first.report.scans:,} scans; median {speed:,.0f} ticks/s of real time,"
            f" {cpu:,.0f} ticks/s of CPU with opening; {len(texts)} result in {args.rounds} runs"
        )
        if args.every:
            done, seconds = timed(settings, args.hours, True)
            same = repr((done.report.trades, done.report.equity)) in texts
            print(
                f"{'':>10}  nothing left out: {done.ticks / seconds:,.0f} ticks/s of CPU,"
                f" {'the same' if same else 'NOT THE SAME'} trades and equity"
            )
            if not same:
                sys.exit(1)
        if len(texts) > 1:
            sys.exit("the runs differ")


if __name__ == "__main__":
    main()
