"""Tests that drive the Windows Python of ``.ci/windows`` from Linux; skipped without it."""

from __future__ import annotations

import pytest
from support import windows


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("windows") and not windows.LAUNCHER:
            item.add_marker(pytest.mark.skip("no Windows Python: .ci/windows builds one"))
