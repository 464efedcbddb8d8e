"""Orders: checked, sent exactly once, with an outcome that may be unknown but is never guessed.

The request is checked by the symbol's rules and by the terminal, the intent is stored, then the
request is sent once. An order with a lost answer is searched for
(:mod:`execution.orders.reconcile`), never sent again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from streamer.protocol.messages import Direction, Event

from ..api import constants as c
from ..api.retcodes import UNDECIDED, words
from ..api.structs import OrderSendResult, SymbolInfo, TradeOrder, TradePosition
from ..api.terminal import OutcomeUnknown, TerminalError
from ..settings import TerminalSettings
from ..transport.client import TerminalClient
from . import symbol_rules as rules
from .intents import By, Intent, Intents, IntentsError, comment_of, id_for, new_id
from .kinds import MARKET_TYPES, TYPES, Kind
from .sender import OrderOutcome, Sender

__all__ = ["OrderOutcome", "Orders"]

log = logging.getLogger(__name__)


class Orders:
    """Sends orders. One instance for a terminal; all of it on the loop.

    Publishes ``ORDER_UPDATE`` for market and closing orders and for every order that is
    rejected or unknown; pending orders are published by the observer, which sees all of them.
    """

    def __init__(
        self,
        client: TerminalClient,
        publish: Callable[[Event], None],
        settings: TerminalSettings,
        *,
        intents: Intents | None = None,
    ) -> None:
        self._client = client
        self._settings = settings
        self._sender = Sender(client, publish, settings, intents or Intents(settings.intents))

    @property
    def unknown(self) -> dict[str, Intent]:
        """Orders with an unknown outcome, by id: no new risk is taken on their symbols."""
        live = self._sender.intents.live
        return {id: intent for id, intent in live.items() if intent.state == "unknown"}

    @property
    def sent(self) -> Mapping[int, Intent]:
        """The orders of this run by ticket, the newest ones; grows while orders are sent."""
        return self._sender.sent

    async def run(self) -> None:
        """Search for orders that an earlier run left open, whenever the terminal is connected."""
        while True:
            await self._client.wait_connected()
            try:
                await self._sender.resume()
            except (IntentsError, TerminalError) as error:
                log.info("orders of an earlier run: %s", error)
            await asyncio.sleep(5.0)

    async def stop(self) -> None:
        """End the searches for lost answers and close the file of intents."""
        await self._sender.close()

    # -- requests -----------------------------------------------------------------------------

    async def open(
        self,
        symbol: str,
        direction: Direction,
        volume: float,
        sl: float | None = None,
        tp: float | None = None,
        comment: str = "",
        kind: Kind = "market",
        *,
        price: float | None = None,
        stop_limit: float | None = None,
        expiration: int | None = None,
        by: By = "strategy",
        key: str | None = None,
    ) -> OrderOutcome:
        """Open a position, or place a pending order at ``price``.

        Args:
            volume: Lots, rounded down to the symbol's step.
            sl, tp: Prices; ``None`` or 0 for none.
            comment: A note after our id; cut to what the terminal takes.
            stop_limit: For ``stop_limit``: the limit price placed once ``price`` is reached.
            expiration: Server time in epoch seconds at which a pending order ends.
            by: Whether strategy or operator asked for it.
            key: Names the request. Repeated with the same key, also by the next run of the
                program, it is not sent again; the first outcome is returned.
        """
        id = new_id(by) if key is None else id_for(by, key)
        if key is not None and (known := await self._sender.before(id)):
            return known
        type_ = TYPES[kind, direction]
        draft = Intent(
            id, "", kind, symbol, direction, float(volume), price or 0.0,
            sl or 0.0, tp or 0.0, self._settings.magic, 0, time.time(),
        )  # fmt: skip
        try:
            info = await self._client.symbol_info(symbol)
            request = self._opening(info, type_, draft, comment, price, stop_limit, expiration)
        except rules.RuleError as error:
            return self._sender.reject(draft, error.retcode, error.text)
        except TerminalError as error:
            return self._sender.reject(draft, None, str(error))
        return await self._sender.send(draft, info, request)

    async def close(
        self,
        ticket: int,
        volume: float | None = None,
        *,
        comment: str = "",
        by: By = "strategy",
        key: str | None = None,
        position: TradePosition | None = None,
    ) -> OrderOutcome:
        """Close a position, or ``volume`` lots of it, at the market.

        Args:
            by, key: As in :meth:`open`.
            position: The position, where the caller has read it just now; it is read otherwise.
        """
        id = new_id(by) if key is None else id_for(by, key)
        if key is not None and (known := await self._sender.before(id)):
            return known
        draft = Intent(
            id, "", "close", "", "BUY", volume or 0.0, 0.0, 0.0, 0.0,
            self._settings.magic, ticket, time.time(),
        )  # fmt: skip
        try:
            position = position or await self._position(ticket)
            if position is None:
                return _gone(ticket, c.TRADE_RETCODE_POSITION_CLOSED, "no open position")
            direction: Direction = "SELL" if position.type == c.POSITION_TYPE_BUY else "BUY"
            draft = replace(draft, symbol=position.symbol, direction=direction)
            info = await self._client.symbol_info(position.symbol)
            lots = position.volume if volume is None else rules.volume(info, volume)
            lots = min(lots, position.volume)
        except rules.RuleError as error:
            return self._sender.reject(draft, error.retcode, error.text)
        except TerminalError as error:
            return self._sender.reject(draft, None, str(error))
        draft = replace(draft, volume=lots)
        request = {
            "action": c.TRADE_ACTION_DEAL,
            "symbol": position.symbol,
            "type": TYPES["market", direction],
            "position": ticket,
            "volume": lots,
            "price": info.ask if direction == "BUY" else info.bid,
            "deviation": self._settings.deviation,
            "magic": self._settings.magic,
            "comment": comment_of(draft.id, comment),
            "type_time": c.ORDER_TIME_GTC,
        }
        return await self._sender.send(draft, info, request)

    async def modify(
        self,
        ticket: int,
        sl: float | None = None,
        tp: float | None = None,
        *,
        position: TradePosition | None = None,
    ) -> OrderOutcome:
        """Move a position's stops; ``None`` keeps one, 0 takes it away. Repeating it is safe,
        so a lost answer needs no search: the next poll shows the result. ``position`` as in
        :meth:`close`."""
        try:
            position = position or await self._position(ticket)
            if position is None:
                return _gone(ticket, c.TRADE_RETCODE_POSITION_CLOSED, "no open position")
            info = await self._client.symbol_info(position.symbol)
            new_sl = position.sl if sl is None else rules.price(info, sl)
            new_tp = position.tp if tp is None else rules.price(info, tp)
            if (new_sl, new_tp) == (position.sl, position.tp):
                return OrderOutcome(
                    "done", c.TRADE_RETCODE_NO_CHANGES, words(c.TRADE_RETCODE_NO_CHANGES)
                )
            rules.check_freeze(info, position.type == c.POSITION_TYPE_BUY, position.sl, position.tp)
            rules.check_stops(
                info,
                position.type,
                0.0,
                new_sl if new_sl != position.sl else 0.0,
                new_tp if new_tp != position.tp else 0.0,
            )
            result = await self._client.order_send(
                {
                    "action": c.TRADE_ACTION_SLTP,
                    "symbol": position.symbol,
                    "position": ticket,
                    "sl": new_sl,
                    "tp": new_tp,
                    "magic": position.magic,
                }
            )
        except (rules.RuleError, TerminalError, OutcomeUnknown) as error:
            return _failed(error)
        return _plain(result)

    async def cancel(self, order: int, *, pending: TradeOrder | None = None) -> OrderOutcome:
        """Cancel a pending order. Safe to repeat, like :meth:`modify`. ``pending`` is the order,
        where the caller has read it just now; it is read otherwise."""
        try:
            if pending is None:
                found = await self._client.orders_get(ticket=order)
                if not found:
                    return _gone(order, c.TRADE_RETCODE_INVALID_ORDER, "no pending order")
                pending = found[0]
            result = await self._client.order_send(
                {
                    "action": c.TRADE_ACTION_REMOVE,
                    "order": order,
                    "symbol": pending.symbol,
                    "magic": pending.magic,
                }
            )
        except (TerminalError, OutcomeUnknown) as error:
            return _failed(error)
        return _plain(result)

    # -- sending ------------------------------------------------------------------------------

    async def _position(self, ticket: int) -> TradePosition | None:
        found = await self._client.positions_get(ticket=ticket)
        return found[0] if found else None

    def _opening(
        self,
        info: SymbolInfo,
        type_: int,
        draft: Intent,
        note: str,
        price: float | None,
        stop_limit: float | None,
        expiration: int | None,
    ) -> dict[str, Any]:
        lots = rules.volume(info, draft.volume)
        sl, tp = rules.price(info, draft.sl), rules.price(info, draft.tp)
        market = type_ in MARKET_TYPES
        if market:
            at = info.ask if draft.direction == "BUY" else info.bid
        else:
            at = rules.price(info, price)
            rules.check_pending(info, type_, at)
        limit = rules.price(info, stop_limit)
        rules.check_stops(info, type_, limit or at, sl, tp)
        request: dict[str, Any] = {
            "action": c.TRADE_ACTION_DEAL if market else c.TRADE_ACTION_PENDING,
            "symbol": info.name,
            "type": type_,
            "volume": lots,
            "price": at,
            "sl": sl,
            "tp": tp,
            "deviation": self._settings.deviation,
            "magic": self._settings.magic,
            "comment": comment_of(draft.id, note),
            "type_time": c.ORDER_TIME_GTC,
        }
        if limit:
            request["stoplimit"] = limit
        if expiration:
            request |= {"type_time": c.ORDER_TIME_SPECIFIED, "expiration": expiration}
        return request


def _gone(ticket: int, retcode: int, what: str) -> OrderOutcome:
    return OrderOutcome("rejected", retcode, f"{what} has ticket {ticket}: {words(retcode)}")


def _failed(error: rules.RuleError | TerminalError | OutcomeUnknown) -> OrderOutcome:
    if isinstance(error, OutcomeUnknown):
        return OrderOutcome(
            "unknown",
            None,
            f"the answer was lost ({error.cause}); the next reading shows its effect",
        )
    retcode = error.retcode if isinstance(error, rules.RuleError) else None
    return OrderOutcome("rejected", retcode, str(error))


def _plain(result: OrderSendResult) -> OrderOutcome:
    text = words(result.retcode, result.comment)
    if result.retcode in {
        c.TRADE_RETCODE_DONE,
        c.TRADE_RETCODE_PLACED,
        c.TRADE_RETCODE_NO_CHANGES,
    }:
        return OrderOutcome("done", result.retcode, text, result.order or None)
    if result.retcode in UNDECIDED:
        return OrderOutcome("unknown", result.retcode, text)
    return OrderOutcome("rejected", result.retcode, text)
