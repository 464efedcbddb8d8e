"""The journal file that a command reads, and times on the command line."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ..render.moments import HINT, parse_moment
from .common import USAGE, fail, load_settings

Db = Annotated[
    Path | None,
    typer.Option("--db", metavar="FILE", help="The journal [the one of the last run]."),
]


def parse_option(text: str | None, name: str, day: float | None = None) -> float | None:
    """The time that the option ``name`` gives, UTC epoch seconds; a time of day counts in the
    UTC day that contains ``day``, today unless given.

    Raises:
        typer.Exit: It is not a time.
    """
    if text is None:
        return None
    try:
        return parse_moment(text, time.time(), day)
    except (ValueError, OverflowError):
        raise fail(f"{name} {text}: not a time; {HINT}", USAGE) from None


def find_journal(db: Path | None, config: Path | None) -> Path:
    """The journal of a command: the one named, the one of the settings, or the newest.

    Raises:
        typer.Exit: There is none yet.
    """
    if db is not None:
        return db
    from ..paths import state_dir
    from ..run.files import journal_path, journals_of_runs

    settings = load_settings({}, config).settings
    if settings.journal.path is not None or settings.backend_traits.outlives_program:
        return journal_path(settings)
    found = journals_of_runs(state_dir(), settings.terminal.backend)
    found.sort(key=lambda path: path.stat().st_mtime)
    if not found:
        raise fail(f"no journal in {state_dir()} yet; name one with --db", USAGE)
    return found[-1]


@contextlib.contextmanager
def journal_errors() -> Iterator[None]:
    """End the program in words when the journal cannot be used: exit code 3 when another program
    holds it, otherwise 1."""
    from streamer.journal.schema import JournalError, JournalLocked

    try:
        yield
    except JournalLocked as error:
        raise fail(str(error), error.exit_code) from None
    except JournalError as error:
        raise fail(str(error)) from None
