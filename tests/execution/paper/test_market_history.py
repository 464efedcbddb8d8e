"""History as a terminal has it: minutes of a year, days of ten years, ticks of the last days, drawn
or read when they are asked for and never other than what was shown before."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from support.present import present

from execution.api import constants as mt5
from execution.api.terminal import Array
from execution.paper.account.ledger import AccountConfig
from execution.paper.market.bars import aggregate, from_ticks
from execution.paper.market.clock import SteppedClock
from execution.paper.market.drawn import minutes_of_hours, ticks_of_minutes
from execution.paper.market.generator import GeneratedMarket
from execution.paper.market.replay import ReplayMarket
from execution.paper.market.symbols import SPECS
from execution.paper.market.tape import Shelf
from execution.paper.server.terminal import PaperTerminal

MONDAY = datetime(2025, 6, 2, 12, 30, tzinfo=UTC).timestamp()
NOW = int(MONDAY)
DAY = 86_400
FIELDS = ("time", "open", "high", "low", "close", "tick_volume", "spread")


def open_terminal(offset_s: int = 0, **market: int) -> PaperTerminal:
    made = GeneratedMarket(market.get("seed", 3), MONDAY)
    paper = PaperTerminal(made, SteppedClock(MONDAY), AccountConfig(), offset_s=offset_s)
    assert paper.initialize()
    return paper


def same(one: Array, other: Array) -> None:
    for field in FIELDS:
        assert np.array_equal(one[field], other[field]), field


@pytest.mark.parametrize("symbol", ["EURUSD", "EURGBP", "US500", "ETHUSD"])
@pytest.mark.parametrize("offset_s", [0, 2 * 3600])
def test_minutes_of_a_year_are_the_hours_that_were_shown(symbol: str, offset_s: int) -> None:
    paper = open_terminal(offset_s)
    now = NOW + offset_s
    hours = paper.copy_rates_from_pos(symbol, mt5.TIMEFRAME_H1, 0, 100_000)
    minutes = paper.copy_rates_range(symbol, mt5.TIMEFRAME_M1, now - 365 * DAY, now)
    assert hours is not None
    assert minutes is not None
    assert minutes["time"][0] < now - 364 * DAY
    assert (np.diff(minutes["time"]) > 0).all()
    for bars in (hours, minutes):
        assert (bars["high"] >= np.maximum(bars["open"], bars["close"])).all()
        assert (bars["low"] <= np.minimum(bars["open"], bars["close"])).all()
        assert (bars["tick_volume"] > 0).all()
    again = aggregate(minutes, mt5.TIMEFRAME_H1)[1:]
    same(again, hours[np.isin(hours["time"], again["time"])])
    after = paper.copy_rates_from_pos(symbol, mt5.TIMEFRAME_H1, 0, 100_000)
    assert after is not None
    same(after, hours)


def test_every_way_of_asking_for_old_minutes_gives_the_same() -> None:
    paper = open_terminal()
    whole = paper.copy_rates_range("EURUSD", mt5.TIMEFRAME_M5, NOW - 100 * DAY, NOW)
    assert whole is not None
    other = open_terminal()
    back = other.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_M5, 0, len(whole))
    assert back is not None
    same(back, whole)
    third = open_terminal()
    ending = third.copy_rates_from("EURUSD", mt5.TIMEFRAME_M5, int(whole["time"][700]), 300)
    assert ending is not None
    same(ending, whole[401:701])
    deep = third.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_M5, len(whole) - 50, 50)
    assert deep is not None
    same(deep, whole[:50])


def test_days_go_back_ten_years_and_stay_near_a_sensible_price() -> None:
    paper = open_terminal()
    for symbol in SPECS:
        days = paper.copy_rates_from_pos(symbol, mt5.TIMEFRAME_D1, 0, 100_000)
        assert days is not None
        assert days["time"][0] < NOW - 10 * 365 * DAY
        assert (np.diff(days["time"]) <= 4 * DAY).all()
        far = np.log(days["close"] / days["close"][-1])
        assert np.abs(far).max() < (3.5 if SPECS[symbol].session == "crypto" else 1.5), symbol
        assert (days["low"] > 0).all()
        months = paper.copy_rates_from_pos(symbol, mt5.TIMEFRAME_MN1, 0, 1000)
        assert months is not None
        assert len(months) >= 120


def test_a_year_of_minutes_is_all_there_is() -> None:
    paper = open_terminal()
    old = paper.copy_rates_range("EURUSD", mt5.TIMEFRAME_M1, NOW - 800 * DAY, NOW - 400 * DAY)
    assert old is not None
    assert len(old) == 0
    most = paper.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_M15, 0, 100_000)
    assert most is not None
    assert 20_000 < len(most) < 30_000


def test_ticks_of_the_last_days_make_the_minutes_that_were_shown() -> None:
    paper = open_terminal()
    for symbol in ("EURUSD", "XAUUSD", "BTCUSD"):
        minutes = paper.copy_rates_range(symbol, mt5.TIMEFRAME_M1, NOW - 5 * DAY, NOW - 4 * DAY)
        assert minutes is not None
        start, end = int(minutes["time"][0]), int(minutes["time"][-1]) + 60
        ticks = paper.copy_ticks_range(symbol, start, end, mt5.COPY_TICKS_ALL)
        assert ticks is not None
        assert (np.diff(ticks["time_msc"]) >= 0).all()
        assert (ticks["ask"] > ticks["bid"]).all()
        made = from_ticks(ticks["time_msc"], ticks["bid"], ticks["ask"], SPECS[symbol].point)
        made = made[: len(minutes)]
        for field in ("time", "open", "high", "low", "close"):
            assert np.array_equal(made[field], minutes[field]), (symbol, field)
        enough = minutes["tick_volume"] >= 4
        assert np.array_equal(made["tick_volume"][enough], minutes["tick_volume"][enough])


def test_ticks_are_the_same_however_they_are_asked_for() -> None:
    paper, other = open_terminal(3600), open_terminal(3600)
    since = NOW + 3600 - 2 * DAY
    span = paper.copy_ticks_range("EURUSD", since, NOW + 3600, mt5.COPY_TICKS_ALL)
    some = other.copy_ticks_from("EURUSD", since, 1000, mt5.COPY_TICKS_ALL)
    assert span is not None
    assert some is not None
    assert len(some) == 1000
    assert np.array_equal(span["time_msc"][:1000], some["time_msc"])
    assert np.array_equal(span["bid"][:1000], some["bid"])
    assert span["time"][-1] >= NOW + 3600 - 60, "without a gap to the present"
    assert np.diff(span["time_msc"]).max() < 10 * 60_000
    ancient = paper.copy_ticks_range("EURUSD", NOW - 90 * DAY, NOW - 80 * DAY, -1)
    assert ancient is not None
    assert len(ancient) == 0


def test_the_seed_decides_what_is_drawn_and_nothing_else_does() -> None:
    alone = PaperTerminal(
        GeneratedMarket(3, MONDAY, [SPECS["ETHUSD"]]), SteppedClock(MONDAY), AccountConfig()
    )
    alone.initialize()
    together, another = open_terminal(), open_terminal(seed=4)
    since = NOW - 60 * DAY
    bars = [
        present(each.copy_rates_range("ETHUSD", mt5.TIMEFRAME_M1, since, NOW))
        for each in (alone, together, another)
    ]
    ticks = [
        present(each.copy_ticks_range("ETHUSD", NOW - 2 * DAY, NOW, -1))
        for each in (alone, together)
    ]
    assert np.array_equal(bars[0], bars[1])
    assert not np.array_equal(bars[0], bars[2])
    assert np.array_equal(ticks[0], ticks[1])


def test_what_is_kept_of_the_past_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shelf, "MINUTES", 100_000)
    monkeypatch.setattr(Shelf, "TICKS", 100_000)
    paper = open_terminal()
    shelf = paper.tapes["EURUSD"]._shelf
    first = paper.copy_rates_range("EURUSD", mt5.TIMEFRAME_M1, NOW - 60 * DAY, NOW)
    for symbol in SPECS:
        paper.copy_rates_range(symbol, mt5.TIMEFRAME_M1, NOW - 60 * DAY, NOW)
        paper.copy_ticks_range(symbol, NOW - 2 * DAY, NOW, -1)
        assert sum(len(bars) for _, bars in shelf.minutes.values()) < 100_000 + 60 * 1440
        assert sum(each.time_ms.size for each in shelf.ticks.values()) < 100_000 + 60_000
    assert "EURUSD" not in shelf.minutes
    again = paper.copy_rates_range("EURUSD", mt5.TIMEFRAME_M1, NOW - 60 * DAY, NOW)
    assert first is not None
    assert again is not None
    same(first, again)


def test_opening_draws_no_bars() -> None:
    """Start-up and memory do not pay for history that is not asked for."""
    paper = open_terminal()
    for tape in paper.tapes.values():
        assert tape.store._source is not None
    assert paper.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_M15, 0, 300) is not None
    drawn = [name for name, tape in paper.tapes.items() if tape.store._source is None]
    assert drawn == ["EURUSD"]


def test_followers_move_with_what_they_follow() -> None:
    paper = open_terminal()

    def moves(symbol: str) -> Array:
        bars = paper.copy_rates_from_pos(symbol, mt5.TIMEFRAME_H1, 0, 8000)
        assert bars is not None
        return bars

    def correlation(one: str, other: str) -> float:
        a, b = moves(one), moves(other)
        both = np.intersect1d(a["time"], b["time"])
        closes = [np.log(bars["close"][np.isin(bars["time"], both)]) for bars in (a, b)]
        return float(np.corrcoef(np.diff(closes[0]), np.diff(closes[1]))[0, 1])

    assert correlation("NZDUSD", "AUDUSD") == pytest.approx(0.85, abs=0.08)
    assert correlation("ETHUSD", "BTCUSD") == pytest.approx(0.8, abs=0.08)
    assert correlation("XAGUSD", "XAUUSD") == pytest.approx(0.78, abs=0.08)
    assert correlation("ETHUSD", "EURUSD") == pytest.approx(0.0, abs=0.08)
    assert correlation("US500", "AUDUSD") > 0.2


def test_a_recording_gives_its_earlier_days_too(tmp_path: Path) -> None:
    """Days before those that are there at the start are read from the files."""
    begin = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    rng = np.random.default_rng(1)
    lines = ["<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"]
    price = 1.1
    for day in range(90):
        for minute in range(0, 1440, 5):
            at = datetime.fromtimestamp(begin + day * DAY + minute * 60, UTC)
            after = price + rng.standard_normal() * 1e-4
            low, high = min(price, after) - 1e-4, max(price, after) + 1e-4
            lines.append(
                f"{at:%Y.%m.%d}\t{at:%H:%M:%S}\t{price:.5f}\t{high:.5f}\t{low:.5f}\t{after:.5f}"
                "\t9\t0\t12"
            )
            if minute % 60 == 0:  # some single minutes, so that these are minute bars
                soon = datetime.fromtimestamp(begin + day * DAY + minute * 60 + 60, UTC)
                lines.append(
                    f"{soon:%Y.%m.%d}\t{soon:%H:%M:%S}\t{after:.5f}\t{high:.5f}\t{low:.5f}"
                    f"\t{after:.5f}\t9\t0\t12"
                )
            price = after
    path = tmp_path / "EURUSD_M1.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    start = begin + 85 * DAY
    paper = PaperTerminal(ReplayMarket(path, start), SteppedClock(start), AccountConfig())
    paper.initialize()
    bars = paper.copy_rates_range("EURUSD", mt5.TIMEFRAME_M1, begin, start)
    assert bars is not None
    assert bars["time"][0] == begin
    assert (np.diff(bars["time"]) > 0).all()
    ticks = paper.copy_ticks_range("EURUSD", start - 3 * DAY, start - 2 * DAY, -1)
    assert ticks is not None
    assert len(ticks) > 1000
    made = from_ticks(ticks["time_msc"], ticks["bid"], ticks["ask"], 1e-5)
    known = bars[np.isin(bars["time"], made["time"])]
    assert np.array_equal(made["close"][:-1], known["close"][:-1])


def test_minutes_drawn_into_hours_give_the_hours_back() -> None:
    rng = np.random.default_rng(5)
    paper = open_terminal()
    hours = paper.copy_rates_from_pos("XAUUSD", mt5.TIMEFRAME_H1, 500, 2000)
    assert hours is not None
    spec = SPECS["XAUUSD"]
    minutes = minutes_of_hours(hours, rng.standard_normal((len(hours), 60)), spec)
    same(aggregate(minutes, mt5.TIMEFRAME_H1), hours)
    assert len(minutes) == 60 * len(hours)
    assert len(minutes_of_hours(hours[:0], np.empty((0, 60)), spec)) == 0
    assert ticks_of_minutes(minutes[:0], rng, spec).time_ms.size == 0
    assert np.array_equal(minutes["close"], np.round(minutes["close"], spec.digits))
