"""A client over a fake terminal, and the events that were published."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from support.fake_terminal import FakeTerminal
from support.told import Told

from execution.settings import TerminalSettings
from execution.transport.client import InProcess, TerminalClient


@pytest.fixture
def terminal() -> FakeTerminal:
    return FakeTerminal()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def settings() -> TerminalSettings:
    return TerminalSettings(poll_s=0.05, quotes_s=0.05, reconcile_s=1.0)


@pytest.fixture
async def connect(
    settings: TerminalSettings, told: Told
) -> AsyncIterator[Callable[..., Awaitable[TerminalClient]]]:
    """Connect a client to a terminal; closed after the test."""
    clients: list[TerminalClient] = []

    async def make(terminal: Any, **more: Any) -> TerminalClient:
        client = TerminalClient(
            InProcess(lambda: terminal),
            settings=more.get("settings", settings),
            on_status=told.append,
        )
        clients.append(client)
        await client.start()
        if more.get("wait", True):
            assert await client.wait_connected(10)
        return client

    yield make
    for client in clients:
        await client.close()
