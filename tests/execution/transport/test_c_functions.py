"""Calls of C functions, and of functions that raise: no order is lost on the way by either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from support import c_module, needs, raising_module
from support.serving import PATH, TOKEN, serve_agent, serve_rpyc

from execution import agent
from execution.transport.backend import Backend, InProcess
from execution.transport.client import NEVER_SENT
from execution.transport.remote import Agent, Child

ORDER = {
    "action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "price": 1.1, "type_filling": 1,
    "deviation": 20, "magic": 234000, "comment": "md:abc",
}  # fmt: skip
WAYS = ("paper", "native", "agent", "rpyc")


@contextmanager
def way_to(kind: str, module: str, here: Any) -> Iterator[Backend]:
    """A backend of this kind over ``module``; ``here`` is the same module in this process."""
    if kind == "paper":
        yield InProcess(lambda: here)
    elif kind == "native":
        yield Child(module, PATH)
    else:
        if kind == "agent":
            process, port = serve_agent("--module", module)
            yield Agent(f"127.0.0.1:{port}", TOKEN)
        else:
            needs.package("rpyc", get="pip install 'mt5dash[rpyc]'")
            from execution.transport.rpyc_backend import Rpyc

            process, port = serve_rpyc(module)
            yield Rpyc(f"127.0.0.1:{port}")
        process.kill()
        process.communicate()


@asynccontextmanager
async def started(kind: str, module: str, here: Any) -> AsyncIterator[Backend]:
    with way_to(kind, module, here) as backend:
        await backend.start(30)
        yield backend
        await backend.stop()
        backend.kill()
        await asyncio.sleep(0)


def test_the_c_functions_tell_an_empty_keyword_dict_from_no_keywords() -> None:
    """The control: without it the tests below would show nothing."""
    empty: dict[str, Any] = {}
    assert type(c_module.order_send).__name__ == "builtin_function_or_method"
    assert c_module.order_send(ORDER) is None
    assert c_module.last_error() == c_module.NO_CONNECTION
    assert c_module.order_send(ORDER, **empty) is None
    assert c_module.last_error() == (-2, "Unnamed arguments not allowed")
    assert c_module.order_send(**ORDER) is None
    assert c_module.last_error() == c_module.NO_CONNECTION


@pytest.mark.parametrize("kind", WAYS)
async def test_an_order_reaches_a_c_function_without_keywords(kind: str) -> None:
    async with started(kind, "support.c_module", c_module) as backend:
        for function in ("order_check", "order_send"):
            reply = await backend.call(function, [ORDER], {}, 20)
            assert (reply.failed, reply.code, reply.text) == (True, *c_module.NO_CONNECTION)
            reply = await backend.call(function, [], ORDER, 20)
            assert (reply.code, reply.text) == c_module.NO_CONNECTION
        assert (await backend.call("account_info", [], {}, 20)).code == -10004


@pytest.mark.parametrize("kind", WAYS)
async def test_what_the_package_raises_is_an_answer_and_the_connection_stays(kind: str) -> None:
    async with started(kind, "support.raising_module", raising_module) as backend:
        refused = await backend.call("order_send", [ORDER | {"magic": -1}], {}, 20)
        assert refused.failed
        assert refused.code in NEVER_SENT, "it never left: rejected, not unknown"
        for comment in ("after", "broken pipe", "odd"):
            if kind == "paper" and comment == "odd":
                continue  # nothing is encoded in this process
            lost = await backend.call("order_send", [ORDER | {"comment": comment}], {}, 20)
            assert lost.failed, comment
            assert lost.code not in NEVER_SENT, f"{comment}: it may have been sent"
        broken = await backend.call("order_send", [ORDER | {"volume": "a lot"}], {}, 20)
        assert (broken.failed, broken.code) == (True, -2)
        read = await backend.call("positions_get", [], {"ticket": -1}, 20)
        assert (read.failed, read.code) == (True, -2)
        masks = await backend.call("symbols_get", ["a", "b"], {}, 20)
        assert (masks.failed, masks.code, masks.value) == (True, -2, False)
        assert not (await backend.call("positions_get", [], {}, 20)).failed, "it still answers"


async def test_a_result_that_cannot_be_sent_costs_only_its_own_call() -> None:
    async with started("native", "support.raising_module", raising_module) as backend:
        replies = await backend.batch(
            [("positions_get", [], {}), ("symbol_info", ["X"], {}), ("account_info", [], {})], 20
        )
        assert [reply.failed for reply in replies] == [False, True, False]
        assert "Odd" in replies[1].text


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"magic": float("nan")}, -2),
        ({"volume": None}, -2),
        ({"magic": float("inf")}, -2),
    ],
)
def test_a_request_that_cannot_be_put_right_is_refused_here(request_: Any, code: int) -> None:
    value, found, _, failed = agent.perform(c_module, ("order_send", [request_], {}))
    assert (value, found, failed) == (None, code, True)
