"""Recorded quotes as a market: where it starts, what is history, and where it ends."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from execution.api import constants as mt5
from execution.paper import MarketError, open_paper
from execution.paper.market.clock import SteppedClock
from execution.paper.market.replay import ReplayMarket
from execution.paper.server.terminal import PaperTerminal
from execution.settings import PaperSettings


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _open(path: Path, start: str | None = None) -> tuple[PaperTerminal, SteppedClock]:
    market = ReplayMarket(path, None if start is None else _moment(start))
    clock = SteppedClock(market.start)
    paper = PaperTerminal(market, clock)
    assert paper.initialize()
    return paper, clock


def _lean(folder: Path, days: int, symbol: str = "eurusd") -> None:
    """A Lean tree of minute quotes, whole days, a quote each minute."""
    where = folder / "forex" / "oanda" / "minute" / symbol
    where.mkdir(parents=True)
    for day in range(days):
        rows = []
        for minute in range(1440):
            bid = 1.1 + day * 0.01 + minute * 1e-6
            ask = bid + 0.0001
            row = [f"{price:.5f}" for price in (bid, bid, bid, bid)] + ["0"]
            row += [f"{price:.5f}" for price in (ask, ask, ask, ask)] + ["0"]
            rows.append(f"{minute * 60_000}," + ",".join(row))
        name = f"2014050{day + 5}"
        with zipfile.ZipFile(where / f"{name}_quote.zip", "w") as archive:
            archive.writestr(f"{name}_{symbol}_minute_quote.csv", "\n".join(rows))


def test_it_starts_with_three_hundred_quarters_of_history(tmp_path: Path) -> None:
    _lean(tmp_path, 5)
    paper, _ = _open(tmp_path)
    assert paper.server_now() == _moment("2014-05-08T03:00")
    bars = paper.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_M15, 1, 1000)
    assert bars is not None
    assert len(bars) == 300
    assert (np.diff(bars["time"]) == 900).all()


def test_the_market_ends_with_its_last_quote_and_the_clock_stands(tmp_path: Path) -> None:
    _lean(tmp_path, 5)
    paper, clock = _open(tmp_path)
    clock.step(10 * 86_400)
    tick = paper.symbol_info_tick("EURUSD")
    assert tick is not None
    assert paper.server_now() == tick.time_msc / 1000
    assert "recorded quotes ended at 2014-05-09 23:59:" in paper.market_text
    stood = paper.server_now()
    clock.step(3600)
    assert paper.server_now() == stood
    sent = paper.order_send(action=1, symbol="EURUSD", volume=0.1, type=0)
    assert sent is not None  # the last quarter of an hour still counts as open
    info = paper.terminal_info()
    assert info is not None
    assert "ended" in info.path


def test_a_start_can_be_chosen_and_a_wrong_one_is_explained(tmp_path: Path) -> None:
    _lean(tmp_path, 3)
    paper, _ = _open(tmp_path, "2014-05-06T12:00")
    tick = paper.symbol_info_tick("EURUSD")
    assert tick is not None
    assert tick.time == _moment("2014-05-06T12:00")
    assert tick.bid == pytest.approx(1.11072)
    with pytest.raises(MarketError, match="Quotes end on 2014-05-07"):
        _open(tmp_path, "2015-01-01")


def test_nothing_of_the_future_is_seen(tmp_path: Path) -> None:
    _lean(tmp_path, 4)
    daily = tmp_path / "forex" / "oanda" / "daily"
    daily.mkdir()
    rows = [
        f"201405{day:02d} 00:00,9,9,9,9,0,9,9,9,9,0"
        if day > 6
        else f"201405{day:02d} 00:00,1,1,1,1,0,1,1,1,1,0"
        for day in range(1, 29)
    ]
    with zipfile.ZipFile(daily / "eurusd.zip", "w") as archive:
        archive.writestr("eurusd.csv", "\n".join(rows))
    paper, _ = _open(tmp_path, "2014-05-07T10:00")
    for timeframe in (mt5.TIMEFRAME_M1, mt5.TIMEFRAME_H1, mt5.TIMEFRAME_D1, mt5.TIMEFRAME_W1):
        bars = paper.copy_rates_from_pos("EURUSD", timeframe, 0, 10_000)
        assert bars is not None
        assert bars["time"][-1] <= _moment("2014-05-07T10:00")
        assert bars["high"].max() < 2
    days = paper.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_D1, 0, 100)
    assert days is not None
    assert len(days) == 7


def test_a_broken_day_ends_the_market_and_is_named(tmp_path: Path) -> None:
    _lean(tmp_path, 5)
    file = next((tmp_path / "forex").rglob("20140509_quote.zip"))
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("20140509_eurusd_minute_quote.csv", "0,1.1,1.1,1.1\n")
    paper, clock = _open(tmp_path)
    clock.step(5 * 86_400)
    assert paper.account_info() is not None
    assert "recorded quotes ended at 2014-05-08 23:59:" in paper.market_text
    assert "20140509_quote.zip:1: 4 columns where 11 are expected" in paper.market_text
    with pytest.raises(MarketError, match="4 columns where 11"):
        _open(tmp_path, "2014-05-09T10:00")


def test_orders_are_filled_on_recorded_quotes(tmp_path: Path) -> None:
    _lean(tmp_path, 5)
    paper, clock = _open(tmp_path)
    bought = paper.order_send(action=1, symbol="EURUSD", volume=0.1, type=0, tp=1.1310)
    assert bought is not None
    assert bought.retcode == mt5.TRADE_RETCODE_DONE, bought
    clock.step(86_400)
    assert paper.positions_get() == ()
    deals = paper.history_deals_get(0, 2**31 - 1)
    assert deals is not None
    assert (deals[-1].reason, deals[-1].price) == (mt5.DEAL_REASON_TP, 1.1310)


def test_the_real_lean_folder_is_may_2014(real_quotes: Path) -> None:
    settings = PaperSettings.model_validate({"market": real_quotes / "lean", "speed": 60})
    paper = open_paper(settings)
    assert paper.initialize()
    day = datetime.fromtimestamp(paper.server_now(), UTC).strftime("%Y-%m-%d")
    assert day == "2014-05-06"
    symbols = paper.symbols_get()
    assert symbols is not None
    assert {each.name: each.digits for each in symbols} == {"EURUSD": 5, "XAUUSD": 3}
    assert "left out: BTCUSD, GBPUSD" in paper.market_text
    for symbol in ("EURUSD", "XAUUSD"):
        tick = paper.symbol_info_tick(symbol)
        assert tick is not None
        assert tick.ask > tick.bid > 0
        for timeframe, least in ((15, 300), (mt5.TIMEFRAME_H4, 500), (mt5.TIMEFRAME_D1, 499)):
            bars = paper.copy_rates_from_pos(symbol, timeframe, 0, 500)
            assert bars is not None
            assert len(bars) >= least


def test_the_real_scaled_exports_are_prices_again(real_quotes: Path) -> None:
    paper, clock = _open(real_quotes / "ejtrader", "2019-06-03T10:00")
    clock.step(86_400)
    usual = {"EURUSD": 1.12, "USDJPY": 108, "EURJPY": 121.5, "XAUUSD": 1325, "USDCHF": 0.99}
    for symbol, price in usual.items():
        tick = paper.symbol_info_tick(symbol)
        assert tick is not None
        assert tick.bid == pytest.approx(price, rel=0.02)
    own = paper.copy_rates_range(
        "EURUSD", mt5.TIMEFRAME_H4, _moment("2019-06-03T12:00"), _moment("2019-06-04T04:00")
    )
    assert own is not None
    # Bars drawn from the replayed ticks are the file's own bars again.
    table = discover_bars(real_quotes / "ejtrader" / "EURUSD" / "EURUSDh4.csv.gz")
    at = np.searchsorted(table["time"], own["time"])
    for column in ("open", "high", "low", "close"):
        assert np.array_equal(own[column], table[column][at])


def discover_bars(path: Path) -> np.ndarray:
    from execution.paper.market.files import Table
    from execution.paper.market.streams import BarStream

    return BarStream("EURUSD", Table(path)).bars(0, None)
