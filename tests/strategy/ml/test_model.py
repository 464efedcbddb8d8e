"""Models as files, and the numbers that they look at."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.paths import ROOT
from support.present import present

from strategy.base import Bars, Context, Setup
from strategy.ml.model import Model, ModelError, load
from strategy.ml.model_features import names, row, sided, table
from strategy.ml.model_gate import Judge, fits
from strategy.settings import StrategySettings

FRAMES = ("M1", "M5", "M15")


def bars_of(walk: Any, count: int, seed: int = 3, frame: str = "M1", step: int = 60) -> Bars:
    o, h, low, c = (x[:, 0] for x in walk(count, 1, seed))
    rng = np.random.default_rng(seed)
    time = np.arange(count, dtype=np.int64) * step + 1_700_000_100
    ticks = rng.integers(20, 200, count).astype(float)
    return Bars("EURUSD", frame, time, o, h, low, c, ticks, np.full(count, 8.0))


def part(bars: Bars, start: int, stop: int) -> Bars:
    columns = [getattr(bars, n)[start:stop] for n in Bars.__dataclass_fields__ if n not in KEYS]
    return Bars(bars.symbol, bars.timeframe, *columns)


KEYS = ("symbol", "timeframe", "utc_offset")


def logistic(features: tuple[str, ...] = ("a", "b"), **changes: Any) -> Model:
    n = len(features)
    model = Model(
        kind="logistic",
        features=features,
        mean=np.zeros(n),
        scale=np.ones(n),
        weights=np.full(n, 0.5),
        base=0.1,
        slope=1.0,
        shift=0.0,
        edges=np.tile(np.linspace(-1, 1, 9), (n, 1)),
        shares=np.full((n, 10), 0.1),
        drift_limit=0.5,
        drift_rows=30,
        began=1.0,
        until=2.0,
        made_for={"strategy": "x", "levels": [1.2, 1.3]},
        metrics={"log_loss": 0.6},
    )
    return replace(model, **changes)


def test_a_prefix_of_the_bars_gives_the_prefix_of_the_features(walk: Any) -> None:
    bars = bars_of(walk, 500)
    whole = table(bars, 1e-5, 2)
    assert np.isfinite(whole[100:]).all()
    for stop in (120, 271, 333, 499):
        np.testing.assert_array_equal(table(part(bars, 0, stop), 1e-5, 2), whole[:stop])


def test_the_prefix_test_finds_a_feature_that_looks_ahead(walk: Any) -> None:
    bars = bars_of(walk, 500)

    def leaky(given: Bars) -> np.ndarray:
        found = table(given, 1e-5, 2)
        found[:-1, 9] = found[1:, 9]  # the last move, one bar too early
        return found

    whole, prefix = leaky(bars), leaky(part(bars, 0, 333))
    assert not np.array_equal(prefix, whole[:333], equal_nan=True)


def test_the_gate_sees_in_its_window_what_the_trainer_learned_from_the_whole(walk: Any) -> None:
    bars = bars_of(walk, 1500)
    whole = table(bars, 1e-5, 2)
    far = [
        i
        for i in range(400, 1500, 7)
        if not np.allclose(table(part(bars, i - 299, i + 1), 1e-5, 2)[-1], whole[i], atol=1e-6)
    ]
    assert len(far) <= 3, f"of 158 rows {len(far)} differ"


def test_a_sell_on_mirrored_prices_sees_what_a_buy_sees(walk: Any) -> None:
    bars = bars_of(walk, 400)
    turned = replace(
        bars, open=3 - bars.open, close=3 - bars.close, high=3 - bars.low, low=3 - bars.high
    )
    buy = sided(table(bars, 1e-5, 2), 1)
    sell = sided(table(turned, 1e-5, 2), -1)
    np.testing.assert_allclose(buy[100:], sell[100:], atol=1e-6)


def test_a_model_survives_its_file_and_is_found_changed_by_one_digit(tmp_path: Path) -> None:
    model, path = logistic(), tmp_path / "m" / "model.json"
    model.save(path)
    again = load(path)
    assert again is not None
    assert again.id == model.id
    assert dict(again.metrics) == {"log_loss": 0.6}
    x = np.array([[0.3, -2.0], [np.nan, 0.0]])
    np.testing.assert_array_equal(again.probability(x), model.probability(x))
    assert [p.name for p in path.parent.iterdir()] == ["model.json"]
    text = path.read_text()
    assert "0.1," in text
    path.write_text(text.replace("0.1,", "0.2,", 1))
    with pytest.raises(ModelError, match="was changed"):
        load(path)
    assert load(tmp_path / "none.json") is None


def _signed(body: dict[str, Any]) -> str:
    """A file whose hash is right, whatever it holds."""
    import hashlib

    content = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(content).hexdigest()
    return json.dumps({"mt5dash_model": 1, "sha256": digest, "model": body})


TREE = {
    "roots": [0],
    "feature": [0, -1, -1],
    "threshold": [0.0, 0.0, 0.0],
    "left": [1, 0, 0],
    "right": [2, 0, 0],
    "value": [0.0, -1.0, 1.0],
}


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [1.0]},
        {"weights": ["x", "y"]},
        {"scale": [0.0, 1.0]},
        {"scale": [1e400, 1.0]},
        {"kind": "pickle"},
        {"kind": "trees", "trees": None},
        {"kind": "trees", "trees": TREE | {"left": [0, 0, 0]}},
        {"kind": "trees", "trees": TREE | {"right": [9, 0, 0]}},
        {"kind": "trees", "trees": TREE | {"feature": [7, -1, -1]}},
        {"kind": "trees", "trees": TREE | {"roots": [3]}},
        {"kind": "trees", "trees": TREE | {"value": [0.0]}},
        {"extra": 1},
    ],
)
def test_a_file_that_cannot_be_computed_with_is_refused_even_with_a_right_hash(change: Any) -> None:
    body = json.loads(logistic().to_json())["model"]
    assert Model.from_json(_signed(body)).id == logistic().id
    with pytest.raises(ModelError):
        Model.from_json(_signed(body | change))


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"mt5dash_model": 2}', "\x80\x04K\x01."])
def test_what_is_no_model_is_refused(text: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError):
        load(path)


def test_trees_give_the_leaf_that_a_row_falls_into() -> None:
    body = json.loads(logistic().to_json())["model"]
    body |= {"kind": "trees", "trees": TREE, "weights": [0.0, 0.0], "base": 0.0}
    model = Model.from_json(_signed(body))
    p = model.probability(np.array([[-0.5, 0.0], [0.0, 9.0], [0.5, 0.0]]))
    low, high = 1 / (1 + np.e), 1 / (1 + 1 / np.e)
    np.testing.assert_allclose(p, [low, low, high])


def test_drift_is_small_for_the_same_data_and_large_for_other() -> None:
    rng = np.random.default_rng(1)
    model = logistic(
        edges=np.tile(np.quantile(rng.normal(size=9999), np.arange(1, 10) / 10), (2, 1))
    )
    assert model.drift(rng.normal(size=(500, 2))) < 0.1
    assert model.drift(rng.normal(1.5, 1, size=(500, 2))) > 1.0


@pytest.fixture
def asked(walk: Any, info: Any) -> tuple[Context, Setup]:
    steps = dict(zip(FRAMES, (60, 300, 900), strict=True))
    bars = {f: bars_of(walk, 300, frame=f, step=s) for f, s in steps.items()}
    context: Any = Context("EURUSD", info(), None, bars, 1_700_900_000.0)  # type: ignore[arg-type]
    setup = Setup(
        "EURUSD", "BUY", score=60.0, regime="NORMAL", trigger="x", entry=1.1, sl=1.09, tp=1.12
    )
    return context, setup


def test_the_gate_puts_the_models_probability_on_what_could_trade(asked: Any) -> None:
    context, setup = asked
    judge = Judge(StrategySettings(), FRAMES)
    assert judge(context, setup) is setup  # open without a model
    model = logistic(names(FRAMES), weights=np.full(len(names(FRAMES)), 0.01))
    judge.swap(model)
    found = judge(context, setup).probability
    blocks = [table(context.bars[f], context.info.point, 2)[-1] for f in FRAMES]
    lead = context.bars["M1"]
    x = row(blocks, 1, 60.0, setup.reward / setup.risk, float(lead.time[-1]) + 60)
    assert found == pytest.approx(float(model.probability(x[None])[0]), abs=1e-12)
    assert judge(context, replace(setup, probability=0.9)).probability == 0.9
    assert judge(context, replace(setup, trigger=None)).probability is None
    judge.swap(None)
    assert judge(context, setup).probability is None


def test_a_feature_that_is_not_known_gives_nan_and_nan_passes_no_gate(
    asked: Any, case: Any
) -> None:
    from strategy.scan.gates import first_block

    context, setup = asked
    flat = {f: replace(b, volume=np.full(len(b), np.nan)) for f, b in context.bars.items()}
    judge = Judge(StrategySettings(), FRAMES)
    judge.swap(logistic(names(FRAMES)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = judge(replace(context, bars=flat), setup)
    assert np.isnan(present(found.probability))
    block = first_block(case(setup={"probability": found.probability}))
    assert block is not None
    assert block.gate == "probability"


def test_a_model_is_used_only_where_it_speaks_of_this_market_and_of_the_past() -> None:
    model = logistic(until=100.0)
    wanted = {"strategy": "x", "levels": [1.2, 1.3]}
    assert fits(model, wanted, ("a", "b"), 101.0) == ""
    assert "features" in fits(model, wanted, ("a",), 101.0)
    assert "another" in fits(model, wanted | {"strategy": "y"}, ("a", "b"), 101.0)
    assert "not reached" in fits(model, wanted, ("a", "b"), 99.0)


def test_neither_the_worker_nor_a_models_answer_needs_scikit_learn(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    logistic().save(path)
    code = (
        "import sys, numpy as np, strategy.worker, strategy.ml.model as m\n"
        "from pathlib import Path\n"
        "print(m.load(Path(sys.argv[1])).probability(np.zeros((1, 2)))[0])\n"
        "assert not {'sklearn', 'scipy', 'pickle5', 'joblib'} & set(sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert float(run.stdout) == pytest.approx(1 / (1 + np.exp(-0.1)))
