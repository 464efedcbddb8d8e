"""Commands: each acts once, whoever repeats it, and everyone hears that it was given."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .protocol import Command, CommandAudit, CommandError, CommandResult, Event
from .wire import Refused, plain

log = logging.getLogger("mt5dash.feed")

Commander = Callable[[Command, str], Awaitable[CommandResult]]

REMEMBERED = 4096
DEADLINE_S = 30.0
ID_MAX = 128


def refusal(id: str, code: str, message: str) -> CommandResult:
    """A result that says no."""
    return CommandResult(id=id, ok=False, error=CommandError(code=code, message=message))


class Commands:
    """Runs commands through the one who acts, remembers their results by ``id``.

    Args:
        publish: Takes the audit event.
    """

    def __init__(self, publish: Callable[[Event], None]) -> None:
        self._publish = publish
        self._commander: Commander | None = None
        self._known: OrderedDict[str, tuple[tuple[Any, Any], asyncio.Task[CommandResult]]] = (
            OrderedDict()
        )
        self._earlier: OrderedDict[str, bool] = OrderedDict()

    def set_commander(self, commander: Commander | None) -> None:
        """Name the one who acts."""
        self._commander = commander

    def restore(self, audit: Mapping[str, Any]) -> None:
        """Remember a command that was carried out before this start, from its audit event."""
        if isinstance(audit.get("id"), str):
            self._earlier[audit["id"]] = bool(audit.get("ok"))
            while len(self._earlier) > REMEMBERED:
                self._earlier.popitem(last=False)

    async def execute(self, command: Command, actor: str) -> CommandResult:
        """Carry out a command, or give the first result of the same ``id`` again.

        Never raises for a refusal. A commander that takes longer than 30 s is not stopped;
        the answer then says that the outcome is not known.
        """
        if not command.id or len(command.id) > ID_MAX:
            return refusal(command.id[:ID_MAX], "BAD_ID", f"`id` has 1 to {ID_MAX} characters")
        if command.id in self._earlier:
            if self._earlier[command.id]:
                return CommandResult(id=command.id, ok=True, result={"repeated": True})
            return refusal(command.id, "REPEATED", "this command was refused before the restart")
        try:
            body = (command.name, plain(command.args))
        except Refused as error:
            return refusal(command.id, "MALFORMED", str(error))
        known = self._known.get(command.id)
        if known is None:
            task = asyncio.create_task(self._run(command, actor), name=f"command {command.name}")
            known = self._known[command.id] = (body, task)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        elif known[0] != body:
            return refusal(command.id, "ID_REUSED", "another command had this `id`")
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await asyncio.shield(known[1])
        except TimeoutError:
            return refusal(
                command.id, "OUTCOME_UNKNOWN", "no answer yet; the log tells when it is done"
            )

    async def _run(self, command: Command, actor: str) -> CommandResult:
        commander = self._commander
        if commander is None:
            result = refusal(command.id, "NO_COMMANDER", "nothing here carries out commands")
        else:
            try:
                result = await commander(command, actor)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.exception("command %s failed", command.name)
                result = refusal(command.id, "FAILED", f"{type(error).__name__}: {error}")
        self._publish(
            CommandAudit(
                id=command.id, name=command.name, args=command.args, actor=actor, ok=result.ok
            )
        )
        return result

    async def close(self) -> None:
        """Stop what still runs."""
        tasks = [task for _, task in self._known.values() if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=0.2)
