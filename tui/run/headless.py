"""The program without a screen: the same worker and feed, one line a notable event."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer.protocol.messages import is_state
from streamer.state.reducer import bot_of

from ..about import program_version
from ..progress import Steps, started
from ..render import describe
from . import shutdown as life
from .systemd import Notifier, health_line

if TYPE_CHECKING:
    from streamer.feed.feed import Feed

    from ..settings import Loaded

log = logging.getLogger("mt5dash")

LEVELS = {
    describe.DEBUG: logging.DEBUG,
    describe.INFO: logging.INFO,
    describe.WARN: logging.WARNING,
    describe.ERROR: logging.ERROR,
}


def announce(feed: Feed, mode: str) -> None:
    """Print where the feed listens; called only once it does."""
    try:
        print(f"mt5dash {program_version()} {mode} feed listening on {feed.url}", flush=True)
    except OSError as error:  # nobody is there any more to hear it; the bot works all the same
        log.warning("feed listening on %s; standard output: %s", feed.url, error)


def log_events(feed: Feed) -> None:
    """Write log events to the program's log as they are published."""

    def write(event: dict[str, Any]) -> None:
        if is_state(describe.event_type(event)):
            return
        level = LEVELS[describe.level(event)]
        if log.isEnabledFor(level):
            bot = bot_of(event)
            whose = f"{bot}: " if bot and bot != feed.own.name else ""
            log.log(level, "%-6s %s%s", describe.tag(event), whose, describe.text(event))

    feed.watch(write)


PROGRESS_S = 2.0
"""A step that takes longer is told in the log, once in so many seconds."""


def log_steps(steps: Steps) -> None:
    """Tell of long steps in the log; a person may be waiting there."""
    told = time.monotonic()

    def changed() -> None:
        nonlocal told
        step, now = steps.current, time.monotonic()
        if step is not None and step.total and now - told >= PROGRESS_S:
            told = now
            log.info("%s: %s, %d of %d", step.name, step.detail, step.done, step.total)

    steps.on_change = changed


async def run_headless(loaded: Loaded, steps: Steps | None = None) -> int:
    """Run until a stopping signal. Returns the exit code."""
    from .runtime import Runtime

    steps = steps or Steps()
    log_steps(steps)
    runtime = Runtime(loaded.settings, steps)
    await runtime.start()
    started()
    stop = stop_asked()  # before it is announced: whoever reads that may stop us at once
    log_events(runtime.feed)
    announce(runtime.feed, runtime.mode)
    async with told_to_systemd(runtime.feed):
        await stop.wait()
        life.bound_stop()
    await runtime.stop()
    return 0


async def run_replay(loaded: Loaded, path: Path, options: dict[str, Any]) -> int:
    """Serve a recording until its end was shown and a stopping signal. Returns the exit code.

    Raises:
        JournalError: the recording cannot be read.
        PortTaken: the port asked for is in use.
    """
    from streamer.feed.replay_feed import ReplayFeed
    from streamer.journal.replay import Replay

    replay = Replay(path, **options)
    feed = ReplayFeed(replay, loaded.settings.feed, version=program_version())
    await replay.open()
    await feed.start()
    started()
    stop = stop_asked()
    announce(feed, "replay")
    replay.play()
    await stop.wait()
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


def stop_asked() -> asyncio.Event:
    """Set at the first stopping signal from now on."""
    stop = asyncio.Event()

    def received(signum: signal.Signals) -> bool:
        log.info("%s: stopping", signum.name)
        stop.set()
        return True

    life.on_stop_signal(received)
    return stop
