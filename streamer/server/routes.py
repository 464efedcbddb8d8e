"""Read-only HTTP routes on the WebSocket port: cached state as JSON, never a terminal call."""

from __future__ import annotations

import asyncio
import email.utils
import http
import importlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from ..errors import Mt5dashError
from ..feed.health import Health, bot_health, bots_report
from ..protocol.codec import decode, encode
from ..protocol.schema import schema_json
from ..state.bots import Bot, Bots
from ..state.reducer import FeedState, bot_of
from ..state.ring import Ring
from ..state.snapshots import Snapshots
from ..state.source import BarsProvider
from .admission import ReadLog
from .policy import Grant, Rejection
from .query import Query

log = logging.getLogger("mt5dash.feed")

Answer = tuple[int, str, bytes]
"""Status, content type, body."""

JSON = "application/json"
BARS_DEADLINE_S = 2.0
EVENTS_MAX = 1000
EVERY = "*"
"""The value of ``bot`` that stands for all bots."""
_PAGE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


class BadQuery(Mt5dashError, ValueError):
    """A query parameter that cannot be used."""


def _response(request: Request, answer: Answer, cors: str | None, extra: Headers) -> Response:
    status, kind, body = answer
    headers = Headers()
    headers["Date"] = email.utils.formatdate(usegmt=True)
    headers["Connection"] = "close"
    headers["Content-Length"] = str(len(body))
    if body or status != 204:
        headers["Content-Type"] = kind
    headers["Cache-Control"] = "no-store"
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers["X-Frame-Options"] = "DENY"
    page = kind.startswith("text/html")
    headers["Content-Security-Policy"] = _PAGE_CSP if page else "default-src 'none'"
    headers["Vary"] = "Origin, Accept"
    if cors is not None:
        headers["Access-Control-Allow-Origin"] = cors
    for name, value in extra.raw_items():
        headers[name] = value
    if request.method == "HEAD":
        body = b""
    return Response(status, http.HTTPStatus(status).phrase, headers, body)


def error(status: int, code: str, message: str) -> Answer:
    """The body of an error: ``{"error": {"code", "message"}}``."""
    return status, JSON, encode({"error": {"code": code, "message": message}})


def refuse(request: Request, rejection: Rejection, cors: str | None) -> Response:
    """The response to a rejected request."""
    extra = Headers()
    if rejection.status == 401:
        extra["WWW-Authenticate"] = "Bearer"
    if rejection.status == 426:
        extra["Upgrade"] = "websocket"
    if rejection.status == 429:
        extra["Retry-After"] = "60"
    answer = error(rejection.status, rejection.code, rejection.message)
    return _response(request, answer, cors, extra)


def load_pages() -> dict[str, tuple[str, bytes]]:
    """The dashboard page's files by path, when this installation has them."""
    try:
        web = importlib.import_module("streamer.web")
    except ModuleNotFoundError:
        return {}
    return dict(web.manifest())


def _count(query: Query, name: str, default: int, most: int) -> int:
    values = query.get(name)
    if not values:
        return default
    text = values[-1]
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadQuery(f"`{name}` is a number from 0 to {most}")
    return min(int(text), most)


def _word(query: Query, name: str) -> str:
    values = query.get(name)
    if not values or not values[-1] or len(values[-1]) > 64:
        raise BadQuery(f"`{name}` is missing or too long")
    return values[-1]


class NoBot(Mt5dashError, LookupError):
    """A bot that this feed does not know."""


class Routes:
    """All paths of one feed.

    Args:
        state: The state of the feed.
        ring: The newest log events.
        bots: Its bots.
        snapshots: Encoded snapshots of the state.
        health: Its checks.
        version: The version that ``/`` returns.
        clients: How many clients get events.
        metrics: The body of ``/metrics``.
        moment: Seconds on the clock of ``FeedState.updated``.
        read_log: Reads events that are older than the ring; ``None``: there is no journal.
        bars: The provider for ``/api/bars``, or ``None``.
    """

    def __init__(
        self,
        state: FeedState,
        ring: Ring,
        bots: Bots,
        snapshots: Snapshots,
        health: Health,
        *,
        version: str,
        clients: Callable[[], int],
        metrics: Callable[[], bytes],
        moment: Callable[[], float],
        read_log: ReadLog | None,
        bars: Callable[[], BarsProvider | None],
    ) -> None:
        self._feed_state = state
        self._ring = ring
        self._bots = bots
        self._snapshots = snapshots
        self._health_checks = health
        self._version = version
        self._clients = clients
        self._metrics_text = metrics
        self._moment = moment
        self._read_log = read_log
        self._provider = bars
        self._pages: dict[str, tuple[str, bytes]] | None = None
        self._now: dict[str, Callable[[Query], Answer]] = {
            "/api/account": lambda q: self._json(self._state(q).account),
            "/api/positions": lambda q: self._json(self._state(q).positions),
            "/api/trades": lambda q: self._json(self._state(q).recent_trades),
            "/api/scan": lambda q: self._json(self._state(q).scan_summary),
            "/api/orders": lambda q: self._json(self._state(q).orders),
            "/api/equity": lambda q: self._json(self._state(q).equity),
            "/api/state": self._whole_state,
            "/api/bots": lambda _: self._json(bots_report(bots, moment())),
            "/api/quote": self._quote,
            "/api/journal/daily": lambda q: self._json(self._bot(q).ledger.daily(self._day(q))),
            "/api/journal/confluence": lambda q: self._json(
                self._bot(q).ledger.confluence(_count(q, "limit", 200, 10_000))
            ),
            "/api/journal/trades": lambda q: self._json(
                self._bot(q).ledger.newest(_count(q, "limit", 50, 1000))
            ),
            "/api/health": self._health,
            "/api/schema": self._schema,
            "/metrics": self._metrics,
        }
        self._later: dict[str, Callable[[Query], Awaitable[Answer]]] = {
            "/api/events": self._events,
            "/api/bars": self._bars,
        }

    def answer(
        self,
        request: Request,
        path: str,
        query: Query,
        grant: Grant | Rejection | None,
        cors: str | None,
    ) -> Response | Awaitable[Response]:
        """Answer one request whose ``Host`` and ``Origin`` were checked."""
        if request.method == "OPTIONS":
            extra = Headers()
            extra["Allow"] = "GET, HEAD, OPTIONS"
            if cors is not None:
                extra["Access-Control-Allow-Methods"] = "GET, HEAD, OPTIONS"
                extra["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
                extra["Access-Control-Max-Age"] = "600"
            return _response(request, (204, JSON, b""), cors, extra)
        if request.method not in ("GET", "HEAD"):
            extra = Headers()
            extra["Allow"] = "GET, HEAD, OPTIONS"
            answer = error(405, "METHOD", "this side is read-only; commands go over the socket")
            return _response(request, answer, cors, extra)
        pages = self._all_pages()
        if path == "/" and (
            "text/html" not in (request.headers.get("Accept") or "") or "/" not in pages
        ):
            return self._finish(request, cors, self._root)
        if path in pages:  # the page holds nothing secret: it asks for a token itself
            kind, body = pages[path]
            return _response(request, (200, kind, body), cors, Headers())
        if isinstance(grant, Rejection):
            return refuse(request, grant, cors)
        if grant is None:
            missing = Rejection(
                401, "TOKEN", "send Authorization: Bearer TOKEN (mt5dash token new)"
            )
            return refuse(request, missing, cors)
        now = self._now.get(path)
        if now is not None:
            return self._finish(request, cors, now, query)
        later = self._later.get(path)
        if later is not None:
            return self._finish_later(request, cors, later, query)
        return _response(
            request, error(404, "NOT_FOUND", "no such path; see /api/schema"), cors, Headers()
        )

    def _all_pages(self) -> dict[str, tuple[str, bytes]]:
        if self._pages is None:
            self._pages = load_pages()
        return self._pages

    def _finish(
        self, request: Request, cors: str | None, make: Callable[..., Answer], *args: Any
    ) -> Response:
        try:
            answer = make(*args)
        except BadQuery as bad:
            answer = error(400, "BAD_QUERY", str(bad))
        except NoBot as unknown:
            answer = error(404, "NO_BOT", str(unknown))
        except Exception:
            log.exception("%s failed", request.path.partition("?")[0])
            answer = error(500, "INTERNAL", "this failed; the log says why")
        return _response(request, answer, cors, Headers())

    async def _finish_later(
        self,
        request: Request,
        cors: str | None,
        make: Callable[[Query], Awaitable[Answer]],
        query: Query,
    ) -> Response:
        try:
            answer = await make(query)
        except BadQuery as bad:
            answer = error(400, "BAD_QUERY", str(bad))
        except NoBot as unknown:
            answer = error(404, "NO_BOT", str(unknown))
        except TimeoutError:
            answer = error(504, "TIMEOUT", "no answer in time")
        except Exception:
            log.exception("%s failed", request.path.partition("?")[0])
            answer = error(500, "INTERNAL", "this failed; the log says why")
        return _response(request, answer, cors, Headers())

    # -- routes ---------------------------------------------------------------------------

    def _json(self, value: Any) -> Answer:
        return 200, JSON, encode(value)

    def _bot(self, query: Query) -> Bot:
        """The bot of the query: ``bot=NAME``, or the legacy bot.

        Raises:
            NoBot: the feed does not know it.
        """
        bots = self._bots
        name = query.get("bot", [""])[-1]
        found = bots.get(name or bots.legacy_bot)
        if found is None and name:
            known = ", ".join(bots.names) or "none yet"
            raise NoBot(f"no bot {name[:40]!r} on this feed; there are: {known}")
        return found or bots.default_bot

    def _state(self, query: Query) -> FeedState:
        return self._bot(query).state

    def _whole_state(self, query: Query) -> Answer:
        snapshots = self._snapshots
        if query.get("bot", [""])[-1] == EVERY:
            return 200, JSON, snapshots.encode_data(None, None)
        return 200, JSON, snapshots.encode_data(self._bot(query).state.name)

    def _root(self) -> Answer:
        return self._json(
            {
                "status": self._health_checks.report()["status"],
                "service": "mt5dash",
                "version": self._version,
                "protocol": 1,
                "epoch": self._feed_state.epoch,
                "seq": self._feed_state.seq,
                "clients": self._clients(),
            }
        )

    def _quote(self, query: Query) -> Answer:
        symbol = _word(query, "symbol")
        quote = self._state(query).quotes.get(symbol)
        if quote is None:
            return error(404, "NO_SYMBOL", "this symbol has never been quoted here")
        bid, ask = quote.get("bid"), quote.get("ask")
        body = {"symbol": symbol, "bid": bid, "ask": ask, "time": quote.get("time")}
        if bid is None or ask is None:
            body["stale"] = True
        return self._json(body)

    def _day(self, query: Query) -> str:
        """The trading day on the market's clock; in UTC while that is unknown."""
        return (self._state(query).server_time or datetime.now(UTC).isoformat())[:10]

    def _health(self, query: Query) -> Answer:
        report = self._health_checks.report()
        if "bot" in query:
            report = bot_health(self._bot(query), report, self._moment())
        return (503 if report["status"] == "down" else 200), JSON, encode(report)

    def _schema(self, _: Query) -> Answer:
        return 200, "application/schema+json", schema_json()

    def _metrics(self, _: Query) -> Answer:
        return 200, "text/plain; version=0.0.4; charset=utf-8", self._metrics_text()

    async def _events(self, query: Query) -> Answer:
        limit = _count(query, "limit", 200, EVENTS_MAX)
        state, ring = self._feed_state, self._ring
        since = query.get("since", [""])[-1]
        epoch, _, number = since.rpartition(":")
        if epoch and epoch != state.epoch:
            return error(410, "EPOCH", f"the numbers begin again; the epoch is {state.epoch}")
        if since:
            if not (number.isascii() and number.isdigit() and len(number) <= 18):
                raise BadQuery("`since` is EPOCH:SEQ or SEQ")
            after = int(number)
        else:
            after = max(state.seq - limit, ring.first - 1)
        every = query.get("bot", [""])[-1] == EVERY
        bot = "" if every or (len(self._bots) < 2 and "bot" not in query) else self._bot(query).name
        found: list[tuple[int, bytes]] = []
        if after + 1 < ring.first and self._read_log is not None:
            found = await self._read_log(after, limit)
        else:
            seq = after + 1
            while len(found) < limit and (item := ring.get(seq)) is not None:
                found.append((seq, item.raw))
                seq += 1
        last = found[-1][0] if found else after
        raws = [raw for _, raw in found if not bot or bot_of(decode(raw)) in (bot, "")]
        head = encode({"epoch": state.epoch, "last": last})
        return 200, JSON, head[:-1] + b',"events":[' + b",".join(raws) + b"]}"

    async def _bars(self, query: Query) -> Answer:
        symbol, timeframe = _word(query, "symbol"), _word(query, "timeframe")
        count = _count(query, "count", 200, 5000)
        bot = self._bot(query)
        if bot.name != self._bots.default_bot.name:
            return error(404, "NO_BARS", f"only the feed of {bot.name}'s own program has its bars")
        provider = self._provider()
        if provider is None:
            return error(404, "NO_BARS", "this feed has no bars")
        async with asyncio.timeout(BARS_DEADLINE_S):
            bars = await provider(symbol, timeframe, count)
        if bars is None:
            return error(404, "NO_BARS", f"no bars of {symbol} {timeframe} are known")
        return self._json(bars)
