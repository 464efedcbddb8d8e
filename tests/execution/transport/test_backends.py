"""One contract for every way to a terminal: in a thread, a child process, an agent, rpyc."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support import needs
from support.processes import alive
from support.serving import PATH, TOKEN, serve_agent, serve_rpyc

from execution import agent
from execution.api import constants as c
from execution.api import structs
from execution.settings import PaperSettings
from execution.transport.backend import Backend, InProcess
from execution.transport.remote import Agent, Child


@pytest.fixture(scope="module", params=["paper", "native", "agent", "rpyc"])
def way(request: pytest.FixtureRequest) -> Any:
    """How to make a backend, and what must end after the tests."""
    if request.param == "paper":
        from execution.paper import open_paper

        yield lambda: InProcess(lambda: open_paper(PaperSettings()))
    elif request.param == "native":
        yield lambda: Child("support.paper_module", PATH)
    elif request.param == "agent":
        process, port = serve_agent("--module", "support.paper_module")
        yield lambda: Agent(f"127.0.0.1:{port}", TOKEN)
        process.kill()
        process.communicate()
    else:
        needs.package("rpyc", get="pip install 'mt5dash[rpyc]'")
        from execution.transport.rpyc_backend import Rpyc

        process, port = serve_rpyc("support.paper_module")
        yield lambda: Rpyc(f"127.0.0.1:{port}")
        process.kill()
        process.communicate()


@pytest.fixture
async def backend(way: Any) -> AsyncIterator[Backend]:
    backend: Backend = way()
    await backend.start(30)
    assert not (await backend.call("initialize", (), {}, 30)).failed
    yield backend
    await backend.stop()
    backend.kill()


async def value(backend: Backend, function: str, *args: Any, **kwargs: Any) -> Any:
    reply = await backend.call(function, args, kwargs, 20)
    assert not reply.failed, (function, reply)
    return reply.value


@pytest.mark.parametrize(
    ("function", "args", "kind"),
    [
        ("terminal_info", (), structs.TerminalInfo),
        ("account_info", (), structs.AccountInfo),
        ("symbol_info", ("EURUSD",), structs.SymbolInfo),
        ("symbol_info_tick", ("EURUSD",), structs.Tick),
    ],
)
async def test_structs_arrive_as_our_named_tuples_with_their_types(
    backend: Backend, function: str, args: Any, kind: Any
) -> None:
    found = await value(backend, function, *args)
    assert type(found) is kind
    for name, expected in kind.__annotations__.items():
        item = getattr(found, name)
        assert isinstance(item, (int, float) if expected is float else expected), (name, item)


async def test_bars_arrive_as_a_writable_array_of_the_packages_layout(backend: Backend) -> None:
    rates = await value(backend, "copy_rates_from_pos", "EURUSD", c.TIMEFRAME_M15, 0, 300)
    assert rates.dtype == structs.RATES_DTYPE
    assert len(rates) == 300
    assert (rates["high"] >= rates["low"]).all()
    assert (rates["time"][1:] > rates["time"][:-1]).all()
    rates["close"][0] = 1.0


async def test_an_empty_result_is_an_empty_tuple_and_a_failure_has_its_code(
    backend: Backend,
) -> None:
    assert await value(backend, "orders_get", ticket=1) == ()
    reply = await backend.call("symbol_info", ("NOPE",), {}, 20)
    assert (reply.failed, reply.value, reply.code) == (True, None, c.RES_E_NOT_FOUND)


async def test_wrong_call_forms_and_foreign_names_are_failures_not_crashes(
    backend: Backend,
) -> None:
    for function, args, kwargs in (
        ("copy_rates_from_pos", (), {"symbol": "EURUSD"}),
        ("__import__", ("os",), {}),
        ("_terminal", (), {}),
    ):
        reply = await backend.call(function, args, kwargs, 20)
        assert reply.failed, function
        assert reply.code in (c.RES_E_INVALID_PARAMS, c.RES_E_UNSUPPORTED)
    assert (await value(backend, "account_info")).login


async def test_a_trade_from_check_to_history(backend: Backend) -> None:
    info = await value(backend, "symbol_info", "EURUSD")
    request = {
        "action": c.TRADE_ACTION_DEAL, "symbol": "EURUSD", "type": c.ORDER_TYPE_BUY, "volume": 0.1,
        "price": info.ask, "magic": 7, "comment": "contract", "deviation": 20,
        "type_filling": 0 if info.filling_mode & 1 else 1,
    }  # fmt: skip
    check = await value(backend, "order_check", request)
    assert (type(check), check.retcode) == (structs.OrderCheckResult, 0)
    sent = await value(backend, "order_send", request)
    assert type(sent) is structs.OrderSendResult
    assert type(sent.request) is structs.TradeRequest
    assert (sent.retcode, sent.request.comment) == (c.TRADE_RETCODE_DONE, "contract")
    (position,) = await value(backend, "positions_get", ticket=sent.order)
    assert type(position) is structs.TradePosition
    close = request | {"type": c.ORDER_TYPE_SELL, "position": sent.order, "price": info.bid}
    assert (await value(backend, "order_send", close)).retcode == c.TRADE_RETCODE_DONE
    deals = await value(backend, "history_deals_get", position=sent.order)
    assert [deal.entry for deal in deals] == [c.DEAL_ENTRY_IN, c.DEAL_ENTRY_OUT]
    assert deals[0].price == sent.price
    (order,) = await value(backend, "history_orders_get", ticket=sent.order)
    assert order.state == c.ORDER_STATE_FILLED


async def test_a_batch_keeps_its_order_and_its_failures(backend: Backend) -> None:
    replies = await backend.batch(
        [
            ("symbol_info_tick", ("EURUSD",), {}),
            ("symbol_info", ("NOPE",), {}),
            ("copy_rates_from_pos", ("EURUSD", 1, 0, 5), {}),
            ("copy_rates_from_pos", ("XAUUSD", 1, 0, 7), {}),
        ],
        20,
    )
    assert [reply.failed for reply in replies] == [False, True, False, False]
    assert (len(replies[2].value), len(replies[3].value)) == (5, 7)
    assert replies[3].value["close"][0] > 100


async def test_it_tells_the_markets_clock_and_words(backend: Backend) -> None:
    about = await backend.about(20)
    assert about.server_now is not None
    assert "seed" in (about.market or "")


async def test_it_can_be_killed_and_started_again(backend: Backend) -> None:
    backend.kill()
    await backend.start(30)
    assert not (await backend.call("initialize", (), {}, 30)).failed
    assert (await value(backend, "account_info")).currency == "USD"


def test_the_agents_allow_list_is_the_modules_functions() -> None:
    assert len(agent.FUNCTIONS) == 32


async def test_closing_leaves_no_child_process_behind() -> None:
    child = Child("support.paper_module", PATH)
    await child.start(30)
    pid = child.pid
    assert pid is not None
    await child.stop()
    assert not alive(pid)


async def test_a_child_that_cannot_import_its_module_says_what_to_do() -> None:
    child = Child("no_such_terminal")
    with pytest.raises(Exception, match="pip install MetaTrader5"):
        await child.start(30)
    child.kill()
    await asyncio.sleep(0.1)
