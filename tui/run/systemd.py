"""Notifications to systemd about a run without a screen: ready, alive, health, stopping.

The protocol is one datagram of ``NAME=value`` lines to the socket in ``NOTIFY_SOCKET``; see
sd_notify(3). Pings come from the event loop, so systemd restarts a process whose loop hangs. They
go on while the trading terminal is down: a restart would not help, and would lose what is
in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamer.service import Feed

log = logging.getLogger("mt5dash.systemd")

STATUS_EVERY_S = 5.0


class Notifier:
    """Sends notifications to the service manager that started this process, if there is one.

    Args:
        environ: Environment with ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``.
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
        """Whether systemd restarts this process when pings fail to come."""
        return self._watchdog_s is not None

    def send(self, **lines: str) -> None:
        """Send ``NAME=value`` lines. Never waits and never raises, with or without a listener."""
        if self._socket is None:
            return
        text = "\n".join(f"{k}={' '.join(v.split())}" for k, v in lines.items())
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError as error:
            log.debug("systemd was not notified of %s: %s", sorted(lines), error)

    async def run(self, status: Callable[[], str]) -> None:
        """Send READY, then pings with ``status()`` until cancelled, then STOPPING."""
        if self._socket is None:
            return
        pause = STATUS_EVERY_S
        if self._watchdog_s is not None:
            # systemd asks for half of its bound; with a third, one lost ping does no harm.
            pause = min(pause, self._watchdog_s / 3)
        self.send(READY="1", STATUS=status())
        try:
            while True:
                await asyncio.sleep(pause)
                if self._watchdog_s is not None:
                    self.send(WATCHDOG="1", STATUS=status())
                else:
                    self.send(STATUS=status())
        finally:
            self.send(STOPPING="1", STATUS="stopping")


def health_line(report: Mapping[str, Any], url: str, clients: int) -> str:
    """One line of ``Health.report()`` for ``systemctl status``."""
    wrong = [
        f"{name} {check['status']} ({check['text']})"
        for name, check in report["checks"].items()
        if check["status"] != "ok"
    ]
    return f"{report['status']}; {clients} clients at {url}" + "".join(f"; {w}" for w in wrong)


@contextlib.asynccontextmanager
async def notify_while_running(feed: Feed) -> AsyncIterator[None]:
    """Send the feed's health to systemd while the block runs, if systemd started this process."""

    def status() -> str:
        return health_line(feed.health.report(), feed.url, len(feed.fanout))

    task = asyncio.create_task(Notifier().run(status), name="systemd")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
