"""The access rules of one server: its host names, web origins, proxies, tokens and roles."""

from __future__ import annotations

import ipaddress
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..addresses import LOOPBACK_NAMES, is_loopback
from ..settings import FeedSettings
from .tokens import AccessError, Role, TokenStore


class FailedTokens:
    """Wrong tokens by address in the last minute."""

    def __init__(self, per_minute: int) -> None:
        self._limit = per_minute
        self._seen: dict[str, deque[float]] = {}

    def add(self, address: str) -> None:
        """Count a wrong token."""
        if len(self._seen) > 4096:
            self._seen.pop(next(iter(self._seen)))
        self._seen.setdefault(address, deque(maxlen=self._limit)).append(time.monotonic())

    def blocked(self, address: str) -> bool:
        """Whether this address has to wait; its tokens are not checked meanwhile."""
        seen = self._seen.get(address)
        if seen is None or len(seen) < self._limit:
            return False
        return time.monotonic() - seen[0] < 60.0


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a request is rejected: HTTP status, code for programs, message for people."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client may do. ``token`` is the id of its token, ``""`` without one; ``bot`` the
    bot that it publishes as, ``""`` for the feed's own."""

    role: Role
    token: str = ""
    bot: str = ""

    def may(self, what: Role) -> bool:
        """Whether the role covers ``what``; every role may view."""
        return what == "view" or self.role == what

    @property
    def actor(self) -> str:
        """The sender as the audit names it."""
        return f"token {self.token}" if self.token else "loopback"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def split_host(header: str) -> str | None:
    """The name in a ``Host`` header, lower case, without brackets; ``None`` when malformed."""
    if not header or any(c in header for c in "/\\@?# \t,"):
        return None
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname


class AccessPolicy:
    """The access rules of one server.

    Args:
        settings: Names, origins, proxies and limits.
        store: The tokens.

    Attributes:
        local: The server listens on loopback only.
        tls: It speaks TLS itself.
        failures: Wrong tokens by address.

    Raises:
        AccessError: the settings would open the feed to others without TLS or consent.
    """

    def __init__(self, settings: FeedSettings, store: TokenStore) -> None:
        self.settings = settings
        self.store = store
        self.failures = FailedTokens(settings.failed_tokens_per_minute)
        self.local = is_loopback(settings.host)
        if (settings.tls_cert is None) != (settings.tls_key is None):
            raise AccessError("TLS needs both a certificate and a key: give tls_cert and tls_key")
        self.tls = settings.tls_cert is not None
        if not self.local and not self.tls and not settings.plaintext:
            raise AccessError(
                f"listening on {settings.host} would send the account over the network in the "
                "clear. Give tls_cert and tls_key, or allow it with plaintext, or stay on "
                "127.0.0.1 and use `ssh -L`."
            )
        self.origins = frozenset(origin.rstrip("/").lower() for origin in settings.origins)
        self.hosts = frozenset(host.lower() for host in (*settings.hosts, settings.host))
        try:
            self.proxies = tuple(map(ipaddress.ip_network, settings.trusted_proxies))
        except ValueError as error:
            raise AccessError(
                f"trusted_proxies: {error}; give addresses or networks such as 127.0.0.1 or "
                "10.0.0.0/8"
            ) from None

    def client_behind(self, address: str, forwarded: Sequence[str]) -> str | None:
        """The client behind one of our own proxies.

        Each proxy appends the address that it received the request from, so the last entry that
        is not a trusted proxy is the client; the client may have written any entry before it.

        Args:
            address: The address of the connection.
            forwarded: All ``X-Forwarded-For`` headers, in order.

        Returns:
            The client's address; ``None`` when ``address`` is not a trusted proxy, or the headers
            name no address.
        """
        if not self._is_proxy(address):
            return None
        hops = [hop.strip() for header in forwarded for hop in header.split(",")]
        for hop in reversed(hops):
            if not _is_address(hop):
                return None
            if not self._is_proxy(hop):
                return hop
        # A client on a proxy's own machine or network: the entry of the nearest proxy.
        return hops[-1] if hops else None

    def _is_proxy(self, address: str) -> bool:
        if not self.proxies or not _is_address(address):
            return False
        found = ipaddress.ip_address(address.split("%", 1)[0])
        mapped = getattr(found, "ipv4_mapped", None) or found
        return any(mapped in network for network in self.proxies)

    def origin_allowed(self, origin: str, host: str | None, secure: bool = False) -> bool:
        """Whether a page of this origin may connect to the feed.

        Allowed are loopback origins (deployed dashboards run there), configured ones, and the
        page that this server itself delivered.

        Args:
            origin: The ``Origin`` header.
            host: The checked ``Host`` header.
            secure: One of our proxies speaks TLS for this server.
        """
        origin = origin.lower()
        if origin in self.origins:
            return True
        try:
            parts = urlsplit(origin)
            _ = parts.port
        except ValueError:
            return False
        if parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}":
            return False
        if "@" in parts.netloc or not parts.hostname:
            return False
        if parts.hostname in LOOPBACK_NAMES:
            return True
        scheme = "https" if self.tls or secure else "http"
        return host is not None and origin == f"{scheme}://{host.lower()}"

    def check(
        self, hosts: Sequence[str], origins: Sequence[str], secure: bool = False
    ) -> Rejection | None:
        """Check the ``Host`` and ``Origin`` headers of a request, before anything else.

        Returns:
            Why it is rejected; ``None`` when it is not.
        """
        if len(hosts) != 1 or len(origins) > 1:
            return Rejection(400, "BAD_REQUEST", "exactly one Host and at most one Origin header")
        name = split_host(hosts[0])
        known = name is not None and (
            name in LOOPBACK_NAMES or name in self.hosts or (not self.local and _is_address(name))
        )
        if not known:
            return Rejection(403, "HOST", "this server has another name; see the `hosts` setting")
        if origins and not self.origin_allowed(origins[0], hosts[0], secure):
            return Rejection(403, "ORIGIN", "pages of this origin may not read the feed")
        return None

    def without_token(
        self, address: str, host: str = "localhost", origin: str | None = None
    ) -> Grant | None:
        """What a client without a token may do: view, when everything stays on this machine.

        Args:
            address: The client's address.
            host: Its ``Host`` header: another name means that a proxy forwards from outside.
            origin: The origin of its page, if it runs in a browser: only one of this machine
                needs no token.

        Returns:
            Its grant; ``None`` when it needs a token.
        """
        if not self.local or self.settings.require_token or not is_loopback(address):
            return None
        if split_host(host) not in LOOPBACK_NAMES:
            return None
        if origin is not None and urlsplit(origin.lower()).hostname not in LOOPBACK_NAMES:
            return None
        return Grant("view")

    def by_token(self, text: str, address: str) -> Grant | Rejection:
        """What a token allows. Wrong ones are counted by address."""
        if self.failures.blocked(address):
            return Rejection(429, "TOO_MANY_FAILURES", "too many wrong tokens; wait a minute")
        try:
            token = self.store.find(text)
        except AccessError as error:
            return Rejection(503, "TOKENS", str(error))
        if token is None:
            self.failures.add(address)
            return Rejection(401, "TOKEN", "wrong token; `mt5dash token new` makes one")
        return Grant(token.role, token.id, token.bot)

    def still_valid(self, grant: Grant) -> bool:
        """Whether the token of a grant still exists."""
        if not grant.token:
            return True
        try:
            return any(token.id == grant.token for token in self.store.list())
        except AccessError:
            return False


def bearer(values: Sequence[str]) -> str | Rejection | None:
    """The token in the ``Authorization`` headers; ``None`` without such a header."""
    if not values:
        return None
    if len(values) > 1:
        return Rejection(400, "BAD_REQUEST", "more than one Authorization header")
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return Rejection(401, "TOKEN", "use Authorization: Bearer TOKEN")
    return token.strip()
