"""The flight recorder: a sample of the state once a second, for replay and restart.

A *whole* sample has the state without its log; the following ones have the changes only. Together
with the log events between them they restore the state of any second.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..protocol.codec import decode, encode
from ..protocol.sections import MAX_EVENTS
from ..state.reducer import FeedState, bot_of
from ..state.sections import CARRIED, COUNTED, LOG, SAMPLED, VALUES

EVERY_S = 1.0
WHOLE_EVERY = 120
"""Samples from one whole one to the next; a jump reads at most this many."""
EVENTS_WITHOUT_SAMPLE = 2000
"""A journal without samples is read from this many events before the requested moment."""

Marks = dict[int, tuple[float, float]]
"""Ticket -> lowest and highest profit so far."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample for the journal: JSON, packed by the writer. ``at`` is in epoch seconds."""

    at: float
    seq: int
    whole: bool
    raw: bytes


class Recorder:
    """Takes samples of one state and the bots in it."""

    def __init__(self, state: FeedState) -> None:
        self._state = state
        self._left = 0
        self._recorded: dict[str, _Recorded] = {}

    def start_whole(self) -> None:
        """Make the next sample a whole one: the ones before it may not have been written."""
        self._left = 0

    def sample(self, at: float, marks: Mapping[str, Marks]) -> Sample | None:
        """The changes since the last sample; ``None`` when there are none.

        Args:
            at: Epoch seconds.
            marks: The extremes of the open positions' profit, by bot.
        """
        if not self._state.revision:
            return None
        whole = self._left <= 0
        found: dict[str, dict[str, Any]] = {}
        changed = False
        for state in self._state.each():
            recorded = self._recorded.setdefault(state.name, _Recorded())
            data = recorded.changes(state, marks.get(state.name, {}), whole=whole)
            changed = changed or data is not None
            found[state.name] = data or {}
        if not changed:
            return None
        data = found.pop(self._state.name)
        if whole:
            data["bot_name"] = self._state.name
            data["bots"] = found
            if found:
                data["log"] = {state.name: _numbers(state) for state in self._state.each()}
            self._left = WHOLE_EVERY
        else:
            bots = {name: part for name, part in found.items() if part}
            if bots:
                data["bots"] = bots
        self._left -= 1
        if not data:
            return None
        return Sample(at, self._state.seq, whole, encode(data))


def _numbers(state: FeedState) -> list[int]:
    """The numbers of a bot's log: a busy bot pushes the others' events far back in the journal."""
    return [event["seq"] for event in state.events if type(event.get("seq")) is int]


class _Recorded:
    """The content of the samples so far, for one bot."""

    __slots__ = ("extremes", "marks", "revisions", "values")

    def __init__(self) -> None:
        self.revisions: dict[str, int] = {}
        self.marks: dict[str, Any] = {}
        """The start of the changes since the last sample, by section."""
        self.values: dict[str, Any] = {}
        self.extremes: Marks = {}

    def changes(self, state: FeedState, extremes: Marks, *, whole: bool) -> dict[str, Any] | None:
        """The bot's part of the next sample; ``None`` when nothing has changed."""
        old, now = self.revisions, dict(state.revisions)
        values = {section.key: getattr(state, section.key) for section in VALUES}
        same = old == now and values == self.values and extremes == self.extremes
        if same and not whole:
            return None
        if whole:
            data = _without_log(state.sections())
            data["marks"] = _marks(extremes)
        else:
            data = {
                section.key: section.changes(
                    getattr(state, section.key), self.marks.get(section.name)
                )
                for section in SAMPLED
                if old.get(section.name) != now[section.name]
            }
            if values != self.values:
                data |= values
            if extremes != self.extremes:
                data["marks"] = _marks(extremes)
        self.revisions, self.values, self.extremes = now, values, dict(extremes)
        self.marks = {s.name: s.mark(getattr(state, s.key)) for s in SAMPLED}
        return None if same else data


def _without_log(data: dict[str, Any]) -> dict[str, Any]:
    """The journal has the log events themselves."""
    del data[LOG.key]
    return data


def whole_sample(moment: Moment) -> dict[str, Any]:
    """The content of a whole sample of a moment."""
    data = moment.state.snapshot()
    for name, part in ((moment.state.name, data), *data["bots"].items()):
        _without_log(part)["marks"] = _marks(moment.marks.get(name, {}))
    return data


def _marks(marks: Marks) -> dict[str, tuple[float, float]]:
    return {str(ticket): pair for ticket, pair in marks.items()}


def pack_body(raw: bytes) -> bytes:
    """A sample's JSON as it is stored."""
    return zlib.compress(raw, 1)


def open_body(body: bytes) -> dict[str, Any]:
    """The content of a stored sample.

    Raises:
        ValueError: it is damaged.
    """
    try:
        data = decode(zlib.decompress(body))
    except (zlib.error, TypeError) as error:
        raise ValueError(f"a sample is damaged: {error}") from None
    if not isinstance(data, dict):
        raise ValueError("a sample is damaged: no object")
    return data


def apply_sample(
    state: FeedState, data: Mapping[str, Any], now: float, *, whole: bool
) -> list[tuple[str, str]]:
    """Put a sample into a state; returns type and bot of the state events that it replaces.

    Args:
        state: Changed in place.
        data: From ``open_body``.
        now: The time for ``updated``.
        whole: Whether to remove what the sample does not have.
    """
    if not whole:
        state.revision += 1
        kinds = [(kind, state.name) for kind in _change(state, data, now)]
        for name, part in data.get("bots", {}).items():
            bot = state.get_or_add(name)
            if bot is not None and isinstance(part, dict):
                bot.revision += 1
                kinds += [(kind, name) for kind in _change(bot, part, now)]
        return kinds
    known = {bot.name: (list(bot.events), dict(bot.updated)) for bot in state.each()}
    name = data.get("bot_name") or state.name  # samples written before bots were named have no name
    state.load({"data": {**data, "bot_name": name}, "seq": state.seq, "epoch": state.epoch}, now)
    for bot in state.each():
        events, updated = known.get(bot.name, ([], {}))
        bot.events.extend(events)
        # A section without an update when the program began has no age.
        for section in COUNTED:
            if not getattr(bot, section.key) and section.name not in updated:
                bot.updated.pop(section.name, None)
    return [(kind, bot.name) for bot in state.each() for kind in CARRIED]


def _change(state: FeedState, data: Mapping[str, Any], now: float) -> list[str]:
    """Put the changes of a sample into one bot's state; returns the types of their state events."""
    kinds = []
    for section in SAMPLED:
        changes = data.get(section.key)
        if changes is None:
            continue
        state.put(section, section.replay(getattr(state, section.key), changes), now)
        if section.declared.carried:
            kinds.append(section.event)
    for value in VALUES:
        if value.key in data:
            state.put(value, data[value.key])
    return kinds


def marks_of(data: Mapping[str, Any], name: str) -> dict[str, Marks]:
    """The extremes in a sample, by bot; ``name`` is the bot on its top level."""
    found: dict[str, Marks] = {}
    for bot, part in ((name, data), *data.get("bots", {}).items()):
        if isinstance(part, dict) and isinstance(part.get("marks"), dict):
            found[bot] = {int(k): (v[0], v[1]) for k, v in part["marks"].items()}
    return found


@dataclass(slots=True)
class Moment:
    """The state at one moment of the past.

    Attributes:
        state: The state.
        at: Time of the newest event or sample in it, epoch seconds.
        sample: Id of the newest sample in it.
        marks: The extremes of open positions' profit, by bot.
        damaged: Events and samples that could not be read, and were left out.
        tail: The last log events as they were written, oldest first.
        recent: The last log events of each bot.
        trades: The events that a ledger of this moment is built from; filled where needed.
    """

    state: FeedState
    at: float
    sample: int
    marks: dict[str, Marks]
    damaged: int = 0
    tail: list[tuple[int, bytes]] = field(default_factory=list)
    recent: dict[str, deque[tuple[int, bytes]]] = field(default_factory=dict)
    trades: list[bytes] = field(default_factory=list)


def rebuild(db: sqlite3.Connection, seq: int, sample: int, epoch: str = "") -> Moment:
    """The state after log event ``seq`` and sample ``sample`` (0: none).

    Raises:
        sqlite3.Error: the file cannot be read.
    """
    state = FeedState(epoch)
    found = Moment(state, 0.0, sample, {})
    base = db.execute(
        "SELECT id, seq FROM sample WHERE whole = 1 AND seq <= ? AND id <= ? "
        "ORDER BY seq DESC, id DESC LIMIT 1",
        (seq, sample),
    ).fetchone()
    first, from_seq = (int(base[0]), int(base[1])) if base else (sample + 1, seq)
    back = MAX_EVENTS if base else EVENTS_WITHOUT_SAMPLE
    events = db.execute(
        "SELECT seq, at, body FROM ev WHERE seq > ? AND seq <= ? ORDER BY seq",
        (from_seq - back, seq),
    ).fetchall()
    if base:
        events = _events_before(db, first, from_seq - back) + events
    samples = db.execute(
        "SELECT id, at, seq, whole, body FROM sample WHERE id >= ? AND id <= ? AND seq <= ? "
        "ORDER BY id",
        (first, sample, seq),
    ).fetchall()
    found.tail = [
        (int(n), body)
        for n, _, body in events[-MAX_EVENTS:]
        if n > from_seq - back and isinstance(body, bytes)
    ]
    index = 0
    for _, at, upto, whole, body in samples:
        while index < len(events) and events[index][0] <= upto:
            _apply_event(found, events[index])
            index += 1
        try:
            data = open_body(body)
        except ValueError:
            found.damaged += 1
            continue
        apply_sample(state, data, at, whole=bool(whole))
        found.at = max(found.at, at)
        found.marks |= marks_of(data, state.name)
    for event in events[index:]:
        _apply_event(found, event)
    return found


def _events_before(
    db: sqlite3.Connection, sample: int, until: int
) -> list[tuple[int, float, bytes]]:
    """The events up to number ``until`` that a whole sample lists as the last ones of a bot."""
    body = db.execute("SELECT body FROM sample WHERE id = ?", (sample,)).fetchone()[0]
    try:
        log = open_body(body).get("log")
    except ValueError:
        return []
    lists = log.values() if isinstance(log, dict) else ()
    wanted = sorted({n for numbers in lists for n in numbers if type(n) is int and n <= until})
    marks = ",".join("?" * len(wanted))
    sql = f"SELECT seq, at, body FROM ev WHERE seq IN ({marks}) ORDER BY seq"
    return db.execute(sql, wanted).fetchall()


def _apply_event(found: Moment, row: tuple[int, float, bytes]) -> None:
    try:
        event = decode(row[2])
    except (ValueError, TypeError):  # a damaged row may have a number instead of bytes
        found.damaged += 1
        return
    found.state.apply(event, row[1])
    recent = found.recent.setdefault(bot_of(event), deque(maxlen=MAX_EVENTS))
    recent.append((int(row[0]), row[2]))
    found.at = max(found.at, row[1])
