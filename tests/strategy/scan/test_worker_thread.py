"""CPU work beside the loop: what raises or hangs costs itself only."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from strategy.scan.worker_thread import Inline, Thread


@pytest.mark.parametrize("kind", [Inline, Thread])
async def test_a_task_that_raises_costs_itself_only(kind: Any) -> None:
    def bad() -> None:
        raise KeyError("oh")

    work = await kind().run([("a", lambda: 1), ("b", bad), ("c", lambda: 3)], 5.0)
    assert work.done == {"a": 1, "c": 3}
    assert work.failed == {"b": "KeyError: 'oh'"}


async def test_the_loop_runs_while_the_thread_computes() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.005)
            turns += 1

    counter = asyncio.create_task(count())
    await Thread().run([("slow", lambda: time.sleep(0.3))], 5.0)
    counter.cancel()
    assert turns >= 5


async def test_what_hangs_is_left_behind_and_named_until_it_returns() -> None:
    release = threading.Event()
    thread = Thread()
    work = await thread.run([("ok", lambda: 1), ("hangs", release.wait), ("late", lambda: 2)], 0.2)
    assert work.done == {"ok": 1}
    assert work.cut
    assert thread.stuck == {"hangs"}
    # the next work has a thread of its own, and the hanging task is not given again
    again = await thread.run([("hangs", lambda: 0), ("late", lambda: 2)], 5.0)
    assert again.done == {"late": 2}
    release.set()
    for _ in range(100):
        if not thread.stuck:
            break
        await asyncio.sleep(0.02)
    assert not thread.stuck
    assert "late" not in work.done  # what was cut is not carried out afterwards


async def test_too_many_hanging_threads_are_told_and_not_added_to() -> None:
    release = threading.Event()
    thread = Thread()
    for i in range(Thread.MOST_LOST):
        await thread.run([(f"s{i}", release.wait)], 0.02)
    with pytest.raises(RuntimeError, match="hang in the strategy"):
        await thread.run([("new", lambda: 1)], 0.02)
    release.set()
