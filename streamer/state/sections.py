"""How each kind of section is merged, sampled and loaded.

The table itself is ``streamer.protocol.sections``: a section of a kind that exists needs one line
there and nothing here. ``SECTIONS`` here is the same table with the behaviour of each kind;
``streamer/web/state.js`` has the same rules for the page.

All methods take and return wire values. A content is replaced and never changed in place, except
by ``NEWEST`` and ``CURVE``, whose readers go by the section's revision.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Any

from ..protocol.codec import encode, epoch_seconds
from ..protocol.messages import EVENT_TYPES, STATE_TYPES
from ..protocol.sections import SECTIONS as DECLARED
from ..protocol.sections import Section, SectionKind

Wire = Mapping[str, Any]
_Mark = Enum("_Mark", ["UNCHANGED"])
UNCHANGED = _Mark.UNCHANGED
"""The result of ``reduce`` for an event that is malformed or of no concern."""


def object_of(value: Any) -> dict[str, Any]:
    """A copy of a JSON object; empty for anything else."""
    return dict(value) if isinstance(value, dict) else {}


def objects_of(value: Any) -> list[dict[str, Any]]:
    """The objects in a JSON array; empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


class StateSection:
    """One section of the table with the rules of its kind.

    Attributes:
        declared: Its line of the table.
        name: See ``Section``.
        key: See ``Section``.
        event: See ``Section``.
        label: The key as JSON with a colon, for a snapshot.
        counted: Whether it has a revision and an age of its own.
    """

    counted = True

    def __init__(self, declared: Section) -> None:
        self.declared = declared
        self.name, self.key, self.event = declared.name, declared.key, declared.event
        self.label = encode(declared.key) + b":"

    def empty(self) -> Any:
        """The content before the first event; a new object each time."""
        raise NotImplementedError

    def reduce(self, value: Any, event: Wire) -> Any:
        """The content after an event of the section's type, or ``UNCHANGED``."""
        raise NotImplementedError

    def load(self, raw: Any) -> Any:
        """The content out of a snapshot; what is malformed is left out."""
        raise NotImplementedError

    def wire(self, value: Any) -> Any:
        """The content as a snapshot holds it."""
        return value

    # -- samples of the journal -----------------------------------------------------------

    def mark(self, value: Any) -> Any:
        """What a recorder remembers of the content, to find the changes after it."""
        return None

    def changes(self, value: Any, mark: Any) -> Any:
        """What a sample holds of a content that changed since ``mark``."""
        return value

    def replay(self, value: Any, changes: Any) -> Any:
        """The content after a sample's changes."""
        return changes

    # -- relays ---------------------------------------------------------------------------

    def difference(self, value: Any, shown: Any, *, known: bool) -> Any:
        """What a state event has to carry so that ``value`` becomes what a snapshot shows;
        ``None`` when nothing differs. ``known``: an update was received before."""
        return None


class ObjectSection(StateSection):
    def empty(self) -> Any:
        return {}

    def reduce(self, value: Any, event: Wire) -> Any:
        part = event.get(self.key)
        return {**value, **part} if isinstance(part, dict) else UNCHANGED

    def load(self, raw: Any) -> Any:
        return object_of(raw)

    def difference(self, value: Any, shown: Any, *, known: bool) -> Any:
        if not isinstance(shown, dict):
            return None
        new = any(value.get(key) != item for key, item in shown.items())
        return shown if new else None


class RowsSection(StateSection):
    def empty(self) -> Any:
        return []

    def reduce(self, value: Any, event: Wire) -> Any:
        rows = event.get(self.key)
        return objects_of(rows) if isinstance(rows, list) else UNCHANGED

    def load(self, raw: Any) -> Any:
        return objects_of(raw)

    def difference(self, value: Any, shown: Any, *, known: bool) -> Any:
        if not isinstance(shown, list):
            return None
        return shown if shown != value or not known else None


class ByNameSection(StateSection):
    def empty(self) -> Any:
        return {}

    def reduce(self, value: Any, event: Wire) -> Any:
        part = event.get(self.key)
        return {**value, **self.load(part)} if isinstance(part, dict) else UNCHANGED

    def load(self, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return {}
        return {name: item for name, item in raw.items() if isinstance(item, dict)}

    def mark(self, value: Any) -> Any:
        return value

    def changes(self, value: Any, mark: Any) -> Any:
        # An entry that an update named is a new object.
        before = mark or {}
        return {name: item for name, item in value.items() if before.get(name) is not item}

    def replay(self, value: Any, changes: Any) -> Any:
        return {**value, **changes}

    def difference(self, value: Any, shown: Any, *, known: bool) -> Any:
        if not isinstance(shown, dict):
            return None
        return {name: item for name, item in shown.items() if value.get(name) != item} or None


class LastEventSection(StateSection):
    def empty(self) -> Any:
        return None

    def reduce(self, value: Any, event: Wire) -> Any:
        return dict(event)

    def load(self, raw: Any) -> Any:
        return raw if isinstance(raw, dict) else None


class LastFieldsSection(StateSection):
    def __init__(self, declared: Section) -> None:
        super().__init__(declared)
        self._fields = tuple(declared.fields.items())

    def empty(self) -> Any:
        return {}

    def reduce(self, value: Any, event: Wire) -> Any:
        found: dict[str, Any] = {}
        for key, empty in self._fields:
            item = event.get(key)
            found[key] = item if empty is None or isinstance(item, dict) else {}
        return found

    def load(self, raw: Any) -> Any:
        return object_of(raw)


class NewestSection(StateSection):
    def empty(self) -> Any:
        return []

    def reduce(self, value: Any, event: Wire) -> Any:
        value.insert(0, {key: item for key, item in event.items() if key != "type"})
        del value[self.declared.limit :]
        return value

    def load(self, raw: Any) -> Any:
        return objects_of(raw)[: self.declared.limit]


class LogSection(StateSection):
    """Takes every log event; without what the sections of its type keep out of the log."""

    def __init__(self, declared: Section) -> None:
        super().__init__(declared)
        self._left_out = {s.event: s.not_in_log for s in DECLARED if s.not_in_log}

    def empty(self) -> Any:
        return deque(maxlen=self.declared.limit)

    def reduce(self, value: Any, event: Wire) -> Any:
        line = dict(event)
        value.append(line)
        kind = line.get("type")
        if isinstance(kind, str) and kind in self._left_out:
            for key in self._left_out[kind]:
                line.pop(key, None)
        return value

    def load(self, raw: Any) -> Any:
        return deque(objects_of(raw), maxlen=self.declared.limit)

    def wire(self, value: Any) -> Any:
        return list(value)


class CurveSection(StateSection):
    def empty(self) -> Any:
        return {"time": [], "value": []}

    def reduce(self, value: Any, event: Wire) -> Any:
        part, field = self.declared.source
        holder = event.get(part)
        if not isinstance(holder, dict):
            return UNCHANGED
        at, point = epoch_seconds(event.get("timestamp")), holder.get(field)
        if at is None or isinstance(point, bool) or not isinstance(point, int | float):
            return UNCHANGED
        times, values = value["time"], value["value"]
        if times and at < times[-1]:
            return UNCHANGED
        step = self.declared.step_s
        if times and at // step == times[-1] // step:
            values[-1] = point
        else:
            times.append(at)
            values.append(point)
            if len(times) > self.declared.limit:
                del times[0], values[0]
        return value

    def load(self, raw: Any) -> Any:
        curve, limit = object_of(raw), self.declared.limit
        times, values = curve.get("time"), curve.get("value")
        if not isinstance(times, list) or not isinstance(values, list):
            return self.empty()
        if len(times) != len(values):
            return self.empty()
        return {"time": times[-limit:], "value": values[-limit:]}

    def mark(self, value: Any) -> Any:
        return value["time"][-1] if value["time"] else None

    def changes(self, value: Any, mark: Any) -> Any:
        times, at = value["time"], 0
        if mark is not None:
            at = len(times)
            while at and times[at - 1] >= mark:
                at -= 1
        return {"time": times[at:], "value": value["value"][at:]}

    def replay(self, value: Any, changes: Any) -> Any:
        times, values, limit = value["time"], value["value"], self.declared.limit
        if changes["time"]:
            while times and times[-1] >= changes["time"][0]:
                del times[-1], values[-1]
        times += changes["time"]
        values += changes["value"]
        del times[:-limit], values[:-limit]
        return value


class ValueSection(StateSection):
    counted = False

    def empty(self) -> Any:
        return self.declared.empty

    def reduce(self, value: Any, event: Wire) -> Any:
        item = event.get(self.key)
        return item if self._fits(item) else UNCHANGED

    def load(self, raw: Any) -> Any:
        return raw if self._fits(raw) else self.declared.empty

    def _fits(self, item: Any) -> bool:
        if isinstance(self.declared.empty, float):
            return isinstance(item, int | float) and not isinstance(item, bool)
        return isinstance(item, str)


RULES: dict[SectionKind, type[StateSection]] = {
    SectionKind.OBJECT: ObjectSection,
    SectionKind.ROWS: RowsSection,
    SectionKind.BY_NAME: ByNameSection,
    SectionKind.LAST_EVENT: LastEventSection,
    SectionKind.LAST_FIELDS: LastFieldsSection,
    SectionKind.NEWEST: NewestSection,
    SectionKind.LOG: LogSection,
    SectionKind.CURVE: CurveSection,
    SectionKind.VALUE: ValueSection,
}

SECTIONS: tuple[StateSection, ...] = tuple(RULES[line.kind](line) for line in DECLARED)
"""In the order of a snapshot."""

COUNTED = tuple(section for section in SECTIONS if section.counted)
NAMES: tuple[str, ...] = tuple(section.name for section in COUNTED)
"""Of the sections with a revision and an age."""

SAMPLED = tuple(section for section in SECTIONS if section.declared.sampled)
CARRIED: dict[str, StateSection] = {s.event: s for s in SECTIONS if s.declared.carried}
"""The section that a state event carries, by the event's type."""

VALUES = tuple(section for section in SECTIONS if section.declared.kind is SectionKind.VALUE)
LOG = next(section for section in SECTIONS if section.declared.kind is SectionKind.LOG)


def _by_event() -> dict[str, tuple[StateSection, ...]]:
    found: dict[str, tuple[StateSection, ...]] = {
        kind: () if kind in STATE_TYPES else ONLY_LOG for kind in EVENT_TYPES
    }
    for section in SECTIONS:
        if section.event:
            found[section.event] = (*found[section.event], section)
    return found


ONLY_LOG = (LOG,)
BY_EVENT: dict[str, tuple[StateSection, ...]] = _by_event()
"""The sections that an event of a declared type changes; of another type, ``ONLY_LOG``."""
