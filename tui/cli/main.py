"""The ``mt5dash`` command line: finds a command's module by its name and loads only that one.

The time until a person sees something depends on what is imported here, so nothing heavy is:
each command imports what it needs when it runs.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from streamer.errors import Mt5dashError

from ..progress import Steps, quick_start
from ..terminal import first_frame
from .common import fail, plain_wanted


class ScreenCommand(TyperCommand):
    """A command with a screen: errors in its arguments are printed on a restored terminal."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except BaseException:
            first_frame.leave()
            raise


LAZY_COMMANDS: dict[str, dict[str, Any]] = {
    "tui": {"cls": ScreenCommand},
    "tail": {},
    "config": {},
    "replay": {"cls": ScreenCommand},
    "incident": {},
    "report": {},
    "backtest": {},
    "doctor": {},
    "relay": {},
    "cmd": {},
    "status": {},
    "agent": {
        "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
        "add_help_option": False,
    },
    "token": {},
    "journal": {},
    "alerts": {},
}
"""All commands, in the order of the help, with their options for typer. The module ``NAME.py`` has
the function or the group ``NAME``; its ``EPILOG``, if there is one, ends the command's help."""


SCREEN_STEPS = {"tui": ("feed", "terminal"), "replay": ("recording",)}
"""The commands with a screen, and the steps of their start after the screen is loaded."""


def _load(name: str) -> Any:
    module = import_module(f".{name}", __package__)
    found = getattr(module, name)
    shell = typer.Typer(add_completion=False, rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        shell.add_typer(found, name=name)
    else:
        epilog = getattr(module, "EPILOG", None)
        shell.command(name, epilog=epilog, **LAZY_COMMANDS[name])(found)
    return typer.main.get_group(shell).commands[name]


class CommandGroup(TyperGroup):
    """The commands; each is loaded when it is asked for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # The first frame comes before the arguments are parsed: that takes a tenth of a second.
        name = args[0] if args else ""
        screen = name in SCREEN_STEPS and not {"--help", "--no-ui"}.intersection(args)
        if screen and first_frame.has_terminal():
            attached = any(word.split("=")[0] == "--connect" for word in args)
            steps = Steps("settings", "screen", *(() if attached else SCREEN_STEPS[name]))
            steps.begin("settings", "reading")
            first_frame.show(steps, ascii_only="--ascii" in args or plain_wanted(args))
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in LAZY_COMMANDS and cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        found = super().get_command(ctx, cmd_name)
        if found is None:
            self.list_commands(ctx)  # the error names the closest of all commands
        return found

    def list_commands(self, ctx: Any) -> list[str]:
        for name in LAZY_COMMANDS:
            self.get_command(ctx, name)
        return super().list_commands(ctx)

    def invoke(self, ctx: Any) -> Any:
        """Run a command. An error of ours ends the program in words, with the exit code of its
        class; every other exception is a bug and keeps its traceback."""
        try:
            return super().invoke(ctx)
        except Mt5dashError as error:
            text = f"{error}\n{error.hint}" if error.hint else str(error)
            raise fail(text, error.exit_code) from None


app = typer.Typer(
    name="mt5dash",
    cls=CommandGroup,
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


def main() -> None:
    """Entry point of the ``mt5dash`` script."""
    if sys.argv[1:2] and sys.argv[1] in SCREEN_STEPS:
        quick_start()
    try:
        app()
    finally:
        first_frame.leave()
