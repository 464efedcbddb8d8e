"""A feed on another machine as a source: ``FeedClient`` reconnects, resumes and keeps the state.

Import ``FeedClient`` from here, ``FeedLost`` from ``feed_client`` and ``tail`` from
``frame_iterator``.
"""

from __future__ import annotations

from .feed_client import FeedClient

__all__ = ["FeedClient"]
