"""Prints the installed packages whose version is not the locked one, on one line; nothing if none.

python .ci/drift.py requirements-dev.lock
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement


def locked(lock: Path) -> dict[str, str]:
    """The version of each package that the lock has for this system and interpreter."""
    found = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        asked = Requirement(line)
        if asked.marker is None or asked.marker.evaluate():
            found[asked.name] = str(asked.specifier).removeprefix("==")
    return found


def drift(lock: Path) -> list[str]:
    """Each package that differs, as ``name locked -> installed``."""
    out = []
    for name, wanted in locked(lock).items():
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "not installed"
        if found != wanted:
            out.append(f"{name} {wanted} -> {found}")
    return out


if __name__ == "__main__":
    print(", ".join(drift(Path(sys.argv[1]))))
