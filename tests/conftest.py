"""Shared by all tests: which of them are slow, and the real quotes, where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.paths import SHARED
from support.slow import is_slow, slow_paths


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    paths = slow_paths()
    for item in items:
        if is_slow(item.path, paths):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def real_quotes() -> Path:
    """The folder of real market data beside the repository."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"no real quotes at {folder}")
    return folder
