"""The live worker and the backtest over the same recorded quotes: are the trades the same?

    python benchmarks/scan/live.py MARKET [--start 2014-05-05T00:00] [--hours 72] [--busy]

The live side is that of ``tests/strategy/backtest/test_backtest_live.py``: the real client with its queue,
the terminal in a thread, the scan in another, the worker's own loops; market time is told, so that
looks and scans are at the same market seconds as the backtest's. Exits with 1 when a trade differs.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from execution.settings import PaperSettings
from strategy.settings import StrategySettings

ROOT = Path(__file__).resolve().parents[2]
BUSY: dict[str, Any] = {
    "min_score": 45.0,
    "min_stop_spreads": 5.0,
    "max_cost_pct": 30.0,
    "cooldown_s": 60.0,
    "exits": {"time_stop_bars": 10},
}


def sides() -> Any:
    """The module that has both sides."""
    path = ROOT / "tests" / "strategy" / "backtest" / "test_backtest_live.py"
    spec = importlib.util.spec_from_file_location("both_sides", path)
    if spec is None or spec.loader is None:
        sys.exit(f"{path} cannot be read")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("market", type=Path)
    parser.add_argument("--start")
    parser.add_argument("--hours", type=float, default=72.0)
    parser.add_argument("--busy", action="store_true", help="settings that trade often")
    args = parser.parse_args()
    both = sides()
    paper = PaperSettings.model_validate({"market": args.market, "start": args.start})
    plan = StrategySettings.model_validate(BUSY if args.busy else {})
    seconds = args.hours * 3600.0
    report = asyncio.run(both.backtest(paper, plan, seconds))
    began = time.perf_counter()
    found = asyncio.run(both.live(paper, plan, seconds))
    same = [repr(trade) for trade in found] == [repr(trade) for trade in report.trades]
    print(
        f"{args.hours:g} market hours: live {len(found)} trades in {time.perf_counter() - began:.0f}"
        f" s, backtest {len(report.trades)} in {report.seconds:.0f} s:"
        f" {'the same' if same else 'NOT THE SAME'}"
    )
    sys.exit(not same)


if __name__ == "__main__":
    main()
