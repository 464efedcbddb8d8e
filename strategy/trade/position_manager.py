"""Follows the bot's trades and applies the position rules, at each observation."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping

from execution.account.observer import Observation
from execution.api.structs import TradePosition
from execution.api.terminal import TerminalError
from execution.transport.client import TerminalClient
from streamer.protocol.messages import Event, RiskAlert

from ..base import Setup
from ..risk import account
from ..settings import StrategySettings
from .executor import Executor
from .exit_rules import Action, Close, PositionView, decide
from .review import review
from .trade_book import TradeBook

log = logging.getLogger(__name__)


class PositionManager:
    """Manages the open positions of one bot. ``stop()`` lets no further rule act.

    Args:
        publish: Gets a ``CRITIC_REVIEW`` for each trade that closed, and ``RISK_ALERT`` when
            the rules fail on a position.
        applies_rules: ``False`` while the bot only observes: trades are followed, no rule acts.
        must_flatten: Whether all positions are to be closed because a risk limit is hit.
        setups: The newest set-up by symbol; the rules read ATR and direction from it.
        order_lock: Held while a rule's order is on its way; the worker shares it.
    """

    def __init__(
        self,
        client: TerminalClient,
        book: TradeBook,
        executor: Executor,
        publish: Callable[[Event], None],
        *,
        settings: StrategySettings,
        applies_rules: bool,
        must_flatten: Callable[[], bool],
        setups: Mapping[str, Setup],
        order_lock: asyncio.Lock,
    ) -> None:
        self._client, self._book, self._executor = client, book, executor
        self._publish, self._settings, self._setups = publish, settings, setups
        self._applies_rules, self._must_flatten = applies_rules, must_flatten
        self._order_lock = order_lock
        self._failing: set[int] = set()
        self._stopping = False

    def stop(self) -> None:
        """Apply no further rule."""
        self._stopping = True

    async def manage(self, seen: Observation) -> None:
        """Take in one observation. A position that fails does not keep the others from being
        managed. Nothing is done while the server's time is unknown.

        Raises:
            TerminalError: the history of the bot's trades cannot be read.
        """
        now, book = seen.server_time, self._book
        if now is None:
            return
        if not book.restored:
            for trade in await book.restore(self._client, now):
                self._publish(review(trade))
        for trade in await book.update(self._client, seen.positions, now):
            self._publish(review(trade))
        self._executor.forget(book.trades)
        if not self._applies_rules or not self._client.status.connected:
            return
        for position in seen.positions:
            if position.magic != book.magic or self._stopping:
                continue
            try:
                await self._apply(position, now)
            except TerminalError as error:
                log.info("position %d: %s", position.ticket, error)
            except Exception as error:
                log.exception("position %d", position.ticket)
                if position.ticket not in self._failing:
                    text = f"the rules failed on position {position.ticket}: {error!r}"
                    self._publish(RiskAlert(code="WORKER_ERROR", level="critical", text=text))
                self._failing.add(position.ticket)
            else:
                self._failing.discard(position.ticket)

    def position_view(self, position: TradePosition) -> PositionView | None:
        """The position as the rules read it; ``None`` while its trade is not followed yet."""
        setup = self._setups.get(position.symbol)
        against = "SELL" if account.sign_of(position) > 0 else "BUY"
        turned = setup is not None and setup.trigger is not None and setup.direction == against
        atr = math.nan if setup is None else setup.atr
        return self._book.position_view(position, atr, turned)

    async def _apply(self, position: TradePosition, now: float) -> None:
        """Ask the rules about one position and carry out their action."""
        view = self.position_view(position)
        if view is None:
            return
        action: Action | None
        if self._must_flatten():
            action = Close(None, "risk limit")
        else:
            info = await self._client.spec(position.symbol)
            action = decide(view, now, self._settings, info)
        if action is not None:
            async with self._order_lock:
                await self._executor.apply(position.ticket, action, now)
