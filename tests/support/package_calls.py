"""Calls of the MetaTrader5 package as text, and what a module answers to them.

Runs on Windows beside the real package as well as here: only the standard library and numpy are
needed. ``python package_calls.py MODULE SEED COUNT`` prints the answers to generated calls as
JSON, ``MODULE FILE`` those to the calls in a JSON list.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np


class F(float):
    """A float of a bot's own."""


class I(int):  # noqa: E742
    """An int of a bot's own."""


class S(str):
    """A str of a bot's own."""


class D(dict[str, Any]):
    """A dict of a bot's own."""


class Index:
    """Something that can be an index."""

    def __index__(self) -> int:
        return 3


class Float:
    """Something that can be a float."""

    def __float__(self) -> float:
        return 1.5


NAMES = {
    "np": np, "datetime": datetime, "date": date, "timedelta": timedelta, "F": F, "I": I, "S": S,
    "D": D, "Index": Index, "Float": Float, "d": datetime(2024, 1, 2, tzinfo=UTC), "T": 1,
    "UTC": UTC,
}  # fmt: skip
"""What the texts of calls refer to, besides ``mt5``."""

_TEXTS = (
    '"EURUSD"', '""', '"x"*29', '"x"*30', '"x"*253', '"x"*254', '"x"*257', '"x"*258', '"x"*1997', '"x"*1998', 'S("EURUSD")', 'b"EURUSD"',
    '"\\U0001F600"*14', '"\\U0001F600"*15', '"a,b"', '"\\x00"', '"a\\x00b"', '"\\ud800"',
)  # fmt: skip
_NUMBERS = (
    "0", "1", "-1", "10", "True", "2**31-1", "2**31", "-2**31", "-2**31-1", "2**32-1", "2**32",
    "2**63-1", "2**63", "2**64-1", "2**64", "-2**63", "-2**64", "I(5)", "np.int32(2)",
    "np.int64(2)", "np.uint64(2)", "Index()",
)  # fmt: skip
_FLOATS = (
    "0.0", "1.5", "-1.5", "1e300", "float('nan')", "float('inf')", "F(1.5)", "np.float32(1.5)",
    "np.float64(1.5)", "Float()", "1.7e9", "4e9", "-5e9",
)  # fmt: skip
_DATES = (
    "d", "datetime(2024,1,2)", "datetime(2050,1,2,tzinfo=UTC)", "datetime(1960,1,2,tzinfo=UTC)",
    "datetime(2050,1,2)", "datetime(1960,1,2)", "date(2024,1,2)", "1700000000", "1.7e9",
    'np.datetime64("2024-01-01")', "datetime(9999,1,1,tzinfo=UTC)", "datetime(1,1,1,tzinfo=UTC)",
    "datetime(3001,1,2)",
)  # fmt: skip
_OTHERS = ("None", "[1]", "(1,)", "{}", '{"action":1}', "object", "...", "1j")
_ALL = (*_TEXTS, *_NUMBERS, *_FLOATS, *_DATES, *_OTHERS)
_KINDS = {"s": _TEXTS, "i": _NUMBERS, "f": _FLOATS, "d": _DATES, "o": _OTHERS}
_GOOD = {"s": ('"EURUSD"',), "i": ("1", "10"), "f": ("1.0", "1.1"), "d": ("d",), "o": ("True",)}

_POSITIONAL = {
    "symbol_info": "s", "symbol_info_tick": "s", "symbol_select": "so", "market_book_add": "s",
    "market_book_get": "s", "market_book_release": "s", "copy_rates_from": "sidi",
    "copy_rates_from_pos": "siii", "copy_rates_range": "sidd", "copy_ticks_from": "sdii",
    "copy_ticks_range": "sddi", "order_calc_margin": "isff", "order_calc_profit": "isfff",
    "history_orders_total": "dd", "history_deals_total": "dd", "version": "", "shutdown": "",
    "symbols_total": "", "positions_total": "", "last_error": "",
}  # fmt: skip
_KEYWORDS = {
    "symbols_get": ("s", {"group": "s", "foo": "i"}),
    "positions_get": ("s", {"symbol": "s", "ticket": "i", "group": "s", "foo": "i"}),
    "orders_get": ("s", {"symbol": "s", "ticket": "i", "group": "s"}),
    "history_orders_get": (
        "dd", {"group": "s", "ticket": "i", "position": "i", "date_from": "d", "foo": "s"}
    ),
    "history_deals_get": ("dd", {"group": "s", "ticket": "i", "position": "i", "symbol": "s"}),
    "login": ("isss", {"login": "i", "password": "s", "server": "s", "timeout": "i", "foo": "s"}),
    "initialize": (
        "s",
        {
            "path": "s", "login": "i", "password": "s", "server": "s", "timeout": "i",
            "portable": "o", "foo": "s",
        },
    ),
}  # fmt: skip
_REQUEST = {
    "action": "i", "magic": "i", "order": "i", "symbol": "s", "volume": "f", "price": "f",
    "stoplimit": "f", "sl": "f", "tp": "f", "deviation": "i", "type": "i", "type_filling": "i",
    "type_time": "i", "expiration": "i", "comment": "s", "position": "i", "position_by": "i",
    "foo": "o",
}  # fmt: skip


def generated(seed: int, count: int) -> list[str]:
    """``count`` calls: most arguments of the right kind, some odd, some of another kind."""
    rng = random.Random(seed)

    def argument(kind: str) -> str:
        luck = rng.random()
        return rng.choice(_GOOD[kind] if luck < 0.5 else _KINDS[kind] if luck < 0.85 else _ALL)

    def some(fields: dict[str, str], most: int) -> dict[str, str]:
        names = rng.sample(list(fields), rng.randint(0, min(most, len(fields))))
        return {name: argument(fields[name]) for name in names}

    def keywords(values: dict[str, str]) -> list[str]:
        return [f"{name}={text}" for name, text in values.items()]

    calls = []
    for _ in range(count):
        luck = rng.random()
        if luck < 0.35:
            name = rng.choice(list(_POSITIONAL))
            args = [argument(kind) for kind in _POSITIONAL[name]]
            if rng.random() < 0.15:
                args = args[: rng.randint(0, len(args))]
            if rng.random() < 0.06:
                args.append(argument("i"))
            if rng.random() < 0.05:
                args.append("symbol=1")
        elif luck < 0.7:
            name = rng.choice(list(_KEYWORDS))
            places, fields = _KEYWORDS[name]
            args = [argument(kind) for kind in places][: rng.randint(0, len(places))]
            if rng.random() < 0.1:
                args.append(argument("o"))
            args += keywords(some(fields, 4))
        else:
            name = rng.choice(("order_send", "order_check"))
            values = some(_REQUEST, 5)
            form = rng.random()
            if form < 0.8:
                inside = ", ".join(f'"{key}": {text}' for key, text in values.items())
                args = ["{" + inside + "}"]
                if form < 0.05:
                    args.append(argument("o"))
                elif form < 0.1:
                    args.append("sl=1.0")
            elif form < 0.95:
                args = keywords(values)
            else:
                args = [f"request={argument('o')}"]
        calls.append(f"mt5.{name}({', '.join(args)})")
    return calls


def answer(mt5: Any, call: str) -> list[Any]:
    """[call, the value or the exception's name, last_error, the exception's text]."""
    text = ""
    try:
        value = "VALUE " + repr(eval(call, NAMES | {"mt5": mt5}))
    except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
        value, text = type(error).__name__, str(error)
    return [call, value, list(mt5.last_error()), text]


def answers(mt5: Any, calls: list[str]) -> list[list[Any]]:
    """What the module answers to each call, in order. A connection is given up at once, so
    that every call meets a module without a terminal."""
    out = []
    for call in calls:
        out.append(answer(mt5, call))
        if "initialize(" in call:
            mt5.shutdown()
    return out


def main() -> None:
    module, *rest = sys.argv[1:]
    if len(rest) == 1:
        with open(rest[0], encoding="utf-8") as file:
            calls = json.load(file)
    else:
        calls = generated(int(rest[0]), int(rest[1]))
    print("ANSWERS " + json.dumps(answers(importlib.import_module(module), calls)))


if __name__ == "__main__":
    main()
