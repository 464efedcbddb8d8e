"""A terminal for an agent that loses answers and requests, by chance from a seed.

As a module it is what ``execution/agent.py --module lossy_terminal`` serves. What it did is
told by ``history_orders_get``: the truth that a test compares with.
"""

from __future__ import annotations

import os
import random
import threading
import time
from typing import Any

from support.fake_terminal import FakeTerminal

__version__ = "lossy"

LOST_REQUEST, LOST_ANSWER, LATE_ANSWER, LATE_REQUEST = 0.06, 0.10, 0.03, 0.02
LATE_S = float(os.environ.get("LOSSY_LATE_S", "0.4"))

_terminal = FakeTerminal()
_chance = random.Random(int(os.environ.get("LOSSY_SEED", "1")))
_lock = threading.Lock()


def order_send(request: dict[str, Any]) -> Any:
    """Carried out or not, answered or not: the caller cannot always tell."""
    with _lock:
        fate = _chance.choices(
            ("fine", "lost request", "lost answer", "late answer", "late request"),
            (1 - LOST_REQUEST - LOST_ANSWER - LATE_ANSWER - LATE_REQUEST,
             LOST_REQUEST, LOST_ANSWER, LATE_ANSWER, LATE_REQUEST),
        )[0]  # fmt: skip
        if fate == "late request":
            time.sleep(LATE_S)
        answer = None if fate == "lost request" else _terminal.order_send(request)
        if fate.startswith("lost"):
            _terminal.error = (-10002, "IPC recv failed")
            return None
        if fate == "late answer":
            time.sleep(LATE_S)
        return answer


def __getattr__(name: str) -> Any:
    return getattr(_terminal, name)
