"""Relays on real sockets, and viewers that write down what they got."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from streamer.client.feed_client import ClientTimings, FeedClient
from streamer.journal.writer import Journal
from streamer.relay.relay import Relay
from streamer.relay.timings import RelayTimings
from streamer.server.tokens import TokenStore
from streamer.service import Feed
from streamer.settings import FeedSettings, JournalSettings
from support.present import present
from support.until import until

QUICK = RelayTimings(link_check_s=0.02, link_lost_s=0.4)
"""Lost links are reported at once."""

OpenRelay = Callable[..., Awaitable[Relay]]


def url_of(port: int) -> str:
    return f"ws://127.0.0.1:{port}/ws"


def make_relay(folder: Path, *urls: str, **options: Any) -> Relay:
    """A relay, not started. ``tokens``: one for each address; ``timings``: ``QUICK``."""
    journal = options.pop("journal", "relay.db")
    kept = options.pop("journal_settings", JournalSettings())
    tokens = options.pop("tokens", [None] * len(urls))
    timings = options.pop("timings", QUICK)
    options.setdefault("port", 0)
    options.setdefault("tokens_file", folder / "relay" / "tokens.json")
    settings = FeedSettings(bot="", **options)
    feed = Feed(
        settings,
        Journal(folder / journal, kept) if journal is not None else None,
        version="test",
        tokens=TokenStore(present(settings.tokens_file)),
    )
    return Relay(feed, list(zip(urls, tokens, strict=True)), timings)


@pytest.fixture
async def open_relay(tmp_path: Path) -> AsyncIterator[OpenRelay]:
    """Start relays: ``await open_relay(url, ...)``; all closed at the end."""
    relays: list[Relay] = []

    async def open_one(*urls: str, wait: bool = True, **options: Any) -> Relay:
        relay = make_relay(tmp_path, *urls, **options)
        relays.append(relay)
        await relay.start()
        if wait:
            await until(lambda: all(upstream.live for upstream in relay.upstreams))
        return relay

    yield open_one
    for relay in relays:
        await relay.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Links come back at once."""
    quick = ClientTimings(first_delay_s=0.02, most_delay_s=0.1)
    monkeypatch.setattr(FeedClient, "default_timings", quick)


class Viewer:
    """A client that keeps all log events it received, in order."""

    def __init__(self, url: str, **options: Any) -> None:
        self.client = FeedClient(url, **options)
        self.events: list[dict[str, Any]] = []
        self.beats: list[dict[str, Any]] = []
        self.client.watch(self._note)

    def _note(self, event: dict[str, Any]) -> None:
        if event["type"] == "HEARTBEAT":
            self.beats.append(event)
        if type(event.get("seq")) is int and event["type"] not in ("STATE_SNAPSHOT", "HEARTBEAT"):
            self.events.append(event)

    async def start(self) -> Viewer:
        await self.client.start()
        await until(lambda: self.client.link.state == "live" and self.client.state.epoch)
        return self

    def numbers(self, kind: str = "X") -> list[int]:
        """``n`` of the events of one type."""
        return [event["n"] for event in self.events if event["type"] == kind]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]
