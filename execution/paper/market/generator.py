"""A seeded market: correlated, fat-tailed, with the day's rhythm of volatility, spread and
tick rate, and crosses that leave no arbitrage.

Old bars are drawn backwards from the start price: two weeks of minutes, some years of hours
before them, ten years of days before those; minutes and ticks of earlier days are drawn into them when
they are asked for. Ticks come an hour at a time. The same seed and start give a symbol the same prices,
bit for bit, whatever else is in the market.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from ...api.structs import RATES_DTYPE
from ...api.terminal import Array
from . import calibration
from .calibration import DRIVERS, FOLLOWERS, Follower
from .drawn import MINUTES, minutes_of_hours, ticks_of_minutes
from .drivers import (
    COUNT,
    DAY,
    HOUR,
    Draws,
    code,
    drawn_back,
    follower_of,
    jumps_of,
    lead,
    minute_sigma,
    mixed,
    next_regime,
    normals,
    opened,
    regimes,
    reverting,
    sigma_of,
    tails,
    units_of,
)
from .model import (
    Bools,
    Chunk,
    Floats,
    Ints,
    Layer,
    MarketError,
    Past,
    Progress,
    Ticks,
    no_progress,
)
from .sessions import is_open, open_mask
from .symbols import SPECS, Spec, legs

MINUTE_DAYS = 14
HOUR_DAYS = 800
DAY_DAYS = 2860
"""Days before the hours: ten years with them."""

_RETURN_DAYS = 390.0
"""Half life of the return of daily prices to the start's, backwards."""

_CLUSTER = 4.0
"""Ticks of one burst, on average."""

_CATCH_UP_H = 72
"""Hours that are drawn for a symbol that is quoted later than others, at most."""

_NOISE_DAYS = 40


class GeneratedMarket:
    """Prices from a seed. ``levels`` are mid prices at the start, by price, where they are not the
    calibrated ones (a restored market); ``quoted`` names the symbols that have ticks from the
    start, None all of them."""

    def __init__(
        self,
        seed: int,
        start: float,
        specs: Iterable[Spec] | None = None,
        levels: Mapping[str, float] | None = None,
        progress: Progress = no_progress,
        quoted: Collection[str] | None = None,
    ) -> None:
        self.specs = {spec.name: spec for spec in (SPECS.values() if specs is None else specs)}
        self.lazy = True
        self.start = start
        self.end_ms: int | None = None
        self.text = f"generated, seed {seed}"
        self._seed = seed
        self._legs = self._find_legs()
        self._followers: dict[str, Follower | None] = {}
        self._levels: dict[str, float] = {}
        for name in {name for parts in self._legs.values() for name in parts}:
            self._follow(name, levels or {})
        # At least one hour of ticks lies before the start.
        self._hour = self._first_hour = int(start) // HOUR - 1
        self.begin_ms = self._hour * HOUR * 1000
        progress("drawing the market", 0, 1)
        self._minutes, self._hours, self._days, slow = self._draw_grids()
        self._slow = self._first_slow = slow
        self._begin: dict[str, float] = {}
        self._price: dict[str, float] = {}
        self._noise: OrderedDict[int, Floats] = OrderedDict()
        self._quoted = set(self.specs if quoted is None else quoted)

    def _find_legs(self) -> dict[str, dict[str, int]]:
        """The prices that each symbol's is a product of. A pair of a currency that is known
        only from another pair of this market follows that one."""
        own = {spec.price_name for spec in self.specs.values() if spec.reference > 0}
        known = {*DRIVERS, *FOLLOWERS} | {
            name for name in own if len(name) == 6 and "USD" in (name[:3], name[3:])
        }
        return {spec.name: legs(spec, known) for spec in self.specs.values()}

    def _follow(self, name: str, levels: Mapping[str, float]) -> None:
        """Find out what a price is like and where it starts."""
        reference = next(
            (
                spec.reference
                for spec in self.specs.values()
                if spec.reference > 0 and self._legs[spec.name] == {name: 1}
            ),
            0.0,
        )
        follower = FOLLOWERS.get(name)
        usual = calibration.START.get(name) or (follower.start if follower else 0.0)
        level = levels.get(name) or reference or usual
        if not level:
            raise MarketError(
                f"no way to generate {name}",
                do=f"Choose from {', '.join(SPECS)} and their crosses, or give a profile with "
                "its price (paper.like)",
            )
        if name not in DRIVERS and follower is None:
            follower = follower_of(name, level)
        self._followers[name] = follower
        self._levels[name] = float(np.log(level))

    def is_open(self, spec: Spec, utc_ms: int, quoted_ms: int) -> bool:
        return is_open(spec.session, utc_ms / 1000)

    # Old bars

    def _draw_grids(self) -> tuple[Draws, Draws, Draws, Floats]:
        """The drivers' numbers for old minutes, hours and days, and the regime they end in."""
        end = self._first_hour * HOUR
        minutes = np.arange(end - MINUTE_DAYS * DAY, end, 60, dtype=np.int64)
        first = int(minutes[0]) - HOUR_DAYS * DAY
        first -= first % DAY
        hours = np.arange(first, int(minutes[0]), HOUR, dtype=np.int64)
        # The day at which the hours begin is there as well: a server's day begins elsewhere.
        days = np.arange(first - DAY_DAYS * DAY, first + 1, DAY, dtype=np.int64)
        rng = np.random.default_rng([self._seed, 1])
        slow = regimes(rng, len(hours) + MINUTE_DAYS * 24)

        def grid(times: Ints, step: int, regime: Floats, wild: bool, stream: int) -> Draws:
            count = len(times)
            ones = np.ones((1, COUNT)).repeat(count, axis=0)
            return Draws(
                times,
                step,
                normals(rng, count),
                regime,
                tails(rng, count) if wild else ones,
                normals(rng, count),
                (self._seed, stream),
            )

        by_minute = slow[len(hours) :].repeat(MINUTES, axis=0)
        return (
            grid(minutes, 60, by_minute, True, 6),
            grid(hours, HOUR, slow[: len(hours)], False, 7),
            grid(days, DAY, np.zeros((len(days), COUNT)), True, 8),
            slow[-1],
        )

    def history(self, symbol: str) -> list[Layer]:
        """Days, hours and minutes before the first tick. Costs some ten milliseconds."""
        spec = self.specs[symbol]
        parts = self._legs[symbol]
        layers = []
        ends = {name: self._begin_level(name) for name in parts}
        for draws in (self._minutes, self._hours, self._days):
            before, after, variance = (np.zeros(len(draws.times)) for _ in range(3))
            for name, power in parts.items():
                follower = self._followers[name]
                sigma = sigma_of(draws, name, follower)
                moves = units_of(draws, name, follower) * sigma
                moves += jumps_of(draws, name, follower, sigma)
                if draws.step == DAY:
                    opens, closes = reverting(moves, ends[name], _RETURN_DAYS)
                else:
                    opens, closes = drawn_back(moves, ends[name])
                ends[name] = float(opens[0])
                before += power * opens
                after += power * closes
                variance += (power * sigma) ** 2
            kept = opened(spec.session, draws.times, draws.step)
            rng = np.random.default_rng([*draws.stream, code(spec.price_name), 1])
            bars = _bars(rng, spec, draws.times, before, after, variance, draws.step)
            layers.append(Layer(draws.step, bars[kept]))
        return layers[::-1]

    def _begin_level(self, name: str) -> float:
        """Log price at the first tick: the given one is that at the start, a lead-in later."""
        known = self._begin.get(name)
        if known is None:
            first = self._draw_hour(self._first_hour, self._first_slow)
            second = self._draw_hour(self._first_hour + 1, first.slow)
            moved = self._path(first, name).points[-1]
            moved += self._path(second, name).points[int(self.start) % HOUR]
            known = self._begin[name] = self._levels[name] - float(moved)
        return known

    def past(self, symbol: str) -> Past:
        """What is drawn of earlier days when it is asked for."""
        return _GeneratedPast(self._seed, self.specs[symbol], partial(self._day_noise, symbol))

    def _day_noise(self, symbol: str, day: int) -> Floats:
        """Standard normals of a symbol's minutes on a day (since 1970), shape (24, 60)."""
        base = self._noise.get(day)
        if base is None:
            rng = np.random.default_rng([self._seed, 9, day])
            base = self._noise[day] = normals(rng, 24 * MINUTES)
            while len(self._noise) > _NOISE_DAYS:
                self._noise.popitem(last=False)
        total, size = np.zeros(24 * MINUTES), 0.0
        for name, power in self._legs[symbol].items():
            follower = self._followers[name]
            if follower is None:
                unit = base[:, DRIVERS.index(name)]
            else:
                own = np.random.default_rng([self._seed, 9, day, code(name)])
                unit = mixed(base, own.standard_normal(len(base)), follower)
            weight = float(np.sqrt(np.mean(minute_sigma(name, follower) ** 2)))
            total += power * weight * unit
            size += weight**2
        out: Floats = (total / np.sqrt(size)).reshape(24, MINUTES)
        return out

    # Ticks

    def chunk(self) -> Chunk:
        """One more hour of ticks."""
        drawn = self._draw_hour(self._hour, self._slow)
        self._hour, self._slow = self._hour + 1, drawn.slow
        ticks: dict[str, Ticks] = {}
        paths: dict[str, _Path] = {}
        for symbol in self.specs:
            if symbol in self._quoted:
                made = self._ticks_of(symbol, drawn, paths, self._price)
                if made is not None:
                    ticks[symbol] = made
        for name, path in paths.items():
            self._price[name] += float(path.points[-1])
        return Chunk(self._hour * HOUR * 1000, ticks)

    def quote(self, symbol: str) -> list[Ticks]:
        """Let a symbol have ticks from now on. Those of the hours that it missed come back, the
        present one last: they are drawn again from the start, some milliseconds an hour."""
        if symbol in self._quoted:
            return []
        self._quoted.add(symbol)
        price: dict[str, float] = {}
        out, slow = [], self._first_slow
        for hour in range(self._first_hour, self._hour):
            drawn = self._draw_hour(hour, slow)
            slow = drawn.slow
            paths: dict[str, _Path] = {}
            made = self._ticks_of(symbol, drawn, paths, price)
            if made is not None and hour >= self._hour - _CATCH_UP_H:
                out.append(made)
            for name, path in paths.items():
                price[name] += float(path.points[-1])
        for name, level in price.items():
            self._price.setdefault(name, level)
        return out

    def _ticks_of(
        self, symbol: str, drawn: _Hour, paths: dict[str, _Path], price: dict[str, float]
    ) -> Ticks | None:
        """A symbol's ticks in a drawn hour; ``paths`` keeps the hour's paths, ``price`` has the log
        prices before it."""
        spec, parts = self.specs[symbol], self._legs[symbol]
        whole, activity = np.zeros(HOUR + 1), np.zeros(60)
        for name, power in parts.items():
            path = paths.get(name)
            if path is None:
                path = paths[name] = self._path(drawn, name)
                if name not in price:
                    price[name] = self._begin_level(name)
            whole += power * (price[name] + path.points)
            activity += path.wild / len(parts)
        minutes = drawn.hour * HOUR + np.arange(0, HOUR, 60, dtype=np.int64)
        mask = open_mask(spec.session, minutes)
        if not mask.any():
            return None
        rng = np.random.default_rng([self._seed, 3, drawn.hour, code(spec.price_name)])
        return _ticks(rng, spec, drawn.hour, whole, np.clip(activity, 0.4, 5.0), mask)

    def _draw_hour(self, hour: int, slow: Floats) -> _Hour:
        """The drivers' numbers of an hour, after one whose regime was ``slow``."""
        rng = np.random.default_rng([self._seed, 2, hour])
        after = next_regime(rng, slow)
        return _Hour(hour, after, tails(rng, 60), normals(rng, HOUR), normals(rng, 60))

    def _path(self, drawn: _Hour, name: str) -> _Path:
        """A price's path through a drawn hour."""
        follower = self._followers[name]
        minutes = drawn.hour * HOUR + np.arange(0, HOUR, 60, dtype=np.int64)
        slow = drawn.slow[None, :].repeat(60, axis=0)
        draws = Draws(
            minutes, 60, drawn.units, slow, drawn.tails, drawn.gaps, (self._seed, 2, drawn.hour)
        )
        sigma = sigma_of(draws, name, follower)
        moves = units_of(draws, name, follower) * np.repeat(sigma / np.sqrt(60), 60)
        moves[::60] += jumps_of(draws, name, follower, sigma)
        at = DRIVERS.index(name) if follower is None else lead(follower)
        return _Path(np.concatenate(([0.0], np.cumsum(moves))), drawn.tails[:, at])


class _Hour(NamedTuple):
    """The drivers' numbers of one hour: the regime, wild minutes, normals by the second, and for
    jumps by the minute."""

    hour: int
    slow: Floats
    tails: Floats
    units: Floats
    gaps: Floats


class _Path(NamedTuple):
    """One price through an hour: log moves since its begin, a point a second from 0 on, and how
    wild each minute is."""

    points: Floats
    wild: Floats


class _GeneratedPast:
    """Earlier days of one symbol, drawn into its hours when they are asked for."""

    def __init__(self, seed: int, spec: Spec, noise: Callable[[int], Floats]) -> None:
        self._seed = seed
        self._spec = spec
        self._noise = noise

    def minutes(self, day: int, hours: Array) -> Array:
        noise = self._noise(day)[hours["time"] // HOUR % 24]
        return minutes_of_hours(hours, noise, self._spec)

    def ticks(self, day: int, minutes: Array) -> Ticks:
        rng = np.random.default_rng([self._seed, 10, day, code(self._spec.price_name)])
        return ticks_of_minutes(minutes, rng, self._spec)


def _quoting(spec: Spec) -> calibration.Quoting:
    """How a symbol is quoted; a profile's spread replaces the calibrated one."""
    quoting = calibration.QUOTING.get(spec.price_name, calibration.OTHER)
    if not spec.spread:
        return quoting
    usual = float(np.median(quoting.spread))
    spread = tuple(spec.spread * each / usual for each in quoting.spread)
    return replace(quoting, spread=spread, floor=max(int(spec.spread // 2), 1))


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
        bars[field] = spec.on_grid(np.exp(log_price) - half)
    pace = np.array(quoting.ticks)
    rate = (pace[hour] if step < DAY else np.full(count, pace.mean())) * step / 60
    ticks = rng.poisson(rate * rng.gamma(3.0, 1 / 3, count))
    bars["tick_volume"] = np.maximum(ticks, step // 60)  # no minute without a tick
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
    bid = spec.on_grid(mid - half)
    ask = np.maximum(spec.on_grid(bid + points * spec.point), spec.on_grid(bid + spec.tick))
    fresh = np.ones(len(bid), dtype=np.bool_)
    fresh[1:] = (np.diff(bid) != 0) | (np.diff(ask) != 0)
    time_ms = hour * HOUR * 1000 + (seconds[fresh] * 1000).astype(np.int64)
    return Ticks(time_ms, bid[fresh], ask[fresh])
