"""The shipped strategy: bias, set-up and trigger over three timeframes, scored 0 to 100.

"Institutional" names the method (structure, liquidity, gaps, blocks); it is no claim of
access to anyone's order flow, and no claim of an edge.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from strategy.base import Bars, Bools, Context, Direction, Floats, Setup, Signs
from strategy.indicators import trailing_mean, wilder
from strategy.settings import StrategySettings
from strategy.structure import analyse, dealing_range

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

TAIL = 32
"""Newest bars of the features that are kept for each series."""
TRIGGER_AGE = 3
"""A break of structure is a trigger on its own bar and the bars after it, this many in all."""
SWEEP_AGE = 12
"""Bars over which a sweep loses its points."""
MAX_TARGET_R = 4.0
"""A level farther than this many R is no target."""
REGIME_POINTS = {"TRENDING": 1.0, "NORMAL": 0.6, "RANGING": 0.3, "QUIET": 0.2, "VOLATILE": 0.0}


class Features(NamedTuple):
    """The newest ``TAIL`` bars of one series; sided arrays are (bars, 2): bullish, bearish."""

    time: int
    """Server time of the newest closed bar."""
    atr: Floats
    adx: Floats
    rsi: Floats
    calm: Floats
    """ATR over its own mean of 50 bars."""
    place: Floats
    """Position in the dealing range, 0 to 1."""
    trend: Signs
    broke: Bools
    choch: Bools
    displaced: Bools
    gap_near: Floats
    gap_far: Floats
    block_near: Floats
    block_far: Floats
    swept: Bools
    swept_at: Floats
    swept_equal: Bools
    swing: Floats
    guard: Floats


class Zones(NamedTuple):
    """Open gaps and blocks, (low, high) by side, and the ATR."""

    atr: float
    sides: tuple[list[tuple[float, float]], list[tuple[float, float]]]

    def share(self, side: int, price: float) -> float:
        """1 inside a zone of the side, falling to 0 one ATR away from it."""
        best = 0.0
        for low, high in self.sides[side]:
            outside = max(low - price, price - high, 0.0)
            best = max(best, 1.0 - outside / self.atr)
        return best


class Ceiling(NamedTuple):
    """What keeps a symbol from being a candidate until its next bar, whatever the tick."""

    sides: tuple[tuple[int, float], ...]
    """Sides with a trigger and the most points that each can have beside the zone's."""
    zones: Zones
    need: float

    def reaches(self, bid: float, ask: float) -> bool:
        """Whether the score could be enough at this quote. Never wrong in saying no."""
        for side, most in self.sides:
            price = bid if side == 0 else ask
            if most + WEIGHTS["zone"] * self.zones.share(side, price) >= self.need:
                return True
        return False


def features(series: Sequence[Bars], k: int = 3) -> list[Features]:
    """Features of series that have equally many bars, computed in one go; swings of ``k``."""
    o, h, low, c = (
        np.stack([getattr(bars, name) for bars in series], axis=1)
        for name in ("open", "high", "low", "close")
    )
    return features_of(o, h, low, c, [int(bars.time[-1]) for bars in series], k)


def features_of(
    o: Floats, h: Floats, low: Floats, c: Floats, times: Sequence[int], k: int
) -> list[Features]:
    """Features of prices of shape (bars, series); ``times`` are those of the newest bars."""
    w = wilder(h, low, c)
    s = analyse(o, h, low, c, w.atr, k)
    with np.errstate(invalid="ignore", divide="ignore"):
        calm = w.atr / trailing_mean(w.atr, 50)
    place = dealing_range(h, low, c)
    tail = slice(-TAIL, None)
    return [
        Features(
            time=int(time),
            atr=w.atr[tail, j].copy(),
            adx=w.adx[tail, j].copy(),
            rsi=w.rsi[tail, j].copy(),
            calm=calm[tail, j].copy(),
            place=place[tail, j].copy(),
            trend=s.trend[tail, j].copy(),
            broke=s.broke[tail, :, j].copy(),
            choch=s.choch[tail, :, j].copy(),
            displaced=s.displaced[tail, :, j].copy(),
            gap_near=s.gap_near[tail, :, j].copy(),
            gap_far=s.gap_far[tail, :, j].copy(),
            block_near=s.block_near[tail, :, j].copy(),
            block_far=s.block_far[tail, :, j].copy(),
            swept=s.swept[tail, :, j].copy(),
            swept_at=s.swept_at[tail, :, j].copy(),
            swept_equal=s.swept_equal[tail, :, j].copy(),
            swing=s.swing[tail, :, j].copy(),
            guard=s.guard[tail, :, j].copy(),
        )
        for j, time in enumerate(times)
    ]


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
        self._known: dict[tuple[str, str], tuple[tuple[int, int, float], Features]] = {}

    def prepare(self, fresh: Sequence[Bars]) -> None:
        """Compute the features of all series with a new closed bar, equal lengths together."""
        groups: dict[int, list[Bars]] = defaultdict(list)
        for bars in fresh:
            groups[len(bars)].append(bars)
        for group in groups.values():
            for bars, found in zip(group, features(group, self.settings.swing_bars), strict=True):
                self._known[bars.symbol, bars.timeframe] = (_mark(bars), found)

    def evaluate(self, context: Context) -> Setup:
        """Score both directions and give the better one, with levels for the tick now."""
        trigger, setup, bias = (self._features(context.bars[t]) for t in self.timeframes)
        regime = regime_of(float(setup.adx[-1]), float(setup.calm[-1]))
        sides = [self._score(context, side, trigger, setup, bias, regime) for side in (0, 1)]
        totals = [sum(points.values()) for points in sides]
        side = 0 if totals[0] >= totals[1] else 1
        direction: Direction = "BUY" if side == 0 else "SELL"
        atr = float(setup.atr[-1])
        age = _age(trigger.broke[:, side])
        fired = age is not None and age < TRIGGER_AGE
        words = None
        if fired and age is not None:
            row = len(trigger.broke) - 1 - age
            kind = "CHoCH" if trigger.choch[row, side] else "BOS"
            words = f"{self.timeframes[0]} {kind}"
        entry, sl, tp = self._levels(context, side, trigger, setup, atr)
        return Setup(
            symbol=context.symbol,
            direction=direction,
            score=round(totals[side], 1),
            components={name: round(points, 1) for name, points in sides[side].items()},
            regime=regime,
            atr=atr,
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
        return known is not None and known[0] == _mark(bars)

    def know(self, bars: Bars, found: Features) -> None:
        """Take features of ``bars`` that were computed elsewhere."""
        self._known[bars.symbol, bars.timeframe] = (_mark(bars), found)

    def ceiling(self, trigger: Features, setup: Features, bias: Features) -> Ceiling:
        """The most that :meth:`evaluate` can find on these features at any tick."""
        regime = regime_of(float(setup.adx[-1]), float(setup.calm[-1]))
        blocked = regime is None or regime in self.settings.block_regimes
        sides = []
        for side in (0, 1):
            age = _age(trigger.broke[:, side])
            if blocked or age is None or age >= TRIGGER_AGE:
                continue
            share = self._shares(side, trigger, setup, bias, regime)
            # a hair more than the sum, because it is rounded and compared elsewhere
            most = sum(WEIGHTS[n] * v for n, v in share.items()) + WEIGHTS["session"] + 0.06
            sides.append((side, most))
        return Ceiling(tuple(sides), _zones(setup), self.settings.min_score)

    def _features(self, bars: Bars) -> Features:
        key = (bars.symbol, bars.timeframe)
        known = self._known.get(key)
        mark = _mark(bars)
        if known is None or known[0] != mark:
            known = (mark, features([bars], self.settings.swing_bars)[0])
            self._known[key] = known
        return known[1]

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
        share["zone"] = _zone(setup, side, context.tick.bid if side == 0 else context.tick.ask)
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
            "rsi": _rsi(float(trigger.rsi[-1]), sign),
        }

    def _levels(
        self, context: Context, side: int, trigger: Features, setup: Features, atr: float
    ) -> tuple[float, float, float]:
        """Entry at the market, stop behind the structure, target at the next level.

        The stop's distance is kept between ``stop_atr`` and ``max_stop_atr`` and is never
        under ``min_stop_spreads``; a level is a target from ``min_r`` to ``MAX_TARGET_R``.
        """
        s, tick, digits = self.settings, context.tick, context.info.digits
        sign = 1 if side == 0 else -1
        entry = tick.ask if side == 0 else tick.bid
        spread = tick.ask - tick.bid
        behind = float(trigger.guard[-1, side])
        age = _age(setup.swept[:, side])
        if age is not None and age < SWEEP_AGE:
            wick = float(setup.swept_at[len(setup.swept) - 1 - age, side])
            behind = min(behind, wick) if sign > 0 else max(behind, wick)
        distance = sign * (entry - behind) + 0.1 * atr
        least = max(s.stop_atr * atr, s.min_stop_spreads * spread)
        most = max(s.max_stop_atr * atr, least)
        if math.isnan(distance):
            distance = least
        distance = min(max(distance, least), most)
        reward = s.target_r * distance
        level = sign * (float(setup.swing[-1, side]) - entry)
        if s.min_r * distance <= level <= MAX_TARGET_R * distance:
            reward = level
        return entry, round(entry - sign * distance, digits), round(entry + sign * reward, digits)

    def _evidence(
        self, context: Context, side: int, trigger: Features, setup: Features
    ) -> dict[str, int]:
        """Server times of the bars that the score rests on."""
        out: dict[str, int] = {}
        low, mid = context.bars[self.timeframes[0]], context.bars[self.timeframes[1]]
        for name, flags, bars in (
            ("break", trigger.broke, low),
            ("sweep", setup.swept, mid),
        ):
            age = _age(flags[:, side])
            if age is not None:
                out[name] = int(bars.time[-1 - age])
        return out


def _mark(bars: Bars) -> tuple[int, int, float]:
    """Tells whether features still belong to the bars: length, newest time and close."""
    return len(bars), int(bars.time[-1]), float(bars.close[-1])


def _age(flags: Bools) -> int | None:
    """Bars since the newest ``True``; 0 is the newest bar."""
    found = np.flatnonzero(flags)
    return int(len(flags) - 1 - found[-1]) if len(found) else None


def _bias(bias: Features, sign: int) -> float:
    """Trend of the bias timeframe (0.6) and the cheap side of its dealing range (0.4)."""
    trend = int(bias.trend[-1]) * sign
    points = 0.6 if trend > 0 else (0.2 if trend == 0 else 0.0)
    place = float(bias.place[-1])
    if math.isnan(place):
        return points
    place = min(max(place, 0.0), 1.0)
    return points + 0.4 * (1.0 - place if sign > 0 else place)


def _sweep(f: Features, side: int) -> float:
    """Fresh sweeps of the side's liquidity; equal highs or lows count a quarter more."""
    age = _age(f.swept[:, side])
    if age is None or age >= SWEEP_AGE:
        return 0.0
    points = 1.0 - age / SWEEP_AGE
    if f.swept_equal[len(f.swept) - 1 - age, side]:
        points *= 1.25
    return min(points, 1.0)


def _break(f: Features, side: int, sign: int) -> float:
    """A fresh break (0.5), with displacement (+0.3), against the trend before (+0.2)."""
    age = _age(f.broke[:, side])
    if age is not None and age < TRIGGER_AGE:
        row = len(f.broke) - 1 - age
        return 0.5 + 0.3 * bool(f.displaced[row, side]) + 0.2 * bool(f.choch[row, side])
    return 0.25 if int(f.trend[-1]) == sign else 0.0


def _zones(f: Features) -> Zones:
    """Low and high of the open gap and block of either side, with the ATR they are seen by."""
    atr = float(f.atr[-1])
    sides: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    for near, far in ((f.gap_near, f.gap_far), (f.block_near, f.block_far)):
        for side in (0, 1):
            a, b = float(near[-1, side]), float(far[-1, side])
            if not math.isnan(a) and atr > 0:
                sides[side].append((min(a, b), max(a, b)))
    return Zones(atr, sides)


def _zone(f: Features, side: int, price: float) -> float:
    """1 inside an open gap or block of the side, falling to 0 one ATR away from it."""
    return _zones(f).share(side, price)


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
