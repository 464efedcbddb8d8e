"""What is done at every observation: limits judged, trades followed, position rules applied."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from execution.account.observer import Observation, Observer
from execution.api.structs import TradePosition
from execution.api.terminal import TerminalError
from execution.transport.client import TerminalClient
from streamer.protocol.messages import Event, Limit, RiskMemory

from ..base import Setup
from ..risk import account
from ..risk.risk_limits import RiskLimits
from ..settings import RiskSettings, StrategySettings
from .executor import Executor
from .exit_rules import Action, Close, PositionView, decide
from .review import review
from .trade_book import TradeBook

log = logging.getLogger(__name__)

Level = Literal["info", "warning", "critical"]


ALL_CLEAR_TEXT = {
    "daily_loss": "the loss of the day stops trading no more: the server's next day has begun",
    "drawdown": "the drawdown stops trading no more: it was released and counts from here",
    "consecutive_losses": "the pause after losses in a row is over",
}
"""What is told when a limit lets go."""


class Bot(Protocol):
    """The part of the worker that the keeper works on."""

    client: TerminalClient
    observer: Observer
    settings: StrategySettings
    risk: RiskSettings
    risk_limits: RiskLimits
    book: TradeBook
    executor: Executor
    publish: Callable[[Event], None]
    memory: RiskMemory | None
    magic: int
    stopping: bool
    busy: asyncio.Lock

    @property
    def mode(self) -> str: ...
    @property
    def setups(self) -> Mapping[str, Setup]: ...
    def publish_status(self) -> None: ...
    def alert(
        self,
        code: str,
        text: str,
        level: Level = "warning",
        value: float | None = None,
        limit: float | None = None,
    ) -> None: ...


class PositionManager:
    """Keeps what stands: the account within its limits, the bot's positions by the rules."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._failing: set[int] = set()

    async def keep(self, seen: Observation) -> None:
        """One observation. A position that fails costs itself only.

        Raises:
            TerminalError: the history of the bot's trades cannot be read.
        """
        bot = self._bot
        self.judge(seen)
        if seen.server_time is None:
            return
        now = seen.server_time
        if not bot.book.restored:
            for trade in await bot.book.restore(bot.client, now):
                bot.publish(review(trade))
        for trade in await bot.book.update(bot.client, seen.positions, now):
            bot.publish(review(trade))
        bot.executor.forget(bot.book.trades)
        if bot.mode == "observe" or not bot.client.status.connected:
            return
        for position in seen.positions:
            if position.magic != bot.magic or bot.stopping:
                continue
            try:
                await self._apply(position, now)
            except TerminalError as error:
                log.info("position %d: %s", position.ticket, error)
            except Exception as error:
                log.exception("position %d", position.ticket)
                if position.ticket not in self._failing:
                    text = f"the rules failed on position {position.ticket}: {error!r}"
                    bot.alert("WORKER_ERROR", text, "critical")
                self._failing.add(position.ticket)
            else:
                self._failing.discard(position.ticket)

    async def _apply(self, position: TradePosition, now: float) -> None:
        """Ask the rules about one position and carry out what they say."""
        bot, held = self._bot, self.position_view(position)
        if held is None:
            return
        action: Action | None
        if self._must_flatten():
            action = Close(None, "risk limit")
        else:
            action = decide(held, now, bot.settings, await bot.client.spec(position.symbol))
        if action is not None:
            async with bot.busy:
                await bot.executor.apply(position.ticket, action, now)

    def position_view(self, position: TradePosition) -> PositionView | None:
        """The position as the rules see it; ``None`` while it is not followed."""
        setup = self._bot.setups.get(position.symbol)
        against = "SELL" if account.sign_of(position) > 0 else "BUY"
        turned = setup is not None and setup.trigger is not None and setup.direction == against
        return self._bot.book.position_view(
            position, math.nan if setup is None else setup.atr, turned
        )

    def _must_flatten(self) -> bool:
        return self._bot.risk.flatten_on_limit and any(
            block.gate in ("daily_loss", "drawdown") and block.value is not None
            for block in self._bot.risk_limits.blocks
        )

    def judge(self, seen: Observation) -> None:
        """Ask the risk desk; tell what has changed."""
        bot = self._bot
        memory, bot.memory = bot.memory, None
        if memory is not None and (memory.login, memory.server) == (
            seen.account.login,
            seen.account.server,
        ):
            bot.risk_limits.recall(memory)
        before = {block.gate for block in bot.risk_limits.blocks}
        # what only stopped because a figure was not known has nothing to tell when it goes
        hit = {block.gate for block in bot.risk_limits.blocks if block.value is not None}
        now = account.figures(seen, bot.magic, bot.observer.peak_equity)
        blocks = bot.risk_limits.judge(now, bot.book.losses())
        for block in blocks:
            if block.gate not in before and block.value is not None:
                level: Level = "warning" if block.gate == "consecutive_losses" else "critical"
                bot.alert(block.gate.upper(), block.text, level, block.value, block.limit)
        after = {block.gate for block in blocks}
        for gate in sorted(hit - after):
            bot.alert(gate.upper(), ALL_CLEAR_TEXT[gate], "info")
        if after != before:
            bot.publish_status()

    def limits(self, seen: Observation) -> dict[str, Limit]:
        """Judge the account as just observed; the distance to each limit, for its bar."""
        self.judge(seen)
        return dict(self._bot.risk_limits.limits)
