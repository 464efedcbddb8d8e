"""The address of a backbone: what it may be, how it is shown, and the store that it names."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from .backbone import BackboneError, Store

DEFAULT_STREAM = "mt5dash"
LOOKS = "redis://HOST:PORT/DB?stream=NAME, rediss:// for TLS, or sqlite:PATH"
_TLS = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def is_backbone(url: str) -> bool:
    """Whether an address is one of a backbone (and not of a feed, say)."""
    return url.partition(":")[0].lower() in (*_TLS, "sqlite", "memory")


def safe_address(url: str) -> str:
    """The address without user and password, for people and logs."""
    scheme = url.partition(":")[0].lower()
    if scheme not in _TLS:
        return url if is_backbone(url) else f"{scheme[:16]}:…"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        netloc = f"[{host}]" if ":" in host else host
        if parts.port is not None:
            netloc += f":{parts.port}"
    except ValueError:
        return f"{scheme}://…"
    stream = _stream_of(parts.query)
    return urlunsplit((scheme, netloc, parts.path, f"stream={stream}" if stream else "", ""))


def open_store(
    url: str, *, stream: str | None = None, password: str | None = None, ca: str | None = None
) -> Store:
    """The store that an address names; nothing is connected yet.

    Args:
        url: See ``LOOKS``; ``memory:NAME`` is this process.
        stream: Its name, unless the address has one.
        password: The broker's, unless the address has one.
        ca: PEM file of the authority behind the broker's certificate.

    Raises:
        BackboneError: no such address; redis-py is not installed.
    """
    scheme, _, rest = url.partition(":")
    scheme = scheme.lower()
    if scheme == "memory" and rest:
        from .backbone_memory import MemoryStore

        return MemoryStore(rest)
    if scheme == "sqlite" and rest:
        from .backbone_sqlite import SqliteStore

        return SqliteStore(Path(rest).expanduser())
    if scheme not in _TLS:
        raise BackboneError(f"{safe_address(url)!r} is no backbone; one looks like {LOOKS}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        db = int(parts.path.strip("/") or 0)
    except ValueError:
        host, port, db = None, None, 0
    if not host:
        raise BackboneError(f"{safe_address(url)} is no address of a broker; one is {LOOKS}")
    named = _stream_of(parts.query) or stream or DEFAULT_STREAM
    if not _NAME.fullmatch(named):
        raise BackboneError(
            f"stream {named!r}: a name has letters, digits, '.', '_' and '-', 64 at most"
        )
    try:
        from .backbone_redis import RedisStore
    except ImportError:
        raise BackboneError(
            "a Redis backbone needs redis-py: pip install 'mt5dash[redis]'"
        ) from None
    return RedisStore(
        host,
        port or 6379,
        db,
        named,
        username=unquote(parts.username) if parts.username else None,
        password=(unquote(parts.password) if parts.password else None) or password,
        tls=_TLS[scheme],
        ca=ca,
        where=safe_address(url),
    )


def _stream_of(query: str) -> str:
    return (parse_qs(query).get("stream") or [""])[0]
