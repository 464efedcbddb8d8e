"""What all commands share: exit codes, errors for people, settings.

Standard output is data, standard error is for people, exit codes are a contract.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from .settings import Loaded

FAILED, USAGE, IN_USE = 1, 2, 3
"""Exit codes beside 0: failed; wrong usage or settings; the port or the journal is in use."""

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file (TOML)."),
]


def fail(text: str, code: int = FAILED) -> typer.Exit:
    """Tell a person what is wrong, each line once, and give the exit to raise."""
    for line in text.splitlines():
        print(f"mt5dash: {line}", file=sys.stderr)
    return typer.Exit(code)


def load_settings(flags: dict[str, Any], config: Path | None) -> Loaded:
    """The settings in force; ends the program with a clear error when they cannot be used."""
    from .settings import SettingsError, load

    try:
        return load(flags, file=config)
    except SettingsError as error:
        raise fail(str(error), USAGE) from None
