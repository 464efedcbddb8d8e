"""Bots call from several threads at once: each call is carried out whole."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from execution.paper import metatrader5 as mt5
from execution.paper import open_paper
from execution.settings import PaperSettings

SECONDS = 2.5
SYMBOLS = ("EURUSD", "GBPUSD", "XAUUSD", "BTCUSD")


@pytest.fixture(params=[0.005, 0.0001])
def switching(request: pytest.FixtureRequest) -> Iterator[None]:
    """How often the interpreter switches between threads, in seconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(request.param)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
def test_threads_trade_at_once_without_an_exception_or_a_wrong_book() -> None:
    paper = open_paper(PaperSettings(speed=60.0))
    mt5.use(paper)
    try:
        mt5.initialize()
        orders: list[int] = []
        wrong: list[Any] = []
        until = time.monotonic() + SECONDS

        def trade(number: int) -> None:
            symbol = SYMBOLS[number % len(SYMBOLS)]
            digits = mt5.symbol_info(symbol).digits
            while time.monotonic() < until and not wrong:
                try:
                    tick = mt5.symbol_info_tick(symbol)
                    request = {
                        "action": 1, "symbol": symbol, "volume": 0.01, "type": 0, "price": tick.ask,
                        "sl": round(tick.bid * 0.9995, digits), "type_filling": 1, "magic": number,
                    }  # fmt: skip
                    bought = mt5.order_send(request)
                    orders.append(bought.order)
                    mt5.copy_rates_from_pos(symbol, 1, 0, 50)
                    mt5.positions_get(symbol=symbol)
                    mt5.account_info()
                    mt5.history_deals_get(0, 2**31 - 1)
                    close = request | {"type": 1, "position": bought.order, "sl": 0.0}
                    closed = mt5.order_send(close)
                    if closed.retcode not in (10009, 10036):  # the stop loss may be faster
                        wrong.append(closed)
                except Exception as error:  # noqa: BLE001 - the test is about any of them
                    wrong.append(error)

        threads = [threading.Thread(target=trade, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert wrong == []
        assert len(orders) > 50
        deals = mt5.history_deals_get(0, 2**31 - 1)
        money = sum(deal.profit + deal.swap + deal.commission + deal.fee for deal in deals)
        assert mt5.account_info().balance == pytest.approx(money, abs=0.005)
        tickets = [deal.ticket for deal in deals]
        assert len(tickets) == len(set(tickets))
        assert len(orders) == len(set(orders))
    finally:
        mt5.use(None)


def test_the_first_call_of_many_threads_opens_one_terminal() -> None:
    mt5.use(None)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(mt5.terminal())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    mt5.use(None)
    assert len(found) == 4
    assert all(each is found[0] for each in found)
