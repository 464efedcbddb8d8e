"""Up to where a relay has published each feed's events, as its own journal tells.

There is no second file: what is in the journal was published, and nothing else was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..journal.writer import Journal
from ..protocol.codec import decode, encode

RANGE = 50_000
"""Events of the journal that one query looks through."""

EventRef = tuple[str, int]
"""Epoch and number of an event on the feed that numbered it."""


def event_ref(text: Any) -> EventRef | None:
    """``EPOCH:SEQ`` as epoch and number; ``None`` when it is none."""
    if not isinstance(text, str):
        return None
    epoch, _, number = text.rpartition(":")
    if not epoch or not (number.isascii() and number.isdigit() and len(number) <= 18):
        return None
    return epoch, int(number)


class RelayOffsets:
    """Numbers of the last published event by epoch: of the feed that an event was taken from
    (``via``) and of the one that numbered it first (``origin``).

    Args:
        journal: The relay's own; without one only this run is known.
    """

    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal
        self._last: dict[str, int] = {}
        self._sought: set[str] = set()

    def known(self, epoch: str) -> int | None:
        """What this run knows without asking the journal."""
        return self._last.get(epoch)

    def note(self, epoch: str, seq: int) -> None:
        """An event was published."""
        if seq > self._last.get(epoch, -1):
            self._last[epoch] = seq

    def restart(self, epoch: str, seq: int) -> None:
        """The feed's numbers went back: go on from ``seq``."""
        self._last[epoch] = seq

    async def last(self, epoch: str) -> int | None:
        """The number of the last published event of this epoch, ``None`` when there is none.

        Raises:
            JournalError: the journal cannot be read.
        """
        if epoch not in self._sought and self._journal is not None:
            found = await self._search(self._journal, epoch)
            self._sought.add(epoch)
            if found is not None:
                self.note(epoch, found)
        return self._last.get(epoch)

    async def _search(self, journal: Journal, epoch: str) -> int | None:
        name = encode(epoch)[1:-1]
        origin, via = b'"origin":"%s:' % name, b'"via":"%s:' % name
        ends = await journal.query("SELECT min(seq), max(seq) FROM ev")
        if not ends or ends[0][1] is None:
            return None
        first, high = int(ends[0][0]), int(ends[0][1])
        while high >= first:
            low = max(first, high - RANGE + 1)
            rows = await journal.query(
                "SELECT seq, body FROM ev WHERE seq BETWEEN ? AND ? "
                "AND (instr(body, ?) OR instr(body, ?)) ORDER BY seq DESC LIMIT 1",
                (low, high, origin, via),
            )
            if not rows:
                high = low - 1
                continue
            event = decode(bytes(rows[0][1]))
            for key in ("via", "origin"):
                place = event_ref(event.get(key))
                if place is not None and place[0] == epoch:
                    return place[1]
            high = int(rows[0][0]) - 1  # the text stood somewhere inside the event
        return None

    async def newest(self, bot: str) -> bytes | None:
        """The newest event of a bot in the journal that came from elsewhere, within the last
        ``RANGE``; as it was written.

        Raises:
            JournalError: the journal cannot be read.
        """
        if self._journal is None:
            return None
        rows = await self._journal.query(
            "SELECT body FROM ev WHERE seq > (SELECT max(seq) FROM ev) - ? "
            "AND instr(body, ?) AND instr(body, ?) ORDER BY seq DESC LIMIT 1",
            (RANGE, b'"bot":' + encode(bot), b'"origin":"'),
        )
        return bytes(rows[0][0]) if rows else None

    async def comes_from(self, bot: str, epochs: Sequence[str]) -> bool | None:
        """Whether the newest event of a bot came from one of these feeds; ``None`` when the
        journal has none.

        Raises:
            JournalError: the journal cannot be read.
        """
        raw = await self.newest(bot)
        if raw is None:
            return None
        event = decode(raw)
        places = (event_ref(event.get("origin")), event_ref(event.get("via")))
        return any(place is not None and place[0] in epochs for place in places)
