"""What the shortcuts of a backtest rest on, each by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from execution.api import constants as c
from execution.api.structs import Tick
from execution.paper import PaperTerminal
from execution.paper.market.clock import SteppedClock
from execution.paper.market.generator import GeneratedMarket
from execution.paper.opening import account_config
from execution.settings import PaperSettings
from strategy.backtest.precompute import PrecomputedStrategy
from strategy.base import Bars, Context
from strategy.institutional.features import Features, compute
from strategy.institutional.strategy import InstitutionalStrategy
from strategy.institutional.structure import analyse, breaks
from strategy.scan.bar_cache import PAGE, anchor
from strategy.settings import TIMEFRAME_SECONDS, StrategySettings

START = 1_763_470_800.0
COUNT = 120


def equal(a: Features, b: Features) -> bool:
    return all(
        np.array_equal(np.array(x, float), np.array(y, float), equal_nan=True)
        for x, y in zip(a, b, strict=True)
    )


def features(bars: Bars, settings: StrategySettings) -> Features:
    leveled = bars.timeframe == settings.setup_timeframe
    return compute([bars], settings.swing_bars, [leveled])[0].features


@pytest.mark.parametrize("k", [1, 2, 3])
def test_breaks_of_any_window_are_breaks_of_the_whole(
    walk: Callable[..., tuple[Any, Any, Any, Any]], k: int
) -> None:
    o, h, low, close = walk(bars=1200, series=3, seed=k)
    atr = np.full_like(close, 3e-4)
    missed = found = 0
    for j in range(3):
        whole = breaks(h[:, j], low[:, j], close[:, j], k)
        for start in range(0, 900, 37):
            cut = slice(start, start + COUNT)
            columns: list[Any] = [x[cut, j : j + 1] for x in (o, h, low, close, atr)]
            broke: Any = cast("Any", analyse)(*columns, k).broke
            window: Any = broke.any(axis=1)[:, 0]
            missed += int((window & ~whole[cut]).sum())
            found += int(window.sum())
    assert found > 100
    assert missed == 0


def opened() -> tuple[PaperTerminal, SteppedClock]:
    market = GeneratedMarket(7, START)
    clock = SteppedClock(market.start)
    terminal = PaperTerminal(market, clock, account_config(PaperSettings()))
    assert terminal.initialize()
    return terminal, clock


def closed(terminal: PaperTerminal, symbol: str, frame: str) -> Bars:
    """The bars that the scanner would keep."""
    number = getattr(c, f"TIMEFRAME_{frame}")
    rates = terminal.copy_rates_from_pos(symbol, number, 0, COUNT + PAGE + 1)
    assert rates is not None
    start = anchor(rates["time"][:-1], TIMEFRAME_SECONDS[frame], COUNT)
    return Bars.from_rates(symbol, frame, rates[start:-1], 0.0)


def test_bars_ahead_are_the_bars_that_come() -> None:
    terminal, clock = opened()
    tape = terminal.tapes["EURUSD"]
    ahead = {frame: tape.bars_ahead(getattr(c, f"TIMEFRAME_{frame}")) for frame in ("M1", "M5")}
    clock.step(1234.5)
    for frame, bars in ahead.items():
        real = closed(terminal, "EURUSD", frame)
        at = np.searchsorted(bars["time"], real.time)
        for name in ("time", "open", "high", "low", "close"):
            np.testing.assert_array_equal(bars[name][at], getattr(real, name))


def test_features_from_a_page_are_those_of_the_bars_alone() -> None:
    terminal, clock = opened()
    settings = StrategySettings(bars=COUNT)
    ahead = PrecomputedStrategy(InstitutionalStrategy(settings), terminal.tapes, COUNT, 0.0)
    handed = 0
    for _ in range(20):
        clock.step(97.0)
        for frame in ahead.timeframes:
            bars = closed(terminal, "GBPUSD", frame)
            found = ahead._known(bars)
            if found is not None:
                handed += 1
                assert equal(found, features(bars, settings))
    assert handed > 40


def test_bars_that_are_not_those_foreseen_are_computed_on_their_own() -> None:
    terminal, _ = opened()
    ahead = PrecomputedStrategy(
        InstitutionalStrategy(StrategySettings(bars=COUNT)), terminal.tapes, COUNT, 0.0
    )
    bars = closed(terminal, "EURUSD", "M1")
    assert ahead._known(bars) is not None
    other = bars.high.copy()
    other[40] += 1e-5
    assert ahead._known(replace(bars, high=other)) is None


def test_a_scan_that_is_left_out_would_have_found_no_candidate() -> None:
    """At many quotes around the price: where the ceiling says no, so does the strategy."""
    terminal, clock = opened()
    settings = StrategySettings(bars=COUNT, min_score=40.0)
    strategy = InstitutionalStrategy(settings)
    rng = np.random.default_rng(3)
    candidates = refused = 0
    for _ in range(25):
        clock.step(61.0)
        for symbol in ("EURUSD", "XAUUSD", "USDJPY"):
            info, now = terminal.symbol_info(symbol), terminal.symbol_info_tick(symbol)
            assert info is not None
            assert now is not None
            bars = {frame: closed(terminal, symbol, frame) for frame in strategy.timeframes}
            parts = [features(bars[frame], settings) for frame in bars]
            ceiling = strategy.ceiling(*parts)
            for shift in rng.normal(0.0, 2.0 * parts[1].atr, 12):
                tick = Tick(
                    now.time, now.bid + shift, now.ask + shift, 0.0, 0, now.time_msc, 6, 0.0
                )
                sessions = frozenset({"london"}) if shift > 0 else frozenset[str]()
                context = Context(symbol, info, tick, bars, float(now.time), sessions)
                setup = strategy.evaluate(context)
                candidate = setup.trigger is not None and setup.score >= settings.min_score
                candidates += candidate
                refused += not ceiling.reaches(tick.bid, tick.ask)
                assert ceiling.reaches(tick.bid, tick.ask) or not candidate
    assert candidates > 20
    assert refused > 200


def test_the_account_is_quiet_until_the_tick_that_reaches_a_level() -> None:
    terminal, clock = opened()
    tick = terminal.symbol_info_tick("EURUSD")
    assert tick is not None
    tape, stop = terminal.tapes["EURUSD"], tick.bid - 0.0003
    now_ms = int(terminal.server_now() * 1000)
    free = terminal.engine.quiet_until(now_ms + 1_800_000)
    assert free == now_ms + 1_800_000  # nothing stands
    sent = terminal.order_send(
        {
            "action": c.TRADE_ACTION_DEAL,
            "symbol": "EURUSD",
            "volume": 0.1,
            "type": c.ORDER_TYPE_BUY,
            "sl": stop,
            "type_filling": c.ORDER_FILLING_IOC,
        }
    )
    assert sent is not None
    assert sent.retcode == c.TRADE_RETCODE_DONE
    coming = slice(tape.at, tape.until(now_ms + 1_800_000))
    reached = np.flatnonzero(tape.bid[coming] <= stop)
    assert len(reached), "choose a nearer stop"
    first = int(tape.time_ms[coming][reached[0]])
    assert terminal.engine.quiet_until(now_ms + 1_800_000) == first - 1
    clock.set((first - 1) / 1000)
    assert terminal.positions_total() == 1
    clock.step(0.002)
    assert terminal.positions_total() == 0
