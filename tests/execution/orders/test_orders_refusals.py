"""What keeps an order from being sent, or from being sent again; each in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_terminal import FakeTerminal, symbol
from support.told import Told
from support.until import until

from execution.api import constants as c
from execution.orders.intents import Intents
from execution.orders.orders import Orders
from execution.settings import TerminalSettings
from execution.transport.client import TerminalClient

Connect = Callable[..., Awaitable[TerminalClient]]
Open = Callable[..., Orders]


@pytest.fixture
async def begin(
    connect: Connect, terminal: FakeTerminal, told: Told, settings: TerminalSettings
) -> Any:
    """``begin(path)``: orders of one run of the program, with a file of intents or without."""
    client = await connect(terminal)
    made: list[Orders] = []

    def make(path: Path | None = None) -> Orders:
        made.append(Orders(client, told.append, settings, intents=Intents(path)))
        return made[-1]

    yield make
    for orders in made:
        await orders.stop()


@pytest.mark.parametrize("file", [False, True], ids=["same run", "next run"])
async def test_a_request_with_a_known_key_is_not_sent_again_and_has_its_first_outcome(
    begin: Open, terminal: FakeTerminal, tmp_path: Path, file: bool
) -> None:
    path = tmp_path / "intents.db" if file else None
    orders = begin(path)
    first = await orders.open("EURUSD", "BUY", 0.1, key="a")
    other = await orders.open("EURUSD", "BUY", 0.1, key="b")
    ticket = first.order or 0
    closed = await orders.close(ticket, key="c", by="operator")
    assert first.ok
    assert other.ok
    assert closed.ok
    sent = len(terminal.sent)
    if file:
        await orders.stop()
        orders = begin(path)
    again = await orders.open("EURUSD", "BUY", 0.1, key="a")
    assert (again.status, again.order, again.id) == (first.status, first.order, first.id)
    assert again.text == "asked for before: done"
    twice = await orders.close(ticket, key="c", by="operator")
    assert (twice.status, twice.order) == ("done", closed.order)
    assert len(terminal.sent) == sent == 3
    assert (await orders.open("EURUSD", "BUY", 0.1, key="d")).ok
    assert len(terminal.sent) == 4


async def test_a_request_of_unknown_outcome_stays_unknown_when_it_is_repeated(
    begin: Open, terminal: FakeTerminal
) -> None:
    orders = begin()
    terminal.before["order_send"] = lambda: terminal.fail(-10002, "IPC recv failed")
    first = await orders.open("EURUSD", "BUY", 0.1, key="a")
    again = await orders.open("EURUSD", "BUY", 0.1, key="a")
    assert first.status == again.status == "unknown"
    await until(lambda: not orders.unknown, 20)
    missing = await orders.open("EURUSD", "BUY", 0.1, key="a")
    assert (missing.status, missing.text) == ("rejected", "asked for before: missing")
    assert terminal.calls.count("order_send") == 1


async def test_a_file_that_cannot_say_whether_it_was_sent_before_keeps_it_from_being_sent(
    begin: Open, terminal: FakeTerminal, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    outcome = await begin(tmp_path / "file" / "i.db").close(terminal.open(0.1), key="a")
    assert outcome.status == "rejected"
    assert outcome.text.startswith("not sent: ")
    assert terminal.sent == []


@pytest.mark.parametrize(("direction", "price"), [("BUY", 1.2001), ("SELL", 1.2)])
async def test_a_check_that_finds_the_price_moved_gives_the_new_price_and_sends_nothing(
    begin: Open, terminal: FakeTerminal, told: Told, direction: Any, price: float
) -> None:
    orders = begin()

    def moved(request: dict[str, Any]) -> int:
        terminal.price("EURUSD", 1.2, 1.2001)
        return c.TRADE_RETCODE_REQUOTE

    terminal.check_retcode = moved
    outcome = await orders.open("EURUSD", direction, 0.1)
    assert (outcome.status, outcome.retcode) == ("rejected", c.TRADE_RETCODE_REQUOTE)
    assert outcome.price == price
    assert terminal.sent == []
    (update,) = told.of("ORDER_UPDATE")
    assert (update.status, update.price) == ("rejected", price)


@pytest.mark.parametrize(
    ("retcode", "status"),
    [
        (c.TRADE_RETCODE_REJECT, "rejected"),
        (c.TRADE_RETCODE_NO_MONEY, "rejected"),
        (c.TRADE_RETCODE_TIMEOUT, "unknown"),
        (c.TRADE_RETCODE_CONNECTION, "rejected"),
    ],
)
@pytest.mark.parametrize("what", ["open", "modify", "cancel"])
async def test_an_answer_that_decides_nothing_is_unknown_and_a_refusal_is_final(
    begin: Open, terminal: FakeTerminal, retcode: int, status: str, what: str
) -> None:
    orders = begin()
    ticket = terminal.open(0.1)
    placed = await orders.open("EURUSD", "BUY", 0.1, kind="limit", price=1.09)
    terminal.send_retcode = lambda request: retcode
    if what == "open":
        outcome = await orders.open("EURUSD", "BUY", 0.1)
    elif what == "modify":
        outcome = await orders.modify(ticket, sl=1.09)
    else:
        outcome = await orders.cancel(placed.order or 0)
    assert (outcome.status, outcome.retcode, outcome.ok) == (status, retcode, False)


async def test_a_part_that_was_filled_is_told_as_one(
    begin: Open, terminal: FakeTerminal, told: Told
) -> None:
    orders = begin()
    terminal.after["order_send"] = lambda answer: answer._replace(
        retcode=c.TRADE_RETCODE_DONE_PARTIAL, volume=0.04
    )
    outcome = await orders.open("EURUSD", "BUY", 0.1)
    assert (outcome.status, outcome.ok, outcome.volume) == ("partial", True, 0.04)
    (update,) = told.of("ORDER_UPDATE")
    assert (update.status, update.volume, update.filled) == ("partial", 0.1, 0.04)


@pytest.mark.parametrize(
    "what", ["open", "close", "modify", "cancel"], ids=lambda what: f"{what} reads first"
)
async def test_a_terminal_that_does_not_answer_before_sending_rejects(
    begin: Open, terminal: FakeTerminal, what: str
) -> None:
    orders = begin()
    ticket = terminal.open(0.1)
    reads = {"open": "symbol_info", "close": "positions_get", "modify": "positions_get"}
    terminal.before[reads.get(what, "orders_get")] = lambda: terminal.fail(-1, "Terminal: failed")
    outcome = await {
        "open": lambda: orders.open("EURUSD", "BUY", 0.1),
        "close": lambda: orders.close(ticket),
        "modify": lambda: orders.modify(ticket, sl=1.09),
        "cancel": lambda: orders.cancel(7),
    }[what]()
    assert (outcome.status, outcome.retcode) == ("rejected", None)
    assert "Terminal: failed" in outcome.text
    assert terminal.sent == []


async def test_a_part_below_the_smallest_lot_is_not_closed(
    begin: Open, terminal: FakeTerminal
) -> None:
    orders = begin()
    outcome = await orders.close(terminal.open(0.1), 0.004)
    assert (outcome.status, outcome.retcode) == ("rejected", c.TRADE_RETCODE_INVALID_VOLUME)
    assert terminal.sent == []


async def test_more_than_the_position_has_closes_the_position(
    begin: Open, terminal: FakeTerminal
) -> None:
    assert (await begin().close(terminal.open(0.1), 5.0)).ok
    assert terminal.sent[-1]["volume"] == 0.1
    assert terminal.positions == {}


async def test_a_stop_limit_has_both_prices_and_an_end(
    begin: Open, connect: Connect, terminal: FakeTerminal
) -> None:
    terminal.symbols = {"EURUSD": symbol()}
    outcome = await begin().open(
        "EURUSD", "BUY", 0.1, sl=1.10, kind="stop_limit", price=1.12, stop_limit=1.115,
        expiration=1_700_100_000,
    )  # fmt: skip
    assert outcome.status == "placed"
    (sent,) = terminal.sent
    assert sent["type"] == c.ORDER_TYPE_BUY_STOP_LIMIT
    assert (sent["price"], sent["stoplimit"]) == (1.12, 1.115)
    assert (sent["type_time"], sent["expiration"]) == (c.ORDER_TIME_SPECIFIED, 1_700_100_000)


async def test_a_lost_answer_of_a_move_is_unknown_and_needs_no_search(
    begin: Open, terminal: FakeTerminal
) -> None:
    orders = begin()
    ticket = terminal.open(0.1)
    terminal.after["order_send"] = lambda answer: terminal.fail(-10002, "IPC recv failed")
    outcome = await orders.modify(ticket, sl=1.09)
    assert outcome.status == "unknown"
    assert "the next reading shows its effect" in outcome.text
    assert terminal.positions[ticket].sl == 1.09
    assert orders.unknown == {}


async def test_the_orders_of_this_run_are_kept_by_ticket_for_the_reader_of_their_deals(
    begin: Open, terminal: FakeTerminal
) -> None:
    orders = begin()
    sent = orders.sent
    outcome = await orders.open("EURUSD", "BUY", 0.1)
    assert sent[outcome.order or 0].id == outcome.id
    assert sent[outcome.order or 0].price == 1.1001
