"""A paper terminal on scripted quotes and a stepped clock, with short words for trading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from execution.api import constants as mt5
from execution.api.structs import OrderSendResult
from execution.paper.account.ledger import AccountConfig
from execution.paper.market.clock import SteppedClock
from execution.paper.market.scripted import Quotes, ScriptedMarket
from execution.paper.market.symbols import SPECS, Spec
from execution.paper.server.terminal import PaperTerminal

START = 1_700_000_000.0 // 86_400 * 86_400 + 36_000  # a Tuesday, 10:00

QUOTES: dict[str, Sequence[tuple[float, float, float]]] = {
    "EURUSD": [(0, 1.10000, 1.10010)],
    "USDJPY": [(0, 150.000, 150.010)],
    "EURJPY": [(0, 165.000, 165.015)],
    "USDCHF": [(0, 0.93475, 0.93485)],
    "GBPUSD": [(0, 1.25000, 1.25010)],
    "XAUUSD": [(0, 2000.00, 2000.30)],
    "BTCUSD": [(0, 40_000.0, 40_010.0)],
}


class Desk:
    """``quotes`` are (seconds after the start, bid, ask); one at 0 for each symbol if not given."""

    def __init__(
        self,
        quotes: Mapping[str, Quotes] | None = None,
        *,
        specs: Sequence[Spec] | None = None,
        account: AccountConfig | None = None,
        sessions: bool = False,
        start: float = START,
        **terminal: Any,
    ) -> None:
        rows = {**QUOTES, **(quotes or {})}
        known = {spec.name: spec for spec in (*SPECS.values(), *(specs or ()))}
        chosen = [spec for name, spec in known.items() if name in rows]
        absolute = {
            name: [(start + at, bid, ask) for at, bid, ask in each] for name, each in rows.items()
        }
        market = ScriptedMarket(chosen, absolute, start, sessions=sessions)
        self.clock = SteppedClock(start)
        self.account = account or AccountConfig(leverage=100)
        self.mt5 = PaperTerminal(market, self.clock, self.account, **terminal)
        assert self.mt5.initialize()

    def at(self, seconds: float) -> None:
        """Go to so many seconds after the start."""
        self.clock.set(START + seconds)

    def send(self, **fields: Any) -> OrderSendResult:
        request = {"symbol": "EURUSD", **fields}
        result = self.mt5.order_send(request)
        assert result is not None, self.mt5.last_error()
        return result

    def deal(self, side: str = "buy", volume: float = 0.1, **fields: Any) -> OrderSendResult:
        kind = mt5.ORDER_TYPE_BUY if side == "buy" else mt5.ORDER_TYPE_SELL
        return self.send(action=mt5.TRADE_ACTION_DEAL, type=kind, volume=volume, **fields)

    def pend(self, kind: int, price: float, volume: float = 0.1, **fields: Any) -> OrderSendResult:
        return self.send(
            action=mt5.TRADE_ACTION_PENDING,
            type=kind,
            price=price,
            volume=volume,
            **{"type_filling": mt5.ORDER_FILLING_RETURN, **fields},
        )

    def positions(self) -> Any:
        return self.mt5.positions_get()

    def deals(self) -> Any:
        return self.mt5.history_deals_get(0, 2**31 - 1)

    def orders_done(self) -> Any:
        return self.mt5.history_orders_get(0, 2**31 - 1)

    def balance(self) -> float:
        info = self.mt5.account_info()
        assert info is not None
        return info.balance
