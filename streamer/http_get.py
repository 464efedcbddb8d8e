"""One HTTP request, bounded in time and size, with explicit rules for proxies and redirects.

It blocks and belongs into a thread. Everything in the program that asks another server over
HTTP goes through here; the command line and the screen use it for a feed's own API as well.
"""

from __future__ import annotations

import functools
import http.client
import io
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import Mt5dashError

_OVERHEAD_BYTES = 1 << 20


class NoResponse(Mt5dashError):
    """There is no usable answer. The text has no address, which may contain a secret.

    Attributes:
        retry: Whether the same request may succeed later.
        connected: Whether something answered, which does not speak HTTP or stopped too early.
    """

    def __init__(self, text: str, *, retry: bool, connected: bool = False) -> None:
        super().__init__(text)
        self.retry = retry
        self.connected = connected


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer with any status.

    Attributes:
        status: The status code.
        body: The content, cut off at the client's ``max_bytes``.
        complete: Whether ``body`` is the whole content.
        too_large: Whether it was cut off. (Not complete without this: the connection ended
            before the announced length.)
        retry_after_s: Seconds that the server asks to wait, if it says so.
    """

    status: int
    body: bytes
    complete: bool
    too_large: bool = False
    retry_after_s: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class HttpClient:
    """The rules of a kind of request.

    Attributes:
        timeout_s: Longest time for a whole request, redirects included. Only resolving the
            host's name, and trying further addresses of it, can take longer.
        stall_s: Longest wait for a single step: the connection, the answer, its next bytes;
            ``None``: as long as the whole request may take.
        max_bytes: Most content that is read.
        use_proxies: Use the proxies of the environment. A feed's own API is asked without: it
            is on this machine or in the local network.
        follow_redirects: Follow redirects. Without it a redirect is a response like any other,
            so that a secret in the address or a header reaches only the named server.
        https_only: Refuse any other scheme, also as the target of a redirect.
    """

    timeout_s: float
    max_bytes: int
    use_proxies: bool
    follow_redirects: bool = False
    https_only: bool = False
    stall_s: float | None = None

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
        """GET ``url``. Blocks.

        Raises:
            NoResponse: there is no usable answer, or the address cannot be used.
        """
        return self._request(url, None, headers)

    def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> HttpResponse:
        """POST ``body`` to ``url``. Blocks.

        Raises:
            NoResponse: see ``get``.
        """
        return self._request(url, body, headers)

    def _request(
        self, url: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> HttpResponse:
        if self.https_only and not url.startswith("https://"):
            raise NoResponse("only https:// is allowed", retry=False)
        try:
            request = urllib.request.Request(
                url, data=body, headers={"User-Agent": "mt5dash", **(headers or {})}
            )
            with self._open(request) as answer:
                return self._read(answer)
        except urllib.error.URLError as error:
            reason = error.reason
            certificate = isinstance(reason, ssl.SSLCertVerificationError)
            text = getattr(reason, "strerror", None) or str(reason)
            raise NoResponse(f"no connection: {text}", retry=not certificate) from None
        except TimeoutError:
            raise NoResponse("no answer: timed out", retry=True) from None
        except OSError as error:
            text = error.strerror or type(error).__name__
            raise NoResponse(f"no answer: {text}", retry=True) from None
        except (ValueError, http.client.InvalidURL) as error:
            raise NoResponse(f"no usable address: {type(error).__name__}", retry=False) from None
        except http.client.HTTPException as error:
            text = type(error).__name__
            raise NoResponse(f"no answer: {text}", retry=True, connected=True) from None

    def _open(self, request: urllib.request.Request) -> Any:
        bounds = _Bounds(self.timeout_s, self.stall_s, 2 * self.max_bytes + _OVERHEAD_BYTES)
        handlers: list[urllib.request.BaseHandler] = [
            _HttpHandler(bounds),
            _HttpsHandler(bounds),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.UnknownHandler(),
        ]
        if self.use_proxies:
            handlers.append(urllib.request.ProxyHandler())
        if self.follow_redirects:
            handlers.append(_RedirectHandler(self.https_only))
        opener = urllib.request.OpenerDirector()
        for handler in handlers:
            opener.add_handler(handler)
        try:
            return opener.open(request, timeout=self.timeout_s)
        except urllib.error.HTTPError as error:
            return error

    def _read(self, answer: Any) -> HttpResponse:
        body = answer.read(self.max_bytes + 1)
        missing = getattr(answer, "length", None)  # of an announced length; else ``None``
        after = str(answer.headers.get("Retry-After", ""))
        return HttpResponse(
            status=int(answer.status),
            body=body[: self.max_bytes],
            complete=len(body) <= self.max_bytes and not missing,
            too_large=len(body) > self.max_bytes,
            retry_after_s=float(after) if after.isascii() and after.isdigit() else None,
        )


class _Bounds:
    """The bounds of a request: its end in time, and the bytes of each response in it."""

    def __init__(self, seconds: float, stall_s: float | None, response_bytes: int) -> None:
        self._until = time.monotonic() + seconds
        self._stall_s = stall_s
        self.response_bytes = response_bytes

    def seconds(self) -> float:
        """Seconds that the next step may take.

        Raises:
            TimeoutError: the time is up.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left if self._stall_s is None else min(left, self._stall_s)


class _BoundedReader(io.RawIOBase):
    """Reads a socket until the bounds are reached: ``TimeoutError``, or the end of the stream.

    (The time-out of a socket alone is one for each single read: a server that sends a byte now
    and then would hold up the request for ever.)
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, bounds: _Bounds) -> None:
        self._raw, self._sock, self._bounds = raw, sock, bounds
        self._bytes_left = bounds.response_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._bytes_left <= 0:
            return 0
        self._sock.settimeout(self._bounds.seconds())
        count = self._raw.readinto(buffer)
        self._bytes_left -= count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _HttpConnection(http.client.HTTPConnection):
    """A connection whose every step is within the bounds of the request."""

    bounds: _Bounds

    def connect(self) -> None:
        self.timeout = self.bounds.seconds()
        super().connect()
        self.sock.settimeout(self.bounds.seconds())

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(self.bounds.seconds())
        super().send(data)


class _HttpsConnection(http.client.HTTPSConnection, _HttpConnection):
    """The same over TLS: ``HTTPSConnection.connect`` calls ours before its handshake."""


def _connection(
    kind: type[_HttpConnection], bounds: _Bounds, host: str, **options: Any
) -> _HttpConnection:
    connection = kind(host, **options)
    connection.bounds = bounds
    connection.response_class = functools.partial(_response, bounds)  # type: ignore[assignment]
    return connection


def _response(bounds: _Bounds, sock: socket.socket, *args: Any, **options: Any) -> Any:
    response = http.client.HTTPResponse(sock, *args, **options)
    raw: Any = response.fp.detach()
    response.fp = io.BufferedReader(_BoundedReader(raw, sock, bounds))
    return response


class _HttpHandler(urllib.request.HTTPHandler):
    def __init__(self, bounds: _Bounds) -> None:
        super().__init__()
        self._bounds = bounds

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(functools.partial(_connection, _HttpConnection, self._bounds), req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def __init__(self, bounds: _Bounds) -> None:
        super().__init__(context=_tls())
        self._bounds = bounds

    def https_open(self, req: urllib.request.Request) -> Any:
        connection = functools.partial(_connection, _HttpsConnection, self._bounds)
        return self.do_open(connection, req, context=_tls())


class _RedirectHandler(urllib.request.HTTPRedirectHandler):
    def __init__(self, https_only: bool) -> None:
        self._https_only = https_only

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if self._https_only and not newurl.startswith("https://"):
            return None
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None:
            request.remove_header("Authorization")
        return request


@functools.cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
