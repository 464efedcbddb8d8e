"""The types of a strategy: closed bars and a tick in, one ``Setup`` for each symbol out.

A strategy is pure with respect to the market: it sends nothing, reads no clock and is given
closed bars only, so that the same code runs live and over history. The worker calls it off
the event loop. Installed strategies import from here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from execution.api.structs import SymbolInfo, Tick

Direction = Literal["BUY", "SELL"]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Signs = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Bars:
    """Closed bars of one symbol and timeframe, oldest first; arrays of equal length.

    ``time`` is the opening time in server seconds, prices are bids, ``volume`` counts ticks,
    ``spread`` is in points. The forming bar is not among them. ``utc_offset`` is the number of
    seconds that the server's clock is ahead of UTC; NaN while it is unknown.
    """

    symbol: str
    timeframe: str
    time: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    spread: Floats
    utc_offset: float = math.nan

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def from_rates(
        cls,
        symbol: str,
        timeframe: str,
        rates: npt.NDArray[np.void],
        utc_offset: float = math.nan,
    ) -> Bars:
        """From an array of ``RATES_DTYPE`` that holds closed bars only."""
        return cls(
            symbol,
            timeframe,
            rates["time"].astype(np.int64),
            rates["open"].astype(np.float64),
            rates["high"].astype(np.float64),
            rates["low"].astype(np.float64),
            rates["close"].astype(np.float64),
            rates["tick_volume"].astype(np.float64),
            rates["spread"].astype(np.float64),
            utc_offset,
        )

    def fault(self) -> str | None:
        """The fault of the data in a few words; ``None`` when it can be used."""
        prices = np.stack((self.open, self.high, self.low, self.close))
        if not bool(np.isfinite(prices).all()):
            return "a price is not a number"
        if bool((prices <= 0).any()):
            return "a price is not above zero"
        if bool((self.high < self.low).any()):
            return "a high is below its low"
        if len(self) > 1 and bool((np.diff(self.time) <= 0).any()):
            return "bar times do not rise"
        return None


@dataclass(frozen=True, slots=True)
class Context:
    """What a strategy may use for one symbol.

    ``bars`` maps the timeframe to its closed bars; ``sessions`` names the trading sessions
    that are open; ``server_time`` is in server seconds.
    """

    symbol: str
    info: SymbolInfo
    tick: Tick
    bars: Mapping[str, Bars]
    server_time: float
    sessions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Setup:
    """What a strategy finds in one symbol, whether or not it would trade it.

    ``score`` is 0 to 100 and the sum of ``components``. ``trigger`` names the event that
    starts the trade now, ``None`` while there is none. ``entry``, ``sl`` and ``tp`` are prices
    for the tick it was given. ``evidence`` maps a fact to the server time of the bar that
    shows it. NaN means unknown and never passes a gate.
    """

    symbol: str
    direction: Direction | None = None
    score: float = math.nan
    components: Mapping[str, float] = field(default_factory=dict)
    regime: str | None = None
    atr: float = math.nan
    trigger: str | None = None
    waiting_for: str = "trigger"
    entry: float = math.nan
    sl: float = math.nan
    tp: float = math.nan
    probability: float | None = None
    evidence: Mapping[str, int] = field(default_factory=dict)

    @property
    def reward(self) -> float:
        """Distance from entry to target, price units."""
        return abs(self.tp - self.entry)

    @property
    def risk(self) -> float:
        """Distance from entry to stop, price units."""
        return abs(self.entry - self.sl)


@runtime_checkable
class Strategy(Protocol):
    """A way to trade. Made as ``Class(settings)``; may keep caches, but no market state."""

    name: str
    timeframes: tuple[str, ...]
    """What it reads, trigger timeframe first."""

    def prepare(self, fresh: Sequence[Bars]) -> None:
        """Compute in one go over the series that have a new closed bar. May do nothing."""
        ...

    def evaluate(self, context: Context) -> Setup:
        """Evaluate one symbol. An exception costs this symbol this scan, nothing else."""
        ...
