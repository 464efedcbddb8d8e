"""What a run reports outside its feed: the address on standard output, and lines in the log."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from streamer.protocol.messages import is_state
from streamer.state.reducer import bot_of

from ..about import program_version
from ..progress import Steps
from ..render import describe

if TYPE_CHECKING:
    from streamer.service import Feed

log = logging.getLogger("mt5dash")

LEVELS = {
    describe.DEBUG: logging.DEBUG,
    describe.INFO: logging.INFO,
    describe.WARN: logging.WARNING,
    describe.ERROR: logging.ERROR,
}
PROGRESS_S = 2.0
"""Least time between two log lines about the progress of a step, seconds."""


def announce(feed: Feed, mode: str) -> None:
    """Print the address of the feed. Call it only when the feed listens."""
    try:
        print(f"mt5dash {program_version()} {mode} feed listening on {feed.url}", flush=True)
    except OSError as error:  # a closed standard output does not stop the bot
        log.warning("feed listening on %s; standard output: %s", feed.url, error)


def log_events(feed: Feed) -> None:
    """Write each log event to the program's log when it is published."""

    def write(event: dict[str, Any]) -> None:
        if is_state(describe.event_type(event)):
            return
        level = LEVELS[describe.level(event)]
        if log.isEnabledFor(level):
            bot = bot_of(event)
            prefix = f"{bot}: " if bot and bot != feed.own.name else ""
            log.log(level, "%-6s %s%s", describe.tag(event), prefix, describe.text(event))

    feed.watch(write)


def log_steps(steps: Steps) -> None:
    """Write the progress of long steps to the log, for the person who waits for the start."""
    logged = time.monotonic()

    def changed() -> None:
        nonlocal logged
        step, now = steps.current, time.monotonic()
        if step is not None and step.total and now - logged >= PROGRESS_S:
            logged = now
            log.info("%s: %s, %d of %d", step.name, step.detail, step.done, step.total)

    steps.on_change = changed
