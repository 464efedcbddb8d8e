"""JSON in and out: what a publisher hands over becomes one JSON object, or is refused.

Numbers stay numbers, also those of numpy and pandas (which are never imported here); what is
not finite becomes ``null``; times become ISO 8601 with ``+00:00``. ``pack`` copies: what the
caller does to its object afterwards changes nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from ..errors import Mt5dashError
from .messages import REPLY_TYPES, RESERVED_TYPES, Event

MAX_EVENT_BYTES = 1 << 20
"""A published event of more than this is refused: it would hold up everyone."""
MAX_DEPTH = 64
MAX_TYPE_LENGTH = 64


class EventRefused(Mt5dashError, ValueError):
    """An event that cannot be sent; the text says why."""


def now_iso() -> str:
    """This moment as the wire writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _builtin(value: Any) -> Any:
    """What msgspec cannot write by itself, as something that it can."""
    tolist = getattr(value, "tolist", None)
    if callable(tolist):  # numpy scalars and arrays, pandas series and indexes
        plain = tolist()
        return float(plain) if type(plain) is type(value) else plain
    if isinstance(value, float):
        return float(value)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    to_dict = getattr(value, "to_dict", None)
    if callable(to_dict):  # a pandas frame: {column: [values]}
        return to_dict("list")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


_OTHER_TIME = re.compile(rb'T\d\d:\d\d:\d\d(?:\.\d+)?(?![\d.]|\+00:00")')
_encoder = msgspec.json.Encoder(enc_hook=_builtin, decimal_format="number")
_decoder = msgspec.json.Decoder()


def encode(value: Any) -> bytes:
    """Any struct or JSON-like value as compact JSON. Floats that are not finite are ``null``."""
    return _encoder.encode(value)


def decode(raw: bytes | str) -> Any:
    """Parse JSON strictly.

    Raises:
        ValueError: not JSON, not UTF-8, nested too deep, or a number out of range.
    """
    try:
        return _decoder.decode(raw)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None


def decode_lenient(raw: bytes | str) -> Any:
    """Parse what older servers write: ``NaN`` and ``Infinity`` become ``None``.

    Raises:
        ValueError: not JSON at all.
    """
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            value = json.loads(raw, parse_constant=lambda _: None)
            return plain(value)
        except (RecursionError, EventRefused) as error:
            raise ValueError(f"JSON that cannot be used: {error}") from None


def plain(value: Any, depth: int = 0) -> Any:
    """A deep copy of ``value`` from JSON types only, in Python: the careful way of ``pack``.

    Raises:
        EventRefused: something in it has no JSON form, or it is nested too deep.
    """
    if value is None or value is True or value is False:
        return value
    kind = type(value)
    if kind is str:
        return value.encode("utf-8", "replace").decode() if not value.isascii() else value
    if kind is int:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if depth > MAX_DEPTH:
        raise EventRefused(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        return {_key(k): plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v, depth + 1) for v in value]
    if isinstance(value, datetime):
        return iso(value) if value == value else None  # pandas' NaT is a datetime
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else None
    try:
        return plain(_builtin(value), depth + 1)
    except TypeError:
        pass
    try:
        return plain(msgspec.to_builtins(value), depth + 1)
    except (TypeError, ValueError, RecursionError):
        raise EventRefused(f"{kind.__name__} has no JSON form") from None


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str(key).encode("utf-8", "replace").decode()
    value = plain(key, MAX_DEPTH)
    if isinstance(value, str):
        return value
    return encode(value).decode()


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with ``+00:00``; a time without a zone is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat()


def epoch_seconds(text: Any) -> int | None:
    """Whole seconds since 1970 of an ISO 8601 time; one without a zone is UTC."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() // 1)


def pack(event: Event | Mapping[str, Any]) -> bytes:
    """Copy an event into JSON bytes. Safe from any thread; does not look at its content.

    Raises:
        EventRefused: it is no mapping or struct, has no JSON form, or is too large.
    """
    if not isinstance(event, Event | Mapping):
        raise EventRefused(f"an event is a dict, not {type(event).__name__}")
    try:
        raw = _encoder.encode(event)
        # The fast way writes a datetime as "Z", with its own offset or with none, and a Decimal
        # that is no number as NaN; all are rare.
        if isinstance(event, Mapping) and (
            _OTHER_TIME.search(raw) or b"NaN" in raw or b"Infinity" in raw
        ):
            raw = _encoder.encode(plain(event))
    except EventRefused:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError, AttributeError, RuntimeError):
        try:
            raw = _encoder.encode(plain(event))
        except (TypeError, ValueError, OverflowError, RecursionError, RuntimeError) as error:
            raise EventRefused(str(error) or type(error).__name__) from None
    if len(raw) > MAX_EVENT_BYTES:
        raise EventRefused(f"{len(raw)} bytes; an event may have {MAX_EVENT_BYTES}")
    return raw


def unpack(raw: bytes) -> dict[str, Any]:
    """The event in packed bytes, checked for what every event must have.

    Raises:
        EventRefused: no JSON object, no usable ``type``, or a type that is not for events.
    """
    try:
        event = decode(raw)
    except ValueError as error:
        raise EventRefused(str(error)) from None
    if type(event) is not dict:
        raise EventRefused("an event is a JSON object")
    kind = event.get("type")
    if type(kind) is not str or not kind:
        raise EventRefused("an event needs a text `type`")
    if len(kind) > MAX_TYPE_LENGTH:
        raise EventRefused(f"`type` longer than {MAX_TYPE_LENGTH}")
    if kind in RESERVED_TYPES or kind in REPLY_TYPES:
        raise EventRefused(f"`type` {kind} is not for events")
    return event
