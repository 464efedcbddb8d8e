"""Log events that are not on disk yet: nobody hears of them before they are."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from ..protocol.codec import EventRefused
from ..state.bots import Bot, Bots
from ..state.ring import Item
from ..state.source import Wire

SLICE_S = 0.003


class CommitQueue:
    """The events that wait for the journal, in order, bounded in all and by bot.

    Args:
        most: Events that may wait.
        bots: Whose they are.
        emit: Takes each once it is on disk.
    """

    def __init__(self, most: int, bots: Bots, emit: Callable[[Item, Wire], None]) -> None:
        self._most = most
        self._bots = bots
        self._emit = emit
        self._items: deque[tuple[Item, Wire]] = deque()
        self._on_disk = 0
        self._draining = False

    def __len__(self) -> int:
        return len(self._items)

    def check_room(self, bot: Bot, *, foreign: bool) -> None:
        """See whether one more event of a bot may wait.

        Raises:
            EventRefused: too many wait, or too many of this bot, which publishes here.
        """
        if len(self._items) >= self._most:
            raise EventRefused(f"{len(self._items)} events wait for the journal already")
        if foreign and not bot.own and bot.waiting >= self._bots.waiting_share(self._most):
            bot.refused += 1
            raise EventRefused(f"{bot.waiting} events of {bot.name} wait for the journal already")

    def add(self, bot: Bot, item: Item, event: Wire) -> None:
        """Let an event wait until ``committed`` has its number."""
        bot.waiting += 1
        self._items.append((item, event))

    def committed(self, seq: int) -> None:
        """Everything up to ``seq`` is on disk: send it."""
        self._on_disk = seq
        if not self._draining:
            self.drain()

    def drain(self, slice_s: float = SLICE_S) -> None:
        """Send what is on disk, a slice at a time: a large commit does not hold the loop."""
        items, until = self._items, time.perf_counter() + slice_s
        self._draining = False
        while items and items[0][0].seq <= self._on_disk:
            if time.perf_counter() > until:
                self._draining = True
                asyncio.get_running_loop().call_soon(self.drain)
                return
            item, event = items.popleft()
            bot = self._bots.get(item.bot)
            if bot is not None:
                bot.waiting -= 1
            self._emit(item, event)
