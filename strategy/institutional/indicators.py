"""Wilder's indicators in numpy, for many series at once.

Arrays have time on axis 0, oldest first, and any number of series behind it. Every value at
``t`` uses bars up to ``t`` only; where there are too few, it is NaN. Values equal TA-Lib's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..base import Floats

PERIOD = 14


class Wilder(NamedTuple):
    """ATR in price units, ADX and RSI from 0 to 100; shaped like the input."""

    atr: Floats
    adx: Floats
    rsi: Floats


class Smoothed(NamedTuple):
    """The sums after the newest bar, (6, series), and the ADX."""

    sums: Floats
    adx: Floats


def true_range(high: Floats, low: Floats, close: Floats) -> Floats:
    """Greatest of high - low and the distances to the close before; NaN at 0."""
    out = np.full(close.shape, np.nan)
    if len(close) > 1:
        before = close[:-1]
        out[1:] = np.maximum(high[1:], before) - np.minimum(low[1:], before)
    return out


def wilder(high: Floats, low: Floats, close: Floats, n: int = PERIOD) -> Wilder:
    """ATR, ADX and RSI with Wilder's smoothing (New Concepts in Technical Trading, 1978).

    Seeds are TA-Lib's: ATR and RSI start from the mean of the first ``n`` values, the
    directional sums from the first ``n - 1``.
    """
    return smoothed(high, low, close, n)[0]


def smoothed(
    high: Floats, low: Floats, close: Floats, n: int = PERIOD
) -> tuple[Wilder, Smoothed | None]:
    """:func:`wilder`, and its sums; ``None`` while there are too few bars."""
    if len(close) <= n:
        nan = np.full(close.shape, np.nan)
        return Wilder(nan, nan.copy(), nan.copy()), None
    six = _six(high, low, close)
    # row i belongs to bar i + 1
    state = six[: n - 1].sum(axis=0)
    state[:3] /= n - 1
    state[3:] /= n
    smooth = np.full_like(six, np.nan)
    state = _run(state, six[n - 1 :], smooth[n - 1 :], n)
    dx = _dx(smooth)
    adx, first = np.full(dx.shape, np.nan), 2 * n - 1
    if len(dx) < first:
        return _wilder(smooth, adx, 1), None
    adx[first - 1] = np.nansum(dx[n - 1 : first], axis=0) / n
    last = _run_adx(adx[first - 1], dx[first:], adx[first:], n)
    return _wilder(smooth, adx, 1), Smoothed(state, last)


def resumed(
    high: Floats, low: Floats, close: Floats, past: Smoothed, n: int = PERIOD
) -> tuple[Wilder, Smoothed]:
    """Continue from ``past``: the first row is its newest bar, the other rows are new and have
    values. The same numbers, to the last bit, as :func:`wilder` over all bars."""
    six = _six(high, low, close)
    smooth = np.empty_like(six)
    state = _run(past.sums, six, smooth, n)
    dx = _dx(smooth)
    adx = np.empty_like(dx)
    last = _run_adx(past.adx, dx, adx, n)
    return _wilder(smooth, adx, 0), Smoothed(state, last)


def _six(high: Floats, low: Floats, close: Floats) -> Floats:
    """What is smoothed: range, gain, loss, plus and minus movement, range. From bar 1 on."""
    change = np.diff(close, axis=0)
    up, down = np.diff(high, axis=0), -np.diff(low, axis=0)
    span = true_range(high, low, close)[1:]
    return np.stack(
        (
            span,
            np.maximum(change, 0.0),
            np.maximum(-change, 0.0),
            np.where((up > down) & (up > 0), up, 0.0),
            np.where((down > up) & (down > 0), down, 0.0),
            span,
        ),
        axis=1,
    )


def _run(state: Floats, six: Floats, out: Floats, n: int) -> Floats:
    """The five recurrences in one loop over time (the range's once more, by its other seed)."""
    keep, scaled = (n - 1) / n, six / n
    for i in range(len(six)):
        state = state * keep + scaled[i]
        out[i] = state
    return state


def _dx(smooth: Floats) -> Floats:
    plus, minus, span = smooth[:, 3], smooth[:, 4], smooth[:, 5]
    with np.errstate(invalid="ignore", divide="ignore"):
        both = plus + minus
        return np.where((span == 0) | (both == 0), np.nan, 100.0 * np.abs(plus - minus) / both)


def _run_adx(state: Floats, dx: Floats, out: Floats, n: int) -> Floats:
    keep, scaled = (n - 1) / n, dx / n
    gap = [bool(row.any()) for row in np.isnan(dx)]
    for i in range(len(dx)):
        moved = state * keep + scaled[i]
        # TA-Lib keeps the value where there is no range at all
        state = np.where(np.isnan(moved), state, moved) if gap[i] else moved
        out[i] = state
    return state


def _wilder(smooth: Floats, adx: Floats, lead: int) -> Wilder:
    """The indicators of the rows, ``lead`` rows without a value before them."""
    gain, loss = smooth[:, 1], smooth[:, 2]
    total = gain + loss
    with np.errstate(invalid="ignore", divide="ignore"):
        rsi = np.where(total == 0, 0.0, 100.0 * gain / total)
    if not lead:
        return Wilder(smooth[:, 0], adx, rsi)
    nothing = np.full((lead, *adx.shape[1:]), np.nan)
    return Wilder(*(np.concatenate((nothing, x)) for x in (smooth[:, 0], adx, rsi)))


def trailing_mean(x: Floats, n: int) -> Floats:
    """Mean of the last ``n`` rows; NaN where fewer are known."""
    out = np.full(x.shape, np.nan)
    total, start = running_total(x)
    if len(total) < n:
        return out
    mean = total / n
    mean[n:] = (total[n:] - total[:-n]) / n
    out[start + n - 1 :] = mean[n - 1 :]
    return out


def running_total(x: Floats) -> tuple[Floats, int]:
    """Sums up to each row from the first row that is known in all series, and that row."""
    if not len(x):
        return x, 0
    start = int(np.argmax(~np.isnan(x.reshape(len(x), -1)).any(axis=1)))
    return np.cumsum(x[start:], axis=0), start
