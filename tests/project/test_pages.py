"""What the pages name exists: files, modules, links and headings."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.pages import pages
from support.paths import ROOT

FOLDERS = (
    "tui",
    "streamer",
    "strategy",
    "execution",
    "tests",
    "docs",
    "benchmarks",
    ".ci",
    ".github",
)
PATH = re.compile(rf"(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*{{}},-]+")
MODULE = re.compile(r"(?:tui|streamer|strategy|execution)(?:\.\w+)+")
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMES = {path.relative_to(ROOT).as_posix(): path for path in pages()}

by_page = pytest.mark.parametrize("name", NAMES)


def texts(name: str) -> list[str]:
    """The pieces of code of a page, without its fenced blocks."""
    prose = re.sub(r"^```.*?^```", "", NAMES[name].read_text("utf-8"), flags=re.M | re.S)
    return CODE.findall(prose)


def exists(text: str) -> bool:
    """Whether files have this name; ``a/{b,c}.py`` and ``a/*.py`` name several."""
    braces = re.fullmatch(r"(.*)\{(.*)\}(.*)", text)
    if braces:
        return all(exists(f"{braces[1]}{one.strip()}{braces[3]}") for one in braces[2].split(","))
    return any(ROOT.glob(text.rstrip("/.,")))


@cache
def is_module(name: str) -> bool:
    """Whether the name, or all but its last two parts, is a module that can be found."""
    parts = name.split(".")
    for length in range(len(parts), max(len(parts) - 3, 0), -1):
        try:
            if find_spec(".".join(parts[:length])) is not None:
                return True
        except ModuleNotFoundError:
            continue
    return False


@by_page
def test_every_named_file_exists(name: str) -> None:
    missing = [
        found
        for text in texts(name)
        for found in PATH.findall(text)
        if text.startswith((found, "python ", "bash ")) and not exists(found)
    ]
    assert not missing


@by_page
def test_every_named_module_exists(name: str) -> None:
    missing = [
        text
        for text in texts(name)
        if MODULE.fullmatch(text) and not is_module(text) and not setting(text)
    ]
    assert not missing


def setting(text: str) -> bool:
    """``strategy.min_score`` is a setting and no module."""
    from tui.settings import load

    return text in {value.name for value in load({}, environ={}).values}


@cache
def headings(path: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in found}


@by_page
def test_every_link_leads_somewhere(name: str) -> None:
    page, wrong = NAMES[name], []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        place, _, anchor = link.partition("#")
        if "://" in place or place.startswith("mailto:"):
            continue
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and anchor not in headings(target)):
            wrong.append(link)
    assert not wrong


def test_the_page_of_the_strategy_has_the_gates_in_their_order() -> None:
    from strategy.scan.gates import GATES

    text = " ".join((ROOT / "docs/strategy.md").read_text(encoding="utf-8").split())
    listed = re.search(r"in this order: ([^.]+)\.", text)
    assert listed is not None
    names = [gate.__name__.replace("_", " ") for gate in GATES]
    assert [name.lower() for name in listed[1].split(", ")] == names
