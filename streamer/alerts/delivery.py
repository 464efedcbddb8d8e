"""Takes alerts to one channel: a thread and a bounded queue, so that nobody waits for it.

What cannot be delivered after some tries is a dead letter: kept, counted and told.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..protocol.codec import now_iso
from .channels import Channel, Message, NotDelivered

log = logging.getLogger("mt5dash.alerts")

WAITING_MAX = 200
DELAYS_S = (1.0, 5.0, 25.0)
AFTER_MAX_S = 120.0
DEAD_KEPT = 100


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An alert that did not arrive, and why. ``at`` is when it was given up."""

    at: str
    channel: str
    message: Message
    error: str
    tries: int


class Courier:
    """Delivers to one channel, one message after the other.

    Args:
        channel: The way out.
        lost: Told of each dead letter, in the courier's thread.
        back: Told when it delivers again after that, in the same thread.
        delays: Seconds before each further try.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        lost: Callable[[DeadLetter], None] = lambda letter: None,
        back: Callable[[str], None] = lambda channel: None,
        delays: Sequence[float] = DELAYS_S,
    ) -> None:
        self.channel = channel
        self.delivered = 0
        self.dead = 0
        self.trouble: str | None = None
        """Why the last message did not arrive; ``None`` when it did."""
        self.last: float | None = None
        """When the last one arrived, ``time.monotonic()``."""
        self._lost, self._back = lost, back
        self._delays = tuple(delays)
        self._queue: queue.Queue[Message | None] = queue.Queue(WAITING_MAX)
        self._stop = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._thread = threading.Thread(
            target=self._run, name=f"alerts-{channel.name}", daemon=True
        )

    @property
    def waiting(self) -> int:
        """Messages that are not on their way yet."""
        return self._queue.qsize()

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def put(self, message: Message) -> None:
        """Hand a message over; never waits. With too many waiting it is a dead letter."""
        self._idle.clear()
        try:
            self._queue.put_nowait(message)
        except queue.Full:
            self._give_up(message, f"{WAITING_MAX} others wait already", 0)

    def close(self, timeout: float) -> None:
        """Deliver what waits, for at most ``timeout`` seconds, then stop."""
        self._idle.wait(timeout)
        self._stop.set()
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            pass  # it wakes up by itself

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
        tries = 0
        while True:
            tries += 1
            try:
                self.channel.send(message)
            except NotDelivered as error:
                failed = error
            except Exception as error:
                log.exception("alert to %s", self.channel.name)
                failed = NotDelivered(type(error).__name__, again=False)
            else:
                self.delivered += 1
                self.last = time.monotonic()
                was, self.trouble = self.trouble, None
                if was is not None:
                    self._back(self.channel.name)
                return
            if not failed.again or tries > len(self._delays):
                break
            delay = max(self._delays[tries - 1], min(failed.after or 0.0, AFTER_MAX_S))
            log.info("alert to %s: %s; again in %.0f s", self.channel.name, failed, delay)
            if self._stop.wait(delay):
                break
        self._give_up(message, str(failed), tries)

    def _give_up(self, message: Message, error: str, tries: int) -> None:
        self.dead += 1
        self.trouble = error
        log.error("alert to %s not delivered (%s): %s", self.channel.name, error, message.text)
        self._lost(DeadLetter(now_iso(), self.channel.name, message, error, tries))
