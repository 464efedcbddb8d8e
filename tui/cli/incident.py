"""``mt5dash incident``: a part of a journal as a file that can be given to others."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from .common import Config
from .journal_file import Db, find_journal, journal_errors, parse_option


def incident(
    around: Annotated[str, typer.Option("--around", metavar="TIME", help="When it happened.")],
    minutes: Annotated[float, typer.Option(min=0.1, help="Minutes before and after it.")] = 5.0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="[incident-TIME.db]")
    ] = None,
    db: Db = None,
    config: Config = None,
) -> None:
    """Write the minutes around a moment to a file for others, without login, names and comments."""
    from streamer.journal.incident import write_incident

    at = parse_option(around, "--around")
    assert at is not None
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%S")
    target = out or Path(f"incident-{stamp}.db")
    with journal_errors():
        made = write_incident(
            find_journal(db, config), target, at - minutes * 60, at + minutes * 60
        )
    print(target)
    print(
        f"mt5dash: {made['events']} events and {made['samples']} samples, head {made['head']}; "
        f"see it with `mt5dash replay --db {target}`",
        file=sys.stderr,
    )
