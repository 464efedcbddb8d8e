"""``mt5dash replay``: shows and serves what a journal recorded."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from ..progress import Steps
from ..terminal import first_frame
from .common import Config, load_settings, program_log
from .journal_file import Db, find_journal, journal_errors, parse_option


def replay(
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Where to begin [its start].")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Where to stop [its end].")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.01, max=10_000, metavar="N", help="Recorded seconds per second.")
    ] = 1.0,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Only the feed, no screen.")] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the feed [first free of 8000-8009]."),
    ] = None,
    db: Db = None,
    config: Config = None,
) -> None:
    """Replay a recording: on a screen, and as a feed that other programs can connect to."""
    steps = first_frame.steps() or Steps()
    loaded = load_settings({"feed": {"port": port}}, config)
    path = find_journal(db, config)
    first, last = parse_option(begin, "--from"), parse_option(end, "--to")
    screen = not no_ui and first_frame.has_terminal()
    steps.end("settings", str(loaded.file or "defaults"))
    steps.begin("screen", "loading")
    options: dict[str, Any] = {"start": first, "end": last, "speed": speed}
    with program_log(loaded, screen=screen), journal_errors():
        if screen:
            from ..run.screen import run_replay_screen

            steps.begin("recording", f"reading {path.name}")
            raise typer.Exit(asyncio.run(run_replay_screen(loaded, path, options)))
        from ..run.replay import run_replay

        raise typer.Exit(asyncio.run(run_replay(loaded, path, options)))
