"""The real MetaTrader5 package behind our three ways to it, on Windows CPython, no terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import windows
from support.paths import ROOT
from support.serving import TOKEN

from execution.transport.backend import Backend
from execution.transport.client import NEVER_SENT
from execution.transport.remote import Agent

pytestmark = [pytest.mark.windows, pytest.mark.timeout(300)]

ORDER = {
    "action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "price": 1.1, "type_filling": 1,
    "deviation": 20, "magic": 234000, "comment": "md:abc",
}  # fmt: skip
NO_CONNECTION = (-10004, "No IPC connection")
CALLS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("order_check", [ORDER], {}),
    ("order_send", [ORDER], {}),
    ("order_send", [], ORDER),
    ("order_send", [ORDER | {"magic": -1}], {}),
    ("positions_get", [], {"ticket": -1}),
    ("copy_rates_from_pos", ["EURUSD", 1, 0, 10.5], {}),
    ("copy_rates_from_pos", [], {"symbol": "EURUSD"}),
    ("symbols_get", ["a", "b"], {}),
    ("account_info", [], {}),
]
CHILD = """
import asyncio, json, sys
from execution.transport.remote import Child

async def main():
    child = Child()
    await child.start(60)
    calls = json.loads(sys.argv[1])
    print("REPLIES", json.dumps([await child.call(*call, 60) for call in calls]))
    await child.stop()

asyncio.run(main())
"""
RPYC = """
import rpyc.utils.server, rpyc.core.service
server = rpyc.utils.server.ThreadedServer(
    rpyc.core.service.SlaveService, hostname="127.0.0.1", port=0)
print("port", server.port, flush=True)
server.start()
"""


def judge(replies: list[list[Any]]) -> None:
    """What the real package answers to ``CALLS`` without a terminal."""
    check, send, fields, magic, ticket, count, form, masks, account = replies
    for reply in (check, send, fields, account):
        assert tuple(reply) == (None, *NO_CONNECTION, True)
    for reply, word in ((magic, "magic"), (ticket, "ticket")):
        assert reply[1:] == [-2, reply[2], True]
        assert f'Invalid "{word}" argument' in reply[2]
    assert magic[1] in NEVER_SENT
    for reply in (count, form):
        assert (reply[0], reply[1], reply[3]) == (None, -2, True)
    assert masks == [False, -2, "Invalid number of arguments", True]


async def asked(backend: Backend) -> list[Any]:
    await backend.start(60)
    replies = [list(await backend.call(*call, 60)) for call in CALLS]
    await backend.stop()
    backend.kill()
    return replies


@contextmanager
def agent() -> Iterator[Backend]:
    script = windows.seen(ROOT / "execution" / "agent.py")
    with windows.served(r":(\d+), token", script, "--port", "0") as port:
        yield Agent(f"127.0.0.1:{port}", TOKEN)


@contextmanager
def rpyc() -> Iterator[Backend]:
    from execution.transport.rpyc_backend import Rpyc

    with windows.served(r"port (\d+)", "-c", RPYC) as port:
        yield Rpyc(f"127.0.0.1:{port}")


@pytest.mark.parametrize("way", [agent, rpyc])
async def test_orders_reach_the_real_functions_and_nothing_they_raise_ends_the_way(
    way: Any,
) -> None:
    with way() as backend:
        judge(await asked(backend))


def test_orders_reach_the_real_functions_in_a_child_process() -> None:
    printed = windows.run("-c", CHILD, json.dumps(CALLS))
    found = [line for line in printed.splitlines() if line.startswith("REPLIES ")]
    assert found, printed
    judge(json.loads(found[0].removeprefix("REPLIES ")))
