"""Events in words: a short tag, a level, one line of text, and the sentence of an alert.

The words are those of ``streamer/web/words.json``. Events are an open world: an event whose type
is not in the table is shown by its type and its fields. Functions take events as they are on the
wire; malformed fields are shown as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from . import sentences
from .sentences import FORMATS, Event, Look, value_at
from .table import TABLE, EventCase, EventTone

FOREIGN_MAX = 2000
"""Characters of an unknown event's fields."""
TAG_MAX = 6


class Level(IntEnum):
    """How much an event matters."""

    DEBUG = 0
    INFO = 1
    WARN = 2
    ERROR = 3


_LEVELS = {level.name.lower(): level for level in Level}
_LOOK = Look(mask=False, decimals=None)


def event_type(event: Event) -> str:
    """The type of an event; ``?`` where it has none."""
    value = event.get("type")
    return value if isinstance(value, str) and value else "?"


def name(event: Event) -> str:
    """What a trader calls the event; its type where the table does not know it."""
    words = TABLE.events.get(event_type(event))
    return event_type(event) if words is None else words.name


def tag(event: Event) -> str:
    """At most six letters that name the kind."""
    kind = event_type(event)
    words = TABLE.events.get(kind)
    return words.tag if words is not None else kind.replace("_", " ")[:TAG_MAX].strip()


def level(event: Event) -> Level:
    """How much an event matters."""
    kind = event_type(event)
    words = TABLE.events.get(kind)
    if words is None:
        wrong = any(part in kind for part in TABLE.errors_contain)
        return Level.ERROR if wrong else Level.INFO
    for case in words.cases:
        if case.level is not None and _fits(case, event):
            return _LEVELS[case.level]
    return _LEVELS[words.level]


def tone(event: Event) -> EventTone:
    """What an event is about, for its colour."""
    words = TABLE.events.get(event_type(event))
    return "quiet" if words is None else words.tone


def text(event: Event, *, mask: bool = False) -> str:
    """One line that says what happened. ``mask`` hides money."""
    words = TABLE.events.get(event_type(event))
    if words is None:
        return _foreign(event)
    for case in words.cases:
        if case.text is not None and _fits(case, event):
            return sentences.write_text(case.text, event, mask=mask)
    return sentences.write_text(words.text, event, mask=mask)


def alert(event: Event, *, mask: bool = False) -> str | None:
    """The sentence of an alert about the event; ``None`` where the table has none."""
    words = TABLE.events.get(event_type(event))
    if words is None:
        return None
    template = words.alert
    for case in words.cases:
        if case.alert is not None and _fits(case, event):
            template = case.alert
            break
    return None if template is None else sentences.write(template, event, mask=mask)


def repeat_key(event: Event) -> object | None:
    """A value that is equal for events that are shown as one line with a count.

    ``None``: never folded (each trade, order and command counts by itself).
    """
    words = TABLE.events.get(event_type(event))
    if words is None:
        return None
    same = words.same
    for case in words.cases:
        if case.same is not None and _fits(case, event):
            same = case.same
            break
    if same is None:
        return None
    return (event_type(event), *(_same(event, field) for field in same))


def _same(event: Event, field: str) -> Any:
    path, _, kind = field.partition(":")
    value = value_at(event, path)
    return FORMATS[kind](value, _LOOK) if kind else value


def _fits(case: EventCase, event: Event) -> bool:
    for path, wanted in case.when.items():
        value = event.get(path) if "." not in path else value_at(event, path)
        if isinstance(wanted, tuple):
            if value not in wanted:
                return False
        elif value != wanted or type(value) is not type(wanted):
            return False
    return True


def _foreign(event: Event) -> str:
    rest = {k: v for k, v in event.items() if k not in ("type", "timestamp", "seq")}
    return f"{event_type(event)} {sentences.as_json(rest)[:FOREIGN_MAX]}"


def connecting(status: Any) -> bool:
    """Whether a terminal's status says that it is being reached for the first time."""
    error = status.get("last_error") if isinstance(status, Mapping) else None
    return isinstance(error, Mapping) and error.get("code") == "STARTING"
