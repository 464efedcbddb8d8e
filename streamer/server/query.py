"""Filters and token in the query parameters, messages and headers of a client."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

FILTER_MAX = 256
"""Names in one filter."""
NAME_MAX = 96

Query = dict[str, list[str]]
"""Query parameters, each with all its values."""


def names_in(query: Query, name: str) -> frozenset[str] | None:
    """The names in a parameter such as ``topics=A,B``; ``None`` when it names none.

    Raises:
        msgspec.ValidationError: too many, or one is too long.
    """
    return checked_names(ordered_names(query, name))


def ordered_names(query: Query, name: str = "bots") -> list[str] | None:
    """The names in a parameter in their order; ``None`` when it names none."""
    return [part for value in query.get(name, []) for part in value.split(",") if part] or None


def checked_names(values: Sequence[str] | None) -> frozenset[str] | None:
    """The names of a filter, within the limits; ``None`` for everything.

    Raises:
        msgspec.ValidationError: too many, or one is too long.
    """
    if values is None:
        return None
    if len(values) > FILTER_MAX or any(len(value) > NAME_MAX for value in values):
        raise msgspec.ValidationError(
            f"at most {FILTER_MAX} names of at most {NAME_MAX} characters"
        )
    return frozenset(values)


def bearer_subprotocol(values: Sequence[str]) -> str | None:
    """The token that a browser sends as a second subprotocol, ``bearer.TOKEN``."""
    for value in values:
        for name in value.split(","):
            name = name.strip()
            if name.startswith("bearer."):
                return name.removeprefix("bearer.")
    return None
