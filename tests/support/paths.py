"""Folders of the repository, for tests that start programs or read files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
SUPPORT = TESTS / "support"
SHARED = ROOT.parent / "shared"
"""The workplace's folder of facts and data; the tests that read it skip where it is missing."""
