"""Runs commands: each acts once however often it is repeated, and each is published as an audit.

A command is journalled and published before it acts, its result after. A restart does not lose
them: results are restored from the journal by the command's ``id``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from ..journal.writer import Journal, JournalError
from ..protocol.codec import EventRefused, decode, plain
from ..protocol.commands import (
    COMMANDS,
    SPARES_RISK,
    BadCommand,
    parse,
    refusal,
    refused,
    two_steps,
)
from ..protocol.messages import (
    Command,
    CommandAudit,
    CommandResult,
    Confirm,
    PendingOrder,
    Position,
)
from ..state.reducer import FeedState, bot_of
from .confirmations import Confirmations

__all__ = ["CommandDispatcher", "Commander", "refusal"]

log = logging.getLogger("mt5dash.feed")

Commander = Callable[[Command, str], Awaitable[CommandResult]]
"""Carries out a command: ``await commander(command, actor)``."""

REMEMBERED = 4096
KEPT_S = 7 * 86_400.0
"""How long the result of an ``id`` is kept, over restarts."""
DEADLINE_S = 30.0
"""Seconds to wait for a commander before the answer is OUTCOME_UNKNOWN."""
COMMIT_DEADLINE_S = 5.0
"""Seconds to wait until the command is in the journal."""
ID_MAX = 128
RANGE = 50_000
"""Events that one query searches for earlier commands."""


@dataclass(slots=True)
class _Known:
    """A command that was received: ``body`` is the hash of its content."""

    body: bytes
    task: asyncio.Task[CommandResult] | None = None
    result: CommandResult | None = None


def body_of(name: str, args: Any) -> bytes:
    """The hash of a command's content; the order of its arguments does not matter.

    Raises:
        EventRefused: an argument has no JSON form.
    """
    whole = msgspec.json.encode([name, plain(args)], order="deterministic")
    return blake2b(whole, digest_size=16).digest()


class CommandDispatcher:
    """Runs commands through the commander of their bot and keeps their results by ``id``.

    Args:
        publish: Publishes audit events: ``publish(event, bot=NAME)``, without ``bot`` for those of
            the feed's own bot.
        state: The state of the feed, for the text of confirmation questions.
        own: Name of the feed's own bot, which commands without a ``bot`` are for.
        clock: Monotonic seconds, for the age of questions.
    """

    def __init__(
        self,
        publish: Callable[..., None],
        state: FeedState | None = None,
        *,
        own: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.confirmations = Confirmations(clock)
        self._publish = publish
        self._state = state
        self._own = own
        self._commanders: dict[str, Commander] = {}
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._unwritten: dict[str, asyncio.Future[None]] = {}

    def set_commander(self, commander: Commander | None, bot: str | None = None) -> None:
        """Set the commander of a bot.

        Args:
            commander: Carries out commands; ``None``: its commands are refused from now on.
            bot: The bot; ``None``: the feed's own.
        """
        name = self._own if bot is None else bot
        if commander is None:
            self._commanders.pop(name, None)
        else:
            self._commanders[name] = commander

    def target(self, command: Command) -> str:
        """The bot that a command is for: the named one, the feed's own, or the only one.

        Raises:
            BadCommand: BOT (it must be named), NO_BOT (unknown), or OTHER_BOT (it takes no
                commands from this feed).
        """
        name = command.bot
        if not name and not self._own and self._state is not None:
            named = [state.name for state in self._state.each() if state.name]
            if len(named) > 1:
                raise BadCommand(
                    "BOT", f"say which bot is meant: `bot` is one of {', '.join(named)}"
                )
            name = named[0] if named else ""
        name = name or self._own
        if name in self._commanders or name == self._own:
            return name
        if self._state is not None and self._state.of(name) is not None:
            raise BadCommand(
                "OTHER_BOT",
                f"{name} only publishes here and takes no commands from this feed: send them to "
                "the feed of its own program",
            )
        raise BadCommand("NO_BOT", f"no bot {name[:40]!r} is known to this feed")

    def restore(self, audit: Mapping[str, Any]) -> None:
        """Restore the result of an earlier command from one of its audit events."""
        id, name, state = audit.get("id"), audit.get("name"), audit.get("state", "done")
        if not isinstance(id, str) or not isinstance(name, str) or state == "refused":
            return
        if state == "given":
            result = refusal(
                id,
                "OUTCOME_UNKNOWN",
                "given before the restart, and its result was not journalled; check positions "
                "and events, then send a new command if it is still wanted",
            )
        else:
            try:
                result = msgspec.convert(
                    {
                        "type": "COMMAND_RESULT",
                        "id": id,
                        "ok": audit.get("ok"),
                        "result": audit.get("result"),
                        "error": audit.get("error"),
                    },
                    CommandResult,
                )
            except msgspec.ValidationError as error:
                log.warning("the audit of command %s cannot be used: %s", id, error)
                return
        body = self._body(name, audit.get("args") or {}, bot_of(audit))
        self._remember(id, _Known(body, result=result))

    def learn(self, result: CommandResult) -> None:
        """Replace an OUTCOME_UNKNOWN result by the one that the feed of the bot published later."""
        known = self._known.get(result.id)
        if known is None or known.result is None or known.result.error is None:
            return
        if known.result.error.code == "OUTCOME_UNKNOWN":
            known.result = result

    async def restore_from(self, journal: Journal, seq: int, at: float) -> None:
        """Restore the commands of the last seven days.

        Args:
            journal: The opened journal.
            seq: The number of its newest event.
            at: Now, epoch seconds on the journal's clock.
        """
        audits: list[bytes] = []
        try:
            since = await journal.query("SELECT min(seq) FROM ev WHERE at >= ?", (at - KEPT_S,))
            first = since[0][0] or seq + 1
            while seq >= first and len(audits) < 2 * REMEMBERED:
                low = max(first, seq - RANGE + 1)
                audits += [
                    bytes(row[0])
                    for row in await journal.query(
                        "SELECT body FROM ev WHERE seq BETWEEN ? AND ? AND type='COMMAND_AUDIT' "
                        "ORDER BY seq DESC",
                        (low, seq),
                    )
                ]
                seq = low - 1
        except JournalError as error:
            log.error("not all earlier commands could be restored: %s", error)
        for raw in reversed(audits):
            self.restore(decode(raw))

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Resolve the waiter of a command once its audit event has been committed."""
        if event.get("type") == "COMMAND_AUDIT" and event.get("state") == "given":
            waiting = self._unwritten.get(str(event.get("id")))
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    async def execute(
        self, command: Command, actor: str, *, session: str | None = None
    ) -> CommandResult:
        """Carry out a command, or return the first result of the same ``id`` again.

        Never raises for a refusal. A commander that takes longer than 30 s is not stopped; the
        result is then OUTCOME_UNKNOWN.

        Args:
            command: The command; its ``bot`` is set to the bot that it is for.
            actor: The sender, for the audit.
            session: The connection that sent it; ``None`` for this process. The feed asks a
                client to confirm what cannot be undone (``Confirm``); a face in this process
                asks by itself.
        """
        if not command.id or len(command.id) > ID_MAX:
            return refusal(command.id[:ID_MAX], "BAD_ID", f"`id` has 1 to {ID_MAX} characters")
        wrong: BadCommand | None = None
        try:
            command.bot = self.target(command)
        except BadCommand as error:
            wrong = error
        try:
            body = self._body(command.name, command.args, command.bot or "")
        except EventRefused as error:
            return refusal(command.id, "MALFORMED", str(error))
        known = self._known.get(command.id)
        if known is None:
            try:
                if wrong is not None:
                    raise wrong
                asked = self._check(command, body, session)
            except BadCommand as error:
                answer = refused(command, error)
                self._audit(command, actor, "refused", answer)
                return answer
            if asked is not None:
                return asked
            task = asyncio.create_task(self._run(command, actor), name=f"command {command.name}")
            known = _Known(body, task)
            self._remember(command.id, known)
        elif known.body != body:
            return refusal(command.id, "ID_REUSED", "another command had this `id`")
        if known.result is not None:
            return known.result
        assert known.task is not None
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await asyncio.shield(known.task)
        except TimeoutError:
            return refusal(
                command.id, "OUTCOME_UNKNOWN", "no answer yet; the event log will have the result"
            )

    def _check(self, command: Command, body: bytes, session: str | None) -> CommandResult | None:
        """The confirmation question for a command, ``None`` when it needs none or is confirmed."""
        if command.name not in COMMANDS:
            return None  # a command of that bot's own: its commander checks it
        args = parse(command.name, command.args)
        if session is None or not two_steps(args):
            return None
        content = body + command.id.encode()
        if command.confirm is not None:
            self.confirmations.use(session, command.confirm, content)
            return None
        answer = refusal(
            command.id,
            "CONFIRM",
            f"{self._would_do(command)}. Repeat it unchanged with `confirm` to do it.",
        )
        answer.confirm = Confirm(
            nonce=self.confirmations.new(session, content),
            expires_s=self.confirmations.lifetime_s,
            text=self._would_do(command),
        )
        return answer

    def _would_do(self, command: Command) -> str:
        symbol, owner = command.args.get("symbol"), command.args.get("owner", "all")
        rows: tuple[Position, ...] = ()
        orders: tuple[PendingOrder, ...] = ()
        state = None if self._state is None else self._state.of(command.bot or self._own)
        if state is not None:
            rows, orders = state.typed.positions, state.typed.orders

        def wanted(row: Position | PendingOrder) -> bool:
            mine = owner == "all" or row.owner == "bot"
            return mine and symbol in (None, row.symbol)

        meant = [row for row in rows if wanted(row)]
        shown = ", ".join(
            f"{row.symbol or '?'} {row.direction or '?'} {row.volume}" for row in meant[:5]
        )
        if len(meant) > 5:
            shown += f" and {len(meant) - 5} more"
        text = f"closes {len(meant)} position{'' if len(meant) == 1 else 's'}"
        text += f" ({shown})" if shown else ""
        pending = sum(map(wanted, orders))
        text += f" and cancels {pending} pending order{'' if pending == 1 else 's'}"
        return f"stops new trades, {text}" if command.name == "halt" else text

    def _remember(self, id: str, known: _Known) -> None:
        self._known[id] = known
        self._known.move_to_end(id)
        while len(self._known) > REMEMBERED:
            oldest = next(iter(self._known))
            if self._known[oldest].result is None:
                break  # it is still running
            del self._known[oldest]

    async def _run(self, command: Command, actor: str) -> CommandResult:
        commander = self._commanders.get(command.bot or self._own)
        if commander is None:
            result = refusal(command.id, "NO_COMMANDER", "nothing here carries out commands")
        elif not await self._written(command, actor):
            result = refusal(
                command.id,
                "JOURNAL",
                "not done: the journal cannot be written, and only commands that reduce risk "
                "act without it. See the health page.",
            )
        else:
            try:
                result = await commander(command, actor)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.exception("command %s failed", command.name)
                result = refusal(command.id, "FAILED", f"{type(error).__name__}: {error}")
        known = self._known.get(command.id)
        if known is not None:
            known.result = result
        self._audit(command, actor, "done", result)
        return result

    async def _written(self, command: Command, actor: str) -> bool:
        """Journal the command; False when it is not on disk and must not act without that."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unwritten[command.id] = written
        try:
            self._audit(command, actor, "given")
            with suppress(TimeoutError):
                async with asyncio.timeout(COMMIT_DEADLINE_S):
                    await written
                return True
        finally:
            del self._unwritten[command.id]
        if command.name not in SPARES_RISK:
            return False
        log.warning("command %s by %s acts before it is journalled", command.name, actor)
        return True

    def _body(self, name: str, args: Any, bot: str) -> bytes:
        """``body_of``, with the bot unless it is the feed's own."""
        return body_of(name, args if bot in ("", self._own) else [bot, args])

    def _audit(
        self,
        command: Command,
        actor: str,
        state: Literal["given", "done", "refused"],
        result: CommandResult | None = None,
    ) -> None:
        audit = CommandAudit(
            id=command.id,
            name=command.name,
            args=command.args,
            actor=actor,
            ok=None if result is None else result.ok,
            state=state,
            result=UNSET if result is None or result.result is None else result.result,
            error=UNSET if result is None or result.error is None else result.error,
        )
        bot = command.bot or self._own
        if bot != self._own and self._state is not None and self._state.of(bot) is not None:
            self._publish(audit, bot=bot)
        else:
            self._publish(audit)

    async def close(self) -> None:
        """Cancel the commands that still run."""
        tasks = [known.task for known in self._known.values() if known.task is not None]
        tasks = [task for task in tasks if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=0.2)
