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

from streamer.client import FeedClient
from streamer.protocol import Confirm

from . import life
from .about import program_version
from .app import DashApp
from .driver import restore_terminal, screen_driver
from .headless import log_events, wait_for_signal
from .logs import default_log_file
from .options import Memory
from .runtime import Runtime, state_dir
from .settings import Loaded

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
    clients = [FeedClient(url, token=token, confirm=_asked_already) for url in urls]
    for client in clients:
        await client.start()
    app = DashApp(
        clients,
        settings=loaded.settings.ui,
        owns_bot=False,
        driver_class=screen_driver(),
        version=program_version(),
        memory=await _remembered(),
        values=loaded.values,
    )

    def received(signum: signal.Signals) -> bool:
        life.bound_stop()
        app.exit("detach")
        return True

    life.on_stop_signal(received)
    await app.run_async()
    await asyncio.gather(*(client.close() for client in clients))
    return 0 if app.return_code in (0, None) else 1
