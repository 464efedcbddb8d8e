"""Intervals and limits of the alerts in seconds; tests shorten them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTimings:
    """How long the alerts wait, and for what. All values are seconds.

    Attributes:
        check_s: Between two checks of conditions that last (stale data, a journal in trouble).
        healthy_s: The dead-man ping is sent only if such a check has found everything well
            within this time.
        failure_report_s: A failing channel is reported on the feed once in this time.
        retry_delays_s: Before each further try of a delivery; their number bounds the tries.
        retry_after_max_s: Longest delay that a server can ask for.
        close_s: Longest wait for undelivered messages at the end.
    """

    check_s: float = 1.0
    healthy_s: float = 10.0
    failure_report_s: float = 60.0
    retry_delays_s: tuple[float, ...] = (1.0, 5.0, 25.0)
    retry_after_max_s: float = 120.0
    close_s: float = 1.0
