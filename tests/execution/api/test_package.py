"""Our constants, structs and layouts are those of the MetaTrader5 package, field by field."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import numpy as np
import pytest
from support.paths import SHARED

from execution import agent
from execution.api import constants, structs
from execution.transport.wire import STRUCTS

FACTS = SHARED / "facts" / "mt5_constants.json"
OURS = {name: value for name, value in vars(constants).items() if name.isupper()}


@pytest.fixture(scope="module")
def wheel() -> dict[str, Any]:
    """What was read from the package's wheel."""
    if not FACTS.is_file():
        pytest.skip(f"no facts at {FACTS}")
    found: dict[str, Any] = json.loads(FACTS.read_text())
    return found


def test_every_constant_of_the_package_is_here_with_its_value(wheel: dict[str, Any]) -> None:
    assert wheel["constants"] == OURS
    assert len(OURS) == 223


def test_every_struct_has_the_packages_fields_in_its_order_and_types(
    wheel: dict[str, Any],
) -> None:
    kinds = {"int": int, "float": float, "str": str, "bool": bool, "double": float}
    assert set(wheel["structs"]) == set(STRUCTS)
    for name, fields in wheel["structs"].items():
        ours = STRUCTS[name].__annotations__
        assert list(ours) == [field["name"] for field in fields], name
        for field in fields:
            expected = kinds.get(field["type"].split("(")[0])
            if expected is not None:
                assert ours[field["name"]] is expected, (name, field)


def test_the_arrays_are_packed_like_the_packages(wheel: dict[str, Any]) -> None:
    for name, dtype in (("rates", structs.RATES_DTYPE), ("ticks", structs.TICKS_DTYPE)):
        layout = wheel["dtypes"][name]
        assert dtype.itemsize == 60
        assert dtype.fields is not None
        for field, kind, offset in layout:
            assert dtype.fields[field] == (np.dtype(kind), offset)


def test_the_allow_list_is_the_packages_functions(wheel: dict[str, Any]) -> None:
    assert set(wheel["functions"]) == agent.FUNCTIONS


@pytest.mark.skipif(sys.platform != "win32", reason="the package exists for Windows only")
def test_the_installed_package_agrees_and_refuses_what_it_should_without_a_terminal() -> None:
    mt5 = importlib.import_module("MetaTrader5")
    theirs = {name: value for name, value in vars(mt5).items() if name in OURS}
    assert theirs == OURS
    assert all(hasattr(mt5, name) for name in agent.FUNCTIONS)
    # Requests are parsed before the pipe is looked at: an int volume is refused everywhere.
    assert mt5.order_send({"action": 1, "volume": 1}) is None
    assert mt5.last_error()[0] == constants.RES_E_INVALID_PARAMS
    assert mt5.order_send({"action": 1, "comment": "x" * 30}) is None
    assert mt5.last_error()[0] == constants.RES_E_INVALID_PARAMS
    assert mt5.account_info() is None
    assert mt5.last_error()[0] == constants.RES_E_INTERNAL_FAIL_CONNECT
