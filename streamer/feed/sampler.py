"""Samples of the state for the journal, so that every second can be replayed."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..journal.recorder import EVERY_S, Recorder
from ..journal.writer import Journal
from ..state.bots import Bots
from ..state.reducer import FeedState


class Sampler:
    """Writes a sample of the state to the journal once a second, when something changed.

    Args:
        journal: Where samples are written.
        state: The state of the feed.
        bots: Its bots; the extremes of their open positions are sampled too.
        clock: Epoch seconds for the journal's index.

    Attributes:
        due: When the next sample is due, ``time.monotonic``.
    """

    def __init__(
        self, journal: Journal, state: FeedState, bots: Bots, clock: Callable[[], float]
    ) -> None:
        self._journal = journal
        self._bots = bots
        self._clock = clock
        self._recorder = Recorder(state)
        self._dropped = 0
        self.due = 0.0

    def tick(self, tolerance: float) -> None:
        """Take a sample when one is due within ``tolerance`` seconds."""
        now = time.monotonic()
        if now >= self.due - tolerance:
            self.due = now + EVERY_S
            self.take()

    def take(self) -> None:
        """Take a sample now, unless nothing changed or the journal cannot be written."""
        journal = self._journal
        if not journal.settings.samples or not journal.ok:
            return
        if journal.samples_dropped != self._dropped:
            self._dropped = journal.samples_dropped
            self._recorder.start_whole()
        marks = {bot.name: bot.ledger.marks for bot in (self._bots.default_bot, *self._bots)}
        sample = self._recorder.sample(self._clock(), marks)
        if sample is not None:
            journal.record(sample)
