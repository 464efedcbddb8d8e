"""Finer prices drawn into coarser ones: minutes into hours, ticks into minutes.

The coarser ones are the truth. Put together again, what is drawn gives them back exactly: open,
high, low, close and volume of each bar.
"""

from __future__ import annotations

import numpy as np

from ...api.structs import RATES_DTYPE
from ...api.terminal import Array
from .model import Floats, Ints, Ticks
from .symbols import Spec

MINUTES = 60
_RANGE = 1.6
"""The range of a random walk of one step, in its standard deviations."""


def minutes_of_hours(hours: Array, noise: Floats, spec: Spec) -> Array:
    """Minute bars within hour bars. ``noise`` has the shape (hours, 60): standard normals, so
    that symbols that move together do so in these minutes as well."""
    count = len(hours)
    if not count:
        return np.zeros(0, dtype=RATES_DTYPE)
    opens, highs, lows, closes = (hours[name][:, None] for name in ("open", "high", "low", "close"))
    share = np.arange(1, MINUTES + 1) / MINUTES
    walk = np.cumsum(noise, axis=1) / np.sqrt(MINUTES)
    bridge = walk - walk[:, -1:] * share
    path = opens + (closes - opens) * share + bridge * (highs - lows) / _RANGE
    after = spec.on_grid(np.clip(path, lows, highs))
    after[:, -1:] = closes
    before = np.concatenate((opens, after[:, :-1]), axis=1)
    # Wicks from the same noise: how far a minute goes beyond its ends.
    reach = np.abs(np.roll(noise, 7, axis=1)) * (highs - lows) / (_RANGE * np.sqrt(MINUTES)) / 2
    high = spec.on_grid(np.minimum(np.maximum(before, after) + reach, highs))
    low = spec.on_grid(np.maximum(np.minimum(before, after) - reach, lows))
    row = np.arange(count)
    high[row, np.maximum(before, after).argmax(axis=1)] = highs[:, 0]
    low[row, np.minimum(before, after).argmin(axis=1)] = lows[:, 0]
    bars = np.zeros((count, MINUTES), dtype=RATES_DTYPE)
    bars["time"] = hours["time"][:, None] + 60 * np.arange(MINUTES)
    bars["open"], bars["high"], bars["low"], bars["close"] = before, high, low, after
    bars["tick_volume"] = _shares(hours["tick_volume"].astype(np.int64), np.abs(noise) + 0.5)
    bars["spread"] = hours["spread"][:, None]
    return bars.reshape(-1)


def _shares(totals: Ints, weights: Floats) -> Ints:
    """Whole numbers by row, at least one each, that add up to ``totals`` (or to their count)."""
    parts = weights.shape[1]
    left = np.maximum(totals - parts, 0)[:, None]
    edges = np.rint(np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True) * left)
    out: Ints = np.diff(edges, axis=1, prepend=0).astype(np.int64) + 1
    return out


def ticks_of_minutes(minutes: Array, rng: np.random.Generator, spec: Spec) -> Ticks:
    """Ticks within minute bars, as many as each says it had (a bar of fewer than four, as many
    as its prices need): from the open over the extremes to the close."""
    if not len(minutes):
        return Ticks(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0))
    counts = np.maximum(minutes["tick_volume"].astype(np.int64), 4)
    total = int(counts.sum())
    bar = np.repeat(np.arange(len(minutes)), counts)
    first = np.cumsum(counts) - counts
    step = np.arange(total) - first[bar]
    last = counts - 1
    opens, highs, lows, closes = (minutes[name] for name in ("open", "high", "low", "close"))
    # The extremes are at two places of the bar; chance decides which comes first.
    low_first = rng.random(len(minutes)) < np.where(closes >= opens, 0.7, 0.3)
    places = np.sort(rng.random((2, len(minutes))), axis=0)
    one = np.clip(np.rint(places[0] * last).astype(np.int64), 1, np.maximum(last - 2, 1))
    two = np.clip(np.rint(places[1] * last).astype(np.int64), one + 1, np.maximum(last - 1, 2))
    nodes = np.stack([np.zeros_like(one), one, two, last])
    prices = np.stack([
        opens, np.where(low_first, lows, highs), np.where(low_first, highs, lows), closes
    ])  # fmt: skip
    leg = (step >= one[bar]).astype(np.int64) + (step >= two[bar])
    begin, end = nodes[leg, bar], nodes[leg + 1, bar]
    share = (step - begin) / np.maximum(end - begin, 1)
    line = prices[leg, bar] + (prices[leg + 1, bar] - prices[leg, bar]) * share
    inside = (step != begin) & (step != last[bar])
    shake = rng.standard_normal(total) * (highs - lows)[bar] * 0.12 * inside
    bid = np.clip(spec.on_grid(np.clip(line + shake, lows[bar], highs[bar])), lows[bar], highs[bar])
    at_node = ~inside
    bid[at_node] = line[at_node]
    wide = (rng.random(total) < 0.3) * rng.integers(0, 2, total)
    ask = spec.on_grid(bid + (minutes["spread"][bar] + wide) * spec.point)
    offset = np.sort(rng.random(total) + bar) - bar  # in time order within each bar
    time_ms = minutes["time"][bar] * 1000 + (offset * 59_900).astype(np.int64)
    return Ticks(time_ms, np.round(bid, spec.digits), ask)
