"""Faults that a paper terminal can be given, so that clients are tested against them.

Each is what a real terminal or broker does on a bad day. Counters count down with use; flags
stay until they are reset.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """Switches of misbehaviour; all off by default."""

    latency_s: float = 0.0
    """Each call takes so much longer, in real seconds."""

    ipc_lost: bool = False
    """The pipe to the terminal breaks at the next call (-10001); later calls find no pipe
    (-10004) until ``initialize()`` is called again with this reset."""

    no_broker: bool = False
    """The terminal has no connection to its server: reads work, trades give 10031."""

    autotrading_off: bool = False
    """The Algo Trading button is off: 10027."""

    api_disabled: bool = False
    """Trading through the external Python API is disabled: None and -8."""

    server_forbids: bool = False
    """The broker forbids experts on this account: 10026."""

    account_disabled: bool = False
    """The broker allows no trading on this account at all (an investor login): 10017."""

    requotes: int = 0
    """So many next deals are answered 10004."""

    price_off: int = 0
    """So many next deals are answered 10021."""

    retcodes: list[int] = field(default_factory=list)
    """Answers for the next requests, in turn (10006, 10011, 10012, 10024, 10028 ...)."""

    partial: float | None = None
    """Only this part of the next market order is there to be filled."""

    lost_answers: int = 0
    """So many next ``order_send`` are carried out, but their answer is lost (-10002) and the
    pipe with it."""

    lost_requests: int = 0
    """So many next ``order_send`` are lost before they arrive (-10002): the caller sees the
    same, and nothing was done."""

    zero_tick: bool = False
    """``symbol_info_tick`` gives zeros, as a terminal does before the first quote."""

    hang: threading.Event | None = None
    """Calls wait until this is set; a hung terminal."""

    hang_in: frozenset[str] = frozenset()
    """Only these functions hang; empty: all."""

    sleep: Callable[[float], None] = time.sleep

    def enter(self, function: str) -> None:
        """Spend the time that a call takes on a bad day."""
        if self.latency_s > 0:
            self.sleep(self.latency_s)
        if self.hang is not None and (not self.hang_in or function in self.hang_in):
            self.hang.wait()
