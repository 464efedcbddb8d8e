"""A value that a test relies on: it is there, or the test fails at once."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def present(value: T | None) -> T:
    """The value; an ``AssertionError`` where it is ``None``."""
    assert value is not None
    return value
