"""The commands that the README gives are those that CI runs."""

from __future__ import annotations

import re

from support.paths import ROOT
from support.slow import slow_paths


def test_ci_runs_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r'^pip install -e "\.\[dev\]" && (pytest .+)$', readme, re.MULTILINE)
    run = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert command in run


def test_every_slow_file_exists() -> None:
    assert len(slow_paths()) > 10
