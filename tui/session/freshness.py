"""How fresh what the screen shows is: one badge for each thing that can fall silent.

Each badge says it in a word (LIVE, SLOW, STALE, GONE) and in seconds; colour only repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamer.protocol.sanitise import clean

from ..render import format as f

if TYPE_CHECKING:
    from .session import Session

LIVE_S, SLOW_S = 7.0, 12.0
"""An account that does not change is told again every 5 s: up to the first age it is live,
then slow, and after the second one stale."""

JOINING_S = 15.0
"""So long may a terminal take to answer for the first time before it is an alert."""

HEARTBEAT_LIVE_S, HEARTBEAT_SLOW_S = 12.0, 30.0
"""A feed beats every 5 s."""

SIGNS = {"ok": "●", "warn": "◐", "crit": "✕", "dim": "○"}


@dataclass(frozen=True, slots=True)
class Badge:
    """``word`` in capitals, ``grade`` ok/warn/crit/dim, the age in seconds when there is one,
    and ``detail`` in words."""

    name: str
    word: str
    grade: str
    age: float | None = None
    detail: str = ""

    @property
    def sign(self) -> str:
        return SIGNS[self.grade]

    @property
    def stale(self) -> bool:
        return self.grade == "crit"


def _text(value: Any) -> str:
    return str(value.get("text") or value.get("code") or "") if isinstance(value, dict) else ""


def section_age(session: Session, section: str) -> float | None:
    """Seconds since the last event of a section of the state; ``None`` before the first."""
    at = session.state.updated.get(section)
    return None if at is None else max(0.0, session.clock.mono() - at)


def terminal(session: Session) -> Badge:
    """The trading terminal: how old account, positions and quotes are."""
    status = session.state.terminal
    age = section_age(session, "account")
    said = status.get("state") if isinstance(status, dict) else None
    detail = _text(status.get("last_error")) if isinstance(status, dict) else ""
    if session.lost is not None:
        return Badge("terminal", "LOST", "crit", age, clean(session.lost, 200))
    if said == "disconnected":
        waited = section_age(session, "terminal")
        if age is None and waited is not None and waited < JOINING_S:
            return Badge("terminal", "JOINING", "warn", None, detail)
        return Badge("terminal", "GONE", "crit", age, detail or "the terminal does not answer")
    if age is None:
        return Badge("terminal", "WAITING", "dim", None, "no account data yet")
    if age > SLOW_S:
        return Badge("terminal", "STALE", "crit", age, detail or "no account data any more")
    if age > LIVE_S:
        return Badge("terminal", "SLOW", "warn", age, detail)
    ages = (section_age(session, s) for s in ("positions", "quotes"))
    newest = min((a for a in ages if a is not None), default=age)
    age = min(age, newest)
    if said == "stale":
        return Badge("terminal", "SLOW", "warn", age, detail)
    return Badge("terminal", "LIVE", "ok", age, detail)


def bot(session: Session) -> Badge:
    """The worker: what it does, and the age of its last scan."""
    status = session.state.bot
    age = session.scan_age()
    if not isinstance(status, dict) or not status.get("state"):
        if session.source.link.state == "starting":
            return Badge("bot", "STARTING", "warn", None, "the program is loading")
        if age is None:
            return Badge("bot", "UNKNOWN", "dim", None, "no bot has spoken on this feed")
        return Badge("bot", "LIVE", "ok", age)
    state = str(status["state"])
    detail = _text(status.get("reason"))
    if state in ("error", "halted"):
        return Badge("bot", state.upper(), "crit", age, detail)
    if state in ("paused", "stopped"):
        return Badge("bot", state.upper(), "warn", age, detail)
    if state == "starting":
        return Badge("bot", "STARTING", "warn", age, detail)
    period = f.known(status.get("cycle_s"))
    if period and age is not None and age > 2 * period + 2:
        return Badge("bot", "LATE", "crit", age, f"no scan for {f.whole_age(age)}")
    return Badge("bot", state.upper(), "ok", age, detail)


def feed(session: Session) -> Badge:
    """The feed, as this screen sees it: in this process, or over its connection."""
    link = session.source.link
    now = session.clock.mono()
    if link.state == "starting":
        return Badge("feed", "STARTING", "warn")
    if link.state == "replay":
        return Badge("feed", "REPLAY", "warn", None, link.url)
    if link.state == "local":
        trouble = session.journal_trouble()
        if trouble:
            return Badge("feed", "HELD", "crit", None, f"journal: {trouble}")
        return Badge("feed", "ON", "ok", None, link.url)
    age = None if link.last_frame is None else max(0.0, now - link.last_frame)
    if link.state == "live":
        if age is not None and age > HEARTBEAT_SLOW_S:
            return Badge("feed", "STALE", "crit", age, "no frame any more")
        if age is not None and age > HEARTBEAT_LIVE_S:
            return Badge("feed", "SLOW", "warn", age, link.detail)
        return Badge("feed", "LIVE", "ok", age, link.url)
    if link.state == "connecting":
        return Badge("feed", "JOINING", "warn", age, link.detail or link.url)
    return Badge("feed", link.state.upper(), "crit", now - link.since, link.detail)


def badges(session: Session) -> tuple[Badge, Badge, Badge]:
    return terminal(session), bot(session), feed(session)
