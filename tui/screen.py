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

# Textual reads it at import: redraws are bundled at this rate, which is what SSH can carry.
os.environ.setdefault("TEXTUAL_FPS", "15")

from streamer.client import FeedClient

from . import life
from .about import program_version
from .app import DashApp
from .driver import restore_terminal, screen_driver
from .headless import log_events, wait_for_signal
from .runtime import Runtime
from .settings import Loaded

log = logging.getLogger("mt5dash")


def _terminal_is_gone() -> bool:
    """Whether the terminal behind standard input was hung up."""
    try:
        os.tcgetpgrp(sys.stdin.fileno())
    except (OSError, ValueError):
        return True
    return False


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
            print(
                f"mt5dash: the screen failed (see the log); worker and feed go on at "
                f"{runtime.feed.url}; Ctrl-C stops them",
                file=sys.stderr,
                flush=True,
            )
        await wait_for_signal()
    life.bound_stop()
    await runtime.stop()
    return 0


async def run_attached(loaded: Loaded, url: str, token: str | None) -> int:
    """Draw a feed that runs elsewhere. Ending the screen leaves it alone."""
    life.last_rites.append(restore_terminal)
    client = FeedClient(url, token=token)
    await client.start()
    app = DashApp(
        client,
        settings=loaded.settings.ui,
        owns_bot=False,
        driver_class=screen_driver(),
        version=program_version(),
    )

    def received(signum: signal.Signals) -> bool:
        life.bound_stop()
        app.exit("detach")
        return True

    life.on_stop_signal(received)
    await app.run_async()
    await client.close()
    return 0 if app.return_code in (0, None) else 1
