"""Health from evidence: ages and counts, never a flag that somebody forgot to lower."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .feed import Feed

log = logging.getLogger("mt5dash.feed")

Status = Literal["ok", "degraded", "down"]
STALE_S = 15.0
LAG_MS = 250.0
_RANK: dict[str, int] = {"ok": 0, "degraded": 1, "down": 2}


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One finding: ``age_s`` is the age of the evidence, ``value`` what was measured."""

    status: Status
    text: str = ""
    age_s: float | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """A number for ``/metrics``: ``counter`` when it only grows."""

    text: str
    value: Callable[[], float]
    counter: bool = False


class Health:
    """Checks and measures by name; each is asked when somebody wants to know."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], HealthCheck]] = {}
        self.measures: dict[str, Measure] = {}

    def register(self, name: str, check: Callable[[], HealthCheck]) -> None:
        """Add or replace a check. It is called on the loop and must be quick."""
        self._checks[name] = check

    def remove(self, name: str) -> None:
        """Take a check away, where it has no meaning."""
        self._checks.pop(name, None)

    def report(self) -> dict[str, Any]:
        """``{status, checks}``: the worst of all, and each."""
        checks: dict[str, Any] = {}
        worst: Status = "ok"
        for name, check in self._checks.items():
            try:
                found = check()
            except Exception as error:
                log.exception("health check %s failed", name)
                found = HealthCheck("degraded", f"the check failed: {type(error).__name__}")
            checks[name] = {
                "status": found.status,
                "text": found.text,
                "age_s": None if found.age_s is None else round(found.age_s, 3),
                "value": None if found.value is None else round(found.value, 3),
            }
            if _RANK[found.status] > _RANK[worst]:
                worst = found.status
        return {"status": worst, "checks": checks}


def register_checks(feed: Feed) -> None:
    """What a feed can tell of itself: loop, journal, age of the data, terminal."""

    def loop() -> HealthCheck:
        lag = feed.loop_lag_ms
        text = f"timers were at most {lag:.0f} ms late of late"
        return HealthCheck("ok" if lag < LAG_MS else "degraded", text, value=lag)

    def journal() -> HealthCheck:
        if feed.journal is None:
            return HealthCheck("ok", "no journal: events are in memory only")
        at = feed.journal.last_commit
        age = None if at is None else time.monotonic() - at
        trouble = feed.journal_trouble
        if trouble is not None:
            return HealthCheck("down", f"{trouble}; {feed.waiting} events wait", age, feed.waiting)
        return HealthCheck("ok", f"{feed.waiting} events wait", age, feed.waiting)

    def data() -> HealthCheck:
        at = feed.state.updated.get("account")
        if at is None:
            return HealthCheck("degraded", "no account has been seen yet")
        age = feed.moment() - at
        return HealthCheck("ok" if age < STALE_S else "degraded", "age of the account", age)

    def terminal() -> HealthCheck:
        known = feed.state.terminal
        if known is None:
            return HealthCheck("degraded", "no terminal has reported yet")
        at = feed.state.updated.get("terminal")
        age = None if at is None else feed.moment() - at
        state = str(known.get("state"))
        status: Status = "down"
        if state in ("connected", "stale"):
            status = "ok" if state == "connected" else "degraded"
        error = known.get("last_error")
        text = f"{state}: {error.get('text')}" if isinstance(error, dict) else state
        return HealthCheck(status, text, age)

    for name, check in (
        ("loop", loop),
        ("journal", journal),
        ("data", data),
        ("terminal", terminal),
    ):
        feed.health.register(name, check)
