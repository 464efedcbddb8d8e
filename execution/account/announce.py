"""Makes the events of deals, stops and pending orders, with money and reason. Publishes nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from streamer.protocol.messages import (
    Event,
    OrderUpdate,
    PositionClosed,
    PositionModified,
    PositionOpened,
    RiskAlert,
    TradeExecution,
)

from ..api import constants as c
from ..api.structs import TradeDeal, TradeOrder, TradePosition
from ..orders.intents import Intent, by_of, id_in
from ..orders.kinds import KINDS
from ..transport.clock import ServerClock
from . import shapes
from .lifecycle import BOOKINGS, Change, CloseReason, Life, close_reason, moment
from .pending import OrderStep

log = logging.getLogger(__name__)

NOT_WORDED = "NOT_WORDED"
"""Code of the ``RISK_ALERT`` that carries the raw fields of a thing that has no event."""


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
    """Makes the events of positions and orders.

    No method raises for what a terminal answers: a thing that cannot be worded becomes a
    ``RISK_ALERT`` with its raw fields, because a caller that counts it must publish it.
    """

    def __init__(self, clock: ServerClock, magic: int, sent: Mapping[int, Intent]) -> None:
        self._clock = clock
        self._sent = sent
        self._magic = magic
        self.why: dict[int, TradeReason] = {}
        """By order ticket."""

    def order_steps(self, steps: Iterable[OrderStep]) -> list[Event]:
        """``ORDER_UPDATE`` of pending orders."""
        events: list[Event] = []
        for step in steps:
            events += _worded(
                partial(self._order_step, step),
                f"the order {step.order.ticket}",
                step.order,
            )
        return events

    def deal(
        self, deal: TradeDeal, changes: Iterable[Change], reading: Reading, point: float | None
    ) -> list[Event]:
        """The events of one deal: those of its changes.

        A deal that is neither a booking nor changed a known position becomes a ``RISK_ALERT``
        with its raw fields.
        """
        changes = list(changes)
        if not changes and deal.type not in BOOKINGS:
            return [_raw(f"the deal {deal.ticket}", deal)]
        events: list[Event] = []
        for change in changes:
            events += _worded(
                partial(self._changed, change, reading, point),
                f"the deal {deal.ticket} ({change.what} {change.life.ticket})",
                deal,
            )
        return events

    def stop_change(self, old: TradePosition, new: TradePosition, life: Life | None) -> list[Event]:
        """``POSITION_MODIFIED`` for a stop loss or take profit that was moved."""
        return _worded(
            partial(self._stop_change, old, new, life), f"the stops of {new.ticket}", new
        )

    def _order_step(self, step: OrderStep) -> list[Event]:
        order = step.order
        kind, direction = KINDS[order.type]
        done = round(order.volume_initial - order.volume_current, 8)
        event = OrderUpdate(
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
        return [event]

    def _changed(self, change: Change, reading: Reading, point: float | None) -> list[Event]:
        if change.what == "opened":
            return [self._execution(change, reading, point), self._opened(change, reading)]
        if change.what == "enlarged":
            return [self._execution(change, reading, point), self._resized(change, reading)]
        if change.what == "closed":
            return [self._closed(change, reading)]
        return [self._resized(change, reading)]

    def _stop_change(
        self, old: TradePosition, new: TradePosition, life: Life | None
    ) -> list[Event]:
        event = PositionModified(
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
        return [event]

    def _execution(self, change: Change, reading: Reading, point: float | None) -> TradeExecution:
        deal, life = change.deal, change.life
        why = self.why.get(deal.order, TradeReason())
        sl, tp = _stops(change, reading)
        asked = self._asked(deal, reading.orders.get(deal.order))
        slippage = None
        if asked and point:
            worse = deal.price - asked if life.buy else asked - deal.price
            slippage = round(worse / point, 1)
        return TradeExecution(
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

    def _opened(self, change: Change, reading: Reading) -> PositionOpened:
        deal, life = change.deal, change.life
        why = self.why.get(deal.order, TradeReason())
        sl, tp = _stops(change, reading)
        risk = reading.risks.get(life.ticket)
        return PositionOpened(
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

    def _resized(self, change: Change, reading: Reading) -> PositionModified:
        deal, life = change.deal, change.life
        grown = change.what == "enlarged"
        sl, tp = _stops(change, reading)
        gain = deal.profit + deal.swap + deal.commission + deal.fee
        return PositionModified(
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

    def _closed(self, change: Change, reading: Reading) -> PositionClosed:
        deal, life = change.deal, change.life
        known = not life.partial
        risk = reading.risks.get(life.ticket)
        net = life.profit + life.swap + life.commission
        return PositionClosed(
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


def not_published(event: Event) -> RiskAlert:
    """The ``RISK_ALERT`` for an event that the feed refused, with the event's own fields."""
    return _alert(f"the event {event.__struct_config__.tag}", msgspec.structs.asdict(event))


def _worded(make: Callable[[], list[Event]], what: str, raw: Any) -> list[Event]:
    """The events, or the raw fields of ``raw`` (a NamedTuple) where ``make`` raises."""
    try:
        return make()
    except Exception:
        # A broker's terminal may answer numbers that are not in its documentation, and a thing
        # that is counted without being published is lost for ever.
        log.exception("%s has no event", what)
        return [_raw(what, raw)]


def _raw(what: str, raw: Any) -> RiskAlert:
    return _alert(what, raw._asdict())


def _alert(what: str, fields: dict[str, Any]) -> RiskAlert:
    text = json.dumps(fields, default=str)
    log.warning("%s is published as it is: %s", what, text)
    return RiskAlert(code=NOT_WORDED, level="warning", text=f"{what} is published as it is: {text}")


def _stops(change: Change, reading: Reading) -> tuple[float | None, float | None]:
    """Stops of the position now, or of the order that opened it when it is gone already."""
    position = reading.positions.get(change.life.identifier)
    if position is not None:
        return position.sl, position.tp
    order = reading.orders.get(change.deal.order)
    if order is not None and change.what in {"opened", "enlarged"}:
        return order.sl, order.tp
    return None, None
