"""Applies another feed's snapshot to the relay's own state, beyond its log events.

A snapshot is ahead of the events that follow it and does not say how old its data are. So each
section that differs is published as a state event, each section that is equal keeps its age, and
history from before the relay's start is put before the relay's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ..protocol.codec import iso
from ..protocol.sections import SectionKind
from ..state.reducer import FeedState
from ..state.sections import CARRIED, SECTIONS, VALUES, StateSection
from ..state.source import Wire
from .offsets import event_ref

STATUS = {s.event: s.key for s in SECTIONS if s.declared.kind is SectionKind.LAST_EVENT}
"""Log events that also are a state, and the section of a snapshot that has the last one."""

_BOOKKEEPING = ("seq", "timestamp", "origin", "via", "bot")


def same_status(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two statuses are equal apart from when, and through which feed, they came."""
    if one is None or other is None:
        return one is other
    return _content(one) == _content(other)


def _content(status: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in status.items() if key not in _BOOKKEEPING}


def snapshot_part(state: FeedState) -> Wire:
    """The current data of one bot, as a snapshot has it."""
    part = state.sections()
    for section in SECTIONS:  # these change in place
        if section.declared.kind is SectionKind.CURVE:
            part[section.key] = {name: list(values) for name, values in part[section.key].items()}
        elif section.declared.kind is SectionKind.NEWEST:
            part[section.key] = list(part[section.key])
    return part


def differences(state: FeedState, data: Mapping[str, Any]) -> Iterator[Wire]:
    """State events that bring ``state`` to a snapshot's ``data``.

    A feed without an account does not know its positions and orders yet: its empty lists are
    not taken for "no position".
    """
    account = data.get("account")
    account_known = isinstance(account, dict) and bool(account)
    for section in sorted(CARRIED.values(), key=lambda s: _ORDER.index(s.declared.kind)):
        shown = data.get(section.key)
        if section.declared.kind is SectionKind.ROWS and not account_known:
            continue
        known = section.name in state.updated
        new = section.difference(getattr(state, section.key), shown, known=known)
        if new is not None:
            values = {
                v.key: data[v.key] for v in VALUES if v.event == section.event and data.get(v.key)
            }
            yield {"type": section.event, section.key: new, **values, **_curve_end(section, data)}


_ORDER = (SectionKind.BY_NAME, SectionKind.OBJECT, SectionKind.ROWS)
"""Quotes are published before the account and its positions."""

_CURVES = tuple(s for s in SECTIONS if s.declared.kind is SectionKind.CURVE)


def _curve_end(section: StateSection, data: Mapping[str, Any]) -> dict[str, str]:
    """The time of a section's newest content, as the event's timestamp: the curve of the same
    events ends there."""
    curve = next((data.get(c.key) for c in _CURVES if c.event == section.event), None)
    times = curve.get("time") if isinstance(curve, dict) else None
    if not isinstance(times, list) or not times or type(times[-1]) is not int:
        return {}
    try:
        return {"timestamp": iso(datetime.fromtimestamp(times[-1], UTC))}
    except (ValueError, OverflowError, OSError):
        return {}


def fill_history(state: FeedState, data: Mapping[str, Any], epoch: str) -> bool:
    """Put the history from before the relay's start into ``state``: equity curve, trades, the
    last scan. Returns whether anything changed.

    Args:
        state: Changed in place, after all events that the snapshot contains were applied.
        data: The ``data`` of a snapshot.
        epoch: Epoch of the snapshot's feed.
    """
    changed = False
    for section in SECTIONS:
        fill = FILLED[section.declared.kind]
        if fill is None:
            continue
        filled = fill(section, getattr(state, section.key), data.get(section.key), epoch)
        if filled is not None:
            state.put(section, filled)
            changed = True
    if changed:
        state.revision += 1
    return changed


def _fill_curve(section: StateSection, value: Any, shown: Any, epoch: str) -> Any:
    if not isinstance(shown, dict):
        return None
    times, values = shown.get("time"), shown.get("value")
    if not isinstance(times, list) or not isinstance(values, list) or len(times) != len(values):
        return None
    own = dict(zip(value["time"], value["value"], strict=True))
    whole = {**{t: v for t, v in zip(times, values, strict=True) if type(t) is int}, **own}
    if len(whole) == len(own):
        return None
    kept = sorted(whole)[-section.declared.limit :]
    return {"time": kept, "value": [whole[t] for t in kept]}


def _fill_newest(section: StateSection, value: Any, shown: Any, epoch: str) -> Any:
    if not isinstance(shown, list):
        return None
    held = {event_ref(event.get("origin")) for event in value}
    older = []
    for event in shown:
        if not isinstance(event, dict):
            continue
        line = dict(event)
        seq = line.pop("seq", None)
        if "origin" not in line and type(seq) is int:
            line["origin"] = f"{epoch}:{seq}"
        if event_ref(line.get("origin")) not in held:
            older.append(line)
    if not older:
        return None
    rows = [*value, *older]
    rows.sort(key=lambda event: str(event.get("timestamp") or ""), reverse=True)
    return rows[: section.declared.limit]


def _fill_last(section: StateSection, value: Any, shown: Any, epoch: str) -> Any:
    if not isinstance(shown, dict):
        return None
    newer = str(shown.get("timestamp") or "") > str(value.get("timestamp") or "")
    return dict(shown) if newer else None


FILLED: dict[SectionKind, Callable[[StateSection, Any, Any, str], Any] | None] = {
    SectionKind.CURVE: _fill_curve,
    SectionKind.NEWEST: _fill_newest,
    SectionKind.LAST_FIELDS: _fill_last,
    # Published as events: log events as they are, the last event of a type by ``STATUS``, the
    # others by ``differences``.
    SectionKind.LOG: None,
    SectionKind.LAST_EVENT: None,
    SectionKind.OBJECT: None,
    SectionKind.ROWS: None,
    SectionKind.BY_NAME: None,
    SectionKind.VALUE: None,
}
"""By kind of section: adds a snapshot's older content to its value; ``None``: never changed."""
