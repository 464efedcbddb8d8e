"""The program without a screen: the same worker and feed, one line a notable event."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from streamer.feed import Feed
from streamer.protocol import is_state
from streamer.replay import Replay
from streamer.replay_feed import ReplayFeed

from . import describe, life
from .about import program_version
from .runtime import Runtime
from .settings import Loaded
from .systemd import Notifier, health_line

log = logging.getLogger("mt5dash")

LEVELS = {
    describe.DEBUG: logging.DEBUG,
    describe.INFO: logging.INFO,
    describe.WARN: logging.WARNING,
    describe.ERROR: logging.ERROR,
}


def announce(feed: Feed, mode: str) -> None:
    """Print where the feed listens; called only once it does."""
    print(f"mt5dash {program_version()} {mode} feed listening on {feed.url}", flush=True)


def log_events(feed: Feed) -> None:
    """Write log events to the program's log as they are published."""

    def write(event: dict[str, Any]) -> None:
        if is_state(describe.event_type(event)):
            return
        level = LEVELS[describe.level(event)]
        if log.isEnabledFor(level):
            log.log(level, "%-6s %s", describe.tag(event), describe.text(event))

    feed.watch(write)


async def run_headless(loaded: Loaded) -> int:
    """Run until a stopping signal. Returns the exit code."""
    runtime = Runtime(loaded.settings)
    await runtime.start()
    log_events(runtime.feed)
    announce(runtime.feed, runtime.mode)
    async with told_to_systemd(runtime.feed):
        await wait_for_signal()
        life.bound_stop()
    await runtime.stop()
    return 0


async def run_replay(loaded: Loaded, path: Path, options: dict[str, Any]) -> int:
    """Serve a recording until its end was shown and a stopping signal. Returns the exit code.

    Raises:
        JournalError: the recording cannot be read.
        PortTaken: the port asked for is in use.
    """
    replay = Replay(path, **options)
    feed = ReplayFeed(replay, loaded.settings.feed, version=program_version())
    await replay.open()
    await feed.start()
    announce(feed, "replay")
    replay.play()
    await wait_for_signal()
    life.bound_stop()
    await replay.close()
    await feed.close()
    return 0


@contextlib.asynccontextmanager
async def told_to_systemd(feed: Feed) -> AsyncIterator[None]:
    """Meanwhile systemd, where it started us, hears that the loop is alive and how it is."""

    def status() -> str:
        return health_line(feed.health.report(), feed.url, len(feed.hub))

    telling = asyncio.create_task(Notifier().run(status), name="systemd")
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait([telling])


async def wait_for_signal() -> None:
    """Return at the first stopping signal."""
    stop = asyncio.Event()

    def received(signum: signal.Signals) -> bool:
        log.info("%s: stopping", signum.name)
        stop.set()
        return True

    life.on_stop_signal(received)
    await stop.wait()


def has_terminal() -> bool:
    """Whether both input and output are a terminal that a screen can use."""
    try:
        return sys.stdin.isatty() and sys.stdout.isatty()
    except (AttributeError, ValueError):  # a closed or missing stream
        return False
