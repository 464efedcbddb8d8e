"""Operator commands: checked, carried out on the terminal, refused in words."""

from __future__ import annotations

from typing import Any

import pytest

from execution.api import constants as c
from strategy.status import halted_before
from strategy.worker import Worker


async def hold(b: Any, symbol: str = "EURUSD", magic: int = 0, **more: Any) -> int:
    info = b.terminal.symbol_info(symbol)
    answer = b.terminal.order_send(
        {
            "action": c.TRADE_ACTION_DEAL,
            "symbol": symbol,
            "volume": 0.1,
            "type": c.ORDER_TYPE_BUY,
            "price": info.ask,
            "magic": magic,
            "type_filling": c.ORDER_FILLING_FOK,
            **more,
        }
    )
    assert answer.retcode == c.TRADE_RETCODE_DONE
    await b.step(1.0)
    order: int = answer.order
    return order


@pytest.mark.parametrize(
    ("name", "args", "code", "words"),
    [
        ("buy", {}, "UNKNOWN_COMMAND", "known are pause"),
        ("pause", {"now": 1}, "BAD_ARGS", "takes no now"),
        ("close_position", {}, "BAD_ARGS", "ticket must be a whole number"),
        ("close_position", {"ticket": True}, "BAD_ARGS", "ticket"),
        ("close_position", {"ticket": 1, "volume": 0}, "BAD_ARGS", "volume must be"),
        ("close_position", {"ticket": 1, "volume": float("nan")}, "BAD_ARGS", "volume"),
        ("close_position", {"ticket": 1}, "REJECTED", "no open position"),
        ("modify_position", {"ticket": 1}, "BAD_ARGS", "needs sl, tp or both"),
        ("modify_position", {"ticket": 1, "sl": -1}, "BAD_ARGS", "0 or more"),
        ("cancel_order", {"order": 1.5}, "BAD_ARGS", "order must be"),
        ("cancel_order", {"order": 77}, "REJECTED", "no pending order"),
        ("flatten", {"owner": "me"}, "BAD_ARGS", "all or bot"),
        ("halt", {"reason": 3}, "BAD_ARGS", "must be text"),
    ],
)
async def test_a_wrong_command_is_refused_in_words(
    bench: Any, name: Any, args: Any, code: Any, words: Any
) -> None:
    b = await bench().open()
    answer = await b.command(name, **args)
    assert not answer.ok
    assert answer.error.code == code
    assert words in answer.error.message


async def test_a_position_is_modified_reduced_and_closed(bench: Any) -> None:
    b = await bench().open()
    ticket = await hold(b)
    bid = b.terminal.symbol_info_tick("EURUSD").bid
    assert (await b.command("modify_position", ticket=ticket, sl=bid - 0.005)).ok
    assert b.terminal.positions_get()[0].sl == pytest.approx(bid - 0.005, abs=1e-5)
    answer = await b.command("close_position", ticket=ticket, volume=0.04)
    assert answer.ok
    assert b.terminal.positions_get()[0].volume == pytest.approx(0.06)
    assert (await b.command("close_position", ticket=ticket)).ok
    assert b.terminal.positions_get() == ()
    # the feed has the news with the answer, not a poll later
    assert b.told("PositionClosed")[-1].close_reason == "operator"


async def test_flatten_closes_all_or_a_symbol_or_the_bots(bench: Any) -> None:
    b = await bench().open()
    await hold(b, "EURUSD")
    await hold(b, "GBPUSD", magic=b.worker.magic)
    await hold(b, "USDJPY")
    answer = await b.command("flatten", symbol="EURUSD")
    assert answer.result == {"closed": 1, "cancelled": 0}
    answer = await b.command("flatten", owner="bot")
    assert answer.result == {"closed": 1, "cancelled": 0}
    assert [p.symbol for p in b.terminal.positions_get()] == ["USDJPY"]
    assert (await b.command("flatten")).result == {"closed": 1, "cancelled": 0}


async def test_flatten_goes_on_after_one_that_fails_and_names_it(bench: Any) -> None:
    b = await bench().open()
    await hold(b, "EURUSD")
    await hold(b, "GBPUSD")
    b.terminal.faults.retcodes = [c.TRADE_RETCODE_REJECT]
    answer = await b.command("flatten")
    assert answer.error.code == "NOT_FLAT"
    assert "1 of 2 done" in answer.error.message
    assert len(b.terminal.positions_get()) == 1


async def test_halt_and_release_are_told_and_a_release_does_not_resume(bench: Any) -> None:
    b = await bench().open()
    await b.command("pause")
    assert (await b.command("halt", reason="news")).result == {"halted": True, "reason": "news"}
    assert b.told("BotStatus")[-1].state == "halted"
    assert b.told("RiskAlert")[-1].code == "KILL_SWITCH"
    assert (await b.command("resume")).result == {"paused": False, "halted": True}
    assert b.told("BotStatus")[-1].state == "halted"
    await b.command("pause")
    await b.command("release")
    assert b.told("BotStatus")[-1].state == "paused"


async def test_the_kill_switch_survives_a_restart_by_what_the_journal_holds(bench: Any) -> None:
    b = await bench().open()
    await b.command("halt", reason="enough for today")
    await b.worker.stop()
    last = b.told("BotStatus")[-1]
    assert last.state == "stopped"
    kept = halted_before(
        {"state": last.state, "reason": {"code": last.reason.code, "text": last.reason.text}}
    )
    assert kept == "enough for today"
    again = Worker(
        b.client, b.observer, b.orders, b.events.append,
        strategy=b.worker.scanner.strategy, settings=b.settings, risk=b.risk, mode="paper",
        journal_ok=lambda: True, halted=kept,
    )  # fmt: skip
    again.publish_status()
    assert b.told("BotStatus")[-1].state == "halted"


@pytest.mark.parametrize(
    "bot", [None, {}, {"reason": None}, {"reason": {"code": "PAUSED", "text": "x"}}]
)
def test_no_other_status_is_taken_for_the_kill_switch(bot: Any) -> None:
    assert halted_before(bot) is None
