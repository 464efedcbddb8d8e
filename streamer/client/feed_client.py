"""A feed on another machine: reconnects, resumes, and keeps the same state as the feed itself.

It also works with older servers, whose events have no numbers: a reconnect then starts from the
snapshot, and events that the snapshot already holds are not reported again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from ..addresses import is_loopback
from ..backoff import Backoff
from ..errors import Mt5dashError
from ..protocol.codec import decode_lenient, encode, now_iso
from ..protocol.commands import refusal
from ..protocol.lenient import read
from ..protocol.messages import (
    STATE_TYPES,
    SUBPROTOCOL,
    BotPulse,
    Command,
    CommandResult,
    Confirm,
    Heartbeat,
)
from ..protocol.sections import DATA_SECTIONS
from ..state.reducer import FeedState
from ..state.source import Capabilities, Link, Wire
from ..state.watchers import Watchers
from .handshake import address, after, reason

log = logging.getLogger("mt5dash.client")
_ws_log = logging.getLogger("mt5dash.client.ws")
_ws_log.setLevel(logging.ERROR)

QUEUE = 1024
MAX_FRAME = 32 << 20
FATAL_STATUS = frozenset({400, 401, 403, 404, 405, 426})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTimings:
    """How long a client waits, and for what. All values are seconds.

    Attributes:
        first_delay_s: Pause before the first attempt to reconnect; it doubles with each further
            one.
        most_delay_s: Longest pause between two attempts.
        steady_s: A connection that lasted this long was good: the next pause is the first again.
        full_delay_s: Shortest pause after the feed refused this client because it is full.
        open_s: Longest wait for the handshake.
        silence_s: Without any frame for this long the connection is dropped; heartbeats come
            every 5 s.
        command_s: Longest wait for the result of a command.
    """

    first_delay_s: float = 0.5
    most_delay_s: float = 15.0
    steady_s: float = 30.0
    full_delay_s: float = 10.0
    open_s: float = 8.0
    silence_s: float = 15.0
    command_s: float = 35.0


class FeedLost(Mt5dashError):
    """The feed refused this client for good; the text says why."""


class FeedClient:
    """A ``Source`` over a WebSocket.

    Args:
        url: ``ws://HOST:PORT/ws`` or ``wss://``.
        token: For feeds that ask for one; needed for commands.
        types: Only these event types, state types included.
        symbols: Only events about these symbols, and events about no symbol.
        bots: Only these bots of the feed; the first one is on the top level of ``state``.
        since: ``EPOCH:SEQ`` to resume from when it first connects.
        confirm: Answers the feed's question before a command that cannot be undone
            (``Confirm``); without it the result of such a command is the question.
        timings: Delays and deadlines.

    Attributes:
        state: The state of the feed, as far as received.
        role: What this client may do: view, control or publish.
        legacy: The server speaks the old protocol, without numbers.
        lost: Why the feed refused this client for good; ``None`` while it is tried.
        gaps: How often log events were missing.
        pulses: Each bot in the last heartbeat, by name: see ``protocol.messages.BotPulse``.

    Raises:
        ValueError: ``url`` is not a WebSocket address.
    """

    default_timings: ClassVar[ClientTimings] = ClientTimings()

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        types: Iterable[str] | None = None,
        symbols: Iterable[str] | None = None,
        bots: Iterable[str] | None = None,
        since: str | None = None,
        confirm: Callable[[Confirm], Awaitable[bool]] | None = None,
        timings: ClientTimings | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError(f"{url!r} is not a feed address; use one like ws://127.0.0.1:8000/ws")
        self.url = url
        self.state = FeedState()
        self.role = "view"
        self.legacy = False
        self.lost: str | None = None
        self.gaps = 0
        self.pulses: dict[str, BotPulse] = {}
        self.token = token
        self.timings = timings or self.default_timings
        self._confirm = confirm
        self._types = sorted(set(types)) if types is not None else None
        self._symbols = sorted(set(symbols)) if symbols is not None else None
        self._bots = list(dict.fromkeys(bots)) if bots is not None else None
        self._since = since
        self._link = Link("connecting", url, time.monotonic())
        self._watchers: Watchers[Wire] = Watchers(url, log)
        self._queues: list[asyncio.Queue[Wire | None]] = []
        self._answers: dict[str, asyncio.Future[CommandResult]] = {}
        self._ws: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._last_seq = after(since)
        self._in_snapshot: set[bytes] = set()

    # -- start and stop -------------------------------------------------------------------

    async def start(self) -> None:
        """Start connecting; returns at once. ``link`` has the status."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"feed client {self.url}")

    async def close(self) -> None:
        """Disconnect, within two seconds."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=2.0)
            self._task = None
        self._end()

    async def __aenter__(self) -> FeedClient:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def link(self) -> Link:
        """The status of the connection now."""
        return self._link

    def _set_link(self, state: str, detail: str = "") -> None:
        old = self._link
        since = old.since if old.state == state else time.monotonic()
        clients = old.clients if state == "live" else None
        self._link = Link(state, self.url, since, old.last_frame, detail, clients)

    # -- Source ---------------------------------------------------------------------------

    @property
    def capabilities(self) -> Capabilities:
        """The token; everything else is available over the feed's HTTP routes."""
        return Capabilities(token=self.token)

    def watch(self, callback: Callable[[Wire], None]) -> Callable[[], None]:
        """Call ``callback`` with every event after it was applied. A snapshot is passed as one
        ``STATE_SNAPSHOT``; resumed events are passed although the snapshot holds them."""
        return self._watchers.add(callback)

    async def events(self) -> AsyncIterator[Wire]:
        """All frames from now on, snapshots included. A slow reader slows the reading down.

        Raises:
            FeedLost: the feed refused this client for good.
        """
        queue: asyncio.Queue[Wire | None] = asyncio.Queue(QUEUE)
        self._queues.append(queue)
        try:
            while True:
                if self._task is not None and self._task.done() and queue.empty():
                    break
                event = await queue.get()
                if event is None:
                    break
                yield event
        finally:
            self._queues.remove(queue)
        if self.lost is not None:
            raise FeedLost(self.lost)

    async def command(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        bot: str | None = None,
    ) -> CommandResult:
        """Send a command and wait for its result.

        A command whose result is lost with the connection is not sent again: the result has the
        code ``OUTCOME_UNKNOWN``, and the event log will show the outcome.

        Args:
            name: The command.
            args: Its arguments.
            id: Unique; a repeat of it returns the first result. Made here unless given.
            bot: The bot that it is for; ``None``: the feed's own.
        """
        key = id or uuid4().hex
        ws = self._ws
        if ws is None or self._link.state != "live":
            return refusal(
                key, "NOT_CONNECTED", "there is no connection to the feed; nothing was sent"
            )
        if self.legacy:
            return refusal(key, "LEGACY", "this server takes no commands")
        if self.role != "control":
            return refusal(
                key, "ROLE", "this needs a token with the role control (mt5dash token new)"
            )
        command = Command(id=key, name=name, args=dict(args or {}), bot=bot)
        result = await self._ask(ws, command)
        question = result.confirm
        if isinstance(question, Confirm) and self._confirm is not None:
            if await self._confirm(question):
                command.confirm = question.nonce
                result = await self._ask(ws, command)
            else:
                result = refusal(key, "NOT_CONFIRMED", "not done: the question was answered no")
        return result

    async def _ask(self, ws: ClientConnection, command: Command) -> CommandResult:
        answer: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        self._answers[command.id] = answer
        try:
            async with asyncio.timeout(self.timings.command_s):
                await ws.send(encode(command), text=True)
                return await answer
        except (TimeoutError, ConnectionClosed):
            return refusal(command.id, "OUTCOME_UNKNOWN", "the result was lost; see the event log")
        finally:
            self._answers.pop(command.id, None)

    async def publish(self, event: Mapping[str, Any]) -> None:
        """Publish an event on the feed; needs a token with the role publish.

        Raises:
            ConnectionError: there is no connection.
        """
        if self._ws is None or self._link.state != "live":
            raise ConnectionError(f"no link to {self.url}")
        await self._ws.send(encode({"type": "PUBLISH", "event": dict(event)}), text=True)

    # -- connection -----------------------------------------------------------------------

    def _address(self) -> str:
        since = self._since
        if self.state.epoch and not self.legacy:
            # Not the state's number: a snapshot is ahead of the events that follow it.
            since = f"{self.state.epoch}:{self._last_seq}"
        return address(self.url, since, self._types, self._symbols, self._bots)

    async def _run(self) -> None:
        backoff = Backoff(self.timings.first_delay_s, self.timings.most_delay_s)
        try:
            while True:
                started = time.monotonic()
                wait = await self._once()
                if wait is None:
                    return
                if time.monotonic() - started > self.timings.steady_s:
                    backoff.reset()
                await asyncio.sleep(max(wait, backoff.next()))
        finally:
            self._end()

    async def _once(self) -> float | None:
        """One connection.

        Returns:
            Least pause before the next, seconds; ``None``: the feed refused this client for good.
        """
        if self._link.state == "live":
            self._set_link("lost")
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else None
        host = urlsplit(self.url).hostname or ""
        try:
            async with asyncio.timeout(self.timings.open_s):
                ws = await connect(
                    self._address(),
                    subprotocols=[Subprotocol(SUBPROTOCOL)],
                    additional_headers=headers,
                    proxy=None if is_loopback(host) else True,
                    compression=None if is_loopback(host) else "deflate",
                    ping_interval=10,
                    ping_timeout=10,
                    close_timeout=1,
                    max_size=MAX_FRAME,
                    logger=_ws_log,
                )
        except InvalidStatus as error:
            status = error.response.status_code
            if status in FATAL_STATUS:
                self._give_up(f"refused with HTTP {status}: {reason(error)}")
                return None
            self._set_link(self._down(), f"HTTP {status}")
            return 0.0
        except InvalidURI as error:
            self._give_up(str(error))
            return None
        except (OSError, TimeoutError, InvalidHandshake, EOFError) as error:
            self._set_link(self._down(), str(error) or type(error).__name__)
            return 0.0
        self.legacy = ws.subprotocol != SUBPROTOCOL
        self._ws = ws
        try:
            return await self._read(ws)
        finally:
            self._ws = None
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(TimeoutError())
            # Not wait_for: in Python 3.11 it forgets a cancellation that comes as the close ends.
            await asyncio.wait([asyncio.ensure_future(ws.close())], timeout=1.5)

    def _down(self) -> str:
        return "connecting" if self._link.last_frame is None else "lost"

    def _give_up(self, reason: str) -> None:
        self.lost = reason
        self._set_link("lost", f"{reason} (not tried again)")
        log.error("%s: %s", self.url, reason)

    async def _read(self, ws: ClientConnection) -> float | None:
        try:
            while True:
                try:
                    async with asyncio.timeout(None if self.legacy else self.timings.silence_s):
                        raw = await ws.recv()
                except TimeoutError:
                    self._set_link("lost", f"silent for {self.timings.silence_s:.0f} s")
                    return 0.0
                await self._on_frame(raw)
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd is not None else 1006
            reason = closed.rcvd.reason if closed.rcvd is not None else "cut"
            if 4500 <= code <= 4999 or code == 1009:
                self._give_up(f"closed with {code}: {reason}")
                return None
            self._set_link("lost", f"closed with {code}: {reason}".rstrip(": "))
            return self.timings.full_delay_s if code == 1013 else 0.0

    # -- frames ---------------------------------------------------------------------------

    async def _on_frame(self, raw: str | bytes) -> None:
        try:
            event = decode_lenient(raw)
        except ValueError as error:
            log.warning("%s: a frame that is not JSON: %s", self.url, error)
            return
        if type(event) is not dict or not isinstance(event.get("type"), str):
            return
        now = time.monotonic()
        clients = event.get("clients") if event["type"] == "HEARTBEAT" else self._link.clients
        since = self._link.since if self._link.state == "live" else now
        self._link = Link("live", self.url, since, now, "", clients)
        kind = event["type"]
        if kind == "STATE_SNAPSHOT":
            self._load(event)
        elif kind == "COMMAND_RESULT":
            self._on_result(event)
            return
        elif kind == "AUTH_OK":
            self.role = str(event.get("role"))
            return
        elif kind in ("PONG", "ERROR"):
            if kind == "ERROR":
                log.warning("%s says: %s", self.url, event.get("message"))
            return
        elif not self._take(event, now):
            return
        self._watchers.notify(event)
        for queue in list(self._queues):
            await queue.put(event)

    def _load(self, snapshot: Wire) -> None:
        known = bool(self.state.epoch)
        # A snapshot does not say how old its content is: the next update or heartbeat does.
        self.state.load(snapshot)
        self.role = str(snapshot.get("role", "view"))
        if self.legacy:
            self._in_snapshot = {
                encode(event) for event in self.state.events if "timestamp" in event
            }
        elif "resumed" not in snapshot and known:
            return  # the answer to SUBSCRIBE
        elif not snapshot.get("resumed"):
            if known and self._last_seq:
                self.gaps += 1
            self._last_seq = self.state.seq

    def _take(self, event: Wire, now: float) -> bool:
        """Apply one event; False when it was received before."""
        if self.legacy:
            if self._in_snapshot and event["type"] not in STATE_TYPES:
                if encode(event) in self._in_snapshot:
                    return False
                self._in_snapshot = set()
            if not isinstance(event.get("timestamp"), str):
                event["timestamp"] = now_iso()
            self.state.apply(event, now)
            return True
        seq = event.get("seq")
        if event["type"] in STATE_TYPES or type(seq) is not int:
            if event["type"] == "HEARTBEAT":
                self._on_heartbeat(event, now)
            self.state.apply(event, now)
            return True
        if seq <= self._last_seq:
            return False
        if seq != self._last_seq + 1 and not self._filtered:
            log.error("%s: events %d-%d are missing", self.url, self._last_seq + 1, seq - 1)
            self.gaps += 1
        self._last_seq = seq
        if seq > self.state.seq:  # the snapshot holds resumed events already
            self.state.apply(event, now)
        return True

    @property
    def _filtered(self) -> bool:
        return any(names is not None for names in (self._types, self._symbols, self._bots))

    def _on_heartbeat(self, event: Wire, now: float) -> None:
        beat = read(event, Heartbeat)
        if beat is None:
            return
        if beat.seq is not None:
            self._last_seq = max(self._last_seq, beat.seq)  # the events between were filtered out
        for state in self.state.each():
            pulse = beat.bots.get(state.name)
            age = None if pulse is None else pulse.data_age_s
            if pulse is None and state is self.state:
                age = beat.data_age_s  # an older feed, whose bots have no names
            if age is not None:
                for section in DATA_SECTIONS:
                    state.updated.setdefault(section, now - age)
        self.pulses = beat.bots

    def _on_result(self, reply: Wire) -> None:
        answer = self._answers.get(str(reply.get("id")))
        if answer is None or answer.done():
            return
        try:
            answer.set_result(msgspec.convert(reply, CommandResult))
        except msgspec.ValidationError as error:
            answer.set_result(refusal(str(reply.get("id")), "MALFORMED", str(error)))

    def _end(self) -> None:
        for queue in list(self._queues):
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(None)
