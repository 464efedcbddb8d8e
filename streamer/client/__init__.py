"""Room: a feed on another machine as a source.

Imports ``protocol``, ``state`` and ``server`` rooms' helpers only. Others import ``FeedClient`` from here.
"""

from __future__ import annotations

from .feed_client import FeedClient

__all__ = ["FeedClient"]
