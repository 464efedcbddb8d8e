"""How the program ends: signals, and a last bound on stopping.

Worker, feed and screen end in order within five seconds. A second signal, or a stop that takes
longer, ends the process at once; ``last_rites`` then puts the terminal back.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable

log = logging.getLogger("mt5dash.life")

STOP_S = 5.0
STOPPING_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)

last_rites: list[Callable[[], None]] = []
"""Called just before the process is ended without unwinding; must not block."""


def end_now(code: int) -> None:
    """End the process without unwinding, the terminal restored."""
    for rite in last_rites:
        rite()
    os._exit(code)


def bound_stop(seconds: float = STOP_S) -> None:
    """From now on the process ends by itself within ``seconds``."""
    timer = threading.Timer(seconds, end_now, (1,))
    timer.daemon = True
    timer.start()


def on_stop_signal(callback: Callable[[signal.Signals], bool]) -> Callable[[], None]:
    """Call ``callback`` on the loop for each stopping signal; returns the way to undo it.

    The callback tells whether it took the signal as a stop; a signal after that ends the
    process at once.
    """
    loop = asyncio.get_running_loop()
    stopping = False

    def received(signum: signal.Signals) -> None:
        nonlocal stopping
        if stopping:
            end_now(128 + signum)
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
