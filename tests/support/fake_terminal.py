"""A terminal of a few lines for tests of what stands above a terminal.

It keeps books as MetaTrader 5 does (order, deal, position) on prices that a test sets, and does
on command what a good terminal never does: lose an answer, rewrite a comment, hang, fail.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from execution.api import constants as c
from execution.api.structs import (
    AccountInfo,
    OrderCheckResult,
    OrderSendResult,
    SymbolInfo,
    TerminalInfo,
    Tick,
    TradeDeal,
    TradeOrder,
    TradePosition,
    TradeRequest,
)

T = TypeVar("T")

BASE = 1_700_000_000.0
"""Server time at which every fake begins: 2023-11-14 22:13:20."""


def blank(kind: type[Any], **given: Any) -> Any:
    """A struct with zero (``None`` for a struct) for what is not given."""
    zero = {int: 0, float: 0.0, str: "", bool: False}
    return kind(
        **{n: given[n] if n in given else zero.get(t) for n, t in kind.__annotations__.items()}
    )


def symbol(name: str = "EURUSD", bid: float = 1.1, ask: float = 1.1001, **more: Any) -> SymbolInfo:
    values: dict[str, Any] = {
        "name": name, "bid": bid, "ask": ask, "digits": 5, "point": 1e-5,
        "trade_tick_size": 1e-5, "volume_min": 0.01, "volume_max": 100.0, "volume_step": 0.01,
        "trade_contract_size": 100_000.0, "trade_stops_level": 10, "filling_mode": 1,
        "trade_exemode": c.SYMBOL_TRADE_EXECUTION_MARKET, "select": True, "visible": True,
        "trade_mode": c.SYMBOL_TRADE_MODE_FULL, "path": f"Forex\\{name}",
        "currency_base": "EUR", "currency_profit": "USD", "currency_margin": "EUR",
    }  # fmt: skip
    info: SymbolInfo = blank(SymbolInfo, **(values | more))
    return info


def slowly(seconds: float) -> Callable[[T], T]:
    """An answer that comes late, unchanged."""

    def wait(answer: T) -> T:
        time.sleep(seconds)
        return answer

    return wait


class FakeTerminal:
    """See the module. ``server_now`` is not offered unless ``tells_time``."""

    def __init__(self, *symbols: SymbolInfo, tells_time: bool = True) -> None:
        self.symbols = {s.name: s for s in symbols or (symbol(),)}
        self.offset = 0.0
        if tells_time:
            self.market_text = "a fake for tests"
            self.speed = 1.0
            self.server_now = self._now
        self.balance = 10_000.0
        self.login = 1001
        self.info: dict[str, Any] = {
            "connected": True, "trade_allowed": True, "build": 5000, "ping_last": 12_000
        }  # fmt: skip
        self.account: dict[str, Any] = {"trade_allowed": True, "trade_expert": True}
        self.positions: dict[int, TradePosition] = {}
        self.orders: dict[int, TradeOrder] = {}
        self.done: list[TradeOrder] = []
        self.deals: list[TradeDeal] = []
        self.sent: list[dict[str, Any]] = []
        self.checked: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.before: dict[str, Callable[[], Any]] = {}
        """By function: run first; a value that is not None is the answer."""
        self.after: dict[str, Callable[[Any], Any]] = {}
        """By function: the true answer in, the given one out. The work is done by then."""
        self.check_retcode: Callable[[dict[str, Any]], int] = lambda request: 0
        self.send_retcode: Callable[[dict[str, Any]], int] = lambda request: 0
        self.comment: Callable[[str], str] = lambda text: text
        self.error = (1, "Success")
        self._tickets = 1000
        self._began = time.monotonic()

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name.startswith("_") or not callable(value) or name not in PUBLIC:
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if name != "last_error":
                self.error = (1, "Success")
            if (before := self.before.get(name)) is not None and (answer := before()) is not None:
                return None if answer is FAIL else answer
            answer = value(*args, **kwargs)
            after = self.after.get(name)
            answer = answer if after is None else after(answer)
            return None if answer is FAIL else answer

        return call

    # -- what a test does to the market -------------------------------------------------------

    def _now(self) -> float:
        return BASE + self.offset + time.monotonic() - self._began

    def price(self, name: str, bid: float, ask: float) -> None:
        self.symbols[name] = self.symbols[name]._replace(bid=bid, ask=ask)

    def fail(self, code: int, text: str) -> Any:
        self.error = (code, text)
        return FAIL

    def open(self, lots: float = 0.1, buy: bool = True, magic: int = 0, **more: Any) -> int:
        """Open a position as a person or another program would."""
        info = self.symbols[more.pop("symbol", "EURUSD")]
        type_ = c.ORDER_TYPE_BUY if buy else c.ORDER_TYPE_SELL
        ticket = self._order(info, type_, lots, info.ask if buy else info.bid, magic, **more)
        self._enter(self.done[-1])
        return ticket

    def exit(self, ticket: int, lots: float | None = None, **deal: Any) -> None:
        """Close a position; ``reason``, ``magic``, ``comment``, ``commission``, ``swap``."""
        position = self.positions[ticket]
        info = self.symbols[position.symbol]
        buy = position.type == 0
        price = deal.pop("price", info.bid if buy else info.ask)
        lots = position.volume if lots is None else lots
        self._order(info, 1 if buy else 0, lots, price, deal.get("magic", 0), position=ticket,
                    comment=deal.get("comment", ""))  # fmt: skip
        self._leave(self.done[-1], position, price, lots, **deal)

    def end(self, ticket: int, state: int, filled: float = 0.0) -> None:
        """Take a pending order out of the list as cancelled, expired or filled."""
        order = self.orders.pop(ticket)
        left = round(order.volume_initial - filled, 8)
        self.done.append(order._replace(state=state, volume_current=left, time_done=self._second()))
        if filled:
            self._enter(self.done[-1], filled)

    def deposit(self, amount: float) -> None:
        self.balance += amount
        self.deals.append(self._deal(type=c.DEAL_TYPE_BALANCE, profit=amount))

    # -- the module's functions -----------------------------------------------------------------

    def initialize(self, *args: Any, **kwargs: Any) -> bool:
        return True

    def shutdown(self) -> bool:
        return True

    def last_error(self) -> tuple[int, str]:
        return self.error

    def terminal_info(self) -> TerminalInfo:
        info: TerminalInfo = blank(TerminalInfo, **self.info)
        return info

    def account_info(self) -> AccountInfo:
        profit = sum(p.profit for p in map(self._marked, self.positions.values()))
        info: AccountInfo = blank(
            AccountInfo, login=self.login, balance=self.balance, profit=profit, currency="USD",
            equity=self.balance + profit, leverage=100, server="Fake-Demo", margin_mode=2,
            currency_digits=2, name="Fake", **self.account,
        )  # fmt: skip
        return info

    def symbols_get(self, group: str | None = None) -> tuple[SymbolInfo, ...]:
        part = (group or "").strip("*")
        return tuple(s for s in self.symbols.values() if part in s.name)

    def symbol_info(self, name: str, /) -> SymbolInfo | None:
        if name not in self.symbols:
            self.error = (-4, "Terminal: Not found")
            return None
        return self.symbols[name]

    def symbol_info_tick(self, name: str, /) -> Tick | None:
        info = self.symbol_info(name)
        if info is None:
            return None
        now = self._now()
        tick: Tick = blank(
            Tick, time=int(now), time_msc=int(now * 1000), bid=info.bid, ask=info.ask
        )
        return tick

    def symbol_select(self, name: str, enable: bool = True, /) -> bool:
        return name in self.symbols

    def positions_get(self, **kwargs: Any) -> tuple[TradePosition, ...]:
        found = [p for p in self.positions.values() if kwargs.get("ticket", p.ticket) == p.ticket]
        return tuple(self._marked(p) for p in found if kwargs.get("symbol", p.symbol) == p.symbol)

    def orders_get(self, **kwargs: Any) -> tuple[TradeOrder, ...]:
        found = [o for o in self.orders.values() if kwargs.get("ticket", o.ticket) == o.ticket]
        return tuple(o for o in found if kwargs.get("symbol", o.symbol) == o.symbol)

    def history_orders_get(self, *dates: int, **kwargs: int) -> tuple[TradeOrder, ...]:
        if dates:
            return tuple(o for o in self.done if dates[0] <= o.time_done <= dates[1])
        return tuple(
            o for o in self.done
            if kwargs.get("ticket", o.ticket) == o.ticket
            and kwargs.get("position", o.position_id) == o.position_id
        )  # fmt: skip

    def history_deals_get(self, *dates: int, **kwargs: int) -> tuple[TradeDeal, ...]:
        if dates:
            return tuple(d for d in self.deals if dates[0] <= d.time <= dates[1])
        return tuple(d for d in self.deals if d.position_id == kwargs["position"])

    def order_calc_profit(
        self, action: int, name: str, volume: float, entry: float, exit: float, /
    ) -> float:
        sign = 1 if action == 0 else -1
        return round(sign * (exit - entry) * volume * self.symbols[name].trade_contract_size, 2)

    def order_check(self, request: dict[str, Any]) -> OrderCheckResult:
        self.checked.append(dict(request))
        code = self.check_retcode(request)
        result: OrderCheckResult = blank(OrderCheckResult, retcode=code, comment="checked")
        return result

    def order_send(self, request: dict[str, Any]) -> OrderSendResult:
        self.sent.append(dict(request))
        code = self.send_retcode(request)
        info = self.symbols[request["symbol"]]
        answer = {"request": blank(TradeRequest), "bid": info.bid, "ask": info.ask}
        if code:
            result: OrderSendResult = blank(OrderSendResult, retcode=code, **answer)
            return result
        done = getattr(self, f"_action_{request['action']}")(request, info)
        sent: OrderSendResult = blank(
            OrderSendResult, **({"retcode": c.TRADE_RETCODE_DONE} | answer | done)
        )
        return sent

    # -- how it keeps its books -------------------------------------------------------------------

    def _action_1(self, request: dict[str, Any], info: SymbolInfo) -> dict[str, Any]:
        price = info.ask if request["type"] == 0 else info.bid
        volume = request["volume"]
        ticket = self._order(info, request["type"], volume, price, request["magic"],
                             comment=request["comment"], sl=request.get("sl", 0.0),
                             tp=request.get("tp", 0.0), position=request.get("position", 0))  # fmt: skip
        order = self.done[-1]
        if request.get("position"):
            self._leave(order, self.positions[request["position"]], price, volume,
                        magic=order.magic, comment=order.comment, reason=3)  # fmt: skip
        else:
            self._enter(order)
        return {"order": ticket, "deal": self.deals[-1].ticket, "price": price, "volume": volume}

    def _action_5(self, request: dict[str, Any], info: SymbolInfo) -> dict[str, Any]:
        ticket = self._ticket()
        self.orders[ticket] = blank(
            TradeOrder, ticket=ticket, type=request["type"], symbol=info.name, magic=request["magic"],
            price_open=request["price"], volume_initial=request["volume"], state=1,
            volume_current=request["volume"], sl=request["sl"], tp=request["tp"],
            comment=self.comment(request["comment"]), time_setup=self._second(),
        )  # fmt: skip
        return {"order": ticket, "volume": request["volume"]}

    def _action_6(self, request: dict[str, Any], info: SymbolInfo) -> dict[str, Any]:
        ticket = request["position"]
        self.positions[ticket] = self.positions[ticket]._replace(sl=request["sl"], tp=request["tp"])
        return {}

    def _action_8(self, request: dict[str, Any], info: SymbolInfo) -> dict[str, Any]:
        self.end(request["order"], c.ORDER_STATE_CANCELED)
        return {"order": request["order"]}

    def _order(
        self, info: SymbolInfo, type_: int, lots: float, price: float, magic: int,
        comment: str = "", position: int = 0, **more: Any,
    ) -> int:  # fmt: skip
        ticket = self._ticket()
        second = self._second()
        self.done.append(blank(
            TradeOrder, ticket=ticket, type=type_, symbol=info.name, magic=magic, price_open=price,
            volume_initial=lots, state=c.ORDER_STATE_FILLED, comment=self.comment(comment),
            position_id=position or ticket, time_setup=second, time_done=second, **more,
        ))  # fmt: skip
        return ticket

    def _enter(self, order: TradeOrder, lots: float | None = None) -> None:
        info, buy = self.symbols[order.symbol], order.type in (0, 2, 4)
        volume = order.volume_initial if lots is None else lots
        price = info.ask if buy else info.bid
        self.deals.append(self._deal(
            order=order.ticket, type=0 if buy else 1, magic=order.magic, position_id=order.ticket,
            volume=volume, price=price, commission=-0.5, symbol=info.name, comment=order.comment,
            reason=3 if order.magic else 0,
        ))  # fmt: skip
        self.balance -= 0.5
        now = self._now()
        self.positions[order.ticket] = blank(
            TradePosition, ticket=order.ticket, identifier=order.ticket, type=0 if buy else 1,
            magic=order.magic, volume=volume, price_open=price, sl=order.sl, tp=order.tp,
            symbol=info.name, comment=order.comment, time=int(now), time_msc=int(now * 1000),
        )  # fmt: skip

    def _leave(
        self, order: TradeOrder, position: TradePosition, price: float, lots: float, **deal: Any
    ) -> None:
        profit = self.order_calc_profit(
            position.type, position.symbol, lots, position.price_open, price
        )
        self.deals.append(self._deal(**({
            "order": order.ticket, "type": 1 - position.type, "entry": c.DEAL_ENTRY_OUT,
            "position_id": position.ticket, "volume": lots, "price": price, "profit": profit,
            "commission": -0.5, "symbol": position.symbol} | deal)))  # fmt: skip
        self.balance += profit - 0.5
        left = round(position.volume - lots, 8)
        del self.positions[position.ticket]
        if left:
            self.positions[position.ticket] = position._replace(volume=left)

    def _marked(self, position: TradePosition) -> TradePosition:
        info = self.symbols[position.symbol]
        price = info.bid if position.type == 0 else info.ask
        profit = FakeTerminal.order_calc_profit(
            self, position.type, position.symbol, position.volume, position.price_open, price
        )
        return position._replace(price_current=price, profit=profit)

    def _deal(self, **more: Any) -> TradeDeal:
        now = self._now()
        deal: TradeDeal = blank(
            TradeDeal,
            **({"ticket": self._ticket(), "time": int(now), "time_msc": int(now * 1000)} | more),
        )
        return deal

    def _second(self) -> int:
        return int(self._now())

    def _ticket(self) -> int:
        self._tickets += 1
        return self._tickets


FAIL = object()
PUBLIC = frozenset(
    {name for name in vars(FakeTerminal) if not name.startswith("_")}
    - {"price", "fail", "open", "exit", "end", "deposit"}
)
