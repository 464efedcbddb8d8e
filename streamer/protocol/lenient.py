"""Wire values as the protocol's structs, whatever a foreign publisher put into them.

The feed passes unknown events and fields on untouched, so a reader meets everything that JSON
can say. These functions never raise: a field that is not declared is kept (``extra``), a field of
a wrong type is unknown (``None``, or not there), and neither costs its neighbours.

Rules, in this order, for a declared field with a value of a wrong type:

- ``None`` where the type allows it (``X | None``, ``Sent[X]``);
- ``UNSET`` where the type allows that;
- the field's default where it has one;
- otherwise the whole struct is unknown: half of it would mislead (``RiskMemory``).

Numbers that are not finite and integers beyond 64 bits are of a wrong type. An integer stands for
a float, never the other way; a boolean is no number. A word that a ``Literal`` does not list is
kept: newer and foreign publishers have words of their own, which are shown as they are. Entries
of a list or an object with a wrong value are left out, or ``None`` where their type allows it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from types import NoneType, SimpleNamespace, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import UNSET, UnsetType

from .messages import EVENT_TYPES, Curve, Event
from .payloads import Received

R = TypeVar("R", bound=Received)

INT_MIN, INT_MAX = -(1 << 63), (1 << 64) - 1
NESTED = 4
"""Our structs hold numbers at most so deep; what is below belongs to no declared field."""


Mark = Enum("Mark", ["UNKNOWN", "OMIT"])
UNKNOWN, OMIT = Mark.UNKNOWN, Mark.OMIT
"""Instead of a value: it is of a wrong type; the field is left to its default."""
_Reader = Callable[[Any], Any]


def read(value: Any, struct: type[R]) -> R | None:
    """One JSON object as a struct; ``None`` when it is no object (or see the last rule)."""
    if type(value) is not dict:
        return None
    made: R | None = None
    if _numbers_fit(value, NESTED):
        try:
            made = msgspec.convert(value, struct)
            _remember(made, value)
        except (msgspec.ValidationError, RecursionError):
            made = None
    return _by_field(value, struct) if made is None else made


def read_list(value: Any, struct: type[R]) -> tuple[R, ...]:
    """A JSON array of objects as structs, in order; empty when it is no array."""
    if not isinstance(value, list):
        return ()
    return tuple(made for item in value if (made := read(item, struct)) is not None)


def read_map(value: Any, struct: type[R]) -> dict[str, R]:
    """A JSON object of objects as structs; empty when it is no object."""
    if not isinstance(value, dict):
        return {}
    return {
        key: made
        for key, item in value.items()
        if isinstance(key, str) and (made := read(item, struct)) is not None
    }


def read_curve(value: Any) -> Curve:
    """The equity curve of a snapshot or sample; points that are malformed are left out."""
    raw = value if isinstance(value, dict) else {}
    times, values = raw.get("time"), raw.get("value")
    if not isinstance(times, list) or not isinstance(values, list):
        return Curve()
    pairs = [(t, v) for t, v in zip(times, values, strict=False) if _is_point(t, v)]
    return Curve(time=tuple(t for t, _ in pairs), value=tuple(float(v) for _, v in pairs))


def typed_event(event: Mapping[str, Any]) -> Event | None:
    """A wire event as its struct, for ``isinstance`` or ``match``; ``None`` for a type that the
    protocol does not declare."""
    kind = event.get("type")
    struct = EVENT_TYPES.get(kind) if isinstance(kind, str) else None
    if struct is None:
        return None
    return read(event if type(event) is dict else dict(event), struct)


def wire_key(struct: type[R], field: Callable[[R], object]) -> str:
    """The key of a declared field on the wire: ``wire_key(Position, lambda p: p.profit)``.

    For code that reads wire objects as they are, because it runs for each event: it names the
    field by the struct, so that a renamed field is a type error here too.
    """
    names = {info.name: info.encode_name for info in msgspec.structs.fields(struct)}
    return str(field(cast(R, SimpleNamespace(**names))))


def _is_point(time: Any, value: Any) -> bool:
    if type(time) is not int or abs(time) > INT_MAX or type(value) not in (int, float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False


def _numbers_fit(value: Any, depth: int) -> bool:
    """Whether all numbers are finite and their integers within 64 bits."""
    for item in value.values() if type(value) is dict else value:
        kind = type(item)
        if kind is float:
            if not math.isfinite(item):
                return False
        elif kind is int:
            if not INT_MIN <= item <= INT_MAX:
                return False
        elif (kind is dict or kind is list) and depth and not _numbers_fit(item, depth - 1):
            return False
    return True


def _remember(made: Received, value: Mapping[str, Any]) -> None:
    """Note what a struct and those in it were made from, for ``extra``."""
    made.__dict__["received"] = value
    for name, key in _nested(type(made)):
        part = getattr(made, name)
        if isinstance(part, Received):
            _remember(part, value[key])
        elif isinstance(part, list):
            for item, raw in zip(part, value[key], strict=True):
                _remember(item, raw)
        elif isinstance(part, dict):
            for entry, item in part.items():
                _remember(item, value[key][entry])


# -- field by field -------------------------------------------------------------------------


class _Field(NamedTuple):
    """How a field of a struct is read: what it is when it is of a wrong type, or missing."""

    name: str
    key: str
    reader: _Reader
    wrong: Any
    missing: Any


def _by_field(value: dict[str, Any], struct: type[R]) -> R | None:
    found: dict[str, Any] = {}
    for field in _plan(struct):
        if field.key in value:
            item = field.reader(value[field.key])
            item = field.wrong if item is UNKNOWN else item
        else:
            item = field.missing
        if item is UNKNOWN:
            return None
        if item is not OMIT:
            found[field.name] = item
    made = struct(**found)
    made.__dict__["received"] = value
    return made


@cache
def _plan(struct: type[Received]) -> tuple[_Field, ...]:
    hints = get_type_hints(struct, include_extras=True)
    plan = []
    for info in msgspec.structs.fields(struct):
        hint = hints[info.name]
        kinds = _alternatives(hint)
        may_be_none = NoneType in kinds or _is_sent(hint)
        missing: Any = OMIT
        if info.required:
            missing = None if may_be_none else UNKNOWN
        wrong: Any = missing
        if may_be_none:
            wrong = None
        elif UnsetType in kinds:
            wrong = UNSET
        plan.append(_Field(info.name, info.encode_name, _reader(hint), wrong, missing))
    return tuple(plan)


@cache
def _nested(struct: type[Received]) -> tuple[tuple[str, str], ...]:
    """Name and key of the fields that hold structs, alone, in a list or by name."""

    def holds(hint: Any) -> bool:
        kinds = _alternatives(hint)
        return any(_is_struct(kind) or any(map(_is_struct, get_args(kind))) for kind in kinds)

    hints = get_type_hints(struct)
    fields = msgspec.structs.fields(struct)
    return tuple((info.name, info.encode_name) for info in fields if holds(hints[info.name]))


def _is_sent(hint: Any) -> bool:
    return get_origin(hint) is Annotated


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Received)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The types that a hint allows."""
    if _is_sent(hint):
        hint = get_args(hint)[0]
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _reader(hint: Any) -> _Reader:
    kinds = _alternatives(hint)
    readers = [_reader_of(kind) for kind in kinds if kind not in (NoneType, UnsetType)]
    may_be_none = NoneType in kinds

    def of(value: Any) -> Any:
        if value is None and may_be_none:
            return None
        for reader in readers:
            found = reader(value)
            if found is not UNKNOWN:
                return found
        return UNKNOWN

    return of


def _reader_of(kind: Any) -> _Reader:
    """The reader of one type, which is no union."""
    if kind is Any:
        return lambda value: value
    if kind in _SCALARS:
        return _SCALARS[kind]
    if _is_struct(kind):

        def of_struct(value: Any) -> Any:
            made = read(value, kind)
            return UNKNOWN if made is None else made

        return of_struct
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _SCALARS[str]
    if origin is list:
        inner = _reader(args[0])

        def of_list(value: Any) -> Any:
            if not isinstance(value, list):
                return UNKNOWN
            return [made for item in value if (made := inner(item)) is not UNKNOWN]

        return of_list
    if origin is dict:
        inner, may_be_none = _reader(args[1]), NoneType in _alternatives(args[1])

        def of_map(value: Any) -> Any:
            if not isinstance(value, dict):
                return UNKNOWN
            found = {}
            for key, item in value.items():
                made = inner(item)
                made = None if made is UNKNOWN and may_be_none else made
                if isinstance(key, str) and made is not UNKNOWN:
                    found[key] = made
            return found

        return of_map
    raise TypeError(f"{kind} is not for messages")  # met when the protocol is changed: a test


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else UNKNOWN


def _flag(value: Any) -> Any:
    return value if isinstance(value, bool) else UNKNOWN


def _integer(value: Any) -> Any:
    return value if type(value) is int and INT_MIN <= value <= INT_MAX else UNKNOWN


def _number(value: Any) -> Any:
    if type(value) not in (int, float):
        return UNKNOWN
    try:
        number = float(value)
    except OverflowError:
        return UNKNOWN
    return number if math.isfinite(number) else UNKNOWN


_SCALARS: dict[Any, _Reader] = {str: _text, bool: _flag, int: _integer, float: _number}
