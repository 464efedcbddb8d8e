"""The address of a backbone: its forms, its text for people, and the store that it names."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from .model import BackboneError, Store

DEFAULT_STREAM = "mt5dash"
ADDRESS_FORMS = "redis://HOST:PORT/DB?stream=NAME, rediss:// for TLS, or sqlite:PATH"
_TLS = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class _Broker:
    """The parts of a broker's address."""

    host: str
    port: int
    db: int
    stream: str | None
    username: str | None
    password: str | None
    tls: bool


def is_backbone(url: str) -> bool:
    """Whether an address names a backbone (and not a feed, for example)."""
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
    stream = (parse_qs(parts.query).get("stream") or [""])[0]
    return urlunsplit((scheme, netloc, parts.path, f"stream={stream}" if stream else "", ""))


def check_address(url: str) -> None:
    """Check an address without opening a connection.

    Raises:
        BackboneError: it names no backbone, or redis-py is not installed; the text says what
            to do and has no password.
    """
    scheme, _, rest = url.partition(":")
    if scheme.lower() in ("memory", "sqlite") and rest:
        return
    _broker(url)
    if importlib.util.find_spec("redis") is None:
        raise BackboneError("a Redis backbone needs redis-py: pip install 'mt5dash[redis]'")


def open_store(
    url: str, *, stream: str | None = None, password: str | None = None, ca: str | None = None
) -> Store:
    """The store that an address names; nothing is connected yet.

    Args:
        url: See ``ADDRESS_FORMS``; ``memory:NAME`` is this process.
        stream: Name of the stream, unless the address has one.
        password: The broker's password, unless the address has one.
        ca: PEM file of the authority that signed the broker's certificate.

    Raises:
        BackboneError: see ``check_address``.
    """
    check_address(url)
    scheme, _, rest = url.partition(":")
    if scheme.lower() == "memory":
        from .memory import MemoryStore

        return MemoryStore(rest)
    if scheme.lower() == "sqlite":
        from .sqlite import SqliteStore

        return SqliteStore(Path(rest).expanduser())
    from .redis import RedisStore

    broker = _broker(url)
    named = broker.stream or stream or DEFAULT_STREAM
    shown = safe_address(url)
    return RedisStore(
        broker.host,
        broker.port,
        broker.db,
        named,
        username=broker.username,
        password=broker.password or password,
        tls=broker.tls,
        ca=ca,
        where=shown if broker.stream else f"{shown}?stream={named}",
    )


def password_from(path: Path) -> str:
    """The first line of a password file.

    Raises:
        BackboneError: it cannot be read, or is empty.
    """
    try:
        lines = path.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BackboneError(f"{path} cannot be read: {error}") from None
    if not lines or not lines[0].strip():
        raise BackboneError(f"{path} is empty: its first line is the broker's password")
    return lines[0].strip()


def _broker(url: str) -> _Broker:
    scheme, shown = url.partition(":")[0].lower(), safe_address(url)
    if scheme not in _TLS:
        raise BackboneError(f"{shown} is no backbone; one looks like {ADDRESS_FORMS}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        db = int(parts.path.strip("/") or 0)
    except ValueError:
        host, port, db = None, None, 0
    if not host:
        raise BackboneError(f"{shown} is no address of a broker; one looks like {ADDRESS_FORMS}")
    query = parse_qs(parts.query)
    unknown = sorted(set(query) - {"stream"})
    if unknown:
        raise BackboneError(f"{shown}: {', '.join(unknown)}: unknown; only stream=NAME is allowed")
    stream = (query.get("stream") or [None])[0]  # type: ignore[list-item]
    if stream is not None and not _NAME.fullmatch(stream):
        raise BackboneError(
            f"{shown}: a stream's name has letters, digits, '.', '_' and '-', 64 at most"
        )
    return _Broker(
        host,
        port or 6379,
        db,
        stream,
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        _TLS[scheme],
    )
