"""The engine against a brute-force account that looks at each tick, and against itself.

The engine searches levels in arrays and bounds the equity over stretches of ticks; the oracle
here knows nothing of that: one tick, all positions, all orders, every time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.paper_desk import START, Desk
from support.present import present

from execution.api import constants as mt5
from execution.paper.account.ledger import AccountConfig

SYMBOLS = ("EURUSD", "USDJPY", "EURJPY", "XAUUSD")
POINT = {"EURUSD": 1e-5, "USDJPY": 1e-3, "EURJPY": 1e-3, "XAUUSD": 1e-2}
DIGITS = {"EURUSD": 5, "USDJPY": 3, "EURJPY": 3, "XAUUSD": 2}
FIRST = {"EURUSD": 1.1, "USDJPY": 150.0, "EURJPY": 165.0, "XAUUSD": 2000.0}
CONTRACT = {"EURUSD": 1e5, "USDJPY": 1e5, "EURJPY": 1e5, "XAUUSD": 100.0}


def quotes(seed: int, count: int = 400) -> dict[str, list[tuple[float, float, float]]]:
    """Wild walks; no two ticks share a millisecond."""
    rng = np.random.default_rng(seed)
    out: dict[str, list[tuple[float, float, float]]] = {}
    for at, symbol in enumerate(SYMBOLS):
        times = np.sort(rng.choice(900_000, count, replace=False)) * 4 + at + 1000
        steps = np.rint(rng.standard_t(3, count) * 40).cumsum()
        spread = rng.integers(5, 30, count)
        digits, point = DIGITS[symbol], POINT[symbol]
        rows = [(0.0, FIRST[symbol], round(FIRST[symbol] + 10 * point, digits))]
        for time, step, wide in zip(times, steps, spread, strict=True):
            bid = round(FIRST[symbol] + step * point, digits)
            rows.append((time / 1000, bid, round(bid + wide * point, digits)))
        out[symbol] = rows
    return out


@dataclass
class Held:
    symbol: str
    long: bool
    volume: float
    opened: float
    sl: float
    tp: float
    margin: float


@dataclass
class Oracle:
    """An account that is stepped through every tick."""

    leverage: int
    balance: float
    quote: dict[str, tuple[float, float]]
    positions: dict[int, Held] = field(default_factory=dict)
    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    deals: list[tuple[Any, ...]] = field(default_factory=list)
    ticket: int = 0

    def profit(self, held: Held, price: float) -> float:
        raw = (price - held.opened if held.long else held.opened - price) * CONTRACT[held.symbol]
        raw *= held.volume
        if held.symbol == "USDJPY":
            raw /= price
        elif held.symbol == "EURJPY":
            bid, ask = self.quote["USDJPY"]
            raw /= bid if raw < 0 else ask
        return round(raw, 2)

    def margin(self, symbol: str, volume: float, price: float, long: bool) -> float:
        size = volume * CONTRACT[symbol] / self.leverage
        if symbol == "EURJPY":
            bid, ask = self.quote["EURUSD"]
            return size * (ask if long else bid)
        return size if symbol == "USDJPY" else size * price

    def close_price(self, held: Held) -> float:
        return self.quote[held.symbol][0 if held.long else 1]

    def close(self, ticket: int, price: float, at: int, reason: int) -> None:
        held = self.positions.pop(ticket)
        profit = self.profit(held, price)
        self.balance = round(self.balance + profit, 2)
        self.deals.append((at, held.symbol, reason, held.volume, price, profit))

    def open(self, ticket: int, order: dict[str, Any], price: float, at: int) -> None:
        symbol, volume, long = order["symbol"], order["volume"], order["long"]
        margin = self.margin(symbol, volume, price, long)
        self.positions[ticket] = Held(symbol, long, volume, price, order["sl"], order["tp"], margin)
        self.deals.append((at, symbol, mt5.DEAL_REASON_EXPERT, volume, price, 0.0))

    def tick(self, symbol: str, at: int, bid: float, ask: float) -> None:
        self.quote[symbol] = (bid, ask)
        for ticket in sorted([*self.positions, *self.orders]):
            if ticket in self.positions and self.positions[ticket].symbol == symbol:
                held = self.positions[ticket]
                price = bid if held.long else ask
                sign = 1 if held.long else -1
                if held.sl and (price - held.sl) * sign <= 0:
                    self.close(ticket, price, at, mt5.DEAL_REASON_SL)
                elif held.tp and (price - held.tp) * sign >= 0:
                    self.close(ticket, held.tp, at, mt5.DEAL_REASON_TP)
            elif ticket in self.orders and self.orders[ticket]["symbol"] == symbol:
                order = self.orders[ticket]
                level, long, stop = order["price"], order["long"], order["stop"]
                price = ask if long else bid
                above = price >= level
                below = price <= level
                if (above if long == stop else below) or price == level:
                    del self.orders[ticket]
                    if self.affords(order, price if stop else level):
                        self.open(ticket, order, price if stop else level, at)
        while self.positions:
            equity, margin = self.equity(), self.total_margin()
            if not margin or equity / margin * 100 > 30.0:
                return
            worst = min(
                self.positions,
                key=lambda t: self.profit(self.positions[t], self.close_price(self.positions[t])),
            )
            price = self.close_price(self.positions[worst])
            self.close(worst, price, at, mt5.DEAL_REASON_SO)

    def equity(self) -> float:
        floating = sum(self.profit(h, self.close_price(h)) for h in self.positions.values())
        return round(self.balance + round(floating, 2), 2)

    def total_margin(self) -> float:
        return round(sum(self.symbol_margin(each) for each in SYMBOLS), 2)

    def affords(self, order: dict[str, Any], price: float) -> bool:
        symbol, long, volume = order["symbol"], order["long"], order["volume"]
        before = self.total_margin()
        own = self.margin(symbol, volume, price, long)
        self.positions[-1] = Held(symbol, long, volume, price, 0.0, 0.0, own)
        after = self.total_margin()
        del self.positions[-1]
        return after <= before or self.equity() >= after

    def symbol_margin(self, symbol: str) -> float:
        """Two opposite lots cost what one costs: covered lots at the average of both sides."""
        longs = [h for h in self.positions.values() if h.symbol == symbol and h.long]
        shorts = [h for h in self.positions.values() if h.symbol == symbol and not h.long]
        up, down = sum(h.volume for h in longs), sum(h.volume for h in shorts)
        money_up, money_down = sum(h.margin for h in longs), sum(h.margin for h in shorts)
        if not up or not down:
            return money_up + money_down
        rest = (up - down) * money_up / up if up >= down else (down - up) * money_down / down
        return rest + min(up, down) * (money_up + money_down) / (up + down)


def _plans(seed: int, lots: float) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed + 1)
    plans = []
    for _ in range(14):
        symbol = SYMBOLS[rng.integers(len(SYMBOLS))]
        digits, point, first = DIGITS[symbol], POINT[symbol], FIRST[symbol]
        long = bool(rng.integers(2))
        kind = ("market", "limit", "stop")[rng.integers(3)]
        away = int(rng.integers(30, 400)) * point
        sign = 1 if long else -1
        price = first
        if kind == "limit":
            price = first - sign * away
        elif kind == "stop":
            price = first + 10 * point + sign * away
        sl = round(price - sign * int(rng.integers(60, 900)) * point, digits)
        tp = round(price + sign * int(rng.integers(60, 900)) * point, digits)
        plans.append(
            {
                "symbol": symbol,
                "long": long,
                "kind": kind,
                "stop": kind == "stop",
                "volume": round(lots * int(rng.integers(1, 4)), 2),
                "price": round(price, digits),
                "sl": sl if rng.random() < 0.6 else 0.0,
                "tp": tp if rng.random() < 0.6 else 0.0,
            }
        )
    return plans


_KIND = {
    ("limit", True): mt5.ORDER_TYPE_BUY_LIMIT,
    ("limit", False): mt5.ORDER_TYPE_SELL_LIMIT,
    ("stop", True): mt5.ORDER_TYPE_BUY_STOP,
    ("stop", False): mt5.ORDER_TYPE_SELL_STOP,
}


def _place(desk: Desk, plan: dict[str, Any]) -> int:
    stops = {"symbol": plan["symbol"], "sl": plan["sl"], "tp": plan["tp"]}
    if plan["kind"] == "market":
        result = desk.deal("buy" if plan["long"] else "sell", plan["volume"], **stops)
    else:
        kind = _KIND[plan["kind"], plan["long"]]
        result = desk.pend(kind, plan["price"], plan["volume"], **stops)
    return result.order if result.retcode == mt5.TRADE_RETCODE_DONE else 0


def _story(desk: Desk) -> list[tuple[Any, ...]]:
    return [
        (d.time_msc - int(START * 1000), d.symbol, d.reason, d.volume, d.price, d.profit)
        for d in desk.deals()[1:]
    ]


@pytest.mark.parametrize("seed", range(12))
def test_the_engine_trades_like_an_account_that_looks_at_each_tick(seed: int) -> None:
    assert compare(seed, 0.1, AccountConfig(leverage=100))


def test_stop_outs_and_orders_without_money_come_out_the_same() -> None:
    poor = AccountConfig(leverage=500, balance=1_500.0)
    stories = [compare(seed, 0.7, poor) for seed in range(12)]
    reasons = {deal[2] for story in stories for deal in story}
    assert mt5.DEAL_REASON_SO in reasons


def compare(seed: int, lots: float, account: AccountConfig) -> list[tuple[Any, ...]]:
    """Trade a seed's plans in both; the deals, which must be the same."""
    rows = quotes(seed)
    desk = Desk(rows, account=account)
    oracle = Oracle(
        account.leverage, account.balance, {name: each[0][1:] for name, each in rows.items()}
    )
    for plan in _plans(seed, lots):
        ticket = _place(desk, plan)
        if not ticket:
            continue
        if plan["kind"] == "market":
            price = oracle.quote[plan["symbol"]][1 if plan["long"] else 0]
            oracle.open(ticket, plan, price, 0)
        else:
            oracle.orders[ticket] = plan
    ticks = sorted(
        (round(at * 1000), name, bid, ask)
        for name, each in rows.items()
        for at, bid, ask in each[1:]
    )
    for at, name, bid, ask in ticks:
        oracle.tick(name, at, bid, ask)
    desk.at(4000)
    desk.mt5.account_info()
    assert _story(desk) == oracle.deals
    assert desk.balance() == oracle.balance
    assert {each.ticket for each in desk.positions()} == set(oracle.positions)
    return oracle.deals


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10_000), st.lists(st.floats(0.001, 900), min_size=1, max_size=60))
def test_how_often_the_terminal_is_asked_changes_nothing(seed: int, steps: list[float]) -> None:
    rows = quotes(seed, 150)
    once, often = Desk(rows), Desk(rows)
    for desk in (once, often):
        for plan in _plans(seed, 0.5):
            _place(desk, plan)
    at = 0.0
    for step in steps:
        at += step
        often.at(at)
        often.mt5.account_info()
    for desk in (once, often):
        desk.at(max(at, 4000.0))
        desk.mt5.account_info()
    assert _story(once) == _story(often)
    assert once.positions() == often.positions()
    for symbol in SYMBOLS:
        bars = [desk.mt5.copy_rates_from_pos(symbol, 5, 0, 1000) for desk in (once, often)]
        assert np.array_equal(present(bars[0]), present(bars[1]))
