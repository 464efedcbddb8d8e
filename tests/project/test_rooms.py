"""The house as ``docs/architecture.md`` draws it, and as it is."""

from __future__ import annotations

from pathlib import Path

from support.paths import ROOT

from streamer.floors import FLOORS

MOST = 20
"""Modules in one folder: more are two rooms."""


def rooms() -> list[Path]:
    """The folders of the four floors."""
    found = [
        path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*")) if path.is_dir()
    ]
    return [path for path in found if path.name != "__pycache__"]


def test_the_page_names_every_room() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    top = [path for path in rooms() if path.parent.parent == ROOT]
    assert len(top) > 20
    missing = [path for path in top if f"`{path.relative_to(ROOT).as_posix()}/`" not in text]
    assert not missing


def test_a_room_has_few_modules() -> None:
    full = {
        path: count
        for path in [*rooms(), *(ROOT / floor for floor in FLOORS)]
        if (count := sum(1 for file in path.glob("*.py") if file.name != "__init__.py")) > MOST
    }
    assert not full
