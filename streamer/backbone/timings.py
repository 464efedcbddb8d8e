"""Intervals and limits of a backbone in seconds; tests shorten them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterTimings:
    """How long a writer waits, and for what. All values are seconds.

    Attributes:
        snapshot_s: Shortest time between two snapshots, while there are new events.
        beat_s: Longest time between two writes: an idle writer shows that it lives.
        dead_s: A holder of the stream whose beat does not change for this long is dead.
        claim_s: Between two claims of a stream that another writer holds.
        reclaim_s: Before a stream that was lost is claimed again.
        first_delay_s: Before the first retry after an error; it doubles with each further one.
        max_delay_s: Longest delay before a retry.
        close_s: Longest wait for the queue at the end.
    """

    snapshot_s: float = 2.0
    beat_s: float = 2.0
    dead_s: float = 10.0
    claim_s: float = 1.0
    reclaim_s: float = 0.05
    first_delay_s: float = 0.1
    max_delay_s: float = 2.0
    close_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderTimings:
    """How long a reader waits, and for what. All values are seconds.

    Attributes:
        block_s: Longest wait of one read; shorter than any time-out of a connection.
        poll_s: Between two checks for a stream, or a snapshot, that does not exist yet.
        first_delay_s: Before the first retry after an error; it doubles with each further one.
        max_delay_s: Longest delay before a retry.
        close_s: Longest wait for the connection to close.
    """

    block_s: float = 1.0
    poll_s: float = 0.3
    first_delay_s: float = 0.1
    max_delay_s: float = 2.0
    close_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherTimings:
    """How long a feed's publisher waits, and for what. All values are seconds.

    Attributes:
        check_s: Between two checks of the writer's state.
        outage_s: An outage that ends within this time is not reported.
        writer: Those of the writer.
    """

    check_s: float = 0.5
    outage_s: float = 3.0
    writer: WriterTimings = WriterTimings()
