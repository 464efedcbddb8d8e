"""A terminal behind an rpyc classic server (mt5linux and the like).

The agent's own file is executed over there once, and only its ``answer`` is called after, with
bytes in and bytes out: the same encoding as on the agent's wire, no remote object, no pickle.
Such a server runs any code of any client that reaches it: it belongs on loopback or in a tunnel.
"""

from __future__ import annotations

import contextlib
import inspect
import struct
from collections.abc import Sequence
from typing import Any

from .. import agent
from ..api import constants as c
from ..api.terminal import TerminalError
from .backend import About, Call, Reply, Threaded
from .traits import REAL
from .wire import WireError, about_of, replies, request, unpacked

NAMES = """
import sys as _sys
_name = {module!r}
_module = __import__(_name)
_module = _sys.modules[_name]
"""


class Rpyc(Threaded):
    """Calls over rpyc, in a thread of their own; a connection that hangs is cut."""

    traits = REAL

    def __init__(self, address: str, module: str = "MetaTrader5") -> None:
        super().__init__(self._connect, "rpyc")
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"terminal.address is HOST:PORT, not {address!r}")
        self._host, self._port, self._module = host.strip("[]"), int(port), module
        self._connection: Any = None

    async def call(
        self, function: str, args: Sequence[Any], kwargs: dict[str, Any], deadline: float
    ) -> Reply:
        return (await self.batch([(function, args, kwargs)], deadline))[0]

    async def batch(self, calls: Sequence[Call], deadline: float) -> list[Reply]:
        what = calls[0][0] if calls else "batch"
        content = await self._ask(request(calls), what, deadline)
        return replies(*await unpacked(content), len(calls))

    async def about(self, deadline: float) -> About:
        content = await self._ask({"about": True}, "about", deadline)
        return about_of((await unpacked(content))[0])

    def kill(self) -> None:
        """Cut the connection: a thread that waits on it wakes with an error."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it may be half closed already
                connection._channel.stream.sock.shutdown(2)
        self.abandon()

    async def stop(self) -> None:
        self.kill()

    async def _ask(self, header: dict[str, Any], what: str, deadline: float) -> bytes:
        payload = agent.pack({"id": 0} | header, [])

        def work(remote: Any) -> bytes:
            try:
                return bytes(remote(payload))
            except EOFError as error:
                raise TerminalError(
                    c.RES_E_INTERNAL_FAIL_RECEIVE, "the rpyc server is gone", what
                ) from error

        content: bytes = await self._do(what, work, deadline)
        return content

    def _connect(self) -> Any:
        """Runs in the thread. Returns the remote ``answer``, bound to the remote module."""
        try:
            import rpyc
        except ImportError as error:
            raise TerminalError(
                c.RES_E_UNSUPPORTED, 'rpyc is not installed: pip install "mt5dash[rpyc]"', "connect"
            ) from error
        where = f"{self._host}:{self._port}"
        try:
            stream = rpyc.SocketStream.connect(self._host, self._port, timeout=10)
            connection = rpyc.connect_stream(stream, config={"sync_request_timeout": None})
            connection.root.execute(inspect.getsource(agent))
            connection.root.execute(NAMES.format(module=self._module))
            connection.root.execute("def _answer(payload): return answer(_module, payload)")
            remote = connection.root.eval("_answer")
        except OSError as error:
            raise TerminalError(
                c.RES_E_INTERNAL_FAIL_CONNECT,
                f"nothing answers at {where} ({error}): start the rpyc server there",
                "connect",
            ) from error
        except (EOFError, ValueError, struct.error) as error:
            raise WireError(
                f"{where} does not speak rpyc 6 ({error}): a server of rpyc 5 must be updated, "
                "python -m pip install -U rpyc"
            ) from error
        except ImportError as error:
            raise TerminalError(
                c.RES_E_INTERNAL_FAIL_INIT,
                f"the Python at {where} cannot import {self._module}: {error}",
                "connect",
            ) from error
        self._connection = connection
        return remote
