"""Trade requests on the paper server: check, carry out, answer."""

from __future__ import annotations

from dataclasses import dataclass

from ...api import constants as mt5
from ...api.structs import OrderCheckResult, OrderSendResult, TradeRequest
from ..server.faults import Faults
from .fills import close_by, fill
from .ledger import Ledger, Order, lots
from .retcodes import TEXT
from .rules import PRICED, Plan, Refused, Rules


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a request."""

    retcode: int = mt5.TRADE_RETCODE_DONE
    deal: int = 0
    order: int = 0
    volume: float = 0.0
    price: float = 0.0


class Desk:
    """Takes requests at the server, after the terminal's own checks."""

    def __init__(self, ledger: Ledger, rules: Rules, faults: Faults) -> None:
        self._ledger = ledger
        self._rules = rules
        self._faults = faults
        self.request_id = 0

    def check(self, request: TradeRequest, now_ms: int) -> OrderCheckResult:
        """``order_check``: retcode 0 and the account as it would be after the trade."""
        retcode, margin = 0, self._ledger.margin()
        try:
            self._switches()
            margin = self._rules.check(request, now_ms).margin
        except Refused as refusal:
            retcode = refusal.retcode
        ledger = self._ledger
        equity = ledger.equity()
        return OrderCheckResult(
            retcode=retcode,
            balance=ledger.balance,
            equity=equity,
            profit=ledger.floating(),
            margin=margin,
            margin_free=ledger.money(equity - margin),
            margin_level=equity / margin * 100 if margin else 0.0,
            comment=TEXT.get(retcode, ""),
            request=request,
        )

    def send(self, request: TradeRequest, now_ms: int) -> OrderSendResult:
        """``order_send``: carry out what passes, answer in any case."""
        self.request_id += 1
        tape = self._ledger.tapes.get(request.symbol)
        bid, ask = (tape.quote_bid, tape.quote_ask) if tape else (0.0, 0.0)
        try:
            self._switches()
            self._mishaps(request)
            done = self._carry_out(self._rules.check(request, now_ms), now_ms)
        except Refused as refusal:
            done = _Done(refusal.retcode)
            if refusal.retcode not in (
                mt5.TRADE_RETCODE_REQUOTE,
                mt5.TRADE_RETCODE_PRICE_CHANGED,
            ):
                bid = ask = 0.0
        return OrderSendResult(
            retcode=done.retcode,
            deal=done.deal,
            order=done.order,
            volume=done.volume,
            price=done.price,
            bid=bid,
            ask=ask,
            comment=TEXT.get(done.retcode, ""),
            request_id=self.request_id,
            retcode_external=0,
            request=request,
        )

    def _switches(self) -> None:
        faults = self._faults
        if faults.no_broker:
            raise Refused(mt5.TRADE_RETCODE_CONNECTION)
        if faults.autotrading_off:
            raise Refused(mt5.TRADE_RETCODE_CLIENT_DISABLES_AT)
        if faults.server_forbids:
            raise Refused(mt5.TRADE_RETCODE_SERVER_DISABLES_AT)
        if faults.account_disabled:
            raise Refused(mt5.TRADE_RETCODE_TRADE_DISABLED)

    def _mishaps(self, request: TradeRequest) -> None:
        faults = self._faults
        if faults.retcodes:
            raise Refused(faults.retcodes.pop(0))
        if request.action != mt5.TRADE_ACTION_DEAL:
            return
        if faults.requotes > 0:
            faults.requotes -= 1
            raise Refused(mt5.TRADE_RETCODE_REQUOTE)
        if faults.price_off > 0:
            faults.price_off -= 1
            raise Refused(mt5.TRADE_RETCODE_PRICE_OFF)

    def _carry_out(self, plan: Plan, now_ms: int) -> _Done:
        action = plan.request.action
        if action == mt5.TRADE_ACTION_DEAL:
            return self._deal(plan, now_ms)
        if action == mt5.TRADE_ACTION_PENDING:
            return self._place(plan, now_ms)
        if action == mt5.TRADE_ACTION_SLTP:
            return self._set_stops(plan, now_ms)
        if action == mt5.TRADE_ACTION_MODIFY:
            return self._change(plan)
        if action == mt5.TRADE_ACTION_REMOVE:
            return self._remove(plan, now_ms)
        return self._close_by(plan, now_ms)

    def _order(self, plan: Plan, now_ms: int, price: float) -> Order:
        request = plan.request
        return Order(
            ticket=self._ledger.order_ticket(),
            symbol=plan.tape.spec.name,
            type=request.type,
            volume=plan.volume,
            left=plan.volume,
            price=price,
            setup_msc=now_ms,
            stoplimit=request.stoplimit,
            sl=request.sl,
            tp=request.tp,
            filling=request.type_filling,
            type_time=request.type_time,
            expiration=request.expiration,
            expires_ms=plan.expires_ms,
            magic=request.magic,
            position_id=plan.position.identifier if plan.position else 0,
            comment=request.comment,
        )

    def _deal(self, plan: Plan, now_ms: int) -> _Done:
        there = self._available(plan)
        if there < plan.volume and plan.request.type_filling == mt5.ORDER_FILLING_FOK:
            raise Refused(mt5.TRADE_RETCODE_REJECT)
        if not there:
            raise Refused(mt5.TRADE_RETCODE_PRICE_OFF)
        order = self._order(plan, now_ms, plan.price)
        if order.type_time != mt5.ORDER_TIME_GTC:
            order.type_time, order.expiration = mt5.ORDER_TIME_GTC, 0
        order.stoplimit = 0.0
        deal = fill(self._ledger, order, there, plan.price, now_ms)
        retcode = mt5.TRADE_RETCODE_DONE
        if not order.left:
            self._ledger.finish_order(order, mt5.ORDER_STATE_FILLED, now_ms)
        else:
            retcode = mt5.TRADE_RETCODE_DONE_PARTIAL
            if order.filling == mt5.ORDER_FILLING_RETURN:
                order.state = mt5.ORDER_STATE_PARTIAL
                self._ledger.add_order(order)
            else:
                self._ledger.finish_order(order, mt5.ORDER_STATE_CANCELED, now_ms)
        return _Done(retcode, deal.ticket, order.ticket, there, plan.price)

    def _available(self, plan: Plan) -> float:
        """Lots that the market takes of this order."""
        if plan.tape.spec.exemode in PRICED:
            return plan.volume  # the broker gives a price for the whole volume
        part, self._faults.partial = self._faults.partial, None
        if part is None:
            return plan.volume
        step = plan.tape.spec.volume_step
        return lots(int(plan.volume * part / step + 1e-9) * step)

    def _place(self, plan: Plan, now_ms: int) -> _Done:
        order = self._order(plan, now_ms, plan.request.price)
        self._ledger.add_order(order)
        # A pending order that was placed is done; 10008 is for requests still on their way.
        return _Done(order=order.ticket, volume=order.volume, price=order.price)

    def _set_stops(self, plan: Plan, now_ms: int) -> _Done:
        position = plan.position
        assert position is not None
        position.sl, position.tp = plan.request.sl, plan.request.tp
        position.update_msc = now_ms
        self._ledger.changed()
        return _Done()

    def _change(self, plan: Plan) -> _Done:
        order, request = plan.order, plan.request
        assert order is not None
        order.price, order.stoplimit = request.price, request.stoplimit
        order.sl, order.tp = request.sl, request.tp
        order.type_time, order.expiration = request.type_time, request.expiration
        order.expires_ms = plan.expires_ms
        self._ledger.changed()
        return _Done(order=order.ticket, price=order.price)

    def _remove(self, plan: Plan, now_ms: int) -> _Done:
        assert plan.order is not None
        self._ledger.finish_order(plan.order, mt5.ORDER_STATE_CANCELED, now_ms)
        return _Done(order=plan.order.ticket)

    def _close_by(self, plan: Plan, now_ms: int) -> _Done:
        position, other = plan.position, plan.other
        assert position is not None
        assert other is not None
        order = self._order(plan, now_ms, other.price_open)
        order.type = mt5.ORDER_TYPE_CLOSE_BY
        order.left = 0.0
        price = other.price_open
        deal, _ = close_by(self._ledger, position, other, order, now_ms)
        self._ledger.finish_order(order, mt5.ORDER_STATE_FILLED, now_ms)
        return _Done(deal=deal.ticket, order=order.ticket, volume=plan.volume, price=price)
