"""The account's deals: the new ones, their effect on positions, the money realised today."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from ..api.structs import TradeDeal, TradePosition
from ..api.terminal import TerminalError
from ..orders.intents import Mark
from ..orders.reconcile import LATEST
from ..transport.backend import Call
from ..transport.client import TerminalClient
from ..transport.clock import DAY, midnight
from .lifecycle import PositionBook, moment, order_of, realised

OVERLAP_S = 60
"""Deals are read again from a little before the newest one."""


class DealHistory:
    """Reads an account's deals and keeps the :class:`execution.account.lifecycle.PositionBook` of them."""

    def __init__(self, client: TerminalClient) -> None:
        self.book = PositionBook()
        self._client = client
        self._newest = 0.0
        self._mark: Mark = (0, 0)
        self._day: int | None = None
        self._today: dict[int, float] = {}

    @property
    def realised_today(self) -> float | None:
        """Money realised since the server's midnight; ``None`` while its clock is unknown."""
        return None if self._day is None else sum(self._today.values())

    @property
    def mark(self) -> Mark:
        """The newest deal that was published."""
        return self._mark

    async def begin(
        self, positions: Sequence[TradePosition], now: float | None, since: Mark | None = None
    ) -> None:
        """Read the past: the deals so far, and the history of each open position.

        Deals after ``since`` (the newest one that an earlier run published) are new to the next
        reading; without ``since`` nothing of the past is published.
        """
        start = int(time.time() - 15 * 3600 if now is None else now) - 2 * DAY
        if since is not None:
            start = min(start, since[0] // 1000 - OVERLAP_S)
        past = await self._client.history_deals_get(max(start, 1), _end(now))
        later = {deal.ticket for deal in past if since is not None and order_of(deal) > since}
        known = [deal for deal in past if deal.ticket not in later]
        self.book.skip(known)
        self._mark = max(map(order_of, known), default=since or (start * 1000, 0))
        self._newest = self._mark[0] / 1000
        open_now = {position.identifier or position.ticket: position for position in positions}
        moved = {deal.position_id for deal in past if deal.ticket in later and deal.position_id}
        identifiers = sorted(open_now.keys() | moved)
        calls: list[Call] = [("history_deals_get", (), {"position": i}) for i in identifiers]
        for identifier, deals in zip(identifiers, await self._client.batch(calls), strict=True):
            life = None
            if not isinstance(deals, TerminalError):
                # Deals after the reading above are new to the next poll, not history.
                own = PositionBook()
                own.seed(d for d in deals if d.ticket in self.book.seen or moment(d) < start)
                life = own.lives.get(identifier)
            position = open_now.get(identifier)
            if identifier in moved:
                if life is not None:
                    self.book.lives[identifier] = life
            elif position is not None:
                if life is None or abs(life.volume - position.volume) > 1e-6:
                    self.book.adopt(position)
                else:
                    life.ticket = position.ticket
                    self.book.lives[identifier] = life

    def window(self, now: float | None) -> tuple[int, int]:
        """The server times between which deals are read: from a little before the newest to well
        after now, because the server's clock is not ours."""
        return max(int(self._newest) - OVERLAP_S, 1), _end(now)

    def news(self, deals: Iterable[TradeDeal]) -> list[TradeDeal]:
        """The deals that were not counted yet."""
        fresh = [deal for deal in deals if deal.ticket not in self.book.seen]
        for deal in fresh:
            if self._day is not None and moment(deal) >= self._day:
                self._today[deal.ticket] = realised(deal)
        return fresh

    def count(self, deals: Iterable[TradeDeal], book: PositionBook) -> None:
        """Note that these deals are published; ``book`` is the state after them."""
        self.book = book
        for deal in deals:
            self._newest = max(self._newest, moment(deal))
            self._mark = max(self._mark, order_of(deal))
        self.book.forget(self._newest - DAY)

    async def roll(self, now: float | None) -> None:
        """Start a new server day when its time has come."""
        if now is None or midnight(now) == self._day:
            return
        day = midnight(now)
        deals = await self._client.history_deals_get(max(day, 1), _end(now))
        self._today = {deal.ticket: realised(deal) for deal in deals if moment(deal) >= day}
        self._day = day


def _end(now: float | None) -> int:
    return min(int(max(time.time(), now or 0.0)) + 2 * DAY, LATEST)
