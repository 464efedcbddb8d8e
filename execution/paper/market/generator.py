"""A seeded market: correlated, fat-tailed, with the day's rhythm of volatility, spread and
tick rate, and crosses that leave no arbitrage.

Old bars are drawn backwards from the start price as whole arrays; ticks come an hour at a time.
The same seed, start and symbols give the same prices, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from ...api.structs import RATES_DTYPE
from ...api.terminal import Array
from . import calibration
from .model import Bools, Chunk, Floats, Ints, Layer, MarketError, Tell, Ticks, nobody
from .sessions import is_open, open_mask
from .symbols import SPECS, Spec, legs

HOUR = 3600
_MINUTE_DAYS = 60
_HOUR_DAYS = 800
_NU = 4.0
_SLOW = (0.97, 0.35)
"""Hourly log volatility: persistence and standard deviation of its AR(1)."""
_KERNEL = 160
_CLUSTER = 4.0
"""Ticks of one burst, on average."""

_N = len(calibration.DRIVERS)


class GeneratedMarket:
    """Prices from a seed. ``levels`` are the drivers' mid prices at the start, where they are
    not the calibrated ones (a restored market)."""

    def __init__(
        self,
        seed: int,
        start: float,
        specs: Iterable[Spec] | None = None,
        levels: Mapping[str, float] | None = None,
        tell: Tell = nobody,
    ) -> None:
        self._tell = tell
        self._drawn = 0
        self.specs = {spec.name: spec for spec in (SPECS.values() if specs is None else specs)}
        self.start = start
        self.end_ms: int | None = None
        self.text = f"generated, seed {seed}"
        self._seed = seed
        self._legs: dict[str, dict[int, int]] = {}
        for spec in self.specs.values():
            parts = legs(spec)
            if parts is None:
                known = ", ".join(SPECS)
                raise MarketError(
                    f"no way to generate {spec.name}", do=f"Choose from {known} and their crosses"
                )
            self._legs[spec.name] = {
                calibration.DRIVERS.index(driver): power for driver, power in parts.items()
            }
        # At least one hour of ticks stands before the start.
        self._hour = int(start) // HOUR - 1
        self.begin_ms = self._hour * HOUR * 1000
        prices = {**calibration.START, **(levels or {})}
        self._price = np.log(np.array([prices[name] for name in calibration.DRIVERS]))
        self._mix = np.linalg.cholesky(calibration.H4_CORRELATION)
        self._sigma = _minute_sigma()
        self._slow = np.zeros(_N)
        self._closed_before: Bools = np.zeros(_N, dtype=np.bool_)
        rng = np.random.default_rng([seed, 1])
        slow = self._draw_slow(rng, _HOUR_DAYS * 24 + _MINUTE_DAYS * 24)
        self._slow = slow[-1]
        # The given prices are those at the start, so the first tick's lie a lead-in before.
        self._price -= self._lead_in(start)
        self._layers = self._draw_history(rng, slow)

    def history(self, symbol: str) -> list[Layer]:
        return self._layers.pop(symbol)

    def is_open(self, spec: Spec, utc_ms: int, quoted_ms: int) -> bool:
        return is_open(spec.session, utc_ms / 1000)

    # Old bars

    def _draw_history(self, rng: np.random.Generator, slow: Floats) -> dict[str, list[Layer]]:
        end = self._hour * HOUR
        minutes = np.arange(end - _MINUTE_DAYS * 86_400, end, 60, dtype=np.int64)
        hours = np.arange(int(minutes[0]) - _HOUR_DAYS * 86_400, int(minutes[0]), HOUR)
        fine, level = self._draw_bars(rng, minutes, 60, slow[len(hours) :], self._price)
        coarse, _ = self._draw_bars(rng, hours, HOUR, slow[: len(hours)], level)
        return {name: [Layer(HOUR, coarse[name]), Layer(60, fine[name])] for name in self.specs}

    def _draw_slow(self, rng: np.random.Generator, hours: int) -> Floats:
        """Hourly log volatility of each driver, half of it shared, variance taken out."""
        keep, deviation = _SLOW
        kernel = keep ** np.arange(_KERNEL) * math.sqrt(1 - keep**2) * deviation
        noise = rng.standard_normal((hours + _KERNEL, _N + 1))
        noise = (noise[:, :_N] + noise[:, _N:]) / math.sqrt(2)
        size = hours + 2 * _KERNEL
        spectrum = np.fft.rfft(noise, n=size, axis=0) * np.fft.rfft(kernel, n=size)[:, None]
        path: Floats = np.fft.irfft(spectrum, n=size, axis=0)[_KERNEL : _KERNEL + hours]
        return path

    def _draw_bars(
        self, rng: np.random.Generator, times: Ints, step: int, slow: Floats, last: Floats
    ) -> tuple[dict[str, Array], Floats]:
        """Bars of ``step`` seconds that end at the log prices ``last``, and where they begin."""
        opened = _open_drivers(times)
        hour = times // HOUR % 24
        slow = np.repeat(slow, HOUR // step, axis=0) if step < HOUR else slow
        sigma = self._sigma[hour] * math.sqrt(step / 60) * np.exp(slow - _SLOW[1] ** 2)
        sigma *= opened
        if step < HOUR:
            sigma *= _tails(rng, len(times))
        gaps = opened & ~np.roll(opened, 1, axis=0)
        moves = (rng.standard_normal((len(times), _N)) @ self._mix.T) * sigma
        moves += rng.standard_normal((len(times), _N)) * gaps * sigma * math.sqrt(1200 / step)
        path = np.cumsum(moves, axis=0)
        close = path + (last - path[-1])
        before = close - moves
        out: dict[str, Array] = {}
        for name, spec in self.specs.items():
            self._tell(f"drawing old bars of {name}", self._drawn, 2 * len(self.specs))
            self._drawn += 1
            parts = self._legs[name]
            at, powers = list(parts), np.array(list(parts.values()), dtype=np.float64)
            variance = (sigma[:, at] ** 2) @ powers**2
            is_open = open_mask(spec.session, times)
            out[name] = _bars(
                rng,
                spec,
                times[is_open],
                before[:, at][is_open] @ powers,
                close[:, at][is_open] @ powers,
                variance[is_open],
                step,
            )
        return out, before[0]

    # Ticks

    def chunk(self) -> Chunk:
        """One more hour of ticks."""
        hour = self._hour
        drawn = self._draw_hour(hour)
        minutes = hour * HOUR + np.arange(0, HOUR, 60, dtype=np.int64)
        path = drawn.path + self._price
        self._hour, self._price = hour + 1, path[-1]
        self._slow, self._closed_before = drawn.slow, drawn.closed
        ticks: dict[str, Ticks] = {}
        for name, spec in self.specs.items():
            is_open = open_mask(spec.session, minutes)
            parts = self._legs[name]
            at, powers = list(parts), np.array(list(parts.values()), dtype=np.float64)
            if is_open.any():
                activity = np.clip(drawn.tails[:, at].mean(axis=1), 0.4, 5.0)
                ticks[name] = _ticks(drawn.rng, spec, hour, path[:, at] @ powers, activity, is_open)
        return Chunk(self._hour * HOUR * 1000, ticks)

    def _draw_hour(self, hour: int, after: _Hour | None = None) -> _Hour:
        """An hour's path of the drivers, a point a second, beginning at 0."""
        slow, closed = (after.slow, after.closed) if after else (self._slow, self._closed_before)
        rng = np.random.default_rng([self._seed, 2, hour])
        keep, deviation = _SLOW
        shock = (rng.standard_normal(_N) + rng.standard_normal()) / math.sqrt(2)
        slow = keep * slow + math.sqrt(1 - keep**2) * deviation * shock
        opened = _open_drivers(hour * HOUR + np.arange(0, HOUR, 60, dtype=np.int64))
        tails = _tails(rng, 60)
        sigma = self._sigma[hour % 24] * np.exp(slow - deviation**2) * tails * opened
        gaps = opened & np.vstack((closed, ~opened[:-1]))
        by_second = np.repeat(sigma / math.sqrt(60), 60, axis=0)
        moves = (rng.standard_normal((HOUR, _N)) @ self._mix.T) * by_second
        moves[::60] += rng.standard_normal((60, _N)) * gaps * sigma * math.sqrt(20)
        path = np.vstack((np.zeros(_N), np.cumsum(moves, axis=0)))
        return _Hour(path, tails, slow, ~opened[-1], rng)

    def _lead_in(self, start: float) -> Floats:
        """How far the log prices move from the first tick to ``start``."""
        first = self._draw_hour(self._hour)
        second = self._draw_hour(self._hour + 1, first)
        move: Floats = first.path[-1] + second.path[int(start) % HOUR]
        return move


class _Hour(NamedTuple):
    """One drawn hour; ``rng`` goes on to the ticks."""

    path: Floats
    tails: Floats
    slow: Floats
    closed: Bools
    rng: np.random.Generator


def _minute_sigma() -> Floats:
    """Standard deviation of a minute's log return, by UTC hour and driver."""
    columns = []
    for name in calibration.DRIVERS:
        shape = np.array(calibration.HOUR_SHAPE[name])
        columns.append(shape / np.sqrt(np.mean(shape**2)) * calibration.M1_VOL_BP[name] * 1e-4)
    return np.column_stack(columns)


def _open_drivers(times: Ints) -> Bools:
    sessions = {session: open_mask(session, times) for session in ("fx", "metal", "crypto")}
    return np.column_stack([sessions[SPECS[name].session] for name in calibration.DRIVERS])


def _tails(rng: np.random.Generator, count: int) -> Floats:
    """Multipliers of volatility that make returns Student-like; half shared by all drivers, so
    that wild minutes come together. Mean square 1."""
    chi = rng.chisquare(_NU, size=(count, _N + 1))
    scale = (_NU - 2) / chi
    # E[sqrt(X)] of X = (nu - 2) / chi2(nu); both factors are independent.
    mean = math.sqrt((_NU - 2) / 2) * math.gamma((_NU - 1) / 2) / math.gamma(_NU / 2)
    square: Floats = np.sqrt(scale[:, :_N] * scale[:, _N:]) / mean**2
    return np.sqrt(square)


def _quoting(spec: Spec) -> calibration.Quoting:
    return calibration.QUOTING.get((spec.base + spec.profit), calibration.OTHER)


def _bars(
    rng: np.random.Generator,
    spec: Spec,
    times: Ints,
    opens: Floats,
    closes: Floats,
    variance: Floats,
    step: int,
) -> Array:
    """Bid bars from log mid prices. High and low are those of a Brownian bridge between open
    and close: P(max > m) = exp(-2 (m - open)(m - close) / variance)."""
    quoting = _quoting(spec)
    count = len(times)
    move = closes - opens
    reach = np.sqrt(move**2 - 2 * variance * np.log(rng.random((2, count)) + 1e-300))
    hour = times // HOUR % 24
    spread = np.array(quoting.spread)[hour] * np.exp(0.15 * rng.standard_normal(count) - 0.1)
    points = np.maximum(np.rint(spread), quoting.floor)
    half = points * spec.point / 2
    bars = np.zeros(count, dtype=RATES_DTYPE)
    bars["time"] = times
    for field, log_price in (
        ("open", opens),
        ("high", opens + (move + reach[0]) / 2),
        ("low", opens + (move - reach[1]) / 2),
        ("close", closes),
    ):
        bars[field] = np.round(np.exp(log_price) - half, spec.digits)
    rate = np.array(quoting.ticks)[hour] * step / 60
    bars["tick_volume"] = np.maximum(rng.poisson(rate * rng.gamma(3.0, 1 / 3, count)), 1)
    bars["spread"] = points
    return bars


def _ticks(
    rng: np.random.Generator,
    spec: Spec,
    hour: int,
    path: Floats,
    activity: Floats,
    is_open: Bools,
) -> Ticks:
    """An hour of quotes in bursts around a path of log prices, one point a second."""
    quoting = _quoting(spec)
    at_hour = hour % 24
    rate = quoting.ticks[at_hour] * activity * is_open / _CLUSTER
    bursts = np.repeat(np.arange(60), rng.poisson(rate))
    sizes = rng.geometric(1 / _CLUSTER, len(bursts))
    starts = bursts * 60 + rng.random(len(bursts)) * 60
    gaps = rng.exponential(0.15, int(sizes.sum()))
    run = np.cumsum(gaps)
    heads = np.cumsum(sizes) - sizes
    seconds = np.sort(np.repeat(starts, sizes) + run - np.repeat(run[heads], sizes))
    minute = np.minimum(seconds // 60, 59).astype(np.int64)
    inside = (seconds < HOUR) & is_open[minute]
    seconds, minute = seconds[inside], minute[inside]
    # The spread breathes by the minute, widens when it is wild, and flickers by a point.
    width = quoting.spread[at_hour] * np.exp(0.12 * rng.standard_normal(60)) * activity**0.4
    flicker = rng.integers(-1, 2, len(seconds)) * (rng.random(len(seconds)) < 0.3)
    points = np.maximum(np.rint(width[minute]) + flicker, quoting.floor)
    half = points * spec.point / 2
    mid = np.exp(np.interp(seconds, np.arange(HOUR + 1), path))
    mid += rng.standard_normal(len(seconds)) * half * quoting.noise
    bid = np.round(mid - half, spec.digits)
    ask = np.round(bid + points * spec.point, spec.digits)
    fresh = np.ones(len(bid), dtype=np.bool_)
    fresh[1:] = (np.diff(bid) != 0) | (np.diff(ask) != 0)
    time_ms = hour * HOUR * 1000 + (seconds[fresh] * 1000).astype(np.int64)
    return Ticks(time_ms, bid[fresh], ask[fresh])
