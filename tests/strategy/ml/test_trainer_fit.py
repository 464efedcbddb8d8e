"""What is planted is found, noise is refused, and nothing leaks from the future."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.model_selection import KFold, cross_val_predict

from strategy.ml.fit import (
    OutOfSample,
    auc,
    calibration_error,
    fit,
    judge,
    log_loss,
    steps,
    student,
    sure,
    walk_forward,
    with_drift,
)
from strategy.ml.model import Model
from strategy.ml.samples import Samples
from strategy.settings import StrategySettings

FEATURES = 12
HOLD = 3600.0
SETTINGS = StrategySettings()


def samples(seed: int, edge: float = 0.0, count: int = 2400, shape: str = "line") -> Samples:
    """Set-ups a minute apart that take an hour. A win pays 1.3 R, a loss costs 1.05 R; the odds
    follow ``edge`` times a feature, or times whether it is far from zero ("bend")."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, FEATURES))
    lift = x[:, 0] if shape == "line" else np.where(np.abs(x[:, 0]) > 0.7, 1.0, -1.0)
    won = rng.random(count) < 1.0 / (1.0 + np.exp(0.3 - edge * lift))
    time: Any = 1_700_000_000.0 + 60.0 * np.arange(count)
    return Samples(
        x=x,
        won=won,
        r=np.where(won, 1.3, -1.05),
        score=rng.uniform(20, 90, count),
        time=time,
        end=time + rng.uniform(60, HOLD, count),
        sign=rng.choice([-1, 1], count),
        which=rng.integers(0, 3, count),
        symbols=("A", "B", "C"),
        features=tuple(f"f{i}" for i in range(FEATURES)),
    )


def verdict(given: Samples, old: Model | None = None, settings: StrategySettings = SETTINGS) -> Any:
    return judge(given, walk_forward(given, 5, 1200.0), old, settings)


@pytest.mark.parametrize("shape", ["line", "bend"])
def test_a_planted_signal_is_found_and_swapped_in(shape: Any) -> None:
    given = samples(1, edge=0.9, shape=shape)
    found = verdict(given)
    assert found.swap, found.why
    m = found.metrics
    assert m["log_loss"] < min(m["log_loss_base"], m["log_loss_score"])
    assert m["auc"] > 0.6
    assert m["r_taken"] > 0.1 > m["r_all"]
    assert m["calibration_error"] < 0.08
    model = fit(given, np.arange(len(given)), 1200.0)
    assert model is not None
    assert model.kind == ("logistic" if shape == "line" else "trees")


def test_noise_is_refused_on_every_seed() -> None:
    for seed in range(5):
        found = verdict(samples(seed))
        assert not found.swap
        assert "no better than the base rate" in found.why


def test_a_score_that_knows_it_all_leaves_nothing_to_win() -> None:
    given = samples(3, edge=0.9)
    told = verdict(replace(given, score=50.0 + 20.0 * given.x[:, 0], x=given.x * 0 + 1e-3))
    assert not told.swap
    both = verdict(replace(given, score=50.0 + 20.0 * given.x[:, 0]))
    assert not both.swap
    assert "the score alone" in both.why


def test_a_signal_that_pays_nothing_is_refused() -> None:
    given = samples(1, edge=0.9)
    given = replace(given, r=np.where(given.won, 0.1, 1.0))
    assert "made" in verdict(given).why


def test_few_samples_are_refused_in_words() -> None:
    found = verdict(samples(1, edge=2.0, count=200))
    assert not found.swap
    assert "too few" in found.why


def test_what_is_learned_from_was_known_an_embargo_before_what_is_tested() -> None:
    given = samples(2)
    tested: list[int] = []
    for learn, test in steps(given.time, given.end, 5, 1200.0):
        first = given.time[test].min()
        assert (given.end[learn] + 1200.0 < first).all()
        purged = (given.time < first) & (given.end + 1200.0 >= first)
        assert purged.any()
        assert not set(np.flatnonzero(purged)) & set(learn)
        tested += list(test)
    assert tested == sorted(set(tested))
    assert tested[-1] == len(given) - 1


def test_labels_of_the_future_change_no_forecast_before_it() -> None:
    given = samples(4, edge=0.6)
    before = walk_forward(given, 4, 1200.0)
    border = float(given.time[len(given) * 3 // 5])
    future = given.end >= border
    rng = np.random.default_rng(0)
    shuffled, x = given.won.copy(), given.x.copy()
    shuffled[future] = rng.permutation(shuffled[future])
    later = given.time > border
    x[later] = rng.permutation(x[later])
    after = walk_forward(replace(given, won=shuffled, x=x), 4, 1200.0)
    early = given.time[before.rows] < border
    assert 0 < early.sum() < len(early)
    for one, other in zip(before[1:], after[1:], strict=True):
        np.testing.assert_array_equal(one[early], other[early])
        assert not np.array_equal(one[~early], other[~early])


def overlapping(seed: int) -> Samples:
    """Noise whose neighbours share features and labels, as overlapping set-ups do."""
    given = samples(seed)
    rng = np.random.default_rng(seed + 100)
    group = np.arange(len(given)) // 30
    x = rng.normal(size=(group[-1] + 1, FEATURES))[group]
    won = (rng.random(group[-1] + 1) < 0.43)[group]
    return replace(given, x=x + rng.normal(0, 0.01, x.shape), won=won, r=np.where(won, 1.3, -1.05))


def test_overlap_fools_a_shuffled_test_but_not_the_purged_one() -> None:
    given = overlapping(5)
    trees = GradientBoostingClassifier(n_estimators=60, max_depth=2, random_state=0)
    folds = KFold(5, shuffle=True, random_state=0)
    fooled = cross_val_predict(trees, given.x, given.won, cv=folds, method="predict_proba")[:, 1]
    rows = np.arange(len(given))
    base = np.full(len(given), given.won.mean())
    leaky = judge(given, OutOfSample(rows, fooled, base, base), None, SETTINGS)
    assert leaky.swap  # the control: the wrong way would have put a model of noise into force
    assert not verdict(given).swap


def old_model(given: Samples) -> Model:
    model = fit(given, np.arange(len(given)), 1200.0)
    assert model is not None
    return model


def test_an_old_model_as_good_as_the_new_one_stays() -> None:
    whole = samples(6, edge=0.9, count=3600)
    old = old_model(_until(whole, 1800))
    found = verdict(whole, old)
    assert not found.swap
    assert not found.retire
    assert "not beaten" in found.why
    assert found.previous["samples"] > 1000


def test_an_old_model_is_judged_only_on_what_came_after_its_data() -> None:
    whole = samples(6, edge=0.9, count=1800)
    found = verdict(whole, old_model(whole))
    assert not found.swap
    assert found.previous == {"samples": 0.0}


def test_when_the_market_turns_the_new_model_takes_over() -> None:
    first, then = samples(7, edge=0.9, count=500), samples(8, edge=0.9, count=4000)
    turned = _joined(first, replace(then, x=-then.x))
    found = verdict(turned, old_model(first))
    assert found.swap, found.why
    assert found.previous["log_loss_new"] < found.previous["log_loss"]


def test_when_the_signal_dies_the_old_model_is_retired_and_none_follows() -> None:
    first, then = samples(9, edge=0.9, count=1200), samples(10, count=4800)
    found = verdict(_joined(first, then), old_model(first))
    assert not found.swap
    assert found.retire


def _until(given: Samples, count: int) -> Samples:
    arrays: dict[str, Any] = {
        name: value[:count] for name, value in vars(given).items() if isinstance(value, np.ndarray)
    }
    return replace(given, **arrays)


def _joined(a: Samples, b: Samples) -> Samples:
    shift = a.time[-1] + 60.0 - b.time[0]
    b = replace(b, time=b.time + shift, end=b.end + shift)
    arrays: dict[str, Any] = {
        name: np.concatenate((value, getattr(b, name)))
        for name, value in vars(a).items()
        if isinstance(value, np.ndarray)
    }
    return replace(a, **arrays)


def test_a_fitted_model_computes_in_numpy_what_scikit_learn_does_and_survives_text() -> None:
    given = samples(1, edge=0.9, shape="bend")
    model = fit(given, np.arange(len(given)), 1200.0)
    assert model is not None
    assert model.trees is not None
    start = given.time[int(len(given) * 0.75)]
    old = given.end + 1200.0 < start
    z = np.clip((given.x - model.mean) / model.scale, -8, 8)
    theirs = GradientBoostingClassifier(
        n_estimators=60,
        learning_rate=0.1,
        max_depth=2,
        subsample=0.7,
        min_samples_leaf=max(20, int(old.sum()) // 50),
        random_state=0,
    ).fit(z[old], given.won[old])
    np.testing.assert_allclose(model.raw(given.x), theirs.decision_function(z), atol=1e-9)
    again = Model.from_json(with_drift(model, given.x).to_json())
    np.testing.assert_array_equal(again.probability(given.x), model.probability(given.x))
    assert 0 < again.drift_limit < 1
    assert again.drift(given.x[: again.drift_rows]) <= again.drift_limit
    assert again.drift(given.x[: again.drift_rows] + 1.0) > again.drift_limit


def test_figures_agree_with_their_definitions() -> None:
    assert student(0.99, 19) == pytest.approx(2.539483, abs=2e-3)
    assert student(0.95, 19) == pytest.approx(1.729133, abs=2e-3)
    rng = np.random.default_rng(3)
    p, won = np.round(rng.random(300), 1), rng.random(300) < 0.4
    pairs = p[won][:, None] - p[~won][None, :]
    assert auc(p, won) == pytest.approx((pairs > 0).mean() + 0.5 * (pairs == 0).mean())
    assert log_loss(np.array([0.8, 0.8]), np.array([True, False])) == pytest.approx(
        [-np.log(0.8), -np.log(0.2)]
    )
    truth = rng.random(20_000)
    assert calibration_error(truth, rng.random(20_000) < truth) < 0.02
    assert calibration_error(truth, rng.random(20_000) < truth**3) > 0.1


def test_a_gain_of_noise_is_seldom_sure() -> None:
    rng = np.random.default_rng(11)
    found = sum(sure(rng.normal(size=400), 0.95) for _ in range(1000))
    assert 25 <= found <= 80
