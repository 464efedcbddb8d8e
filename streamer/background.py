"""The feed in a thread of its own, for bots that are not asyncio.

A drop-in replacement for the functions of the same names in the bot's old server: ``push_update``
may be called from any thread, before, during and after the start, never waits and never raises.
There is one feed a process: a second ``start_server`` returns the port of the first.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from .journal.writer import Journal
from .protocol.codec import EventRefused, pack
from .server.ports import PortTaken
from .service import Feed
from .settings import FIRST_PORT, LAST_PORT, FeedSettings

log = logging.getLogger("mt5dash.feed")

EARLY_MAX = 1000
START_DEADLINE_S = 15.0


class _Background:
    """One feed and its thread."""

    def __init__(self, settings: FeedSettings, journal: Journal | None) -> None:
        self._settings = settings
        self._journal = journal
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.feed: Feed | None = None
        self.thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> int:
        self.thread.start()
        if not self._ready.wait(START_DEADLINE_S):
            raise TimeoutError(f"the feed did not start within {START_DEADLINE_S:.0f} s")
        if self._error is not None:
            raise self._error
        assert self.feed is not None
        return self.feed.port

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._ready.is_set():
                log.exception("the feed's thread ended")
            self._error = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        feed = Feed(self._settings, self._journal, version="background")
        await feed.start()
        self.feed = feed
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            await feed.close()

    def stop(self, timeout: float) -> None:
        if self._loop is not None and self._stop is not None and self.thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self.thread.join(timeout)


_lock = threading.Lock()
_running: _Background | None = None
_early: deque[bytes] = deque(maxlen=EARLY_MAX)


def start_server(
    host: str = "127.0.0.1",
    port: int = FIRST_PORT,
    *,
    settings: FeedSettings | None = None,
    journal: Journal | None = None,
) -> int:
    """Start the feed in a daemon thread and wait until it listens.

    Args:
        host: Address to listen on; beyond loopback the feed asks for TLS and tokens.
        port: First port to try; the nine above it are tried as well.
        settings: All settings instead of host and port (its port is taken or refused).
        journal: Where log events are kept; without one in memory only.

    Returns:
        The port. A second call returns the port of the running feed.

    Raises:
        PortTaken: all ports are taken.
        AccessError: the settings would open the feed to others.
    """
    global _running
    with _lock:
        if _running is not None and _running.thread.is_alive() and _running.feed is not None:
            return _running.feed.port
        if settings is not None:
            background = _Background(settings, journal)
            background.start()
        else:
            background = _first_free(host, port, journal)
        feed = background.feed
        assert feed is not None
        while _early:
            feed.publish_threadsafe_packed(_early.popleft())
        _running = background
        # Another thread may have added one between the last check and the line above.
        while _early:
            feed.publish_threadsafe_packed(_early.popleft())
        return feed.port


def _first_free(host: str, port: int, journal: Journal | None) -> _Background:
    last = min(port + LAST_PORT - FIRST_PORT, 65535)
    for candidate in range(port, last + 1):
        background = _Background(FeedSettings(host=host, port=candidate), journal)
        try:
            background.start()
        except PortTaken:
            continue
        return background
    raise PortTaken(
        errno.EADDRINUSE,
        f"ports {port}-{last} on {host} are all taken; stop what uses one of them, or give "
        "start_server another port",
    )


def push_update(event: Mapping[str, Any]) -> None:
    """Publish an event; at once or, before ``start_server``, when it has started.

    The event is copied. What cannot be sent is logged and counted, never raised.
    """
    try:
        raw = pack(event)
    except EventRefused as error:
        log.error("an event was refused: %s", error)
        return
    running = _running
    if running is not None and running.feed is not None:
        running.feed.publish_threadsafe_packed(raw)
    else:
        _early.append(raw)


def stop_server(timeout: float = 5.0) -> None:
    """Close the clients with 1001 and end the feed's thread."""
    global _running
    with _lock:
        running, _running = _running, None
    if running is not None:
        running.stop(timeout)
