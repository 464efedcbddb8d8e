"""How a relay connects to a feed: over a WebSocket or a backbone, with one interface for both."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..backbone.address import is_backbone, safe_address
from ..backbone.model import BackboneError
from ..backbone.source import BackboneSource
from ..client.feed_client import FeedClient, FeedLost
from ..protocol.messages import Confirm
from ..state.source import Wire

Client = FeedClient | BackboneSource

confirmed_by_caller = contextvars.ContextVar("confirmed_by_caller", default=False)
"""Whether the caller of the relay has confirmed the command that is being forwarded."""


def label_of(url: str) -> str:
    """The name of an upstream for people: ``HOST:PORT``, followed by the stream's name of a
    broker; the name of a file."""
    if is_backbone(url):
        url = safe_address(url)
        if url.startswith(("sqlite:", "memory:")):
            return url.partition(":")[2].rpartition("/")[2]
    parts = urlsplit(url)
    usual = {"wss": 443, "ws": 80}.get(parts.scheme, 6379)
    host = parts.hostname or "?"
    name = f"[{host}]" if ":" in host else host
    stream = parse_qs(parts.query).get("stream", [""])[-1] if is_backbone(url) else ""
    return f"{name}:{parts.port or usual}" + (f"/{stream}" if stream else "")


def open_client(
    url: str,
    token: str | None,
    since: str | None = None,
    *,
    reconnect_max_s: float | None = None,
) -> Client:
    """A client of a feed, not started.

    Args:
        url: ``ws://``, ``wss://`` or the address of a backbone.
        token: The feed's token, or the broker's password.
        since: ``EPOCH:SEQ`` to resume from.
        reconnect_max_s: Longest delay between two attempts to connect over a WebSocket, in
            seconds; ``None``: the client's own.

    Raises:
        ValueError, BackboneError: the address cannot be used.
    """
    if is_backbone(url):
        return BackboneSource(url, token=token, since=since)
    timings = FeedClient.default_timings
    if reconnect_max_s is not None:
        timings = replace(timings, most_delay_s=reconnect_max_s)
    return FeedClient(url, token=token, since=since, confirm=_confirm, timings=timings)


async def frames_of(client: Client) -> AsyncGenerator[Wire, None]:
    """Start a client and yield all its frames, the first one included."""
    frames = client.events()
    if isinstance(client, FeedClient):
        await client.start()
    try:
        async for frame in frames:
            yield frame
    finally:
        await frames.aclose()  # type: ignore[attr-defined]


async def _confirm(question: Confirm) -> bool:
    """Confirm commands that the caller has confirmed to the relay already."""
    return confirmed_by_caller.get()


def sections(data: Any) -> Iterator[tuple[str, Wire]]:
    """The data of each bot in a snapshot's ``data``, by the bot's name on that feed; empty for
    the bot of a feed that names none."""
    if not isinstance(data, dict):
        return
    name = data.get("bot_name")
    yield (name if isinstance(name, str) else ""), data
    others = data.get("bots")
    if isinstance(others, dict):
        for other, part in others.items():
            if isinstance(part, dict):
                yield other, part


async def probe(url: str, token: str | None, seconds: float) -> tuple[bool, str, str]:
    """Connect to a feed once without relaying anything.

    Returns:
        Whether it works, what was found, and what the operator has to do (empty: nothing).
    """
    client = open_client(url, token)
    try:
        async with asyncio.timeout(seconds), contextlib.aclosing(frames_of(client)) as frames:
            async for frame in frames:
                if frame["type"] == "STATE_SNAPSHOT":
                    return _describe(client, frame)
    except TimeoutError:
        text = client.link.detail or "no answer"
        return False, text, "check the address, and that the feed runs and can be reached"
    except (FeedLost, BackboneError) as error:
        return False, str(error), "check its address and the token for it (--token-file)"
    finally:
        await client.close()
    return False, "its connection ended", "look at its log"


def _describe(client: Client, frame: Wire) -> tuple[bool, str, str]:
    if client.legacy:
        return False, "it uses the old protocol, without numbers", "relay a feed of mt5dash"
    bots = ", ".join(filter(None, dict(sections(frame.get("data"))))) or "no bot yet"
    text = f"{bots}; event {frame.get('seq')}; role {client.role}"
    todo = ""
    if isinstance(client, BackboneSource):
        todo = "a backbone carries events only: commands go to the bot's own feed"
    elif client.role != "control":
        todo = "viewing works; for commands give it a control token (--token-file)"
    return True, text, todo
