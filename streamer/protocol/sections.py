"""The sections of a snapshot, declared once.

Everything that handles the state by sections reads this table: the reducer, snapshots, copies
for slow clients, the journal's samples, replay, relays, the start, the schema, and the browser
page through ``sections.json``, which is generated from it::

    python -m streamer.protocol.sections > streamer/web/sections.json

How the sections of a kind are merged is written in ``streamer.state.sections`` and, for the
page, in ``streamer/web/state.js``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from .lenient import wire_key
from .messages import (
    STATE_TYPES,
    Account,
    AccountUpdate,
    BotStatus,
    Curve,
    PendingOrder,
    Position,
    Quote,
    Scan,
    TerminalStatus,
    TradeExecution,
)
from .payloads import Received


class SectionKind(StrEnum):
    """What a section holds and how an event changes it."""

    OBJECT = "object"
    """A JSON object; an update's fields replace those of the same name."""
    ROWS = "rows"
    """Objects in a list; an update replaces the list."""
    BY_NAME = "by_name"
    """Objects by name; an update replaces those that it names."""
    LAST_EVENT = "last_event"
    """The last event of a type, whole; ``null`` before it."""
    LAST_FIELDS = "last_fields"
    """The fields of the last event that ``item`` declares; ``{}`` before it."""
    NEWEST = "newest"
    """The events of a type without their ``type``, newest first, at most ``limit``."""
    LOG = "log"
    """Every log event, oldest first, at most ``limit``."""
    CURVE = "curve"
    """Arrays ``time`` and ``value``, at most ``limit`` points, one for each ``step_s``."""
    VALUE = "value"
    """A text or a number that comes with the section of the same event."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section.

    Attributes:
        name: In ``FeedState.revisions`` and ``FeedState.updated``.
        kind: What it holds and how it is merged.
        event: The type of the event that changes it; empty for the log: every log event.
        item: The struct of what it holds: the object, a row, an entry, the event.
        key: In the snapshot, as the attribute of ``FeedState``, and in a state event the field
            that holds the new content. The name, unless another is given.
        limit: Most entries; 0: as many as the event has.
        step_s: Seconds of one point (curve).
        source: Object and field of the event that a point is taken from (curve).
        not_in_log: Fields that the event's line in the log is kept without.
        empty: The content before the first event (value).
    """

    name: str
    kind: SectionKind
    event: str
    item: type[Received] | None = None
    key: str = ""
    limit: int = 0
    step_s: int = 0
    source: tuple[str, str] = ("", "")
    not_in_log: tuple[str, ...] = ()
    empty: str | float | None = None

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", self.name)

    @property
    def carried(self) -> bool:
        """Whether a state event carries the content whole (or by name): a client that missed
        some of them is sent the newest one, and a relay makes one of what a snapshot shows."""
        return self.event in STATE_TYPES and self.kind in (
            SectionKind.OBJECT,
            SectionKind.ROWS,
            SectionKind.BY_NAME,
        )

    @property
    def sampled(self) -> bool:
        """Whether the journal's samples hold its changes: no log event brings them back."""
        return self.event in STATE_TYPES and self.kind is not SectionKind.VALUE

    @property
    def fields(self) -> dict[str, dict[str, Any] | None]:
        """The event's fields that are kept, each with its content where the event has none:
        ``{}`` for what must be an object (last fields)."""
        if self.kind is not SectionKind.LAST_FIELDS or self.item is None:
            return {}
        declared = msgspec.structs.fields(self.item)
        return {f.encode_name: {} if f.default_factory is dict else None for f in declared}

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the content; items by reference to ``#/$defs``."""
        item = {"$ref": f"#/$defs/{self.item.__name__}"} if self.item else {"type": "object"}
        match self.kind:
            case SectionKind.OBJECT:
                return item
            case SectionKind.ROWS:
                return {"type": "array", "items": item}
            case SectionKind.BY_NAME:
                return {"type": "object", "additionalProperties": item}
            case SectionKind.LAST_EVENT:
                return {"anyOf": [{"type": "null"}, item]}
            case SectionKind.LAST_FIELDS:
                return {"type": "object"}
            case SectionKind.NEWEST | SectionKind.LOG:
                return {"type": "array", "maxItems": self.limit, "items": {"type": "object"}}
            case SectionKind.CURVE:
                arrays = (("time", "integer"), ("value", "number"))
                made = {key: {"type": "array", "items": {"type": of}} for key, of in arrays}
                return {"type": "object", "properties": made}
            case SectionKind.VALUE:
                number = isinstance(self.empty, float)
                return {"type": "number"} if number else {"type": ["string", "null"]}


EQUITY_STEP_S = 5
"""One point of the equity curve for each this many seconds: an hour in all."""

SECTIONS: tuple[Section, ...] = (
    Section("account", SectionKind.OBJECT, "ACCOUNT_UPDATE", Account),
    Section("positions", SectionKind.ROWS, "POSITION_UPDATE", Position),
    # Only the newest scan's numbers are kept: a snapshot that carried those of every scan in
    # the log would be mostly that.
    Section(
        "scan",
        SectionKind.LAST_FIELDS,
        "SCAN_SUMMARY",
        Scan,
        key="scan_summary",
        not_in_log=("details",),
    ),
    Section(
        "trades",
        SectionKind.NEWEST,
        "TRADE_EXECUTION",
        TradeExecution,
        key="recent_trades",
        limit=50,
    ),
    Section("events", SectionKind.LOG, "", limit=200),
    Section("orders", SectionKind.ROWS, "ORDERS_UPDATE", PendingOrder),
    Section("quotes", SectionKind.BY_NAME, "QUOTE_UPDATE", Quote),
    Section("bot", SectionKind.LAST_EVENT, "BOT_STATUS", BotStatus),
    Section("terminal", SectionKind.LAST_EVENT, "TERMINAL_STATUS", TerminalStatus),
    Section(
        "equity",
        SectionKind.CURVE,
        "ACCOUNT_UPDATE",
        Curve,
        limit=720,
        step_s=EQUITY_STEP_S,
        source=(
            wire_key(AccountUpdate, lambda e: e.account),
            wire_key(Account, lambda a: a.equity),
        ),
    ),
    Section("server_time", SectionKind.VALUE, "QUOTE_UPDATE"),
    Section("speed", SectionKind.VALUE, "QUOTE_UPDATE", empty=1.0),
)
"""In the order of a snapshot."""

MAX_EVENTS = next(section.limit for section in SECTIONS if section.kind is SectionKind.LOG)
DATA_SECTIONS = ("account", "quotes")
"""The newer of these is the age of a bot's data in a heartbeat."""


def sections_json() -> str:
    """The table for the page, one section a line."""
    rows = ",\n".join(f"    {json.dumps(_row(section))}" for section in SECTIONS)
    types = json.dumps(sorted(STATE_TYPES))
    return f'{{\n  "stateTypes": {types},\n  "sections": [\n{rows}\n  ]\n}}\n'


def _row(section: Section) -> dict[str, Any]:
    """What the page reads of a section, without what is empty."""
    row: dict[str, Any] = {
        "name": section.name,
        "key": section.key,
        "kind": section.kind,
        "event": section.event,
        "limit": section.limit,
        "step_s": section.step_s,
        "source": list(filter(None, section.source)),
        "not_in_log": list(section.not_in_log),
        "fields": section.fields,
    }
    row = {key: value for key, value in row.items() if value}
    return {**row, "empty": section.empty} if section.kind is SectionKind.VALUE else row


if __name__ == "__main__":
    print(sections_json(), end="")
