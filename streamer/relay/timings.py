"""Intervals and limits of a relay in seconds; tests shorten them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayTimings:
    """How long a relay waits, and for what. All values are seconds.

    Attributes:
        link_check_s: Between two checks of each upstream's link.
        link_lost_s: A link that recovers within this time is not reported as lost.
        queue_check_s: Between two checks of a journal that is too far behind.
        naming_s: Longest wait for the upstreams before this one to name their bots.
        stale_s: Data older than this degrades the health check of an upstream.
        restart_s: Before an upstream is followed again after an unexpected error.
        journal_retry_s: Before an upstream is followed again after a journal error.
        refused_events_s: Between two reports of events that could not be published.
        audit_s: Longest wait for the audit of a command whose answer was lost.
        reconnect_max_s: Longest delay between two attempts to connect to an upstream. It is
            shorter than a viewer's, because many viewers depend on one relay.
        close_s: Longest wait for the upstreams' tasks at the end.
    """

    link_check_s: float = 0.25
    link_lost_s: float = 1.0
    queue_check_s: float = 0.02
    naming_s: float = 3.0
    stale_s: float = 15.0
    restart_s: float = 1.0
    journal_retry_s: float = 1.0
    refused_events_s: float = 60.0
    audit_s: float = 25.0
    reconnect_max_s: float = 3.0
    close_s: float = 2.0
