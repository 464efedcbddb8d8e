"""The Windows Python under Wine that ``.ci/windows`` builds, driven from Linux."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from support.paths import ROOT
from support.serving import TOKEN, reachable

LAUNCHER = os.environ.get("WINDOWS_PYTHON", "")
"""What runs a script in it; empty: there is none."""


def seen(path: Path) -> str:
    """A path of this machine as a Windows program sees it."""
    return "Z:" + str(path).replace("/", "\\")


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program in there: it imports this tree."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith("MT5DASH_")}
    return keep | {"PYTHONPATH": f"{seen(ROOT)};{seen(ROOT / 'tests')}"} | dict(more)


def run(*args: str, timeout: float = 240, env: Mapping[str, str] | None = None) -> str:
    """Run it with ``args``; what it printed, on both outputs."""
    done = subprocess.run(
        [LAUNCHER, *args], env=environment(env or {}), timeout=timeout, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.stdout


@contextmanager
def served(pattern: str, *args: str) -> Iterator[int]:
    """Run it until the end of the context; the port that a line of its output matches."""
    process = subprocess.Popen(
        [LAUNCHER, *args], env=environment({"MT5DASH_AGENT_TOKEN": TOKEN}), text=True,
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
        # What else it prints is read on, or it would wait for a full pipe.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        reachable(port)
        yield port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
