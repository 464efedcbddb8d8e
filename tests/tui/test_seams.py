"""Every part of Textual and typer that is used beyond their documented interfaces.

An upgrade that changes one of them has to fail here, not on a screen. A private name that is newly
used, or that Textual newly claims for itself, fails here too until it is listed.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
import textwrap
import time
from pathlib import Path
from types import ModuleType

import pytest
import textual
import typer
from support.paths import ROOT
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App, ComposeResult
from textual.constants import ESCAPE_DELAY
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Key
from textual.widgets import Static
from typer.core import TyperCommand, TyperGroup

from tui.terminal.driver import _FRAME_BEGINS, SYNC_END, SYNC_START

if sys.platform == "win32":
    pytest.skip("reads the POSIX driver", allow_module_level=True)

ROOMS = ("app", "panels", "render", "screens", "terminal")

PRIVATE_MODULES = {
    "textual._parser": {"ParseError"},
    "textual._xterm_parser": {"XTermParser"},
}
"""Private modules of Textual and what is imported from them."""

PRIVATE_NAMES = {
    # textual.driver.Driver
    "_app",
    "_auto_restart",
    "_debug",
    "_loop",
    "_mouse",
    # textual.drivers.linux_driver.LinuxDriver
    "_file",
    "_get_terminal_size",
    "_in_band_window_resize",
    "_key_thread",
    "_must_signal_resume",
    "_patch_iflag",
    "_patch_lflag",
    "_run_input_thread",
    "_sigcont_application",
    "_sigtstp_application",
}
"""Private attributes and methods of Textual's classes that classes of ours read or override."""

WINDOWS_NAMES = {"_enable_mouse_support", "_event_thread", "_restore_console"}
"""The same of ``WindowsDriver``, which cannot be imported here."""

UNDOCUMENTED = {
    LinuxDriver: ("attrs_before", "fileno", "input_tty"),
    Driver: ("process_message", "send_message"),
}
"""Attributes without an underscore that are nowhere documented."""


def modules() -> list[ModuleType]:
    """All modules of ours that may know Textual, those of Windows left out."""
    return [
        importlib.import_module(f"tui.{room}.{module.name}")
        for room in ROOMS
        for module in pkgutil.iter_modules([str(ROOT / "tui" / room)])
        if module.name != "driver_windows"
    ]


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Private names that a class's source defines, and those that it reads from ``self``."""
    defined: set[str] = set()
    read: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and private(node.name):
            defined.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "self" and private(node.attr):
                (read if isinstance(node.ctx, ast.Load) else defined).add(node.attr)
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined |= {t.id for t in targets if isinstance(t, ast.Name) and private(t.id)}
    return defined, read


def names_of(cls: type) -> tuple[set[str], set[str]]:
    return own_names(ast.parse(textwrap.dedent(inspect.getsource(cls))))


def is_textual(cls: type) -> bool:
    return cls.__module__.split(".")[0] == "textual"


def test_private_names_of_textual_are_those_that_are_listed() -> None:
    unlisted: dict[str, set[str]] = {}
    used: set[str] = set()
    for module in modules():
        for cls in vars(module).values():
            if not isinstance(cls, type) or cls.__module__ != module.__name__:
                continue
            bases = [base for base in cls.__mro__ if is_textual(base)]
            if not bases:
                continue
            theirs = set().union(*(names_of(base)[0] for base in bases))
            ours = [base for base in cls.__mro__ if base.__module__.startswith("tui.")]
            defined = set().union(*(names_of(base)[0] for base in ours))
            read = set().union(*(names_of(base)[1] for base in ours))
            missing = read - theirs - defined
            assert not missing, f"{cls.__qualname__} reads {missing}, which no class has"
            taken = (defined | read) & theirs
            used |= taken
            if taken - PRIVATE_NAMES:
                unlisted[cls.__qualname__] = taken - PRIVATE_NAMES
    assert unlisted == {}, "names that Textual has for itself: list them here, or choose others"
    assert used == PRIVATE_NAMES, "listed, but no longer used, or no longer in Textual"


def test_private_modules_of_textual_are_those_that_are_listed() -> None:
    found: dict[str, set[str]] = {}
    for path in (ROOT / "tui").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("textual._"):
                found.setdefault(str(node.module), set()).update(n.name for n in node.names)
    assert found == PRIVATE_MODULES


def test_undocumented_attributes_are_there() -> None:
    for cls, names in UNDOCUMENTED.items():
        source = inspect.getsource(cls)
        for name in names:
            assert hasattr(cls, name) or f"self.{name}" in source, name
    assert callable(Driver.SignalResume)


def test_the_parser_takes_text_ticks_and_an_end() -> None:
    parser = XTermParser(False)
    assert [m.key for m in parser.feed("a\x1b[A") if isinstance(m, Key)] == ["a", "up"]
    assert list(parser.feed("\x1b")) == []
    assert list(parser.tick()) == []  # it may be the beginning of a sequence
    time.sleep(ESCAPE_DELAY + 0.02)
    assert [m.key for m in parser.tick() if isinstance(m, Key)] == ["escape"]
    list(parser.feed("\x1b["))
    list(parser.feed(""))  # the input has ended
    with pytest.raises(ParseError):
        list(parser.feed("a"))


async def test_a_frame_of_the_compositor_begins_with_the_cursor_and_ends_with_its_mark() -> None:
    class Small(App[None]):
        is_headless = False  # a headless app draws nothing

        def compose(self) -> ComposeResult:
            yield Static("one", id="text")

    written: list[str] = []
    app = Small()
    async with app.run_test(size=(40, 10)) as pilot:
        assert app._driver is not None
        app._sync_available = True
        app._driver.write = written.append  # type: ignore[method-assign, assignment]
        app.query_one("#text", Static).update("two")
        await pilot.pause(0.2)
    frames = "".join(written).split(SYNC_START)[1:]
    assert frames
    for frame in frames:
        assert _FRAME_BEGINS.match(frame), frame[:40]
        assert SYNC_END in frame


def test_what_the_windows_driver_uses_is_in_textuals_source() -> None:
    """That module cannot be imported here; its source can be read."""
    folder = Path(textual.__file__).parent / "drivers"
    source = (folder / "windows_driver.py").read_text(encoding="utf-8")
    theirs, _ = own_names(ast.parse(source))
    ours = ast.parse((ROOT / "tui/terminal/driver_windows.py").read_text(encoding="utf-8"))
    defined, read = own_names(ours)
    assert (defined | read) & theirs == WINDOWS_NAMES
    assert "self.exit_event = Event()" in source
    win32 = ast.parse((folder / "win32.py").read_text(encoding="utf-8"))
    functions = {n.name: n for n in ast.walk(win32) if isinstance(n, ast.FunctionDef)}
    assert functions["enable_application_mode"].args.args == []
    monitor = next(
        n for n in ast.walk(win32) if isinstance(n, ast.ClassDef) and n.name == "EventMonitor"
    )
    begin = next(n for n in monitor.body if isinstance(n, ast.FunctionDef))
    assert [a.arg for a in begin.args.args] == [
        "self", "loop", "app", "exit_event", "process_event",
    ]  # fmt: skip


def test_a_group_of_typer_finds_commands_when_they_are_asked_for() -> None:
    loaded: list[str] = []

    def load(name: str) -> TyperCommand:
        loaded.append(name)
        shell = typer.Typer(add_completion=False)
        shell.command(name, cls=TyperCommand, epilog="the end")(lambda: print(name))
        shell.command("other")(lambda: None)
        found = typer.main.get_group(shell).commands[name]
        assert isinstance(found, TyperCommand)
        return found

    class Lazy(TyperGroup):
        def get_command(self, ctx, cmd_name):  # type: ignore[no-untyped-def]
            if cmd_name == "late" and cmd_name not in self.commands:
                self.commands[cmd_name] = load(cmd_name)
            return super().get_command(ctx, cmd_name)

    app = typer.Typer(cls=Lazy, add_completion=False)
    app.callback()(lambda: None)
    assert loaded == []
    with pytest.raises(SystemExit) as end:
        app(["late"])
    assert end.value.code == 0
    assert loaded == ["late"]
    for name in ("parse_args", "get_command", "list_commands", "invoke"):
        assert callable(getattr(TyperGroup, name))
    assert re.fullmatch(r"[\w.]+", TyperCommand.__module__)
