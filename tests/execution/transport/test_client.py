"""The terminal client: calls in order, deadlines, states in words, outcomes that are unknown."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from support.fake_terminal import FakeTerminal, slowly, symbol
from support.present import present
from support.told import Told
from support.until import until

from execution.api import constants as c
from execution.api.terminal import TerminalError, TerminalTimeout
from execution.settings import TerminalSettings
from execution.transport.client import CallRefused, InProcess, OutcomeUnknown, TerminalClient

Connect = Callable[..., Awaitable[TerminalClient]]

ORDER = {"action": 1, "symbol": "EURUSD", "type": 0, "volume": 1, "magic": 7, "comment": "x"}


async def test_values_come_back_and_failures_are_errors_with_the_modules_code(
    connect: Connect, terminal: FakeTerminal
) -> None:
    client = await connect(terminal)
    assert (await client.account_info()).balance == 10_000.0
    assert await client.positions_get() == ()
    with pytest.raises(TerminalError, match=r"symbol_info: Terminal: Not found \(-4\)"):
        await client.symbol_info("NOPE")


async def test_calls_before_the_terminal_is_there_are_refused_and_say_why(
    connect: Connect, terminal: FakeTerminal
) -> None:
    gate = threading.Event()
    terminal.before["initialize"] = lambda: gate.wait(10) and None
    client = await connect(terminal, wait=False)
    with pytest.raises(CallRefused, match="not connected"):
        await client.account_info()
    assert client.status.condition == "starting"
    gate.set()
    assert await client.wait_connected(10)


async def test_one_call_at_a_time_and_an_order_overtakes_waiting_reads(
    connect: Connect, terminal: FakeTerminal
) -> None:
    client = await connect(terminal)
    gate = threading.Event()
    terminal.before["orders_get"] = lambda: gate.wait(10) and None
    first = asyncio.create_task(client.orders_get())
    await until(lambda: "orders_get" in terminal.calls)
    reads: list[asyncio.Task[Any]] = [
        asyncio.create_task(client.copy_rates_from_pos("EURUSD", 1, 0, 1)) for _ in range(3)
    ]
    reads.append(asyncio.create_task(client.positions_get()))
    await asyncio.sleep(0)
    order = asyncio.create_task(client.order_send(ORDER))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, order, *reads, return_exceptions=True)
    last = terminal.calls[terminal.calls.index("orders_get") + 1 :]
    order_of = [name for name in last if name in ("order_send", "positions_get")]
    assert order_of[:2] == ["order_send", "positions_get"]


async def test_a_call_past_its_deadline_times_out_and_the_loop_never_waits(
    connect: Connect, terminal: FakeTerminal, told: Told
) -> None:
    settings = TerminalSettings(read_s=0.3, backoff_max_s=0.2)
    client = await connect(terminal, settings=settings)
    gate = threading.Event()
    terminal.before["positions_get"] = lambda: gate.wait(10) and None
    with pytest.raises(TerminalTimeout):
        await client.positions_get()
    await until(lambda: client.status.condition == "hung")
    assert client.status.error is not None
    assert client.status.error.code == "HUNG"
    with pytest.raises(CallRefused):
        await client.account_info()
    before = len(terminal.calls)
    gate.set()
    assert await client.wait_connected(10)
    assert (await client.account_info()).login == 1001
    states = [(e.state, e.last_error and e.last_error.code) for e in told.of("TERMINAL_STATUS")]
    assert states == [
        ("disconnected", "STARTING"),
        ("connected", None),
        ("stale", "NO_ANSWER"),
        ("disconnected", "HUNG"),
        ("connected", None),
    ]
    assert len(terminal.calls) > before


@pytest.mark.parametrize(
    ("code", "known"),
    [(-2, True), (-8, True), (-10004, True), (-10001, False), (-10002, False), (-1, False)],
)
async def test_an_order_that_failed_is_unknown_unless_it_certainly_never_left(
    connect: Connect, terminal: FakeTerminal, code: int, known: bool
) -> None:
    client = await connect(terminal)
    terminal.before["order_send"] = lambda: terminal.fail(code, "broken")
    with pytest.raises(TerminalError if known else OutcomeUnknown):
        await client.order_send(ORDER)


async def test_an_order_whose_answer_is_late_is_unknown(
    connect: Connect, terminal: FakeTerminal
) -> None:
    client = await connect(terminal, settings=TerminalSettings(order_s=0.2, backoff_max_s=0.1))
    terminal.after["order_send"] = slowly(0.6)
    with pytest.raises(OutcomeUnknown):
        await client.order_send(ORDER)
    assert len(terminal.sent) == 1


async def test_a_request_goes_out_with_the_types_the_module_insists_on(
    connect: Connect, terminal: FakeTerminal
) -> None:
    import numpy as np

    client = await connect(terminal)
    await client.order_send(ORDER | {"volume": 1, "sl": 0, "magic": np.int64(7)})
    sent = terminal.sent[0]
    assert type(sent["volume"]) is float
    assert type(sent["sl"]) is float
    assert type(sent["magic"]) is int
    with pytest.raises(ValueError, match="30 characters"):
        await client.order_send(ORDER | {"comment": "x" * 30})
    with pytest.raises(ValueError, match="no field 'volum'"):
        await client.order_send(ORDER | {"volum": 1})
    assert len(terminal.sent) == 1


@pytest.mark.parametrize(
    ("change", "state", "condition", "hint"),
    [
        ({"trade_allowed": False}, "connected", "trading off", "Algo Trading"),
        ({"tradeapi_disabled": True}, "connected", "trading off", "external Python API"),
        ({"connected": False}, "stale", "no broker connection", "network"),
    ],
)
async def test_the_terminals_switches_are_told_in_words(
    connect: Connect, terminal: FakeTerminal, change: dict[str, Any], state: str, condition: str,
    hint: str,
) -> None:  # fmt: skip
    terminal.info |= change
    client = await connect(terminal)
    assert (client.status.state, client.status.condition) == (state, condition)
    assert client.status.error is not None
    assert hint in (present(client.status.error).text or "")


async def test_a_lost_connection_is_found_again_and_told_once_each(
    connect: Connect, terminal: FakeTerminal, told: Told
) -> None:
    client = await connect(terminal)
    terminal.before["positions_get"] = lambda: terminal.fail(-10002, "IPC recv failed")
    with pytest.raises(TerminalError, match="-10002"):
        await client.positions_get()
    terminal.before.clear()
    await until(lambda: client.connections == 2)
    assert await client.positions_get() == ()
    states = [event.state for event in told.of("TERMINAL_STATUS")]
    assert states == ["disconnected", "connected", "disconnected", "connected"]


async def test_a_terminal_that_cannot_be_opened_is_told_with_its_reason(told: Told) -> None:
    def broken() -> Any:
        raise OSError("no such market: quotes/x")

    client = TerminalClient(InProcess(broken), settings=TerminalSettings(), on_status=told.append)
    await client.start()
    await until(lambda: len(told) == 2)
    assert "no such market: quotes/x" in told[1].last_error.text  # type: ignore[attr-defined]
    await client.close()


async def test_control_bytes_of_a_broker_are_made_visible_where_they_enter(
    connect: Connect,
) -> None:
    terminal = FakeTerminal(symbol(description="\x1b]52;c;AAAA\x07gold"))
    client = await connect(terminal)
    info = await client.symbol_info("EURUSD")
    assert info.description == "␛]52;c;AAAA␇gold"
    terminal.open(comment="\x1b[31m[sl 1.0850]")
    (position,) = await client.positions_get()
    assert position.comment == "␛[31m[sl 1.0850]"


async def test_closing_is_bounded_while_a_call_hangs(
    terminal: FakeTerminal, settings: TerminalSettings, told: Told
) -> None:
    client = TerminalClient(
        InProcess(lambda: cast("Any", terminal)), settings=settings, on_status=told.append
    )
    await client.start()
    assert await client.wait_connected(10)
    gate = threading.Event()
    terminal.before["positions_get"] = lambda: gate.wait(30) and None
    hanging = asyncio.create_task(client.positions_get())
    await until(lambda: "positions_get" in terminal.calls)
    began = time.monotonic()
    await client.close()
    assert time.monotonic() - began < 8
    with pytest.raises(TerminalError):
        await hanging
    gate.set()


async def test_server_time_is_told_by_paper_and_estimated_from_fresh_ticks(
    connect: Connect, terminal: FakeTerminal
) -> None:
    client = await connect(terminal)
    now = await client.server_now()
    assert now is not None
    assert abs(now - terminal._now()) < 5
    real = FakeTerminal(tells_time=False)
    client = await connect(real)
    assert await client.server_now() is None
    for late in (0.7, 0.2):
        client.clock.observe(time.time() + 3 * 3600 - late, time.time())
    offset: Any = client.clock.utc_offset
    assert offset is None, "two ticks may both be old"
    client.clock.observe(time.time() + 3 * 3600 - 0.1, time.time())
    assert client.clock.utc_offset == 3 * 3600
    for age in (420, 900, 300):
        client.clock.observe(time.time() + 3 * 3600 - age, time.time())
    assert client.clock.utc_offset == 3 * 3600, "a tick of minutes ago says nothing"
    server = await client.server_now()
    assert server is not None
    assert client.clock.iso(server) is not None


async def test_a_batch_is_one_trip_with_errors_in_their_places_and_takes_no_order(
    connect: Connect, terminal: FakeTerminal
) -> None:
    client = await connect(terminal)
    good, bad = await client.batch(
        [("symbol_info", ("EURUSD",), {}), ("symbol_info", ("NOPE",), {})]
    )
    assert good.name == "EURUSD"
    assert isinstance(bad, TerminalError)
    assert bad.code == c.RES_E_NOT_FOUND
    with pytest.raises(ValueError, match="never"):
        await client.batch([("order_send", (ORDER,), {})])
