"""What a feed takes over from its journal when it starts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..journal.recorder import Moment
from ..journal.writer import Journal
from ..protocol.codec import EventRefused, decode
from ..protocol.sections import Kind
from ..state.bots import Bot
from ..state.reducer import FeedState, bot_of
from ..state.ring import Item, symbol_of
from ..state.sections import CARRIED, SECTIONS, VALUES

if TYPE_CHECKING:
    from .feed import Feed

log = logging.getLogger("mt5dash.feed")

SLICE = 100
"""Events that are taken in before the loop is let go."""


async def restore(feed: Feed, journal: Journal, at: float) -> tuple[int, list[str]]:
    """Open a feed's journal and bring back the log, the trades and the history of each bot.

    Account, positions and prices are asked for anew, unless the feed ``keeps_values``; what bot
    and terminal said before the stop is not how they are now.

    Args:
        feed: Not started yet.
        journal: Its journal.
        at: Now, epoch seconds on the journal's clock.

    Returns:
        The number of the last log event, and what was wrong with the file.

    Raises:
        streamer.journal.JournalError: the journal cannot be opened.
    """
    restored = await journal.start(feed)
    state = feed.state
    state.epoch = restored.epoch
    moment = restored.moment
    if moment is not None:
        for known in moment.state.each():
            _meet(feed, known.name)
    first = restored.tail[0][0] if restored.tail else restored.seq + 1
    feed.ring.reset(first - 1)
    for n, (seq, raw) in enumerate([*_before(moment, first), *restored.tail]):
        if n % SLICE == 0:
            await asyncio.sleep(0)  # the screen may be there already
        event = decode(raw)
        bot = _meet(feed, bot_of(event))
        name = bot_of(event) if bot is None else bot.name
        item = Item(event["type"], raw, seq, symbol_of(event), name)
        if seq >= first:
            feed.ring.add(item)
        else:
            feed.ring.remember(item)
        if bot is not None:
            state.apply({**event, "bot": name} if name else event)
    await feed.commands.restore_from(journal, restored.seq, at)
    for n, raw in enumerate(restored.trades):
        if n % SLICE == 0:
            await asyncio.sleep(0)
        event = decode(raw)
        bot = _meet(feed, bot_of(event))
        if bot is not None:
            bot.ledger.apply(event)
    state.seq = restored.seq
    for bot in (feed.bots.speaker, *feed.bots):
        bot.state.epoch = restored.epoch
        for section in SECTIONS:
            if section.declared.kind is Kind.LAST_EVENT:
                bot.state.put(section, None)
        if moment is not None:
            _history(bot, moment)
            if feed.keeps_values:
                _values(bot.state, moment.state.of(bot.name), at)
    return restored.seq, restored.notes


def _before(moment: Moment | None, first: int) -> list[tuple[int, bytes]]:
    """The last log events of each bot that are older than event ``first``."""
    if moment is None or len(moment.recent) < 2:
        return []
    return sorted(row for rows in moment.recent.values() for row in rows if row[0] < first)


def _history(bot: Bot, moment: Moment) -> None:
    """Take over what reaches further back than the log events that were applied."""
    past = moment.state.of(bot.name)
    if past is None:
        if moment.state.name:
            return
        past = moment.state  # of before events named their bot
    for section in SECTIONS:
        now, then = getattr(bot.state, section.key), getattr(past, section.key)
        if RESTORED[section.declared.kind](now, then):
            bot.state.put(section, then)
    bot.ledger.marks = moment.marks.get(past.name, {})


RESTORED: dict[Kind, Callable[[Any, Any], bool]] = {
    # By samples only.
    Kind.CURVE: lambda now, then: True,
    # By log events, of which the newest may be further back than those that were applied.
    Kind.LAST_FIELDS: lambda now, then: bool(then),
    Kind.NEWEST: lambda now, then: len(then) > len(now),
    Kind.LOG: lambda now, then: False,
    # The bot and its terminal report anew.
    Kind.LAST_EVENT: lambda now, then: False,
    # Read anew, or restored with their age: see ``_values``.
    Kind.OBJECT: lambda now, then: False,
    Kind.ROWS: lambda now, then: False,
    Kind.BY_NAME: lambda now, then: False,
    Kind.VALUE: lambda now, then: False,
}
"""Whether a section takes over what the journal's last moment has, by its kind."""


def _values(state: FeedState, past: FeedState | None, at: float) -> None:
    """Restore the last account, positions, orders and quotes with their age."""
    if past is None:
        return
    now = time.monotonic()
    for section in CARRIED.values():
        if section.name in past.updated:
            age = max(0.0, at - past.updated[section.name])
            state.put(section, getattr(past, section.key), now - age)
    for section in VALUES:
        state.put(section, getattr(past, section.key))
    state.revision += 1


def _meet(feed: Feed, name: str) -> Bot | None:
    """Whose an event is; the speaker's when it names nobody, ``None`` when there is no room."""
    try:
        return feed.bots.meet(name) if name else feed.bots.speaker
    except EventRefused as error:
        log.warning("a bot of the journal is left out: %s", error)
        return None
