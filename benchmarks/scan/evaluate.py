"""What the parts of the shipped strategy's score are worth on real bars, against chance.

    python benchmarks/scan/evaluate.py DATA [--replicas 200] [--seed 1] [--write docs/evaluation.md]

DATA is a folder of bars: ``**/*.csv`` or ``*.csv.gz`` with a date and open, high, low, close in
the first five columns. Each part of the score is an event with a direction. From the next bar's
open a target and a stop stand 1.5 ATR away on either side, for 24 bars; the result is counted
in R (1.5 ATR), without costs. Where one bar reaches both, the stop counts.

Chance is a random walk made of the same bars: blocks of 48 bars strung together, each single bar
turned upside down with probability one half. It keeps the shapes and sizes of bars, how calm and
wild times cluster, and how events overlap; where the price goes next, nothing can know.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import numpy.typing as npt

from strategy.institutional.indicators import wilder
from strategy.institutional.liquidity import KINDS, Periods, Pools, levels, periods
from strategy.institutional.structure import analyse, dealing_range

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]

SWING, BARRIER_ATR, HORIZON, BLOCK, COLUMNS = 3, 1.5, 24, 48, 20
SPREAD = 1e-4
"""Of the price: about a pip of EURUSD."""
BEGIN, END = "<!-- figures: benchmarks/scan/evaluate.py -->", "<!-- end of figures -->"


class Prices(NamedTuple):
    """Open, high, low, close of shape (bars, series), and the opening times of the bars."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    time: npt.NDArray[np.int64]


class Tally(NamedTuple):
    """Events, and the sums over them of R and of targets reached, for each column."""

    count: Floats
    r: Floats
    hits: Floats


def read(path: Path) -> Prices:
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        kept = [row for row in rows if len(row) >= 5]
    columns = np.array([[float(x) for x in row[1:5]] for row in kept])
    texts = [row[0][:19].replace(".", "-").replace(" ", "T") for row in kept]
    time = np.array(texts, dtype="datetime64[s]").astype(np.int64)
    good = (columns > 0).all(axis=1)
    o, h, low, c = (columns[good, i : i + 1] for i in range(4))
    return Prices(o, h, low, c, time[good])


def resample(bars: Prices, columns: int, rng: np.random.Generator) -> Prices:
    """Random walks of the same length, strung together from blocks of ``bars``; each bar's
    direction is a coin's."""
    before = bars.close[:-1]
    moves = np.stack([np.log(x[1:] / before)[:, 0] for x in bars[:4]])  # open, high, low, close
    turned = -moves[[0, 2, 1, 3]]
    length = moves.shape[1]
    blocks = -(-length // BLOCK)
    starts = rng.integers(0, length - BLOCK + 1, (blocks, columns))
    rows = (starts[:, None, :] + np.arange(BLOCK)[None, :, None]).reshape(-1, columns)[:length]
    flip = rng.random((length, columns)) < 0.5
    drawn = np.where(flip, turned[:, rows], moves[:, rows])
    level = np.cumsum(drawn[3], axis=0)
    level = np.vstack((np.zeros((1, columns)), level[:-1])) + np.log(bars.close[0])
    o, h, low, c = (np.exp(level + each) for each in drawn)
    return Prices(o, h, low, c, bars.time[1:])


def first(condition: Bools) -> Bools:
    """Where a condition begins to hold."""
    out = condition.copy()
    out[1:] &= ~condition[:-1]
    return out


def events(p: Prices) -> tuple[dict[str, Bools], Floats]:
    """Events by part, shape (bars, 2, series) with buys first, and the ATR."""
    w = wilder(p.high, p.low, p.close)
    s = analyse(p.open, p.high, p.low, p.close, w.atr, SWING)
    place = dealing_range(p.high, p.low, p.close)
    both = np.stack
    up = s.trend > 0, s.trend < 0
    touched = (p.low[:, None] <= s.gap_near[:, :1], p.high[:, None] >= s.gap_near[:, 1:])
    retest = np.concatenate(touched, axis=1)
    hit = (p.low[:, None] <= s.block_near[:, :1], p.high[:, None] >= s.block_near[:, 1:])
    block = np.concatenate(hit, axis=1)
    failed = (p.low[:, None] <= s.breaker_near[:, :1], p.high[:, None] >= s.breaker_near[:, 1:])
    breaker = np.concatenate(failed, axis=1)
    taken = extremes(p, w.atr)
    every = np.zeros_like(up[0])
    every[::HORIZON] = True
    return {
        "bias: with the trend": both((up[0] & every, up[1] & every), axis=1),
        "bias: cheap side, with the trend": first(
            both((up[0] & (place < 0.3), up[1] & (place > 0.7)), axis=1)
        ),
        "sweep": s.swept,
        "sweep of equal highs or lows": s.swept & s.swept_equal,
        "sweep of the day's high or low": taken[:, KINDS.index("day")],
        "sweep of the week's high or low": taken[:, KINDS.index("week")],
        "structure: break with the trend": s.broke & ~s.choch,
        "structure: change of character": s.choch,
        "structure: break with displacement": s.displaced,
        "zone: return to a fair value gap": first(retest),
        "zone: return to an order block": first(block),
        "zone: return to a breaker": first(breaker),
        "rsi: below 35, above 65": first(both((w.rsi < 35, w.rsi > 65), axis=1)),
    }, w.atr


def extremes(p: Prices, atr: Floats) -> Bools:
    """Sweeps of the extremes of the day and week before, (bars, kinds, 2, series). The offset of
    the servers that the bars come from is not known, so that there are no sessions."""
    columns = p.close.shape[1]
    seconds = np.full(1, int(np.median(np.diff(p.time))))
    at = periods(p.time[:, None], seconds, np.full(1, np.nan))
    at = np.repeat(at, columns, axis=2)
    past, pools = Periods.unknown(columns), Pools.empty(2 * len(KINDS) * columns)
    return levels(p.high, p.low, p.close, atr, at, past, pools, 1)[0].swept


def outcomes(p: Prices, atr: Floats, happened: Bools) -> Tally:
    """Results of the events, by column."""
    bars, columns = p.close.shape
    count, total, hits = (np.zeros(columns) for _ in range(3))
    for side, sign in ((0, 1.0), (1, -1.0)):
        usable = happened[:, side] & np.isfinite(atr) & (atr > 0)
        usable[bars - HORIZON - 1 :] = False
        at, column = np.nonzero(usable)
        if not len(at):
            continue
        entry, far = p.open[at + 1, column], BARRIER_ATR * atr[at, column]
        result, open_ = np.zeros(len(at)), np.ones(len(at), dtype=bool)
        won = np.zeros(len(at), dtype=bool)
        for ahead in range(1, HORIZON + 1):
            high, low = p.high[at + ahead, column], p.low[at + ahead, column]
            best, worst = (high, low) if sign > 0 else (low, high)
            lost = open_ & (sign * (entry - worst) >= far)
            result[lost], open_ = -1.0, open_ & ~lost
            hit = open_ & (sign * (best - entry) >= far)
            result[hit], won, open_ = 1.0, won | hit, open_ & ~hit
        late = sign * (p.close[at + HORIZON, column] - entry) / far
        result = np.where(open_, late, result)
        count += np.bincount(column, minlength=columns)
        total += np.bincount(column, weights=result, minlength=columns)
        hits += np.bincount(column, weights=won, minlength=columns)
    return Tally(count, total, hits)


def cost(p: Prices) -> float:
    """What a spread of ``SPREAD`` of the price takes from each trade, in R (median)."""
    atr = wilder(p.high, p.low, p.close).atr
    return float(np.nanmedian(SPREAD * p.close / (BARRIER_ATR * atr)))


def tallies(p: Prices) -> dict[str, Tally]:
    found, atr = events(p)
    return {name: outcomes(p, atr, happened) for name, happened in found.items()}


def holm(p_values: list[float]) -> list[float]:
    """P values corrected for their number (Holm 1979)."""
    order = np.argsort(p_values)
    out, worst = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min((len(p_values) - rank) * p_values[i], 1.0))
        out[i] = worst
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--replicas", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="page in which the figures are replaced")
    args = parser.parse_args()
    files = [
        path
        for pattern in ("*h1.csv.gz", "*h4.csv.gz", "*_15M.csv.gz")
        for path in sorted(args.data.rglob(pattern))
    ]
    if not files:
        sys.exit(f"{args.data}: no bars there (NAMEh1.csv.gz, NAMEh4.csv.gz, NAME_15M.csv.gz)")
    began, rng = time.time(), np.random.default_rng(args.seed)
    real: dict[str, list[Floats]] = {}
    null: dict[str, Floats] = {}
    bars, names, costs = 0, [], []
    for path in files:
        prices = read(path)
        bars += len(prices.close)
        costs.append(cost(prices))
        names.append(path.name.split(".")[0])
        for name, tally in tallies(prices).items():
            real.setdefault(name, []).append(np.concatenate(tally))
        drawn: dict[str, list[Tally]] = {}
        for start in range(0, args.replicas, COLUMNS):
            some = resample(prices, min(COLUMNS, args.replicas - start), rng)
            for name, tally in tallies(some).items():
                drawn.setdefault(name, []).append(tally)
        for name, pieces in drawn.items():
            each = np.stack([np.concatenate(column) for column in zip(*pieces, strict=True)])
            null[name] = null[name] + each if name in null else each
        print(f"{path.name}: {len(prices.close):,} bars, {time.time() - began:.0f} s", flush=True)
    lines, p_values, rows = [], [], []
    for name, parts in real.items():
        count, total, hits = np.sum(parts, axis=0)
        chance = null[name][1] / null[name][0]
        mean = total / count
        off = np.abs(chance - chance.mean())
        p = (1 + np.count_nonzero(off >= abs(mean - chance.mean()))) / (1 + len(chance))
        low, high = np.percentile(chance, (2.5, 97.5))
        same = sum(
            np.sign(part[1] / part[0] - chance.mean()) == np.sign(mean - chance.mean())
            for part in parts
            if part[0]
        )
        rows.append(
            (
                name,
                count,
                hits / count,
                null[name][2].sum() / null[name][0].sum(),
                mean,
                chance.mean(),
                low,
                high,
                same,
            )
        )
        p_values.append(p)
    lines += [
        f"{bars:,} bars of {len(files)} series ({', '.join(names)}); "
        f"{args.replicas} replicas, seed {args.seed}. A spread of {1e4 * SPREAD:g} basis point of "
        f"the price would take {min(costs):.3f} to {max(costs):.3f} R from each trade, by series.",
        "",
        "| part | events | target first | by chance | mean R | by chance | 95 % of chance "
        "| p | p, corrected | series alike |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row, p, corrected in zip(rows, p_values, holm(p_values), strict=True):
        name, count, hit, hit_null, mean, middle, low, high, same = row
        lines.append(
            f"| {name} | {count:,.0f} | {100 * hit:.1f} % | {100 * hit_null:.1f} % "
            f"| {mean:+.4f} | {middle:+.4f} | {low:+.4f} to {high:+.4f} "
            f"| {p:.3f} | {corrected:.3f} | {same} of {len(files)} |"
        )
    text = "\n".join(lines)
    print(text)
    if args.write is not None:
        page = args.write.read_text(encoding="utf-8")
        head, tail = page.split(BEGIN)[0], page.split(END)[1]
        args.write.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
