"""``requirements-dev.lock`` fits ``pyproject.toml`` and names packages only."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.paths import ROOT

LINE = re.compile(r"[a-z0-9][a-z0-9._-]*==[^\s;]+( ; [a-z_]+ .+)?")


def lines() -> list[str]:
    text = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_a_line_is_a_name_a_version_and_a_marker() -> None:
    for line in lines():
        assert LINE.fullmatch(line), line
        assert "://" not in line


def test_every_dependency_is_locked_within_its_bounds() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    locked: dict[str, list[Requirement]] = {}
    for found in map(Requirement, lines()):
        locked.setdefault(canonicalize_name(found.name), []).append(found)
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for wanted in map(Requirement, asked):
        versions = [
            str(found.specifier).removeprefix("==")
            for found in locked.get(canonicalize_name(wanted.name), [])
        ]
        assert versions, f"{wanted.name} is not locked: run .ci/lock"
        for version in versions:
            assert wanted.specifier.contains(version), f"{wanted}, locked {version}: run .ci/lock"
