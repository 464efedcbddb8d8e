"""Restores a feed's state, ring and ledgers from its journal when the feed starts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from ..journal.recorder import Moment
from ..journal.writer import Restored
from ..protocol.codec import EventRefused, decode
from ..protocol.sections import SectionKind
from ..state.bots import Bot, Bots
from ..state.reducer import FeedState, bot_of
from ..state.ring import Item, Ring, symbol_of
from ..state.sections import CARRIED, SECTIONS, VALUES

log = logging.getLogger("mt5dash.feed")

SLICE = 100
"""Events that are restored before other tasks of the loop run."""


async def restore(
    restored: Restored, state: FeedState, ring: Ring, bots: Bots, at: float, *, values: bool
) -> None:
    """Bring back the log, the trades and the history of each bot from an opened journal.

    The status of bot and terminal is not restored: it may have changed since.

    Args:
        restored: What the journal holds.
        state: The feed's state, empty.
        ring: The feed's ring, empty.
        bots: The feed's bots; those of the journal are added.
        at: Now, epoch seconds on the journal's clock.
        values: Restore account, positions, orders and quotes as well, with their age.
    """
    state.epoch = restored.epoch
    moment = restored.moment
    if moment is not None:
        for known in moment.state.each():
            _get_or_add(bots, known.name)
    first = restored.tail[0][0] if restored.tail else restored.seq + 1
    ring.reset(first - 1)
    for n, (seq, raw) in enumerate([*_before(moment, first), *restored.tail]):
        if n % SLICE == 0:
            await asyncio.sleep(0)  # the screen may be open already
        event = decode(raw)
        bot = _get_or_add(bots, bot_of(event))
        name = bot_of(event) if bot is None else bot.name
        item = Item(event["type"], raw, seq, symbol_of(event), name)
        if seq >= first:
            ring.add(item)
        else:
            ring.remember(item)
        if bot is not None:
            state.apply({**event, "bot": name} if name else event)
    for n, raw in enumerate(restored.trades):
        if n % SLICE == 0:
            await asyncio.sleep(0)
        event = decode(raw)
        bot = _get_or_add(bots, bot_of(event))
        if bot is not None:
            bot.ledger.apply(event)
    state.seq = restored.seq
    for bot in (bots.default_bot, *bots):
        bot.state.epoch = restored.epoch
        for section in SECTIONS:
            if section.declared.kind is SectionKind.LAST_EVENT:
                bot.state.put(section, None)
        if moment is not None:
            _history(bot, moment)
            if values:
                _values(bot.state, moment.state.of(bot.name), at)


def _before(moment: Moment | None, first: int) -> list[tuple[int, bytes]]:
    """The newest log events of each bot that are older than event ``first``."""
    if moment is None or len(moment.recent) < 2:
        return []
    return sorted(row for rows in moment.recent.values() for row in rows if row[0] < first)


def _history(bot: Bot, moment: Moment) -> None:
    """Take over what reaches further back than the log events that were applied."""
    past = moment.state.of(bot.name)
    if past is None:
        if moment.state.name:
            return
        past = moment.state  # written before events named their bot
    for section in SECTIONS:
        now, then = getattr(bot.state, section.key), getattr(past, section.key)
        if RESTORED[section.declared.kind](now, then):
            bot.state.put(section, then)
    bot.ledger.marks = moment.marks.get(past.name, {})


RESTORED: dict[SectionKind, Callable[[Any, Any], bool]] = {
    # By samples only.
    SectionKind.CURVE: lambda now, then: True,
    # By log events, of which the newest may be further back than those that were applied.
    SectionKind.LAST_FIELDS: lambda now, then: bool(then),
    SectionKind.NEWEST: lambda now, then: len(then) > len(now),
    SectionKind.LOG: lambda now, then: False,
    # The bot and its terminal publish their status after the start.
    SectionKind.LAST_EVENT: lambda now, then: False,
    # Read from the terminal again, or restored with their age: see ``_values``.
    SectionKind.OBJECT: lambda now, then: False,
    SectionKind.ROWS: lambda now, then: False,
    SectionKind.BY_NAME: lambda now, then: False,
    SectionKind.VALUE: lambda now, then: False,
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


def _get_or_add(bots: Bots, name: str) -> Bot | None:
    """The bot of this name, the default bot for an empty one; ``None`` when there is no room."""
    try:
        return bots.get_or_add(name) if name else bots.default_bot
    except EventRefused as error:
        log.warning("a bot of the journal is left out: %s", error)
        return None
