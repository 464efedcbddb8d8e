"""A backbone as a ``Source``: the state of its stream, for a relay or a screen.

A node has one reader, which all watchers of the source share.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from uuid import uuid4

from ..protocol.codec import decode
from ..protocol.commands import refusal
from ..protocol.messages import CommandResult
from ..state.reducer import FeedState
from ..state.source import NO_CAPABILITIES, Link, Wire
from ..state.watchers import Watchers
from .address import open_store, safe_address
from .model import Gap, Snapshot
from .reader import BackboneReader

log = logging.getLogger("mt5dash.backbone")

EVENTS_PER_TURN = 32
"""Events that are decoded before other tasks of the loop run."""
SILENT_S = 15.0
"""A stream without a beat of its writer for this long counts as lost."""


class BackboneSource:
    """The same interface as ``FeedClient``, over a backbone. Read-only: a stream takes no commands.

    Args:
        url: ``redis://``, ``rediss://``, ``sqlite:PATH`` or ``memory:NAME``.
        token: The broker's password, unless the address has it.
        since: ``EPOCH:SEQ`` to resume from.
        on_gap: Called with each run of log events that are lost.
        ca: PEM file of the authority that signed the broker's certificate.

    Raises:
        BackboneError: ``url`` names no backbone.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        since: str | None = None,
        on_gap: Callable[[Gap], None] | None = None,
        ca: str | None = None,
    ) -> None:
        self.url = safe_address(url)
        self.state = FeedState()
        self.role = "view"
        self.legacy = False
        self.lost: str | None = None
        self.gaps = 0
        epoch, _, seq = (since or "").rpartition(":")
        start = (epoch, int(seq)) if epoch and seq.isascii() and seq.isdigit() else None
        self._reader = BackboneReader(open_store(url, password=token, ca=ca), since=start)
        self._last = start[1] if start else 0
        self._on_gap = on_gap
        self.capabilities = NO_CAPABILITIES
        self._watchers: Watchers[Wire] = Watchers(self.url, log)
        self._task: asyncio.Task[None] | None = None
        self._link_state, self._link_since = "connecting", time.monotonic()

    async def start(self) -> None:
        """Begin to read; returns at once. ``link`` has the progress."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"backbone {self.url}")

    async def close(self) -> None:
        """Stop reading, within two seconds."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=2.0)
            self._task = None
        await self._reader.close()

    async def __aenter__(self) -> BackboneSource:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def link(self) -> Link:
        """The connection of this node to the stream, and through it to the writer."""
        reader, now = self._reader, time.monotonic()
        beat_at, trouble = reader.beat_at, reader.trouble
        detail, state = "", "live"
        if trouble is not None:
            state, detail = ("connecting" if beat_at is None else "lost"), trouble
        elif beat_at is None:
            state, detail = "connecting", "no sign of the stream's writer yet"
        elif now - beat_at > SILENT_S:
            state, detail = "lost", f"its writer is silent for {now - beat_at:.0f} s"
        if state != self._link_state:
            self._link_state, self._link_since = state, now
        return Link(state, self.url, self._link_since, beat_at, detail)

    def watch(self, callback: Callable[[Wire], None]) -> Callable[[], None]:
        """See ``FeedClient.watch``. A snapshot is one ``STATE_SNAPSHOT`` event with ``resumed``;
        when it is true, the callback also gets the log events that the snapshot contains."""
        return self._watchers.add(callback)

    async def command(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        bot: str | None = None,
    ) -> CommandResult:
        """Refuse the command: a backbone carries no commands."""
        text = "a backbone carries events only; send commands to the bot's own feed (ws://)"
        return refusal(id or uuid4().hex, "READ_ONLY", text)

    async def events(self) -> AsyncIterator[Wire]:
        """All frames from now on, snapshots included. Used instead of ``start``: a slow caller
        delays the reading. ``on_gap`` is called before the numbers show the gap."""
        async for item in self._reader.items():
            if isinstance(item, Snapshot):
                yield self._load(item)
            elif isinstance(item, Gap):
                self.gaps += 1
                log.error("%s: events %d-%d are missing: %s", self.url, *_gap(item))
                if self._on_gap is not None:
                    self._on_gap(item)
            elif item.repeated:
                for _, raw in item.items:
                    self.state.apply(decode(raw), time.monotonic())
            else:
                for count, (seq, raw) in enumerate(item.items, 1):
                    yield self._take(seq, raw)
                    if count % EVENTS_PER_TURN == 0:
                        await asyncio.sleep(0)

    async def _run(self) -> None:
        async for frame in self.events():
            self._watchers.notify(frame)

    def _load(self, snapshot: Snapshot) -> Wire:
        frame = decode(snapshot.raw)
        frame["resumed"] = snapshot.resumed
        self.state.load(frame)
        if not snapshot.resumed:
            self._last = snapshot.seq
        return dict(frame)

    def _take(self, seq: int, raw: bytes) -> Wire:
        event = decode(raw)
        if not seq:
            self.state.apply(event, time.monotonic())
        else:
            self._last = seq
            if seq > self.state.seq:  # otherwise the snapshot contains it already
                self.state.apply(event, time.monotonic())
        return dict(event)


def _gap(gap: Gap) -> tuple[int, int, str]:
    return gap.first, gap.last, gap.reason
