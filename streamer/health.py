"""Health from evidence: ages and counts, never a flag that somebody forgot to lower."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

log = logging.getLogger("mt5dash.feed")

Status = Literal["ok", "degraded", "down"]
_RANK: dict[str, int] = {"ok": 0, "degraded": 1, "down": 2}


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One finding: ``age_s`` is the age of the evidence, ``value`` what was measured."""

    status: Status
    text: str = ""
    age_s: float | None = None
    value: float | None = None


class Health:
    """Checks by name; each is asked when somebody wants to know."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], HealthCheck]] = {}

    def register(self, name: str, check: Callable[[], HealthCheck]) -> None:
        """Add or replace a check. It is called on the loop and must be quick."""
        self._checks[name] = check

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
