"""A feed with several bots on the screen: each bot has a tab, as each of several feeds has."""

from __future__ import annotations

from collections.abc import Iterable

from streamer.state.bot_source import BotSource
from streamer.state.source import Source


def unseen(sources: Iterable[Source]) -> list[BotSource]:
    """The bots of these feeds that no tab shows yet.

    Args:
        sources: The sources of the tabs. The tab of a whole feed shows its chosen bot.
    """
    sources = list(sources)
    shown = {
        (id(source.source), source.name) for source in sources if isinstance(source, BotSource)
    }
    return [
        BotSource(source, name)
        for source in sources
        if not isinstance(source, BotSource)
        for name in source.state.bots
        if (id(source), name) not in shown
    ]


def name_of(source: Source) -> str:
    """The bot that a tab shows, where its feed has several; empty where there is only one."""
    whole = source.source if isinstance(source, BotSource) else source
    return source.state.name if whole.state.bots else ""
