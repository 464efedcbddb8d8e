"""What a client asks for: the names in its address and its messages, and its token."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

FILTER_MAX = 256

Query = dict[str, list[str]]


def listed(query: Query, name: str) -> frozenset[str] | None:
    """The names in a parameter such as ``topics=A,B``; ``None`` when there are none.

    Raises:
        msgspec.ValidationError: too many, or one is too long.
    """
    return some(in_order(query, name))


def in_order(query: Query, name: str = "bots") -> list[str] | None:
    """The same in the order in which they stand there."""
    return [part for value in query.get(name, []) for part in value.split(",") if part] or None


def some(values: Sequence[str] | None) -> frozenset[str] | None:
    """Names of a filter; ``None`` for everything.

    Raises:
        msgspec.ValidationError: too many, or one is too long.
    """
    if values is None:
        return None
    if len(values) > FILTER_MAX or any(len(value) > 96 for value in values):
        raise msgspec.ValidationError(f"at most {FILTER_MAX} names of at most 96 characters")
    return frozenset(values)


def bearer_subprotocol(values: Sequence[str]) -> str | None:
    """The token that a browser sends as a second subprotocol."""
    for value in values:
        for name in value.split(","):
            name = name.strip()
            if name.startswith("bearer."):
                return name.removeprefix("bearer.")
    return None
