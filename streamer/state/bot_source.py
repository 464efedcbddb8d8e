"""One bot of a feed as a ``Source``: a face that shows one bot need not know of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..protocol.messages import STATE_TYPES, CommandResult
from .reducer import FeedState, bot_of
from .source import Capabilities, Link, Source, Wire


class BotSource:
    """The part of a source that is about one bot.

    Args:
        source: The whole: ``Feed``, ``FeedClient`` or a replay.
        name: The bot.
    """

    def __init__(self, source: Source, name: str) -> None:
        self.source = source
        self.name = name
        self._never = FeedState(name=name)

    @property
    def state(self) -> FeedState:
        """What is known of this bot; nothing while the source does not know it."""
        found = self.source.state.of(self.name)
        if found is None:
            found = self._never
            found.epoch = self.source.state.epoch
        return found

    @property
    def link(self) -> Link:
        """How the whole is joined."""
        return self.source.link

    @property
    def capabilities(self) -> Capabilities:
        """The token, this bot's trades and the journal's trouble, as far as the whole has them."""
        whole = self.source.capabilities
        trades = whole.trades
        return Capabilities(
            token=whole.token,
            trades=None if trades is None else lambda bot="": trades(bot or self.name),
            journal_trouble=whole.journal_trouble,
        )

    def watch(self, callback: Callable[[Wire], None]) -> Callable[[], None]:
        """Call ``callback`` with each event of this bot, and with what is about the feed."""

        def on_event(event: Wire) -> None:
            name = bot_of(event)
            mine = name == self.name if name else self._is_first() or _for_all(event)
            if mine:
                callback(event)

        return self.source.watch(on_event)

    def _is_first(self) -> bool:
        return self.source.state.name == self.name

    async def command(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        bot: str | None = None,
    ) -> CommandResult:
        """Ask this bot for something to be done."""
        return await self.source.command(name, args, id=id, bot=bot or self.name)


def _for_all(event: Wire) -> bool:
    return event.get("type") == "STATE_SNAPSHOT" or event.get("type") in STATE_TYPES
