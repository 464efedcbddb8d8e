"""Orders: requests made right, refusals in words, lost answers found and never sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_terminal import FakeTerminal, slowly, symbol
from support.told import Told
from support.until import until

from execution.api import constants as c
from execution.orders.intents import Intents, comment_of, id_in, new_id
from execution.orders.orders import Orders
from execution.orders.symbol_rules import RuleError, fillings, price, volume
from execution.settings import TerminalSettings
from execution.transport.client import TerminalClient

Connect = Callable[..., Awaitable[TerminalClient]]


@pytest.fixture
async def orders(
    connect: Connect, terminal: FakeTerminal, told: Told, settings: TerminalSettings
) -> Any:
    client = await connect(terminal)
    orders = Orders(client, told.append, settings)
    yield orders
    await orders.stop()


async def test_a_market_order_is_checked_then_sent_once_with_our_id_and_magic(
    orders: Orders, terminal: FakeTerminal, told: Told
) -> None:
    outcome = await orders.open(
        "EURUSD", "BUY", 0.10999, sl=1.099, tp=1.103004, comment="sweep and more words"
    )
    assert (outcome.status, outcome.price, outcome.volume) == ("done", 1.1001, 0.1)
    (sent,) = terminal.sent
    assert terminal.checked[0] == sent, "the same request was checked before"
    assert sent["volume"] == 0.1
    assert sent["tp"] == 1.103
    assert sent["type_filling"] == c.ORDER_FILLING_FOK
    assert sent["magic"] == 234_000
    assert len(sent["comment"]) <= 29
    assert id_in(sent["comment"]) == outcome.id
    (update,) = told.of("ORDER_UPDATE")
    assert (update.status, update.order, update.filled) == ("filled", outcome.order, 0.1)


@pytest.mark.parametrize(
    ("mask", "mode", "kind", "first"),
    [
        (1, c.SYMBOL_TRADE_EXECUTION_MARKET, c.ORDER_TYPE_BUY, c.ORDER_FILLING_FOK),
        (2, c.SYMBOL_TRADE_EXECUTION_MARKET, c.ORDER_TYPE_BUY, c.ORDER_FILLING_IOC),
        (3, c.SYMBOL_TRADE_EXECUTION_MARKET, c.ORDER_TYPE_SELL, c.ORDER_FILLING_FOK),
        (0, c.SYMBOL_TRADE_EXECUTION_EXCHANGE, c.ORDER_TYPE_BUY, c.ORDER_FILLING_RETURN),
        (0, c.SYMBOL_TRADE_EXECUTION_INSTANT, c.ORDER_TYPE_BUY, c.ORDER_FILLING_FOK),
        (1, c.SYMBOL_TRADE_EXECUTION_MARKET, c.ORDER_TYPE_BUY_LIMIT, c.ORDER_FILLING_RETURN),
        (2, c.SYMBOL_TRADE_EXECUTION_MARKET, c.ORDER_TYPE_SELL_STOP, c.ORDER_FILLING_IOC),
    ],
)
def test_the_filling_policy_comes_from_the_mask_and_the_execution_mode(
    mask: int, mode: int, kind: int, first: int
) -> None:
    assert fillings(symbol(filling_mode=mask, trade_exemode=mode), kind)[0] == first


async def test_a_filling_policy_that_the_server_refuses_is_exchanged_before_sending(
    orders: Orders, terminal: FakeTerminal
) -> None:
    terminal.check_retcode = lambda r: 0 if r["type_filling"] == c.ORDER_FILLING_IOC else 10030
    assert (await orders.open("EURUSD", "SELL", 0.1)).ok
    assert [r["type_filling"] for r in terminal.checked] == [0, 1]
    assert len(terminal.sent) == 1
    position = terminal.deals[0].position_id
    assert (await orders.close(position)).ok
    assert terminal.sent[1]["type_filling"] == c.ORDER_FILLING_IOC, "closing follows the rule too"


@pytest.mark.parametrize(
    ("lots", "step", "expected"),
    [(0.3, 0.1, 0.3), (0.7999999999999999, 0.1, 0.8), (0.119, 0.01, 0.11), (1.7, 0.5, 1.5)],
)
def test_a_volume_is_rounded_down_in_decimal(lots: float, step: float, expected: float) -> None:
    assert volume(symbol(volume_step=step, volume_min=step), lots) == expected


def test_a_volume_or_price_that_cannot_be_is_an_error_with_the_servers_code() -> None:
    for lots in (0.004, 200.0, 0.0, -1.0, float("nan")):
        with pytest.raises(RuleError) as error:
            volume(symbol(), lots)
        assert error.value.retcode == c.TRADE_RETCODE_INVALID_VOLUME
    assert price(symbol(digits=2, point=0.01, trade_tick_size=0.25), 100.13) == 100.25
    assert price(symbol(), None) == 0.0


@pytest.mark.parametrize(
    ("arguments", "retcode", "words"),
    [
        ({"sl": 1.09995}, 10016, "stop loss 1.09995 must be at least 10 points below 1.10000"),
        ({"tp": 1.0}, 10016, "take profit 1.00000 must be at least 10 points above"),
        ({"volume": 0.001}, 10014, "below the minimum of EURUSD, 0.01 lots"),
        ({"kind": "limit", "price": 1.2}, 10015, "must be at least 10 points below 1.10010"),
        ({"kind": "stop", "price": 1.0}, 10015, "must be at least 10 points above 1.10010"),
    ],
)
async def test_what_the_symbol_forbids_is_refused_here_and_nothing_is_sent(
    orders: Orders, terminal: FakeTerminal, told: Told, arguments: Any, retcode: int, words: str
) -> None:
    outcome = await orders.open("EURUSD", "BUY", **({"volume": 0.1} | arguments))
    assert (outcome.status, outcome.retcode) == ("rejected", retcode)
    assert words in outcome.text
    assert terminal.sent == terminal.checked == []
    (update,) = told.of("ORDER_UPDATE")
    assert (update.status, update.retcode, update.reason) == ("rejected", retcode, outcome.text)


async def test_a_refusal_of_the_check_sends_nothing(orders: Orders, terminal: FakeTerminal) -> None:
    terminal.check_retcode = lambda r: c.TRADE_RETCODE_NO_MONEY
    outcome = await orders.open("EURUSD", "BUY", 0.1)
    assert (outcome.status, outcome.text) == ("rejected", "not enough free margin (10019)")
    assert terminal.sent == []


async def test_a_requote_is_a_rejection_that_carries_the_new_price(
    orders: Orders, terminal: FakeTerminal
) -> None:
    terminal.send_retcode = lambda r: c.TRADE_RETCODE_REQUOTE
    outcome = await orders.open("EURUSD", "SELL", 0.1)
    assert (outcome.status, outcome.retcode, outcome.price) == ("rejected", 10004, 1.1)
    assert len(terminal.sent) == 1, "the caller decides whether to ask again"


async def test_a_pending_order_is_placed_and_cancelled(
    orders: Orders, terminal: FakeTerminal, told: Told
) -> None:
    outcome = await orders.open("EURUSD", "BUY", 0.2, kind="limit", price=1.09, sl=1.08)
    assert outcome.status == "placed"
    assert outcome.order in terminal.orders
    assert told.of("ORDER_UPDATE") == [], "the observer tells of pending orders"
    assert (await orders.cancel(outcome.order or 0)).ok
    assert terminal.orders == {}
    again = await orders.cancel(outcome.order or 0)
    assert (again.status, again.retcode) == ("rejected", c.TRADE_RETCODE_INVALID_ORDER)


async def test_closing_in_part_and_whole_and_when_it_is_gone(
    orders: Orders, terminal: FakeTerminal
) -> None:
    ticket = terminal.open(0.3, buy=False)
    assert (await orders.close(ticket, 0.1, by="operator")).status == "done"
    assert terminal.positions[ticket].volume == 0.2
    assert (id_in(terminal.sent[0]["comment"]) or "").startswith("o")
    assert (await orders.close(ticket)).status == "done"
    gone = await orders.close(ticket)
    assert (gone.status, gone.retcode) == ("rejected", c.TRADE_RETCODE_POSITION_CLOSED)


async def test_stops_are_moved_kept_and_taken_away(orders: Orders, terminal: FakeTerminal) -> None:
    ticket = terminal.open(0.1, sl=1.09, tp=1.12)
    assert (await orders.modify(ticket, sl=1.095)).status == "done"
    assert (terminal.positions[ticket].sl, terminal.positions[ticket].tp) == (1.095, 1.12)
    assert (await orders.modify(ticket, tp=0)).ok
    assert (terminal.positions[ticket].sl, terminal.positions[ticket].tp) == (1.095, 0.0)
    sent = len(terminal.sent)
    assert (await orders.modify(ticket, sl=1.095)).retcode == c.TRADE_RETCODE_NO_CHANGES
    wrong = await orders.modify(ticket, sl=1.2)
    assert (wrong.status, wrong.retcode) == ("rejected", c.TRADE_RETCODE_INVALID_STOPS)
    assert len(terminal.sent) == sent


async def test_a_lost_answer_is_unknown_then_found_by_its_id_and_never_sent_again(
    orders: Orders, terminal: FakeTerminal, told: Told
) -> None:
    terminal.after["order_send"] = lambda answer: terminal.fail(-10002, "IPC recv failed")
    outcome = await orders.open("EURUSD", "BUY", 0.1)
    assert outcome.status == "unknown"
    assert list(orders.unknown) == [outcome.id]
    await until(lambda: not orders.unknown)
    updates = told.of("ORDER_UPDATE")
    assert [update.status for update in updates] == ["unknown", "filled"]
    assert updates[1].order == terminal.deals[0].order
    assert updates[1].price == 1.1001
    assert "by its id" in updates[1].reason
    assert len(terminal.sent) == 1


async def test_a_lost_answer_with_a_rewritten_comment_is_found_by_magic_volume_and_time(
    orders: Orders, terminal: FakeTerminal, told: Told
) -> None:
    terminal.comment = lambda text: "broker text"
    terminal.open(0.1, magic=234_000)  # an older one of the same kind, from before
    terminal.done[-1] = terminal.done[-1]._replace(time_setup=1)
    terminal.after["order_send"] = lambda answer: terminal.fail(-10001, "IPC send failed")
    await orders.open("EURUSD", "BUY", 0.1)
    await until(lambda: not orders.unknown)
    update = told.of("ORDER_UPDATE")[-1]
    assert (update.status, update.order) == ("filled", terminal.deals[-1].order)
    assert "magic" in update.reason


async def test_an_order_that_never_arrived_stays_unknown_and_alarms_a_person(
    orders: Orders, terminal: FakeTerminal, told: Told
) -> None:
    terminal.before["order_send"] = lambda: terminal.fail(-10002, "IPC recv failed")
    await orders.open("EURUSD", "BUY", 0.1)
    await until(lambda: told.of("RISK_ALERT"), 20)
    (alert,) = told.of("RISK_ALERT")
    assert (alert.code, alert.level) == ("ORDER_MISSING", "critical")
    assert [update.status for update in told.of("ORDER_UPDATE")] == ["unknown", "unknown"]
    assert terminal.sent == []


async def test_an_order_of_a_caller_that_was_cancelled_is_still_recorded(
    orders: Orders, terminal: FakeTerminal, told: Told
) -> None:
    terminal.after["order_send"] = slowly(0.2)
    caller = asyncio.create_task(orders.open("EURUSD", "BUY", 0.1))
    await until(lambda: terminal.sent)
    caller.cancel()
    (update,) = await until(lambda: told.of("ORDER_UPDATE"))
    assert update.status == "filled"


async def test_an_intent_is_on_disk_before_the_order_leaves_and_is_resolved_by_the_next_run(
    connect: Connect, terminal: FakeTerminal, told: Told, settings: TerminalSettings, tmp_path: Path
) -> None:
    path = tmp_path / "intents.db"
    client = await connect(terminal)
    first = Orders(client, told.append, settings, intents=Intents(path))
    seen: list[int] = []

    def look() -> None:
        import sqlite3

        db = sqlite3.connect(path)
        seen.append(db.execute("SELECT count(*) FROM intent WHERE state = 'sent'").fetchone()[0])
        db.close()

    terminal.before["order_send"] = look
    terminal.after["order_send"] = lambda answer: terminal.fail(-10002, "IPC recv failed")
    # The first run ends before it can look for its answer.
    terminal.before["history_orders_get"] = lambda: terminal.fail(-1, "no")
    outcome = await first.open("EURUSD", "BUY", 0.1)
    await first.stop()
    assert seen == [1]
    terminal.before.clear()
    told.clear()

    second = Orders(client, told.append, settings, intents=Intents(path))
    running = asyncio.create_task(second.run())
    (update,) = await until(lambda: told.of("ORDER_UPDATE"))
    assert (update.status, update.order) == ("filled", terminal.deals[0].order)
    running.cancel()
    await until(lambda: not second.unknown)
    await second.stop()
    third = Intents(path)
    await third.open()
    assert outcome.id not in third.live
    await third.close()


async def test_an_order_that_cannot_be_written_down_is_not_sent(
    connect: Connect, terminal: FakeTerminal, told: Told, settings: TerminalSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    client = await connect(terminal)
    orders = Orders(client, told.append, settings, intents=Intents(tmp_path / "file" / "i.db"))
    outcome = await orders.open("EURUSD", "BUY", 0.1)
    assert outcome.status == "rejected"
    assert "not sent" in outcome.text
    assert terminal.sent == []
    await orders.stop()


def test_ids_fit_a_comment_and_are_found_in_what_a_broker_makes_of_it() -> None:
    id = new_id("operator")
    comment = comment_of(id, "a note that is far too long for it")
    assert len(comment) <= 29
    assert id_in(f"from #12 {comment}") == id
    assert id_in("[sl 1.0850]") is None
