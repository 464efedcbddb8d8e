"""Feeds on real sockets for the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.present import present

from streamer.journal.limits import JournalLimits
from streamer.journal.writer import Journal
from streamer.server.tokens import TokenStore
from streamer.service import Feed
from streamer.settings import FeedSettings

# At the end: `conftest` stays the one of all tests.


@pytest.fixture
async def open_feed(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Feed]]]:
    """Start feeds: ``await open_feed(journal="a.db", port=..., ...)``; all closed at the end."""
    feeds: list[Feed] = []

    async def open_one(
        journal: str | None = None, limits: JournalLimits | None = None, **settings: Any
    ) -> Feed:
        settings.setdefault("port", 0)
        settings.setdefault("tokens_file", tmp_path / "private" / "tokens.json")
        made = FeedSettings(**settings)
        kept = Journal(tmp_path / journal, limits=limits) if journal is not None else None
        feed = Feed(made, kept, version="test", tokens=TokenStore(present(made.tokens_file)))
        await feed.start()
        feeds.append(feed)
        return feed

    yield open_one
    for feed in feeds:
        await feed.close()
