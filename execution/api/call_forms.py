"""How the MetaTrader5 package reads the arguments of its 32 functions.

Its C code refuses before anything reaches a terminal: a wrong form raises ``TypeError``, a value
of a wrong kind gives ``None`` or ``False`` with -2 in ``last_error()``, and a number of a wrong
kind or range also raises ``SystemError``. Everything here was measured on the 5.0.6231 wheel with
generated calls, and is compared with it again by the Windows tests.

:func:`read` turns the arguments of a call into plain ones: positional and keyword arguments that a
typed Python function can take, with whole seconds for dates and no unknown keywords.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, NoReturn

from streamer.errors import Mt5dashError

from .structs import TradeRequest

NAME_LIMIT = 29
"""Longest symbol name and longest comment, in UTF-16 units."""

MASK_LIMIT = 1997
"""Longest group mask, in UTF-16 units."""

LOGIN_TEXT_LIMIT = 253
"""Longest password and server name, in UTF-16 units."""

PATH_LIMIT = 257

_INT32 = 2**31 - 1
_INT64 = 2**63 - 1
_UINT32 = 2**32 - 1
_UINT64 = 2**64 - 1
_LOCAL = (datetime(1970, 1, 2), datetime(3000, 12, 31, 23))
"""Windows cannot convert local times outside of these."""

FLOATS = ("volume", "price", "stoplimit", "sl", "tp")
UNSIGNED = {
    "action": _UINT32,
    "magic": _UINT64,
    "order": _UINT64,
    "deviation": _UINT64,
    "type": _UINT32,
    "type_filling": _UINT32,
    "type_time": _UINT32,
    "position": _UINT64,
    "position_by": _UINT64,
}
"""The largest value of each whole number of a request."""

TEXTS = ("symbol", "comment")


class Arguments(NamedTuple):
    """The arguments of a call as the C code goes on with them. ``raises``: whatever the
    terminal answers, the call ends in a ``SystemError`` (a date beyond 32 bits)."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}
    raises: bool = False


class BadArgument(Mt5dashError):
    """An argument that the package refuses.

    Its text is what ``last_error()`` says with -2. ``value`` is what the call returns, and
    ``raises`` says that it raises ``SystemError`` instead.
    """

    def __init__(self, text: str, *, raises: bool = False) -> None:
        super().__init__(text)
        self.raises = raises
        self.value: bool | None = None


def _bad(what: str, *, raises: bool = False) -> NoReturn:
    raise BadArgument(f"Invalid {what}", raises=raises)


# -- single values --------------------------------------------------------------------------


def utf16_length(text: str) -> int:
    """The length of a text as Windows counts it."""
    return len(text) + sum(char > "\uffff" for char in text)


def _text(value: Any, limit: int, what: str) -> str:
    if not isinstance(value, str) or utf16_length(value) > limit:
        _bad(what)
    # A text ends at its first NUL, as every C string.
    return str(value).partition("\0")[0]


def _int32(value: Any) -> int:
    """The ``i`` of a C format: an index within 32 bits."""
    try:
        number = value.__index__()
    except (AttributeError, TypeError):
        _bad("arguments", raises=True)
    if not -_INT32 - 1 <= number <= _INT32:
        _bad("arguments", raises=True)
    return int(number)


def _unsigned_mask(value: Any) -> int:
    """The ``k`` of a C format: an ``int``, cut to 32 bits without a check."""
    if not isinstance(value, int):
        _bad("arguments", raises=True)
    return value & _UINT32


def _double(value: Any) -> float:
    """The ``d`` of a C format: whatever has a float, or an index."""
    try:
        return float(value) if not isinstance(value, (str, bytes)) else float(_no_number())
    except (TypeError, ValueError, OverflowError):
        _bad("arguments", raises=True)


def _no_number() -> NoReturn:
    raise TypeError


class _Dates:
    """Reads the dates of one call, in order. ``overflow``: one was a whole number beyond 32 bits,
    which leaves an exception behind that the C code does not look at."""

    def __init__(self) -> None:
        self.overflow = False

    def read(self, value: Any) -> int:
        """Whole server seconds, cut, not rounded; a naive datetime is taken as local time. What
        lies outside of 32 bits becomes the nearest moment inside of them."""
        if isinstance(value, datetime):
            # Its method cannot be called while an exception is pending.
            if self.overflow or (value.tzinfo is None and not _LOCAL[0] <= value < _LOCAL[1]):
                _bad("arguments", raises=True)
            value = value.timestamp()
        if isinstance(value, int):
            self.overflow |= not -_INT32 - 1 <= value <= _INT32
            return max(-_INT32 - 1, min(int(value), _INT32))
        if not isinstance(value, float):
            _bad("arguments", raises=self.overflow)
        if value != value:
            return -_INT32 - 1
        return int(max(-_INT32 - 1.0, min(value, float(_INT32))))


def _whole(value: Any, most: int, what: str, least: int = 0) -> int:
    """An ``int`` from ``least`` to ``most``; another one raises."""
    if not isinstance(value, int):
        _bad(what)
    if not least <= value <= most:
        _bad(what, raises=True)
    return int(value)


# -- functions with positional arguments ------------------------------------------------------


def _parse(args: tuple[Any, ...], form: str) -> list[Any]:
    """Read positional arguments by a C format; ``s`` and ``t`` (a symbol, a date) are checked
    after the format, as the C code does."""
    if len(args) != len(form):
        _bad("arguments")
    convert: dict[str, Callable[[Any], Any]] = {"i": _int32, "k": _unsigned_mask, "d": _double}
    return [
        convert[kind](arg) if kind in convert else arg for kind, arg in zip(form, args, strict=True)
    ]


def _checked(values: list[Any], form: str) -> Arguments:
    """The symbol, then the dates."""
    dates = _Dates()
    for at, kind in enumerate(form):
        if kind == "s":
            values[at] = _text(values[at], NAME_LIMIT, "arguments")
    for at, kind in enumerate(form):
        if kind == "t":
            values[at] = dates.read(values[at])
    return Arguments(tuple(values), {}, dates.overflow)


def _positional(form: str) -> Callable[..., Arguments]:
    def parse(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
        return _checked(_parse(args, form), form)

    return parse


def _symbol_select(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    if not 1 <= len(args) <= 2:
        _bad("arguments")
    enable = bool(args[1]) if len(args) == 2 else True
    return Arguments((_text(args[0], NAME_LIMIT, "arguments"), enable))


# -- functions with keywords ------------------------------------------------------------------


def _argument(name: str) -> str:
    return f'"{name}" argument'


def _symbols_get(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    if len(args) > 1:
        _bad("number of arguments")
    group = None
    if args:
        group = _text(args[0], MASK_LIMIT, "1st unnamed argument")
    if "group" in kwargs:
        group = _text(kwargs["group"], MASK_LIMIT, _argument("group"))
    return Arguments((), {} if group is None else {"group": group})


def _query(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    """``positions_get`` and ``orders_get``: the first of ticket, symbol, group counts."""
    if args:
        raise BadArgument("Unnamed arguments not allowed")
    if "ticket" in kwargs:
        return Arguments((), {"ticket": _whole(kwargs["ticket"], _UINT64, _argument("ticket"))})
    for name, limit in (("symbol", NAME_LIMIT), ("group", MASK_LIMIT)):
        if name in kwargs:
            return Arguments((), {name: _text(kwargs[name], limit, _argument(name))})
    return Arguments()


def _history(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    """``history_*_get``: two dates and maybe a group, else a ticket, else a position."""
    if len(args) == 2:
        dates = _Dates()
        span = (dates.read(args[0]), dates.read(args[1]))
        if "group" not in kwargs:
            return Arguments(span, {}, dates.overflow)
        try:
            group = _text(kwargs["group"], MASK_LIMIT, _argument("group"))
        except BadArgument as error:
            error.raises = dates.overflow
            raise
        return Arguments(span, {"group": group}, dates.overflow)
    for name in ("ticket", "position"):
        if name in kwargs:
            if args:
                raise BadArgument("Unnamed arguments not allowed")
            return Arguments((), {name: _whole(kwargs[name], _UINT64, _argument(name))})
    _bad("arguments")


def _login(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    if len(args) > 3:
        _bad("number of arguments")
    out: dict[str, Any] = {}
    places = ("1st", "2nd", "3rd")
    for place, name, value in zip(places, ("login", "password", "server"), args, strict=False):
        out[name] = _credential(name, value, f"{place} unnamed argument")
    out |= _credentials(kwargs)
    if not out.get("login"):
        _bad(_argument("login"))
    return Arguments((), out)


def _initialize(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    if len(args) > 1:
        _bad("number of arguments")
    out: dict[str, Any] = {}
    if args:
        out["path"] = _text(args[0], PATH_LIMIT, "1st unnamed argument")
    out |= _credentials(kwargs)
    if "path" in kwargs:
        out["path"] = _text(kwargs["path"], PATH_LIMIT, _argument("path"))
    if "portable" in kwargs:
        out["portable"] = bool(kwargs["portable"])
    return Arguments((), out)


def _credentials(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords that ``login`` and ``initialize`` share, in the order they are checked."""
    names = ("login", "server", "password", "timeout")
    return {
        name: _credential(name, kwargs[name], _argument(name)) for name in names if name in kwargs
    }


def _credential(name: str, value: Any, what: str) -> Any:
    if name == "login":
        return _whole(value, _UINT64, what)
    if name == "timeout":
        return _whole(value, _UINT32, what)
    return _text(value, LOGIN_TEXT_LIMIT, what)


def _trade(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    """``order_send`` and ``order_check``: one dict, or the fields of the request as keywords."""
    fields: Mapping[str, Any] = kwargs
    if kwargs:
        if args:
            raise BadArgument("Unnamed arguments not allowed")
    elif len(args) != 1:
        _bad("number of arguments")
    elif not isinstance(args[0], dict):
        _bad("arguments")
    else:
        fields = args[0]
    return Arguments((trade_request(fields),))


def trade_request(fields: Mapping[str, Any]) -> TradeRequest:
    """A request from its fields. Prices and volume must be ``float`` (an int is refused), the
    rest ``int``; a comment has at most 29 characters. Unknown fields are ignored, missing ones
    are 0 or "".

    Raises:
        BadArgument: with the text that the package gives.
    """
    values: dict[str, Any] = {}
    for key in TradeRequest._fields:
        if key not in fields:
            values[key] = 0.0 if key in FLOATS else "" if key in TEXTS else 0
            continue
        value, what = fields[key], _argument(key)
        if key in FLOATS:
            if not isinstance(value, float):
                _bad(what)
            values[key] = float(value)
        elif key in TEXTS:
            values[key] = _text(value, NAME_LIMIT, what)
        elif key == "expiration":
            values[key] = _whole(value, _INT64, what, -_INT64 - 1)
        else:
            values[key] = _whole(value, UNSIGNED[key], what)
    return TradeRequest(**values)


# -- all of them ------------------------------------------------------------------------------

NO_ARGUMENTS = frozenset(
    {
        "shutdown", "version", "terminal_info", "account_info", "last_error", "symbols_total",
        "orders_total", "positions_total",
    }
)  # fmt: skip
POSITIONAL: dict[str, Callable[..., Arguments]] = {
    "symbol_info": _positional("s"),
    "symbol_info_tick": _positional("s"),
    "symbol_select": _symbol_select,
    "market_book_add": _positional("s"),
    "market_book_get": _positional("s"),
    "market_book_release": _positional("s"),
    "copy_rates_from": _positional("siti"),
    "copy_rates_from_pos": _positional("siii"),
    "copy_rates_range": _positional("sitt"),
    "copy_ticks_from": _positional("stii"),
    "copy_ticks_range": _positional("stti"),
    "order_calc_margin": _positional("ksdd"),
    "order_calc_profit": _positional("ksddd"),
    "history_orders_total": _positional("tt"),
    "history_deals_total": _positional("tt"),
}
KEYWORDS: dict[str, Callable[..., Arguments]] = {
    "initialize": _initialize,
    "login": _login,
    "symbols_get": _symbols_get,
    "positions_get": _query,
    "orders_get": _query,
    "history_orders_get": _history,
    "history_deals_get": _history,
    "order_send": _trade,
    "order_check": _trade,
}
FALSE = frozenset({"initialize", "login", "symbol_select", "symbols_get"})
"""Functions that answer ``False``, not ``None``, to arguments that they refuse."""


def check_form(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse what the interpreter refuses before the C code runs.

    Raises:
        TypeError: arguments where none are taken, or keywords where only places are.
    """
    if name in NO_ARGUMENTS:
        if kwargs:
            raise TypeError(f"MetaTrader5._core.{name}() takes no keyword arguments")
        if args:
            raise TypeError(f"MetaTrader5._core.{name}() takes no arguments ({len(args)} given)")
    elif kwargs and name in POSITIONAL:
        raise TypeError(f"{name}() takes no keyword arguments")


def read(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    """The arguments of a call, read as the package reads them.

    Raises:
        TypeError: the form of the call; ``last_error()`` stays what it was.
        BadArgument: a value that the package refuses.
    """
    check_form(name, args, kwargs)
    if name in NO_ARGUMENTS:
        return Arguments()
    parse = POSITIONAL.get(name) or KEYWORDS[name]
    try:
        return parse(args, kwargs)
    except BadArgument as error:
        error.value = False if name in FALSE else None
        raise


def exception_of(name: str) -> SystemError:
    """What a call raises whose C code left an exception behind."""
    return SystemError(f"<built-in function {name}> returned a result with an exception set")
