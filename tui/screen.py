"""The program with its screen, on one loop; the screen may go, the rest stays.

A screen that fails or whose terminal vanishes ends alone: worker and feed go on headless
until a stopping signal.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from streamer.client import FeedClient
from streamer.protocol import Confirm
from streamer.replay import Replay
from streamer.replay_feed import ReplayFeed

from . import life
from .about import program_version
from .app import DashApp
from .driver import restore_terminal, screen_driver
from .headless import log_events, wait_for_signal
from .logs import default_log_file
from .options import Clock, Memory
from .runtime import Runtime, state_dir
from .settings import Loaded
from .since import LastSeen, watch_return

log = logging.getLogger("mt5dash")


def _terminal_is_gone() -> bool:
    """Whether the terminal behind standard input was hung up."""
    if sys.platform == "win32":
        return False  # a closed console ends the process itself
    try:
        os.tcgetpgrp(sys.stdin.fileno())
    except (OSError, ValueError):
        return True
    return False


async def _remembered() -> Memory:
    """Columns, sort order, theme and unit of the last time."""
    memory = Memory(state_dir() / "screen.json")
    await asyncio.to_thread(memory.load)
    return memory


async def run_screen(loaded: Loaded) -> int:
    """Run bot, feed and screen. Returns the exit code."""
    life.last_rites.append(restore_terminal)
    runtime = Runtime(loaded.settings)
    await runtime.start()
    log_events(runtime.feed)
    app = DashApp(
        runtime.feed,
        settings=loaded.settings.ui,
        owns_bot=True,
        driver_class=screen_driver(),
        version=program_version(),
        memory=await _remembered(),
        values=loaded.values,
    )

    async def end_in_order() -> None:
        await runtime.stop()
        app.exit("quit")

    ending: list[asyncio.Task[None]] = []

    def received(signum: signal.Signals) -> bool:
        if hasattr(signal, "SIGHUP") and signum == signal.SIGHUP and _terminal_is_gone():
            log.warning("the terminal is gone: worker and feed go on without a screen")
            app.exit("terminal-lost")
            return False
        log.info("%s: stopping", signum.name)
        life.bound_stop()
        ending.append(asyncio.create_task(end_in_order()))
        return True

    undo = life.on_stop_signal(received)
    result = await app.run_async()
    if ending:
        await ending[0]
        return 0
    if result != "quit":
        undo()
        log.warning("the screen ended (%s): worker and feed go on at %s", result, runtime.feed.url)
        if not _terminal_is_gone():
            cause = "closed" if result == "detach" else "failed"
            print(
                f"mt5dash: the screen {cause}; bot and feed go on at {runtime.feed.url}, log in "
                f"{loaded.settings.log.file or default_log_file()}; Ctrl-C stops them",
                file=sys.stderr,
                flush=True,
            )
        await wait_for_signal()
    life.bound_stop()
    await runtime.stop()
    return 0


async def _asked_already(question: Confirm) -> bool:
    """The feed asks before it closes everything; on a screen the dialog has asked, and the
    word was typed, before the command was sent."""
    log.info("the feed asks: %s", question.text)
    return True


async def run_attached(loaded: Loaded, urls: Sequence[str], token: str | None) -> int:
    """Draw feeds that run elsewhere, a tab each. Ending the screen leaves them alone."""
    life.last_rites.append(restore_terminal)
    seen = LastSeen(state_dir() / "seen.json")
    clients = [
        FeedClient(
            url,
            token=token,
            confirm=_asked_already,
            since=await asyncio.to_thread(seen.get, url),
        )
        for url in urls
    ]
    app = DashApp(
        clients,
        settings=loaded.settings.ui,
        owns_bot=False,
        driver_class=screen_driver(),
        version=program_version(),
        memory=await _remembered(),
        values=loaded.values,
    )
    for client in clients:
        watch_return(client, partial(app.call_later, app.tell))
        await client.start()

    def received(signum: signal.Signals) -> bool:
        life.bound_stop()
        app.exit("detach")
        return True

    life.on_stop_signal(received)
    await app.run_async()
    for client in clients:
        await asyncio.to_thread(seen.put, client.url, client.state.epoch, client.state.seq)
    await asyncio.gather(*(client.close() for client in clients))
    return 0 if app.return_code in (0, None) else 1


async def run_replay_screen(loaded: Loaded, path: Path, options: dict[str, Any]) -> int:
    """Show a recording on this terminal and serve it as a feed. Returns the exit code.

    Raises:
        streamer.journal.JournalError: the recording cannot be read.
        streamer.ports.PortTaken: the port asked for is in use.
    """
    life.last_rites.append(restore_terminal)
    replay = Replay(path, **options)
    feed = ReplayFeed(replay, loaded.settings.feed, version=program_version())
    await replay.open()
    await feed.start()
    app = DashApp(
        replay,
        settings=loaded.settings.ui,
        owns_bot=False,
        driver_class=screen_driver(),
        version=program_version(),
        memory=await _remembered(),
        clock=Clock(replay.now, replay.now),
    )

    def received(signum: signal.Signals) -> bool:
        life.bound_stop()
        app.exit("detach")
        return True

    life.on_stop_signal(received)
    replay.play()
    await app.run_async()
    await replay.close()
    await feed.close()
    return 0 if app.return_code in (0, None) else 1
