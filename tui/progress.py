"""The steps of the start and the progress of each.

Whoever does a step reports it, from any thread; the first frame, the screen and the log show it.
This module imports nothing that takes time.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

Piece = tuple[str, str]

SIGNS = {"todo": "·", "now": "▸", "done": "✓", "failed": "✕"}
STYLES = {"todo": "faint", "now": "text", "done": "dim", "failed": "crit"}
NAME_CELLS = 10
BAR_CELLS = 12
SLOW_S = 1.0
"""Seconds from which on a step shows its duration."""


@dataclass(slots=True)
class Step:
    """One step.

    Attributes:
        name: Its name on the screen.
        state: ``todo``, ``now``, ``done`` or ``failed``.
        detail: What it does now, or what came of it.
        done, total: Its progress; ``total`` is 0 where that is unknown.
        began, ended: ``time.monotonic()`` seconds.
    """

    name: str
    state: str = "todo"
    detail: str = ""
    done: int = 0
    total: int = 0
    began: float = 0.0
    ended: float = 0.0

    def line(self, cells: int, now: float) -> list[Piece]:
        """``▸ terminal   market: bars of EURUSD  ████······ 4 of 20  1.2 s`` in ``cells`` cells."""
        style = STYLES[self.state]
        line: list[Piece] = [(f"{SIGNS[self.state]} {self.name:<{NAME_CELLS}} ", style)]
        end = ""
        if self.state == "now" and self.total > 0:
            full = min(BAR_CELLS, BAR_CELLS * self.done // self.total)
            end += f" {'█' * full}{'·' * (BAR_CELLS - full)} {self.done:,} of {self.total:,}"
        took = (now if self.state == "now" else self.ended) - self.began
        if self.state in ("now", "failed") and took >= SLOW_S:
            end += f" {took:.0f} s"
        room = max(0, cells - len(line[0][0]) - len(end))
        detail = self.detail
        if len(detail) > room:
            detail = detail[: room - 1] + "…" if room else ""
        line += [(detail, "dim" if self.state == "done" else style), (end, style)]
        return [(text, style) for text, style in line if text]


class Steps:
    """The steps until the screen has data, in order.

    Attributes:
        on_change: Called after each change, in the thread that reported it; must be quick.
    """

    def __init__(self, *names: str) -> None:
        self._lock = threading.Lock()
        self._steps = {name: Step(name) for name in names}
        self.on_change: Callable[[], object] | None = None

    def begin(self, name: str, detail: str = "") -> None:
        """A step begins; those before it are done."""
        with self._lock:
            now = time.monotonic()
            for step in self._steps.values():
                if step.name == name:
                    break
                if step.state == "now":
                    step.state, step.ended = "done", now
            step = self._steps.setdefault(name, Step(name))
            if step.state != "now":
                step.began = now
            step.state, step.detail, step.done, step.total = "now", detail, 0, 0
        self._changed()

    def report(self, name: str, detail: str, done: int = 0, total: int = 0) -> None:
        """The progress of a step; ignored unless the step is in progress."""
        with self._lock:
            step = self._steps.get(name)
            if step is None or step.state != "now":
                return
            step.detail, step.done, step.total = detail, done, total
        self._changed()

    def end(self, name: str, detail: str = "", *, failed: bool = False) -> None:
        """A step has ended; ``detail`` is what came of it."""
        with self._lock:
            step = self._steps.setdefault(name, Step(name))
            step.state, step.ended = "failed" if failed else "done", time.monotonic()
            step.detail = detail
            step.done = step.total = 0
        self._changed()

    @property
    def over(self) -> bool:
        """Whether all steps are done."""
        return all(step.state == "done" for step in self._steps.values())

    @property
    def current(self) -> Step | None:
        """The step in progress, the last one if there are several; ``None`` without any."""
        return next((s for s in reversed(self._steps.values()) if s.state == "now"), None)

    def lines(self, cells: int, now: float | None = None) -> list[list[Piece]]:
        """All steps as lines of (text, style name); ``now`` in ``time.monotonic()`` seconds."""
        at = time.monotonic() if now is None else now
        with self._lock:
            return [step.line(cells, at) for step in self._steps.values()]

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()


def quick_start() -> None:
    """Disable the cyclic garbage collector while the program loads, which saves a fifth of the
    time; ``started`` enables it again."""
    gc.disable()


def started() -> None:
    """Enable the garbage collector again, without the objects that were loaded: traversing those
    would take tens of milliseconds each time."""
    gc.freeze()
    gc.enable()
