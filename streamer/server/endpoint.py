"""The endpoint: takes the port, checks who knocks, and speaks with each client."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.protocol import OPEN

from ..addresses import is_loopback
from ..feed.intake import TooFast
from ..protocol.codec import EventRefused, decode, encode, pack
from ..protocol.commands import refusal
from ..protocol.messages import SUBPROTOCOL, Auth, Command, ErrorReply, Ping, Publish, Subscribe
from . import routes as http
from .connection import FeedConnection
from .fanout import Fanout
from .framing import SharedDeflate
from .policy import AccessPolicy, Grant, Rejection, bearer
from .ports import BACKLOG, PortTaken, take_port
from .query import bearer_subprotocol, in_order, listed, some
from .resume import admit
from .subscriber import Subscriber

if TYPE_CHECKING:
    from ..feed.feed import Feed

__all__ = ["Endpoint", "PortTaken"]

log = logging.getLogger("mt5dash.feed")
# websockets writes request headers, tokens among them, at DEBUG: it never gets there.
_ws_log = logging.getLogger("mt5dash.feed.ws")
_ws_log.setLevel(logging.ERROR)

OPEN_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
MALFORMED_MAX = 10
COMMANDS_AT_ONCE = 16
HARD_CAP_EXTRA = 128

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
"""A proxy on this machine stands for others: whoever comes through one shows a token."""

_MESSAGES: dict[str, type[msgspec.Struct]] = {
    "SUBSCRIBE": Subscribe,
    "PING": Ping,
    "AUTH": Auth,
    "COMMAND": Command,
    "PUBLISH": Publish,
}


class Endpoint:
    """The listening side of a feed."""

    def __init__(self, feed: Feed, hub: Fanout, access: AccessPolicy) -> None:
        self.feed = feed
        self.hub = hub
        self.access = access
        self.settings = feed.settings
        self.port = 0
        self.connections: set[FeedConnection] = set()
        self.by_address: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._server: Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_flood_log = 0.0
        self.routes = http.Routes(feed, access)
        self.compress = self.settings.compression and (not access.local or bool(access.proxies))

    @property
    def url(self) -> str:
        """Where the feed is, as clients of this machine write it."""
        host = self.settings.host
        if host in ("0.0.0.0", "::"):
            host = "127.0.0.1" if host == "0.0.0.0" else "::1"
        name = f"[{host}]" if ":" in host else host
        return f"{'wss' if self.access.tls else 'ws'}://{name}:{self.port}/ws"

    # -- start and stop -------------------------------------------------------------------

    async def start(self) -> None:
        """Listen.

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
            create_connection=partial(FeedConnection, self),  # type: ignore[arg-type]
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
            # "Paused" has to mean "something is buffered": see Subscriber.write. asyncio's TLS
            # pauses from its limit on, plain TCP above it.
            write_limit=(1, 0) if context is not None else 0,
            logger=_ws_log,
        )
        # asyncio has listened once more, with 100: more would be accepted in one go and hold the
        # loop, fewer in the kernel would lose those that storm in.
        sock.listen(BACKLOG)

    async def close(self, budget: float = 1.0) -> None:
        """Stop listening, tell every client 1001, and cut what does not go by itself."""
        server = self._server
        if server is None:
            return
        for client in self.hub:
            self.hub.drop(client)  # nothing may follow a close frame
        server.close(code=1001)
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.wait_for(server.wait_closed(), budget * 0.6)
        except TimeoutError:
            for connection in list(self.connections):
                connection.transport.abort()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(server.wait_closed(), budget * 0.4)

    # -- connections ----------------------------------------------------------------------

    def connected(self, connection: FeedConnection) -> bool:
        """Count a new connection; False when there is no room even to refuse it politely."""
        self.connections.add(connection)
        self.by_address[connection.address] += 1
        if len(self.connections) <= self.settings.max_clients + HARD_CAP_EXTRA:
            return True
        self.refused["flood"] += 1
        now = time.monotonic()
        if now - self._last_flood_log > 10:
            self._last_flood_log = now
            log.warning("more than %d connections: new ones are cut", self.settings.max_clients)
        return False

    def disconnected(self, connection: FeedConnection) -> None:
        """Forget a connection."""
        if connection in self.connections:
            self.connections.discard(connection)
            self.by_address[connection.address] -= 1
            if self.by_address[connection.address] <= 0:
                del self.by_address[connection.address]

    def _move(self, connection: FeedConnection, address: str) -> None:
        """Count a connection for the client behind our proxy instead of for the proxy."""
        self.disconnected(connection)
        connection.address = address
        self.connections.add(connection)
        self.by_address[address] += 1

    def _room_for(self, connection: FeedConnection) -> bool:
        if len(self.connections) > self.settings.max_clients:
            return False
        limit = self.settings.max_clients_per_address
        if limit == 0:
            if self.access.local and is_loopback(connection.address):
                return True
            limit = 50
        return self.by_address[connection.address] <= limit

    def _request(self, base: ServerConnection, request: Request) -> Any:
        """Decide on every request before the upgrade."""
        connection = base
        assert isinstance(connection, FeedConnection)
        headers = request.headers
        origins = headers.get_all("Origin")
        client = self.access.client_behind(connection.address, headers.get_all("X-Forwarded-For"))
        if client is not None:
            self._move(connection, client)
        secure = client is not None and headers.get_all("X-Forwarded-Proto") == ["https"]
        refusal = self.access.check(headers.get_all("Host"), origins, secure)
        url = urlsplit(request.path)
        query = parse_qs(url.query, keep_blank_values=True, max_num_fields=32)
        if refusal is None and "token" in query:
            refusal = Rejection(
                400, "TOKEN_IN_URL", "a token in a URL is seen by many; send a header"
            )
        if refusal is not None:
            self.refused[refusal.code] += 1
            return http.refuse(request, refusal, cors=None)
        cors = origins[0] if origins else None
        presented = bearer(headers.get_all("Authorization"))
        upgrade = any("websocket" in value.lower() for value in headers.get_all("Upgrade"))
        if presented is None and upgrade:
            presented = bearer_subprotocol(headers.get_all("Sec-WebSocket-Protocol"))
        grant: Grant | Rejection | None = None
        if not any(name in headers for name in _FORWARDED):
            grant = self.access.free(connection.address, headers["Host"], cors)
        if isinstance(presented, Rejection):
            grant = presented
        elif presented is not None:
            grant = self.access.by_token(presented, connection.address)
        if url.path == "/ws" and not upgrade:
            wanted = Rejection(426, "UPGRADE", "this is a WebSocket; the page is at /")
            return http.refuse(request, wanted, cors)
        if url.path == "/ws":
            if isinstance(grant, Rejection):
                connection.refusal = grant
            else:
                connection.grant = grant
            connection.query = query
            return None
        return self.routes.answer(request, url.path, query, grant, cors)

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
        if not self._room_for(connection):
            self.refused["full"] += 1
            connection.finish(1013, "too many clients", CLOSE_TIMEOUT_S)
            return
        if connection.refusal is not None:
            self._turn_away(connection, connection.refusal)
            return
        try:
            if connection.grant is None and not await self._authenticate(connection):
                return
            await self._join(connection)
            async for message in connection:
                if not self._hear(connection, message):
                    return
                if connection.wait_s:
                    wait, connection.wait_s = connection.wait_s, 0.0
                    await asyncio.sleep(wait)
        except ConnectionClosed:
            return

    def _turn_away(self, connection: FeedConnection, refusal: Rejection) -> None:
        self.refused[refusal.code] += 1
        code = 4029 if refusal.status == 429 else 4501 if refusal.status < 500 else 1011
        self._say(connection, ErrorReply(code=refusal.code, message=refusal.message))
        connection.finish(code, refusal.message, CLOSE_TIMEOUT_S)

    async def _authenticate(self, connection: FeedConnection) -> bool:
        """Wait for ``AUTH`` as the first message."""
        waiting = sum(1 for other in self.connections if other.owes_token)
        if waiting >= self.settings.max_unauthenticated:
            self.refused["full"] += 1
            connection.finish(1013, "too many clients that owe a token", CLOSE_TIMEOUT_S)
            return False
        connection.owes_token = True
        try:
            async with asyncio.timeout(self.settings.auth_timeout_s):
                message = await connection.recv()
        except TimeoutError:
            self._turn_away(connection, Rejection(401, "TOKEN", "no token came in time"))
            return False
        finally:
            connection.owes_token = False
        try:
            auth = msgspec.json.decode(message, type=Auth)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._turn_away(connection, Rejection(401, "TOKEN", "the first message must be AUTH"))
            return False
        return self._present(connection, auth)

    def _present(self, connection: FeedConnection, auth: Auth) -> bool:
        grant = self.access.by_token(auth.token, connection.address)
        if isinstance(grant, Rejection):
            self._turn_away(connection, grant)
            return False
        connection.grant = grant
        self._say_raw(connection, encode({"type": "AUTH_OK", "role": grant.role}))
        return True

    async def _join(self, connection: FeedConnection) -> None:
        deflate = bool(connection.protocol.extensions)
        client = Subscriber(connection, legacy=connection.legacy, deflate=deflate)
        types, symbols = listed(connection.query, "topics"), listed(connection.query, "symbols")
        client.narrow(types, symbols, self._bots(client, in_order(connection.query)))
        connection.subscriber = client
        await admit(self.feed, client, connection.query.get("since", [""])[0])

    def _hear(self, connection: FeedConnection, message: str | bytes) -> bool:
        """Take in one message; False when the connection is closed for it."""
        client = connection.subscriber
        if client is None or client.closed:
            return False
        try:
            value = decode(message)
        except ValueError:
            value = None
        kind = value.get("type") if type(value) is dict else None
        grant = connection.grant
        others = grant is not None and grant.bot not in ("", self.settings.bot)
        if kind != "PUBLISH" or not others:  # what another bot publishes has a bound of its own
            rate = self.settings.messages_per_s
            if not connection.allow_message(rate, rate * 5):
                self.hub.close(client, 4029, "too many messages")
                return False
        if type(value) is not dict:
            return True
        struct = _MESSAGES.get(kind) if isinstance(kind, str) else None
        if struct is None:
            return self._malformed(client, "UNKNOWN_TYPE", "no message of this type", value)
        try:
            self._act(connection, client, msgspec.convert(value, struct))
        except msgspec.ValidationError as error:
            return self._malformed(client, "MALFORMED", str(error), value)
        return not client.closed

    def _malformed(self, client: Subscriber, code: str, text: str, value: dict[str, Any]) -> bool:
        client.connection.malformed += 1
        if client.connection.malformed > MALFORMED_MAX:
            self.hub.close(client, 4500, "malformed again and again")
            return False
        reply = ErrorReply(code=code, message=text)
        if isinstance(value.get("id"), str) and len(value["id"]) <= 128:
            reply.id = value["id"]
        self.hub.reply(client, encode(reply))
        return True

    def _act(self, connection: FeedConnection, client: Subscriber, message: Any) -> None:
        grant = connection.grant
        assert grant is not None
        if isinstance(message, Ping):
            self.hub.reply(client, encode({"type": "PONG", "id": message.id}))
        elif isinstance(message, Subscribe):
            bots = self._bots(client, message.bots)
            client.narrow(some(message.types), some(message.symbols), bots)
            frame = self.feed.snapshots.frame(
                role=grant.role, deflate=client.deflate, bots=client.bots, alone=client.legacy
            )
            self.hub.resubscribe(client, frame, self.feed.state.seq)
        elif isinstance(message, Auth):
            self._present(connection, message)
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
                self.hub.reply(client, encode(busy))
            else:
                connection.commands += 1
                task = asyncio.create_task(self._command(connection, client, message, grant))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _publish(
        self, connection: FeedConnection, client: Subscriber, event: dict[str, Any], bot: str
    ) -> None:
        try:
            if self.feed.publish_packed(pack(event), bot=bot, foreign=True):
                return
        except TooFast as error:
            now = time.monotonic()
            if now - connection.told_at >= 1.0:
                connection.told_at = now
                self.hub.reply(client, encode(ErrorReply(code="RATE", message=str(error))))
        except EventRefused as error:
            self.hub.reply(client, encode(ErrorReply(code="REFUSED", message=str(error))))
        # It is read no faster than it may send: what is too much costs only itself.
        connection.wait_s += 1.0 / self.settings.publish_per_s

    def _bots(self, client: Subscriber, wanted: Sequence[str] | None) -> tuple[str, ...] | None:
        """The bots of a client's filter; a legacy client without one sees the chosen bot."""
        if wanted:
            some(wanted)
            return tuple(dict.fromkeys(wanted))
        chosen = self.feed.bots.chosen
        return (chosen,) if client.legacy and chosen else None

    def _deny(self, client: Subscriber, role: str, id: str | None = None) -> None:
        text = f"this needs a token with the role {role}"
        reply: msgspec.Struct = ErrorReply(code="ROLE", message=text)
        if id is not None:
            reply = refusal(id, "ROLE", text)
        self.hub.reply(client, encode(reply))
        self.hub.close(client, 4503, text)

    async def _command(
        self, connection: FeedConnection, client: Subscriber, message: Command, grant: Grant
    ) -> None:
        try:
            result = await self.feed.execute(
                message, f"{grant.actor} from {connection.address}", session=str(connection.id)
            )
            self.hub.reply(client, encode(result))
        finally:
            connection.commands -= 1

    def _say(self, connection: FeedConnection, message: msgspec.Struct) -> None:
        self._say_raw(connection, encode(message))

    def _say_raw(self, connection: FeedConnection, payload: bytes) -> None:
        if connection.protocol.state is OPEN:
            connection.protocol.send_text(payload)
            for data in connection.protocol.data_to_send():
                connection.transport.write(data)

    def sweep(self) -> None:
        """Close clients whose token was revoked."""
        for client in self.hub:
            grant = client.connection.grant
            if grant is not None and not self.access.still_valid(grant):
                self.hub.close(client, 4501, "the token was revoked")
