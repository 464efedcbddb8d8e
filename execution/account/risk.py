"""Money at risk of each position: at its present stop, and at its first stop."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..api import constants as c
from ..api.structs import TradeOrder, TradePosition
from ..transport.backend import Call
from ..transport.client import TerminalClient
from .announce import Reading, TradeReason
from .lifecycle import Change, Life

FRESH_S = 60.0
"""The conversion to the account's currency moves: a figure is worked out again after this."""


class _AtStop(NamedTuple):
    key: tuple[float, float, float]
    at: float
    money: float | None


class Risks:
    """Money at the stop, worked out by the terminal
    (``order_calc_profit``), so that it is right for every kind of symbol."""

    def __init__(self, client: TerminalClient) -> None:
        self.initial: dict[int, float] = {}
        """Money that the first stop put at risk, positive, by the position's ticket."""
        self._client = client
        self._now: dict[int, _AtStop] = {}

    def at_stop(self, identifier: int) -> float | None:
        """Money if the stop is hit now, by the position's identifier: negative lost, positive
        locked in; ``None`` without a stop."""
        known = self._now.get(identifier)
        return None if known is None else known.money

    async def first(self, lives: Mapping[int, Life]) -> None:
        """Initial risks of positions opened before the program: from the order that opened each."""
        asked = [life for life in lives.values() if life.opening_order]
        answers = await self._client.batch(
            [("history_orders_get", (), {"ticket": life.opening_order}) for life in asked]
        )
        calls: list[Call] = []
        owners: list[int] = []
        for life, found in zip(asked, answers, strict=True):
            order = found[0] if isinstance(found, tuple) and found else None
            if isinstance(order, TradeOrder) and order.sl:
                calls.append(
                    _profit(life.buy, life.symbol, life.entered, life.entry_price, order.sl)
                )
                owners.append(life.ticket)
        await self._note(owners, calls)

    async def opened(
        self, changes: Iterable[Change], reading: Reading, why: Mapping[int, TradeReason]
    ) -> None:
        """Initial risks of positions that these changes opened."""
        calls: list[Call] = []
        owners: list[int] = []
        for change in changes:
            life, deal = change.life, change.deal
            if change.what != "opened":
                continue
            given = why.get(deal.order)
            if given is not None and given.initial_risk:
                self.initial[life.ticket] = given.initial_risk
                continue
            order = reading.orders.get(deal.order)
            position = reading.positions.get(life.identifier)
            sl = (order.sl if order else 0.0) or (position.sl if position else 0.0)
            if sl:
                calls.append(_profit(life.buy, life.symbol, life.volume, life.entry_price, sl))
                owners.append(life.ticket)
        await self._note(owners, calls)

    async def update(self, positions: Iterable[TradePosition]) -> None:
        """Work out the risk of positions that changed since the last reading."""
        now = time.monotonic()
        calls: list[Call] = []
        asked: list[tuple[int, int, tuple[float, float, float]]] = []
        alive = set()
        for position in positions:
            identifier = position.identifier or position.ticket
            alive.add(identifier)
            key = (position.sl, position.volume, position.price_open)
            known = self._now.get(identifier)
            if not position.sl:
                self._now.pop(identifier, None)
            elif known is None or known.key != key or now - known.at > FRESH_S:
                buy = position.type == c.POSITION_TYPE_BUY
                calls.append(
                    _profit(buy, position.symbol, position.volume, position.price_open, position.sl)
                )
                asked.append((identifier, position.ticket, key))
        answers = await self._client.batch(calls)
        for (identifier, ticket, key), money in zip(asked, answers, strict=True):
            value = float(money) if isinstance(money, float | int) else None
            self._now[identifier] = _AtStop(key, now, value)
            if value is not None and value < 0:
                self.initial.setdefault(ticket, -value)
        for gone in self._now.keys() - alive:
            del self._now[gone]

    def drop(self, alive: Iterable[int]) -> None:
        """Forget all but these tickets: the others are closed and published."""
        for gone in self.initial.keys() - set(alive):
            del self.initial[gone]

    async def _note(self, owners: list[int], calls: list[Call]) -> None:
        for identifier, money in zip(owners, await self._client.batch(calls), strict=True):
            if isinstance(money, float | int) and money < 0:
                self.initial[identifier] = -float(money)


def _profit(buy: bool, symbol: str, volume: float, entry: float, stop: float) -> Call:
    action = c.ORDER_TYPE_BUY if buy else c.ORDER_TYPE_SELL
    return "order_calc_profit", (action, symbol, float(volume), float(entry), float(stop)), {}
