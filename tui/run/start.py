"""Starts the bot while the screen is already shown: loads it, starts it, hands the feed over."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ..progress import Steps, started
from .reporting import log_events
from .threads import in_thread

if TYPE_CHECKING:
    from ..app.app import DashApp
    from ..settings import Loaded
    from .runtime import Runtime

log = logging.getLogger("mt5dash")

PAINT_S = 2.0
"""Longest wait for the first frame of the screen before the bot starts, seconds."""


def _load() -> None:
    """Import what the bot needs: a third of a second, which the screen must not wait for."""
    from . import runtime  # noqa: F401


class BotStart:
    """Loads and starts the bot once the screen is painted, and stops it at any stage.

    Attributes:
        painted: Set when the screen is painted.
        runtime: The bot; ``None`` until it has started.
        error: What prevented the start.
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
            self._loop.call_soon_threadsafe(self._app.request_draw)
        except RuntimeError:
            pass  # the loop has ended, and the screen with it

    async def run(self) -> Runtime | None:
        """Start the bot and show its feed.

        Returns:
            The running bot; ``None`` when it could not be started or was stopped before.
        """
        try:
            try:
                async with asyncio.timeout(PAINT_S):
                    await self.painted.wait()
            except TimeoutError:
                log.info("the screen is not painted after %g s; the bot starts", PAINT_S)
            self.runtime = await self._start()
        except Exception as error:  # noqa: BLE001
            # Reported by whoever runs the screen, when the terminal is restored.
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
        from .runtime import Runtime

        runtime = Runtime(self._loaded.settings, self._steps)
        await runtime.start()
        log_events(runtime.feed)
        self._app.call_later(self._app.show, runtime.feed)
        return runtime

    async def stop(self) -> None:
        """Stop the bot in order. Waits for a start in progress; ``shutdown.bound_stop`` limits
        the whole."""
        self._stopping = True
        self.painted.set()
        await self._ended.wait()
        if self.runtime is not None:
            await self.runtime.stop()

    def exit_code(self) -> int:
        """0 after a start that succeeded or was not needed; raises what prevented it."""
        if self.error is not None:
            raise self.error
        return 0
