"""Bars are read again only when a new one must exist, and never wrongly joined."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from execution.api.structs import RATES_DTYPE
from execution.api.terminal import TerminalError
from strategy.base import Bars
from strategy.scan.bar_cache import PAGE, BarCache, anchor


class Server:
    """Answers ``copy_rates_from_pos`` from a list of M1 bars that a test lets grow."""

    def __init__(self, bars: int) -> None:
        self.rates = np.zeros(0, RATES_DTYPE)
        self.calls: list[tuple[Any, ...]] = []
        self.fail = False
        for _ in range(bars):
            self.grow()

    def grow(self, close: float = 1.1) -> None:
        at = 60 * len(self.rates)
        row = np.array([(at, 1.1, 1.2, 1.0, close, 5, 11, 0)], RATES_DTYPE)
        self.rates = np.concatenate((self.rates, row))

    @property
    def now(self) -> float:
        return float(self.rates["time"][-1]) + 5.0

    async def batch(self, calls: Any) -> list[Any]:
        out: list[Any] = []
        for name, args, _ in calls:
            assert name == "copy_rates_from_pos"
            self.calls.append(args)
            out.append(TerminalError(-1, "no") if self.fail else self.rates[-args[3] :].copy())
        return out


async def refresh(bar_cache: BarCache, server: Server) -> int:
    return len(await bar_cache.refresh(server, {"X": server.now}, ["M1"]))


async def test_the_forming_bar_is_never_handed_out() -> None:
    server, bar_cache = Server(100), BarCache(50)
    assert await refresh(bar_cache, server) == 1
    bars = bar_cache.bars("X", "M1")
    assert bars is not None
    assert len(bars) == 99  # all of the first page
    assert bars.time[-1] == 60 * 98


async def test_nothing_is_read_until_a_tick_proves_a_new_closed_bar() -> None:
    server, bar_cache = Server(100), BarCache(50)
    await refresh(bar_cache, server)
    for _ in range(20):
        assert await refresh(bar_cache, server) == 0
    assert len(server.calls) == 1
    server.grow()
    assert await refresh(bar_cache, server) == 1
    assert len(server.calls) == 2
    # the newest known bar, the new one, the forming one, one to spare
    assert server.calls[-1][3] == 4


async def test_small_readings_join_to_what_one_large_reading_gives() -> None:
    server, bar_cache = Server(100), BarCache(50)
    rng = np.random.default_rng(1)
    for _ in range(40):
        for _ in range(int(rng.integers(0, 4))):
            server.grow(float(rng.uniform(1.0, 1.2)))
        await refresh(bar_cache, server)
    fresh = BarCache(50)
    await refresh(fresh, server)
    a, b = bar_cache.bars("X", "M1"), fresh.bars("X", "M1")
    assert a is not None
    assert b is not None
    np.testing.assert_array_equal(a.time, b.time)
    np.testing.assert_array_equal(a.close, b.close)


async def test_between_two_pages_the_bars_only_grow_and_then_the_oldest_are_let_go() -> None:
    server, bar_cache = Server(100), BarCache(50)
    before: Bars | None = None
    firsts = []
    for _ in range(3 * PAGE):
        server.grow()
        await refresh(bar_cache, server)
        bars = bar_cache.bars("X", "M1")
        assert bars is not None
        firsts.append(int(bars.time[0]))
        if before is not None and bars.time[0] == before.time[0]:
            assert len(bars) == len(before) + 1
        assert len(bars) <= 50 + PAGE or firsts[-1] == 0
        assert len(bars) > 50
        before = bars
    # 50 bars before the first of a page
    assert sorted(set(firsts)) == [0, 60 * (PAGE - 50), 60 * (2 * PAGE - 50), 60 * (3 * PAGE - 50)]


def test_the_place_where_the_bars_begin_does_not_depend_on_how_many_were_read() -> None:
    rng = np.random.default_rng(5)
    time = 300 * np.cumsum(rng.choice([1, 1, 1, 1, 40], 5000))
    for stop in range(400, 5000, 13):
        for read in (50 + PAGE, 200 + PAGE, 380):
            part = time[stop - read : stop]
            assert part[anchor(part, 300, 50)] == time[anchor(time[:stop], 300, 50)]


async def test_an_offset_that_becomes_known_gives_all_series_anew() -> None:
    server, bar_cache = Server(100), BarCache(50)
    await refresh(bar_cache, server)
    bars = bar_cache.bars("X", "M1")
    assert bars is not None
    assert np.isnan(bars.utc_offset)
    for offset, expected in ((7200.0, 1), (7200.0, 0), (None, 0), (10_800.0, 1)):
        found = await bar_cache.refresh(server, {"X": server.now}, ["M1"], offset)
        assert len(found) == expected
    bars = bar_cache.bars("X", "M1")
    assert bars is not None
    assert bars.utc_offset == 10_800.0


async def test_a_history_that_changed_behind_our_back_is_read_anew() -> None:
    server, bar_cache = Server(100), BarCache(50)
    await refresh(bar_cache, server)
    server.rates["close"][:] = 1.15
    server.grow(1.15)
    assert await refresh(bar_cache, server) == 1
    bars = bar_cache.bars("X", "M1")
    assert bars is not None
    assert set(bars.close) == {1.15}
    assert len(bars) == 100


async def test_a_failed_reading_is_told_and_keeps_the_bars() -> None:
    server, bar_cache = Server(100), BarCache(50)
    await refresh(bar_cache, server)
    server.grow()
    server.fail = True
    assert await refresh(bar_cache, server) == 0
    series = bar_cache.series["X", "M1"]
    assert series.fault == "Fetch Error: no (-1)"
    assert series.bars is not None
    server.fail = False
    assert await refresh(bar_cache, server) == 1
    assert series.fault is None


async def test_bars_with_a_price_that_is_no_number_are_not_computed_with() -> None:
    server, bar_cache = Server(100), BarCache(50)
    server.rates["high"][80] = np.nan
    assert await refresh(bar_cache, server) == 0
    assert bar_cache.series["X", "M1"].bad == "Bad Data (M1: a price is not a number)"


async def test_an_order_can_go_between_two_round_trips() -> None:
    server, bar_cache = Server(100), BarCache(50)
    ticks = {f"S{i}": server.now for i in range(30)}
    sizes: list[int] = []
    batch = server.batch

    async def counting(calls: Any) -> list[Any]:
        sizes.append(len(calls))
        await asyncio.sleep(0)
        return await batch(calls)

    server.batch = counting  # type: ignore[method-assign]
    await bar_cache.refresh(server, ticks, ["M1"])
    assert max(sizes) <= 12
    assert sum(sizes) == 30
