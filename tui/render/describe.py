"""Events as the screen draws them: the words of ``streamer.words.events``, and their styles."""

from __future__ import annotations

from streamer.protocol.lenient import typed_event
from streamer.protocol.messages import PositionClosed
from streamer.words.events import Level as Level
from streamer.words.events import event_type as event_type
from streamer.words.events import level as level
from streamer.words.events import name as name
from streamer.words.events import repeat_key as repeat_key
from streamer.words.events import tag as tag
from streamer.words.events import text as text
from streamer.words.events import tone
from streamer.words.sentences import Event

DEBUG, INFO, WARN, ERROR = Level
LEVELS = ("ALL", "INFO", "WARN", "ERR")
LEVEL_STYLE = {DEBUG: "faint", INFO: "text", WARN: "warn", ERROR: "crit"}
TONE_STYLE = {"trade": "info", "change": "accent", "quiet": "dim"}


def style(event: Event) -> str:
    """The style of the tag."""
    grade = level(event)
    if grade >= WARN:
        return LEVEL_STYLE[grade]
    kind = tone(event)
    if kind == "result":
        closed = typed_event(event)
        profit = closed.profit if isinstance(closed, PositionClosed) else None
        return "dim" if profit is None else "up" if profit >= 0 else "down"
    return TONE_STYLE[kind]
