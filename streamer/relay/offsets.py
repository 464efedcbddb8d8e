"""The last published number of each feed, from the relay's own journal.

There is no second file: an event was published exactly if the journal has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..journal.writer import Journal
from ..protocol.codec import decode, encode

SEARCH_ROWS = 50_000
"""Events of the journal that one query searches."""

EventRef = tuple[str, int]
"""Epoch and number of an event on the feed that numbered it."""


def event_ref(text: Any) -> EventRef | None:
    """``EPOCH:SEQ`` as epoch and number; ``None`` when it is something else."""
    if not isinstance(text, str):
        return None
    epoch, _, number = text.rpartition(":")
    if not epoch or not (number.isascii() and number.isdigit() and len(number) <= 18):
        return None
    return epoch, int(number)


class RelayOffsets:
    """The last published number by epoch: of the feed that delivered an event (``via``) and of
    the feed that numbered it first (``origin``).

    Args:
        journal: The relay's journal; without one only this run is known.
        search_rows: Events of the journal that one query searches.
    """

    def __init__(self, journal: Journal | None, search_rows: int = SEARCH_ROWS) -> None:
        self._journal = journal
        self._search_rows = search_rows
        self._last: dict[str, int] = {}
        self._searched: set[str] = set()

    def known(self, epoch: str) -> int | None:
        """The last published number of this epoch, without a search of the journal."""
        return self._last.get(epoch)

    def note(self, epoch: str, seq: int) -> None:
        """Record that an event was published."""
        if seq > self._last.get(epoch, -1):
            self._last[epoch] = seq

    def restart(self, epoch: str, seq: int) -> None:
        """Continue from ``seq`` after the feed's numbers went back."""
        self._last[epoch] = seq

    async def last(self, epoch: str) -> int | None:
        """The last published number of this epoch; ``None`` when there is none.

        Raises:
            JournalError: the journal cannot be read.
        """
        if epoch not in self._searched and self._journal is not None:
            found = await self._search(self._journal, epoch)
            self._searched.add(epoch)
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
            low = max(first, high - self._search_rows + 1)
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
                ref = event_ref(event.get(key))
                if ref is not None and ref[0] == epoch:
                    return ref[1]
            high = int(rows[0][0]) - 1  # the text is in another field of this event
        return None

    async def newest(self, bot: str) -> bytes | None:
        """The newest event of a bot that came from another feed, among the last
        ``search_rows`` of the journal; as it was written.

        Raises:
            JournalError: the journal cannot be read.
        """
        if self._journal is None:
            return None
        rows = await self._journal.query(
            "SELECT body FROM ev WHERE seq > (SELECT max(seq) FROM ev) - ? "
            "AND instr(body, ?) AND instr(body, ?) ORDER BY seq DESC LIMIT 1",
            (self._search_rows, b'"bot":' + encode(bot), b'"origin":"'),
        )
        return bytes(rows[0][0]) if rows else None

    async def comes_from(self, bot: str, epochs: Sequence[str]) -> bool | None:
        """Whether the newest event of a bot came from one of these feeds; ``None`` when the
        journal has no event of the bot.

        Raises:
            JournalError: the journal cannot be read.
        """
        raw = await self.newest(bot)
        if raw is None:
            return None
        event = decode(raw)
        refs = (event_ref(event.get("origin")), event_ref(event.get("via")))
        return any(ref is not None and ref[0] in epochs for ref in refs)
