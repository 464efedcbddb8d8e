"""``mt5dash tail``: prints the frames of a feed; ``tui/run/tail.py`` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import feed_url, token_from


def tail(
    url: Annotated[
        str, typer.Argument(help="The feed, such as ws://127.0.0.1:8000/ws.")
    ] = "ws://127.0.0.1:8000/ws",
    types: Annotated[
        str | None, typer.Option(metavar="A,B", help="Only these event types.")
    ] = None,
    symbols: Annotated[str | None, typer.Option(metavar="A,B", help="Only these symbols.")] = None,
    bot: Annotated[
        str | None, typer.Option(metavar="A,B", help="Only these bots of the feed.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="EPOCH:SEQ", help="Resume after this event.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many frames.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with a token.")
    ] = None,
) -> None:
    """Print the feed's frames to standard output, one JSON object a line."""
    from ..run.tail import run_tail

    raise typer.Exit(
        run_tail(
            feed_url(url),
            types=types.split(",") if types else None,
            symbols=symbols.split(",") if symbols else None,
            bots=bot.split(",") if bot else None,
            since=since,
            count=count,
            token=token_from(token_file),
        )
    )
