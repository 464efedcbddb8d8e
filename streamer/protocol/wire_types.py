"""The structs of the state as TypeScript declarations, for the type check of the page.

The page runs as it is, without a build: only ``tsc`` reads ``streamer/web/wire.d.ts``, so that a
field that is renamed here is a type error in each module of the page that reads it::

    python -m streamer.protocol.wire_types > streamer/web/wire.d.ts
"""

from __future__ import annotations

from inspect import cleandoc
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UnsetType

from .messages import BotStatus, Heartbeat, TerminalStatus, TradeExecution
from .payloads import Account, Curve, PendingOrder, Position, Quote, Scan

ROOTS: tuple[type[msgspec.Struct], ...] = (
    Account,
    Position,
    PendingOrder,
    Quote,
    Scan,
    TradeExecution,
    BotStatus,
    TerminalStatus,
    Curve,
    Heartbeat,
)
SCALARS = {str: "string", int: "number", float: "number", bool: "boolean", Any: "any"}


def declarations() -> str:
    """The content of ``wire.d.ts``: an interface for each struct, nested ones included."""
    written: dict[str, str] = {}
    waiting = list(ROOTS)
    while waiting:
        struct = waiting.pop(0)
        if struct.__name__ not in written:
            written[struct.__name__] = _interface(struct, waiting)
    head = (
        "// Generated from streamer/protocol: python -m streamer.protocol.wire_types\n"
        "// Any field of a foreign publisher can be missing, null or of another type.\n"
    )
    return head + "".join(written[name] for name in sorted(written))


def _interface(struct: type[msgspec.Struct], found: list[type[msgspec.Struct]]) -> str:
    hints = get_type_hints(struct, include_extras=True)
    lines = [
        f"  {field.encode_name}?: {_type(hints[field.name], found)} | null;"
        for field in msgspec.structs.fields(struct)
    ]
    about = cleandoc(struct.__doc__ or "").partition("\n")[0]
    doc = f"/** {about} */\n" if about else ""
    return "\n".join([f"\n{doc}export interface {struct.__name__} {{", *lines, "}\n"])


def _type(hint: Any, found: list[type[msgspec.Struct]]) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _type(args[0], found)
    if origin in (Union, UnionType):
        kinds = [_type(arg, found) for arg in args if arg not in (NoneType, UnsetType)]
        return " | ".join(dict.fromkeys(kinds))
    if origin is Literal:
        return "string"  # foreign publishers have words of their own
    if origin in (list, tuple):
        return f"{_type(args[0], found)}[]"
    if origin is dict:
        return f"Record<string, {_type(args[1], found)}>"
    if hint in SCALARS:
        return SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        found.append(hint)
        return hint.__name__
    raise TypeError(f"{hint} has no TypeScript type")


if __name__ == "__main__":
    print(declarations(), end="")
