"""Terminals in another process: behind an agent at an address, or in a child of our own.

The real module runs nowhere else: its calls hold the GIL and have no deadline, so what hangs
must be something that can be killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import os
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamer.protocol.sanitise import clean

from .. import agent
from ..api import constants as c
from ..api.terminal import CallRefused, TerminalError, TerminalTimeout
from .backend import About, Call, Reply
from .traits import REAL
from .wire import Wire, WireError, about_of, replies, request, unpacked

log = logging.getLogger(__name__)

BUFFER = 4 * 1024 * 1024
SCRIPT = str(Path(agent.__file__).resolve())
STOP_S = 0.7

# Ctrl+C in our console must not end the child in the middle of an order: we end it.
APART: dict[str, Any]
if sys.platform == "win32":
    APART = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    APART = {"start_new_session": True}

GREETING_S = 10.0
"""A hung terminal keeps its agent from greeting; it is tried again until it does."""


class Remote:
    """Calls over a :class:`execution.transport.wire.Wire`; subclasses open it."""

    name = "agent"
    traits = REAL

    def __init__(self) -> None:
        self._wire: Wire | None = None
        self.module = ""
        """What the agent serves, with its version."""

    async def call(
        self, function: str, args: Sequence[Any], kwargs: dict[str, Any], deadline: float
    ) -> Reply:
        return (await self.batch([(function, args, kwargs)], deadline))[0]

    async def batch(self, calls: Sequence[Call], deadline: float) -> list[Reply]:
        what = calls[0][0] if calls else "batch"
        content = await self._open_wire(what).ask(request(calls), what, deadline)
        return replies(*await unpacked(content), len(calls))

    async def about(self, deadline: float) -> About:
        content = await self._open_wire("about").ask({"about": True}, "about", deadline)
        return about_of((await unpacked(content))[0])

    def _open_wire(self, what: str) -> Wire:
        if self._wire is None or self._wire.broken:
            raise CallRefused(c.RES_E_INTERNAL_FAIL_CONNECT, "no connection to the agent", what)
        return self._wire

    async def _greeted(self, wire: Wire) -> dict[str, Any]:
        """Read the agent's greeting."""
        header, _ = await unpacked(await wire.read())
        if header.get("agent") != agent.VERSION:
            raise WireError(
                f"no mt5dash agent of version {agent.VERSION} answers there: copy this version's "
                "agent.py to the terminal"
            )
        self.module = f"{header.get('module')} {header.get('module_version')}".strip()
        return header


class Agent(Remote):
    """A terminal behind ``agent.py`` at ``HOST:PORT``."""

    def __init__(self, address: str, token: str) -> None:
        super().__init__()
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"terminal.address is HOST:PORT, not {address!r}")
        self._host, self._port, self._token = host.strip("[]"), int(port), token

    async def start(self, deadline: float) -> None:
        if self._wire is not None and not self._wire.broken:
            return
        where = f"{self._host}:{self._port}"
        try:
            async with asyncio.timeout(min(deadline, GREETING_S)):
                reader, writer = await asyncio.open_connection(self._host, self._port, limit=BUFFER)
        except (OSError, TimeoutError) as error:
            why = getattr(error, "strerror", None) or str(error) or "no answer"
            raise TerminalError(
                c.RES_E_INTERNAL_FAIL_CONNECT,
                f"nothing answers at {where} ({why}): start agent.py there, or correct "
                "terminal.address",
                "connect",
            ) from error
        wire = Wire(reader, writer)
        try:
            async with asyncio.timeout(min(deadline, GREETING_S)):
                await self._enter(wire)
        except TimeoutError as error:
            wire.close()
            raise TerminalError(
                c.RES_E_INTERNAL_FAIL_TIMEOUT,
                f"something listens at {where}, but no mt5dash agent greets: its terminal hangs, "
                "or terminal.address is another program's",
                "connect",
            ) from error
        except BaseException:
            wire.close()
            raise
        self._wire = wire

    async def _enter(self, wire: Wire) -> None:
        header = await self._greeted(wire)
        nonce = str(header.get("nonce", ""))
        proof = hmac.new(self._token.encode(), nonce.encode(), "sha256").hexdigest()
        await wire.write({"proof": proof})
        verdict, _ = await unpacked(await wire.read())
        if not verdict.get("ok"):
            raise TerminalError(
                c.RES_E_AUTH_FAILED,
                "the agent refuses the token: set terminal.token (MT5DASH_TERMINAL__TOKEN) to the "
                "content of its token file",
                "connect",
            )

    async def stop(self) -> None:
        self.kill()

    def kill(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None


class Child(Remote):
    """The module in a child process of ours: killed when it hangs, started again by ``start()``."""

    name = "native"

    def __init__(self, module: str = "MetaTrader5", env: dict[str, str] | None = None) -> None:
        super().__init__()
        self._module = module
        self._env = env
        self._process: asyncio.subprocess.Process | None = None
        self._errors: deque[str] = deque(maxlen=20)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self, deadline: float) -> None:
        if self._wire is not None and not self._wire.broken:
            return
        self.kill()
        self._errors.clear()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                SCRIPT,
                "--pipe",
                "--module",
                self._module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=BUFFER,
                env=os.environ | (self._env or {}),
                **APART,
            )
        except OSError as error:
            raise TerminalError(
                c.RES_E_INTERNAL_FAIL_INIT, f"the child process does not start: {error}", "start"
            ) from error
        self._process = process
        errors = self._keep(self._listen(process))
        self._keep(self._reap(process))
        assert process.stdout is not None
        assert process.stdin is not None
        wire = Wire(process.stdout, process.stdin)
        try:
            async with asyncio.timeout(deadline):
                await self._greeted(wire)
        except TimeoutError:
            self.kill()
            raise TerminalTimeout("start", deadline) from None
        except TerminalError as error:
            await asyncio.wait({errors}, timeout=1.0)
            self.kill()
            why = clean(" ".join(self._errors)) or str(error)
            raise TerminalError(c.RES_E_INTERNAL_FAIL_INIT, why, "start") from error
        self._wire = wire

    async def stop(self) -> None:
        """End its input: it ends by itself unless it is in a call; then it is killed."""
        process = self._process
        if self._wire is not None:
            self._wire.close()
        if process is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await process.wait()
        self.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await process.wait()

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process = None
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        with contextlib.suppress(ValueError):  # a line beyond the buffer
            async for line in process.stderr:
                text = clean(line.decode(errors="replace").rstrip())
                self._errors.append(text)
                log.info("terminal child: %s", text)

    async def _reap(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        log.info("terminal child %d ended with %s", process.pid, code)

    def _keep(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work, name="terminal-child")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
