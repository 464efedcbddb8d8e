"""The feed of a trading bot: publish events, and every face sees them.

A bot that is not asyncio needs two names::

    from streamer import start_server, push_update

    start_server()
    push_update({"type": "SCAN_START", "count": 12})
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .background import push_update, start_server, stop_server
    from .client.feed_client import FeedClient
    from .service import Feed
    from .settings import FeedSettings, JournalSettings

__all__ = [
    "Feed",
    "FeedClient",
    "FeedSettings",
    "JournalSettings",
    "push_update",
    "start_server",
    "stop_server",
]

_HOMES = {
    "Feed": "service",
    "FeedClient": "client.feed_client",
    "FeedSettings": "settings",
    "JournalSettings": "settings",
    "push_update": "background",
    "start_server": "background",
    "stop_server": "background",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{home}", __name__), name)
