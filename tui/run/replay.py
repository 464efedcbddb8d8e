"""Serves a recording as a feed, without a screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer.journal.replay import Replay
from streamer.replay_feed import ReplayFeed

from ..about import program_version
from ..progress import started
from . import shutdown
from .reporting import announce

if TYPE_CHECKING:
    from ..settings import Loaded


async def run_replay(loaded: Loaded, path: Path, options: dict[str, Any]) -> int:
    """Serve a recording as a feed until a stopping signal; ``options`` are those of ``Replay``.

    Returns:
        The exit code.

    Raises:
        streamer.journal.schema.JournalError: The recording cannot be read.
        streamer.server.ports.PortTaken: The port is in use.
    """
    replay = Replay(path, **options)
    feed = ReplayFeed(replay, loaded.settings.feed, version=program_version())
    await replay.open()
    await feed.start()
    started()
    stop = shutdown.stop_requested()
    announce(feed, "replay")
    replay.play()
    await stop.wait()
    shutdown.bound_stop()
    await replay.close()
    await feed.close()
    return 0
