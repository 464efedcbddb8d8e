"""A trade request as the module insists on it: exact types, known keys, a short comment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

FLOATS = frozenset({"volume", "price", "stoplimit", "sl", "tp"})
INTEGERS = frozenset(
    {
        "action",
        "magic",
        "order",
        "deviation",
        "type",
        "type_filling",
        "type_time",
        "expiration",
        "position",
        "position_by",
    }
)
COMMENT_MAX = 29
"""Characters; one more and the module answers ``None`` with "Invalid comment argument"."""


def coerce(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with the types that the module takes: it refuses an int volume or a
    ``numpy.int64`` magic. Keys that it does not know are an error here, not ignored."""
    out: dict[str, Any] = {}
    for key, value in request.items():
        if key in FLOATS:
            out[key] = float(value)
        elif key in INTEGERS:
            out[key] = int(value.timestamp()) if isinstance(value, datetime) else int(value)
        elif key in {"symbol", "comment"}:
            text = str(value)
            if key == "comment" and len(text) > COMMENT_MAX:
                raise ValueError(f"comment has {len(text)} characters, the terminal takes 29")
            out[key] = text
        else:
            raise ValueError(f"a trade request has no field {key!r}")
    return out
