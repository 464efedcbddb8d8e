"""The callbacks of a source: registered, removed and called in one place."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Watchers(Generic[T]):
    """Callbacks that receive each value; one that raises is logged and hurts no other.

    Args:
        name: What is watched, for the log.
        logger: Where a failing callback is logged.
    """

    __slots__ = ("_entries", "logger", "name")

    def __init__(self, name: str, logger: logging.Logger) -> None:
        self.name = name
        self.logger = logger
        self._entries: tuple[tuple[Callable[[T], None]], ...] = ()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, callback: Callable[[T], None]) -> Callable[[], None]:
        """Call ``callback`` with each value from now on.

        Returns:
            A function that removes it; calling that twice does no harm.
        """
        entry = (callback,)  # a tuple of its own: the same callback may be added twice
        self._entries = (*self._entries, entry)

        def remove() -> None:
            self._entries = tuple(other for other in self._entries if other is not entry)

        return remove

    def notify(self, value: T) -> None:
        """Call every callback with ``value``, in the order in which they were added.

        Callbacks that are added or removed meanwhile count from the next value on.
        """
        for (callback,) in self._entries:
            try:
                callback(value)
            except Exception:
                self.logger.exception("a watcher of %s failed", self.name)
