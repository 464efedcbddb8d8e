"""Wire objects with every field that a struct of the protocol declares."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UnsetType

from streamer.protocol.payloads import Received


def whole(struct: type[Received], n: int = 0) -> dict[str, Any]:
    """A valid wire object; another ``n`` gives other values and names."""
    hints = get_type_hints(struct, include_extras=True)
    tag = struct.__struct_config__.tag
    fields = msgspec.structs.fields(struct)
    named = {info.encode_name: _example(hints[info.name], n) for info in fields}
    return {"type": tag, **named} if tag else named


def event(struct: type[Received], n: int, timestamp: str) -> dict[str, Any]:
    """The same as a publisher sends it: without what the feed itself adds."""
    made = {**whole(struct, n), "timestamp": timestamp}
    for added in ("seq", "bot", "origin", "via"):
        made.pop(added, None)
    return made


def _example(hint: Any, n: int) -> Any:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType):
        hint = next(k for k in get_args(hint) if k not in (NoneType, UnsetType))
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return args[n % len(args)]
    if origin in (list, tuple):
        return [_example(args[0], n)]
    if origin is dict:
        return {f"name{n}": _example(args[1], n)}
    if isinstance(hint, type) and issubclass(hint, Received):
        return whole(hint, n)
    plain: dict[Any, Any] = {int: 7 + n, float: 1.5 + n, str: f"text{n}", bool: n % 2 == 0}
    return plain.get(hint, {"any": [n]})
