"""The Windows Python under Wine that ``.ci/windows`` builds, driven from Linux."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.paths import ROOT
from support.serving import TOKEN, reachable

LAUNCHER = os.environ.get("MT5DASH_WINDOWS_PYTHON", "")
"""What runs a script in it; empty: there is none."""


def seen(path: Path) -> str:
    """A path of this machine as a Windows program sees it."""
    return "Z:" + str(path).replace("/", "\\")


def environment(**more: str) -> dict[str, str]:
    """The environment of a program in there: it imports this tree."""
    return os.environ | {"PYTHONPATH": f"{seen(ROOT)};{seen(ROOT / 'tests')}"} | more


def run(*args: str, timeout: float = 240, **env: str) -> str:
    """Run it with ``args``; what it printed, on both outputs."""
    done = subprocess.run(
        [LAUNCHER, *args], env=environment(**env), timeout=timeout, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.stdout


@contextmanager
def served(pattern: str, *args: str, **env: str) -> Iterator[int]:
    """Run it until the end of the context; the port that a line of its output matches."""
    process = subprocess.Popen(
        [LAUNCHER, *args], env=environment(MT5DASH_AGENT_TOKEN=TOKEN, **env), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(pattern, line):
                break
        else:
            raise AssertionError("".join(said))
        port = int(found.group(1))
        reachable(port)
        yield port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
