"""``mt5dash tui``: the bot, its feed and the screen; or a screen for feeds that run elsewhere."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..progress import Steps
from ..terminal import first_frame
from .common import (
    USAGE,
    Config,
    Host,
    Plaintext,
    Port,
    RequireToken,
    TlsCert,
    TlsKey,
    fail,
    feed_url,
    load_settings,
    program_log,
    token_from,
)

if TYPE_CHECKING:
    from ..settings import Loaded


def tui(
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Bot and feed without a screen.")] = False,
    connect: Annotated[
        list[str] | None,
        typer.Option(
            "--connect", metavar="URL", help="Show a feed that runs elsewhere; may be repeated."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="Token for --connect, in a file."),
    ] = None,
    host: Host = None,
    port: Port = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    plaintext: Plaintext = None,
    require_token: RequireToken = None,
    mode: Annotated[str | None, typer.Option(help="observe, paper or live.")] = None,
    backend: Annotated[
        str | None,
        typer.Option(help="Terminal: paper, native, agent, rpyc or an installed one [paper]."),
    ] = None,
    symbols: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Symbols to watch and trade [all].")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Strategy: built in, installed, or FILE.py:Class."),
    ] = None,
    market: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Real quotes to replay on the paper terminal."),
    ] = None,
    speed: Annotated[
        float | None, typer.Option(metavar="N", help="Paper market seconds per second [1].")
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Where to start in the paper market.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the generated paper market.")] = None,
    balance: Annotated[float | None, typer.Option(help="First deposit on paper.")] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the paper account in this file, over restarts."),
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Journal file (SQLite).")
    ] = None,
    theme: Annotated[str | None, typer.Option(help="Colour theme of the screen.")] = None,
    ascii_only: Annotated[
        bool | None, typer.Option("--ascii", help="Only ASCII characters on the screen.")
    ] = None,
    calm: Annotated[
        bool | None, typer.Option("--calm", help="Nothing flashes on the screen.")
    ] = None,
    config: Config = None,
) -> None:
    """Run the bot, its feed and the screen (--no-ui: without the screen)."""
    # With a first frame there was a terminal; the screen reports if it has vanished since.
    terminal = first_frame.steps() is not None or first_frame.has_terminal()
    if connect and no_ui:
        raise fail("--connect draws a screen; use `mt5dash tail URL` for frames", USAGE)
    if connect and not terminal:
        raise fail("--connect needs a terminal on input and output; use `mt5dash tail URL`", USAGE)
    screen = terminal and not no_ui
    if not screen and not no_ui:
        print(
            "mt5dash: input or output is not a terminal: running without a screen, as --no-ui",
            file=sys.stderr,
        )
    flags = {
        "mode": mode,
        "feed": {
            "host": host,
            "port": port,
            "tls_cert": tls_cert,
            "tls_key": tls_key,
            "plaintext": plaintext,
            "require_token": require_token,
        },
        "journal": {"path": journal},
        "terminal": {
            "backend": backend,
            "symbols": symbols.split(",") if symbols else None,
        },
        "strategy": {"name": strategy},
        "paper": {
            "market": market,
            "speed": speed,
            "start": start,
            "seed": seed,
            "balance": balance,
            "state": state,
        },
        "ui": {"theme": theme, "ascii": ascii_only, "calm": calm},
    }
    steps = first_frame.steps() or Steps("settings", "feed", "terminal")
    loaded = load_settings(flags, config)
    steps.end("settings", str(loaded.file or "defaults"))
    if connect:
        raise typer.Exit(_run_attached(loaded, connect, token_file, steps))
    raise typer.Exit(_run_bot(loaded, steps, screen=screen))


def _run_bot(loaded: Loaded, steps: Steps, *, screen: bool) -> int:
    steps.begin("screen" if screen else "feed", "loading")
    with program_log(loaded, screen=screen):
        if screen:
            from ..run.screen import run_screen

            return asyncio.run(run_screen(loaded, steps))
        from ..run.headless import run_headless

        return asyncio.run(run_headless(loaded, steps))


def _run_attached(
    loaded: Loaded, addresses: list[str], token_file: Path | None, steps: Steps
) -> int:
    token = token_from(token_file)
    urls = [feed_url(address) for address in addresses]
    steps.begin("screen", "loading")
    with program_log(loaded, screen=True):
        from ..run.screen import run_attached

        steps.end("screen")
        return asyncio.run(run_attached(loaded, urls, token))
