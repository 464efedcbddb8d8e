"""How the MetaTrader5 package reads its arguments: strict request fields, dates, group masks.

These rules are the package's own C code's, read from its 5.0.6231 wheel: they refuse before
anything reaches a terminal.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from streamer.errors import Mt5dashError

from ...api.structs import TradeRequest

NAME_LIMIT = 29
"""Longest symbol name and longest comment."""

MASK_LIMIT = 1997
_INT32 = 2**31 - 1

_FLOATS = ("volume", "price", "stoplimit", "sl", "tp")
_UNSIGNED = {
    "action": 2**32 - 1,
    "magic": 2**64 - 1,
    "order": 2**64 - 1,
    "deviation": 2**64 - 1,
    "type": 2**32 - 1,
    "type_filling": 2**32 - 1,
    "type_time": 2**32 - 1,
    "position": 2**64 - 1,
    "position_by": 2**64 - 1,
}
_STRINGS = ("symbol", "comment")


class BadArgument(Mt5dashError):
    """An argument the package refuses; its text goes to ``last_error()`` with -2."""


def read_request(args: tuple[Any, ...], fields: Mapping[str, Any]) -> TradeRequest:
    """The request of ``order_send``/``order_check``: one dict, or its fields as keywords.

    Prices and volume must be ``float`` (an int is refused), the rest ``int``; a comment has at
    most 29 characters. Unknown keys are ignored, missing ones are 0 or "".

    Raises:
        BadArgument: with the text that the package gives.
    """
    if len(args) > 1 or (args and fields):
        raise BadArgument("Invalid arguments")
    if args:
        if not isinstance(args[0], Mapping):
            raise BadArgument("Invalid arguments")
        fields = args[0]
    if not fields:
        raise BadArgument("Invalid arguments")
    values: dict[str, Any] = {}
    for key in TradeRequest._fields:
        value: Any = fields.get(key)
        if key not in fields:
            values[key] = 0.0 if key in _FLOATS else "" if key in _STRINGS else 0
        elif _fits(key, value):
            # Subclasses (numpy's float64) pass and are plain from here on.
            values[key] = float(value) if key in _FLOATS else value
        else:
            raise BadArgument(f'Invalid "{key}" argument')
    return TradeRequest(**values)


def _fits(key: str, value: Any) -> bool:
    if key in _FLOATS:
        return isinstance(value, float)
    if key in _STRINGS:
        return isinstance(value, str) and len(value) <= NAME_LIMIT
    if not isinstance(value, int):
        return False
    if key == "expiration":
        return -(2**63) <= value < 2**63
    return 0 <= value <= _UNSIGNED[key]


def read_symbol(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= NAME_LIMIT:
        raise BadArgument("Invalid arguments")
    return value


def read_int(value: Any) -> int:
    """A C ``int``."""
    if not isinstance(value, int) or not -_INT32 - 1 <= value <= _INT32:
        raise BadArgument("Invalid arguments")
    return value


def read_float(value: Any) -> float:
    if not isinstance(value, (int, float)):
        raise BadArgument("Invalid arguments")
    return float(value)


def read_date(value: Any) -> int:
    """Whole server seconds of an int, float or datetime, cut, not rounded.

    A naive datetime is taken as local time (the package calls its ``timestamp()``), and nothing
    after 2038-01-19 fits.
    """
    if isinstance(value, datetime):
        value = value.timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadArgument("Invalid arguments")
    try:
        seconds = int(value)
    except (ValueError, OverflowError) as error:
        raise BadArgument("Invalid arguments") from error
    if not -_INT32 - 1 <= seconds <= _INT32:
        raise BadArgument("Invalid arguments")
    return seconds


def read_mask(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MASK_LIMIT:
        raise BadArgument("Invalid arguments")
    return value


def group_matches(mask: str, name: str) -> bool:
    """A group mask: comma list, ``*`` wildcard, case counts. A matching ``!mask`` rejects at
    once; without a positive match the answer is no."""
    wanted = False
    for part in mask.split(","):
        pattern = part.strip()
        negative = pattern.startswith("!")
        if negative:
            pattern = pattern[1:].strip()
        if pattern and _like(pattern, name):
            if negative:
                return False
            wanted = True
    return wanted


def _like(pattern: str, name: str) -> bool:
    # Only the star is special; fnmatch would also read ? and [].
    escaped = "".join(f"[{char}]" if char in "?[" else char for char in pattern)
    return fnmatchcase(name, escaped)


def read_query(
    args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[int | None, str | None, str | None]:
    """(ticket, symbol, group) of ``positions_get``/``orders_get``; keywords only, and the first
    of ticket, symbol, group counts."""
    if args:
        raise BadArgument("Unnamed arguments not allowed")
    if kwargs.get("ticket") is not None:
        return _ticket(kwargs["ticket"]), None, None
    if kwargs.get("symbol") is not None:
        return None, read_symbol(kwargs["symbol"]), None
    if kwargs.get("group") is not None:
        return None, None, read_mask(kwargs["group"])
    return None, None, None


def _ticket(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**64:
        raise BadArgument("Invalid arguments")
    return value


def read_history(
    args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[int, int] | None, str | None, int | None, int | None]:
    """(dates, group, ticket, position) of ``history_*_get``: two dates and maybe a group, else
    a ticket, else a position; mixtures are refused."""
    dates = list(args)
    rest = {key: value for key, value in kwargs.items() if value is not None}
    dates += [rest.pop(key) for key in ("date_from", "date_to") if key in rest]
    group, ticket, position = rest.get("group"), rest.get("ticket"), rest.get("position")
    if dates:
        if len(dates) != 2 or ticket is not None or position is not None:
            raise BadArgument("Invalid arguments")
        span = (read_date(dates[0]), read_date(dates[1]))
        return span, None if group is None else read_mask(group), None, None
    if group is not None or (ticket is None) == (position is None):
        raise BadArgument("Invalid arguments")
    if ticket is not None:
        return None, None, _ticket(ticket), None
    return None, None, None, _ticket(position)
