"""Kill switch and risk limits of the last run, read from its journal at the start.

The kill switch stays on over a restart, and so do the peak of the equity and the limits that
tripped. A journal that cannot be read counts as halted: a disk that fails releases nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from strategy.status import halted_before
from streamer.journal.writer import Journal, JournalError
from streamer.protocol.codec import decode
from streamer.protocol.messages import RiskMemory

log = logging.getLogger("mt5dash.runtime")

NEWEST = 400
"""Most events of bot and operator that are read."""


_NOT_BEGUN = frozenset({"OBSERVE", "NO_COMMANDER", "BAD_ARGS"})
"""Refusals of a ``halt`` before anything was done."""


_STATUS = (
    "SELECT body FROM ev WHERE type IN ('BOT_STATUS', 'COMMAND_AUDIT') AND "
    "coalesce(json_extract(CAST(body AS TEXT), '$.bot'), ?1) {whose} ?1 ORDER BY seq DESC LIMIT ?2"
)


class RestartState(NamedTuple):
    """What the last run leaves to this one."""

    halted: str | None
    """Why the kill switch was on; ``None`` when it was off."""
    risk: RiskMemory | None
    """The risk limits as the last run knew them; ``None`` when it published none."""


async def read_restart_state(journal: Journal, bot: str) -> RestartState:
    """The state at the end of the last run.

    Args:
        journal: The journal of this feed; it has the events of other publishing bots too.
        bot: Name of the feed's own bot. In a journal without that name, the bot had another name
            before: then the halt of any bot in it counts.
    """
    try:
        rows = await journal.query(_STATUS.format(whose="="), (bot, NEWEST))
        events = [decode(bytes(row[0])) for row in rows]
        if not any(event.get("type") == "BOT_STATUS" for event in events):
            rows = await journal.query(_STATUS.format(whose="<>"), (bot, NEWEST))
            others = [decode(bytes(row[0])) for row in rows]
            return RestartState(_renamed(others) or halted(events), risk_memory(others))
    except JournalError as error:
        log.error("the last run's kill switch: %s", error)
        return RestartState(
            "whether the kill switch was on before the restart could not be read from the "
            "journal; release it once you have looked",
            None,
        )
    return RestartState(halted(events), risk_memory(events))


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
    """Why the kill switch is on after these events; ``None`` when it is off.

    A ``halt`` without an outcome counts: the program was killed while it carried it out.
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


def risk_memory(newest_first: Iterable[Mapping[str, Any]]) -> RiskMemory | None:
    """The risk limits in the newest status that has them; ``None`` without one."""
    for event in newest_first:
        if event.get("type") == "BOT_STATUS" and event.get("risk") is not None:
            try:
                return msgspec.convert(event["risk"], RiskMemory)
            except msgspec.ValidationError as error:
                log.error("the risk limits of the last run cannot be read: %s", error)
                return None
    return None
