"""A class name means one thing in the whole product."""

from __future__ import annotations

import ast
from collections import defaultdict

from support.paths import ROOT

from streamer.floors import FLOORS

MOST_TWICE = 5
"""Names that may stand for two things, each well known on its own floor (a position of the protocol,
and one in the paper terminal's ledger). May fall, never rise."""


def places() -> dict[str, list[str]]:
    """Where each class name is defined, also inside other classes and functions."""
    found = defaultdict(list)
    for path in [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_a_class_name_has_one_meaning() -> None:
    all_names = places()
    assert len(all_names) > 300
    twice = {name: where for name, where in all_names.items() if len(where) > 1}
    assert len(twice) <= MOST_TWICE, twice
    assert all(len(where) == 2 for where in twice.values()), twice
