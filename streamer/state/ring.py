"""The newest log events in memory, each encoded once.

Snapshots, clients that resume and the fan-out read the same ``Item`` objects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import Any

import msgspec

from ..protocol.frames import deflated_frame, text_frame
from ..protocol.sections import MAX_EVENTS

RECENT_EVENTS = MAX_EVENTS
RECENT_BYTES = 192 * 1024
"""What a snapshot holds of one bot's log at most: fewer events when they are larger."""


def symbol_of(event: Mapping[str, Any]) -> str | None:
    """The symbol that an event is about, when it names one."""
    symbol = event.get("symbol")
    return symbol if isinstance(symbol, str) else None


class Item(msgspec.Struct, gc=False, eq=False):
    """One event, encoded once.

    ``gc=False``: thousands are in the ring and hold no cycles; traversing them would pause the loop.

    Attributes:
        kind: Its type.
        raw: The JSON bytes.
        seq: Its number; 0 for a state event.
        symbol: The symbol it is about, when it names one.
        bot: The bot it is from; empty for the feed itself.
        frame: The whole WebSocket message.
        end: Bytes of all log events up to and with this one (kept by the ring).
    """

    kind: str
    raw: bytes
    seq: int = 0
    symbol: str | None = None
    bot: str = ""
    frame: bytes = b""
    end: int = 0
    _deflated: bytes | None = None

    def __post_init__(self) -> None:
        self.frame = text_frame(self.raw)

    def deflated(self) -> bytes:
        """The compressed message, made when the first client needs it."""
        if self._deflated is None:
            self._deflated = deflated_frame(self.raw)
        return self._deflated


class Recent:
    """The newest log events of one bot, for snapshots: others do not push them out."""

    __slots__ = ("_bytes", "items")

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        self._bytes = 0

    def add(self, item: Item) -> None:
        """Append one; old ones go when there are too many, or they are too large together."""
        items = self.items
        items.append(item)
        self._bytes += len(item.raw)
        while len(items) > RECENT_EVENTS or (self._bytes > RECENT_BYTES and len(items) > 1):
            self._bytes -= len(items.popleft().raw)


class Ring:
    """The newest log events, without a hole, bounded by number and by bytes.

    Beside them the newest of each bot, for snapshots, with holes.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._items: dict[int, Item] = {}
        self._recent: dict[str, Recent] = {}
        self._max_events = max_events
        self._max_bytes = max_bytes
        self.first = 1
        self.last = 0
        self._start = 0
        self._end = 0

    def reset(self, seq: int) -> None:
        """Forget everything; the next event has number ``seq + 1``."""
        self._items.clear()
        self._recent.clear()
        self.first, self.last = seq + 1, seq
        self._start = self._end

    def add(self, item: Item) -> None:
        """Append the next event; old ones go when there are too many."""
        assert item.seq == self.last + 1, (item.seq, self.last)
        self._end += len(item.raw)
        item.end = self._end
        self._items[item.seq] = item
        self.remember(item)
        self.last = item.seq
        while len(self._items) > self._max_events or (
            self._end - self._start > self._max_bytes and len(self._items) > 1
        ):
            self._start = self._items.pop(self.first).end
            self.first += 1

    def get(self, seq: int) -> Item | None:
        """Event ``seq``, unless it is gone or still to come."""
        return self._items.get(seq)

    def bytes_after(self, seq: int) -> int:
        """How many bytes of events come after ``seq`` (all that is kept, when that is gone)."""
        item = self._items.get(seq)
        return self._end - (item.end if item is not None else self._start)

    def remember(self, item: Item) -> None:
        """Note an event for snapshots only; one that is older than the ring."""
        recent = self._recent.get(item.bot)
        if recent is None:
            recent = self._recent[item.bot] = Recent()
        recent.add(item)

    def newest(
        self, count: int = RECENT_EVENTS, max_bytes: int = RECENT_BYTES, bots: Iterable[str] = ("",)
    ) -> list[Item]:
        """The newest events of some bots, oldest first, within both bounds."""
        kept = [recent for bot in bots if (recent := self._recent.get(bot)) is not None]
        if len(kept) == 1:
            items: Iterable[Item] = reversed(kept[0].items)
        else:
            all_of_them = chain.from_iterable(recent.items for recent in kept)
            items = sorted(all_of_them, key=lambda item: -item.seq)
        found: list[Item] = []
        for item in islice(items, count):
            max_bytes -= len(item.raw)
            if max_bytes < 0 and found:
                break
            found.append(item)
        found.reverse()
        return found
