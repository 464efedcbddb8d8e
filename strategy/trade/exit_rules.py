"""The exit rules of the bot's positions: pure functions, one action at most.

R is the distance from the entry to the first stop. Rules never widen a stop. All state that
they need (:class:`PositionView`) can be read back from the terminal, so that a restart repeats
nothing; :mod:`strategy.trade.trade_book` does that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from execution.api.structs import SymbolInfo

from ..risk.sizing import floor_to_step
from ..settings import TIMEFRAME_SECONDS, StrategySettings

MIN_STEP_R = 0.05
"""A stop is moved when it gains at least this much: each move is a request to the broker."""


@dataclass(frozen=True, slots=True)
class PositionView:
    """One position of the bot. Prices in quote currency, times in server seconds.

    ``price`` is what closing would get now (bid of a long, ask of a short); ``best`` and
    ``worst`` are the farthest such prices since the opening. ``first_sl`` is the stop it was
    opened with, 0.0 for none. ``turned``: the structure went against it.
    """

    ticket: int
    symbol: str
    sign: int
    volume: float
    first_volume: float
    entry: float
    first_sl: float
    sl: float
    tp: float
    price: float
    best: float
    worst: float
    opened: float
    atr: float = math.nan
    turned: bool = False

    @property
    def risk(self) -> float:
        """R as a distance in price; NaN without a first stop."""
        distance = self.sign * (self.entry - self.first_sl) if self.first_sl > 0 else math.nan
        return distance if distance > 0 else math.nan

    def in_r(self, price: float) -> float:
        """A price as profit in R; NaN when R is unknown. To nine digits, so that the same
        distance is the same R at any price, up or down."""
        return round(self.sign * (price - self.entry) / self.risk, 9)

    @property
    def reduced(self) -> bool:
        """A part has been closed already."""
        return self.volume < self.first_volume * (1 - 1e-9)


@dataclass(frozen=True, slots=True)
class Move:
    """Put the stop at ``sl``."""

    sl: float
    why: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close ``volume`` lots, or all of it."""

    volume: float | None
    why: str


Action: TypeAlias = Move | Close
Rule: TypeAlias = Callable[[PositionView, float, StrategySettings, SymbolInfo], Action | None]


def time_stop(
    position: PositionView, now: float, s: StrategySettings, info: SymbolInfo
) -> Action | None:
    """Close what is old and has not gone anywhere."""
    bars, keep = s.exits.time_stop_bars, s.exits.time_stop_keep_r
    if bars is None:
        return None
    age = now - position.opened
    if not age >= bars * TIMEFRAME_SECONDS[s.trigger_timeframe]:
        return None
    if keep is not None and position.in_r(position.price) >= keep:
        return None
    return Close(None, f"time stop after {age / 60:.0f} min")


def early_cut(
    position: PositionView, now: float, s: StrategySettings, info: SymbolInfo
) -> Action | None:
    """Close a loser before its stop when the structure has turned against it."""
    limit = s.exits.early_cut_r
    if limit is None or not position.turned:
        return None
    value = position.in_r(position.price)
    return Close(None, f"early cut at {value:.1f} R") if value <= -limit else None


def partial(
    position: PositionView, now: float, s: StrategySettings, info: SymbolInfo
) -> Action | None:
    """Close a part once; not when the part or the rest would be under the smallest lot."""
    at = s.exits.partial_r
    if at is None or position.reduced or not position.in_r(position.price) >= at:
        return None
    part = floor_to_step(position.first_volume * s.exits.partial_fraction, info.volume_step)
    rest = position.volume - part
    if part < info.volume_min or rest < info.volume_min - 1e-9:
        return None
    return Close(part, f"partial at {position.in_r(position.price):.1f} R")


def stop_move(
    position: PositionView, now: float, s: StrategySettings, info: SymbolInfo
) -> Action | None:
    """Breakeven and trail: the tighter of the two, when it is a real step and allowed."""
    wanted = [x for x in (_breakeven(position, s), _trail(position, s)) if x is not None]
    if not wanted:
        return None
    sl, why = max(wanted, key=lambda x: position.sign * x[0])
    nearest = position.price - position.sign * info.trade_stops_level * info.point
    sl = round(sl, info.digits)
    if not position.sign * (nearest - sl) > 0:
        return None
    gain = position.sign * (sl - position.sl) if position.sl > 0 else math.inf
    if not gain >= max(MIN_STEP_R * position.risk, info.point):
        return None
    if position.tp > 0 and position.sign * (position.tp - sl) <= 0:
        return None
    return Move(sl, why)


def _breakeven(position: PositionView, s: StrategySettings) -> tuple[float, str] | None:
    at = s.exits.breakeven_r
    if at is None or not position.in_r(position.best) >= at:
        return None
    return position.entry + position.sign * s.exits.breakeven_buffer_r * position.risk, "breakeven"


def _trail(position: PositionView, s: StrategySettings) -> tuple[float, str] | None:
    """Distance in ATR from the best price; narrows between ``trail_start_r`` and
    ``trail_tight_r`` when ``trail_tight_atr`` is set."""
    e = s.exits
    if e.trail_start_r is None or not position.atr > 0:
        return None
    reached = position.in_r(position.best)
    if not reached >= e.trail_start_r:
        return None
    atrs = e.trail_atr
    if e.trail_tight_atr is not None:
        span = max(e.trail_tight_r - e.trail_start_r, 1e-9)
        share = min(max((reached - e.trail_start_r) / span, 0.0), 1.0)
        atrs += (e.trail_tight_atr - e.trail_atr) * share
    return position.best - position.sign * atrs * position.atr, "trail"


RULES: tuple[Rule, ...] = (time_stop, early_cut, partial, stop_move)
"""Asked in this order; the first action counts."""


def decide(
    position: PositionView, now: float, s: StrategySettings, info: SymbolInfo
) -> Action | None:
    """The action for one position now; ``None``: nothing to do."""
    if not s.exits.enabled:
        return None
    for rule in RULES:
        action = rule(position, now, s, info)
        if action is not None:
            return action
    return None
