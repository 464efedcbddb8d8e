"""A module of real C functions that read their arguments as the MetaTrader5 package does.

``order_send`` and ``order_check`` take ``METH_VARARGS | METH_KEYWORDS`` and refuse a request that
comes together with keywords, where an empty keyword dict counts as keywords. A Python function
cannot distinguish an empty dict from none, so only a C function shows the difference.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

METH_VARARGS, METH_KEYWORDS, METH_NOARGS = 1, 2, 4
NO_CONNECTION = (-10004, "No IPC connection")

_error: tuple[int, str] = (0, "")


class MethodDef(ctypes.Structure):
    """``PyMethodDef``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("body", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


# Keywords are a plain address: NULL differs from an empty dict.
_BODY = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
_NO_ARGUMENTS = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p)
_new = ctypes.pythonapi.PyCFunction_NewEx
_new.restype = ctypes.py_object
_new.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_kept: list[Any] = []


def c_function(name: str, flags: int, body: Callable[..., Any]) -> Any:
    """A ``builtin_function_or_method`` that calls ``body`` as C code is called."""
    kind = _NO_ARGUMENTS if flags & METH_NOARGS else _BODY
    callback = kind(body)
    address = ctypes.cast(callback, ctypes.c_void_p)
    definition = MethodDef(name.encode(), address, flags, b"")
    _kept.extend((callback, definition))  # the function object borrows both
    return _new(ctypes.byref(definition), None, None)


def _trade(module: Any, args: tuple[Any, ...], keywords: int | None) -> None:
    global _error
    if keywords is not None and args:
        _error = (-2, "Unnamed arguments not allowed")
    elif keywords is None and len(args) != 1:
        _error = (-2, "Invalid number of arguments")
    else:
        _error = NO_CONNECTION


def _account(module: Any, nothing: Any) -> None:
    global _error
    _error = NO_CONNECTION


order_send = c_function("order_send", METH_VARARGS | METH_KEYWORDS, _trade)
order_check = c_function("order_check", METH_VARARGS | METH_KEYWORDS, _trade)
account_info = c_function("account_info", METH_NOARGS, _account)
last_error = c_function("last_error", METH_NOARGS, lambda module, nothing: _error)
