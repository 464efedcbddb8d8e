"""Hands events of other threads to the loop, without a lock, a wait or a system call.

Waking a loop writes to a socket, which releases the interpreter lock; acquiring it again can
take milliseconds while the loop works. So a thread of its own does the waking.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger("mt5dash.feed")

WAITING_MAX = 100_000
BATCH = 256


class Inbox:
    """A bounded queue from any thread into one loop.

    Args:
        take: Called on the loop with packed events, in order, a few hundred at a time.

    Attributes:
        lost: Events that were dropped because the queue was full.
    """

    def __init__(self, take: Callable[[list[bytes]], None]) -> None:
        self._take = take
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False
        self.lost = 0

    def put(self, raw: bytes) -> None:
        """Hand over one event. Never waits, never raises; when the queue is full it is dropped."""
        if self._closed:
            return
        if self._queue.qsize() >= WAITING_MAX:
            self.lost += 1
            if self.lost % 10_000 == 1:
                log.error("the loop is stuck: %d events of other threads were lost", self.lost)
            return
        self._queue.put(raw)
        if self._thread is None and self._loop is not None:
            self._start()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the loop; events that were put before are handed to it now."""
        self._loop = loop
        if self._queue.qsize():
            self._start()

    def close(self) -> None:
        """Accept no more events."""
        self._closed = True
        self._queue.put(None)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="feed-inbox", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        assert self._loop is not None
        done = threading.Event()
        while True:
            raw = self._queue.get()
            batch: list[bytes] = []
            while raw is not None:
                batch.append(raw)
                if len(batch) >= BATCH:
                    break
                try:
                    raw = self._queue.get_nowait()
                except queue.Empty:
                    break
            if batch:
                done.clear()
                try:
                    self._loop.call_soon_threadsafe(self._deliver, batch, done)
                except RuntimeError:  # the loop is closed
                    return
                # The loop sets the pace: events that arrive meanwhile form the next batch.
                while not done.wait(1.0):
                    if self._closed:
                        return
            if raw is None:
                return

    def _deliver(self, batch: list[bytes], done: threading.Event) -> None:
        try:
            self._take(batch)
        finally:
            done.set()
