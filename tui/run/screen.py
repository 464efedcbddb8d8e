"""The program with its screen, on one loop.

A screen that fails or whose terminal vanishes ends alone: worker and feed go on without it
until a stopping signal.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer.protocol.messages import Confirm
from streamer.state.source import Source

from ..about import program_version
from ..app.app import DashApp
from ..logs import default_log_file
from ..options import Clock, Memory
from ..paths import state_dir
from ..progress import Steps, started
from ..terminal import first_frame
from ..terminal.driver import TERMINAL_LOST, restore_terminal
from ..terminal.select import screen_driver
from . import shutdown
from .pending_source import PendingSource
from .start import BotStart

if TYPE_CHECKING:
    from ..settings import Loaded

log = logging.getLogger("mt5dash")

SETTLED_S = 2.0
"""Seconds after which a screen without a bot in its process has loaded all that it needs."""


def _terminal_is_gone() -> bool:
    """Whether the terminal behind standard input was hung up."""
    if sys.platform == "win32":
        return False  # a closed console ends the process itself
    try:
        os.tcgetpgrp(sys.stdin.fileno())
    except (OSError, ValueError):
        return True
    return False


async def _make_app(
    loaded: Loaded, sources: Source | Sequence[Source], *, owns_bot: bool, **options: Any
) -> DashApp:
    """The app for ``sources``, with what it remembers of the last run and the driver of this
    platform; the terminal is restored also when the process is ended by force."""
    shutdown.exit_hooks += [restore_terminal, first_frame.leave]
    memory = Memory(state_dir() / "screen.json")
    await asyncio.to_thread(memory.load)
    return DashApp(
        sources,
        settings=loaded.settings.ui,
        owns_bot=owns_bot,
        driver_class=screen_driver(),
        version=program_version(),
        memory=memory,
        **options,
    )


async def run_screen(loaded: Loaded, steps: Steps | None = None) -> int:
    """Run bot, feed and screen.

    The screen is painted first; the bot is loaded after that. An error that prevents the start
    of the bot ends the screen and is raised.

    Returns:
        The exit code.

    Raises:
        As :meth:`tui.run.runtime.Runtime.start`.
    """
    steps = steps or Steps()
    app = await _make_app(loaded, PendingSource(), owns_bot=True, values=loaded.values, steps=steps)
    start = BotStart(loaded, steps, app)
    steps.end("screen")
    ending: list[asyncio.Task[None]] = []

    async def end_in_order() -> None:
        await start.stop()
        app.exit("quit")

    def received(signum: signal.Signals) -> bool:
        if hasattr(signal, "SIGHUP") and signum == signal.SIGHUP and _terminal_is_gone():
            log.warning("the terminal is gone: worker and feed go on without a screen")
            app.exit(TERMINAL_LOST)
            return False
        log.info("%s: stopping", signum.name)
        shutdown.bound_stop()
        ending.append(asyncio.create_task(end_in_order()))
        return True

    undo = shutdown.on_stop_signal(received)
    bot = asyncio.create_task(start.run(), name="start")
    # A terminal that vanished while the program was loading gets no screen.
    result = await app.run_async() if first_frame.has_terminal() else TERMINAL_LOST
    start.painted.set()  # a screen that was never painted must not keep the bot waiting
    if ending:
        await ending[0]
        return 0
    if result != "quit":
        runtime = await bot
        if ending:  # a stopping signal came while the bot was starting
            await ending[0]
            return 0
        undo()
        if runtime is None:
            return start.exit_code()
        log.warning("the screen ended (%s): worker and feed go on at %s", result, runtime.feed.url)
        if not _terminal_is_gone():
            cause = "closed" if result == "detach" else "failed"
            print(
                f"mt5dash: the screen {cause}; bot and feed go on at {runtime.feed.url}, log in "
                f"{loaded.settings.log.file or default_log_file()}; Ctrl-C stops them",
                file=sys.stderr,
                flush=True,
            )
        await shutdown.stop_requested().wait()
    shutdown.bound_stop()
    await start.stop()
    return start.exit_code()


def _detach_on_signal(app: DashApp) -> Callable[[], None]:
    """Leave the screen at the first stopping signal."""

    def received(signum: signal.Signals) -> bool:
        shutdown.bound_stop()
        app.exit("detach")
        return True

    return shutdown.on_stop_signal(received)


async def _run_app(app: DashApp) -> int:
    """Run a screen without a bot in this process. Returns the exit code, once it is closed."""
    asyncio.get_running_loop().call_later(SETTLED_S, started)
    await app.run_async()
    return 0 if app.return_code in (0, None) else 1


async def _already_confirmed(question: Confirm) -> bool:
    """The feed asks before it closes everything. On a screen the dialog has already asked, and
    the word was typed, before the command was sent."""
    log.info("the feed asks: %s", question.text)
    return True


async def run_attached(loaded: Loaded, urls: Sequence[str], token: str | None) -> int:
    """Show feeds that run elsewhere, a tab each. They go on when the screen ends.

    Returns:
        The exit code.
    """
    from streamer.client.feed_client import FeedClient

    from ..session.unread import LastSeen, watch_return

    seen = LastSeen(state_dir() / "seen.json")
    clients = [
        FeedClient(
            url,
            token=token,
            confirm=_already_confirmed,
            since=await asyncio.to_thread(seen.get, url),
        )
        for url in urls
    ]
    app = await _make_app(loaded, clients, owns_bot=False, values=loaded.values)
    for client in clients:
        watch_return(client, partial(app.call_later, app.show_message))
        await client.start()
    _detach_on_signal(app)
    code = await _run_app(app)
    for client in clients:
        await asyncio.to_thread(seen.put, client.url, client.state.epoch, client.state.seq)
    await asyncio.gather(*(client.close() for client in clients))
    return code


async def run_replay_screen(loaded: Loaded, path: Path, options: dict[str, Any]) -> int:
    """Show a recording on this terminal and serve it as a feed; ``options`` are those of
    ``Replay``.

    Returns:
        The exit code.

    Raises:
        streamer.journal.schema.JournalError: The recording cannot be read.
        streamer.server.ports.PortTaken: The port is in use.
    """
    from streamer.journal.replay import Replay
    from streamer.replay_feed import ReplayFeed

    replay = Replay(path, **options)
    feed = ReplayFeed(replay, loaded.settings.feed, version=program_version())
    await replay.open()
    await feed.start()
    app = await _make_app(loaded, replay, owns_bot=False, clock=Clock(replay.now, replay.now))
    _detach_on_signal(app)
    replay.play()
    code = await _run_app(app)
    await replay.close()
    await feed.close()
    return code
