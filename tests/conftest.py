"""Shared by all tests: programs that a test needs are there, or the test says why it skips."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def require_program(name: str) -> str:
    """The path of a program; skips without it, but fails where CI promises to have it."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed, and CI=true")
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture
def real_quotes() -> Path:
    """The folder of real market data beside the repository."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"no real quotes at {folder}")
    return folder
