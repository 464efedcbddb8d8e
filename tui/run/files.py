"""Which journal and which intents file a run uses."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from streamer.journal.writer import Journal, JournalLocked

from ..paths import state_dir
from ..settings import Settings

log = logging.getLogger("mt5dash.runtime")

PAPER_JOURNALS_KEPT = 10


def journal_path(settings: Settings) -> Path:
    """The journal of this run.

    A real account has one journal that continues after a restart, and so has a paper account
    that is kept (``paper.state``). Any other paper account is new at each start, so each run
    has a journal of its own; the newest few are kept.
    """
    if settings.journal.path is not None:
        return settings.journal.path
    folder = state_dir()
    if settings.terminal.backend != "paper":
        return folder / f"journal-{settings.terminal.backend}.db"
    if settings.paper.state is not None:
        return settings.paper.state.with_suffix(".journal.db")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S_%f")
    return folder / f"paper-{stamp}.db"


def relay_journal_path(settings: Settings) -> Path:
    """The journal of a relay. It is always kept: it says where to resume after a restart."""
    if settings.journal.path is not None:
        return settings.journal.path
    port = settings.feed.port
    return state_dir() / (f"relay-{port}.db" if port else "relay.db")


def intents_path(settings: Settings) -> Path | None:
    """The file that orders are written to before they are sent; ``None`` for a paper account
    that does not outlive the program."""
    terminal, kept = settings.terminal, settings.paper.state
    if terminal.intents is not None:
        return terminal.intents
    if terminal.backend == "paper":
        return kept.with_suffix(".intents.db") if kept is not None else None
    return state_dir() / f"intents-{terminal.backend}.db"


def prune_paper_journals(folder: Path, keep: int = PAPER_JOURNALS_KEPT) -> None:
    """Delete the oldest paper journals, except those that a running program holds."""
    try:
        found = sorted(folder.glob("paper-*.db"))
    except OSError as error:  # the journal reports the same error, and ends the start
        log.info("old paper journals cannot be listed: %s", error)
        return
    for old in found[:-keep]:
        try:
            Journal.remove(old)
        except (OSError, JournalLocked) as error:
            log.info("kept old paper journal %s: %s", old.name, error)
