"""What the MetaTrader5 package looks like from outside, as JSON.

``python package_shape.py MODULE`` prints it; runs on Windows beside the real package as well.
"""

from __future__ import annotations

import copy
import importlib
import json
import pickle
import sys
import types
from typing import Any

_TICK = "mt5.Tick((1, 2.0, 3.0, 4.0, 5, 6, 7, 8.0))"
PROBES = (
    "mt5.__version__", "mt5.__author__", "type(mt5._core).__name__", "mt5._core.__name__",
    "mt5.order_send.__name__", "mt5.order_send.__qualname__", "mt5.order_send.__module__",
    "type(mt5.order_send).__name__", "repr(mt5.order_send)", "mt5.order_send.__text_signature__",
    "type('X', (), {'f': mt5.last_error})().f()[0] is not None",
    "type('X', (), {'f': mt5.symbols_get})().f(1)",
    "type('X', (), {'f': mt5.Buy})().f.__self__ is not None",
    "mt5.Buy.__code__.co_varnames[:5]", "mt5.Close.__kwdefaults__", "mt5.Buy.__defaults__",
    "mt5._RawOrder.__defaults__",
    _TICK, f"str({_TICK})", f"{_TICK}._asdict()", f"{_TICK}.__reduce__()", f"{_TICK}[0:2]",
    f"{_TICK} == (1, 2.0, 3.0, 4.0, 5, 6, 7, 8.0)", f"hash({_TICK}) == hash(tuple({_TICK}))",
    f"{_TICK} + (9,)", f"len({_TICK})", f"{_TICK}.__getnewargs__()", f"copy.copy({_TICK})",
    f"copy.deepcopy({_TICK})", f"pickle.dumps({_TICK})", f"setattr({_TICK}, 'foo', 1)",
    f"hasattr({_TICK}, '__dict__')", "mt5.Tick.__module__", "mt5.Tick", "mt5.Tick.__mro__",
    "mt5.Tick.__match_args__", "mt5.Tick.n_fields", "mt5.Tick.n_sequence_fields",
    "mt5.Tick.n_unnamed_fields", "[hasattr(mt5.Tick, n) for n in ('_fields', '_replace', '_make')]",
    "mt5.Tick()", "mt5.Tick((1, 2))", "mt5.Tick(range(9))", "mt5.Tick(5)", "mt5.Tick((1,) * 8, {})",
    "mt5.Tick((1,) * 8, 5)", "mt5.Tick(1, 2.0, 3.0)", "mt5.Tick(sequence=(1,) * 8)",
    "mt5.Tick((1,) * 8, {'a': 1})", "type('X', (mt5.Tick,), {})", "mt5.Tick([1] * 8)",
    "mt5.TradeRequest((1,) * 17)",
)  # fmt: skip


def probe(mt5: Any, text: str) -> str:
    """The value of an expression about the module, or what it raises."""
    try:
        return repr(eval(text, {"mt5": mt5, "copy": copy, "pickle": pickle}))
    except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
        return f"{type(error).__name__}: {error}"


def shape(mt5: Any) -> dict[str, Any]:
    """Names by kind, fields of structs, and answers to :data:`PROBES`."""
    names = {name: value for name, value in vars(mt5).items() if not name.startswith("__")}
    star: dict[str, Any] = {}
    exec(f"from {mt5.__name__} import *", star)
    return {
        "constants": {n: v for n, v in names.items() if n.isupper() and isinstance(v, int)},
        "functions": sorted(n for n, v in names.items() if _is_builtin(v)),
        "helpers": sorted(n for n, v in names.items() if n in ("Buy", "Sell", "Close", "_RawOrder")
                          and isinstance(v, types.FunctionType)),
        "structs": {n: list(vars(v)["__match_args__"]) for n, v in names.items()
                    if isinstance(v, type) and issubclass(v, tuple)},
        "star": sorted(n for n in star if not n.startswith("__")),
        "probes": {text: probe(mt5, text) for text in PROBES},
    }  # fmt: skip


def _is_builtin(value: Any) -> bool:
    return type(value).__name__ == "builtin_function_or_method"


if __name__ == "__main__":
    print("SHAPE " + json.dumps(shape(importlib.import_module(sys.argv[1]))))
