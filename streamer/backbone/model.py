"""A backbone carries the events of one feed to any number of nodes, through a store.

A feed writes (``writer.BackboneWriter``), nodes read (``reader.BackboneReader``). A ``Store``
is this process (``memory:NAME``), a file (``sqlite:PATH``) or a broker
(``redis://HOST:PORT/DB?stream=NAME``). Writer and reader apply the same rules to all stores; a
store executes single calls, each of them whole or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import USAGE, Mt5dashError

# -- what a reader returns ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole state as a ``STATE_SNAPSHOT`` frame.

    Attributes:
        epoch: The run of numbers.
        seq: The newest log event that the snapshot contains.
        raw: The frame as JSON.
        resumed: The log events after the reader's last one follow, including those that the
            snapshot contains already: they are new for a log, not for the state. Otherwise
            this is another run of numbers, or the first one, and the events after ``seq``
            follow.
    """

    epoch: str
    seq: int
    raw: bytes
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in their order.

    Attributes:
        items: Number and JSON of each event; the number of a state event is 0.
        repeated: The reader returned these events before. They only bring the preceding
            snapshot up to date.
    """

    items: Sequence[tuple[int, bytes]]
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Log events ``first`` to ``last`` are lost to this reader. A snapshot that contains them
    follows as soon as there is one."""

    first: int
    last: int
    reason: str


StreamItem = Snapshot | Batch | Gap


# -- errors -------------------------------------------------------------------------------


class BackboneError(Mt5dashError):
    """Settings or an address that cannot be used; the text says what to do."""

    exit_code = USAGE


class StoreUnavailable(Mt5dashError):
    """The store did not answer, or refused; a retry may succeed. The text says why and has no
    password."""


class StreamTaken(Mt5dashError):
    """Another writer holds the stream; the text names it."""


class StreamLost(Mt5dashError):
    """The stream that this writer held no longer exists and has to be claimed again."""


# -- what a store does --------------------------------------------------------------------

STATES_KEPT = 512
"""State events that a stream keeps at least; a snapshot is at most half as many behind."""
READ_EVENTS = 256
"""Events of each kind that one read returns at most."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A writer's request for the stream.

    Attributes:
        writer: Random id of the writer, the same in all its claims.
        owner: Program, host and process, for people.
        epoch: The run of numbers that it writes.
        seq: Its newest log event.
        dead_beat: The ``beat`` of a refused claim that has not changed for so long that the
            holder counts as dead; ``None``: no such.
        first: The first claim of this process. With the same epoch it takes over at once,
            because only one process can hold the journal of an epoch.
    """

    writer: str
    owner: str
    epoch: str
    seq: int
    dead_beat: int | None = None
    first: bool = False


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """The answer to a claim.

    Attributes:
        granted: Whether the claimer holds the stream now.
        owner: Who holds it, for people.
        beat: Rises with each write of the holder.
        generation: Rises with each granted claim; writes of an earlier one are refused.
        term: Identifies the stream's contents since it last began empty.
        last: Number of its newest log event (0: none).
        state: Number of its newest state event (0: none).
        restarted: This claim deleted the former contents.
    """

    granted: bool
    owner: str
    beat: int
    generation: int = 0
    term: str = ""
    last: int = 0
    state: int = 0
    restarted: bool = False


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot in the store.

    Attributes:
        epoch: The run of numbers.
        seq: It contains all log events up to this number,
        state: and all state events up to this one.
        raw: The ``STATE_SNAPSHOT`` frame as JSON.
    """

    epoch: str
    seq: int
    state: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class WriteBatch:
    """One atomic write: log events and state events, each with its number, and a snapshot."""

    writer: str
    term: str
    generation: int
    log: Sequence[tuple[int, bytes]] = ()
    states: Sequence[tuple[int, bytes]] = ()
    snapshot: StoredSnapshot | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of a reader: numbers of the last log event and of the last state event."""

    term: str
    seq: int
    state: int


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """A stream at one moment.

    Attributes:
        epoch: The run of numbers.
        term: See ``ClaimResult``.
        base: The writer's newest log event when the term began. A cursor beyond it belongs to
            other events.
        beat: See ``ClaimResult``.
        first: Number of the oldest log event in the stream (0: none).
        last: Number of the newest one (0: none).
        snapshot: The newest snapshot.
    """

    epoch: str
    term: str
    base: int
    beat: int
    first: int
    last: int
    snapshot: StoredSnapshot | None


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The events that a read returned.

    Attributes:
        log: Number and JSON of each log event.
        states: Number and JSON of each state event.
        term: The stream's term when it differs from the cursor's; then there are no events.
        beat: Rises with each write of the writer; ``None``: it was not read.
    """

    log: Sequence[tuple[int, bytes]] = ()
    states: Sequence[tuple[int, bytes]] = ()
    term: str | None = None
    beat: int | None = None

    @property
    def empty(self) -> bool:
        return not self.log and not self.states


class Store(Protocol):
    """One connection to one stream. Each call is atomic, or raises ``StoreUnavailable``.

    After ``StoreUnavailable`` it is unknown whether the call took effect; every call may be
    repeated. An event whose number is not above the stream's last one is ignored and counts as
    delivered; a snapshot older than the stored one is ignored too.
    """

    where: str
    """The address for people, without a password."""

    async def claim(self, claim: Claim) -> ClaimResult:
        """Take the stream if it is free, held by this writer, or its holder is dead."""
        ...

    async def write(self, batch: WriteBatch, keep: int) -> int:
        """Append the events, trim the log to ``keep`` events, and raise the beat; returns how
        many of the log events were in the stream already.

        Raises:
            StreamTaken: another writer holds the stream.
            StreamLost: the stream is gone, or has another term.
        """
        ...

    async def release(self, writer: str) -> None:
        """Free the stream, so that the next writer does not have to wait."""
        ...

    async def info(self) -> StreamInfo | None:
        """The stream at this moment; ``None``: there is none yet."""
        ...

    async def snapshot_offsets(self) -> tuple[str, int, int] | None:
        """Epoch and numbers (log, state) of the stored snapshot; ``None``: there is none."""
        ...

    async def read(self, cursor: Cursor, block_s: float) -> ReadResult:
        """The events after the cursor; waits up to ``block_s`` for the first one."""
        ...

    async def close(self) -> None:
        """Close the connection; bounded."""
        ...
