"""What a market is to the paper terminal: specifications, old bars and a stream of ticks.

All times are UTC epoch milliseconds for ticks and UTC epoch seconds for bars; the terminal adds
its server's offset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from streamer.errors import USAGE, Mt5dashError

from ...api.terminal import Array
from .symbols import Spec

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]


Progress = Callable[[str, int, int], None]
"""Called while a market opens: what is being done, how many steps of how many are done."""


def no_progress(what: str, done: int, total: int) -> None:
    """For callers that do not show the progress."""


class MarketError(Mt5dashError):
    """A market that cannot be opened: what is wrong, where, and what to do."""

    exit_code = USAGE

    def __init__(
        self, problem: str, *, file: Path | None = None, line: int | None = None, do: str = ""
    ) -> None:
        where = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        super().__init__(f"{where}{problem}" + (f". {do}" if do else ""))
        self.problem = problem
        self.file = file
        self.line = line
        self.do = do


class Ticks(NamedTuple):
    """Quotes of one symbol in time order: ``time_ms``, ``bid``, ``ask``, same length."""

    time_ms: Ints
    bid: Floats
    ask: Floats


@dataclass(frozen=True, slots=True)
class Layer:
    """Old bars of one length: ``seconds`` a bar, ``bars`` of ``RATES_DTYPE``, oldest first.
    ``drawn`` bars were made from longer ones, which are the truth where both are."""

    seconds: int
    bars: Array
    drawn: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """All ticks before ``end_ms`` that no earlier chunk had; a symbol may be absent."""

    end_ms: int
    ticks: Mapping[str, Ticks]


class Past(Protocol):
    """Days of one symbol before the bars and ticks that the market gives by itself, on demand.
    Days are counted from 1970-01-01 UTC, times are UTC."""

    def minutes(self, day: int, hours: Array) -> Array:
        """Minute bars of a day. ``hours`` are its hour bars, as far as there are any."""
        ...

    def ticks(self, day: int, minutes: Array) -> Ticks:
        """Ticks of a day. ``minutes`` are its minute bars."""
        ...


class Market(Protocol):
    """A source of prices. ``chunk()`` returns the next stretch of time, None when the market
    has come to its end; ``begin_ms`` is where the first chunk begins. ``history`` is asked for
    once for each symbol, when the market is opened, or when its bars are needed if the market is
    ``lazy``; ``past`` for what lies before them. ``quote`` lets a symbol have ticks that had none, and
    returns those up to the end of the present chunk."""

    start: float
    begin_ms: int
    lazy: bool

    @property
    def text(self) -> str: ...
    @property
    def specs(self) -> Mapping[str, Spec]: ...
    @property
    def end_ms(self) -> int | None: ...
    def history(self, symbol: str) -> list[Layer]: ...
    def past(self, symbol: str) -> Past | None: ...
    def quote(self, symbol: str) -> list[Ticks]: ...
    def chunk(self) -> Chunk | None: ...
    def is_open(self, spec: Spec, utc_ms: int, quoted_ms: int) -> bool: ...
