"""How often the trainer swaps: on noise it should not, on a planted signal the oftener the
stronger. ``python benchmarks/trainer/rates.py [--seeds N]``.

Each market has 2,400 set-ups a minute apart, an hour long at most, a win worth 1.3 R and a loss
1.05 R; the log-odds of a win follow one of twelve features by ``edge``.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from strategy.ml.fit import judge, walk_forward
from strategy.ml.samples import Samples
from strategy.settings import StrategySettings

EDGES = (0.0, 0.2, 0.3, 0.4, 0.6, 0.9)


def market(seed: int, edge: float, count: int = 2400) -> Samples:
    """Set-ups with a signal of strength ``edge``; see above."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 12))
    won = rng.random(count) < 1.0 / (1.0 + np.exp(0.3 - edge * x[:, 0]))
    at = 1_700_000_000.0 + 60.0 * np.arange(count)
    return Samples(
        x=x,
        won=won,
        r=np.where(won, 1.3, -1.05),
        score=rng.uniform(20, 90, count),
        time=at,
        end=at + rng.uniform(60, 3600, count),
        sign=rng.choice([-1, 1], count),
        which=np.zeros(count, np.int64),
        symbols=("A",),
        features=tuple(f"f{i}" for i in range(12)),
    )


def overlapping(seed: int) -> Samples:
    """Noise whose neighbours share features and outcome for half an hour at a time."""
    given = market(seed, 0.0)
    rng = np.random.default_rng(seed + 10_000)
    group = np.arange(len(given)) // 30
    x = rng.normal(size=(group[-1] + 1, 12))[group] + rng.normal(0, 0.01, given.x.shape)
    won = (rng.random(group[-1] + 1) < 0.43)[group]
    return replace(given, x=x, won=won, r=np.where(won, 1.3, -1.05))


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    seeds = parser.parse_args().seeds
    settings, began = StrategySettings(), time.process_time()
    for edge in EDGES:
        verdicts = [
            judge(given, walk_forward(given, 5, 1200.0), None, settings)
            for given in (market(seed, edge) for seed in range(seeds))
        ]
        swaps = sum(v.swap for v in verdicts)
        auc = np.mean([v.metrics["auc"] for v in verdicts])
        print(f"edge {edge:.1f}  AUC {auc:.3f}  swapped {swaps}/{seeds}", flush=True)
    found = [overlapping(seed) for seed in range(seeds)]
    swaps = sum(judge(g, walk_forward(g, 5, 1200.0), None, settings).swap for g in found)
    print(f"overlapping noise  swapped {swaps}/{seeds}")
    print(f"{time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
