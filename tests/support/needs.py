"""Programs and packages that a test needs: without one it skips with a reason, and fails where CI=true."""

from __future__ import annotations

import os
import shutil
from importlib import import_module
from typing import Any, NoReturn

import pytest


def program(*names: str, variable: str, get: str) -> str:
    """The path of the first program found.

    Args:
        names: What it may be called.
        variable: Environment variable that may name it.
        get: How to get it, in words.
    """
    found = os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        _missing(f"{names[0]} is not installed ({get}, or set {variable})")
    return found


def package(name: str, get: str) -> Any:
    """The imported module ``name``; ``get`` as for :func:`program`."""
    try:
        return import_module(name)
    except ImportError as error:
        _missing(f"{name} cannot be imported ({error}; {get})")


def _missing(text: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{text}, and CI=true", pytrace=False)
    pytest.skip(text, allow_module_level=True)
