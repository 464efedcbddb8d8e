"""How the program ends: signals, and a bound on the time that stopping may take.

Worker, feed and screen end in order within five seconds. A second signal, or a stop that takes
longer, ends the process at once; ``exit_hooks`` then restore the terminal.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable

log = logging.getLogger("mt5dash")

STOP_S = 5.0
"""Seconds from the request to stop until the process is ended by force."""
STOPPING_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)

exit_hooks: list[Callable[[], None]] = []
"""Called just before the process is ended without unwinding; they must not block."""


def exit_immediately(code: int) -> None:
    """Call the exit hooks and end the process without unwinding."""
    for hook in exit_hooks:
        hook()
    os._exit(code)


def bound_stop(seconds: float = STOP_S) -> None:
    """End the process by force, with exit code 1, unless it has ended within ``seconds``."""
    timer = threading.Timer(seconds, exit_immediately, (1,))
    timer.daemon = True
    timer.start()


def on_stop_signal(callback: Callable[[signal.Signals], bool]) -> Callable[[], None]:
    """Call ``callback`` on the loop for each stopping signal.

    The callback returns whether it treats the signal as a request to stop; a signal after such
    a request ends the process at once.

    Returns:
        A function that removes the handlers.
    """
    loop = asyncio.get_running_loop()
    stopping = False

    def received(signum: signal.Signals) -> None:
        nonlocal stopping
        if stopping:
            exit_immediately(128 + signum)
        stopping = callback(signum)

    if sys.platform == "win32":
        previous = {
            s: signal.signal(s, lambda n, _: loop.call_soon_threadsafe(received, signal.Signals(n)))
            for s in STOPPING_SIGNALS
        }
    else:
        for s in STOPPING_SIGNALS:
            loop.add_signal_handler(s, received, s)

    def undo() -> None:
        for s in STOPPING_SIGNALS:
            if sys.platform == "win32":
                signal.signal(s, previous[s])
            else:
                loop.remove_signal_handler(s)

    return undo


def stop_requested() -> asyncio.Event:
    """An event that the next stopping signal sets."""
    stop = asyncio.Event()

    def received(signum: signal.Signals) -> bool:
        log.info("%s: stopping", signum.name)
        stop.set()
        return True

    on_stop_signal(received)
    return stop
