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
from typing import TYPE_CHECKING, Any

from streamer.protocol.messages import Confirm

from ..about import program_version
from ..app.app import DashApp
from ..logs import default_log_file
from ..options import Clock, Memory
from ..paths import state_dir
from ..progress import Steps, started
from ..terminal import first_frame
from ..terminal.driver import TERMINAL_LOST, restore_terminal, screen_driver
from . import shutdown as life
from .headless import stop_asked
from .pending_source import NoFeedYet
from .start import Start

if TYPE_CHECKING:
    from ..settings import Loaded

log = logging.getLogger("mt5dash")

SETTLED_S = 2.0
"""After so long a screen without a bot of its own has loaded all that it needs."""


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


async def run_screen(loaded: Loaded, steps: Steps | None = None) -> int:
    """Run bot, feed and screen. Returns the exit code.

    The screen stands first; what the bot needs is loaded while it is looked at. What keeps the
    bot from starting ends the screen and is raised.

    Raises:
        streamer.ports.PortTaken, streamer.journal.JournalError, streamer.access.AccessError,
        execution.backends.BackendError, tui.runtime.CannotListen, strategy.base.StrategyNotFound:
            as ``Runtime.start`` does.
    """
    steps = steps or Steps()
    life.last_rites += [restore_terminal, first_frame.leave]
    app = DashApp(
        NoFeedYet(),
        settings=loaded.settings.ui,
        owns_bot=True,
        driver_class=screen_driver(),
        version=program_version(),
        memory=await _remembered(),
        values=loaded.values,
        steps=steps,
    )
    start = Start(loaded, steps, app)
    steps.end("screen")
    ending: list[asyncio.Task[None]] = []

    async def end_in_order() -> None:
        await start.stop()
        app.exit("quit")

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
    bot = asyncio.create_task(start.run(), name="start")
    # A terminal that went away while the program was loading gets no screen.
    result = await app.run_async() if first_frame.has_terminal() else TERMINAL_LOST
    start.painted.set()  # a screen that never stood must not keep the bot waiting
    if ending:
        await ending[0]
        return 0
    if result != "quit":
        runtime = await bot
        if ending:  # told to stop while the bot was still starting
            await ending[0]
            return 0
        undo()
        if runtime is None:
            return start.failed()
        log.warning("the screen ended (%s): worker and feed go on at %s", result, runtime.feed.url)
        if not _terminal_is_gone():
            cause = "closed" if result == "detach" else "failed"
            print(
                f"mt5dash: the screen {cause}; bot and feed go on at {runtime.feed.url}, log in "
                f"{loaded.settings.log.file or default_log_file()}; Ctrl-C stops them",
                file=sys.stderr,
                flush=True,
            )
        await stop_asked().wait()
    life.bound_stop()
    await start.stop()
    return start.failed() if start.error is not None else 0


async def _asked_already(question: Confirm) -> bool:
    """The feed asks before it closes everything; on a screen the dialog has asked, and the
    word was typed, before the command was sent."""
    log.info("the feed asks: %s", question.text)
    return True


async def run_attached(loaded: Loaded, urls: Sequence[str], token: str | None) -> int:
    """Draw feeds that run elsewhere, a tab each. Ending the screen leaves them alone."""
    from streamer.client.feed_client import FeedClient

    from ..session.unread import LastSeen, watch_return

    life.last_rites += [restore_terminal, first_frame.leave]
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
    asyncio.get_running_loop().call_later(SETTLED_S, started)
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
    from streamer.feed.replay_feed import ReplayFeed
    from streamer.journal.replay import Replay

    life.last_rites += [restore_terminal, first_frame.leave]
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
    asyncio.get_running_loop().call_later(SETTLED_S, started)
    await app.run_async()
    await replay.close()
    await feed.close()
    return 0 if app.return_code in (0, None) else 1
