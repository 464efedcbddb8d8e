"""Client, orders and observer on the paper terminal: what is told adds up to the account."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from support.told import Told
from support.until import until

from execution.account.observer import Observer
from execution.api import constants as c
from execution.orders.orders import Orders
from execution.paper import PaperTerminal, open_paper
from execution.settings import PaperSettings, TerminalSettings
from execution.transport.client import InProcess, TerminalClient

SETTINGS = TerminalSettings(poll_s=0.05, quotes_s=0.1, reconcile_s=5, backoff_max_s=0.1)


@pytest.mark.parametrize(("mode", "seed"), [("hedging", 1), ("netting", 2)])
async def test_the_money_told_of_all_trades_is_the_change_of_the_balance(
    told: Told, mode: Any, seed: int
) -> None:
    """Random trading with lost answers, requotes and broken pipes; then everything is closed.
    Each position is told open and closed once, and the sums agree to the cent."""
    holder: list[PaperTerminal] = []

    def make() -> PaperTerminal:
        paper = PaperSettings(
            speed=120, seed=seed, margin_mode=mode, commission_per_lot=3.5, start="2026-03-03T10:00"
        )
        holder.append(open_paper(paper))
        return holder[0]

    client = TerminalClient(InProcess(make), settings=SETTINGS, on_status=told.append)
    await client.start()
    assert await client.wait_connected(30)
    orders = Orders(client, told.append, SETTINGS)
    observer = Observer(client, told.append, settings=SETTINGS, mode="paper", sent=orders.sent)
    start = await observer.refresh()
    assert start is not None
    running = asyncio.create_task(observer.run())
    chance, faults = random.Random(seed), holder[0].faults
    for step in range(40):
        await client.wait_connected()
        symbol = chance.choice(["EURUSD", "USDJPY", "XAUUSD", "BTCUSD"])
        latest = observer.latest
        assert latest is not None
        action = chance.random()
        if step % 9 == 5:
            # Not both: an answer "requote" that is lost leaves no trace to be found.
            faults.lost_answers, faults.requotes = 1, 0
        if action < 0.55 or not latest.positions:
            info = await client.symbol_info(symbol)
            buy = chance.random() < 0.5
            distance = (info.trade_stops_level + chance.randint(100, 900)) * info.point
            await orders.open(
                symbol,
                "BUY" if buy else "SELL",
                info.volume_min * chance.randint(1, 5),
                sl=info.bid - distance if buy else info.ask + distance,
            )
        elif action < 0.8:
            position = chance.choice(latest.positions)
            half = position.volume / 2 if chance.random() < 0.5 else None
            await orders.close(position.ticket, half, by="operator")
        elif not faults.lost_answers:
            faults.requotes = 1
        await asyncio.sleep(chance.uniform(0.0, 0.1))
    faults.requotes = faults.lost_answers = 0
    await until(lambda: not orders.unknown)
    while True:
        await client.wait_connected()
        now = await observer.refresh()
        assert now is not None
        if not now.positions:
            break
        for position in now.positions:
            await orders.close(position.ticket)
    await observer.refresh()
    end = await observer.refresh()
    running.cancel()
    assert end is not None
    opened = Counter(event.ticket for event in told.of("POSITION_OPENED"))
    closed = Counter(event.ticket for event in told.of("POSITION_CLOSED"))
    assert opened == closed
    assert set(closed.values()) == {1}
    assert len(closed) >= 4
    money = sum(e.profit + e.swap + e.commission for e in told.of("POSITION_CLOSED"))
    assert money == pytest.approx(end.account.balance - start.account.balance, abs=0.011)
    assert end.day_pl == pytest.approx(money, abs=0.011)
    assert not told.of("RISK_ALERT")
    reasons = {event.close_reason for event in told.of("POSITION_CLOSED")}
    assert reasons <= {"sl", "strategy", "operator"}
    await orders.stop()
    await client.close()


async def test_a_position_that_is_closed_by_another_is_told_and_watching_goes_on() -> None:
    told = Told()
    client = TerminalClient(
        InProcess(lambda: open_paper(PaperSettings(start="2026-03-03T10:00"))),
        settings=SETTINGS,
        on_status=told.append,
    )
    await client.start()
    assert await client.wait_connected(30)
    orders = Orders(client, told.append, SETTINGS)
    observer = Observer(client, told.append, settings=SETTINGS, mode="paper", sent=orders.sent)
    before = await observer.refresh()
    assert before is not None
    for direction in ("BUY", "SELL"):
        assert (await orders.open("EURUSD", direction, 0.1)).ok
    for _ in range(2):
        await observer.refresh()
    one, other = (p.ticket for p in await client.positions_get())
    answer = await client.order_send(
        {
            "action": c.TRADE_ACTION_CLOSE_BY,
            "position": one,
            "position_by": other,
            "magic": SETTINGS.magic,
        }
    )
    assert answer.retcode == c.TRADE_RETCODE_DONE
    seen = await observer.refresh()
    assert seen is not None
    assert seen.positions == ()
    closed = told.of("POSITION_CLOSED")
    assert sorted(event.ticket for event in closed) == sorted((one, other))
    money = sum(event.profit + event.swap + event.commission for event in closed)
    assert money == pytest.approx(seen.account.balance - before.account.balance, abs=0.011)
    assert not told.of("RISK_ALERT")
    assert (await orders.open("EURUSD", "BUY", 0.1)).ok
    for _ in range(2):
        assert await observer.refresh() is not None
    assert len(told.of("POSITION_OPENED")) == 3
    await orders.stop()
    await client.close()
