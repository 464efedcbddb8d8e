"""The live filter of a panel: ``text``, ``!text``, ``column>number``, joined by spaces."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .format import known

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_TERM = re.compile(r"(?P<column>[A-Za-z/%_]+)(?P<op>>=|<=|>|<|=)(?P<number>[-+]?\d+(?:\.\d*)?)$")


@dataclass(frozen=True, slots=True)
class Filter:
    """Terms that a row must all pass. An empty filter lets everything pass."""

    has: tuple[str, ...] = ()
    has_not: tuple[str, ...] = ()
    compare: tuple[tuple[str, str, float], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Filter:
        has, has_not, compare = [], [], []
        for term in text.casefold().split():
            match = _TERM.match(term)
            if match:
                compare.append((match["column"], match["op"], float(match["number"])))
            elif term.startswith("!") and len(term) > 1:
                has_not.append(term[1:])
            elif term != "!":
                has.append(term)
        return cls(tuple(has), tuple(has_not), tuple(compare))

    def __bool__(self) -> bool:
        return bool(self.has or self.has_not or self.compare)

    def passes(self, text: str, value: Callable[[str], Any]) -> bool:
        """Whether a row passes.

        Args:
            text: The whole text of the row.
            value: The number in a column by its name in lower case; ``None`` where there is
                none, and then a comparison fails.
        """
        text = text.casefold()
        if any(term not in text for term in self.has):
            return False
        if any(term in text for term in self.has_not):
            return False
        for column, op, limit in self.compare:
            number = known(value(column))
            if number is None or not _COMPARE[op](number, limit):
                return False
        return True
