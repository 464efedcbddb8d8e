"""What systemd is told of a run without a screen: ready, alive, how it is, stopping.

The protocol is one datagram of ``NAME=value`` lines to the socket in ``NOTIFY_SOCKET``; see
sd_notify(3). Pings come from the event loop, so a loop that hangs is restarted by systemd. They
go on while the terminal is down: a restart would not mend that, and would lose what is in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

log = logging.getLogger("mt5dash.systemd")

STATUS_EVERY_S = 5.0


class Notifier:
    """Says things to the service manager that started this process, if one did.

    Args:
        environ: Where ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` stand.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._socket: socket.socket | None = None
        self._watchdog_s: float | None = None
        path = environ.get("NOTIFY_SOCKET", "")
        if not path.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
            return
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        if environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            with contextlib.suppress(ValueError):
                self._watchdog_s = int(environ.get("WATCHDOG_USEC", "")) / 1e6

    @property
    def watched(self) -> bool:
        """Whether systemd restarts us when pings stay away."""
        return self._watchdog_s is not None

    def say(self, **lines: str) -> None:
        """Send ``NAME=value`` lines. Never waits, never raises: nobody may listen."""
        if self._socket is None:
            return
        text = "\n".join(f"{k}={' '.join(v.split())}" for k, v in lines.items())
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError as error:
            log.debug("systemd was not told %s: %s", sorted(lines), error)

    async def run(self, status: Callable[[], str]) -> None:
        """Say READY, then ping and tell ``status()`` until cancelled; then STOPPING."""
        if self._socket is None:
            return
        pause = STATUS_EVERY_S
        if self._watchdog_s is not None:
            # systemd asks for half of its bound; a third bears one ping that was lost.
            pause = min(pause, self._watchdog_s / 3)
        self.say(READY="1", STATUS=status())
        try:
            while True:
                await asyncio.sleep(pause)
                if self._watchdog_s is not None:
                    self.say(WATCHDOG="1", STATUS=status())
                else:
                    self.say(STATUS=status())
        finally:
            self.say(STOPPING="1", STATUS="stopping")


def health_line(report: Mapping[str, Any], url: str, clients: int) -> str:
    """One line of ``Health.report()`` for ``systemctl status``."""
    wrong = [
        f"{name} {check['status']} ({check['text']})"
        for name, check in report["checks"].items()
        if check["status"] != "ok"
    ]
    return f"{report['status']}; {clients} clients at {url}" + "".join(f"; {w}" for w in wrong)
