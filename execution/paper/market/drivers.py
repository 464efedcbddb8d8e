"""Moves of the prices that a generated market is made of: the drivers, and what follows them.

A :class:`Draws` holds the drivers' random numbers over a grid of times; ``units_of``, ``sigma_of``
and ``jumps_of`` make of them one price's moves. A follower's own part comes from a stream of its own,
so which prices are asked for changes none of them.
"""

from __future__ import annotations

import math
import zlib
from typing import NamedTuple

import numpy as np

from .calibration import DRIVERS, FOLLOWERS, H4_CORRELATION, HOUR_SHAPE, M1_VOL_BP, Follower
from .model import Bools, Floats, Ints
from .sessions import Session, open_mask
from .symbols import SPECS

COUNT = len(DRIVERS)
HOUR = 3600
DAY = 86_400
SLOW = (0.97, 0.35)
"""Hourly log volatility: persistence and standard deviation of its AR(1)."""

_NU = 4.0
_KERNEL = 160
_MIX = np.linalg.cholesky(H4_CORRELATION)
_GAP_S = 1200
"""A closed market's jump is as large as the moves of so many seconds."""


class Draws(NamedTuple):
    """Random numbers of the drivers over ``times`` (UTC seconds, a step apart), one column each:
    correlated standard normals, log volatility of the regime (0 where it is not drawn),
    multipliers of wild minutes (1 likewise), and normals for the jumps of an opening market.
    ``stream`` names the stream of a follower's own numbers."""

    times: Ints
    step: int
    units: Floats
    slow: Floats
    tails: Floats
    gaps: Floats
    stream: tuple[int, ...]


def code(name: str) -> int:
    """A number for a name, the same everywhere, to seed a stream with."""
    return zlib.crc32(name.encode())


def normals(rng: np.random.Generator, count: int) -> Floats:
    """Standard normals of the drivers, correlated as measured."""
    return rng.standard_normal((count, COUNT)) @ _MIX.T


def tails(rng: np.random.Generator, count: int) -> Floats:
    """Multipliers of volatility that make returns Student-like; half shared by all drivers, so
    that wild minutes come together. Mean square 1."""
    chi = rng.chisquare(_NU, size=(count, COUNT + 1))
    scale = (_NU - 2) / chi
    # E[sqrt(X)] of X = (nu - 2) / chi2(nu); both factors are independent.
    mean = math.sqrt((_NU - 2) / 2) * math.gamma((_NU - 1) / 2) / math.gamma(_NU / 2)
    square: Floats = np.sqrt(scale[:, :COUNT] * scale[:, COUNT:]) / mean**2
    return np.sqrt(square)


def regimes(rng: np.random.Generator, hours: int) -> Floats:
    """Hourly log volatility of each driver, half of it shared, variance taken out."""
    keep, deviation = SLOW
    kernel = keep ** np.arange(_KERNEL) * math.sqrt(1 - keep**2) * deviation
    noise = rng.standard_normal((hours + _KERNEL, COUNT + 1))
    noise = (noise[:, :COUNT] + noise[:, COUNT:]) / math.sqrt(2)
    size = hours + 2 * _KERNEL
    spectrum = np.fft.rfft(noise, n=size, axis=0) * np.fft.rfft(kernel, n=size)[:, None]
    path: Floats = np.fft.irfft(spectrum, n=size, axis=0)[_KERNEL : _KERNEL + hours]
    return path


def next_regime(rng: np.random.Generator, slow: Floats) -> Floats:
    """The log volatility an hour after ``slow``."""
    keep, deviation = SLOW
    shock = (rng.standard_normal(COUNT) + rng.standard_normal()) / math.sqrt(2)
    after: Floats = keep * slow + math.sqrt(1 - keep**2) * deviation * shock
    return after


def lead(follower: Follower) -> int:
    """The driver whose regimes and wild minutes a follower has."""
    return DRIVERS.index(follower.like)


def weights(follower: Follower) -> tuple[Floats, float]:
    """What a follower takes of each driver's standard normal, and of its own."""
    loads = np.array([follower.loads.get(name, 0.0) for name in DRIVERS])
    shared = float(loads @ H4_CORRELATION @ loads)
    return loads, math.sqrt(max(0.0, 1.0 - shared))


def mixed(draws: Floats, own: Floats, follower: Follower) -> Floats:
    """Standard normals of a follower from the drivers' and its own."""
    loads, rest = weights(follower)
    out: Floats = draws @ loads + rest * own
    return out


def session_of(name: str, follower: Follower | None) -> Session:
    return SPECS[name].session if follower is None else follower.session


def minute_sigma(name: str, follower: Follower | None) -> Floats:
    """Standard deviation of a minute's log return by UTC hour."""
    like = name if follower is None else follower.like
    level = M1_VOL_BP[name] if follower is None else follower.vol_bp
    shape = np.array(HOUR_SHAPE[like])
    out: Floats = shape / np.sqrt(np.mean(shape**2)) * level * 1e-4
    return out


def opened(session: Session, times: Ints, step: int) -> Bools:
    """Is the market open at each time? A day counts where its noon does."""
    return open_mask(session, times + (DAY // 2 if step == DAY else 0))


def sigma_of(draws: Draws, name: str, follower: Follower | None) -> Floats:
    """Standard deviation of a price's log move at each time of the grid, 0 where it is closed."""
    times, step = draws.times, draws.step
    at = DRIVERS.index(name) if follower is None else lead(follower)
    by_hour = minute_sigma(name, follower)
    if step == DAY:
        level = np.full(len(times), math.sqrt(np.mean(by_hour**2)))
    else:
        level = by_hour[times // HOUR % 24]
    regime = np.exp(draws.slow[:, at] - SLOW[1] ** 2) * draws.tails[:, at]
    is_open = opened(session_of(name, follower), times, step)
    out: Floats = level * math.sqrt(step / 60) * regime * is_open
    return out


def units_of(draws: Draws, name: str, follower: Follower | None) -> Floats:
    """Standard normals of a price at each time of the grid."""
    if follower is None:
        return draws.units[:, DRIVERS.index(name)]
    own = np.random.default_rng([*draws.stream, code(name), 0]).standard_normal(len(draws.units))
    return mixed(draws.units, own, follower)


def jumps_of(draws: Draws, name: str, follower: Follower | None, sigma: Floats) -> Floats:
    """How far a price moves while it is closed: at the first time after it."""
    session = session_of(name, follower)
    times, step = draws.times, draws.step
    first = opened(session, times, step) & ~opened(session, times - step, step)
    if step == DAY or not first.any():
        return np.zeros(len(times))
    if follower is None:
        gaps = draws.gaps[:, DRIVERS.index(name)]
    else:
        own = np.random.default_rng([*draws.stream, code(name), 1]).standard_normal(len(times))
        gaps = mixed(draws.gaps, own, follower)
    out: Floats = gaps * first * sigma * math.sqrt(_GAP_S / step)
    return out


def drawn_back(moves: Floats, last: float) -> tuple[Floats, Floats]:
    """Log prices before and after each move, of a path that ends at ``last``."""
    path = np.cumsum(moves)
    after: Floats = path + (last - path[-1])
    return after - moves, after


def reverting(moves: Floats, last: float, half_life: float) -> tuple[Floats, Floats]:
    """The same for a path that, seen backwards, returns to ``last`` with this half life in steps:
    years of moves then stay within a sensible range of prices."""
    keep = 0.5 ** (1 / half_life)
    power = keep ** np.arange(len(moves))
    # before = keep * after - move, counted from ``last``; solved for all steps at once.
    back = np.cumsum((moves * power)[::-1])[::-1] / power
    before = last - back
    return before, np.append(before[1:], last)


def follower_of(name: str, start: float) -> Follower:
    """What a price that was not measured is like, from its name: crypto, a pair, or an index."""
    base = name[:3]
    if base in ("BTC", "ETH", "LTC", "XRP", "SOL", "BCH", "ADA", "DOG", "DOT", "LNK", "BNB"):
        return Follower(start, FOLLOWERS["LTCUSD"].vol_bp, {"BTCUSD": 0.6}, "BTCUSD", "crypto")
    if len(name) == 6 and name.isalpha():
        return Follower(start, 1.6, {"EURUSD": -0.3})
    return Follower(start, 4.0, FOLLOWERS["US500"].loads, "GBPUSD", "metal")
