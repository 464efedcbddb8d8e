"""Log events between publishing and commit: none of them is announced before it is on disk."""

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
"""How long one release may hold the loop before others run."""


class CommitQueue:
    """Events that wait for the journal, in order, bounded in all and by bot.

    Args:
        most: Events that may wait.
        bots: The bots that published them.
        emit: Announces an event that is on disk.
    """

    def __init__(self, most: int, bots: Bots, emit: Callable[[Bot, Item, Wire], None]) -> None:
        self._most = most
        self._bots = bots
        self._emit = emit
        self._items: deque[tuple[Bot, Item, Wire]] = deque()
        self._on_disk = 0
        self._releasing_later = False

    def __len__(self) -> int:
        return len(self._items)

    def check_room(self, bot: Bot, *, foreign: bool) -> None:
        """Check that one more event of a bot may wait.

        Args:
            bot: The bot that publishes it.
            foreign: It comes from another program, which may fill only its share.

        Raises:
            EventRefused: too many events wait, in all or of this bot.
        """
        if len(self._items) >= self._most:
            raise EventRefused(f"{len(self._items)} events wait for the journal already")
        if foreign and not bot.own and bot.waiting >= self._bots.waiting_share(self._most):
            bot.refused += 1
            raise EventRefused(f"{bot.waiting} events of {bot.name} wait for the journal already")

    def add(self, bot: Bot, item: Item, event: Wire) -> None:
        """Let an event wait until ``committed`` reaches its number."""
        bot.waiting += 1
        self._items.append((bot, item, event))

    def committed(self, seq: int) -> None:
        """Announce everything up to ``seq``: it is on disk."""
        self._on_disk = seq
        if not self._releasing_later:
            self.release_committed()

    def release_committed(self, slice_s: float = SLICE_S) -> None:
        """Announce what is on disk, for ``slice_s`` seconds at a time: a large commit does not
        hold the loop."""
        items, until = self._items, time.perf_counter() + slice_s
        self._releasing_later = False
        while items and items[0][1].seq <= self._on_disk:
            if time.perf_counter() > until:
                self._releasing_later = True
                asyncio.get_running_loop().call_soon(self.release_committed)
                return
            bot, item, event = items.popleft()
            bot.waiting -= 1
            self._emit(bot, item, event)
