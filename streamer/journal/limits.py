"""Limits and intervals of the journal; tests change them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLimits:
    """How much a journal does at once, and how long it waits.

    Attributes:
        batch_events: Most events of one commit.
        tail_events: Newest events that are read at the start.
        read_deadline_s: Longest time of one query, seconds.
        retry_first_s: Before the first retry of a failed commit; it doubles with each further
            one.
        retry_max_s: Longest delay before a retry.
        prune_every_s: Between two checks for old rows.
        prune_pause_s: Between two chunks of pruning, so that waiting events are written first.
        quick_check_bytes: A larger file is checked completely only after the start: SQLite
            cannot be interrupted in the middle of a table.
        quick_check_s: Longest time of SQLite's check at the start.
        newest_events: Newest events whose hashes are checked when the file was not checked
            completely.
        wal_deadline_s: Longest time to read the write-ahead log at the start.
    """

    batch_events: int = 512
    tail_events: int = 2000
    read_deadline_s: float = 2.0
    retry_first_s: float = 0.1
    retry_max_s: float = 2.0
    prune_every_s: float = 60.0
    prune_pause_s: float = 0.02
    quick_check_bytes: int = 512 << 20
    quick_check_s: float = 1.0
    newest_events: int = 10_000
    wal_deadline_s: float = 1.0
