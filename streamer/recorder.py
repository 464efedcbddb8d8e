"""The flight recorder: once a second what changed of the state, so that it can be seen again.

A *whole* sample holds the state but its log; the ones after it only what changed. Together
with the log events between them they give back the state of any second.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .state import MAX_EQUITY, MAX_EVENTS, SECTIONS, FeedState
from .wire import decode, encode

EVERY_S = 1.0
WHOLE_EVERY = 120
"""Samples from one whole one to the next: at most so many are gone through for a jump."""
EVENTS_WITHOUT_SAMPLE = 2000
"""A journal without samples is read from so many events before the moment asked for."""

_WIRE = {
    "account": "ACCOUNT_UPDATE",
    "positions": "POSITION_UPDATE",
    "orders": "ORDERS_UPDATE",
    "quotes": "QUOTE_UPDATE",
}
Marks = dict[int, tuple[float, float]]
"""Ticket -> lowest and highest profit seen so far."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample on its way to the journal: JSON, packed by the writer."""

    at: float
    seq: int
    whole: bool
    raw: bytes


class Recorder:
    """Takes samples of one state."""

    def __init__(self, state: FeedState) -> None:
        self._state = state
        self._left = 0
        self._revisions: dict[str, int] = {}
        self._quotes: dict[str, dict[str, Any]] = {}
        self._since: int | None = None
        self._market: tuple[str | None, float] | None = None
        self._marks: Marks = {}

    def start_anew(self) -> None:
        """The next sample is a whole one: those before it may not have been written."""
        self._left = 0

    def sample(self, at: float, marks: Marks) -> Sample | None:
        """What changed since the last sample; ``None`` when nothing did.

        Args:
            at: Epoch seconds.
            marks: The extremes of the open positions' profit.
        """
        state = self._state
        old, now = self._revisions, dict(state.revisions)
        market = (state.server_time, state.speed)
        if not state.revision or (old == now and market == self._market and marks == self._marks):
            return None
        whole = self._left <= 0
        if whole:
            data = _whole(state)
            data["marks"] = _marks(marks)
            self._left = WHOLE_EVERY
        else:
            data = {
                name: getattr(state, name)
                for name in ("account", "positions", "orders")
                if old.get(name) != now[name]
            }
            if old.get("quotes") != now["quotes"]:
                # The reducer puts a new dict where a quote changed.
                before = self._quotes
                data["quotes"] = {k: q for k, q in state.quotes.items() if before.get(k) is not q}
            if old.get("equity") != now["equity"]:
                data["equity"] = _tail(state.equity, self._since)
            if market != self._market:
                data["server_time"], data["speed"] = market
            if marks != self._marks:
                data["marks"] = _marks(marks)
        self._left -= 1
        self._revisions, self._quotes, self._market = now, state.quotes, market
        self._marks = dict(marks)
        times = state.equity["time"]
        self._since = times[-1] if times else None
        if not data:
            return None
        return Sample(at, state.seq, whole, encode(data))


def _whole(state: FeedState) -> dict[str, Any]:
    data = state.snapshot()
    del data["events"]
    return data


def _marks(marks: Marks) -> dict[str, tuple[float, float]]:
    return {str(ticket): pair for ticket, pair in marks.items()}


def _tail(equity: Mapping[str, list[Any]], since: int | None) -> dict[str, list[Any]]:
    times, at = equity["time"], 0
    if since is not None:
        at = len(times)
        while at and times[at - 1] >= since:
            at -= 1
    return {"time": times[at:], "value": equity["value"][at:]}


def pack_body(raw: bytes) -> bytes:
    """A sample's JSON as it is stored."""
    return zlib.compress(raw, 1)


def open_body(body: bytes) -> dict[str, Any]:
    """The other way.

    Raises:
        ValueError: it is damaged.
    """
    try:
        data = decode(zlib.decompress(body))
    except zlib.error as error:
        raise ValueError(f"a sample is damaged: {error}") from None
    if not isinstance(data, dict):
        raise ValueError("a sample is damaged: no object")
    return data


def apply_sample(
    state: FeedState, data: Mapping[str, Any], now: float, *, whole: bool
) -> list[str]:
    """Put a sample into a state; the types of the state events it stands for.

    Args:
        state: Changed in place.
        data: From ``open_body``.
        now: The moment for ``updated``.
        whole: Whether what the sample does not hold is to go.
    """
    if whole:
        events, seq, epoch = list(state.events), state.seq, state.epoch
        known = dict(state.updated)
        state.load({"data": {**data, "events": events}, "seq": seq, "epoch": epoch}, now)
        # A section that was not told yet when the program began has no age.
        for section in SECTIONS:
            empty = not getattr(state, _ATTRIBUTE.get(section, section))
            if empty and section not in known:
                state.updated.pop(section, None)
        return list(_WIRE.values())
    state.revision += 1
    told = []
    for section, kind in _WIRE.items():
        value = data.get(section)
        if value is None:
            continue
        setattr(state, section, {**state.quotes, **value} if section == "quotes" else value)
        _touch(state, section, now)
        told.append(kind)
    equity = data.get("equity")
    if equity is not None:
        _extend(state.equity, equity)
        _touch(state, "equity", now)
    if "server_time" in data:
        state.server_time, state.speed = data["server_time"], data["speed"]
    return told


_ATTRIBUTE = {"scan": "scan_summary", "trades": "recent_trades"}


def _touch(state: FeedState, section: str, now: float) -> None:
    state.revisions[section] += 1
    state.updated[section] = now


def _extend(equity: dict[str, list[Any]], new: Mapping[str, list[Any]]) -> None:
    times, values = equity["time"], equity["value"]
    if new["time"]:
        while times and times[-1] >= new["time"][0]:
            del times[-1], values[-1]
    times += new["time"]
    values += new["value"]
    del times[:-MAX_EQUITY], values[:-MAX_EQUITY]


@dataclass(slots=True)
class Moment:
    """The state as it was; ``sample`` is the id of the last sample in it, ``at`` the time of
    what came last, epoch seconds."""

    state: FeedState
    at: float
    sample: int
    marks: Marks
    damaged: int = 0
    """Events and samples that could not be read, and were left out."""
    tail: list[tuple[int, bytes]] = field(default_factory=list)
    """The last log events as they were written, oldest first."""
    trades: list[bytes] = field(default_factory=list)
    """Events that a ledger of this moment is made from; filled where it is needed."""


def rebuild(db: sqlite3.Connection, seq: int, sample: int, epoch: str = "") -> Moment:
    """The state after log event ``seq`` and sample ``sample`` (both may be 0: none yet).

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
    samples = db.execute(
        "SELECT id, at, seq, whole, body FROM sample WHERE id >= ? AND id <= ? AND seq <= ? "
        "ORDER BY id",
        (first, sample, seq),
    ).fetchall()
    found.tail = [(int(number), bytes(body)) for number, _, body in events[-MAX_EVENTS:]]
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
        if "marks" in data:
            found.marks = {int(k): (v[0], v[1]) for k, v in data["marks"].items()}
    for event in events[index:]:
        _apply_event(found, event)
    return found


def _apply_event(found: Moment, row: tuple[int, float, bytes]) -> None:
    try:
        event = decode(row[2])
    except ValueError:
        found.damaged += 1
        return
    found.state.apply(event, row[1])
    found.at = max(found.at, row[1])
