"""The program without a screen: the same worker and feed, with log lines for notable events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..progress import Steps, started
from . import shutdown
from .reporting import announce, log_events, log_steps
from .runtime import Runtime
from .systemd import notify_while_running

if TYPE_CHECKING:
    from ..settings import Loaded


async def run_headless(loaded: Loaded, steps: Steps | None = None) -> int:
    """Run bot and feed until a stopping signal.

    Returns:
        The exit code.

    Raises:
        As :meth:`tui.run.runtime.Runtime.start`.
    """
    steps = steps or Steps()
    log_steps(steps)
    runtime = Runtime(loaded.settings, steps)
    await runtime.start()
    started()
    # Before the announcement: whoever reads that may stop the program at once.
    stop = shutdown.stop_requested()
    log_events(runtime.feed)
    announce(runtime.feed, runtime.mode)
    async with notify_while_running(runtime.feed):
        await stop.wait()
        shutdown.bound_stop()
    await runtime.stop()
    return 0
