"""What stood on the operator's screen goes along with a command, and a stop keeps its name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from execution.api import constants as c
from strategy.worker import Worker
from streamer.protocol.messages import RiskMemory


async def hold(b: Any, volume: float = 0.1) -> int:
    answer = b.terminal.order_send(
        {
            "action": c.TRADE_ACTION_DEAL,
            "symbol": "EURUSD",
            "volume": volume,
            "type": c.ORDER_TYPE_BUY,
            "price": b.terminal.symbol_info("EURUSD").ask,
            "magic": 0,
            "type_filling": c.ORDER_FILLING_FOK,
        }
    )
    assert answer.retcode == c.TRADE_RETCODE_DONE
    await b.step(1.0)
    return int(answer.order)


SEEN = {"side": "BUY", "volume": 0.1, "symbol": "EURUSD"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"side": "SELL"}, "BUY, expected SELL"),
        ({"volume": 0.2}, "0.1 lots, expected 0.2"),
        ({"symbol": "XAUUSD"}, "EURUSD, expected XAUUSD"),
        ({"ticket": 1}, "expect.ticket is 1"),
    ],
)
@pytest.mark.parametrize("name", ["close_position", "modify_position"])
async def test_a_position_that_is_another_by_now_is_left_alone(
    bench: Any, name: str, change: dict[str, Any], words: str
) -> None:
    b = await bench().open()
    ticket = await hold(b)
    args = {"ticket": ticket, "expect": SEEN | change}
    if name == "modify_position":
        args["sl"] = b.terminal.symbol_info_tick("EURUSD").bid - 0.01
    answer = await b.command(name, **args)
    assert answer.error.code == ("BAD_ARGS" if "ticket" in change else "MOVED")
    assert words in answer.error.message
    standing = b.terminal.positions_get()
    assert [(p.ticket, p.volume, p.sl) for p in standing] == [(ticket, 0.1, 0.0)]


async def test_a_position_that_is_as_it_was_seen_is_closed_and_one_that_is_gone_is_told(
    bench: Any,
) -> None:
    b = await bench().open()
    ticket = await hold(b)
    assert (await b.command("close_position", ticket=ticket, expect=SEEN | {"ticket": ticket})).ok
    again = await b.command("close_position", ticket=ticket, expect=SEEN)
    assert again.error.code == "MOVED"
    assert "gone" in again.error.message


async def test_a_part_closed_meanwhile_stops_the_second_click(bench: Any) -> None:
    b = await bench().open()
    ticket = await hold(b)
    assert (await b.command("close_position", ticket=ticket, volume=0.04, expect=SEEN)).ok
    second = await b.command("close_position", ticket=ticket, volume=0.04, expect=SEEN)
    assert second.error.code == "MOVED"
    assert b.terminal.positions_get()[0].volume == pytest.approx(0.06)


async def test_a_pending_order_is_compared_as_well(bench: Any) -> None:
    b = await bench().open()
    bid = b.terminal.symbol_info_tick("EURUSD").bid
    placed = await b.orders.open("EURUSD", "BUY", 0.1, kind="limit", price=round(bid - 0.01, 5))
    assert placed.ok
    moved = await b.command("cancel_order", order=placed.order, expect=SEEN | {"side": "SELL"})
    assert moved.error.code == "MOVED"
    assert (await b.command("cancel_order", order=placed.order, expect=SEEN)).ok
    assert b.terminal.orders_get() == ()


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("close_position", {"ticket": 1}),
        ("modify_position", {"ticket": 1, "sl": 1.0}),
        ("cancel_order", {"order": 1}),
        ("flatten", {}),
        ("halt", {"flatten": True}),
    ],
)
async def test_an_observer_sends_no_order_and_says_so(bench: Any, name: str, args: Any) -> None:
    b = await bench(mode="observe").open()
    answer = await b.command(name, **args)
    assert answer.error.code == "OBSERVE"
    assert 'Set mode = "paper" or "live"' in answer.error.message
    assert b.worker.risk_limits.halted is None


@pytest.mark.parametrize("name", ["pause", "resume", "scan_now", "halt", "release"])
async def test_an_observer_takes_what_sends_no_order(bench: Any, name: str) -> None:
    b = await bench(mode="observe").open()
    assert (await b.command(name)).ok


async def test_a_halt_that_flattens_stops_first_and_says_what_is_left(bench: Any) -> None:
    b = await bench().open()
    await hold(b)
    b.terminal.faults.retcodes = [c.TRADE_RETCODE_REJECT]
    answer = await b.command("halt", reason="enough", flatten=True)
    assert answer.error.code == "NOT_FLAT"
    assert answer.error.message.startswith("the kill switch is on, but 0 of 1 done")
    assert b.worker.risk_limits.halted == "enough"
    again = await b.command("halt", reason="enough", flatten=True)
    assert again.result == {"halted": True, "reason": "enough", "closed": 1, "cancelled": 0}


def restarted(b: Any, memory: RiskMemory) -> Worker:
    b.observer.peak_equity = None
    b.observer._account = None
    return Worker(
        b.client, b.observer, b.orders, b.events.append,
        strategy=b.worker.scanner.strategy, settings=b.settings, risk=b.risk, mode="paper",
        journal_ok=lambda: True, memory=memory, compute=b.compute,
    )  # fmt: skip


async def test_peak_and_hit_limits_go_on_after_a_restart_of_the_same_account(bench: Any) -> None:
    b = await bench().open()
    b.worker.publish_status()
    told = b.told("BotStatus")[-1].risk
    assert told is not UNSET
    equity = b.observer.latest.account.equity
    assert told.peak_equity == equity
    memory = msgspec.structs.replace(told, peak_equity=equity * 2)
    b.worker = restarted(b, memory)
    await b.refresh_account()
    assert b.observer.peak_equity == equity * 2
    stops = {stop.gate for stop in b.worker.risk_limits.blocks}
    assert "drawdown" in stops, "half of the peak is below any limit"
    assert b.told("AccountUpdate")[-1].account.drawdown_pct == pytest.approx(50)
    # and the latch holds when it recovers, over one more restart
    held = b.worker.risk_limits.memory(told.login, told.server, equity, equity)
    assert held.drawdown_hit
    b.worker = restarted(b, held)
    await b.refresh_account()
    assert "drawdown" in {stop.gate for stop in b.worker.risk_limits.blocks}


async def test_the_memory_of_another_account_is_not_used(bench: Any) -> None:
    b = await bench().open()
    equity = b.observer.latest.account.equity
    b.worker = restarted(
        b,
        RiskMemory(login=1, server="elsewhere", peak_equity=equity * 2, drawdown_hit=True),
    )
    await b.refresh_account()
    assert b.observer.peak_equity == equity
    assert b.worker.risk_limits.blocks == ()


async def test_a_reason_cannot_draw_on_somebody_elses_screen(bench: Any) -> None:
    b = await bench().open()
    answer = await b.command("halt", reason="ok\x1b[2J\u202e")
    assert "\x1b" not in answer.result["reason"]
    assert "\u202e" not in b.told("BotStatus")[-1].reason.text


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("close_position", "positions_get"),
        ("modify_position", "positions_get"),
        ("cancel_order", "orders_get"),
    ],
)
async def test_what_is_expected_is_read_once_before_the_order_is_sent(
    bench: Any, monkeypatch: pytest.MonkeyPatch, name: str, read: str
) -> None:
    b = await bench().open()
    bid = b.terminal.symbol_info_tick("EURUSD").bid
    args: dict[str, Any] = {"expect": SEEN}
    if name == "cancel_order":
        placed = await b.orders.open("EURUSD", "BUY", 0.1, kind="limit", price=round(bid - 0.01, 5))
        args["order"] = placed.order
    else:
        args["ticket"] = await hold(b)
    if name == "modify_position":
        args["sl"] = round(bid - 0.01, 5)
    calls: list[dict[str, Any]] = []
    real = getattr(b.client, read)

    async def counted(**kwargs: Any) -> Any:
        calls.append(kwargs)
        return await real(**kwargs)

    monkeypatch.setattr(b.client, read, counted)
    assert (await b.command(name, **args)).ok
    assert len([call for call in calls if call.get("ticket")]) == 1
