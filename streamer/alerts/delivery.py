"""Delivers alerts to one channel, in a thread with a bounded queue, so that no caller waits.

An alert that cannot be delivered after several tries is a dead letter: kept, counted and
reported.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..protocol.codec import now_iso
from .channels import Channel, Message, NotDelivered
from .timings import AlertTimings

log = logging.getLogger("mt5dash.alerts")

QUEUE_MESSAGES = 200
DEAD_LETTERS_KEPT = 100


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An alert that was not delivered.

    Attributes:
        at: When it was given up, ISO 8601 UTC.
        channel: Name of the channel.
        message: The alert.
        error: Why the last try failed.
        tries: Number of tries.
    """

    at: str
    channel: str
    message: Message
    error: str
    tries: int


class Courier:
    """Delivers messages to one channel, one after the other.

    Args:
        channel: The channel.
        on_dead_letter: Called with each dead letter, in the courier's thread.
        on_recovered: Called with the channel's name at the first delivery after a dead letter,
            in the same thread.
        timings: Delays and limits.

    Attributes:
        delivered: Number of delivered messages.
        dead: Number of dead letters.
        trouble: Why the last message was not delivered; ``None`` if it was.
        last: ``time.monotonic()`` of the last delivery; ``None``: there was none.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        on_dead_letter: Callable[[DeadLetter], None] = lambda letter: None,
        on_recovered: Callable[[str], None] = lambda channel: None,
        timings: AlertTimings | None = None,
    ) -> None:
        self.channel = channel
        self.delivered = 0
        self.dead = 0
        self.trouble: str | None = None
        self.last: float | None = None
        self._on_dead_letter, self._on_recovered = on_dead_letter, on_recovered
        self._timings = timings or AlertTimings()
        self._queue: queue.Queue[Message | None] = queue.Queue(QUEUE_MESSAGES)
        self._stop = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._thread = threading.Thread(
            target=self._run, name=f"alerts-{channel.name}", daemon=True
        )

    @property
    def waiting(self) -> int:
        """Messages in the queue, without the one that is being delivered."""
        return self._queue.qsize()

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def put(self, message: Message) -> None:
        """Queue a message; never waits. If the queue is full, it becomes a dead letter."""
        self._idle.clear()
        try:
            self._queue.put_nowait(message)
        except queue.Full:
            self._give_up(message, f"{QUEUE_MESSAGES} others wait already", 0)

    def close(self, timeout: float) -> None:
        """Deliver the queued messages, for at most ``timeout`` seconds, then stop."""
        self._idle.wait(timeout)
        self._stop.set()
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            pass  # the thread is not waiting for the queue then

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._queue.empty():
                self._idle.set()
            message = self._queue.get()
            if message is not None:
                self._idle.clear()
                self._deliver(message)
        self._idle.set()

    def _deliver(self, message: Message) -> None:
        delays, longest = self._timings.retry_delays_s, self._timings.retry_after_max_s
        tries = 0
        while True:
            tries += 1
            try:
                self.channel.send(message)
            except NotDelivered as error:
                failed = error
            except Exception as error:
                log.exception("alert to %s", self.channel.name)
                failed = NotDelivered(type(error).__name__, retry=False)
            else:
                self.delivered += 1
                self.last = time.monotonic()
                was, self.trouble = self.trouble, None
                if was is not None:
                    self._on_recovered(self.channel.name)
                return
            if not failed.retry or tries > len(delays):
                break
            delay = max(delays[tries - 1], min(failed.retry_after_s or 0.0, longest))
            log.info("alert to %s: %s; again in %.0f s", self.channel.name, failed, delay)
            if self._stop.wait(delay):
                break
        self._give_up(message, str(failed), tries)

    def _give_up(self, message: Message, error: str, tries: int) -> None:
        self.dead += 1
        self.trouble = error
        log.error("alert to %s not delivered (%s): %s", self.channel.name, error, message.text)
        self._on_dead_letter(DeadLetter(now_iso(), self.channel.name, message, error, tries))
