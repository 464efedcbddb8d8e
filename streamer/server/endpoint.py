"""WebSocket endpoint: binds the port, authenticates connections, runs each client's message loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from ..feed.intake import TooFast
from ..protocol.codec import EventRefused, decode, encode, pack
from ..protocol.commands import refusal
from ..protocol.messages import (
    SUBPROTOCOL,
    Auth,
    Command,
    CommandResult,
    ErrorReply,
    Ping,
    Publish,
    Subscribe,
)
from ..settings import FeedSettings
from ..state.reducer import FeedState
from ..state.snapshots import Snapshots
from .admission import Admission
from .connection import Connections, FeedConnection
from .fanout import Fanout
from .framing import SharedDeflate
from .policy import AccessPolicy, Grant, Rejection, bearer
from .ports import BACKLOG, take_port
from .query import bearer_subprotocol, checked_names, names_in, ordered_names
from .routes import Routes, refuse
from .subscriber import Subscriber, write_limit

log = logging.getLogger("mt5dash.feed")
# websockets writes request headers, tokens among them, at DEBUG: it never gets there.
_ws_log = logging.getLogger("mt5dash.feed.ws")
_ws_log.setLevel(logging.ERROR)

OPEN_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
MALFORMED_MAX = 10
COMMANDS_AT_ONCE = 16

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
"""Headers of a proxy: its loopback address is not the client's, so a token is needed."""

_MESSAGES: dict[str, type[msgspec.Struct]] = {
    "SUBSCRIBE": Subscribe,
    "PING": Ping,
    "AUTH": Auth,
    "COMMAND": Command,
    "PUBLISH": Publish,
}


class PublishPacked(Protocol):
    """``FeedCore.publish_packed``."""

    def __call__(self, raw: bytes, *, bot: str = "", foreign: bool = False) -> bool: ...


class ExecuteCommand(Protocol):
    """``CommandDispatcher.execute``."""

    async def __call__(
        self, command: Command, actor: str, *, session: str | None = None
    ) -> CommandResult: ...


class Endpoint:
    """The listening side of a feed: handshakes, authentication, each client's message loop.

    Args:
        settings: Address and limits.
        access: The access rules.
        connections: The registry of open connections.
        fanout: The clients and what is sent to them.
        admission: Admits new clients.
        routes: Answers HTTP requests.
        state: The state of the feed.
        snapshots: Its encoded snapshots.
        publish: Takes in an event that a client publishes.
        execute: Carries out a client's command.
    """

    def __init__(
        self,
        settings: FeedSettings,
        access: AccessPolicy,
        connections: Connections,
        fanout: Fanout,
        admission: Admission,
        routes: Routes,
        *,
        state: FeedState,
        snapshots: Snapshots,
        publish: PublishPacked,
        execute: ExecuteCommand,
    ) -> None:
        self.settings = settings
        self.access = access
        self.connections = connections
        self.fanout = fanout
        self.port = 0
        self.compress = settings.compression and (not access.local or bool(access.proxies))
        self._admission = admission
        self._routes = routes
        self._state = state
        self._snapshots = snapshots
        self._publish_packed = publish
        self._execute = execute
        self._server: Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address of the feed for clients on this machine: ``ws://HOST:PORT/ws``."""
        host = self.settings.host
        if host in ("0.0.0.0", "::"):
            host = "127.0.0.1" if host == "0.0.0.0" else "::1"
        name = f"[{host}]" if ":" in host else host
        return f"{'wss' if self.access.tls else 'ws'}://{name}:{self.port}/ws"

    # -- start and stop -------------------------------------------------------------------

    async def start(self) -> None:
        """Bind the port and listen.

        Raises:
            PortTaken: see ``take_port``.
        """
        context = None
        if self.settings.tls_cert is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.settings.tls_cert, self.settings.tls_key)
        sock = await take_port(self.settings)
        self.port = int(sock.getsockname()[1])
        self._server = await serve(
            self._handle,
            sock=sock,
            ssl=context,
            create_connection=partial(FeedConnection, self.connections, self.fanout),  # type: ignore[arg-type]
            process_request=self._request,
            select_subprotocol=self._subprotocol,
            extensions=[SharedDeflate()] if self.compress else None,
            compression=None,
            server_header=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,
            max_size=self.settings.max_message_bytes,
            max_queue=16,
            write_limit=write_limit(tls=context is not None),
            logger=_ws_log,
        )
        # asyncio has called listen() again, with a backlog of 100: a storm of clients would lose
        # connections in the kernel.
        sock.listen(BACKLOG)

    async def close(self, budget: float = 1.0) -> None:
        """Stop listening, close every client with 1001, and cut those that stay."""
        server = self._server
        if server is None:
            return
        for client in self.fanout:
            self.fanout.drop(client)  # nothing may follow a close frame
        server.close(code=1001)
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.wait_for(server.wait_closed(), budget * 0.6)
        except TimeoutError:
            for connection in self.connections:
                connection.transport.abort()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(server.wait_closed(), budget * 0.4)

    # -- connections ----------------------------------------------------------------------

    def _request(self, base: ServerConnection, request: Request) -> Any:
        """Check every request before the upgrade."""
        connection = base
        assert isinstance(connection, FeedConnection)
        headers = request.headers
        origins = headers.get_all("Origin")
        client = self.access.client_behind(connection.address, headers.get_all("X-Forwarded-For"))
        if client is not None:
            self.connections.move(connection, client)
        secure = client is not None and headers.get_all("X-Forwarded-Proto") == ["https"]
        rejection = self.access.check(headers.get_all("Host"), origins, secure)
        url = urlsplit(request.path)
        query = parse_qs(url.query, keep_blank_values=True, max_num_fields=32)
        if rejection is None and "token" in query:
            rejection = Rejection(
                400, "TOKEN_IN_URL", "a token in a URL is seen by many; send a header"
            )
        if rejection is not None:
            self.connections.refused[rejection.code] += 1
            return refuse(request, rejection, cors=None)
        cors = origins[0] if origins else None
        presented = bearer(headers.get_all("Authorization"))
        upgrade = any("websocket" in value.lower() for value in headers.get_all("Upgrade"))
        if presented is None and upgrade:
            presented = bearer_subprotocol(headers.get_all("Sec-WebSocket-Protocol"))
        grant: Grant | Rejection | None = None
        if not any(name in headers for name in _FORWARDED):
            grant = self.access.without_token(connection.address, headers["Host"], cors)
        if isinstance(presented, Rejection):
            grant = presented
        elif presented is not None:
            grant = self.access.by_token(presented, connection.address)
        if url.path == "/ws" and not upgrade:
            wanted = Rejection(426, "UPGRADE", "this is a WebSocket; the page is at /")
            return refuse(request, wanted, cors)
        if url.path == "/ws":
            if isinstance(grant, Rejection):
                connection.rejection = grant
            else:
                connection.grant = grant
            connection.query = query
            return None
        return self._routes.answer(request, url.path, query, grant, cors)

    def _subprotocol(self, base: ServerConnection, offered: Sequence[Any]) -> Any:
        assert isinstance(base, FeedConnection)
        if SUBPROTOCOL in offered:
            base.legacy = False
            return SUBPROTOCOL
        return None

    # -- conversation ---------------------------------------------------------------------

    async def _handle(self, base: ServerConnection) -> None:
        connection = base
        assert isinstance(connection, FeedConnection)
        if not self.connections.has_room_for(connection):
            self.connections.refused["full"] += 1
            connection.finish(1013, "too many clients", CLOSE_TIMEOUT_S)
            return
        if connection.rejection is not None:
            self._reject(connection, connection.rejection)
            return
        try:
            if connection.grant is None and not await self._authenticate(connection):
                return
            await self._admit(connection)
            async for message in connection:
                if not self._on_message(connection, message):
                    return
                if connection.pause_s:
                    pause, connection.pause_s = connection.pause_s, 0.0
                    await asyncio.sleep(pause)
        except ConnectionClosed:
            return

    def _reject(self, connection: FeedConnection, rejection: Rejection) -> None:
        self.connections.refused[rejection.code] += 1
        code = 4029 if rejection.status == 429 else 4501 if rejection.status < 500 else 1011
        connection.send_now(encode(ErrorReply(code=rejection.code, message=rejection.message)))
        connection.finish(code, rejection.message, CLOSE_TIMEOUT_S)

    async def _authenticate(self, connection: FeedConnection) -> bool:
        """Wait for ``AUTH`` as the first message."""
        if self.connections.unauthenticated >= self.settings.max_unauthenticated:
            self.connections.refused["full"] += 1
            connection.finish(1013, "too many clients that owe a token", CLOSE_TIMEOUT_S)
            return False
        connection.owes_token = True
        try:
            async with asyncio.timeout(self.settings.auth_timeout_s):
                message = await connection.recv()
        except TimeoutError:
            self._reject(connection, Rejection(401, "TOKEN", "no token came in time"))
            return False
        finally:
            connection.owes_token = False
        try:
            auth = msgspec.json.decode(message, type=Auth)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._reject(connection, Rejection(401, "TOKEN", "the first message must be AUTH"))
            return False
        return self._authorise(connection, auth)

    def _authorise(self, connection: FeedConnection, auth: Auth) -> bool:
        grant = self.access.by_token(auth.token, connection.address)
        if isinstance(grant, Rejection):
            self._reject(connection, grant)
            return False
        connection.grant = grant
        connection.send_now(encode({"type": "AUTH_OK", "role": grant.role}))
        return True

    async def _admit(self, connection: FeedConnection) -> None:
        deflate = bool(connection.protocol.extensions)
        client = Subscriber(connection, legacy=connection.legacy, deflate=deflate)
        types, symbols = names_in(connection.query, "topics"), names_in(connection.query, "symbols")
        client.narrow(types, symbols, self._bots(client, ordered_names(connection.query)))
        connection.subscriber = client
        role = connection.grant.role if connection.grant is not None else "view"
        await self._admission.admit(client, connection.query.get("since", [""])[0], role)

    def _on_message(self, connection: FeedConnection, message: str | bytes) -> bool:
        """Process one message; False when the connection is closed for it."""
        client = connection.subscriber
        if client is None or client.closed:
            return False
        try:
            value = decode(message)
        except ValueError:
            value = None
        kind = value.get("type") if type(value) is dict else None
        grant = connection.grant
        foreign = grant is not None and grant.bot not in ("", self.settings.bot)
        if kind != "PUBLISH" or not foreign:  # another bot's events have a limit of their own
            rate = self.settings.messages_per_s
            if not connection.allow_message(rate, rate * 5):
                self.fanout.close(client, 4029, "too many messages")
                return False
        if type(value) is not dict:
            return True
        struct = _MESSAGES.get(kind) if isinstance(kind, str) else None
        if struct is None:
            return self._malformed(
                connection, client, "UNKNOWN_TYPE", "no message of this type", value
            )
        try:
            self._act(connection, client, msgspec.convert(value, struct))
        except msgspec.ValidationError as error:
            return self._malformed(connection, client, "MALFORMED", str(error), value)
        return not client.closed

    def _malformed(
        self,
        connection: FeedConnection,
        client: Subscriber,
        code: str,
        text: str,
        value: dict[str, Any],
    ) -> bool:
        connection.malformed += 1
        if connection.malformed > MALFORMED_MAX:
            self.fanout.close(client, 4500, "malformed again and again")
            return False
        reply = ErrorReply(code=code, message=text)
        if isinstance(value.get("id"), str) and len(value["id"]) <= 128:
            reply.id = value["id"]
        self.fanout.reply(client, encode(reply))
        return True

    def _act(self, connection: FeedConnection, client: Subscriber, message: Any) -> None:
        grant = connection.grant
        assert grant is not None
        if isinstance(message, Ping):
            self.fanout.reply(client, encode({"type": "PONG", "id": message.id}))
        elif isinstance(message, Subscribe):
            bots = self._bots(client, message.bots)
            client.narrow(checked_names(message.types), checked_names(message.symbols), bots)
            frame = self._snapshots.frame(
                role=grant.role, deflate=client.deflate, bots=client.bots, alone=client.legacy
            )
            self.fanout.resubscribe(client, frame, self._state.seq)
        elif isinstance(message, Auth):
            self._authorise(connection, message)
        elif isinstance(message, Publish):
            if not grant.may("publish"):
                self._deny(client, "publish")
                return
            self._publish(connection, client, message.event, grant.bot)
        elif isinstance(message, Command):
            if not grant.may("control"):
                self._deny(client, "control", message.id)
            elif connection.commands >= COMMANDS_AT_ONCE:
                busy = refusal(message.id, "BUSY", "too many commands at once; wait for answers")
                self.fanout.reply(client, encode(busy))
            else:
                connection.commands += 1
                task = asyncio.create_task(self._command(connection, client, message, grant))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _publish(
        self, connection: FeedConnection, client: Subscriber, event: dict[str, Any], bot: str
    ) -> None:
        try:
            if self._publish_packed(pack(event), bot=bot, foreign=True):
                return
        except TooFast as error:
            now = time.monotonic()
            if now - connection.rate_told_at >= 1.0:
                connection.rate_told_at = now
                self.fanout.reply(client, encode(ErrorReply(code="RATE", message=str(error))))
        except EventRefused as error:
            self.fanout.reply(client, encode(ErrorReply(code="REFUSED", message=str(error))))
        # Read it no faster than it may send: an excess costs only this client.
        connection.pause_s += 1.0 / self.settings.publish_per_s

    def _bots(self, client: Subscriber, wanted: Sequence[str] | None) -> tuple[str, ...] | None:
        """The bots of a client's filter; a legacy client without one sees the legacy bot."""
        if wanted:
            checked_names(wanted)
            return tuple(dict.fromkeys(wanted))
        name = self._state.name
        return (name,) if client.legacy and name else None

    def _deny(self, client: Subscriber, role: str, id: str | None = None) -> None:
        text = f"this needs a token with the role {role}"
        reply: msgspec.Struct = ErrorReply(code="ROLE", message=text)
        if id is not None:
            reply = refusal(id, "ROLE", text)
        self.fanout.reply(client, encode(reply))
        self.fanout.close(client, 4503, text)

    async def _command(
        self, connection: FeedConnection, client: Subscriber, message: Command, grant: Grant
    ) -> None:
        try:
            result = await self._execute(
                message, f"{grant.actor} from {connection.address}", session=str(connection.id)
            )
            self.fanout.reply(client, encode(result))
        finally:
            connection.commands -= 1

    def close_revoked(self) -> None:
        """Close the clients whose token was revoked."""
        for connection in self.connections:
            client, grant = connection.subscriber, connection.grant
            if client is None or grant is None or self.access.still_valid(grant):
                continue
            self.fanout.close(client, 4501, "the token was revoked")
