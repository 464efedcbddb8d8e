"""What the screen gets from outside: its settings, its clocks, and what it saved in the last run."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

log = logging.getLogger("mt5dash.ui")


class UiOptions(Protocol):
    """Look and redraw rate of the screen (``tui.settings.UiSettings``)."""

    hz: float
    theme: str
    ascii: bool
    calm: bool
    hide_money: bool
    bell: bool


@dataclass
class Defaults:
    """The options of a screen without settings."""

    hz: float = 4.0
    theme: str = "mt5dash-dark"
    ascii: bool = False
    calm: bool = False
    hide_money: bool = False
    bell: bool = False


@dataclass(frozen=True, slots=True)
class Clock:
    """The two clocks of the screen: seconds for ages, and UTC epoch seconds for labels."""

    mono: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


@dataclass
class Memory:
    """What the screen saves between runs: columns, sort order, theme, unit.

    Reading and writing block: call them in a thread.

    Attributes:
        path: The file; ``None``: nothing is saved.
        values: The content, as JSON values.
    """

    path: Path | None = None
    values: dict[str, Any] = field(default_factory=dict)

    def load(self) -> None:
        """Read the file. A missing file is empty; an unreadable one is logged and counts as empty."""
        if self.path is None:
            return
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("%s: not read (%s); the screen starts with its defaults", self.path, error)
            return
        if isinstance(values, dict):
            self.values = values

    def save(self, values: Mapping[str, Any]) -> None:
        """Replace the file: a crash leaves the old or the new one."""
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self.path.with_suffix(".part")
            part.write_text(json.dumps(values, indent=1, sort_keys=True), encoding="utf-8")
            part.replace(self.path)
        except OSError as error:
            log.warning("%s: not written (%s); columns and sort are lost at exit", self.path, error)
