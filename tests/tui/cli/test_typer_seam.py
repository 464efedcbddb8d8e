"""What the lazy command line uses of typer beyond its interface: a change there fails here, by name."""

from __future__ import annotations

import inspect

import pytest
import typer
import typer.main
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

from tui.cli.main import LAZY_COMMANDS, CommandGroup, ScreenCommand, app


def test_the_classes_that_are_extended_have_the_methods_that_are_replaced() -> None:
    assert issubclass(CommandGroup, TyperGroup)
    assert issubclass(ScreenCommand, TyperCommand)
    for cls, name, arguments in (
        (TyperCommand, "parse_args", ["self", "ctx", "args"]),
        (TyperGroup, "parse_args", ["self", "ctx", "args"]),
        (TyperGroup, "get_command", ["self", "ctx", "cmd_name"]),
        (TyperGroup, "list_commands", ["self", "ctx"]),
        (TyperGroup, "invoke", ["self", "ctx"]),
    ):
        assert list(inspect.signature(getattr(cls, name)).parameters) == arguments


def test_no_other_method_of_typer_is_replaced() -> None:
    for cls, replaced in (
        (CommandGroup, {"parse_args", "get_command", "list_commands", "invoke"}),
        (ScreenCommand, {"parse_args"}),
    ):
        base = cls.__mro__[1]
        assert {n for n in vars(cls) if hasattr(base, n) and not n.startswith("_")} == replaced


def test_a_group_is_made_from_an_app_and_keeps_its_commands_by_name() -> None:
    shell = typer.Typer()
    shell.command("one")(lambda: None)
    shell.command("two")(lambda: None)
    group = typer.main.get_group(shell)
    assert isinstance(group, TyperGroup)
    assert list(group.commands) == ["one", "two"]


@pytest.mark.parametrize(("typed", "meant"), [("statsu", "status"), ("docter", "doctor")])
def test_a_mistyped_command_that_is_not_loaded_yet_is_suggested(typed: str, meant: str) -> None:
    assert meant in LAZY_COMMANDS
    ended = CliRunner().invoke(app, [typed])
    assert ended.exit_code == 2
    assert f"'{meant}'" in ended.output
