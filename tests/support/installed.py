"""mt5dash installed in a virtual environment of its own, from a wheel or editable, without a network.

The packages that mt5dash needs are those of the environment that runs the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from support import program
from support.paths import ROOT

Way = Literal["wheel", "editable"]


@dataclass(frozen=True)
class Installed:
    """A virtual environment that has mt5dash."""

    bin: Path

    @property
    def python(self) -> str:
        return str(self.bin / "python")

    @property
    def mt5dash(self) -> str:
        """The console script."""
        return str(self.bin / "mt5dash")

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """As for a person: no variable of the tests' own, nothing of the repository."""
        own = program.environment(home)
        del own["PYTHONPATH"]
        return own | more

    def run(
        self, *command: str, folder: Path, home: Path, check: bool = True, **env: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a folder and return what it printed."""
        done = subprocess.run(
            command, cwd=folder, env=self.environment(home, **env), capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr}")
        return done


def build(target: str, folder: Path) -> Path:
    """Build a ``wheel``, ``wheel:editable`` or ``sdist`` and return its file."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (made,) = folder.iterdir()
    return made


def install(way: Way, folder: Path) -> Installed:
    """A new environment below ``folder`` with mt5dash installed."""
    wheel = build("wheel" if way == "wheel" else "wheel:editable", folder / "dist")
    home = folder / "venv"
    venv.create(home, symlinks=os.name != "nt")
    found = Installed(home / ("Scripts" if os.name == "nt" else "bin"))
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", found.python, "install", "--quiet"),
            *("--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)),
        ],
        check=True,
    )
    places = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    site = found.run(
        found.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))",
        folder=folder, home=folder,
    )  # fmt: skip
    # Plain lines of a .pth name folders; the .pth files of those folders are not read.
    Path(site.stdout.strip(), "packages.pth").write_text("\n".join(places) + "\n")
    return found
