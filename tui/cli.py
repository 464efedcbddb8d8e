"""The command line: ``mt5dash tui``, ``tail``, ``config`` and what hangs in from beside.

Everything heavy is imported by the command that needs it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import cli_alerts, cli_backtest, cli_cmd, cli_journal, cli_more, cli_status
from .about import program_version
from .cli_common import (
    IN_USE,
    USAGE,
    Config,
    fail,
    feed_url,
    load_settings,
    say_starting,
    token_from,
)

if TYPE_CHECKING:
    from .settings import Loaded

app = typer.Typer(
    name="mt5dash",
    help="Live monitor and WebSocket feed for MetaTrader 5 trading bots.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(value: bool) -> None:
    if value:
        print(f"mt5dash {program_version()}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Live monitor and WebSocket feed for MetaTrader 5 trading bots."""


@app.command()
def tui(
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Bot and feed without a screen.")] = False,
    connect: Annotated[
        list[str] | None,
        typer.Option(
            "--connect", metavar="URL", help="Draw a feed that runs elsewhere; may be repeated."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="Token for --connect, in a file."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on [127.0.0.1].")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port to listen on [first free of 8000-8009]."),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate chain, to serve wss.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key.")] = None,
    plaintext: Annotated[
        bool | None,
        typer.Option("--plaintext", help="Allow listening beyond this machine without TLS."),
    ] = None,
    require_token: Annotated[
        bool | None, typer.Option("--require-token", help="Ask for a token for viewing, too.")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="observe, paper or live.")] = None,
    backend: Annotated[
        str | None, typer.Option(help="Terminal: paper, native, agent or rpyc [paper].")
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
        str | None, typer.Option(metavar="TIME", help="Where in the paper market to start.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the generated paper market.")] = None,
    balance: Annotated[float | None, typer.Option(help="First deposit on paper.")] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the paper account here, over restarts."),
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Journal file (SQLite).")
    ] = None,
    theme: Annotated[str | None, typer.Option(help="Colour theme of the screen.")] = None,
    ascii_only: Annotated[
        bool | None, typer.Option("--ascii", help="Only ASCII characters on the screen.")
    ] = None,
    config: Config = None,
) -> None:
    """Run the bot, its feed and the screen (--no-ui: without the screen)."""
    if not no_ui and not connect:
        say_starting()
    from .headless import has_terminal

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
        "ui": {"theme": theme, "ascii": ascii_only},
    }
    loaded = load_settings(flags, config)
    if connect:
        if no_ui:
            raise fail("--connect draws a screen; use `mt5dash tail URL` for frames", USAGE)
        if not has_terminal():
            raise fail(
                "--connect needs a terminal on input and output; use `mt5dash tail URL`", USAGE
            )
        raise typer.Exit(_run_attached(loaded, connect, token_file))
    screen = not no_ui
    if screen and not has_terminal():
        print(
            "mt5dash: input or output is not a terminal: running without a screen, as --no-ui",
            file=sys.stderr,
        )
        screen = False
    raise typer.Exit(_run_bot(loaded, screen=screen))


def _run_bot(loaded: Loaded, *, screen: bool) -> int:
    from execution.backends import BackendError, check_paper
    from strategy.base import StrategyNotFound
    from streamer.access import AccessError
    from streamer.journal import JournalError
    from streamer.server import PortTaken

    from .logs import Log, default_log_file
    from .runtime import CannotListen

    if loaded.settings.terminal.backend == "paper":
        try:
            check_paper(loaded.settings.paper)
        except BackendError as error:
            raise fail(str(error), USAGE) from None
    log_file = loaded.settings.log.file or (default_log_file() if screen else None)
    log = Log(level=loaded.settings.log.level, file=log_file, console=not screen)
    try:
        if screen:
            from .screen import run_screen

            return asyncio.run(run_screen(loaded))
        from .headless import run_headless

        return asyncio.run(run_headless(loaded))
    except (PortTaken, JournalError) as error:
        raise fail(str(error), IN_USE) from None
    except (AccessError, BackendError, CannotListen, StrategyNotFound) as error:
        raise fail(str(error), USAGE) from None
    finally:
        log.close()


def _run_attached(loaded: Loaded, addresses: list[str], token_file: Path | None) -> int:
    from .logs import Log, default_log_file

    token = token_from(token_file)
    urls = [feed_url(address) for address in addresses]
    log = Log(
        level=loaded.settings.log.level,
        file=loaded.settings.log.file or default_log_file(),
        console=False,
    )
    try:
        from .screen import run_attached

        return asyncio.run(run_attached(loaded, urls, token))
    finally:
        log.close()


@app.command()
def tail(
    url: Annotated[
        str, typer.Argument(help="The feed, such as ws://127.0.0.1:8000/ws.")
    ] = "ws://127.0.0.1:8000/ws",
    types: Annotated[
        str | None, typer.Option(metavar="A,B", help="Only these event types.")
    ] = None,
    symbols: Annotated[str | None, typer.Option(metavar="A,B", help="Only these symbols.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="EPOCH:SEQ", help="Resume after this event.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many frames.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with a token.")
    ] = None,
) -> None:
    """Print the feed's frames to standard output, one JSON object a line."""
    from .tail import run_tail

    raise typer.Exit(
        run_tail(
            feed_url(url),
            types=types.split(",") if types else None,
            symbols=symbols.split(",") if symbols else None,
            since=since,
            count=count,
            token=token_from(token_file),
        )
    )


@app.command()
def config(
    explain: Annotated[
        bool, typer.Option("--explain", help="Each value with its source and meaning.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    file: Config = None,
) -> None:
    """Print the settings in force."""
    loaded = load_settings({}, file)
    if as_json:
        rows = [
            {"name": v.name, "value": v.value, "source": v.source, "description": v.description}
            for v in loaded.values
        ]
        print(json.dumps(rows, indent=2, default=str))
        return
    from .settings import default_file

    if explain:
        where = loaded.file or f"{default_file()} (does not exist)"
        print(f"# settings file: {where}")
        print("# order: flag, environment, settings file, default")
    for v in loaded.values:
        shown = json.dumps(v.value, default=str)
        if explain:
            print(f"{v.name} = {shown}\n    from {v.source}. {v.description}")
        else:
            print(f"{v.name} = {shown}")


app.add_typer(cli_more.token, name="token")
app.add_typer(cli_journal.journal, name="journal")
app.command()(cli_journal.replay)
app.command()(cli_journal.incident)
app.command()(cli_journal.report)
app.command()(cli_backtest.backtest)
app.command()(cli_more.doctor)
app.command()(cli_cmd.cmd)
app.command(epilog=cli_status.EPILOG)(cli_status.status)
app.add_typer(cli_alerts.alerts, name="alerts")
app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)(cli_more.agent)


def main() -> None:
    """Entry point of the ``mt5dash`` script."""
    app()
