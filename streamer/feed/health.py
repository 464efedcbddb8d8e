"""Health from evidence: ages and counts, never a flag that somebody forgot to lower."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ..state.bots import Bot
    from ..state.reducer import FeedState
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
        return data_check(feed.own, feed.moment())

    def terminal() -> HealthCheck:
        return terminal_check(feed.own, feed.moment())

    for name, check in (
        ("loop", loop),
        ("journal", journal),
        ("data", data),
        ("terminal", terminal),
    ):
        feed.health.register(name, check)


def data_check(state: FeedState, now: float) -> HealthCheck:
    """How old a bot's account is."""
    at = state.updated.get("account")
    if at is None:
        return HealthCheck("degraded", "no account has been seen yet")
    age = now - at
    return HealthCheck("ok" if age < STALE_S else "degraded", "age of the account", age)


def terminal_check(state: FeedState, now: float) -> HealthCheck:
    """How a bot's terminal is."""
    known = state.terminal
    if known is None:
        return HealthCheck("degraded", "no terminal has reported yet")
    at = state.updated.get("terminal")
    age = None if at is None else now - at
    word = str(known.get("state"))
    status: Status = "down"
    if word in ("connected", "stale"):
        status = "ok" if word == "connected" else "degraded"
    error = known.get("last_error")
    text = f"{word}: {error.get('text')}" if isinstance(error, dict) else word
    return HealthCheck(status, text, age)


def bots_report(feed: Feed) -> dict[str, Any]:
    """Each bot of a feed by name: whether it is heard of, its account, what was refused."""
    now = feed.moment()
    found: dict[str, Any] = {}
    for bot in feed.bots:
        heard = None if bot.heard is None else now - bot.heard
        check = heard_check(bot, now)
        found[bot.name] = {
            "own": bot.own,
            "chosen": bot.name == feed.bots.chosen,
            "status": check.status,
            "text": check.text,
            "account": bot.account or None,
            "heard_s": None if heard is None else round(heard, 3),
            "data_age_s": None if (age := bot.age(now)) is None else round(age, 3),
            "published": bot.published,
            "refused": bot.refused,
            "lost": bot.lost,
        }
    return found


def heard_check(bot: Bot, now: float) -> HealthCheck:
    """Whether a bot is heard of: one that is silent is not well, whatever it said last."""
    if bot.lost is not None:
        return HealthCheck("down", f"its source is lost: {bot.lost}")
    if bot.heard is None:
        return HealthCheck("degraded", "not heard of since the feed began")
    age = now - bot.heard
    status: Status = "ok" if age < STALE_S else "degraded"
    return HealthCheck(status, "since anything came from it", age)


def health_of(feed: Feed, bot: Bot, report: dict[str, Any]) -> dict[str, Any]:
    """The health of a feed as it is for one of its bots: the feed's own parts, and that bot's
    data and terminal instead of the own bot's."""
    if bot.own:
        return report
    now = feed.moment()
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
