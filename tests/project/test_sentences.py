"""Sentences in the code (docstrings and comments): what they name exists, and words are plain.

The same for pages: ``test_pages.py`` and ``test_words.py``.
"""

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
from support.sentences import decoded

FLOORS = ("tui", "strategy", "execution", "streamer")
FOLDERS = (*FLOORS, "tests", "benchmarks", "docs")
PATH = re.compile(rf"(?<![\w/.:*~-])((?:{'|'.join(FOLDERS)})/[\w./-]+\.(?:py|js|css|md|json|sh))\b")
MODULE = re.compile(rf"(?<![\w./-])((?:{'|'.join(FLOORS)})(?:\.\w+)+)")
NOT_YET = (
    *("streamer/client/", "streamer/feed/"),
    *("streamer/server/", "streamer/service.py", "streamer/web/"),
    *("tui/app/", "tui/cli/", "tui/options.py", "tui/panels/", "tui/progress.py", "tui/render/"),
    *("tui/run/", "tui/screens/", "tui/session/", "tui/settings.py", "tui/terminal/"),
)
"""Places whose sentences are not all plain yet. Take one out; add none."""
OF_A_BOT = "tests/installed/"
"""Names modules of a user's own bot."""
NO_MODULES = frozenset({"strategy.mine", "strategy.min_score"})
"""A module of a user's own bot, and a setting."""


@cache
def sources() -> dict[str, str]:
    """Path and content of each Python file of ours."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


def sentences(source: str) -> Iterator[str]:
    """Docstrings and comments of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


@cache
def names_of(path: Path) -> frozenset[str]:
    """The names that a module defines, imports or assigns."""
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
        return all(name in names_of(module) for name in parts[at + 1 :])
    room = place / "__init__.py"
    return room.is_file() and all(name in names_of(room) for name in parts[at:])


def test_a_path_that_the_code_names_exists() -> None:
    missing = [
        f"{name}: {path}"
        for name, text in sources().items()
        if not name.startswith(OF_A_BOT)
        for path in PATH.findall(text)
        if not (ROOT / path).exists() and not (TESTS / path).exists()
    ]
    assert missing == []


def test_a_module_that_a_sentence_names_exists() -> None:
    missing = [
        f"{name}: {dotted}"
        for name, text in sources().items()
        if not name.startswith(OF_A_BOT)
        for sentence in sentences(text)
        for dotted in MODULE.findall(sentence)
        if dotted not in NO_MODULES and not exists(dotted)
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
def test_what_exists_is_found(dotted: str, there: bool) -> None:
    assert exists(dotted) == there


def test_the_sentences_of_the_code_are_plain() -> None:
    found = [
        f"{name}: {line}"
        for name, text in sources().items()
        if name.startswith(FLOORS) and not name.startswith(NOT_YET)
        for sentence in sentences(text)
        for line in decoded(sentence)
    ]
    assert not found, "\n".join(["see docs/glossary.md:", *found])
