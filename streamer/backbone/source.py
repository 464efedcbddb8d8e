"""A backbone as a ``Source``: the state that its stream gives, for a relay or a screen.

One reader for the whole node; all who watch it share what it read.
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

AT_ONCE = 32
"""Events that are decoded before the loop is given back."""
SILENT_S = 15.0
"""Without a sign of the writer for this long its stream counts as lost."""


class BackboneSource:
    """The same face as ``FeedClient``, over a backbone. Read only: a stream takes no commands.

    Args:
        url: ``redis://``, ``rediss://``, ``sqlite:PATH`` or ``memory:NAME``.
        token: The broker's password, unless it stands in the address.
        since: ``EPOCH:SEQ`` to go on from.
        on_gap: Called with each run of log events that will never come.
        ca: PEM file with the authority of the broker's certificate.

    Raises:
        BackboneError: ``url`` is no address of a backbone.
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
        self._told = start[1] if start else 0
        self._on_gap = on_gap
        self.capabilities = NO_CAPABILITIES
        self._watchers: Watchers[Wire] = Watchers(self.url, log)
        self._task: asyncio.Task[None] | None = None
        self._state, self._since = "connecting", time.monotonic()

    async def start(self) -> None:
        """Begin to read; returns at once. ``link`` tells how it goes."""
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
        """How this node is joined to the stream, and through it to the writer."""
        reader, now = self._reader, time.monotonic()
        heard, trouble = reader.heard_at, reader.trouble
        detail, state = "", "live"
        if trouble is not None:
            state, detail = ("connecting" if heard is None else "lost"), trouble
        elif heard is None:
            state, detail = "connecting", "no sign of the stream's writer yet"
        elif now - heard > SILENT_S:
            state, detail = "lost", f"its writer is silent for {now - heard:.0f} s"
        if state != self._state:
            self._state, self._since = state, now
        return Link(state, self.url, self._since, heard, detail)

    def watch(self, callback: Callable[[Wire], None]) -> Callable[[], None]:
        """See ``FeedClient.watch``: a snapshot is told as one ``STATE_SNAPSHOT`` with
        ``resumed``; events that it holds already are told all the same when it is true."""
        return self._watchers.add(callback)

    async def command(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        bot: str | None = None,
    ) -> CommandResult:
        """Refused, in words."""
        text = "a backbone carries events only; send commands to the bot's own feed (ws://)"
        return refusal(id or uuid4().hex, "READ_ONLY", text)

    async def events(self) -> AsyncIterator[Wire]:
        """All frames from now on, snapshots included, instead of ``start``: reading waits for a
        slow reader. A gap shows in the numbers, and is told to ``on_gap`` before that."""
        async for told in self._reader.told():
            if isinstance(told, Snapshot):
                yield self._load(told)
            elif isinstance(told, Gap):
                self.gaps += 1
                log.error("%s: events %d-%d are missing: %s", self.url, *_gap(told))
                if self._on_gap is not None:
                    self._on_gap(told)
            elif told.again:
                for _, raw in told.items:
                    self.state.apply(decode(raw), time.monotonic())
            else:
                for count, (seq, raw) in enumerate(told.items, 1):
                    yield self._take(seq, raw)
                    if count % AT_ONCE == 0:
                        await asyncio.sleep(0)

    async def _run(self) -> None:
        async for frame in self.events():
            self._watchers.notify(frame)

    def _load(self, snapshot: Snapshot) -> Wire:
        frame = decode(snapshot.raw)
        frame["resumed"] = snapshot.resumed
        self.state.load(frame)
        if not snapshot.resumed:
            self._told = snapshot.seq
        return dict(frame)

    def _take(self, seq: int, raw: bytes) -> Wire:
        event = decode(raw)
        if not seq:
            self.state.apply(event, time.monotonic())
        else:
            self._told = seq
            if seq > self.state.seq:  # else it stands in the snapshot already, yet is news
                self.state.apply(event, time.monotonic())
        return dict(event)


def _gap(gap: Gap) -> tuple[int, int, str]:
    return gap.first, gap.last, gap.reason
