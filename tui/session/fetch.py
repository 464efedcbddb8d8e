"""HTTP to a feed: straight to the address that was named, and nowhere else."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from streamer.state.bot_source import BotSource
from streamer.state.source import Source

log = logging.getLogger("mt5dash.ui")

FETCH_S = 3.0
ANSWER_MAX = 8_000_000


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: a token goes to the address it was meant for, or nowhere."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)
"""Asks without a proxy: a feed is this machine's or one of the own network."""


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
    request = urllib.request.Request(url)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with opener.open(request, timeout=FETCH_S) as answer:
            found = json.loads(answer.read(ANSWER_MAX))
    except (urllib.error.URLError, OSError, ValueError) as error:
        log.debug("%s: %s", url, error)
        return None
    return [v for v in found if isinstance(v, dict)] if isinstance(found, list) else None


def token_of(source: Source) -> str | None:
    """The token this source was opened with."""
    token = getattr(source, "token", None)
    return token if isinstance(token, str) else None
