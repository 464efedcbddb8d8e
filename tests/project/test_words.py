"""Pages, help and messages are plain: no words that a reader has to decode (``docs/glossary.md``)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.pages import deployment_files, pages
from support.paths import ROOT

DECODED = re.compile(
    r"\b(told|tells?|said|stands?|stood|of late|nobody|somebody|anybody|anew|mend(?:s|ed)?|knocks"
    r"|(?<!there )(?:is|are) none|whose (?:it|that) (?:is|are))\b",
    re.IGNORECASE,
)
"""Words of telling for publish, return, log and show; "stand" for be; persons for programs."""

PLAIN = re.compile(r"\bstands? for\b|\bstand-ins?\b|`[^`]*`", re.IGNORECASE)
"""What may hold such a word: "stand for", and names in code."""
PYTHON = re.compile(r"^```python\n.*?^```", re.MULTILINE | re.DOTALL)


def decoded(text: str) -> list[str]:
    """The lines of a text that hold such a word, with their numbers; examples of code left out."""
    text = PYTHON.sub(lambda found: "\n" * found[0].count("\n"), text)
    return [
        f"{number}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        if DECODED.search(PLAIN.sub("", line))
    ]


def test_the_pattern_finds_what_it_is_for() -> None:
    text = "it was told\nstands for `tell`\n```python\ntell()\n```\nNobody knocks"
    assert decoded(text) == ["1: it was told", "6: Nobody knocks"]


@pytest.mark.parametrize(
    "path", [*pages(), *deployment_files()], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_a_page_is_plain(path: Path) -> None:
    found = decoded(path.read_text(encoding="utf-8"))
    assert not found, "\n".join([f"{path.relative_to(ROOT)}, see docs/glossary.md:", *found])
