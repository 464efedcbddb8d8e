"""Publishes the events of deals, stops and pending orders: once each, with money and reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from streamer.protocol.messages import (
    Event,
    OrderUpdate,
    PositionClosed,
    PositionModified,
    PositionOpened,
    TradeExecution,
)

from ..api import constants as c
from ..api.structs import TradeDeal, TradeOrder, TradePosition
from ..orders.intents import Intent, by_of, id_in
from ..orders.kinds import KINDS
from ..transport.clock import ServerClock
from . import shapes
from .lifecycle import Change, CloseReason, Life, close_reason, moment
from .pending import OrderStep


@dataclass(frozen=True, slots=True)
class TradeReason:
    """What justified an order of the bot."""

    score: float | None = None
    components: dict[str, float] | None = None
    initial_risk: float | None = None


@dataclass(slots=True)
class Reading:
    """What the events of one poll need beside the change itself."""

    positions: Mapping[int, TradePosition]
    """By identifier."""
    orders: Mapping[int, TradeOrder]
    """Orders that the new deals belong to, by ticket."""
    risks: Mapping[int, float]
    """Initial risk by ticket."""


class Announcer:
    """Publishes the events of positions and orders."""

    def __init__(
        self,
        clock: ServerClock,
        publish: Callable[[Event], None],
        magic: int,
        sent: Mapping[int, Intent],
    ) -> None:
        self._clock = clock
        self._publish = publish
        self._sent = sent
        self._magic = magic
        self.why: dict[int, TradeReason] = {}
        """By order ticket."""

    def publish_pending_steps(self, steps: Iterable[OrderStep]) -> None:
        """``ORDER_UPDATE`` of pending orders."""
        for step in steps:
            order = step.order
            kind, direction = KINDS[order.type]
            done = round(order.volume_initial - order.volume_current, 8)
            self._publish(
                OrderUpdate(
                    order=order.ticket,
                    symbol=order.symbol,
                    direction=direction,
                    kind=kind,
                    status=step.status,
                    volume=order.volume_initial,
                    filled=done,
                    price=order.price_open,
                    sl=order.sl or None,
                    tp=order.tp or None,
                    reason=step.reason or (None if id_in(order.comment) else order.comment or None),
                    owner=shapes.owner(order.magic, self._magic),
                )
            )

    def publish_deal(self, change: Change, reading: Reading, point: float | None) -> None:
        """The events of one deal."""
        if change.what in {"opened", "enlarged"}:
            self._execution(change, reading, point)
        if change.what == "opened":
            self._opened(change, reading)
        elif change.what == "closed":
            self._closed(change, reading)
        else:
            self._resized(change, reading)

    def publish_stop_change(
        self, old: TradePosition, new: TradePosition, life: Life | None
    ) -> None:
        """``POSITION_MODIFIED`` for a stop loss or take profit that was moved."""
        self._publish(
            PositionModified(
                ticket=new.ticket,
                symbol=new.symbol,
                direction=shapes.side(new.type == c.POSITION_TYPE_BUY),
                volume=new.volume,
                entry_price=new.price_open,
                sl_price=new.sl,
                tp_price=new.tp,
                old_sl_price=old.sl,
                old_tp_price=old.tp,
                owner=shapes.owner(new.magic if life is None else life.magic, self._magic),
            )
        )

    def _execution(self, change: Change, reading: Reading, point: float | None) -> None:
        deal, life = change.deal, change.life
        why = self.why.get(deal.order, TradeReason())
        sl, tp = _stops(change, reading)
        asked = self._asked(deal, reading.orders.get(deal.order))
        slippage = None
        if asked and point:
            worse = deal.price - asked if life.buy else asked - deal.price
            slippage = round(worse / point, 1)
        self._publish(
            TradeExecution(
                symbol=deal.symbol,
                direction=shapes.side(life.buy),
                price=deal.price,
                lot=change.volume,
                ticket=life.ticket,
                order=deal.order or None,
                deal=deal.ticket,
                sl=sl,
                tp=tp,
                score=why.score,
                slippage=slippage,
                owner=shapes.owner(life.magic, self._magic),
            )
        )

    def _opened(self, change: Change, reading: Reading) -> None:
        deal, life = change.deal, change.life
        why = self.why.get(deal.order, TradeReason())
        sl, tp = _stops(change, reading)
        risk = reading.risks.get(life.ticket)
        self._publish(
            PositionOpened(
                ticket=life.ticket,
                symbol=life.symbol,
                direction=shapes.side(life.buy),
                volume=life.volume,
                entry_price=life.entry_price,
                sl_price=sl,
                tp_price=tp,
                opened_at=self._clock.iso(life.opened),
                owner=shapes.owner(life.magic, self._magic),
                score=why.score,
                components=why.components,
                initial_risk=None if risk is None else round(risk, 2),
            )
        )

    def _resized(self, change: Change, reading: Reading) -> None:
        deal, life = change.deal, change.life
        grown = change.what == "enlarged"
        sl, tp = _stops(change, reading)
        gain = deal.profit + deal.swap + deal.commission + deal.fee
        self._publish(
            PositionModified(
                ticket=life.ticket,
                symbol=life.symbol,
                direction=shapes.side(life.buy),
                volume=life.volume,
                entry_price=life.entry_price,
                sl_price=sl,
                tp_price=tp,
                old_volume=round(life.volume - change.volume * (1 if grown else -1), 8),
                profit=None if grown else round(gain, 2),
                owner=shapes.owner(life.magic, self._magic),
                reason=None if grown else self._reason(deal),
            )
        )

    def _closed(self, change: Change, reading: Reading) -> None:
        deal, life = change.deal, change.life
        known = not life.partial
        risk = reading.risks.get(life.ticket)
        net = life.profit + life.swap + life.commission
        self._publish(
            PositionClosed(
                ticket=life.ticket,
                symbol=life.symbol,
                direction=shapes.side(life.buy),
                volume=life.entered,
                entry_price=life.entry_price,
                exit_price=life.exit_price,
                profit=round(life.profit, 2),
                swap=round(life.swap, 2),
                commission=round(life.commission, 2) if known else None,
                r_multiple=round(net / risk, 3) if risk else None,
                duration_s=round(moment(deal) - life.opened, 3),
                close_reason=self._reason(deal),
                opened_at=self._clock.iso(life.opened),
                closed_at=self._clock.iso(moment(deal)),
                owner=shapes.owner(life.magic, self._magic),
            )
        )

    def _asked(self, deal: TradeDeal, order: TradeOrder | None) -> float | None:
        """The price that was asked for, where that is known."""
        intent = self._sent.get(deal.order)
        if intent is not None:
            return intent.price or None
        if order is not None and order.type not in (c.ORDER_TYPE_BUY, c.ORDER_TYPE_SELL):
            return order.price_stoplimit or order.price_open or None
        return None

    def _reason(self, deal: TradeDeal) -> CloseReason:
        intent = self._sent.get(deal.order)
        id = intent.id if intent is not None else id_in(deal.comment)
        by = None if id is None else by_of(id)
        return close_reason(deal, deal.magic == self._magic, by)


def _stops(change: Change, reading: Reading) -> tuple[float | None, float | None]:
    """Stops of the position now, or of the order that opened it when it is gone already."""
    position = reading.positions.get(change.life.identifier)
    if position is not None:
        return position.sl, position.tp
    order = reading.orders.get(change.deal.order)
    if order is not None and change.what in {"opened", "enlarged"}:
        return order.sl, order.tp
    return None, None
