"""Bars of every timeframe from ticks, minutes and coarser layers; and the market's clocks."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.paper_desk import Desk

from execution.api import constants as mt5
from execution.api.structs import RATES_DTYPE
from execution.api.terminal import Array
from execution.paper.market.bars import SECONDS, BarStore, aggregate, from_ticks, open_times
from execution.paper.market.clock import RunningClock, SteppedClock
from execution.paper.market.model import Layer

DAY = 86_400
BEGIN = int(datetime(2025, 3, 3, tzinfo=UTC).timestamp())  # a Monday


def _minutes(start: int, count: int, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    closes = 100 + rng.standard_normal(count + 1).cumsum()
    bars = np.zeros(count, dtype=RATES_DTYPE)
    bars["time"] = start + 60 * np.arange(count)
    bars["open"], bars["close"] = closes[:-1], closes[1:]
    bars["high"] = np.maximum(bars["open"], bars["close"]) + rng.random(count)
    bars["low"] = np.minimum(bars["open"], bars["close"]) - rng.random(count)
    bars["tick_volume"] = rng.integers(1, 50, count)
    bars["spread"] = rng.integers(5, 20, count)
    return bars


@pytest.mark.parametrize(
    ("timeframe", "moment", "opened"),
    [
        (mt5.TIMEFRAME_M5, "2025-03-05T10:07:59", "2025-03-05T10:05:00"),
        (mt5.TIMEFRAME_H4, "2025-03-05T10:07:59", "2025-03-05T08:00:00"),
        (mt5.TIMEFRAME_D1, "2025-03-05T10:07:59", "2025-03-05T00:00:00"),
        (mt5.TIMEFRAME_W1, "2025-03-05T10:07:59", "2025-03-02T00:00:00"),
        (mt5.TIMEFRAME_W1, "2025-03-02T00:00:00", "2025-03-02T00:00:00"),
        (mt5.TIMEFRAME_MN1, "2025-03-31T23:59:59", "2025-03-01T00:00:00"),
    ],
)
def test_bars_open_at_server_time_weeks_on_sunday(timeframe: int, moment: str, opened: str) -> None:
    at, expect = (
        int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
        for text in (moment, opened)
    )
    assert open_times(np.array([at]), timeframe).tolist() == [expect]


@pytest.mark.parametrize("timeframe", [each for each in SECONDS if each != mt5.TIMEFRAME_MN1])
def test_bars_grown_minute_by_minute_are_those_of_the_whole(timeframe: int) -> None:
    minutes = _minutes(BEGIN + 600, 3000)
    store = BarStore([], BEGIN)
    rng = np.random.default_rng(1)
    at = 0
    while at < len(minutes):
        step = int(rng.integers(1, 200))
        store.add(minutes[at : at + step])
        at += step
        bars = store.rates(timeframe)
        assert np.array_equal(bars, aggregate(minutes[:at], timeframe))
        assert np.array_equal(store.rates(timeframe, 3), bars[-3:])


def test_a_forming_minute_is_replaced_by_its_newer_state() -> None:
    minutes = _minutes(BEGIN, 10)
    store = BarStore([], BEGIN)
    store.add(minutes[:5])
    newer = minutes[4:5].copy()
    newer["close"] += 3
    store.add(np.concatenate((newer, minutes[5:])))
    assert len(store.minutes) == 10
    assert store.minutes["close"][4] == minutes["close"][4] + 3


def test_older_layers_lead_into_minutes_without_a_gap_or_a_bar_twice() -> None:
    whole = _minutes(BEGIN, 40 * 1440)
    days = aggregate(whole, mt5.TIMEFRAME_D1)
    hours = aggregate(whole[20 * 1440 :], mt5.TIMEFRAME_H1)
    # Minutes begin inside an hour, hours inside nothing: each coarser bar is kept whole.
    minutes = whole[30 * 1440 + 425 :]
    before = int(whole["time"][-1]) + 60
    store = BarStore([Layer(60, minutes), Layer(DAY, days), Layer(3600, hours)], before)
    for timeframe in (mt5.TIMEFRAME_D1, mt5.TIMEFRAME_W1):
        assert np.array_equal(store.rates(timeframe), aggregate(whole, timeframe))
    for timeframe in (mt5.TIMEFRAME_H1, mt5.TIMEFRAME_H4):
        expect = aggregate(whole[20 * 1440 :], timeframe)
        assert np.array_equal(store.rates(timeframe), expect)
    fifteen = store.rates(mt5.TIMEFRAME_M15)
    assert np.array_equal(fifteen[1:], aggregate(minutes, mt5.TIMEFRAME_M15)[1:])


def test_layers_give_nothing_of_the_time_after_the_start() -> None:
    hours = aggregate(_minutes(BEGIN, 1440), mt5.TIMEFRAME_H1)
    store = BarStore([Layer(3600, hours)], BEGIN + 7 * 3600 + 1800)
    assert store.rates(mt5.TIMEFRAME_H1)["time"][-1] == BEGIN + 6 * 3600


def test_bars_drawn_from_longer_ones_do_not_stand_in_for_them() -> None:
    minutes = _minutes(BEGIN, 600)
    fifteen = aggregate(minutes, mt5.TIMEFRAME_M15)
    fifteen["tick_volume"] = 7
    before = BEGIN + 600 * 60
    store = BarStore([Layer(900, fifteen), Layer(60, minutes, drawn=True)], before)
    assert set(store.rates(mt5.TIMEFRAME_H1)["tick_volume"]) == {28}
    assert len(store.rates(mt5.TIMEFRAME_M5)) == 120


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(-50, 50)), min_size=1, max_size=200))
def test_minute_bars_of_ticks_against_a_plain_count(steps: list[tuple[int, int]]) -> None:
    seconds = np.cumsum([step for step, _ in steps])
    bid = 1.1 + np.cumsum([move for _, move in steps]) * 1e-5
    bars = from_ticks(seconds * 1000, bid, bid + 12e-5, 1e-5)
    plain: dict[int, list[float]] = {}
    for second, price in zip(seconds.tolist(), bid.tolist(), strict=True):
        plain.setdefault(second // 60 * 60, []).append(price)
    assert bars["time"].tolist() == sorted(plain)
    for bar in bars:
        prices = plain[int(bar["time"])]
        expect = (prices[0], max(prices), min(prices), prices[-1], len(prices), 12)
        got = [bar[name] for name in ("open", "high", "low", "close", "tick_volume", "spread")]
        assert tuple(got) == expect


def test_the_days_prices_are_those_of_the_server_day() -> None:
    midnight = 14 * 3600
    desk = Desk(
        {
            "EURUSD": [
                (0, 1.2, 1.2001),
                (midnight - 10, 1.0, 1.0003),
                (midnight + 10, 1.1, 1.1002),
                (midnight + 20, 1.15, 1.1503),
                (midnight + 30, 1.12, 1.1201),
            ]
        }
    )
    desk.at(midnight + 60)
    info = desk.mt5.symbol_info("EURUSD")
    assert info is not None
    assert (info.bidhigh, info.bidlow) == (1.15, 1.1)
    assert (info.askhigh, info.asklow) == (1.1503, 1.1002)
    assert (info.session_open, info.session_close) == (1.1, 1.0)
    assert info.price_change == pytest.approx(12.0)


def test_server_time_is_the_markets_time_plus_its_offset() -> None:
    desk = Desk({"EURUSD": [(0, 1.1, 1.1001), (30, 1.2, 1.2001)]}, offset_s=3 * 3600)
    desk.at(31)
    tick = desk.mt5.symbol_info_tick("EURUSD")
    assert tick is not None
    assert tick.time - (desk.clock.now() - 1) == 3 * 3600
    assert desk.mt5.server_now() == desk.clock.now() + 3 * 3600
    bars = desk.mt5.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_D1, 0, 1)
    assert bars is not None
    assert bars["time"][0] % DAY == 0
    sent = desk.deal("buy")
    assert sent.retcode == mt5.TRADE_RETCODE_DONE
    assert desk.positions()[0].time == int(desk.mt5.server_now())


def test_a_running_clock_runs_at_its_speed_and_stops_at_its_cap() -> None:
    real = [100.0]
    clock = RunningClock(1_000.0, 60.0, lambda: real[0])
    real[0] += 2
    assert clock.now() == 1_120.0
    clock.set_speed(1.0)
    real[0] += 5
    assert clock.now() == 1_125.0
    clock.jump(-25)
    assert clock.now() == 1_100.0
    clock.cap(1_101.0)
    real[0] += 5
    assert clock.now() == 1_101.0
    clock.cap(None)
    assert clock.now() == 1_105.0


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
def test_a_clock_needs_a_speed(speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be"):
        RunningClock(0.0, speed)


def test_a_stepped_clock_moves_only_when_told() -> None:
    clock = SteppedClock(10.0)
    clock.step(2.5)
    assert (clock.now(), clock.speed) == (12.5, 0.0)
    clock.set(100.0)
    clock.cap(50.0)
    assert clock.now() == 50.0


def test_a_forming_bar_over_the_seam_counts_no_minute_twice() -> None:
    whole = _minutes(BEGIN, 960)
    hours = aggregate(whole[:660], mt5.TIMEFRAME_H1)
    minutes = whole[645:]  # they begin inside the eleventh hour, which the hours tell whole
    store = BarStore([Layer(3600, hours), Layer(60, minutes[:25])], BEGIN + 670 * 60)
    for begin, size in ((670, 670), (670, 680), (680, 719), (719, 720), (720, 960)):
        store.add(whole[begin:size])
        assert np.array_equal(
            store.rates(mt5.TIMEFRAME_H4), aggregate(whole[:size], mt5.TIMEFRAME_H4)
        )
