"""WebSocket frames as bytes, without a socket (RFC 6455, RFC 7692).

A server does not mask what it sends, so a frame has the same bytes for every client; with
permessage-deflate that stays true as long as no context is kept from message to message.
"""

from __future__ import annotations

import zlib

DEFLATE_FROM = 200
"""Payloads below this many bytes are sent as they are: deflate gains nothing there."""

_LARGE = 64 * 1024
"""Payloads from this size on are compressed in a hurry: the loop waits for it."""

PING = b"\x89\x04feed"


def _header(first: int, size: int) -> bytes:
    if size < 126:
        return bytes((first, size))
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")


def text_frame(payload: bytes) -> bytes:
    """One whole text message, uncompressed (RFC 6455, 5.2)."""
    return _header(0x81, len(payload)) + payload


def deflated_frame(payload: bytes) -> bytes:
    """The same, compressed with an empty context and the full window (RFC 7692, 7.2.1)."""
    if len(payload) < DEFLATE_FROM:
        return text_frame(payload)
    deflate = zlib.compressobj(level=6 if len(payload) < _LARGE else 1, wbits=-15)
    body = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return _header(0xC1, len(body) - 4) + body[:-4]
