"""Struct types as CPython's C code makes them (``PyStructSequence``), which is what the
MetaTrader5 package returns.

One sequence makes one, fields are read by name or place, ``_asdict()`` exists, ``_fields``,
``_replace`` and ``_make`` do not, and pickle finds no such type.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, TypeAlias

Struct: TypeAlias = tuple[Any, ...]
"""A value of a struct type: a tuple with named fields."""

_MISSING = object()


def struct_sequence(name: str, fields: tuple[str, ...], doc: str) -> type[Struct]:
    """A struct type with these fields. It calls itself one of ``builtins``, as the package's
    types do; it has no base but ``tuple`` and takes no subclass."""
    namespace: dict[str, Any] = {
        field: property(itemgetter(place)) for place, field in enumerate(fields)
    }
    namespace |= {
        "__slots__": (),
        "__doc__": doc,
        "__module__": "builtins",
        "__match_args__": fields,
        "__new__": _new,
        "__init_subclass__": _no_subclass,
        "__repr__": _repr,
        "__reduce__": _reduce,
        "_asdict": _asdict,
        "n_fields": len(fields),
        "n_sequence_fields": len(fields),
        "n_unnamed_fields": 0,
    }
    return type(name, (tuple,), namespace)


def _new(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """``cls(sequence[, dict])``; refuses everything else in CPython's words."""
    given = len(args) + len(kwargs)
    if given > 2:
        raise TypeError(f"structseq() takes at most 2 arguments ({given} given)")
    values = args[0] if args else kwargs.pop("sequence", _MISSING)
    if values is _MISSING:
        raise TypeError("structseq() missing required argument 'sequence' (pos 1)")
    extra = args[1] if len(args) == 2 else kwargs.pop("dict", {})
    if kwargs:
        raise TypeError(f"{next(iter(kwargs))!r} is an invalid keyword argument for structseq()")
    try:
        fields = tuple(values)
    except TypeError:
        raise TypeError("constructor requires a sequence") from None
    name, size = cls.__name__, len(cls.__match_args__)
    if not isinstance(extra, dict):
        raise TypeError(f"{name}() takes a dict as second arg, if any")
    if len(fields) != size:
        raise TypeError(f"{name}() takes a {size}-sequence ({len(fields)}-sequence given)")
    return tuple.__new__(cls, fields)


def _no_subclass(cls: Any) -> None:
    raise TypeError(f"type {cls.__mro__[1].__name__!r} is not an acceptable base type")


def _repr(self: Any) -> str:
    pairs = zip(self.__match_args__, self, strict=True)
    return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in pairs)})"


def _reduce(self: Any) -> Any:
    return type(self), (tuple(self), {})


def _asdict(self: Any) -> dict[str, Any]:
    """Convert to a dict of names and values, in the order of the fields."""
    return dict(zip(self.__match_args__, self, strict=True))
