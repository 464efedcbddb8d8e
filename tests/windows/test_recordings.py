"""The recordings of the real package are what it answers today, and ours answers alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import windows
from support.package_calls import answers
from support.paths import TESTS

from execution.paper import metatrader5, open_paper
from execution.settings import PaperSettings

pytestmark = [pytest.mark.windows, pytest.mark.timeout(300)]

RECORDINGS = TESTS / "execution" / "api" / "recordings"
CALLS = windows.seen(TESTS / "support" / "package_calls.py")
SHAPE = windows.seen(TESTS / "support" / "package_shape.py")


def printed(word: str, *args: str) -> Any:
    """What a script in there printed as JSON after ``word``."""
    output = windows.run(*args)
    found = [line for line in output.splitlines() if line.startswith(f"{word} ")]
    assert found, output
    return json.loads(found[0].removeprefix(f"{word} "))


def version() -> str:
    return str(printed("VERSION", "-c", "import MetaTrader5 as m, json; "
                       "print('VERSION', json.dumps(m.__version__))"))  # fmt: skip


@pytest.mark.parametrize("name", ["calls", "generated"])
def test_the_package_answers_what_was_recorded(name: str, tmp_path: Path) -> None:
    recorded = json.loads((RECORDINGS / f"{name}_5.0.6231.json").read_text())
    calls = tmp_path / "calls.json"
    calls.write_text(json.dumps([row[0] for row in recorded]))
    found = printed("ANSWERS", CALLS, "MetaTrader5", windows.seen(calls))
    assert [pair for pair in zip(recorded, found, strict=True) if pair[0] != pair[1]] == []


def test_the_package_has_the_recorded_shape() -> None:
    recorded = json.loads((RECORDINGS / "shape_5.0.6231.json").read_text())
    found = printed("SHAPE", SHAPE, "MetaTrader5")
    recorded["probes"]["mt5.__version__"] = repr(version())
    assert found == recorded


def test_ours_answers_generated_calls_as_the_package_does() -> None:
    """Other calls than the recorded ones, and many."""
    real = printed("ANSWERS", CALLS, "MetaTrader5", "14", "20000")
    paper = open_paper(PaperSettings())
    paper.faults.ipc_lost = True
    metatrader5.use(paper)
    try:
        ours = answers(metatrader5, [row[0] for row in real])
    finally:
        metatrader5.use(None)
    assert [pair for pair in zip(real, ours, strict=True) if pair[0] != pair[1]] == []
