"""Programs that a test needs: without one it skips with a reason, but fails where CI has it."""

from __future__ import annotations

import os
import shutil

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
        text = f"{names[0]} is not installed ({get}, or set {variable})"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{text}, and CI=true", pytrace=False)
        pytest.skip(text, allow_module_level=True)
    return found
