"""Set-ups of the past with their outcomes: the strategy itself is run over closed bars.

At each moment it gets exactly what a scan would have given it then, so that what is
learned is what the live gate will be asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from execution.api.structs import SymbolInfo, Tick

from ..base import Bars, Bools, Context, Floats, Ints, Strategy
from ..scan.bar_cache import anchor
from ..scan.scanner import MIN_BARS
from ..sessions import sessions_at
from ..settings import TIMEFRAME_SECONDS, StrategySettings
from .labels import triple_barrier
from .model_features import names, row, sign_of, table

log = logging.getLogger(__name__)

History = Mapping[str, Mapping[str, Bars]]
"""Symbol -> timeframe -> closed bars."""


@dataclass(frozen=True)
class Samples:
    """One row for each set-up, by time. ``x`` is (rows, features) without NaN; ``time`` is when
    it was decided and ``end`` when its outcome was known, in server seconds; ``which`` counts
    ``symbols``; ``r`` is the net result in R."""

    x: Floats
    won: Bools
    r: Floats
    score: Floats
    time: Floats
    end: Floats
    sign: Ints
    which: Ints
    symbols: tuple[str, ...]
    features: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.time)


@dataclass
class _Symbol:
    """One symbol's bars, the tables of its features, and how many bars were closed when."""

    name: str
    info: SymbolInfo
    bars: Mapping[str, Bars]
    tables: dict[str, Floats]
    closed: dict[str, Ints]
    """Closed bars by moment."""
    ends: Ints
    """When each trigger bar closed."""
    commission: float


def walk(
    strategy: Strategy,
    history: History,
    infos: Mapping[str, SymbolInfo],
    settings: StrategySettings,
    *,
    utc_offset: float = 0.0,
    progress: Callable[[float], None] = lambda share: None,
) -> Samples:
    """Every set-up with a direction and a trigger, at every ``trainer.stride``-th close of a
    trigger bar, with an outcome known by the end of the bars. ``progress`` gets the share done,
    0 to 1."""
    frames = strategy.timeframes
    ends = [
        bars[frames[0]].time + TIMEFRAME_SECONDS[frames[0]]
        for bars in history.values()
        if frames[0] in bars
    ]
    moments: Ints = np.unique(np.concatenate(ends)) if ends else np.empty(0, np.int64)
    symbols = _symbols(strategy, history, infos, settings, moments, utc_offset)
    found: list[tuple[float, ...]] = []
    rows: list[Floats] = []
    known: dict[tuple[str, str], int] = {}
    chosen = range(MIN_BARS, len(moments), settings.trainer.stride)
    for n, i in enumerate(chosen):
        if n % 50 == 0:
            progress(n / len(chosen))
        moment = int(moments[i])
        windows = {
            s.name: window
            for s in symbols
            if (window := _window(s, frames, i, moment, settings.bars)) is not None
        }
        fresh = []
        for name, window in windows.items():
            for frame, bars in window.items():
                if known.get((name, frame)) != int(bars.time[-1]):
                    known[name, frame] = int(bars.time[-1])
                    fresh.append(bars)
        _prepare(strategy, fresh)
        for which, s in enumerate(symbols):
            if s.name not in windows:
                continue
            taken = _look(strategy, s, windows[s.name], i, moment, utc_offset, settings)
            if taken is not None:
                rows.append(taken[0])
                found.append((*taken[1], float(moment), float(which)))
    progress(1.0)
    x = np.array(rows) if rows else np.empty((0, len(names(frames))))
    columns = np.array(found) if found else np.empty((0, 7))
    sound: Bools = np.asarray(np.isfinite(x).all(axis=1))
    x, columns = x[sound], columns[sound]
    return Samples(
        x=x,
        won=columns[:, 0] > 0,
        r=columns[:, 1],
        end=columns[:, 2],
        score=columns[:, 3],
        sign=columns[:, 4].astype(np.int64),
        time=columns[:, 5],
        which=columns[:, 6].astype(np.int64),
        symbols=tuple(s.name for s in symbols),
        features=names(frames),
    )


def _symbols(
    strategy: Strategy,
    history: History,
    infos: Mapping[str, SymbolInfo],
    settings: StrategySettings,
    moments: Ints,
    utc_offset: float,
) -> list[_Symbol]:
    out = []
    for name, bars in history.items():
        info = infos.get(name)
        faults = [bars[t].fault() if t in bars else "no bars" for t in strategy.timeframes]
        if info is None or any(fault is not None for fault in faults):
            log.info("%s is left out: %s", name, faults)
            continue
        own = {t: replace(bars[t], utc_offset=utc_offset) for t in strategy.timeframes}
        ends = {t: own[t].time + TIMEFRAME_SECONDS[t] for t in own}
        value = info.trade_tick_value_loss or info.trade_tick_value
        fee = settings.commission_per_lot
        out.append(
            _Symbol(
                name,
                info,
                own,
                {t: table(b, info.point, settings.swing_bars) for t, b in own.items()},
                {t: np.searchsorted(e, moments, side="right") for t, e in ends.items()},
                ends[strategy.timeframes[0]],
                fee * info.trade_tick_size / value if fee and value > 0 else 0.0,
            )
        )
    return out


def _window(
    s: _Symbol, frames: Sequence[str], i: int, moment: int, most: int
) -> dict[str, Bars] | None:
    """The bars that a scan at ``moment`` would hold; ``None`` where no trigger bar closed."""
    count = int(s.closed[frames[0]][i])
    if count == 0 or int(s.ends[count - 1]) != moment:
        return None
    out = {}
    for frame in frames:
        stop = int(s.closed[frame][i])
        if stop < MIN_BARS:
            return None
        start = anchor(s.bars[frame].time[:stop], TIMEFRAME_SECONDS[frame], most)
        out[frame] = _part(s.bars[frame], start, stop)
    return out


def _part(bars: Bars, start: int, stop: int) -> Bars:
    cut = slice(start, stop)
    return Bars(
        bars.symbol,
        bars.timeframe,
        bars.time[cut],
        bars.open[cut],
        bars.high[cut],
        bars.low[cut],
        bars.close[cut],
        bars.volume[cut],
        bars.spread[cut],
        bars.utc_offset,
    )


def _prepare(strategy: Strategy, fresh: Sequence[Bars]) -> None:
    try:
        strategy.prepare(fresh)
    except Exception:
        # as in a scan: a batch that fails costs speed only, evaluate() computes by itself
        log.exception("prepare over %d series", len(fresh))


def _look(
    strategy: Strategy,
    s: _Symbol,
    window: Mapping[str, Bars],
    i: int,
    moment: int,
    utc_offset: float,
    settings: StrategySettings,
) -> tuple[Floats, tuple[float, float, float, float, float]] | None:
    """Features, and (won, r, end, score, sign), of the set-up at a moment, if there is one."""
    lead = strategy.timeframes[0]
    last = window[lead]
    bid = float(last.close[-1])
    ask = round(bid + float(last.spread[-1]) * s.info.point, s.info.digits)
    tick = Tick(moment, bid, ask, 0.0, 0, moment * 1000, 6, 0.0)
    context = Context(s.name, s.info, tick, window, float(moment), sessions_at(moment - utc_offset))
    try:
        setup = strategy.evaluate(context)
    except Exception:
        # a symbol that the strategy cannot evaluate gives no sample, as it gives no trade
        log.debug("%s at %d", s.name, moment, exc_info=True)
        return None
    sign = sign_of(setup)
    if not sign:
        return None
    outcome = triple_barrier(
        s.bars[lead],
        int(s.closed[lead][i]) - 1,
        sign,
        setup.sl,
        setup.tp,
        horizon=settings.trainer.horizon_bars,
        point=s.info.point,
        commission=s.commission,
    )
    if outcome is None:
        return None
    blocks = [s.tables[t][int(s.closed[t][i]) - 1] for t in strategy.timeframes]
    features = row(blocks, sign, setup.score, setup.reward / setup.risk, float(moment))
    known = float(s.ends[outcome.end])
    return features, (float(outcome.won), outcome.r, known, setup.score, float(sign))
