"""Pages, help and messages are plain: no words that a reader has to decode (``docs/glossary.md``)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from support.pages import deployment_files, pages
from support.paths import ROOT
from support.sentences import decoded

from streamer.floors import FLOORS


def test_the_pattern_finds_what_it_is_for() -> None:
    text = "it was told\nstands for `tell`\n```python\ntell()\n```\nNobody knocks"
    assert decoded(text) == ["1: it was told", "6: Nobody knocks"]


@pytest.mark.parametrize(
    "path", [*pages(), *deployment_files()], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_a_page_is_plain(path: Path) -> None:
    found = decoded(path.read_text(encoding="utf-8"))
    assert not found, "\n".join([f"{path.relative_to(ROOT)}, see docs/glossary.md:", *found])


def messages() -> list[tuple[str, str]]:
    """Texts of the product with their places: strings of several words that document no code."""
    found = []
    for path in [p for floor in FLOORS for p in sorted((ROOT / floor).rglob("*.py"))]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documents = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                continue
            if " " in node.value and id(node) not in documents:
                found.append((f"{path.relative_to(ROOT)}:{node.lineno}", node.value))
    return found


def test_messages_help_and_settings_are_plain() -> None:
    found = messages()
    assert len(found) > 1000
    sql = re.compile(r"^(CREATE|INSERT|SELECT) ")  # the name of a table on disk stays
    wrong = [f"{where} {text}" for where, text in found if decoded(text) and not sql.match(text)]
    assert not wrong, "\n".join(["see docs/glossary.md:", *wrong])


def test_the_words_of_events_are_plain() -> None:
    text = (ROOT / "streamer/web/words.json").read_text(encoding="utf-8")
    assert not decoded(text)
