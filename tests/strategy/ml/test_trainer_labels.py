"""Labels against cases by hand and against a slow oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.present import present

from strategy.base import Bars
from strategy.ml.labels import triple_barrier

POINT = 0.01


def bars(rows: list[tuple[float, float, float, float]], spread: float = 10.0) -> Bars:
    o, h, low, c = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    n = len(rows)
    time = np.arange(n, dtype=np.int64) * 60
    return Bars("X", "M1", time, o, h, low, c, np.ones(n), np.full(n, spread))


FLAT = (100.0, 100.2, 99.8, 100.0)


@pytest.mark.parametrize(
    ("sign", "rows", "won", "r", "end"),
    [
        # a buy enters at 100.1 (the ask) and risks 1.1
        (1, [FLAT, FLAT, (100.0, 102.0, 99.9, 101.9)], True, 1.9 / 1.1, 2),
        (1, [FLAT, FLAT, (100.0, 101.99, 99.9, 101.9), FLAT], False, -0.1 / 1.1, 3),
        (1, [FLAT, FLAT, (100.0, 102.0, 99.0, 101.9)], False, -1.0, 2),  # both: the stop
        (1, [FLAT, FLAT, (98.5, 98.6, 98.4, 98.5)], False, -1.6 / 1.1, 2),  # a gap fills worse
        # a sell enters at 100.0 (the bid); its barriers are met by the ask
        (-1, [FLAT, FLAT, (100.0, 100.9, 99.9, 100.0)], False, -1.0, 2),
        (-1, [FLAT, FLAT, (100.0, 100.89, 97.9, 98.0)], True, 2.0, 2),
        (-1, [FLAT, FLAT, (100.0, 100.5, 97.91, 98.0), FLAT], False, -0.1, 3),
        (-1, [FLAT, FLAT, (101.5, 101.6, 101.4, 101.5)], False, -1.6, 2),
    ],
)
def test_what_came_first_by_hand(sign: Any, rows: Any, won: Any, r: Any, end: Any) -> None:
    sl, tp = (99.0, 102.0) if sign > 0 else (101.0, 98.0)
    found = triple_barrier(bars(rows), 0, sign, sl, tp, horizon=3, point=POINT)
    assert found is not None
    assert (found.won, found.end) == (won, end)
    assert found.r == pytest.approx(r)


def test_commission_is_taken_from_the_result() -> None:
    rows = bars([FLAT, FLAT, (100.0, 102.0, 99.9, 101.9)])
    free = triple_barrier(rows, 0, 1, 99.0, 102.0, horizon=3, point=POINT)
    paid = triple_barrier(rows, 0, 1, 99.0, 102.0, horizon=3, point=POINT, commission=0.22)
    assert present(free).r - present(paid).r == pytest.approx(0.2)


def test_what_is_not_known_yet_or_was_never_a_trade_gives_no_label() -> None:
    skip = bars([FLAT] * 4)
    assert triple_barrier(skip, 0, 1, 99.0, 102.0, horizon=4, point=POINT) is None
    assert triple_barrier(skip, 3, 1, 99.0, 102.0, horizon=4, point=POINT) is None
    beyond = bars([FLAT, (98.0, 98.5, 97.5, 98.0), FLAT])
    assert triple_barrier(beyond, 0, 1, 99.0, 102.0, horizon=1, point=POINT) is None
    assert triple_barrier(beyond, 0, -1, 101.0, 98.5, horizon=1, point=POINT) is None


def test_a_slow_walk_bar_by_bar_agrees_on_random_walks(walk: Any) -> None:
    o, h, low, c = (x[:, 0] for x in walk(600, 1, 5))
    rng = np.random.default_rng(2)
    spread = rng.integers(0, 4, 600).astype(float)
    data = Bars("X", "M1", np.arange(600) * 60, o, h, low, c, np.ones(600), spread)
    point, seen = 1e-4, {"won": 0, "lost": 0, "time": 0, "none": 0}
    for at in range(0, 600, 2):
        for sign in (1, -1):
            sl = c[at] - sign * 1e-4 * rng.integers(3, 15)
            tp = c[at] + sign * 1e-4 * rng.integers(3, 20)
            found = triple_barrier(data, at, sign, sl, tp, horizon=20, point=point)
            expected = _slow(data, at, sign, sl, tp, 20, point)
            if expected is None:
                assert found is None
                seen["none"] += 1
                continue
            assert found is not None
            assert (found.won, found.end) == (expected[0], expected[2])
            assert found.r == pytest.approx(expected[1], abs=1e-9)
            key = "won" if found.won else ("time" if found.end == at + 20 else "lost")
            seen[key] += 1
    assert min(seen.values()) > 3, seen


def _slow(data: Any, at: Any, sign: Any, sl: Any, tp: Any, horizon: Any, point: Any) -> Any:
    entry = risk = None
    for row in range(at + 1, at + horizon + 1):
        if row >= len(data):
            return None
        gap = data.spread[row] * point
        add = gap if sign < 0 else 0.0
        if entry is None:
            entry = data.open[row] + (gap if sign > 0 else 0.0)
            risk = (entry - sl) * sign
            first = data.open[row] + add
            if risk <= 0 or (tp - entry) * sign <= 0 or (first - sl) * sign <= 0:
                return None
        path = [data.open[row] + add]
        path += [data.low[row] + add, data.high[row] + add][:: 1 if sign > 0 else -1]
        for i, price in enumerate(path):
            if (price - sl) * sign <= 0:
                out = price if i == 0 else sl
                return False, (out - entry) * sign / risk, row
            if i == 2 and (price - tp) * sign >= 0:
                return True, (tp - entry) * sign / risk, row
    last = data.close[at + horizon] + (data.spread[at + horizon] * point if sign < 0 else 0.0)
    return False, (last - entry) * sign / risk, at + horizon
