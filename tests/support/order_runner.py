"""A program that sends orders and is killed while it does: the victim of the kill -9 tests.

Reads commands ``KEY`` from standard input, one a line, and answers ``KEY STATUS ORDER``. The
careful one keeps intents in a file; the naive one (the control) sends again until it has an
answer, as a retry decorator would.

    python order_runner.py PORT TOKEN FILE careful|naive
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from execution.api.terminal import OutcomeUnknown, TerminalError
from execution.orders.intents import Intents
from execution.orders.orders import Orders
from execution.settings import TerminalSettings
from execution.transport.client import TerminalClient
from execution.transport.remote import Agent

SETTINGS = TerminalSettings(order_s=0.25, read_s=1.0, backoff_max_s=0.1, reconcile_s=0.6)


async def careful(orders: Orders, key: str) -> tuple[str, int | None]:
    outcome = await orders.open("EURUSD", "BUY", 0.01, key=key)
    while outcome.status == "unknown":
        await asyncio.sleep(0.02)
        outcome = await orders.open("EURUSD", "BUY", 0.01, key=key)
    return outcome.status, outcome.order


async def naive(client: TerminalClient, key: str) -> tuple[str, int | None]:
    request = {
        "action": 1, "symbol": "EURUSD", "type": 0, "volume": 0.01, "magic": 7, "comment": key,
    }  # fmt: skip
    while True:
        await client.wait_connected()
        try:
            result = await client.order_send(request)
        except (TerminalError, OutcomeUnknown):
            continue
        return "done", result.order


async def main() -> None:
    port, token, path, kind = sys.argv[1:5]
    client = TerminalClient(
        Agent(f"127.0.0.1:{port}", token), settings=SETTINGS, on_status=lambda event: None
    )
    await client.start()
    orders = Orders(client, lambda event: None, SETTINGS, intents=Intents(Path(path)))
    running = asyncio.create_task(orders.run())
    await client.wait_connected()
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        work = careful(orders, line) if kind == "careful" else naive(client, line)
        status, order = await work
        print(line, status, order or 0, flush=True)
    running.cancel()


if __name__ == "__main__":
    asyncio.run(main())
