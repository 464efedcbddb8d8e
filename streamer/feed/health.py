"""Health from evidence: ages and counts, never a flag that could be left set."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ..state.bots import Bot, Bots
from ..state.reducer import FeedState
from .core import FeedCore

log = logging.getLogger("mt5dash.feed")

Status = Literal["ok", "degraded", "down"]
STALE_S = 15.0
LAG_MS = 250.0
_RANK: dict[str, int] = {"ok": 0, "degraded": 1, "down": 2}


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The result of one check: ``age_s`` is the age of the evidence, ``value`` the measurement."""

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
    """Checks and measures by name; each is evaluated when a report is made."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], HealthCheck]] = {}
        self.measures: dict[str, Measure] = {}

    def register(self, name: str, check: Callable[[], HealthCheck]) -> None:
        """Add or replace a check. It is called on the loop and must be quick."""
        self._checks[name] = check

    def remove(self, name: str) -> None:
        """Remove a check that has no meaning for this feed."""
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


class LoopLag:
    """How late the timers of the event loop fire.

    Attributes:
        ms: The largest recent delay, milliseconds; it fades by a tenth with each measurement.
    """

    __slots__ = ("ms",)

    def __init__(self) -> None:
        self.ms = 0.0

    async def sleep(self, seconds: float) -> None:
        """Sleep, and measure how much longer it took."""
        due = time.perf_counter() + seconds
        await asyncio.sleep(seconds)
        late = (time.perf_counter() - due) * 1000
        self.ms = max(late, self.ms * 0.9)


def loop_check(lag: LoopLag) -> HealthCheck:
    """Check how late the loop's timers are."""
    text = f"timers were at most {lag.ms:.0f} ms late recently"
    return HealthCheck("ok" if lag.ms < LAG_MS else "degraded", text, value=lag.ms)


def journal_check(core: FeedCore) -> HealthCheck:
    """Check that the journal is written."""
    if core.journal is None:
        return HealthCheck("ok", "no journal: events are in memory only")
    at = core.journal.last_commit
    age = None if at is None else time.monotonic() - at
    trouble = core.journal_trouble
    if trouble is not None:
        return HealthCheck("down", f"{trouble}; {core.waiting} events wait", age, core.waiting)
    return HealthCheck("ok", f"{core.waiting} events wait", age, core.waiting)


def data_check(state: FeedState, now: float) -> HealthCheck:
    """Check how old a bot's account is."""
    at = state.updated.get("account")
    if at is None:
        return HealthCheck("degraded", "no account has been seen yet")
    age = now - at
    return HealthCheck("ok" if age < STALE_S else "degraded", "age of the account", age)


def terminal_check(state: FeedState, now: float) -> HealthCheck:
    """Check the terminal of a bot by its last TERMINAL_STATUS."""
    known = state.typed.terminal
    if known is None:
        return HealthCheck("degraded", "no terminal has reported yet")
    at = state.updated.get("terminal")
    age = None if at is None else now - at
    word = known.state or "unknown"
    status: Status = "down"
    if word in ("connected", "stale"):
        status = "ok" if word == "connected" else "degraded"
    text = word if known.last_error is None else f"{word}: {known.last_error.text}"
    return HealthCheck(status, text, age)


def bots_report(bots: Bots, now: float) -> dict[str, Any]:
    """Each bot by name: age of its last event and of its data, its account, its counts."""
    found: dict[str, Any] = {}
    for bot in bots:
        heard = None if bot.heard is None else now - bot.heard
        check = heard_check(bot, now)
        found[bot.name] = {
            "own": bot.own,
            "chosen": bot.name == bots.legacy_bot,
            "status": check.status,
            "text": check.text,
            "account": bot.account or None,
            "heard_s": None if heard is None else round(heard, 3),
            "data_age_s": None if (age := bot.age(now)) is None else round(age, 3),
            "published": bot.published,
            "refused": bot.refused,
            "lost": bot.unreachable_reason,
        }
    return found


def heard_check(bot: Bot, now: float) -> HealthCheck:
    """Check that a bot publishes: a silent one is not well, whatever its last event was."""
    if bot.unreachable_reason is not None:
        return HealthCheck("down", f"its source is lost: {bot.unreachable_reason}")
    if bot.heard is None:
        return HealthCheck("degraded", "no event since the feed started")
    age = now - bot.heard
    status: Status = "ok" if age < STALE_S else "degraded"
    return HealthCheck(status, "age of its last event", age)


def bot_health(bot: Bot, report: dict[str, Any], now: float) -> dict[str, Any]:
    """The health of a feed for one of its bots: loop and journal are the feed's, data and
    terminal are that bot's.

    Args:
        bot: One bot of the feed.
        report: ``Health.report()`` of the feed, which is about its own bot.
        now: Now, on the clock of ``FeedState.updated``.
    """
    if bot.own:
        return report
    health = Health()
    health.register("heard", lambda: heard_check(bot, now))
    health.register("data", lambda: data_check(bot.state, now))
    health.register("terminal", lambda: terminal_check(bot.state, now))
    theirs = health.report()
    shared = {
        name: report["checks"][name] for name in ("loop", "journal") if name in report["checks"]
    }
    checks = {**shared, **theirs["checks"]}
    worst = max((check["status"] for check in checks.values()), key=_RANK.__getitem__)
    return {"status": worst, "checks": checks}
