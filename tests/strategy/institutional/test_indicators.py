"""Wilder's indicators: equal to TA-Lib, causal, NaN while there is too little."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import needs

from strategy.institutional.indicators import trailing_mean, true_range, wilder


def test_atr_adx_and_rsi_equal_ta_lib(walk: Any) -> None:
    talib = needs.package("talib", get="pip install TA-Lib")
    _, high, low, close = walk(600, 5)
    ours = wilder(high, low, close)
    for j in range(close.shape[1]):
        h, lo, c = (np.ascontiguousarray(x[:, j]) for x in (high, low, close))
        for mine, theirs in (
            (ours.atr, talib.ATR(h, lo, c, 14)),
            (ours.adx, talib.ADX(h, lo, c, 14)),
            (ours.rsi, talib.RSI(c, 14)),
        ):
            np.testing.assert_allclose(mine[:, j], theirs, rtol=0, atol=1e-9, equal_nan=True)


def test_a_flat_market_gives_no_nan_after_warm_up_and_no_strength() -> None:
    flat = np.full((80, 1), 1.5)
    found = wilder(flat, flat, flat)
    assert found.atr[14:].max() == 0.0
    assert found.rsi[14:].max() == 0.0  # as TA-Lib: no change at all
    assert found.adx[27:].max() == 0.0


def test_a_rising_market_is_strong_and_overbought() -> None:
    close = np.linspace(1.0, 2.0, 100)[:, None]
    found = wilder(close + 0.001, close - 0.001, close)
    assert found.rsi[-1, 0] == pytest.approx(100.0)
    assert found.adx[-1, 0] == pytest.approx(100.0)


def test_true_range_counts_the_gap_to_the_close_before() -> None:
    high, low, close = (
        np.array([[1.1], [1.3]]),
        np.array([[1.0], [1.25]]),
        np.array([[1.05], [1.3]]),
    )
    assert true_range(high, low, close)[1, 0] == pytest.approx(0.25)


@pytest.mark.parametrize("cut", [5, 15, 28, 29, 200, 399])
def test_a_prefix_of_the_bars_gives_the_prefix_of_the_result(walk: Any, cut: int) -> None:
    _, high, low, close = walk()
    whole, part = wilder(high, low, close), wilder(high[:cut], low[:cut], close[:cut])
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_array_equal(a[:cut], b)


def test_one_series_gives_the_same_alone_and_in_a_batch(walk: Any) -> None:
    _, high, low, close = walk()
    batch = wilder(high, low, close)
    alone = wilder(high[:, 2:3], low[:, 2:3], close[:, 2:3])
    for a, b in zip(batch, alone, strict=True):
        np.testing.assert_array_equal(a[:, 2:3], b)


def test_trailing_mean_begins_when_enough_is_known() -> None:
    x = np.array([np.nan, np.nan, 1.0, 2.0, 3.0, 4.0])[:, None]
    np.testing.assert_allclose(
        trailing_mean(x, 3)[:, 0], [np.nan, np.nan, np.nan, np.nan, 2.0, 3.0]
    )
