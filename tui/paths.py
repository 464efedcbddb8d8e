"""Where the program keeps its files."""

from __future__ import annotations

from pathlib import Path

import platformdirs


def state_dir() -> Path:
    """Where journals and tokens live."""
    return Path(platformdirs.user_state_dir("mt5dash", appauthor=False))
