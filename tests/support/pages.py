"""The pages that people read: Markdown files of the repository and what is beside them."""

from __future__ import annotations

from pathlib import Path

from support.paths import ROOT


def pages() -> list[Path]:
    """README and its neighbours, ``docs/`` and the readmes of ``benchmarks/``."""
    found = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "benchmarks").rglob("*.md"),
    ]
    found += (ROOT / ".github").rglob("*.md")
    return sorted(found)


def deployment_files() -> list[Path]:
    """Units, containers and proxies: their comments are read, too."""
    return sorted(path for path in (ROOT / "docs/deploy").iterdir() if path.is_file())
