"""Compares the branches taken in the money paths with their floors in pyproject.toml.

python .ci/branches.py coverage.json
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def floors() -> dict[str, float]:
    """Folder and the least percentage of its branches."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: dict[str, float] = tomllib.load(file)["tool"]["mt5dash"]["branches"]
    return found


def taken(files: dict[str, Any], folder: str) -> tuple[int, int]:
    """Branches taken and branches in all of a folder's modules."""
    sums = [
        found["summary"]
        for name, found in files.items()
        if Path(name).as_posix().startswith(f"{folder}/")
    ]
    return sum(s["covered_branches"] for s in sums), sum(s["num_branches"] for s in sums)


def main(report: Path) -> int:
    files = json.loads(report.read_text(encoding="utf-8"))["files"]
    failed = False
    for folder, floor in floors().items():
        done, total = taken(files, folder)
        percent = 100.0 * done / total if total else 0.0
        failed = failed or percent < floor
        sign = "ok" if percent >= floor else "BELOW"
        print(f"{sign:<5} {folder}: {done} of {total} branches, {percent:.1f} % (floor {floor} %)")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
