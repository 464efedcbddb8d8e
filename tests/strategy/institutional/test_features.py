"""Features by steps, in batches and alone: the same numbers, to the last bit, on real bars."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from strategy.base import Bars
from strategy.institutional.features import (
    LEAST,
    Features,
    IncrementalState,
    Series,
    append_bars,
    as_features,
    bars_appended,
    compute,
    compute_chunk,
)
from strategy.institutional.strategy import InstitutionalStrategy
from strategy.settings import StrategySettings

OFFSET = 7200.0


def same(a: Features, b: Features) -> bool:
    return a.time == b.time and all(
        np.array_equal(np.array(x), np.array(y), equal_nan=True)
        for x, y in zip(a[1:], b[1:], strict=True)
    )


def cut(bars: Bars, start: int, stop: int) -> Bars:
    names = ("time", "open", "high", "low", "close", "volume", "spread")
    columns: list[Any] = [getattr(bars, name)[start:stop] for name in names]
    return cast("Callable[..., Bars]", Bars)(bars.symbol, bars.timeframe, *columns, bars.utc_offset)


@pytest.fixture
def real(real_quotes: Path) -> Bars:
    path = real_quotes / "smc" / "EURUSD" / "EURUSD_15M.csv.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    with gzip.open(path, "rt") as file:
        rows = list(csv.reader(file))[1:4001]
    prices: Any = np.array([[float(x) for x in row[1:5]] for row in rows]).T
    times = np.array(
        [row[0][:19].replace(".", "-").replace(" ", "T") for row in rows], "datetime64[s]"
    )
    flat = np.full(len(rows), 10.0)
    columns: list[Any] = [times.astype(np.int64), *prices, flat, flat]
    return cast("Callable[..., Bars]", Bars)("EURUSD", "M15", *columns, OFFSET)


@pytest.mark.parametrize("k", [1, 2, 3, 12])
def test_steps_of_one_bar_give_what_all_bars_at_once_give_on_real_bars(real: Bars, k: int) -> None:
    bars = cut(real, 500, 1600)
    whole, _ = compute_chunk(Series.of([bars], [True], 0), k, tail=len(bars))
    known = compute([cut(bars, 0, 200)], k, [True])
    for stop in range(201, len(bars) + 1):
        known = append_bars(known, [cut(bars, 0, stop)], k, [True])
        want = as_features(whole[stop - 1, :, 0], int(bars.time[stop - 1]))
        assert same(known[0].features, want), stop
    assert len({tuple(pair) for pair in whole[:, -10:, 0]}) > 20  # levels came and went


def test_steps_of_many_bars_over_series_side_by_side_are_the_same_as_each_alone(
    real: Bars,
) -> None:
    rng = np.random.default_rng(4)
    starts = rng.integers(0, 2500, 6)
    series = [cut(real, s, s + 700) for s in starts]
    series = [replace(b, symbol=f"S{i}", timeframe="M15") for i, b in enumerate(series)]
    leveled = [i % 2 == 0 for i in range(6)]
    at = 150
    known = compute([cut(b, 0, at) for b in series], 2, leveled)
    while at < 600:
        more = int(rng.integers(1, 40))
        at += more
        known = append_bars(known, [cut(b, 0, at) for b in series], 2, leveled)
        if more % 3 == 0:
            for each, bars, level in zip(known, series, leveled, strict=True):
                alone = compute([cut(bars, 0, at)], 2, [level])[0]
                assert same(each.features, alone.features)
                np.testing.assert_array_equal(each.carry, alone.carry)


def test_series_of_many_lengths_are_computed_together_as_each_alone(real: Bars) -> None:
    lengths = [5, 13, 30, 63, 64, 65, 200, 200, 313, 500]
    series = [cut(real, 100 * i, 100 * i + n) for i, n in enumerate(lengths)]
    together = compute(series, 2, [True] * len(series))
    for each, bars in zip(together, series, strict=True):
        assert same(each.features, compute([bars], 2, [True])[0].features)
        assert (each.carry is None) == (len(bars) < LEAST)


def test_a_prefix_of_real_bars_gives_the_prefix_of_the_features(real: Bars) -> None:
    whole, _ = compute_chunk(Series.of([cut(real, 0, 900)], [True], 0), 2, tail=900)
    for stop in (70, 333, 480, 899):
        part, _ = compute_chunk(Series.of([cut(real, 0, stop)], [True], 0), 2, tail=stop)
        np.testing.assert_array_equal(part, whole[:stop])


def test_the_strategy_steps_when_bars_were_added_and_begins_anew_when_they_changed(
    real: Bars, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = InstitutionalStrategy(StrategySettings(preset="institutional"))
    count: list[int] = []

    def counted(known: Any, *rest: Any) -> Any:
        count.append(len(known))
        return append_bars(known, *rest)

    monkeypatch.setattr("strategy.institutional.strategy.append_bars", counted)
    strategy.prepare([cut(real, 0, 300)])
    strategy.prepare([cut(real, 0, 301)])
    assert count == [1]
    changed = cut(real, 0, 303)
    changed = replace(changed, close=changed.close + 1e-5 * (np.arange(303) == 100))
    for other in (changed, cut(real, 3, 310), replace(cut(real, 0, 305), utc_offset=0.0)):
        strategy.prepare([other])
        fresh = compute([other], 3, [False])[0]
        assert same(strategy._features(other), fresh.features)
    assert count == [1]


def test_bars_that_did_not_only_grow_are_not_stepped(real: Bars) -> None:
    known = compute([cut(real, 0, 300)], 2, [True])[0]
    assert bars_appended(known, cut(real, 0, 304)) == 4
    assert bars_appended(known, cut(real, 0, 300)) == 0
    assert bars_appended(known, cut(real, 1, 304)) == 0
    assert bars_appended(known, replace(cut(real, 0, 304), utc_offset=float("nan"))) == 0
    assert bars_appended(IncrementalState(known.bars, known.features, None), cut(real, 0, 304)) == 0
    assert bars_appended(None, cut(real, 0, 304)) == 0


def test_random_walks_of_any_swing_size_step_as_they_compute(
    walk: Callable[..., tuple[Any, Any, Any, Any]],
) -> None:
    for seed in range(6):
        o, h, lo, c = (x[:, 0] for x in walk(400, 1, seed))
        time = np.cumsum(np.random.default_rng(seed).choice([60, 60, 60, 4000], 400))
        flat = np.full(400, 10.0)
        bars = Bars("X", "M1", time, o, h, lo, c, flat, flat, -18_000.0)
        known = compute([cut(bars, 0, 70)], seed + 1, [True])
        for stop in range(71, 401, 1 + seed):
            known = append_bars(known, [cut(bars, 0, stop)], seed + 1, [True])
        end = len(known[0].bars)
        alone = compute([cut(bars, 0, end)], seed + 1, [True])[0]
        assert same(known[0].features, alone.features)
