"""One bot of a feed as a ``Source``: a face that shows one bot need not know of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..protocol.messages import STATE_TYPES, CommandResult
from .reducer import FeedState, bot_of
from .source import Link, Wire
from .trades import Ledger


class ManyBots(Protocol):
    """A source whose state may hold several bots."""

    @property
    def state(self) -> FeedState: ...

    @property
    def link(self) -> Link: ...

    def watch(self, callback: Callable[[Wire], None]) -> Callable[[], None]: ...

    async def command(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        bot: str | None = None,
    ) -> CommandResult: ...


class BotSource:
    """The part of a source that is about one bot.

    Args:
        source: The whole: ``Feed``, ``FeedClient`` or a replay.
        name: The bot.
    """

    def __init__(self, source: ManyBots, name: str) -> None:
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
    def token(self) -> str | None:
        """The token that the whole was opened with."""
        token = getattr(self.source, "token", None)
        return token if isinstance(token, str) else None

    @property
    def ledger(self) -> Ledger | None:
        """This bot's trades, where the whole is a feed of this process."""
        bots = getattr(self.source, "bots", None)
        bot = bots.get(self.name) if bots is not None else None
        return None if bot is None else bot.ledger

    @property
    def lost(self) -> str | None:
        """Why nothing can come from this bot now, where the feed has said so."""
        pulse = getattr(self.source, "pulses", {}).get(self.name)
        why = pulse.get("lost") if isinstance(pulse, dict) else None
        return why if isinstance(why, str) else None

    @property
    def journal_trouble(self) -> str | None:
        """See ``Feed.journal_trouble``."""
        trouble = getattr(self.source, "journal_trouble", None)
        return trouble if isinstance(trouble, str) else None

    def watch(self, callback: Callable[[Wire], None]) -> Callable[[], None]:
        """Call ``callback`` with each event of this bot, and with what is about the feed."""

        def heard(event: Wire) -> None:
            name = bot_of(event)
            mine = name == self.name if name else self._is_chosen() or _for_all(event)
            if mine:
                callback(event)

        return self.source.watch(heard)

    def _is_chosen(self) -> bool:
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
