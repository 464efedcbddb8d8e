"""Freshness of what the screen shows: one badge each for terminal, bot and feed. Pure.

Each badge has a word (LIVE, SLOW, STALE, DISCONNECTED) and an age; colour only repeats the word.
Words, grades and thresholds are those of ``streamer/web/words.json``; the page grades by the same
rules (``streamer/web/fresh.js``) and passes the same vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamer.protocol.messages import BotStatus, Reason, TerminalStatus
from streamer.protocol.sanitise import clean
from streamer.state.source import Link
from streamer.words.figures import whole_age
from streamer.words.table import TABLE, BadgeGrade, BadgeSource, BadgeWords

SIGNS: dict[BadgeGrade, str] = {"ok": "●", "warn": "◐", "crit": "✕", "dim": "○"}
DETAIL_MAX = 200
FINE = BadgeWords(grade="ok")


@dataclass(frozen=True, slots=True)
class Badge:
    """``word`` in capitals, its grade, the age in seconds when there is one, and ``detail`` in
    words."""

    name: BadgeSource
    word: str
    age: float | None = None
    detail: str = ""

    @property
    def grade(self) -> BadgeGrade:
        return TABLE.badges[self.name].get(self.word, FINE).grade

    @property
    def sign(self) -> str:
        return SIGNS[self.grade]

    @property
    def stale(self) -> bool:
        return self.grade == "crit"


def _badge(name: BadgeSource, word: str, age: float | None = None, detail: str = "") -> Badge:
    return Badge(name, word, age, detail or TABLE.badges[name].get(word, FINE).detail)


def _text(reason: Reason | None) -> str:
    return "" if reason is None else reason.text or reason.code or ""


def terminal(
    status: TerminalStatus | None,
    *,
    known: bool,
    age: float | None,
    other_age: float | None = None,
    status_age: float | None = None,
    lost: str | None = None,
) -> Badge:
    """The trading terminal.

    Args:
        status: Its last status.
        known: Whether there is an account.
        age: Seconds since the account was read; ``None`` where that is unknown.
        other_age: The same of positions and quotes, the newer of them.
        status_age: Seconds since the status came.
        lost: Why the bot cannot be reached, where the feed reports it.
    """
    limits = TABLE.freshness
    state = None if status is None else status.state
    detail = "" if status is None else _text(status.last_error)
    if lost is not None:
        return _badge("terminal", "LOST", age, clean(lost, DETAIL_MAX))
    if state == "disconnected":
        if not known and status_age is not None and status_age < limits.joining_s:
            return _badge("terminal", "CONNECTING", None, detail)
        return _badge("terminal", "DISCONNECTED", age, detail)
    if not known:
        return _badge("terminal", "WAITING")
    if age is None:
        return _badge("terminal", "UNKNOWN")
    if age > limits.account_slow_s:
        return _badge("terminal", "STALE", age, detail)
    if age > limits.account_live_s:
        return _badge("terminal", "SLOW", age, detail)
    newest = age if other_age is None else min(age, other_age)
    if state == "stale":
        return _badge("terminal", "SLOW", newest, detail)
    market = "" if status is None else status.market or ""
    return _badge("terminal", "LIVE", newest, detail or market)


def bot(status: BotStatus | None, *, age: float | None, loading: bool = False) -> Badge:
    """The bot: its state, and the age of its last scan.

    Args:
        status: Its last status.
        age: Seconds since its last scan.
        loading: Whether this program still starts.
    """
    state = None if status is None else status.state
    if status is None or not state:
        if loading:
            return _badge("bot", "STARTING")
        return _badge("bot", "UNKNOWN") if age is None else _badge("bot", "LIVE", age)
    word, detail = str(state).upper(), _text(status.reason)
    if TABLE.badges["bot"].get(word, FINE).grade != "ok":
        return Badge("bot", word, age, detail)
    limits, period = TABLE.freshness, status.cycle_s
    if period and age is not None and age > limits.late_cycles * period + limits.late_s:
        text = TABLE.badges["bot"]["LATE"].detail
        return _badge("bot", "LATE", age, text.replace("{age}", whole_age(age)))
    return _badge("bot", word, age, detail)


def feed(link: Link, *, now: float, journal_trouble: str | None = None) -> Badge:
    """The feed, as this screen sees it: in this process, or over its connection.

    Args:
        link: The connection of the screen to it.
        now: Monotonic seconds.
        journal_trouble: Why its journal cannot be written.
    """
    limits = TABLE.freshness
    held = TABLE.badges["feed"]["HELD"].detail.replace("{trouble}", journal_trouble or "")
    age = None if link.last_frame is None else max(0.0, now - link.last_frame)
    match link.state:
        case "starting":
            return _badge("feed", "STARTING")
        case "replay":
            return _badge("feed", "REPLAY", None, link.url)
        case "local":
            if journal_trouble:
                return _badge("feed", "HELD", None, held)
            return _badge("feed", "ON", None, link.url)
        case "live":
            if age is not None and age > limits.frame_slow_s:
                return _badge("feed", "STALE", age)
            if journal_trouble:
                return _badge("feed", "HELD", age, held)
            if age is not None and age > limits.frame_live_s:
                return _badge("feed", "SLOW", age, link.detail)
            return _badge("feed", "LIVE", age, link.url)
        case "connecting":
            return _badge("feed", "CONNECTING", age, link.detail or link.url)
    word = link.state.upper()
    return _badge(
        "feed", word if word in TABLE.badges["feed"] else "LOST", now - link.since, link.detail
    )
