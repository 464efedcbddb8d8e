"""Who may do what: names of this server, web origins, tokens and their roles.

Tokens have 256 bits. The file keeps only their SHA-256, is readable by its owner alone, and
is read again when it changed, so that a new or revoked token counts at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import os
import secrets
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
import platformdirs

from ..errors import USAGE, Mt5dashError
from ..protocol.codec import now_iso
from ..protocol.sanitise import clean
from ..settings import GIVEN_NAME, FeedSettings

Role = Literal["view", "control", "publish"]
ROLES: tuple[Role, ...] = ("view", "control", "publish")


class AccessError(Mt5dashError):
    """Settings or a token file that must not be used; the text says what to do."""

    exit_code = USAGE


class Token(msgspec.Struct, frozen=True):
    """A token as the file knows it. ``sha256`` in hex."""

    id: str
    role: Role
    name: str
    sha256: str
    created: str
    bot: str = ""
    """The bot that it publishes as; empty: as the feed's own."""


class _File(msgspec.Struct):
    tokens: list[Token] = []


def default_tokens_file() -> Path:
    """Where tokens are kept unless the settings say otherwise."""
    return Path(platformdirs.user_state_dir("mt5dash", appauthor=False)) / "tokens.json"


class TokenStore:
    """The tokens in one file.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int, int] | None = None
        self._tokens: tuple[Token, ...] = ()

    def list(self) -> tuple[Token, ...]:
        """All tokens, oldest first.

        Raises:
            AccessError: the file is readable for others, or no token file.
        """
        self._refresh()
        return self._tokens

    def new(self, role: Role, name: str = "", *, bot: str = "") -> tuple[str, Token]:
        """Make a token; returns its text, which is kept nowhere, and its entry.

        Args:
            role: What it allows.
            name: A note for people.
            bot: For ``publish``: the bot that it publishes as; empty: the feed's own.

        Raises:
            AccessError: unknown role, a bot's name that is none, or the file cannot be used or
                written.
        """
        if role not in ROLES:
            raise AccessError(f"no role {role!r}; one of {', '.join(ROLES)}")
        if bot and role != "publish":
            raise AccessError("only a token with the role publish is a bot's")
        if bot and not GIVEN_NAME.fullmatch(bot):
            raise AccessError(
                f"{bot!r} is no name of a bot: 1 to 32 letters, digits, dots, _ or -, the first "
                "of them a letter or digit"
            )
        self._refresh()
        text = secrets.token_urlsafe(32)
        token = Token(
            id=secrets.token_hex(4),
            role=role,
            name=clean(name, 64),
            sha256=_digest(text).hex(),
            created=now_iso(),
            bot=bot,
        )
        self._write([*self._tokens, token])
        return text, token

    def revoke(self, id: str) -> bool:
        """Remove the token with this id; False when there is none."""
        self._refresh()
        left = [token for token in self._tokens if token.id != id]
        if len(left) == len(self._tokens):
            return False
        self._write(left)
        return True

    def find(self, text: str) -> Token | None:
        """The entry of a token, compared in constant time with each.

        Raises:
            AccessError: as ``list``.
        """
        self._refresh()
        digest = _digest(text)
        found = None
        for token in self._tokens:
            if hmac.compare_digest(digest, bytes.fromhex(token.sha256)):
                found = token
        return found

    def _refresh(self) -> None:
        try:
            facts = self.path.stat()
        except FileNotFoundError:
            self._stamp, self._tokens = None, ()
            return
        except OSError as error:
            raise AccessError(f"{self.path}: {error}") from None
        stamp = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
        if stamp == self._stamp:
            return
        if sys.platform != "win32" and facts.st_mode & 0o077:
            raise AccessError(f"{self.path}: readable for other users; run: chmod 600 {self.path}")
        try:
            read = msgspec.json.decode(self.path.read_bytes(), type=_File)
            for token in read.tokens:
                if len(bytes.fromhex(token.sha256)) != 32:
                    raise ValueError("sha256 is not 32 bytes")
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise AccessError(
                f"{self.path}: no token file ({error}). Move it away and make new tokens."
            ) from None
        self._stamp, self._tokens = stamp, tuple(read.tokens)

    def _write(self, tokens: Sequence[Token]) -> None:
        folder = self.path.parent
        temporary = folder / f".{self.path.name}.{secrets.token_hex(4)}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                body = msgspec.json.format(msgspec.json.encode(_File(list(tokens))), indent=2)
                os.write(descriptor, body + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise AccessError(f"{self.path}: cannot be written: {error}") from None
        self._stamp = None
        self._refresh()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


class Failures:
    """Wrong tokens by address in the last minute."""

    def __init__(self, per_minute: int) -> None:
        self._limit = per_minute
        self._seen: dict[str, deque[float]] = {}

    def add(self, address: str) -> None:
        """Note a wrong token."""
        if len(self._seen) > 4096:
            self._seen.pop(next(iter(self._seen)))
        self._seen.setdefault(address, deque(maxlen=self._limit)).append(time.monotonic())

    def blocked(self, address: str) -> bool:
        """Whether this address has to wait; its tokens are then not even looked at."""
        seen = self._seen.get(address)
        if seen is None or len(seen) < self._limit:
            return False
        return time.monotonic() - seen[0] < 60.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further: HTTP status, code, words."""

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
        """How the audit names it."""
        return f"token {self.token}" if self.token else "loopback"


LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Whether an address or name means this machine only."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        address = ipaddress.ip_address(host.split("%", 1)[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def split_host(header: str) -> str | None:
    """The name in a ``Host`` header, lower case, brackets off; ``None`` when malformed."""
    if not header or any(c in header for c in "/\\@?# \t,"):
        return None
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname


class Access:
    """The rules for one server.

    Raises:
        AccessError: the settings would open the feed to others without TLS or consent.
    """

    def __init__(self, settings: FeedSettings, store: TokenStore) -> None:
        self.settings = settings
        self.store = store
        self.failures = Failures(settings.failed_tokens_per_minute)
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
        """The client for whom one of our own proxies speaks.

        Each proxy appends whom it heard from, so the last entry that is no proxy of ours is the
        client; what stands before it the client may have written itself.

        Args:
            address: Who is connected.
            forwarded: All ``X-Forwarded-For`` headers, in order.

        Returns:
            Its address; ``None`` when ``address`` is no trusted proxy or names nobody.
        """
        if not self._is_proxy(address):
            return None
        hops = [hop.strip() for header in forwarded for hop in header.split(",")]
        for hop in reversed(hops):
            if not _is_address(hop):
                return None
            if not self._is_proxy(hop):
                return hop
        # A client on a proxy's own machine or network: what the nearest proxy saw.
        return hops[-1] if hops else None

    def _is_proxy(self, address: str) -> bool:
        if not self.proxies or not _is_address(address):
            return False
        found = ipaddress.ip_address(address.split("%", 1)[0])
        mapped = getattr(found, "ipv4_mapped", None) or found
        return any(mapped in network for network in self.proxies)

    def origin_allowed(self, origin: str, host: str | None, secure: bool = False) -> bool:
        """Whether a page of this origin may talk to the feed.

        Loopback origins may (deployed dashboards run there), configured ones, and the page
        that this server itself delivered (``host`` is its checked Host header; ``secure``: a
        proxy of ours speaks TLS for it).
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
    ) -> Refusal | None:
        """Check all ``Host`` and ``Origin`` headers of a request, before anything else."""
        if len(hosts) != 1 or len(origins) > 1:
            return Refusal(400, "BAD_REQUEST", "exactly one Host and at most one Origin header")
        name = split_host(hosts[0])
        known = name is not None and (
            name in LOOPBACK_NAMES or name in self.hosts or (not self.local and _is_address(name))
        )
        if not known:
            return Refusal(403, "HOST", "this server has another name; see the `hosts` setting")
        if origins and not self.origin_allowed(origins[0], hosts[0], secure):
            return Refusal(403, "ORIGIN", "pages of this origin may not read the feed")
        return None

    def free(
        self, address: str, host: str = "localhost", origin: str | None = None
    ) -> Grant | None:
        """What a client without a token may do: view, if all of it stays on this machine.

        Args:
            address: Where it connects from.
            host: Its ``Host`` header: another name means that somebody forwards from outside.
            origin: The page that it runs in, if any: only one of this machine goes free.
        """
        if not self.local or self.settings.require_token or not is_loopback(address):
            return None
        if split_host(host) not in LOOPBACK_NAMES:
            return None
        if origin is not None and urlsplit(origin.lower()).hostname not in LOOPBACK_NAMES:
            return None
        return Grant("view")

    def by_token(self, text: str, address: str) -> Grant | Refusal:
        """What a token allows; wrong ones are counted by address."""
        if self.failures.blocked(address):
            return Refusal(429, "TOO_MANY_FAILURES", "too many wrong tokens; wait a minute")
        try:
            token = self.store.find(text)
        except AccessError as error:
            return Refusal(503, "TOKENS", str(error))
        if token is None:
            self.failures.add(address)
            return Refusal(401, "TOKEN", "wrong token; `mt5dash token new` makes one")
        return Grant(token.role, token.id, token.bot)

    def still_valid(self, grant: Grant) -> bool:
        """Whether the token of a grant has not been revoked since."""
        if not grant.token:
            return True
        try:
            return any(token.id == grant.token for token in self.store.list())
        except AccessError:
            return False


def bearer(values: Sequence[str]) -> str | Refusal | None:
    """The token in the ``Authorization`` headers, if any."""
    if not values:
        return None
    if len(values) > 1:
        return Refusal(400, "BAD_REQUEST", "more than one Authorization header")
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return Refusal(401, "TOKEN", "use Authorization: Bearer TOKEN")
    return token.strip()
