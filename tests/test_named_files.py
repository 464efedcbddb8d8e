"""Files and modules that sentences of this repository name exist."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from support.paths import ROOT, TESTS

FLOORS = ("tui", "strategy", "execution", "streamer")
FOLDERS = (*FLOORS, "tests", "benchmarks", "docs")
SUFFIXES = "py|js|css|tcss|md|json|toml|html|yaml|svg|sh|c"
PATH = re.compile(rf"(?<![\w/.:*~-])((?:{'|'.join(FOLDERS)})/[\w./-]+\.(?:{SUFFIXES}))\b")
MODULE = re.compile(rf"(?<![\w./-])((?:{'|'.join(FLOORS)})(?:\.\w+)+)")
FILE = re.compile(r"`(\w+\.(?:py|js|tcss))`")
OTHERS = {
    "tests/installed/test_installed.py",  # names files of a user's own bot
    "CHANGELOG.md",  # names what there was
}


@cache
def texts() -> dict[str, str]:
    """Path and content of each text file of ours."""
    found: dict[str, str] = {}
    places = [ROOT / name for name in FOLDERS]
    files = [path for place in places for path in place.rglob("*")] + list(ROOT.glob("*.md"))
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in (".py", ".md", ".js", ".css") and path.is_file() and name not in OTHERS:
            found[name] = path.read_text(encoding="utf-8")
    return found


@cache
def names_of(path: Path) -> frozenset[str]:
    """The names that a module defines or imports at its top level."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update((alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return frozenset(found)


def exists(dotted: str) -> bool:
    """Whether a module, or a name in one, has this name."""
    parts = dotted.split(".")
    place, at = ROOT, 0
    while at < len(parts) and (place / parts[at]).is_dir():
        place, at = place / parts[at], at + 1
    if at == len(parts):
        return True
    module = place / f"{parts[at]}.py"
    if module.is_file():
        place, at = module, at + 1
    else:
        place = place / "__init__.py"
        if not place.is_file():
            return False
    return all(name in names_of(place) for name in parts[at:])


def sentences(source: str) -> Iterator[str]:
    """Docstrings and comments of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def test_a_path_that_is_named_exists() -> None:
    missing = [
        f"{name}: {path}"
        for name, text in texts().items()
        for path in PATH.findall(text)
        if not (ROOT / path).exists() and not (TESTS / path).exists()
    ]
    assert missing == []


def test_a_file_that_a_page_of_the_documentation_names_exists() -> None:
    there = {path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*")}
    missing = [
        f"{name}: {file}"
        for name, text in texts().items()
        if name.endswith(".md")
        for file in FILE.findall(text)
        if file not in there
    ]
    assert missing == []


def test_a_module_that_a_sentence_names_exists() -> None:
    missing = [
        f"{name}: {dotted}"
        for name, text in texts().items()
        if name.endswith(".py")
        for sentence in sentences(text)
        for dotted in MODULE.findall(sentence)
        if not exists(dotted)
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("dotted", "there"),
    [
        ("streamer.relay", True),
        ("streamer.relay.upstream", True),
        ("streamer.relay.upstream.Upstream", True),
        ("streamer.relay.upstream.Upstream.check_link", True),
        ("streamer.relay.downstream", False),
        ("streamer.relay.upstream.Downstream", False),
    ],
)
def test_the_look_itself(dotted: str, there: bool) -> None:
    assert exists(dotted) == there
