"""The bot's start beside a screen that is already looked at: loads, starts, hands the feed over."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..progress import Steps, started

if TYPE_CHECKING:
    from ..app.app import DashApp
    from ..settings import Loaded
    from .runtime import Runtime

log = logging.getLogger("mt5dash")

T = TypeVar("T")

PAINT_S = 2.0
"""So long at most the bot waits for the screen's first frame."""


async def in_thread(work: Callable[[], T], name: str) -> T:
    """Run in a daemon thread: unlike the executor's, nobody waits for it at the end."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            failure = error
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:
            pass  # the loop has ended: nobody waits

    threading.Thread(target=run, name=name, daemon=True).start()
    return await answer


def _load() -> None:
    """Import what the bot needs: a third of a second, mostly waiting for nobody but the screen."""
    from . import runtime  # noqa: F401


class Start:
    """Loads and starts the bot once the screen stands, and stops it, however far it is.

    Attributes:
        painted: set when the screen stands.
        runtime: the bot; None until it is being started.
        error: what kept it from starting.
    """

    def __init__(self, loaded: Loaded, steps: Steps, app: DashApp) -> None:
        self.painted = asyncio.Event()
        self.runtime: Runtime | None = None
        self.error: Exception | None = None
        self._loaded = loaded
        self._steps = steps
        self._app = app
        self._ended = asyncio.Event()
        self._stopping = False
        app.on_painted = self.painted.set
        self._loop = asyncio.get_running_loop()
        steps.on_change = self._step_changed

    def _step_changed(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._app.news)
        except RuntimeError:
            pass  # the loop has ended, and the screen with it

    async def run(self) -> Runtime | None:
        """Start the bot and show it; None when it could not be started, or need not be."""
        try:
            try:
                async with asyncio.timeout(PAINT_S):
                    await self.painted.wait()
            except TimeoutError:
                log.info("the screen does not stand after %g s; the bot starts", PAINT_S)
            self.runtime = await self._start()
        except Exception as error:  # noqa: BLE001
            # Told by whoever runs the screen, when the terminal is free again.
            self.error = error
            self._app.exit("failed")
        finally:
            started()
            self._ended.set()
        return self.runtime

    async def _start(self) -> Runtime | None:
        self._steps.begin("feed", "loading bot and feed")
        await in_thread(_load, "load")
        if self._stopping:
            return None
        from .headless import log_events
        from .runtime import Runtime

        settings = self._loaded.settings
        runtime = Runtime(settings, self._steps)
        await runtime.start()
        log_events(runtime.feed)
        self._app.call_later(self._app.show, runtime.feed)
        return runtime

    async def stop(self) -> None:
        """Stop the bot in order; one that is still starting is waited for (the whole is bounded
        by ``life.bound_stop``)."""
        self._stopping = True
        self.painted.set()
        await self._ended.wait()
        if self.runtime is not None:
            await self.runtime.stop()

    def failed(self) -> int:
        """Raise what kept the bot from starting."""
        assert self.error is not None
        raise self.error
