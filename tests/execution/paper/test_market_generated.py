"""The generated market: repeatable, calibrated, without arbitrage, closed when it should be."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from execution.api import constants as mt5
from execution.api.terminal import Array
from execution.paper import MarketError, open_paper
from execution.paper.market import calibration
from execution.paper.market.clock import SteppedClock
from execution.paper.market.generator import GeneratedMarket
from execution.paper.market.model import Ticks
from execution.paper.market.sessions import demo_start, is_open
from execution.paper.market.symbols import SPECS, spec_for, with_suffix
from execution.paper.server.terminal import PaperTerminal
from execution.settings import PaperSettings

MONDAY = datetime(2025, 6, 2, 12, 30, tzinfo=UTC).timestamp()


def layer(market: GeneratedMarket, symbol: str, seconds: int) -> Array:
    """The old bars of this length."""
    return next(each.bars for each in market.history(symbol) if each.seconds == seconds)


@pytest.fixture(scope="module")
def week() -> tuple[GeneratedMarket, dict[str, Ticks]]:
    market = GeneratedMarket(5, MONDAY)
    chunks = [market.chunk() for _ in range(7 * 24)]
    ticks = {}
    for symbol in market.specs:
        pieces = [chunk.ticks[symbol] for chunk in chunks if symbol in chunk.ticks]
        ticks[symbol] = Ticks(*(np.concatenate(column) for column in zip(*pieces, strict=True)))
    return market, ticks


def test_the_same_seed_gives_the_same_market_and_another_another() -> None:
    one, same, other = (GeneratedMarket(seed, MONDAY) for seed in (5, 5, 6))
    for symbol in SPECS:
        layers = zip(one.history(symbol), same.history(symbol), strict=True)
        assert all(np.array_equal(a.bars, b.bars) for a, b in layers)
    first, again, third = one.chunk().ticks, same.chunk().ticks, other.chunk().ticks
    assert all(np.array_equal(first[s].bid, again[s].bid) for s in first)
    assert not np.array_equal(first["EURUSD"].bid, third["EURUSD"].bid)


def test_the_market_stands_at_its_start_price_at_its_start() -> None:
    paper = PaperTerminal(GeneratedMarket(3, MONDAY), SteppedClock(MONDAY))
    paper.initialize()
    starts = calibration.START | {
        name: each.start for name, each in calibration.FOLLOWERS.items() if name in SPECS
    }
    assert len(starts) > len(calibration.START)
    for symbol, price in starts.items():
        tick = paper.symbol_info_tick(symbol)
        assert tick is not None
        assert (tick.bid + tick.ask) / 2 == pytest.approx(price, rel=8e-4)
        assert 0 <= MONDAY - tick.time < 120


def test_old_bars_and_ticks_join_without_a_jump() -> None:
    market = GeneratedMarket(3, MONDAY)
    ticks = market.chunk().ticks
    for symbol in SPECS:
        days, hours, minutes = (layer(market, symbol, each) for each in (86_400, 3600, 60))
        assert minutes["close"][-1] == pytest.approx(ticks[symbol].bid[0], rel=2e-3)
        assert hours["close"][-1] == pytest.approx(minutes["open"][0], rel=2e-2)
        assert hours["time"][-1] + 3600 <= minutes["time"][0]
        first = hours["time"][0]
        before = days[days["time"] < first]
        assert before["close"][-1] == pytest.approx(hours["open"][0], rel=8e-2)
        assert first - days["time"][0] > 7 * 365 * 86_400


def test_the_first_scan_has_five_hundred_bars_of_each_timeframe() -> None:
    paper = PaperTerminal(GeneratedMarket(3, MONDAY), SteppedClock(MONDAY))
    paper.initialize()
    for symbol in SPECS:
        for timeframe in (mt5.TIMEFRAME_M1, 15, mt5.TIMEFRAME_H1, mt5.TIMEFRAME_H4, 16408):
            bars = paper.copy_rates_from_pos(symbol, timeframe, 0, 500)
            assert bars is not None
            assert len(bars) == 500
            assert (np.diff(bars["time"]) > 0).all()
            body_low = np.minimum(bars["open"], bars["close"])
            body_high = np.maximum(bars["open"], bars["close"])
            assert (bars["low"] <= body_low).all()
            assert (bars["high"] >= body_high).all()
            assert (bars["tick_volume"] > 0).all()


def test_crosses_leave_no_arbitrage(week: tuple[GeneratedMarket, dict[str, Ticks]]) -> None:
    _, ticks = week

    def latest(symbol: str, moments: np.ndarray) -> tuple[np.ndarray, ...]:
        index = np.searchsorted(ticks[symbol].time_ms, moments, side="right") - 1
        time_ms, bid, ask = (column[index] for column in ticks[symbol])
        return moments - time_ms < 500, bid, ask

    for cross, base in (("EURJPY", "EURUSD"), ("GBPJPY", "GBPUSD")):  # by USDJPY
        moments, bid, ask = ticks[cross]
        base_fresh, base_bid, base_ask = latest(base, moments)
        yen_fresh, yen_bid, yen_ask = latest("USDJPY", moments)
        fresh = base_fresh & yen_fresh  # an older quote may be off, as anywhere
        assert fresh.sum() > 1000
        profit = np.maximum(base_bid * yen_bid - ask, bid - base_ask * yen_ask)
        assert (profit[fresh] > 0).mean() < 0.01
        assert np.median(base_bid * yen_bid / bid) == pytest.approx(1, abs=3e-4)


def test_quotes_are_sane(week: tuple[GeneratedMarket, dict[str, Ticks]]) -> None:
    market, ticks = week
    for symbol, (time_ms, bid, ask) in ticks.items():
        assert (np.diff(time_ms) >= 0).all()
        assert (ask > bid).all()
        digits = market.specs[symbol].digits
        assert np.array_equal(bid, np.round(bid, digits))
        assert np.array_equal(ask, np.round(ask, digits))


def test_volatility_spread_and_pace_are_the_calibrated_ones() -> None:
    market = GeneratedMarket(11, MONDAY)
    paper = PaperTerminal(GeneratedMarket(11, MONDAY), SteppedClock(MONDAY))
    paper.initialize()
    bars = paper.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_M1, 0, 14 * 1440)
    assert bars is not None
    moves = np.diff(np.log(bars["close"]))
    level = np.sqrt(np.mean(moves**2)) * 1e4
    assert level == pytest.approx(calibration.M1_VOL_BP["EURUSD"], rel=0.35)
    hours = bars["time"][1:] // 3600 % 24
    by_hour = np.array([np.std(moves[hours == hour]) for hour in range(24)])
    assert np.corrcoef(by_hour, calibration.HOUR_SHAPE["EURUSD"])[0, 1] > 0.8
    kurtosis = np.mean(moves**4) / np.mean(moves**2) ** 2
    assert kurtosis > 6  # a normal has 3
    assert np.median(bars["spread"]) == pytest.approx(11, abs=2)
    ticks = [market.chunk().ticks for _ in range(24)]
    first = [len(each["EURUSD"].time_ms) / 60 for each in ticks]
    expect = [calibration.QUOTING["EURUSD"].ticks[(10 + at) % 24] for at in range(1, 25)]
    assert np.corrcoef(first, expect)[0, 1] > 0.7


def test_returns_are_correlated_as_measured() -> None:
    market = GeneratedMarket(2, MONDAY)
    closes = {}
    for symbol in ("EURUSD", "GBPUSD", "USDCHF"):
        bars = layer(market, symbol, 3600)
        closes[symbol] = np.diff(np.log(bars["close"]))
    found = np.corrcoef([closes["EURUSD"], closes["GBPUSD"], closes["USDCHF"]])
    assert found[0, 1] == pytest.approx(0.54, abs=0.15)
    assert found[0, 2] == pytest.approx(-0.60, abs=0.15)


def test_no_fx_quote_on_the_weekend_but_crypto(
    week: tuple[GeneratedMarket, dict[str, Ticks]],
) -> None:
    _, ticks = week
    seconds = ticks["EURUSD"].time_ms // 1000
    saturday = datetime(2025, 6, 7, tzinfo=UTC).timestamp()
    assert not ((seconds >= saturday - 3 * 3600) & (seconds < saturday + 45 * 3600)).any()
    assert (seconds > saturday + 45 * 3600).any()
    bitcoin = ticks["BTCUSD"].time_ms // 1000
    assert ((bitcoin >= saturday) & (bitcoin < saturday + 86_400)).sum() > 10_000
    gold = ticks["XAUUSD"].time_ms // 1000 % 86_400 // 3600
    assert 21 not in gold  # the daily break, in New York's summer


@pytest.mark.parametrize(
    ("moment", "fx", "metal"),
    [
        ("2025-06-06T20:59:59", True, True),
        ("2025-06-06T21:00:00", False, False),
        ("2025-06-08T20:59:59", False, False),
        ("2025-06-08T21:00:00", True, False),
        ("2025-06-08T22:00:00", True, True),
        ("2025-01-10T21:59:59", True, True),
        ("2025-01-10T22:00:00", False, False),
        ("2025-06-04T21:30:00", True, False),
    ],
)
def test_sessions_follow_new_york(moment: str, fx: bool, metal: bool) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    assert is_open("fx", at) is fx
    assert is_open("metal", at) is metal
    assert is_open("crypto", at)


def test_a_demo_on_saturday_runs_on_a_weekday_at_the_same_time_of_day() -> None:
    saturday = datetime(2025, 6, 7, 15, 30, tzinfo=UTC).timestamp()
    start = demo_start(saturday)
    assert start % 86_400 == saturday % 86_400
    assert datetime.fromtimestamp(start, UTC).weekday() == 3
    monday = datetime(2025, 6, 2, 15, 30, tzinfo=UTC).timestamp()
    assert demo_start(monday) == monday


def test_settings_make_the_terminal() -> None:
    settings = PaperSettings.model_validate(
        {
            "seed": 4,
            "start": "2025-06-02T14:00",
            "utc_offset_h": 3,
            "suffix": ".m",
            "balance": 500.0,
            "margin_mode": "netting",
            "speed": 60,
        }
    )
    paper = open_paper(settings)
    paper.initialize()
    assert paper.market_text == "generated, seed 4 x60"
    server = datetime.fromtimestamp(paper.server_now(), UTC)
    assert server.strftime("%Y-%m-%d %H:%M") == "2025-06-02 14:00"
    info = paper.account_info()
    assert info is not None
    assert (info.balance, info.margin_mode) == (500.0, 0)
    symbols = paper.symbols_get()
    assert symbols is not None
    assert {"EURUSD.m", "GBPJPY.m", "XAUUSD.m"} <= {each.name for each in symbols}
    tick = paper.symbol_info_tick("EURUSD.m")
    assert tick is not None
    assert abs(tick.time - paper.server_now()) < 120
    profit = paper.order_calc_profit(0, "EURJPY.m", 1.0, 160.0, 161.0)
    assert profit is not None


def test_a_start_that_is_no_moment_says_how_to_write_it() -> None:
    with pytest.raises(MarketError, match="Write it like"):
        open_paper(PaperSettings.model_validate({"start": "tomorrow"}))


def test_a_symbol_without_a_driver_cannot_be_generated() -> None:
    with pytest.raises(MarketError, match="no way to generate XYZUSD"):
        GeneratedMarket(1, MONDAY, [spec_for("XYZUSD")])


def test_crosses_that_are_not_listed_can_be_made() -> None:
    specs = [*with_suffix(SPECS.values(), ""), spec_for("EURGBP"), spec_for("CADCHF")]
    market = GeneratedMarket(1, MONDAY, specs)
    ticks = market.chunk().ticks
    assert np.median(ticks["EURGBP"].bid) == pytest.approx(1.165 / 1.335, rel=1e-2)
    assert np.median(ticks["CADCHF"].bid) == pytest.approx(0.8 / 1.38, rel=1e-2)
