"""A backbone: the way of one feed's events to any number of nodes, through something that keeps them.

A feed writes (``writer.BackboneWriter``), nodes read (``reader.BackboneReader``). What lies
between is a ``Store``: this process (``memory:NAME``), a file (``sqlite:PATH``) or a broker
(``redis://HOST:PORT/DB?stream=NAME``). The rules are the same for all and stand in the writer
and the reader; a store only does what it is told, in one step or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import USAGE, Mt5dashError

# -- what a reader gets -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole state, as a ``STATE_SNAPSHOT`` frame in ``raw``; it contains all log events up
    to ``seq``.

    ``resumed``: the log events after the reader's own last one follow (also those that the
    snapshot holds already: they are news for a log, not for the state). Otherwise the run of
    numbers is another, or it is the first one, and the events after ``seq`` follow.
    """

    epoch: str
    seq: int
    raw: bytes
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in their order: JSON bytes; the number is 0 for a state event.

    ``again``: the reader had these before. They only bring the snapshot that came before them
    up to date; they are no news.
    """

    items: Sequence[tuple[int, bytes]]
    again: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Log events ``first`` to ``last`` will never come. A snapshot that covers them follows as
    soon as there is one."""

    first: int
    last: int
    reason: str


StreamItem = Snapshot | Batch | Gap


# -- troubles -----------------------------------------------------------------------------


class BackboneError(Mt5dashError):
    """Settings or an address that cannot be used; the text says what to do."""

    exit_code = USAGE


class StoreUnavailable(Mt5dashError):
    """The store did not answer or refused; it is worth trying again. The text says why, and
    holds no password."""


class StreamTaken(Mt5dashError):
    """Another writer holds the stream; the text names it."""


class StreamLost(Mt5dashError):
    """The stream that this writer held is not there any more: claim it again."""


# -- what a store does --------------------------------------------------------------------

STATES_KEPT = 512
"""State events that a stream keeps at least; a snapshot is never further behind than half."""
READ_EVENTS = 256
"""Events of each kind that one read returns at most."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A writer asks for the stream.

    Attributes:
        writer: Its random id, the same for all its claims.
        who: For people: program, host and process.
        epoch: The run of numbers that it writes.
        seq: Its newest log event.
        seen: What a refused claim told as ``beat``, seen unchanged for long enough to take the
            holder for dead; ``None``: not (yet).
        first: The first claim of this process: with the same epoch it takes over at once, for
            only one process can hold the journal that an epoch lives in.
    """

    writer: str
    who: str
    epoch: str
    seq: int
    seen: int | None = None
    first: bool = False


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """The answer to a claim.

    Attributes:
        granted: Whether the stream is the claimer's now.
        who: Who holds it.
        beat: Rises whenever the holder writes.
        generation: Rises with each claim that is granted: what was sent before it is refused.
        term: Names the writing of this stream since it last began anew.
        last: The newest log event in it (0: none), ``state`` the newest state event's number.
        renewed: It began anew with this claim: what it held before is deleted.
    """

    granted: bool
    who: str
    beat: int
    generation: int = 0
    term: str = ""
    last: int = 0
    state: int = 0
    renewed: bool = False


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot and the offsets that it stands at: all log events up to ``seq`` and all state
    events up to ``state`` are in it."""

    epoch: str
    seq: int
    state: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class WriteBatch:
    """What is written in one step: log events and state events by their numbers, a snapshot."""

    writer: str
    term: str
    generation: int
    log: Sequence[tuple[int, bytes]] = ()
    states: Sequence[tuple[int, bytes]] = ()
    saved: StoredSnapshot | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader is: both numbers are of the last event that it has."""

    term: str
    seq: int
    state: int


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a reader finds when it comes: the stream's name, bounds and newest snapshot.

    ``base`` is the writer's newest log event when the term began: a cursor beyond it belongs
    to other events. ``first`` and ``last`` bound the log events that are there (0, 0: none).
    """

    epoch: str
    term: str
    base: int
    beat: int
    first: int
    last: int
    saved: StoredSnapshot | None


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What a read returned. ``term`` is that of the stream when it is another than the cursor's
    (nothing else counts then). ``beat`` rises whenever the writer writes; ``None``: not looked at."""

    log: Sequence[tuple[int, bytes]] = ()
    states: Sequence[tuple[int, bytes]] = ()
    term: str | None = None
    beat: int | None = None

    @property
    def empty(self) -> bool:
        return not self.log and not self.states


class Store(Protocol):
    """One connection to one stream. Each call happens whole or raises ``StoreUnavailable``.

    After ``StoreUnavailable`` it is not known whether the call was carried out: each may be repeated.
    An event whose number is not above the stream's last is refused and counts as delivered; a
    snapshot that stands at less than the one that is there is refused too.
    """

    where: str
    """The address, for people: without a password."""

    async def claim(self, claim: Claim) -> ClaimResult:
        """Take the stream if it is free, ours, or its holder dead; see ``Claim``."""
        ...

    async def write(self, writing: WriteBatch, keep: int) -> int:
        """Append, trim the log to ``keep`` events, and beat; returns how many log events were
        there already.

        Raises:
            StreamTaken: another writer has the stream.
            StreamLost: the stream is gone, or of another term.
        """
        ...

    async def release(self, writer: str) -> None:
        """Let the stream go, so that the next writer need not wait."""
        ...

    async def join(self) -> StreamInfo | None:
        """What there is for a reader, seen at one moment; ``None``: nothing yet."""
        ...

    async def saved_at(self) -> tuple[str, int, int] | None:
        """Epoch and offsets (log, state) of the snapshot that is there."""
        ...

    async def read(self, cursor: Cursor, block_s: float) -> ReadResult:
        """Events after the cursor; waits up to ``block_s`` for the first one."""
        ...

    async def close(self) -> None:
        """Let the connection go; bounded."""
        ...
