"""Pages, help and messages are plain: no words that a reader has to decode (``docs/glossary.md``)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.pages import deployment_files, pages
from support.paths import ROOT
from support.sentences import decoded


def test_the_pattern_finds_what_it_is_for() -> None:
    text = "it was told\nstands for `tell`\n```python\ntell()\n```\nNobody knocks"
    assert decoded(text) == ["1: it was told", "6: Nobody knocks"]


@pytest.mark.parametrize(
    "path", [*pages(), *deployment_files()], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_a_page_is_plain(path: Path) -> None:
    found = decoded(path.read_text(encoding="utf-8"))
    assert not found, "\n".join([f"{path.relative_to(ROOT)}, see docs/glossary.md:", *found])
