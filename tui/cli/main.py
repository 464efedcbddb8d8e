"""The command line: ``mt5dash tui``, ``tail``, ``config`` and what hangs in from beside.

Everything heavy is imported by the command that needs it, and the other commands only when
they are asked for: what a person sees first depends on it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..progress import Steps, quick_start
from ..terminal import first_frame
from .common import (
    IN_USE,
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
    open_log,
    plain_wanted,
    token_from,
)

if TYPE_CHECKING:
    from ..settings import Loaded


class Screened(TyperCommand):
    """The command with a screen: what is wrong with its arguments is told without one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except BaseException:
            first_frame.leave()
            raise


ELSEWHERE: dict[str, tuple[str, dict[str, Any]]] = {
    "replay": ("journal", {"cls": Screened}),
    "incident": ("journal", {}),
    "report": ("journal", {}),
    "backtest": ("backtest", {}),
    "doctor": ("tools", {}),
    "relay": ("relay", {}),
    "cmd": ("cmd", {}),
    "status": ("status", {}),
    "agent": (
        "tools",
        {
            "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
            "add_help_option": False,
        },
    ),
    "token": ("tools", {}),
    "journal": ("journal", {}),
    "alerts": ("alerts", {}),
}
"""Commands of other modules, by name: the module that has a function (or a group) of that name,
and how it hangs in. A module's ``EPILOG`` stands under the command's help."""


LAST_STEPS = {"tui": ("feed", "terminal"), "replay": ("recording",)}
"""Commands with a screen, and what is done once that is loaded."""


def _load(name: str) -> Any:
    module_name, options = ELSEWHERE[name]
    module = import_module(f".{module_name}", __package__)
    found = getattr(module, name)
    shell = typer.Typer(add_completion=False, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        shell.add_typer(found, name=name)
    else:
        shell.command(name, epilog=getattr(module, "EPILOG", None), **options)(found)
    return typer.main.get_group(shell).commands[name]


class Commands(TyperGroup):
    """The commands, those of other modules loaded when they are asked for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # Before the arguments are looked at: that alone takes typer a tenth of a second.
        name = args[0] if args else ""
        screen = name in LAST_STEPS and not {"--help", "--no-ui"}.intersection(args)
        if screen and first_frame.has_terminal():
            attached = any(word.split("=")[0] == "--connect" for word in args)
            steps = Steps("settings", "screen", *(() if attached else LAST_STEPS[name]))
            steps.begin("settings", "reading")
            first_frame.show(steps, ascii_only="--ascii" in args or plain_wanted(args))
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in ELSEWHERE and cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        found = super().get_command(ctx, cmd_name)
        if found is None:
            self.list_commands(ctx)  # what the closest names are looked for in
        return found

    def list_commands(self, ctx: Any) -> list[str]:
        for name in ELSEWHERE:
            self.get_command(ctx, name)
        return super().list_commands(ctx)


app = typer.Typer(
    name="mt5dash",
    cls=Commands,
    help="Live monitor and WebSocket feed for MetaTrader 5 trading bots.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(value: bool) -> None:
    if value:
        from ..about import program_version

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


@app.command(cls=Screened)
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
    calm: Annotated[
        bool | None, typer.Option("--calm", help="Nothing flashes on the screen.")
    ] = None,
    config: Config = None,
) -> None:
    """Run the bot, its feed and the screen (--no-ui: without the screen)."""
    # A terminal that went away since the first frame is the screen's to notice.
    looked_at = first_frame.steps() is not None or first_frame.has_terminal()
    if connect and no_ui:
        raise fail("--connect draws a screen; use `mt5dash tail URL` for frames", USAGE)
    if connect and not looked_at:
        raise fail("--connect needs a terminal on input and output; use `mt5dash tail URL`", USAGE)
    screen = looked_at and not no_ui
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


def _exit_code(error: Exception) -> int | None:
    """The exit code of what the person who started the program can mend; None for all else."""
    from execution.transport.registry import BackendError
    from strategy.base import StrategyNotFound
    from streamer.journal.writer import JournalError
    from streamer.server.ports import PortTaken
    from streamer.server.tokens import AccessError

    from ..run.runtime import CannotListen

    if isinstance(error, PortTaken | JournalError):
        return IN_USE
    if isinstance(error, AccessError | BackendError | CannotListen | StrategyNotFound):
        return USAGE
    return None


def _run_bot(loaded: Loaded, steps: Steps, *, screen: bool) -> int:
    steps.begin("screen" if screen else "feed", "loading")
    import asyncio

    log = open_log(loaded, screen=screen)
    try:
        if screen:
            from ..run.screen import run_screen

            return asyncio.run(run_screen(loaded, steps))
        from ..run.headless import run_headless

        return asyncio.run(run_headless(loaded, steps))
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        raise fail(str(error), code) from None
    finally:
        log.close()


def _run_attached(
    loaded: Loaded, addresses: list[str], token_file: Path | None, steps: Steps
) -> int:
    token = token_from(token_file)
    urls = [feed_url(address) for address in addresses]
    steps.begin("screen", "loading")
    import asyncio

    log = open_log(loaded, screen=True)
    try:
        from ..run.screen import run_attached

        steps.end("screen")
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
    from .tail import run_tail

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


@app.command()
def config(
    explain: Annotated[
        bool, typer.Option("--explain", help="Each value with its source and meaning.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    file: Config = None,
) -> None:
    """Print the settings in force."""
    import json

    loaded = load_settings({}, file)
    if as_json:
        rows = [
            {"name": v.name, "value": v.value, "source": v.source, "description": v.description}
            for v in loaded.values
        ]
        print(json.dumps(rows, indent=2, default=str))
        return
    from ..settings import default_file

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


def main() -> None:
    """Entry point of the ``mt5dash`` script."""
    if sys.argv[1:2] and sys.argv[1] in LAST_STEPS:
        quick_start()
    try:
        app()
    finally:
        first_frame.leave()
