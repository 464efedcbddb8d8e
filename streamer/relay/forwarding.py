"""Commands through a relay: asked of the right upstream once, with the relay's own token.

The relay has checked the caller's role and asked its question before a command comes here. A
command whose answer was lost is not sent again: the upstream's own audit, found by its ``id``
in the events that follow, tells what became of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from ..client.feed_client import FeedClient
from ..protocol.commands import COMMANDS, BadCommand, parse, refusal, two_steps
from ..protocol.messages import Command, CommandResult
from ..state.source import Wire
from .transports import answered

if TYPE_CHECKING:
    from .relay import Relay

log = logging.getLogger("mt5dash.relay")

FOUND_S = 25.0
"""How long the upstream's audit is waited for after its answer was lost."""


class CommandForwarder:
    """Passes commands on to the upstreams of one relay."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._lost: dict[str, asyncio.Future[CommandResult]] = {}

    async def command(self, command: Command, actor: str) -> CommandResult:
        """A ``Commander``: see ``Commands``."""
        relay = self._relay
        bot = command.bot
        if not bot:
            text = "no bot comes through this relay yet; nothing was sent"
            return refusal(command.id, "NO_BOT", text)
        upstream = relay.upstream_of(bot)
        if upstream is None:
            text = f"no bot {bot} comes through this relay now; nothing was sent"
            return refusal(command.id, "UPSTREAM_DOWN", text)
        if not upstream.live:
            text = upstream.refused or upstream.link.detail or "it does not answer"
            text = f"no link from the relay to {upstream.label} ({text}); nothing was sent"
            return refusal(command.id, "UPSTREAM_DOWN", text)
        client = upstream.client
        if isinstance(client, FeedClient) and client.role != "control":
            return refusal(
                command.id,
                "UPSTREAM_ROLE",
                f"the relay may only look at {upstream.label}: give it a token with the role "
                "control for that feed (--token-file); nothing was sent",
            )
        there = next(name for name, here in upstream.bots.items() if here == bot)
        answered.set(_was_asked(command))
        result = await client.command(command.name, command.args, id=command.id, bot=there or None)
        error = result.error
        if error is not None and error.code == "OUTCOME_UNKNOWN":
            return await self._find(command, result)
        if error is not None and error.code in ("CONFIRM", "NOT_CONFIRMED"):
            text = f"{upstream.label} asks before {command.name}, which this relay does not know"
            return refusal(command.id, error.code, f"{text}; send it there. Nothing was done.")
        return result

    async def _find(self, command: Command, unknown: CommandResult) -> CommandResult:
        """Wait for the upstream's audit of a command whose answer was lost."""
        future: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        self._lost[command.id] = future
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FOUND_S):
                    return await future
        finally:
            self._lost.pop(command.id, None)
        return unknown

    def heard(self, audit: Wire) -> None:
        """An upstream told what became of a command."""
        result = result_of(audit)
        if result is None:
            return
        waiting = self._lost.get(result.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(result)
        else:
            self._relay.feed.commands.learn(result)


def result_of(audit: Wire) -> CommandResult | None:
    """The result in a ``COMMAND_AUDIT`` that tells one."""
    if audit.get("state", "done") == "given":
        return None
    fields: dict[str, Any] = {key: audit.get(key) for key in ("id", "ok", "result", "error")}
    try:
        return msgspec.convert({"type": "COMMAND_RESULT", **fields}, CommandResult)
    except msgspec.ValidationError:
        return None


def _was_asked(command: Command) -> bool:
    """Whether the relay has put the question for this command to its caller."""
    if command.name not in COMMANDS:
        return False
    try:
        return two_steps(parse(command.name, command.args))
    except BadCommand:
        return False
