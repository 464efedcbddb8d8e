"""Requests to a feed's HTTP API: without proxy or redirect, to the named address only."""

from __future__ import annotations

import json
import logging
import urllib.parse
from typing import Any

from streamer.http_get import HttpClient, NoResponse
from streamer.state.bot_source import BotSource
from streamer.state.source import Source

log = logging.getLogger("mt5dash.ui")

FEED_API = HttpClient(timeout_s=20.0, stall_s=3.0, max_bytes=8_000_000, use_proxies=False)


def address(source: Source, path: str, **query: object) -> str | None:
    """The address of an API path of the feed behind ``source``; ``None`` where it has none."""
    if source.link.state == "local" or not source.link.url.startswith("ws"):
        return None
    parts = urllib.parse.urlsplit(source.link.url)
    scheme = "https" if parts.scheme == "wss" else "http"
    if isinstance(source, BotSource):
        query["bot"] = source.name
    return f"{scheme}://{parts.netloc}{path}?{urllib.parse.urlencode(query)}"


def rows(url: str, token: str | None) -> list[dict[str, Any]] | None:
    """The objects of a JSON array at ``url``; ``None`` when there is none. Blocks."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        answer = FEED_API.get(url, headers)
        found = json.loads(answer.body) if answer.ok else None
    except (NoResponse, ValueError) as error:
        log.debug("%s: %s", url, error)
        return None
    return [v for v in found if isinstance(v, dict)] if isinstance(found, list) else None
