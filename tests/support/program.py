"""Runs the real program in a process of its own, for tests that look from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.paths import ROOT


def environment(home: Path) -> dict[str, str]:
    """An environment whose settings, state and logs stay below ``home``."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith("MT5DASH_")}
    folders = {
        name: str(home / name.lower())
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA")
    }
    return keep | folders | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@dataclass
class Program:
    """A running ``mt5dash tui --no-ui``."""

    process: asyncio.subprocess.Process
    url: str

    @property
    def http(self) -> str:
        return self.url.replace("ws://", "http://").removesuffix("/ws")

    async def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], Any]:
        """Status, headers and decoded JSON of one GET."""

        def fetch() -> tuple[int, dict[str, str], Any]:
            request = urllib.request.Request(self.http + path, headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return answer.status, dict(answer.headers), json.loads(answer.read())
            except urllib.error.HTTPError as error:
                return error.code, dict(error.headers), json.loads(error.read())

        return await asyncio.to_thread(fetch)

    async def stop(self, signum: int = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(signum)
        return await asyncio.wait_for(self.process.wait(), 10)


async def start(home: Path, *args: str) -> Program:
    """Start the program and wait until it says where it listens."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tui",
        "tui",
        "--no-ui",
        *args,
        env=environment(home),
        cwd=home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
    found = re.search(r"ws://\S+", line)
    if found is None:
        errors = await process.stderr.read()
        raise AssertionError(f"the program did not start: {line!r} {errors.decode()}")
    return Program(process, found.group())


@contextlib.asynccontextmanager
async def running(home: Path, *args: str) -> AsyncIterator[Program]:
    program = await start(home, *args)
    try:
        yield program
    finally:
        if program.process.returncode is None:
            program.process.kill()
            await program.process.wait()
