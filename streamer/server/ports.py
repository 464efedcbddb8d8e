"""Binds the configured port, or the first free one of 8000-8009."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys

from ..errors import IN_USE, Mt5dashError
from ..settings import FIRST_PORT, LAST_PORT, FeedSettings

BACKLOG = 1024


class PortTaken(Mt5dashError, OSError):
    """The configured port, or all of 8000-8009, are in use; the text says what to do."""

    exit_code = IN_USE


def _listen(host: str, port: int, family: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix" and sys.platform != "cygwin":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        elif sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        if family == socket.AF_INET6:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


async def take_port(settings: FeedSettings) -> socket.socket:
    """Open a listening socket on the port of the settings, or on the first free of 8000-8009.

    Raises:
        PortTaken: the port is in use.
        OSError: the address does not belong to this machine.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(settings.host, None, type=socket.SOCK_STREAM)
    family, host = found[0][0], str(found[0][4][0])
    ports = [settings.port] if settings.port is not None else range(FIRST_PORT, LAST_PORT + 1)
    for port in ports:
        try:
            return _listen(host, port, family)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    if settings.port is not None:
        raise PortTaken(
            errno.EADDRINUSE,
            f"port {settings.port} on {settings.host} is taken; stop what uses it, or choose "
            "another with --port",
        )
    raise PortTaken(
        errno.EADDRINUSE,
        f"ports {FIRST_PORT}-{LAST_PORT} on {settings.host} are all taken; stop what uses one "
        "of them, or choose another with --port",
    )
