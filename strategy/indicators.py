"""Wilder's indicators in numpy, for many series at once.

Arrays have time on axis 0, oldest first, and any number of series behind it. Every value at
``t`` uses bars up to ``t`` only; where there are too few, it is NaN. Values equal TA-Lib's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from strategy.base import Floats

PERIOD = 14


class Wilder(NamedTuple):
    """ATR in price units, ADX and RSI from 0 to 100; shaped like the input."""

    atr: Floats
    adx: Floats
    rsi: Floats


def true_range(high: Floats, low: Floats, close: Floats) -> Floats:
    """Greatest of high - low and the distances to the close before; NaN at 0."""
    out = np.full(close.shape, np.nan)
    if len(close) > 1:
        before = close[:-1]
        out[1:] = np.maximum(high[1:], before) - np.minimum(low[1:], before)
    return out


def wilder(high: Floats, low: Floats, close: Floats, n: int = PERIOD) -> Wilder:
    """ATR, ADX and RSI with Wilder's smoothing (New Concepts in Technical Trading, 1978).

    The five smoothed sums run in one loop over time. Seeds are TA-Lib's: ATR and RSI start
    from the mean of the first ``n`` values, the directional sums from the first ``n - 1``.
    """
    bars = len(close)
    nan = np.full(close.shape, np.nan)
    if bars <= n:
        return Wilder(nan, nan.copy(), nan.copy())
    change = np.diff(close, axis=0)
    up, down = np.diff(high, axis=0), -np.diff(low, axis=0)
    five = np.stack(
        (
            true_range(high, low, close)[1:],
            np.maximum(change, 0.0),
            np.maximum(-change, 0.0),
            np.where((up > down) & (up > 0), up, 0.0),
            np.where((down > up) & (down > 0), down, 0.0),
            true_range(high, low, close)[1:],
        ),
        axis=1,
    )
    # row i of `five` belongs to bar i + 1
    state = five[: n - 1].sum(axis=0)
    state[:3] /= n - 1
    state[3:] /= n
    smooth = np.empty_like(five)
    smooth[: n - 1] = np.nan
    keep = (n - 1) / n
    scaled = five / n
    for i in range(n - 1, bars - 1):
        state = state * keep + scaled[i]
        smooth[i] = state
    atr, gain, loss, plus, minus, span = (smooth[:, j] for j in range(6))
    nan[1:] = atr
    return Wilder(nan, _adx(plus, minus, span, n), _rsi(gain, loss, n))


def _rsi(gain: Floats, loss: Floats, n: int) -> Floats:
    out = np.full((len(gain) + 1, *gain.shape[1:]), np.nan)
    total = gain + loss
    with np.errstate(invalid="ignore", divide="ignore"):
        out[1:] = np.where(total == 0, 0.0, 100.0 * gain / total)
    out[:n] = np.nan
    return out


def _adx(plus: Floats, minus: Floats, span: Floats, n: int) -> Floats:
    out = np.full((len(plus) + 1, *plus.shape[1:]), np.nan)
    first = n - 1  # row of the first smoothed sum: bar n
    with np.errstate(invalid="ignore", divide="ignore"):
        both = plus + minus
        dx = np.where((span == 0) | (both == 0), np.nan, 100.0 * np.abs(plus - minus) / both)
    if len(dx) < first + n:
        return out
    state = np.nansum(dx[first : first + n], axis=0) / n
    out[first + n] = state
    keep, scaled = (n - 1) / n, dx / n
    gap = np.asarray(np.isnan(dx).reshape(len(dx), -1).any(axis=1)).tolist()
    for i in range(first + n, len(dx)):
        moved = state * keep + scaled[i]
        # TA-Lib keeps the value where there is no range at all
        state = np.where(np.isnan(moved), state, moved) if gap[i] else moved
        out[i + 1] = state
    return out


def trailing_mean(x: Floats, n: int) -> Floats:
    """Mean of the last ``n`` rows; NaN where fewer are known."""
    out = np.full(x.shape, np.nan)
    start = int(np.argmax(~np.isnan(x.reshape(len(x), -1)).any(axis=1))) if len(x) else 0
    if len(x) - start < n:
        return out
    total = np.cumsum(x[start:], axis=0)
    total[n:] = total[n:] - total[:-n]
    out[start + n - 1 :] = total[n - 1 :] / n
    return out
