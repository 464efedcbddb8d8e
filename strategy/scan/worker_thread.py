"""Where CPU work runs: a daemon thread beside the event loop, or in place for a backtest."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

log = logging.getLogger(__name__)

Task = tuple[str, Callable[[], Any]]
"""A name and what to call for it."""


@dataclass
class Work:
    """Tasks of one scan and their results. ``failed`` holds exceptions as text."""

    tasks: list[Task]
    done: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    at: str | None = None
    """The task being carried out now."""
    cut: bool = False

    def run(self) -> None:
        """Carry out the tasks one by one; a task that raises costs itself only."""
        for name, call in self.tasks:
            if self.cut:
                break
            self.at = name
            try:
                result = call()
            except Exception as error:
                log.exception("%s failed", name)
                self.failed[name] = f"{type(error).__name__}: {error}"
            else:
                self.done[name] = result
        self.at = None


class Compute(Protocol):
    """Carries out work, at most ``seconds`` long."""

    async def run(self, tasks: Iterable[Task], seconds: float) -> Work: ...

    @property
    def stuck(self) -> frozenset[str]:
        """Tasks that never came back; they should not be given again."""
        ...


class Inline:
    """In place, without a deadline: the same order on each run."""

    stuck: frozenset[str] = frozenset()

    async def run(self, tasks: Iterable[Task], seconds: float) -> Work:
        work = Work(list(tasks))
        work.run()
        return work


class Thread:
    """One daemon thread. Work that overruns is left behind with its thread, and a new thread
    takes the next: Python cannot stop a thread, but a daemon does not hold up the exit."""

    MOST_LOST = 8
    """Threads left behind before nothing new is begun: each may still burn a core."""

    def __init__(self, name: str = "scan") -> None:
        self._name = name
        self._queue: queue.SimpleQueue[tuple[Work, Callable[[], None]]] | None = None
        self._lost: list[Work] = []

    @property
    def stuck(self) -> frozenset[str]:
        self._lost = [work for work in self._lost if work.at is not None]
        return frozenset(work.at for work in self._lost if work.at is not None)

    async def run(self, tasks: Iterable[Task], seconds: float) -> Work:
        stuck = self.stuck
        work = Work([task for task in tasks if task[0] not in stuck])
        if not work.tasks:
            return work
        if len(stuck) >= self.MOST_LOST:
            raise RuntimeError(
                f"{len(stuck)} symbols hang in the strategy ({', '.join(sorted(stuck))});"
                " nothing is computed until one returns. Correct the strategy and restart."
            )
        loop = asyncio.get_running_loop()
        finished = asyncio.Event()

        def tell() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(finished.set)

        if self._queue is None:
            self._queue = queue.SimpleQueue()
            threading.Thread(
                target=_serve, args=(self._queue,), name=self._name, daemon=True
            ).start()
        self._queue.put((work, tell))
        try:
            await asyncio.wait_for(finished.wait(), seconds)
        except (TimeoutError, asyncio.CancelledError) as reason:
            work.cut = True
            # the thread may be in the middle of a task: leave both
            self._queue = None
            if work.at is not None:
                self._lost.append(work)
            if isinstance(reason, asyncio.CancelledError):
                raise
        return work


def _serve(jobs: queue.SimpleQueue[tuple[Work, Callable[[], None]]]) -> None:
    while True:
        work, tell = jobs.get()
        work.run()
        tell()
        if work.cut:
            return


def milliseconds(since: float) -> float:
    """Milliseconds of ``time.monotonic()`` since then."""
    return round((time.monotonic() - since) * 1000, 1)
