"""What is used of Textual beyond its interface: an upgrade that changes it fails here, by name.

A name counts as used when a class of ours has it, it begins with one underscore, and the class of
Textual that ours is made from has it too. So a name of ours that collides by accident is found as well.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from support.paths import ROOT
from textual import events
from textual.app import App
from textual.driver import Driver
from textual.geometry import Size
from textual.widgets import Static

from tui.terminal.driver import _FRAME_BEGINS

DRIVER = frozenset({"_app", "_loop"})
LINUX = frozenset(
    {
        # called
        "_get_terminal_size", "_patch_iflag", "_patch_lflag", "_run_input_thread",
        # read or set
        "_auto_restart", "_debug", "_file", "_in_band_window_resize", "_key_thread", "_mouse",
        "_must_signal_resume",
        # replaced
        "_sigcont_application", "_sigtstp_application",
    }
)  # fmt: skip
WINDOWS = frozenset({"_enable_mouse_support", "_event_thread", "_app", "_restore_console"})
MODULES = frozenset({"textual._parser", "textual._xterm_parser"})


def private_names(tree: ast.AST) -> set[str]:
    """Names with one underscore that a class defines, or uses of itself."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "cls"):
            found.add(node.attr)
    return {name for name in found if re.match(r"_[^_]", name)}


def source(cls: type) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(cls)))


def of_textual(cls: type) -> list[type]:
    return [base for base in cls.__mro__ if base.__module__.split(".")[0] == "textual"]


def our_classes() -> Iterator[type]:
    """Classes made from one of Textual's; the Windows driver cannot be imported elsewhere."""
    for path in sorted((ROOT / "tui").rglob("*.py")):
        if path.name in ("__main__.py", "driver_windows.py") or "launcher" in path.parts:
            continue
        module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for cls in vars(module).values():
            if inspect.isclass(cls) and cls.__module__ == module.__name__ and of_textual(cls):
                yield cls


def test_no_other_private_part_is_used() -> None:
    used: dict[str, set[str]] = {}
    for cls in our_classes():
        own = private_names(source(cls))
        for base in of_textual(cls):
            if shared := own & private_names(source(base)):
                used.setdefault(f"{cls.__name__} of {base.__name__}", set()).update(shared)
    inherited = LINUX & {"_auto_restart", "_debug", "_mouse"}
    assert used == {
        "NonBlockingDriver of Driver": DRIVER,
        "TerminalDriver of LinuxDriver": LINUX,
        "TerminalDriver of Driver": inherited,
    }


def test_no_other_private_part_is_used_on_windows() -> None:
    def names(path: Path, cls: str) -> set[str]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        (found,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == cls)
        return private_names(found)

    spec = find_spec("textual.drivers")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    (folder,) = spec.submodule_search_locations
    theirs = names(Path(folder, "windows_driver.py"), "WindowsDriver")
    theirs |= names(Path(folder).parent / "driver.py", "Driver")
    ours = names(ROOT / "tui/terminal/driver_windows.py", "ConsoleDriver")
    assert ours & theirs == WINDOWS
    monitor = (Path(folder) / "win32.py").read_text(encoding="utf-8")
    assert "class EventMonitor(threading.Thread)" in monitor
    assert "def enable_application_mode()" in monitor


def test_no_other_private_module_is_imported() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tui").rglob("*.py"))
    assert set(re.findall(r"from (textual\.(?:\w+\.)*_\w+) import", text)) == MODULES


def test_the_parser_takes_text_and_ticks() -> None:
    from textual._parser import ParseError
    from textual._xterm_parser import XTermParser

    parser = XTermParser(False)
    assert [m.key for m in parser.feed("a") if isinstance(m, events.Key)] == ["a"]
    assert list(parser.tick()) == []
    with contextlib.suppress(EOFError, ParseError):  # either is how it ends
        assert list(parser.feed("")) == []


class Recorder(Driver):
    """A terminal of 20x4 that keeps what is written."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.written: list[str] = []

    def start_application_mode(self) -> None:
        self.send_message(events.Resize(Size(20, 4), Size(20, 4)))

    def disable_input(self) -> None: ...

    def stop_application_mode(self) -> None: ...

    def write(self, data: str) -> None:
        self.written.append(data)


async def test_a_frame_begins_with_the_cursors_place() -> None:
    """By this the driver knows which output is a frame and may be dropped."""
    app: App[None] = App(driver_class=Recorder)
    running = asyncio.create_task(app.run_async(size=(20, 4)))
    async with asyncio.timeout(10):
        while not isinstance(app._driver, Recorder) or not app._driver.written:
            await asyncio.sleep(0.01)
        written = app._driver.written
        await app.mount(Static("x" * 20))
        while "x" * 20 not in "".join(written):
            await asyncio.sleep(0.01)
        app.exit()
        await running
    frames = [text for text in written if "x" * 20 in text]
    assert frames
    assert all(_FRAME_BEGINS.match(text) for text in frames), frames
