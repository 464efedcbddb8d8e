"""The features of a model: numbers of a set-up from closed bars, the same when learning and live.

``table`` is computed over a whole history to learn, and over the window of the scan to judge;
each row uses bars up to itself only and forgets what is older than the scan's window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..base import Bars, Bools, Floats, Setup
from ..institutional.indicators import trailing_mean, wilder
from ..institutional.structure import analyse, dealing_range

FORGET = 32
"""Bars after which an event is as if it had never been."""
LONGEST = 1 << 30

_PLAIN = ("adx", "calm", "volume", "spread", "range")
"""The same for a buy and a sell."""
_SIGNED = ("rsi", "trend", "place", "move1", "move5", "move20", "body")
"""Change their sign with the side."""
_SIDED = ("broke", "choch", "displaced", "swept", "gap", "block")
"""One value for each side: the set-up's own side, then the other."""
_BLOCK = (*_PLAIN, *_SIGNED, *(f"{n}_own" for n in _SIDED), *(f"{n}_other" for n in _SIDED))
WIDTH = len(_PLAIN) + len(_SIGNED) + 2 * len(_SIDED)


def names(timeframes: Sequence[str]) -> tuple[str, ...]:
    """Names of the numbers of :func:`row`, in order."""
    blocks = [f"{t}.{name}" for t in timeframes for name in _BLOCK]
    return (*blocks, "score", "reward", "hour_sin", "hour_cos")


def table(bars: Bars, point: float, k: int) -> Floats:
    """Numbers for every closed bar, shape (bars, ``WIDTH``): plain, signed for a buy, sided
    bullish then bearish. NaN where there are too few bars. ``k`` is the bars of a swing."""
    o, h, low, c = (x[:, None] for x in (bars.open, bars.high, bars.low, bars.close))
    w = wilder(h, low, c)
    s = analyse(o, h, low, c, w.atr, k)
    atr = w.atr[:, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        calm = atr / trailing_mean(w.atr, 50)[:, 0]
        volume = np.log(np.maximum(bars.volume, 1.0))
        place = np.clip(np.nan_to_num(dealing_range(h, low, c)[:, 0], nan=0.5), -1.0, 2.0)
        plain = (
            w.adx[:, 0] / 100.0,
            calm,
            volume - trailing_mean(volume[:, None], 50)[:, 0],
            bars.spread * point / atr,
            (bars.high - bars.low) / atr,
        )
        signed = (
            w.rsi[:, 0] / 50.0 - 1.0,
            s.trend[:, 0].astype(np.float64),
            1.0 - 2.0 * place,
            *(_move(bars.close, n) / atr for n in (1, 5, 20)),
            (bars.close - bars.open) / atr,
        )
        sides = [
            [
                _fresh(s.broke[:, side, 0]),
                _fresh(s.choch[:, side, 0]),
                _fresh(s.displaced[:, side, 0]),
                _fresh(s.swept[:, side, 0]),
                _near(bars.close, s.gap_near[:, side, 0], s.gap_far[:, side, 0], atr),
                _near(bars.close, s.block_near[:, side, 0], s.block_far[:, side, 0], atr),
            ]
            for side in (0, 1)
        ]
    return np.stack((*plain, *signed, *sides[0], *sides[1]), axis=1)


def _move(close: Floats, n: int) -> Floats:
    out = np.full(close.shape, np.nan)
    out[n:] = close[n:] - close[:-n]
    return out


def _fresh(event: Bools) -> Floats:
    """1 on the bar of the event, falling to 0 over ``FORGET`` bars."""
    rows = np.arange(len(event))
    last = np.maximum.accumulate(np.where(event, rows, -LONGEST))
    out: Floats = np.maximum(1.0 - (rows - last) / FORGET, 0.0)
    return out


def _near(close: Floats, a: Floats, b: Floats, atr: Floats) -> Floats:
    """1 inside an open zone, falling to 0 two ATR away; 0 without a zone."""
    outside = np.maximum(np.maximum(np.minimum(a, b) - close, close - np.maximum(a, b)), 0.0)
    return np.nan_to_num(np.maximum(1.0 - outside / (2.0 * atr), 0.0))


def sided(block: Floats, sign: int) -> Floats:
    """Rows of a table as a buy (+1) or a sell (-1) sees them."""
    p, q, n = len(_PLAIN), len(_PLAIN) + len(_SIGNED), len(_SIDED)
    if sign > 0:
        return block
    return np.concatenate(
        (block[..., :p], -block[..., p:q], block[..., q + n :], block[..., q : q + n]), axis=-1
    )


def row(
    blocks: Sequence[Floats], sign: int, score: float, reward: float, server_time: float
) -> Floats:
    """The numbers of one set-up, in the order of :func:`names`.

    Args:
        blocks: The newest row of each timeframe's table, in the strategy's order.
        reward: Reward over risk of the set-up.
        server_time: Server seconds at which the newest trigger bar closed.
    """
    angle = 2.0 * math.pi * (server_time % 86400.0) / 86400.0
    rest = np.array([score / 100.0, reward, math.sin(angle), math.cos(angle)])
    return np.concatenate((*(sided(block, sign) for block in blocks), rest))


def sign_of(setup: Setup) -> int:
    """+1 or -1 for a set-up with direction, trigger and levels; else 0."""
    if setup.trigger is None or setup.direction is None:
        return 0
    sign = 1 if setup.direction == "BUY" else -1
    right = sign * (setup.entry - setup.sl) > 0 and sign * (setup.tp - setup.entry) > 0
    return sign if right and np.isfinite(setup.score) else 0
