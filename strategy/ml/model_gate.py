"""The live model beside the scan: it puts a probability on set-ups and records their features.

Runs where the strategy runs, off the loop. A swap is one assignment: a scan in flight ends
with the model it began a symbol with.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..base import Bars, Context, Floats, Setup, Strategy
from ..settings import TIMEFRAME_SECONDS, StrategySettings
from .model import Model
from .model_features import row, sign_of, table

MOST_RECENT = 500


def made_for(strategy: Strategy, settings: StrategySettings, market: str | None) -> dict[str, Any]:
    """What a model speaks of: it is of no use where one of these differs."""
    return {
        "strategy": strategy.name,
        "market": market or "",
        "frames": list(strategy.timeframes),
        "swing_bars": settings.swing_bars,
        "levels": [
            settings.min_r,
            settings.target_r,
            settings.stop_atr,
            settings.max_stop_atr,
            settings.min_stop_spreads,
        ],
        "horizon_bars": settings.trainer.horizon_bars,
    }


class Judge:
    """Called with each set-up. Without a model it changes nothing."""

    def __init__(self, settings: StrategySettings, timeframes: tuple[str, ...]) -> None:
        self.model: Model | None = None
        self._settings, self._frames = settings, timeframes
        self._rows: dict[tuple[str, str], tuple[tuple[int, int, float], Floats]] = {}
        self._recent: deque[Floats] = deque(maxlen=MOST_RECENT)
        self._noted: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, context: Context, setup: Setup) -> Setup:
        """The set-up with the model's probability, NaN where a feature is unknown. A
        probability that the strategy states itself is kept."""
        model, sign = self.model, sign_of(setup)
        if model is None or setup.probability is not None or not sign:
            return setup
        x = self._features(context, setup, sign)
        return replace(setup, probability=float(model.probability(x[None, :])[0]))

    def _features(self, context: Context, setup: Setup, sign: int) -> Floats:
        lead = context.bars[self._frames[0]]
        closed = float(lead.time[-1]) + TIMEFRAME_SECONDS[self._frames[0]]
        blocks = [self._newest(context.bars[frame], context.info.point) for frame in self._frames]
        x = row(blocks, sign, setup.score, setup.reward / setup.risk, closed)
        step = self._settings.trainer.stride * TIMEFRAME_SECONDS[self._frames[0]]
        # as seldom as the samples of the past, so that the two can be compared
        if np.isfinite(x).all() and closed - self._noted.get(context.symbol, -1e18) >= step:
            self._noted[context.symbol] = closed
            with self._lock:
                self._recent.append(x)
        return x

    def _newest(self, bars: Bars, point: float) -> Floats:
        """The newest row of the table, computed once for each closed bar."""
        key = (bars.symbol, bars.timeframe)
        mark = (len(bars), int(bars.time[-1]), float(bars.close[-1]))
        known = self._rows.get(key)
        if known is None or known[0] != mark:
            known = (mark, table(bars, point, self._settings.swing_bars)[-1])
            self._rows[key] = known
        return known[1]

    def swap(self, model: Model | None) -> None:
        """Put another model into force, or none; the statistics of drift start again."""
        self.model = model
        with self._lock:
            self._recent.clear()

    def drift(self) -> tuple[float, float] | None:
        """How far the newest set-ups lie from the model's data, and what was usual within it;
        ``None`` without a model or while too few were seen."""
        model = self.model
        if model is None:
            return None
        with self._lock:
            recent = list(self._recent)[-model.drift_rows :]
        if len(recent) < model.drift_rows:
            return None
        return model.drift(np.array(recent)), model.drift_limit


def fits(model: Model, wanted: Mapping[str, Any], features: tuple[str, ...], now: float) -> str:
    """Why a model cannot be used here and now; empty when it can."""
    if model.features != features:
        return "it uses other features than this version"
    if dict(model.made_for) != dict(wanted):
        return "it was made for another strategy, market or settings"
    if model.until > now:
        return "it knows a time that this market has not reached yet"
    return ""
