"""Learning and judging: a model from samples, walk-forward figures, and whether to swap.

scikit-learn is used here only, in the trainer's child process. The whole way to a model
(choice of kind, calibration) is done again in each step of the walk-forward test, on samples
with an outcome known, with an embargo, before the first one that is tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np

from ..base import Bools, Floats, Ints
from ..settings import StrategySettings
from .model import Model, Trees, bin_edges, drift, shares_of
from .samples import Samples

LEAST = 60
"""Fewer samples, or fewer than a tenth of them of one kind, teach nothing."""
HELD_OUT = 0.25
"""Newest part of the samples that chooses the kind and calibrates it."""
BLOCKS = 20
"""Stretches of time over which a gain must hold: set-ups next to each other are not
independent, stretches nearly are."""
PRIOR = 20.0
LEAST_TAKEN = 20
LEAST_UNSEEN = 100
FLOOR = 1e-6


def steps(time: Floats, end: Floats, count: int, embargo: float) -> Iterator[tuple[Ints, Ints]]:
    """Purged walk-forward: ``count`` times (rows to learn from, rows to test on).

    ``time`` rises. What is learned from had its outcome known ``embargo`` seconds before the
    first tested set-up; what is tested comes later, each row once, none of the first part.
    """
    n = len(time)
    borders = [float(time[n * i // (count + 1)]) for i in range(1, count + 1)] if n else []
    for i, start in enumerate(borders):
        stop = borders[i + 1] if i + 1 < len(borders) else math.inf
        test = np.flatnonzero((time >= start) & (time < stop))
        learn = np.flatnonzero(end + embargo < start)
        if len(test):
            yield learn, test


class OutOfSample(NamedTuple):
    """Rows that were tested, by time, and the probabilities stated beforehand: by the model
    of the time, by the base rate of the symbol, and by the score alone."""

    rows: Ints
    model: Floats
    base: Floats
    score: Floats


def walk_forward(
    samples: Samples,
    count: int,
    embargo: float,
    progress: Callable[[float], None] = lambda share: None,
) -> OutOfSample:
    """What would have been expected of each set-up, had it been asked at its time."""
    parts = []
    for i, (learn, test) in enumerate(steps(samples.time, samples.end, count, embargo)):
        progress(i / count)
        base = _base_rate(samples, learn, test)
        model = fit(samples, learn, embargo)
        expected = base if model is None else model.probability(samples.x[test])
        parts.append((test, expected, base, _by_score(samples, learn, test, base)))
    if not parts:
        none = np.empty(0)
        return OutOfSample(none.astype(np.int64), none, none, none)
    return OutOfSample(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def fit(samples: Samples, rows: Ints, embargo: float) -> Model | None:
    """A calibrated model from the samples at ``rows``; ``None`` where they teach nothing.

    The kinds are fitted on the older part; the newer part, purged from it, chooses between
    them by log loss and calibrates the choice (Platt).
    """
    if not _teaches(samples.won[rows]):
        return None
    start = float(samples.time[rows[int(len(rows) * (1 - HELD_OUT))]])
    old = rows[samples.end[rows] + embargo < start]
    new = rows[samples.time[rows] >= start]
    if not (_teaches(samples.won[old]) and 0 < samples.won[new].sum() < len(new)):
        return None
    x, won = samples.x[old], samples.won[old]
    mean, scale = x.mean(axis=0), x.std(axis=0)
    plain = Model(
        kind="logistic",
        features=samples.features,
        mean=mean,
        scale=np.where(scale > 1e-9, scale, 1.0),
        weights=np.zeros(x.shape[1]),
        base=0.0,
        slope=1.0,
        shift=0.0,
        edges=bin_edges(x),
        shares=np.zeros((x.shape[1], 10)),
        drift_limit=0.0,
        drift_rows=1,
        began=float(samples.time[rows[0]]),
        until=float(samples.end[rows].max()),
    )
    z = np.clip((x - plain.mean) / plain.scale, -8.0, 8.0)
    best: tuple[float, Model] | None = None
    for model in (_logistic(plain, z, won), _boosted(plain, z, won)):
        raw = model.raw(samples.x[new])
        slope, shift = _platt(raw, samples.won[new])
        model = replace(model, slope=slope, shift=shift)
        loss = float(log_loss(model.probability(samples.x[new]), samples.won[new]).mean())
        if best is None or loss < best[0]:
            best = (loss, model)
    return best[1] if best is not None else None


def with_drift(model: Model, x: Floats) -> Model:
    """The model with the spread of its data, and how far that wandered by itself."""
    edges = bin_edges(x)
    shares = shares_of(x, edges)
    size = min(max(len(x) // 10, 20), 200)
    parts = [x[i : i + size] for i in range(0, len(x) - size + 1, max(size // 2, 1))]
    usual = max((drift(shares_of(part, edges), shares) for part in parts), default=0.0)
    return replace(model, edges=edges, shares=shares, drift_limit=usual, drift_rows=size)


@dataclass(frozen=True)
class Verdict:
    """``swap``: the new model takes over. ``retire``: the old one has become worse than the
    base rate and goes. ``why`` is one sentence; figures are out of sample."""

    swap: bool
    retire: bool
    why: str
    metrics: dict[str, float]
    previous: dict[str, float] | None = None


def judge(
    samples: Samples, tested: OutOfSample, old: Model | None, settings: StrategySettings
) -> Verdict:
    """Whether the way to the new model beats base rate, score rule and the old model.

    The old model is compared on set-ups that came after its data only.
    """
    rows, t = tested.rows, settings.trainer
    won, r = samples.won[rows], samples.r[rows]
    metrics = {"samples": float(len(rows)), "win_rate": float(won.mean()) if len(rows) else 0.0}
    if len(rows) < t.min_samples:
        why = f"{len(rows)} set-ups out of sample are too few ({t.min_samples} are needed)"
        return Verdict(False, False, why, metrics)
    losses = {
        name: log_loss(p, won)
        for name, p in (("", tested.model), ("_base", tested.base), ("_score", tested.score))
    }
    taken: Bools = tested.model >= settings.min_probability
    ruled: Bools = samples.score[rows] >= settings.min_score
    metrics = {f"log_loss{name}": float(loss.mean()) for name, loss in losses.items()} | metrics
    metrics |= {
        "brier": float(((tested.model - won) ** 2).mean()),
        "auc": auc(tested.model, won),
        "calibration_error": calibration_error(tested.model, won),
        "taken": float(taken.sum()),
        "r_all": float(r.mean()),
    }
    for name, chosen in (("r_taken", taken), ("r_score", ruled)):
        if chosen.any():
            metrics[name] = float(r[chosen].mean())
    retire, beats_old, previous = _against_old(samples, tested, old, losses[""], t.confidence)
    why = _fault(metrics, losses, int(taken.sum()), int(ruled.sum()), t.confidence)
    if not why and not beats_old:
        why = "the model in force is not beaten on what came after its data"
    if why:
        return Verdict(False, retire, why, metrics, previous)
    gain = 100.0 * (1.0 - metrics["log_loss"] / metrics["log_loss_base"])
    why = f"log loss {gain:.1f}% under the base rate's over {len(rows)} set-ups out of sample"
    return Verdict(True, False, why, metrics, previous)


def _fault(
    metrics: dict[str, float],
    losses: dict[str, Floats],
    taken: int,
    ruled: int,
    confidence: float,
) -> str:
    """Why the new model is not good enough; empty when it is."""
    for name, words in (("_base", "the base rate"), ("_score", "the score alone")):
        if not sure(losses[name] - losses[""], confidence):
            return (
                f"no better than {words} out of sample"
                f" (log loss {metrics['log_loss']:.4f} against {metrics[f'log_loss{name}']:.4f})"
            )
    if taken < LEAST_TAKEN:
        return f"it would have let {taken} set-ups through: too few to judge"
    # a handful of set-ups by the rule is no rival; then it is all of them
    rival = metrics["r_score"] if ruled >= LEAST_TAKEN else metrics["r_all"]
    if not metrics["r_taken"] > max(rival, metrics["r_all"]):
        return (
            f"what it would have let through made {metrics['r_taken']:+.2f} R a trade,"
            f" the score rule {rival:+.2f} R"
        )
    return ""


def _against_old(
    samples: Samples,
    tested: OutOfSample,
    old: Model | None,
    losses: Floats,
    confidence: float,
) -> tuple[bool, bool, dict[str, float] | None]:
    """Whether the old model is worse than the base rate, whether it is beaten, its figures."""
    if old is None:
        return False, True, None
    unseen = samples.time[tested.rows] > old.until
    figures = {"samples": float(unseen.sum())}
    if unseen.sum() < LEAST_UNSEEN:
        return False, False, figures
    rows = tested.rows[unseen]
    theirs = log_loss(old.probability(samples.x[rows]), samples.won[rows])
    base = log_loss(tested.base[unseen], samples.won[rows])
    figures |= {"log_loss": float(theirs.mean()), "log_loss_base": float(base.mean())}
    figures["log_loss_new"] = float(losses[unseen].mean())
    return (
        sure(theirs - base, confidence),
        sure(theirs - losses[unseen], confidence),
        figures,
    )


def sure(gain: Floats, confidence: float) -> bool:
    """Whether the mean of a gain, in order of time, is above zero with this confidence:
    one-sided t-test over ``BLOCKS`` stretches."""
    if len(gain) < 2 * BLOCKS:
        return False
    means = np.array([part.mean() for part in np.array_split(gain, BLOCKS)])
    mean, error = float(means.mean()), float(means.std(ddof=1)) / math.sqrt(BLOCKS)
    return mean > student(confidence, BLOCKS - 1) * error and mean > 0.0


def student(confidence: float, degrees: int) -> float:
    """Quantile of Student's t by the Cornish-Fisher series (Abramowitz & Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(confidence)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    return z + (z**3 + z) / (4 * degrees) + second


def log_loss(p: Floats, won: Bools) -> Floats:
    """Minus the log of the probability given to what happened; row by row."""
    cut = np.clip(p, FLOOR, 1 - FLOOR)
    out: Floats = -np.log(np.where(won, cut, 1 - cut))
    return out


def auc(p: Floats, won: Bools) -> float:
    """Chance that a winner was given more than a loser; 0.5 where there is no pair."""
    order = np.argsort(p, kind="stable")
    _, inverse, counts = np.unique(p[order], return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    wins = int(won.sum())
    if wins in (0, len(won)):
        return 0.5
    total = float(ranks[won[order]].sum())
    return (total - wins * (wins + 1) / 2) / (wins * (len(won) - wins))


def calibration_error(p: Floats, won: Bools, bins: int = 10) -> float:
    """Mean distance between stated probability and frequency, over equally filled bins."""
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return sum(len(i) * abs(float(p[i].mean() - won[i].mean())) for i in parts) / len(p)


def _teaches(won: Bools) -> bool:
    wins = int(won.sum())
    return len(won) >= LEAST and min(wins, len(won) - wins) >= max(len(won) // 10, 5)


def _rate(won: Bools) -> float:
    return (float(won.sum()) + 1.0) / (len(won) + 2.0)


def _base_rate(samples: Samples, learn: Ints, test: Ints) -> Floats:
    """How often set-ups of the same symbol won so far, drawn towards all symbols' rate as if
    ``PRIOR`` more had come at that rate."""
    overall = _rate(samples.won[learn])
    count = np.bincount(samples.which[learn], minlength=len(samples.symbols))
    wins = np.bincount(samples.which[learn][samples.won[learn]], minlength=len(samples.symbols))
    out: Floats = ((wins + PRIOR * overall) / (count + PRIOR))[samples.which[test]]
    return out


def _by_score(samples: Samples, learn: Ints, test: Ints, base: Floats) -> Floats:
    """The score rule as a probability: logistic in the score alone."""
    won = samples.won[learn]
    if not _teaches(won):
        return base
    slope, shift = _platt(samples.score[learn] / 100.0, won)
    return 1.0 / (1.0 + np.exp(-(slope * samples.score[test] / 100.0 + shift)))


def _platt(raw: Floats, won: Bools) -> tuple[float, float]:
    """Slope (never below zero) and shift that turn raw log-odds into calibrated ones."""
    from sklearn.linear_model import LogisticRegression

    rate = _rate(won)
    flat = 0.0, math.log(rate / (1 - rate))
    if not raw.std() > 1e-9:
        return flat
    found = LogisticRegression(C=1e3, max_iter=1000).fit(raw[:, None], won)
    slope, shift = float(found.coef_[0, 0]), float(found.intercept_[0])
    return (slope, shift) if slope > 0 else flat


def _logistic(plain: Model, z: Floats, won: Bools) -> Model:
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(C=0.05, max_iter=1000).fit(z, won)
    return replace(plain, weights=found.coef_[0].copy(), base=float(found.intercept_[0]))


def _boosted(plain: Model, z: Floats, won: Bools) -> Model:
    from sklearn.ensemble import GradientBoostingClassifier

    found = GradientBoostingClassifier(
        n_estimators=60,
        learning_rate=0.1,
        max_depth=2,
        subsample=0.7,
        min_samples_leaf=max(20, len(z) // 50),
        random_state=0,
    ).fit(z, won)
    rate = float(won.mean())
    trees = [estimator.tree_ for estimator in found.estimators_[:, 0]]
    kind: Literal["trees"] = "trees"
    return replace(plain, kind=kind, base=math.log(rate / (1 - rate)), trees=_exported(trees, 0.1))


def _exported(trees: list[Any], rate: float) -> Trees:
    """scikit-learn's trees as one set of arrays, the learning rate in the leaves."""
    roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
    shift = np.concatenate([np.full(t.node_count, r) for t, r in zip(trees, roots, strict=True)])
    leaf = np.concatenate([tree.children_left for tree in trees]) < 0
    return Trees(
        roots=roots.astype(np.int64),
        feature=np.where(leaf, -1, np.concatenate([t.feature for t in trees])).astype(np.int64),
        threshold=np.where(leaf, 0.0, np.concatenate([t.threshold for t in trees])),
        left=np.where(leaf, 0, np.concatenate([t.children_left for t in trees]) + shift),
        right=np.where(leaf, 0, np.concatenate([t.children_right for t in trees]) + shift),
        value=rate * np.concatenate([t.value[:, 0, 0] for t in trees]),
    )
