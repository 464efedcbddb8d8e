"""Forwards commands to the bot's upstream once, with the relay's own token.

The relay has checked the caller's role and asked its question before a command arrives here. A
command whose answer was lost is not sent again: the upstream's own audit, found by its ``id``
among the following events, has the outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from ..client.feed_client import FeedClient
from ..protocol.commands import COMMANDS, BadCommand, parse, refusal, two_steps
from ..protocol.messages import Command, CommandResult
from ..state.source import Wire
from .timings import RelayTimings
from .transports import confirmed_by_caller
from .upstream import Upstream

log = logging.getLogger("mt5dash.relay")


class CommandForwarder:
    """Forwards commands to the upstreams of one relay.

    Args:
        find_upstream: Finds the upstream of a bot by the bot's name on the relay.
        on_late_result: Receives the result of a command that nothing waits for any more.
        timings: Limits.
    """

    def __init__(
        self,
        find_upstream: Callable[[str], Upstream | None],
        on_late_result: Callable[[CommandResult], None],
        timings: RelayTimings,
    ) -> None:
        self._find_upstream = find_upstream
        self._on_late_result = on_late_result
        self._timings = timings
        self._unanswered: dict[str, asyncio.Future[CommandResult]] = {}

    async def command(self, command: Command, actor: str) -> CommandResult:
        """Send a command to its bot's upstream; see ``Commander``."""
        bot = command.bot
        if not bot:
            text = "no bot comes through this relay yet; nothing was sent"
            return refusal(command.id, "NO_BOT", text)
        upstream = self._find_upstream(bot)
        if upstream is None:
            text = f"no bot {bot} comes through this relay now; nothing was sent"
            return refusal(command.id, "UPSTREAM_DOWN", text)
        if not upstream.live:
            text = upstream.refused_reason or upstream.link.detail or "it does not answer"
            text = f"no link from the relay to {upstream.label} ({text}); nothing was sent"
            return refusal(command.id, "UPSTREAM_DOWN", text)
        client = upstream.client
        if isinstance(client, FeedClient) and client.role != "control":
            return refusal(
                command.id,
                "UPSTREAM_ROLE",
                f"the relay may only view {upstream.label}: give it a token with the role "
                "control for that feed (--token-file); nothing was sent",
            )
        there = next(name for name, here in upstream.bots.items() if here == bot)
        confirmed_by_caller.set(_was_confirmed(command))
        result = await client.command(command.name, command.args, id=command.id, bot=there or None)
        error = result.error
        if error is not None and error.code == "OUTCOME_UNKNOWN":
            return await self._wait_for_audit(command, result)
        if error is not None and error.code in ("CONFIRM", "NOT_CONFIRMED"):
            text = f"{upstream.label} asks before {command.name}, which this relay does not know"
            return refusal(command.id, error.code, f"{text}; send it there. Nothing was done.")
        return result

    async def _wait_for_audit(self, command: Command, unknown: CommandResult) -> CommandResult:
        """The result in the upstream's audit; ``unknown`` when none arrives in time."""
        future: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        self._unanswered[command.id] = future
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timings.audit_s):
                    return await future
        finally:
            self._unanswered.pop(command.id, None)
        return unknown

    def on_audit(self, audit: Wire) -> None:
        """Use the result in an upstream's ``COMMAND_AUDIT``."""
        result = result_of(audit)
        if result is None:
            return
        waiting = self._unanswered.get(result.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(result)
        else:
            self._on_late_result(result)


def result_of(audit: Wire) -> CommandResult | None:
    """The result in a ``COMMAND_AUDIT``; ``None`` when it has none."""
    if audit.get("state", "done") == "given":
        return None
    fields: dict[str, Any] = {key: audit.get(key) for key in ("id", "ok", "result", "error")}
    try:
        return msgspec.convert({"type": "COMMAND_RESULT", **fields}, CommandResult)
    except msgspec.ValidationError:
        return None


def _was_confirmed(command: Command) -> bool:
    """Whether the caller has confirmed this command to the relay."""
    if command.name not in COMMANDS:
        return False
    try:
        return two_steps(parse(command.name, command.args))
    except BadCommand:
        return False
