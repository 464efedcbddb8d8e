"""Replay: a journal as a ``Source`` that plays, pauses, steps and jumps.

At each moment it shows what the dashboard showed then, to the second: log events with their own
numbers and bytes, and the state as it was sampled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..protocol.codec import decode
from ..protocol.messages import CommandError, CommandResult
from ..state.reducer import FeedState
from ..state.sections import CARRIED
from ..state.source import NO_CAPABILITIES, Link, Wire
from ..state.watchers import Watchers
from . import schema
from .recorder import Moment, apply_sample, open_body, rebuild
from .sql_reader import ReadError, SqlReader

log = logging.getLogger("mt5dash.replay")

READ_DEADLINE_S = 5.0
PAGE_ROWS = 500
SLICE_S = 0.005
"""Longest time on the loop before other tasks run."""
LONGEST_PAUSE_S = 5.0
"""Longest pause without rows that is played; a longer one (the program was off) is skipped."""
SPEEDS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)


class RecordedRow:
    """One row of a journal: a log event (``sample`` is 0, ``kind`` its type), or a sample (``kind``
    is "+" for a whole one, else empty)."""

    __slots__ = ("at", "body", "kind", "sample", "seq")

    def __init__(self, seq: int, sample: int, at: float, kind: str, body: bytes) -> None:
        self.seq, self.sample, self.at, self.kind, self.body = seq, sample, at, kind, body


_EVENTS = "SELECT seq, at, type, body FROM ev WHERE seq > ? ORDER BY seq LIMIT ?"
_SAMPLES = "SELECT seq, id, at, whole, body FROM sample WHERE id > ? ORDER BY id LIMIT ?"


class Replay:
    """Plays a journal. Used on the loop only.

    Args:
        path: The journal, or an incident file. It is only read, and may be in use.
        start: The first moment, epoch seconds; ``None``: the first row.
        end: The last moment, epoch seconds; ``None``: the last row.
        speed: Seconds of the past per second.
        clock: Monotonic seconds; tests pass their own.

    Attributes:
        first: The first moment, epoch seconds.
        last: The last moment, epoch seconds.
        position: The moment that is shown, epoch seconds.
        speed: See above.
        playing: Whether it plays.
        ended: Whether it has played to the end.
        damaged: Rows that could not be read, and were left out.
        on_event: Called with each log event that is played, and its bytes.
        on_sample: Called with type and bot of the state events of each sample that is played.
        on_jump: Called after each jump.
    """

    def __init__(
        self,
        path: Path,
        *,
        start: float | None = None,
        end: float | None = None,
        speed: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.state = FeedState()
        self.first = self.last = 0.0
        self.position = 0.0
        self.speed = speed
        self.playing = False
        self.ended = False
        self.damaged = 0
        self._start, self._end = start, end
        self._clock = clock
        self._opened = clock()
        self._reader = SqlReader(path, READ_DEADLINE_S)
        self.capabilities = NO_CAPABILITIES
        self._watchers: Watchers[Wire] = Watchers("the replay", log)
        self._rows: deque[RecordedRow] = deque()
        self._last_row = (0, 0)
        """Numbers of the last event and of the last sample that were read."""
        self._shown = (0, 0)
        """Numbers of the last event and of the last sample that were shown."""
        self._task: asyncio.Task[None] | None = None
        self._jumps = 0
        self._jumping = asyncio.Lock()
        self.on_event: Callable[[Wire, bytes], None] | None = None
        self.on_sample: Callable[[list[tuple[str, str]]], None] | None = None
        self.on_jump: Callable[[Moment], None] | None = None

    # -- start and stop -------------------------------------------------------------------

    async def open(self) -> None:
        """Read the journal's bounds and go to the start.

        Raises:
            JournalError: the file cannot be read, or is empty.
        """
        self.first, self.last = await asyncio.to_thread(_span, self.path)
        if self._end is not None:
            self.last = min(self.last, self._end)
        first = self.first if self._start is None else self._start
        if first > self.last:
            raise schema.JournalError(f"{self.path}: its last row is before that time")
        await self.seek(first)

    async def close(self) -> None:
        """Stop playing and close the file."""
        self.pause()
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._reader.close()

    # -- Source ---------------------------------------------------------------------------

    @property
    def link(self) -> Link:
        """A replay is never live."""
        return Link("replay", str(self.path), self._opened, self._clock())

    def watch(self, callback: Callable[[Wire], None]) -> Callable[[], None]:
        """See ``Source.watch``. After a jump the callback gets a ``STATE_SNAPSHOT``."""
        return self._watchers.add(callback)

    async def command(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        bot: str | None = None,
    ) -> CommandResult:
        """Refuse the command: a recording takes none."""
        return CommandResult(
            id=id or "",
            ok=False,
            error=CommandError(
                code="REPLAY", message="this is a recording; go back to the live screen to act"
            ),
        )

    # -- moving ---------------------------------------------------------------------------

    def now(self) -> float:
        """The moment that is shown; the clock of a screen that draws this source."""
        return self.position

    async def seek(self, at: float) -> None:
        """Show the moment ``at`` (epoch seconds), or the nearest existing one.

        Raises:
            JournalError: the file cannot be read.
        """
        at = min(max(at, self.first), self.last)
        async with self._moving():
            self._show_moment(await asyncio.to_thread(_moment_at, self.path, at), at)

    async def step(self, events: int) -> None:
        """Go forward (or back, if negative) by a number of log events, and pause there.

        Raises:
            JournalError: the file cannot be read.
        """
        self.pause()
        async with self._moving():
            seq = await asyncio.to_thread(_seq_from, self.path, self._shown[0], events)
            if seq is None:
                return
            moment = await asyncio.to_thread(_moment_of, self.path, seq)
            self._show_moment(moment, moment.at)

    def play(self) -> None:
        """Play from the current moment at ``speed``."""
        if not self.playing:
            self.playing, self.ended = True, False
            self._task = asyncio.create_task(self._play(), name="replay")

    def pause(self) -> None:
        """Pause at the current moment."""
        if self.playing:
            self.playing = False
            if self._task is not None:
                self._task.cancel()

    def set_speed(self, speed: float) -> None:
        """Set the seconds of the past per second; takes effect at once, also while playing."""
        was_playing = self.playing
        self.pause()
        self.speed = speed
        if was_playing:
            self.play()

    @contextlib.asynccontextmanager
    async def _moving(self) -> Any:
        """Interrupt playing for a jump, one jump at a time, and continue afterwards."""
        was_playing = self.playing
        self.pause()
        async with self._jumping:
            try:
                yield
            except (sqlite3.Error, OSError) as error:
                raise schema.JournalError(f"{self.path}: cannot be read: {error}") from None
        if was_playing:
            self.play()

    def _show_moment(self, moment: Moment, at: float) -> None:
        revision = self.state.revision
        fresh = moment.state
        state = self.state
        self._jumps += 1
        # A new epoch after each jump, so that no client resumes from before it.
        epoch = f"{fresh.epoch}-{self._jumps}"
        state.load({"data": fresh.snapshot(), "epoch": epoch, "seq": fresh.seq})
        state.updated = dict(fresh.updated)
        state.revision = max(state.revision, revision + 1)
        self.damaged = moment.damaged
        self.position = min(max(at, self.first), self.last)
        self._rows.clear()
        self._shown = self._last_row = (fresh.seq, moment.sample)
        if self.on_jump is not None:
            self.on_jump(moment)
        self._watchers.notify({"type": "STATE_SNAPSHOT", "epoch": state.epoch, "seq": state.seq})

    # -- playing --------------------------------------------------------------------------

    async def _play(self) -> None:
        try:
            await self._play_rows()
        except schema.JournalError as error:
            log.error("%s", error)
            self.playing = False

    async def _play_rows(self) -> None:
        began, origin = self._clock(), self.position
        busy = time.perf_counter()
        while True:
            if not self._rows and not await self._fetch():
                break
            row = self._rows[0]
            if row.at > self.last:
                break
            wait = row.at - (origin + (self._clock() - began) * self.speed)
            if row.at - self.position > LONGEST_PAUSE_S and wait > LONGEST_PAUSE_S * self.speed:
                origin += wait  # there are no rows because the program was off
                continue
            if wait > 0:
                await self._wait(wait / self.speed, began, origin)
                busy = time.perf_counter()
                continue
            self._rows.popleft()
            self._show(row)
            if time.perf_counter() - busy > SLICE_S:
                await asyncio.sleep(0)
                busy = time.perf_counter()
        self.position = self.last
        self.playing, self.ended = False, True

    async def _wait(self, seconds: float, began: float, origin: float) -> None:
        """Sleep for a tenth of a second at most; the position advances with the clock."""
        await asyncio.sleep(min(seconds, 0.1))
        due = min(self.last, origin + (self._clock() - began) * self.speed)
        self.position = max(self.position, min(due, self._rows[0].at))

    async def _fetch(self) -> bool:
        try:
            events = await self._reader.query(_EVENTS, (self._last_row[0], PAGE_ROWS))
            samples = await self._reader.query(_SAMPLES, (self._last_row[1], PAGE_ROWS))
        except ReadError as error:
            raise schema.JournalError(f"{self.path}: cannot be read: {error}") from None
        rows = [RecordedRow(seq, 0, at, kind, body) for seq, at, kind, body in events]
        # A sample follows the events it was taken after. Rows are used only as far as no unread
        # row can come before them.
        rows += [RecordedRow(s[0], s[1], s[2], "+" if s[3] else "", s[4]) for s in samples]
        until = min(
            (page[-1][0] for page in (events, samples) if len(page) == PAGE_ROWS), default=None
        )
        rows.sort(key=lambda row: (row.seq, row.sample))
        if until is not None:
            whole_page = [row for row in rows if row.seq < until]
            rows = whole_page or rows
        self._rows.extend(rows)
        before, self._last_row = (
            self._last_row,
            (
                max((r.seq for r in rows if not r.sample), default=self._last_row[0]),
                max((r.sample for r in rows), default=self._last_row[1]),
            ),
        )
        if rows and self._last_row <= before:  # the same rows would be read for ever
            raise schema.JournalError(f"{self.path}: its rows are out of order: it is damaged")
        return bool(rows)

    def _show(self, row: RecordedRow) -> None:
        # The position does not go back when the recorded clock was set back.
        self.position = max(self.position, row.at)
        try:
            data = open_body(row.body) if row.sample else decode(row.body)
        except ValueError:
            self.damaged += 1
            return
        if row.sample:
            self._shown = (self._shown[0], row.sample)
            kinds = apply_sample(self.state, data, row.at, whole=row.kind == "+")
            if self.on_sample is not None:
                self.on_sample(kinds)
            for kind, name in kinds:
                event = (self.state.of(name) or self.state).carried_event(CARRIED[kind])
                self._watchers.notify({**event, "bot": name} if name else event)
            return
        self._shown = (row.seq, self._shown[1])
        self.state.apply(data, row.at)
        if self.on_event is not None:
            self.on_event(data, row.body)
        self._watchers.notify(data)


# -- in a thread --------------------------------------------------------------------------


def _span(path: Path) -> tuple[float, float]:
    db = schema.read_only(path)
    try:
        found = db.execute(
            "SELECT min(a), max(b) FROM ("
            "SELECT (SELECT min(at) FROM ev) a, (SELECT max(at) FROM ev) b UNION ALL "
            "SELECT (SELECT min(at) FROM sample), (SELECT max(at) FROM sample))"
        ).fetchone()
    except sqlite3.Error as error:
        raise schema.JournalError(f"{path}: cannot be read: {error}") from None
    finally:
        db.close()
    if found[0] is None:
        raise schema.JournalError(f"{path}: the journal is empty")
    return float(found[0]), float(found[1])


def _rebuild(db: sqlite3.Connection, seq: int, sample: int) -> Moment:
    moment = rebuild(db, seq, sample, f"replay-{schema.read_meta(db).get('epoch', '')}")
    moment.trades = schema.ledger_events(db, seq)
    return moment


def _moment_at(path: Path, at: float) -> Moment:
    db = schema.read_only(path)
    try:
        event = db.execute(
            "SELECT seq FROM ev WHERE at <= ? ORDER BY at DESC, seq DESC LIMIT 1", (at,)
        ).fetchone()
        sample = db.execute(
            "SELECT id, seq FROM sample WHERE at <= ? ORDER BY at DESC, id DESC LIMIT 1", (at,)
        ).fetchone()
        sample = sample or (0, 0)
        return _rebuild(db, max(event[0] if event else 0, sample[1]), sample[0])
    finally:
        db.close()


def _seq_from(path: Path, seq: int, events: int) -> int | None:
    """The number of the event that is ``events`` after (before) ``seq``, or of the last (first)."""
    db = schema.read_only(path)
    try:
        where, order = ("seq > ?", "ASC") if events > 0 else ("seq < ?", "DESC")
        rows = db.execute(
            f"SELECT seq FROM ev WHERE {where} ORDER BY seq {order} LIMIT ?", (seq, abs(events))
        ).fetchall()
        return int(rows[-1][0]) if rows else None
    finally:
        db.close()


def _moment_of(path: Path, seq: int) -> Moment:
    """The moment right after event ``seq``, with the samples taken before it."""
    db = schema.read_only(path)
    try:
        # Only whole samples have an index by ``seq``: search between two of them.
        sample = db.execute(
            "SELECT max(id) FROM sample WHERE seq < :seq AND id BETWEEN "
            "(SELECT id FROM sample WHERE whole = 1 AND seq < :seq ORDER BY seq DESC, id DESC) "
            "AND ifnull((SELECT id FROM sample WHERE whole = 1 AND seq >= :seq ORDER BY seq, id), "
            "(SELECT max(id) FROM sample))",
            {"seq": seq},
        ).fetchone()[0]
        moment = _rebuild(db, seq, sample or 0)
        row = db.execute("SELECT at FROM ev WHERE seq = ?", (seq,)).fetchone()
        moment.at = float(row[0]) if row else moment.at
        return moment
    finally:
        db.close()
