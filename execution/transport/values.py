"""Turns replies of a terminal into values or errors, with their texts sanitised."""

from __future__ import annotations

from typing import Any, TypeVar

from streamer.protocol.sanitise import clean

from ..api import constants as c
from ..api.terminal import TerminalError
from .backend import Reply

T = TypeVar("T")


def value(function: str, reply: Reply) -> Any:
    """The reply's value; raises :class:`TerminalError` for a failure."""
    if reply.failed:
        raise TerminalError(reply.code, clean(reply.text), function)
    return cleaned(reply.value)


def cleaned(item: Any) -> Any:
    """Strip control bytes from the texts of a struct or a tuple of structs: broker text is
    data. Done once, here, where it enters."""
    if not isinstance(item, tuple):
        return item
    fields: tuple[str, ...] | None = getattr(item, "_fields", None)
    if fields is None:
        return tuple(cleaned(part) for part in item)
    dirty = {
        name: text
        for name, part in zip(fields, item, strict=True)
        if isinstance(part, str) and (text := clean(part)) != part
    }
    if not dirty:
        return item
    return type(item)(*(dirty.get(name, part) for name, part in zip(fields, item, strict=True)))


def expect(kind: type[T], item: Any) -> T:
    """``item`` as ``kind``; raises :class:`TerminalError` for a terminal that answers nonsense."""
    if not isinstance(item, kind):
        raise TerminalError(
            c.RES_E_INTERNAL_FAIL, f"answered {type(item).__name__}, not {kind.__name__}"
        )
    return item
