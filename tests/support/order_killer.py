"""Sends commands to a program that is killed again and again, and counts what came of them."""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from execution.transport.remote import Agent
from support.paths import ROOT
from support.serving import PATH, TOKEN, serve_agent

KEY = re.compile(r"^k\d+$")


@dataclass
class Tally:
    """What happened. ``doubled``: commands with more than one order; ``invented``: commands
    acknowledged without an order; ``hidden``: orders of commands that were said to have failed."""

    commands: int = 0
    kills: int = 0
    acknowledged: int = 0
    missing: int = 0
    orders: int = 0
    doubled: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)


async def run(kind: str, commands: int, kills: int, folder: Path, seed: int = 1) -> Tally:
    """Send ``commands`` one after another; kill the program ``kills`` times at chance moments."""
    agent, port = serve_agent("--module", "support.lossy_terminal", LOSSY_SEED=str(seed))
    chance, tally = random.Random(seed), Tally(commands)
    deadly = set(chance.sample(range(commands), min(kills, commands)))
    answers: dict[str, tuple[str, int]] = {}
    program: asyncio.subprocess.Process | None = None
    try:
        for number in range(commands):
            key = f"k{number}"
            deaths = 1 if number in deadly else 0
            while key not in answers:
                if program is None:
                    program = await start(kind, port, folder)
                assert program.stdin is not None
                assert program.stdout is not None
                program.stdin.write(f"{key}\n".encode())
                answer = asyncio.create_task(program.stdout.readline())
                if deaths:
                    deaths -= 1
                    # Anywhere from before the order is written down to after it was answered.
                    await asyncio.wait({answer}, timeout=chance.uniform(0.0, 0.02))
                    program.kill()
                    await program.wait()
                    tally.kills += 1
                    program = None
                line = (await answer).decode().split()
                if len(line) == 3:
                    answers[line[0]] = line[1], int(line[2])
        await count(kind, port, answers, tally)
    finally:
        if program is not None:
            program.kill()
            await program.wait()
        agent.kill()
        agent.communicate()
    return tally


async def start(kind: str, port: int, folder: Path) -> asyncio.subprocess.Process:
    program = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "tests/support/order_runner.py"), str(port), TOKEN,
        str(folder / "intents.db"), kind,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=os.environ | PATH,
    )  # fmt: skip
    assert program.stdout is not None
    assert await program.stdout.readline() == b"ready\n"
    return program


async def count(kind: str, port: int, answers: dict[str, tuple[str, int]], tally: Tally) -> None:
    """Compare what the program said with what the terminal has."""
    from execution.orders.intents import id_for, id_in

    backend = Agent(f"127.0.0.1:{port}", TOKEN)
    await backend.start(10)
    reply = await backend.call("history_orders_get", (1, 2**31 - 1), {}, 30)
    backend.kill()
    orders = {order.ticket: order.comment for order in reply.value}
    names = {id_for("strategy", key): key for key in answers}
    whose = {
        ticket: comment if kind == "naive" else names[id_in(comment) or ""]
        for ticket, comment in orders.items()
    }
    counted = Counter(whose.values())
    tally.orders = len(orders)
    tally.doubled = [key for key, times in counted.items() if times > 1]
    for key, (status, order) in answers.items():
        if status in ("done", "partial", "placed"):
            tally.acknowledged += 1
            if whose.get(order) != key:
                tally.invented.append(key)
        else:
            tally.missing += 1
            if counted[key]:
                tally.hidden.append(key)
