"""The shipped strategy: bias, set-up and trigger over three timeframes, scored 0 to 100.

"Institutional" names the method (structure, liquidity, gaps, blocks). It claims neither access to
an order flow nor an edge.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from ..base import Bars, Context, Direction, Setup
from ..settings import StrategySettings
from .features import Features, IncrementalState, Pair, append_bars, bars_appended, compute
from .liquidity import KINDS, NAMES

WEIGHTS: dict[str, float] = {
    "bias": 25.0,
    "sweep": 20.0,
    "structure": 20.0,
    "zone": 15.0,
    "regime": 10.0,
    "session": 5.0,
    "rsi": 5.0,
}
"""Greatest points of each component; together 100."""

TRIGGER_AGE = 3
"""A break of structure is a trigger on its own bar and the bars after it, this many in all."""
BREAK_AGE = 32
"""Bars after which a break is no longer named as evidence."""
SWEEP_AGE = 12
"""Bars over which a sweep loses its points."""
EQUAL_POINTS = 1.25
"""A sweep of equal highs or lows, against one of a single swing. A share is never above 1, so
that what counts more only fades later."""
LEVEL_POINTS = {"week": 1.5, "day": 1.25, "tokyo": 1.1, "london": 1.1, "new_york": 1.1}
"""The same for the extremes of the week and day before and of the last sessions."""
BREAKER_POINTS = 0.8
"""Share of a breaker, against 1 for a gap or an order block."""
MAX_TARGET_R = 4.0
"""A level farther than this many R is no target."""
REGIME_POINTS = {"TRENDING": 1.0, "NORMAL": 0.6, "RANGING": 0.3, "QUIET": 0.2, "VOLATILE": 0.0}
_LEVELS = tuple(LEVEL_POINTS[kind] for kind in KINDS)


class Zones(NamedTuple):
    """Open gaps, blocks and breakers by side, (low, high, share inside), and the ATR."""

    atr: float
    sides: tuple[list[tuple[float, float, float]], list[tuple[float, float, float]]]

    def share(self, side: int, price: float) -> float:
        """Most inside a zone of the side, falling by 1 for each ATR away from it."""
        best = 0.0
        for low, high, most in self.sides[side]:
            outside = max(low - price, price - high, 0.0)
            best = max(best, most - outside / self.atr)
        return best


class Ceiling(NamedTuple):
    """The greatest score that a symbol can have until its next bar, at any tick."""

    sides: tuple[tuple[int, float], ...]
    """Sides with a trigger and the most points that each can have beside the zone's."""
    zones: Zones
    need: float

    def reaches(self, bid: float, ask: float) -> bool:
        """Whether the score could be enough at this quote. ``False`` is never wrong."""
        for side, most in self.sides:
            price = bid if side == 0 else ask
            if most + WEIGHTS["zone"] * self.zones.share(side, price) >= self.need:
                return True
        return False


def regime_of(adx: float, calm: float) -> str | None:
    """TRENDING, RANGING, VOLATILE, QUIET or NORMAL; ``None`` while there are too few bars."""
    if math.isnan(adx) or math.isnan(calm):
        return None
    if calm > 3.0:
        return "VOLATILE"
    if calm < 0.3:
        return "QUIET"
    if adx > 25.0:
        return "TRENDING"
    return "RANGING" if adx < 18.0 else "NORMAL"


class InstitutionalStrategy:
    """Bias by structure and dealing range, set-up by sweep and zone, trigger by a break."""

    name = "institutional"

    def __init__(self, settings: StrategySettings) -> None:
        self.settings = settings
        self.timeframes: tuple[str, ...] = (
            settings.trigger_timeframe,
            settings.setup_timeframe,
            settings.bias_timeframe,
        )
        self._known: dict[tuple[str, str], IncrementalState] = {}

    def prepare(self, fresh: Sequence[Bars]) -> None:
        """Compute the features of all series with a new closed bar: incrementally where bars were
        only appended, otherwise from all bars; as many together as possible."""
        self._learn(fresh)

    def _learn(self, fresh: Sequence[Bars]) -> None:
        whole: list[Bars] = []
        groups: dict[int, list[tuple[IncrementalState, Bars]]] = defaultdict(list)
        for bars in fresh:
            known = self._known.get((bars.symbol, bars.timeframe))
            more = 0 if known is None else bars_appended(known, bars)
            if known is None or not more:
                whole.append(bars)
            else:
                groups[more].append((known, bars))
        k = self.settings.swing_bars
        for group in groups.values():
            before, now = zip(*group, strict=True)
            self._keep(append_bars(before, now, k, self._leveled(now)))
        self._keep(compute(whole, k, self._leveled(whole)))

    def _leveled(self, series: Sequence[Bars]) -> list[bool]:
        """The set-up timeframe needs the extremes of days and weeks."""
        return [bars.timeframe == self.settings.setup_timeframe for bars in series]

    def _keep(self, found: Sequence[IncrementalState]) -> None:
        for known in found:
            self._known[known.bars.symbol, known.bars.timeframe] = known

    def evaluate(self, context: Context) -> Setup:
        """Score both directions and return the better one, with levels for the present tick."""
        trigger, setup, bias = (self._features(context.bars[t]) for t in self.timeframes)
        regime = regime_of(setup.adx, setup.calm)
        sides = [self._score(context, side, trigger, setup, bias, regime) for side in (0, 1)]
        totals = [sum(points.values()) for points in sides]
        side = 0 if totals[0] >= totals[1] else 1
        direction: Direction = "BUY" if side == 0 else "SELL"
        words = None
        if trigger.broke_age[side] < TRIGGER_AGE:
            words = f"{self.timeframes[0]} {'CHoCH' if trigger.choch[side] else 'BOS'}"
        entry, sl, tp = self._levels(context, side, trigger, setup)
        return Setup(
            symbol=context.symbol,
            direction=direction,
            score=round(totals[side], 1),
            components={name: round(points, 1) for name, points in sides[side].items()},
            regime=regime,
            atr=setup.atr,
            trigger=words,
            waiting_for=f"no {self.timeframes[0]} break {'up' if side == 0 else 'down'}",
            entry=entry,
            sl=sl,
            tp=tp,
            evidence=self._evidence(context, side, trigger, setup),
        )

    def knows(self, bars: Bars) -> bool:
        """Whether the features of these bars are at hand."""
        known = self._known.get((bars.symbol, bars.timeframe))
        return known is not None and _mark(known.bars) == _mark(bars)

    def know(self, bars: Bars, found: Features) -> None:
        """Take features of ``bars`` that were computed elsewhere."""
        self._keep((IncrementalState(bars, found, None),))

    def ceiling(self, trigger: Features, setup: Features, bias: Features) -> Ceiling:
        """The most that :meth:`evaluate` can find on these features at any tick."""
        regime = regime_of(setup.adx, setup.calm)
        blocked = regime is None or regime in self.settings.block_regimes
        sides = []
        for side in (0, 1):
            if blocked or not trigger.broke_age[side] < TRIGGER_AGE:
                continue
            share = self._shares(side, trigger, setup, bias, regime)
            # a hair more than the sum, because it is rounded and compared elsewhere
            most = sum(WEIGHTS[n] * v for n, v in share.items()) + WEIGHTS["session"] + 0.06
            sides.append((side, most))
        return Ceiling(tuple(sides), _zones(setup), self.settings.min_score)

    def _features(self, bars: Bars) -> Features:
        if not self.knows(bars):
            self._learn([bars])
        return self._known[bars.symbol, bars.timeframe].features

    def _score(
        self,
        context: Context,
        side: int,
        trigger: Features,
        setup: Features,
        bias: Features,
        regime: str | None,
    ) -> dict[str, float]:
        share = self._shares(side, trigger, setup, bias, regime)
        price = context.tick.bid if side == 0 else context.tick.ask
        share["zone"] = _zones(setup).share(side, price)
        share["session"] = _session(context.sessions)
        return {name: weight * share[name] for name, weight in WEIGHTS.items()}

    def _shares(
        self, side: int, trigger: Features, setup: Features, bias: Features, regime: str | None
    ) -> dict[str, float]:
        """What does not depend on the tick, each from 0 to 1."""
        sign = 1 if side == 0 else -1
        return {
            "bias": _bias(bias, sign),
            "sweep": max(_sweep(setup, side), 0.8 * _sweep(trigger, side)),
            "structure": _break(trigger, side, sign),
            "regime": REGIME_POINTS.get(regime or "", 0.0),
            "rsi": _rsi(trigger.rsi, sign),
        }

    def _levels(
        self, context: Context, side: int, trigger: Features, setup: Features
    ) -> tuple[float, float, float]:
        """Entry at the market, stop behind the structure, target at the next level.

        The stop's distance is kept between ``stop_atr`` and ``max_stop_atr`` and is never
        under ``min_stop_spreads``; the nearest level from ``min_r`` to ``MAX_TARGET_R`` is the
        target: a swing, or a resting extreme of a week, day or session.
        """
        s, tick, digits = self.settings, context.tick, context.info.digits
        sign, atr = 1 if side == 0 else -1, setup.atr
        entry = tick.ask if side == 0 else tick.bid
        spread = tick.ask - tick.bid
        behind = trigger.guard[side]
        wicks = [
            (setup.swept_age, setup.swept_at),
            *zip(setup.taken_age, setup.taken_at, strict=True),
        ]
        for age, wick in wicks:
            if age[side] < SWEEP_AGE:
                behind = min(behind, wick[side]) if sign > 0 else max(behind, wick[side])
        distance = sign * (entry - behind) + 0.1 * atr
        least = max(s.stop_atr * atr, s.min_stop_spreads * spread)
        most = max(s.max_stop_atr * atr, least)
        if math.isnan(distance):
            distance = least
        distance = min(max(distance, least), most)
        levels = (setup.swing[side], *(pair[1 - side] for pair in setup.resting))
        ahead = [sign * (level - entry) for level in levels]
        near = [x for x in ahead if s.min_r * distance <= x <= MAX_TARGET_R * distance]
        reward = min(near, default=s.target_r * distance)
        return entry, round(entry - sign * distance, digits), round(entry + sign * reward, digits)

    def _evidence(
        self, context: Context, side: int, trigger: Features, setup: Features
    ) -> dict[str, int]:
        """Server times of the bars that the score rests on."""
        low, mid = context.bars[self.timeframes[0]], context.bars[self.timeframes[1]]
        named = [
            (f"sweep of {name[side]}", age[side])
            for name, age in zip(NAMES, setup.taken_age, strict=True)
        ]
        found = [
            ("break", trigger.broke_age[side], BREAK_AGE, low),
            ("sweep", setup.swept_age[side], SWEEP_AGE, mid),
            *((words, age, SWEEP_AGE, mid) for words, age in named),
        ]
        return {
            words: int(bars.time[-1 - int(age)]) for words, age, most, bars in found if age < most
        }


def _mark(bars: Bars) -> tuple[int, int, float, float]:
    """A key of the bars that features were computed from."""
    return len(bars), int(bars.time[0]), float(bars.time[-1]), float(bars.close[-1])


def _bias(bias: Features, sign: int) -> float:
    """Trend of the bias timeframe (0.6) and the cheap side of its dealing range (0.4)."""
    trend = bias.trend * sign
    points = 0.6 if trend > 0 else (0.2 if trend == 0 else 0.0)
    if math.isnan(bias.place):
        return points
    place = min(max(bias.place, 0.0), 1.0)
    return points + 0.4 * (1.0 - place if sign > 0 else place)


def _sweep(f: Features, side: int) -> float:
    """Fresh sweeps of the side's liquidity; what more eyes see counts more."""
    single = EQUAL_POINTS if f.swept_equal[side] > 0 else 1.0
    best = _fading(f.swept_age, side, single)
    for age, points in zip(f.taken_age, _LEVELS, strict=True):
        best = max(best, _fading(age, side, points))
    return min(best, 1.0)


def _fading(age: Pair, side: int, points: float) -> float:
    return points * max(1.0 - age[side] / SWEEP_AGE, 0.0)


def _break(f: Features, side: int, sign: int) -> float:
    """A fresh break (0.5), with displacement (+0.3), against the trend before (+0.2)."""
    if f.broke_age[side] < TRIGGER_AGE:
        return 0.5 + 0.3 * f.displaced[side] + 0.2 * f.choch[side]
    return 0.25 if f.trend == sign else 0.0


def _zones(f: Features) -> Zones:
    """Low and high of the open gap, block and breaker of either side, and the ATR."""
    sides: tuple[list[tuple[float, float, float]], list[tuple[float, float, float]]] = ([], [])
    for near, far, most in (
        (f.gap_near, f.gap_far, 1.0),
        (f.block_near, f.block_far, 1.0),
        (f.breaker_near, f.breaker_far, BREAKER_POINTS),
    ):
        for side in (0, 1):
            a, b = near[side], far[side]
            if not math.isnan(a) and f.atr > 0:
                sides[side].append((min(a, b), max(a, b), most))
    return Zones(f.atr, sides)


def _session(sessions: frozenset[str]) -> float:
    if sessions & {"london", "new_york"}:
        return 1.0
    return 0.6 if sessions else 0.0


def _rsi(rsi: float, sign: int) -> float:
    """Full points for an extreme against the trade, half in the middle, none when late."""
    if math.isnan(rsi):
        return 0.0
    value = rsi if sign > 0 else 100.0 - rsi
    return 1.0 if value < 35.0 else (0.5 if value < 70.0 else 0.0)
