"""The table of words as structs, read once from ``streamer/web/words.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

PATH = Path(__file__).resolve().parent.parent / "web" / "words.json"

LevelName = Literal["debug", "info", "warn", "error"]
EventTone = Literal["quiet", "trade", "change", "result"]
"""What an event is about, for its colour: a trade, a change made to one, its result."""
Tone = Literal["up", "warn", "info", "dim", "crit"]
BadgeSource = Literal["terminal", "bot", "feed"]
BadgeGrade = Literal["ok", "warn", "crit", "dim"]


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the table. A misspelt key is an error at once."""


class TextPart(_Words, frozen=True):
    """A part of a sentence that appears only for some events."""

    text: str
    changed: tuple[str, str] | None = None
    """Fields with the value before and after: the part appears when they differ."""
    locked: tuple[str, str] | None = None
    """Fields with the entry and the stop: the part appears when no loss is possible."""


Text = tuple[str | TextPart, ...]
"""The parts of a sentence; those that are not empty are joined by two spaces."""


class EventCase(_Words, frozen=True):
    """What is different for events whose fields have these values."""

    when: dict[str, str | bool | tuple[str, ...] | None]
    """Field (``last_error.code`` for one inside another) -> its value or values."""
    level: LevelName | None = None
    text: Text | None = None
    alert: str | None = None
    same: tuple[str, ...] | None = None


class EventWords(_Words, frozen=True):
    """How events of one type are called and described.

    Each of level, text, alert and same is that of the first case that fits and has it.
    """

    name: str
    tag: str
    text: Text
    level: LevelName = "info"
    tone: EventTone = "quiet"
    alert: str | None = None
    """The sentence of an alert, for readers who see neither tag nor columns."""
    same: tuple[str, ...] | None = None
    """Fields that are equal in events that repeat each other; ``None``: none does."""
    cases: tuple[EventCase, ...] = ()


class CloseReasonWords(_Words, frozen=True):
    """Why a position was closed: in words, and in one short word."""

    text: str
    short: str


class StageOf(_Words, frozen=True):
    """The code and the gate of a stage that shares its code with others."""

    code: str
    gate: str


class Stage(_Words, frozen=True):
    """One stage of a symbol on its way to a trade."""

    stage: str
    sign: str
    name: str
    tone: Tone
    of: StageOf | None = None
    """``None``: the code of the scan is the name of the stage."""


class LimitWords(_Words, frozen=True):
    """A risk limit's name, and a short one."""

    name: str
    short: str
    decimals: int = 1
    """Of its values in percent."""


class LimitShares(_Words, frozen=True):
    """The shares of a limit from which it is drawn in yellow and in red."""

    warn: float
    crit: float


class Freshness(_Words, frozen=True):
    """How old is old, in seconds. An account that does not change is sent every 5 s, and so is a
    feed's heartbeat."""

    account_live_s: float
    account_slow_s: float
    joining_s: float
    """So long a terminal may take to answer for the first time."""
    frame_live_s: float
    frame_slow_s: float
    late_cycles: float
    """A bot is late after so many of its cycles and ``late_s`` without a scan."""
    late_s: float


class BadgeWords(_Words, frozen=True):
    """The grade of a badge's word, and what it means where nothing else is known."""

    grade: BadgeGrade
    detail: str = ""


class WordTable(_Words, frozen=True):
    """All of ``words.json``."""

    about: str
    events: dict[str, EventWords]
    errors_contain: tuple[str, ...]
    """An unknown event type that contains one of these is an error."""
    close_reasons: dict[str, CloseReasonWords]
    stages: tuple[Stage, ...]
    """From the nearest to a trade to the farthest."""
    unknown_stage: Stage
    modes: dict[str, str]
    limits: dict[str, LimitWords]
    limit_shares: LimitShares
    counted_units: tuple[str, ...]
    """Units of limits that are numbers of things; other units are of money, but ``%``."""
    freshness: Freshness
    badges: dict[BadgeSource, dict[str, BadgeWords]]
    """By what can fall silent and by its word. A word that is not here is ``ok``."""


TABLE = msgspec.json.decode(PATH.read_bytes(), type=WordTable)
