"""What the whole strategy earns on recorded quotes, beside the same quotes as a random walk.

    python benchmarks/scan/evaluate_strategy.py MARKET [--walks 20] [--seed 1] [--hours N]
        [--write docs/evaluation.md]

A walk turns each minute's moves of the mid price upside down by a coin; spreads, tick times,
activity and what happens within a minute stay. Nothing can know where a walk goes, so what the
strategy earns on walks is what its costs take. Risk limits are off, so that all of the quotes
are traded, and a symbol rests a minute after a trade instead of hours, so that there are enough
of them; everything else is the default.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from execution.paper import PaperTerminal
from execution.paper.market.clock import SteppedClock
from execution.paper.market.model import Chunk, Ticks
from execution.paper.market.replay import ReplayMarket
from execution.paper.opening import account_config
from execution.settings import PaperSettings
from strategy.backtest.backtest import BacktestReport, run
from strategy.registry import load
from strategy.settings import RiskSettings, StrategySettings

BEGIN, END = "<!-- figures: benchmarks/scan/evaluate_strategy.py -->", "<!-- end of the second -->"


class Walk(ReplayMarket):
    """Recorded quotes whose direction is a coin's, minute by minute."""

    def __init__(self, path: Path, rng: np.random.Generator) -> None:
        super().__init__(path)
        self._rng = rng
        self._last: dict[str, tuple[float, float]] = {}

    def chunk(self) -> Chunk | None:
        chunk = super().chunk()
        if chunk is None:
            return None
        return Chunk(chunk.end_ms, {name: self._walk(name, t) for name, t in chunk.ticks.items()})

    def _walk(self, name: str, ticks: Ticks) -> Ticks:
        mid, point = (ticks.bid + ticks.ask) / 2, self.specs[name].point
        before, at = self._last.get(name, (mid[0], mid[0]))
        minute = np.cumsum(np.diff(ticks.time_ms // 60_000, prepend=0) > 0)
        sign = self._rng.choice((-1.0, 1.0), int(minute[-1]) + 1)[minute]
        walked = at + np.cumsum(np.diff(mid, prepend=before) * sign)
        walked = np.maximum(walked, mid[0] / 10)
        self._last[name] = float(mid[-1]), float(walked[-1])
        half = (ticks.ask - ticks.bid) / 2
        bid = np.round(np.rint((walked - half) / point) * point, 10)
        ask = np.round(bid + np.rint(2 * half / point) * point, 10)
        return Ticks(ticks.time_ms, bid, ask)


def trade(market: ReplayMarket, hours: float | None) -> BacktestReport:
    clock = SteppedClock(market.start)
    terminal = PaperTerminal(market, clock, account_config(PaperSettings()))
    plan = StrategySettings(cooldown_s=60.0)
    risk = RiskSettings(daily_loss_pct=None, max_drawdown_pct=None, max_consecutive_losses=None)
    until = math.inf if hours is None else terminal.server_now() + hours * 3600
    return asyncio.run(run(terminal, clock, load(plan), plan, risk, until=until))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("market", type=Path)
    parser.add_argument("--walks", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float)
    parser.add_argument("--write", type=Path, help="page in which the figures are replaced")
    args = parser.parse_args()
    market = ReplayMarket(args.market)
    report = trade(market, args.hours)
    real = report.statistics()
    results = np.array([t.r for t in report.trades])
    error = results.std(ddof=1) / math.sqrt(len(results))
    walks = []
    for number in range(args.walks):
        rng = np.random.default_rng([args.seed, number])
        walks.append(trade(Walk(args.market, rng), args.hours).statistics())
        print(f"walk {number + 1}: {walks[-1]}", file=sys.stderr, flush=True)
    means, wins = (np.array([w[n] for w in walks]) for n in ("average_r", "win_rate_pct"))
    better = 1 + int(np.count_nonzero(means >= real["average_r"]))
    text = "\n".join(
        (
            f"{market.text}. {args.walks} walks, seed {args.seed}; preset demo, limits off, cooldown 60 s.",
            "",
            "| | trades | trades won | mean R | |",
            "|---|---:|---:|---:|---|",
            f"| the quotes | {real['trades']:,.0f} | {real['win_rate_pct']:.1f} % "
            f"| {real['average_r']:+.3f} | standard error {error:.3f} |",
            f"| random walks | {np.mean([w['trades'] for w in walks]):,.0f} | {wins.mean():.1f} % "
            f"| {means.mean():+.3f} | from {means.min():+.3f} to {means.max():+.3f} |",
            "",
            f"The quotes come out as rank {better} of {args.walks + 1} by mean R, the best being 1.",
        )
    )
    print(text)
    if args.write is not None:
        page = args.write.read_text(encoding="utf-8")
        head, tail = page.split(BEGIN)[0], page.split(END)[1]
        args.write.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
