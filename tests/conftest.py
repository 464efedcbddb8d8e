"""Shared by all tests: the real quotes, where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.paths import SHARED


@pytest.fixture
def real_quotes() -> Path:
    """The folder of real market data beside the repository."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"no real quotes at {folder}")
    return folder
