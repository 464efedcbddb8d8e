"""The address that a client connects to, with its filters, and the reason of a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlencode

import msgspec
from websockets.exceptions import InvalidStatus


def address(
    url: str,
    since: str | None,
    types: Sequence[str] | None,
    symbols: Sequence[str] | None,
    bots: Sequence[str] | None = None,
) -> str:
    """The feed's URL with the filters of ``FeedClient`` as query parameters."""
    query: dict[str, str] = {}
    if since:
        query["since"] = since
    if types is not None:
        query["topics"] = ",".join(types)
    if symbols is not None:
        query["symbols"] = ",".join(symbols)
    if bots is not None:
        query["bots"] = ",".join(bots)
    if not query:
        return url
    joint = "&" if "?" in url else "?"
    return f"{url}{joint}{urlencode(query, quote_via=quote)}"


def after(since: str | None) -> int:
    """The number in ``EPOCH:SEQ``; 0 without one."""
    text = (since or "").rpartition(":")[2]
    return int(text) if text.isascii() and text.isdigit() else 0


def reason(error: InvalidStatus) -> str:
    """Why a server refused the handshake: its own message, or the HTTP reason."""
    body = bytes(error.response.body or b"")[:500]
    try:
        value = msgspec.json.decode(body)
        return str(value["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return body.decode("utf-8", "replace").strip() or error.response.reason_phrase
