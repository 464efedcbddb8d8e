"""The account's deals: which are new, what they did to positions, what was realised today."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from .backend import Call
from .client import TerminalClient
from .clock import DAY, midnight
from .lifecycle import Book, moment, realised
from .reconcile import LATEST
from .structs import TradeDeal, TradePosition
from .terminal import TerminalError

OVERLAP_S = 60
"""Deals are read again from a little before the newest one."""


class History:
    """Reads an account's deals and keeps the :class:`execution.lifecycle.Book` of them."""

    def __init__(self, client: TerminalClient) -> None:
        self.book = Book()
        self._client = client
        self._newest = 0.0
        self._day: int | None = None
        self._today: dict[int, float] = {}

    @property
    def realised_today(self) -> float | None:
        """Money realised since the server's midnight; ``None`` while its clock is not known."""
        return None if self._day is None else sum(self._today.values())

    async def begin(self, positions: Sequence[TradePosition], now: float | None) -> None:
        """Take note of all that was before, and of how each open position came to be."""
        start = int(time.time() - 15 * 3600 if now is None else now) - 2 * DAY
        past = await self._client.history_deals_get(max(start, 1), _end(now))
        self.book.skip(past)
        self._newest = max((moment(deal) for deal in past), default=float(start))
        calls: list[Call] = [
            ("history_deals_get", (), {"position": position.identifier or position.ticket})
            for position in positions
        ]
        for position, deals in zip(positions, await self._client.batch(calls), strict=True):
            life = None
            if not isinstance(deals, TerminalError):
                # What came after the reading above is news for the next poll, not history.
                known = [d for d in deals if d.ticket in self.book.seen or moment(d) < start]
                own = Book()
                own.seed(known)
                life = own.lives.get(position.identifier or position.ticket)
            if life is None or abs(life.volume - position.volume) > 1e-6:
                self.book.adopt(position)
            else:
                life.ticket = position.ticket
                self.book.lives[life.identifier] = life

    def window(self, now: float | None) -> tuple[int, int]:
        """From when to when to ask for deals: a little before the newest, to well after now,
        because the server's clock is not ours."""
        return max(int(self._newest) - OVERLAP_S, 1), _end(now)

    def news(self, deals: Iterable[TradeDeal]) -> list[TradeDeal]:
        """Deals that were not counted yet."""
        fresh = [deal for deal in deals if deal.ticket not in self.book.seen]
        for deal in fresh:
            if self._day is not None and moment(deal) >= self._day:
                self._today[deal.ticket] = realised(deal)
        return fresh

    def count(self, deals: Iterable[TradeDeal], book: Book) -> None:
        """These deals were told; ``book`` is what they led to."""
        self.book = book
        for deal in deals:
            self._newest = max(self._newest, moment(deal))
        self.book.forget(self._newest - DAY)

    async def roll(self, now: float | None) -> None:
        """Begin a new server day when there is one."""
        if now is None or midnight(now) == self._day:
            return
        day = midnight(now)
        deals = await self._client.history_deals_get(max(day, 1), _end(now))
        self._today = {deal.ticket: realised(deal) for deal in deals if moment(deal) >= day}
        self._day = day


def _end(now: float | None) -> int:
    return min(int(max(time.time(), now or 0.0)) + 2 * DAY, LATEST)
