"""How fast the paper terminal is: opening, ticks through the matching, reads, sending.

Run from the repository's root::

    python -m benchmarks.execution.paper

Prints one JSON object: numbers of this machine, nothing is asserted. ``ticks_per_s`` is with 50
symbols and 200 positions that carry stops, asked once a market second; ``replay`` needs the real
quotes in ``../shared/data`` and is null without them.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from execution.api import constants as mt5
from execution.paper import open_paper
from execution.paper.account.ledger import AccountConfig
from execution.paper.market.clock import SteppedClock
from execution.paper.market.generator import GeneratedMarket
from execution.paper.market.replay import ReplayMarket
from execution.paper.market.symbols import SPECS, Spec, spec_for
from execution.paper.server.terminal import PaperTerminal
from execution.settings import PaperSettings

MONDAY = 1_748_865_600.0  # 2025-06-02 12:00 UTC
QUOTES = Path(__file__).resolve().parents[3] / "shared" / "data" / "lean"
_CURRENCIES = ("EUR", "GBP", "AUD", "USD", "CAD", "CHF", "JPY")


def fifty() -> list[Spec]:
    """Fifty symbols: the shipped ones, the other crosses, and copies with a suffix."""
    specs = dict(SPECS)
    for at, base in enumerate(_CURRENCIES):
        for profit in _CURRENCIES[at + 1 :]:
            specs.setdefault(base + profit, spec_for(base + profit))
    copies = [replace(spec, name=spec.name + ".b") for spec in specs.values()]
    copies += [replace(spec, name=spec.name + ".c") for spec in specs.values()]
    return [*specs.values(), *copies][:50]


def timed(call: Callable[[], Any], count: int) -> float:
    """Median milliseconds of a call."""
    spent = []
    for _ in range(count):
        begin = time.perf_counter()
        call()
        spent.append(time.perf_counter() - begin)
    return round(median(spent) * 1000, 4)


def throughput(stops: bool) -> dict[str, float]:
    """An hour of 50 symbols with 200 positions, asked each market second."""
    market = GeneratedMarket(7, MONDAY, fifty())
    clock = SteppedClock(MONDAY)
    account = AccountConfig(balance=1e7, leverage=500)
    paper = PaperTerminal(market, clock, account)
    paper.initialize()
    names = list(market.specs)
    for at in range(200):
        name, long = names[at % 50], at % 2 == 0
        spec = market.specs[name]
        tick = paper.symbol_info_tick(name)
        assert tick is not None
        away = (400 + 40 * (at % 20)) * spec.point * (100 if spec.base == "BTC" else 1)
        sign = 1 if long else -1
        sent = paper.order_send(
            action=mt5.TRADE_ACTION_DEAL,
            symbol=name,
            volume=0.1,
            type=mt5.ORDER_TYPE_BUY if long else mt5.ORDER_TYPE_SELL,
            sl=spec.round(tick.bid - sign * away) if stops else 0.0,
            tp=spec.round(tick.bid + sign * away) if stops else 0.0,
        )
        assert sent is not None
        assert sent.retcode == mt5.TRADE_RETCODE_DONE, sent
    begin = time.perf_counter()
    for _ in range(3600):
        clock.step(1.0)
        paper.positions_total()
    spent = time.perf_counter() - begin
    ticks = sum(
        int(((tape.time_ms > MONDAY * 1000) & (tape.time_ms <= (MONDAY + 3600) * 1000)).sum())
        + sum(int((old.time_ms > MONDAY * 1000).sum()) for old in tape._old)
        for tape in paper.tapes.values()
    )
    return {
        "ticks": ticks,
        "seconds": round(spent, 3),
        "ticks_per_s": round(ticks / spent),
        "closed_by_stops": 200 - (paper.positions_total() or 0),
    }


def demo_load(speed: float) -> float:
    """Share of one core that the shipped symbols cost at ``speed``, polled twice a second."""
    clock = SteppedClock(MONDAY)
    paper = PaperTerminal(GeneratedMarket(7, MONDAY), clock)
    paper.initialize()
    polls = 600
    begin = time.perf_counter()
    for _ in range(polls):
        clock.step(speed / 2)
        paper.account_info()
        paper.positions_get()
        paper.orders_get()
        for name in SPECS:
            paper.symbol_info_tick(name)
    return round((time.perf_counter() - begin) / (polls / 2), 4)


def replayed() -> dict[str, float] | None:
    if not QUOTES.is_dir():
        return None
    begin = time.perf_counter()
    market = ReplayMarket(QUOTES)
    clock = SteppedClock(market.start)
    paper = PaperTerminal(market, clock)
    paper.initialize()
    opened = time.perf_counter() - begin
    begin = time.perf_counter()
    for _ in range(10 * 24 * 60):
        clock.step(60)
        paper.account_info()
    return {
        "open_s": round(opened, 3),
        "ten_days_by_the_minute_s": round(time.perf_counter() - begin, 3),
    }


def main() -> None:
    begin = time.perf_counter()
    paper = open_paper(PaperSettings.model_validate({"speed": 60.0}))
    opened = time.perf_counter() - begin
    paper.initialize()
    begin = time.perf_counter()
    timeframes = (mt5.TIMEFRAME_M15, mt5.TIMEFRAME_H1, mt5.TIMEFRAME_H4)
    for name in SPECS:
        for timeframe in timeframes:
            paper.copy_rates_from_pos(name, timeframe, 0, 500)
    first_scan = time.perf_counter() - begin
    result = {
        "machine": f"{platform.machine()} {platform.python_version()}",
        "open_s": round(opened, 3),
        "first_scan_30_series_ms": round(first_scan * 1000, 2),
        "call_ms": {
            "symbol_info_tick": timed(lambda: paper.symbol_info_tick("EURUSD"), 2000),
            "symbol_info": timed(lambda: paper.symbol_info("EURJPY"), 1000),
            "account_info": timed(paper.account_info, 2000),
            "copy_rates_500": timed(
                lambda: paper.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_M15, 0, 500), 1000
            ),
            "copy_rates_50000": timed(
                lambda: paper.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_M1, 0, 50_000), 100
            ),
            "order_send": timed(
                lambda: paper.order_send(action=1, symbol="EURUSD", volume=0.01, type=0), 200
            ),
        },
        "fifty_symbols_200_positions": throughput(stops=False),
        "the_same_with_stops": throughput(stops=True),
        "share_of_a_core": {"x1": demo_load(1.0), "x60": demo_load(60.0), "x600": demo_load(600.0)},
        "replay": replayed(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
