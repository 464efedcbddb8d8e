"""The source of the screen until the feed listens: it knows nothing and refuses commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from streamer.protocol.commands import refusal
from streamer.protocol.messages import CommandResult
from streamer.state.reducer import FeedState
from streamer.state.source import NO_CAPABILITIES, Link, Wire

NOT_YET = "the bot is still starting; try again in a moment"


class PendingSource:
    """A ``Source`` without a feed: an empty state, no events, every command is refused."""

    def __init__(self) -> None:
        self.capabilities = NO_CAPABILITIES
        self._state = FeedState("")
        self._link = Link("starting", "", time.monotonic())

    @property
    def state(self) -> FeedState:
        return self._state

    @property
    def link(self) -> Link:
        return self._link

    def watch(self, callback: Callable[[Wire], None]) -> Callable[[], None]:
        return lambda: None

    async def command(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        bot: str | None = None,
    ) -> CommandResult:
        return refusal(id or "", "NOT_CONNECTED", NOT_YET)
