"""Where the program keeps its files."""

from __future__ import annotations

from pathlib import Path

import platformdirs


def state_dir() -> Path:
    """The folder of journals, tokens and the screen's files."""
    return Path(platformdirs.user_state_dir("mt5dash", appauthor=False))
