"""Which journal and which intents file a run uses."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from streamer.journal.writer import Journal, JournalLocked

from ..paths import state_dir
from ..settings import Settings

log = logging.getLogger("mt5dash.runtime")

JOURNALS_KEPT = 10
"""Journals of ended accounts that are kept."""


def journal_path(settings: Settings) -> Path:
    """The journal of this run.

    An account that outlives the program (a real one, or a paper account with ``paper.state``)
    has one journal that continues after a restart. Any other account is new at each start, so
    each run has a journal of its own; the newest few are kept.
    """
    if settings.journal.path is not None:
        return settings.journal.path
    folder, name, traits = state_dir(), settings.terminal.backend, settings.backend_traits
    if traits.account_file is not None:
        return traits.account_file.with_suffix(".journal.db")
    if traits.outlives_program:
        return folder / f"journal-{name}.db"
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S_%f")
    return folder / f"{name}-{stamp}.db"


def relay_journal_path(settings: Settings) -> Path:
    """The journal of a relay. It is always kept: it says where to resume after a restart."""
    if settings.journal.path is not None:
        return settings.journal.path
    port = settings.feed.port
    return state_dir() / (f"relay-{port}.db" if port else "relay.db")


def intents_path(settings: Settings) -> Path | None:
    """The file that orders are written to before they are sent; ``None`` for an account that
    does not outlive the program."""
    terminal, traits = settings.terminal, settings.backend_traits
    if terminal.intents is not None:
        return terminal.intents
    if traits.account_file is not None:
        return traits.account_file.with_suffix(".intents.db")
    return state_dir() / f"intents-{terminal.backend}.db" if traits.outlives_program else None


def journals_of_runs(folder: Path, backend: str) -> list[Path]:
    """Journals of runs whose account ended with them, oldest first."""
    return sorted(folder.glob(f"{backend}-*.db"))


def prune_journals(folder: Path, backend: str, keep: int = JOURNALS_KEPT) -> None:
    """Delete the oldest journals of ended accounts, except those that a running program holds."""
    try:
        found = journals_of_runs(folder, backend)
    except OSError as error:  # the journal reports the same error, and ends the start
        log.info("old journals cannot be listed: %s", error)
        return
    for old in found[:-keep]:
        try:
            Journal.remove(old)
        except (OSError, JournalLocked) as error:
            log.info("kept old journal %s: %s", old.name, error)
