"""What an earlier run of the bot left in the journal that this one must not forget.

The kill switch stays on over a restart, and so do the peak of the equity and the limits that
were hit. What cannot be read counts as "halted": a disk that fails releases nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from strategy.status import halted_before
from streamer.journal.writer import Journal, JournalError
from streamer.protocol.codec import decode
from streamer.protocol.messages import RiskMemory

log = logging.getLogger("mt5dash.runtime")

NEWEST = 400
"""Events of bot and operator that are looked through."""


_NOT_BEGUN = frozenset({"OBSERVE", "NO_COMMANDER", "BAD_ARGS"})
"""Refusals of a ``halt`` before anything was done."""


_STATUS = (
    "SELECT body FROM ev WHERE type IN ('BOT_STATUS', 'COMMAND_AUDIT') AND "
    "coalesce(json_extract(CAST(body AS TEXT), '$.bot'), ?1) {whose} ?1 ORDER BY seq DESC LIMIT ?2"
)


async def recall(journal: Journal, bot: str) -> tuple[str | None, RiskMemory | None]:
    """Why the kill switch was on when the last run ended (``None``: it was off), and what
    that run knew of the risk limits.

    Args:
        journal: Of this feed; other bots that publish on it are in it too.
        bot: Name of the feed's own bot. A journal that knows it only by other names was its
            own under one of them: then every halt in it counts.
    """
    try:
        rows = await journal.query(_STATUS.format(whose="="), (bot, NEWEST))
        events = [decode(bytes(row[0])) for row in rows]
        if not any(event.get("type") == "BOT_STATUS" for event in events):
            rows = await journal.query(_STATUS.format(whose="<>"), (bot, NEWEST))
            others = [decode(bytes(row[0])) for row in rows]
            return _renamed(others) or halted(events), memory(others)
    except JournalError as error:
        log.error("the last run's kill switch: %s", error)
        return (
            "whether the kill switch was on before the restart could not be read from the "
            "journal; release it once you have looked",
            None,
        )
    return halted(events), memory(events)


def _renamed(newest_first: Iterable[Mapping[str, Any]]) -> str | None:
    """Why any of the bots in these events was halted."""
    by_bot: dict[str, list[Mapping[str, Any]]] = {}
    for event in newest_first:
        by_bot.setdefault(str(event.get("bot")), []).append(event)
    for name, events in by_bot.items():
        reason = halted(events)
        if reason is not None:
            return f"{reason} (by {name}, before this bot had its name)"
    return None


def halted(newest_first: Iterable[Mapping[str, Any]]) -> str | None:
    """The kill switch after these events; ``None`` when it is off.

    A ``halt`` that was given, but of which nothing more was written, counts: the program was
    killed while it was carried out.
    """
    for event in newest_first:
        if event.get("type") == "BOT_STATUS":
            return halted_before(event)
        if event.get("name") == "release" and event.get("ok") is True:
            return None
        error = event.get("error")
        if event.get("state") == "refused" or (
            isinstance(error, Mapping) and error.get("code") in _NOT_BEGUN
        ):
            continue
        if event.get("name") == "halt":
            args = event.get("args")
            reason = args.get("reason") if isinstance(args, Mapping) else None
            return str(reason or "halted by the operator")
    return None


def memory(newest_first: Iterable[Mapping[str, Any]]) -> RiskMemory | None:
    """What the newest status says of the risk limits; ``None`` when none does."""
    for event in newest_first:
        if event.get("type") == "BOT_STATUS" and event.get("risk") is not None:
            try:
                return msgspec.convert(event["risk"], RiskMemory)
            except msgspec.ValidationError as error:
                log.error("the risk limits of the last run cannot be read: %s", error)
                return None
    return None
