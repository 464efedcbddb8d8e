"""A source for tests: a real FeedState fed by hand, with a day of believable trading in it.

Run as a program it plays that day on, live: ``python tests/support/fake_source.py``.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from streamer.protocol.messages import CommandResult
from streamer.state.reducer import FeedState
from streamer.state.source import NO_CAPABILITIES, Link, Wire
from tui.options import Clock

NOW = datetime(2026, 3, 4, 13, 5, 4, tzinfo=UTC).timestamp()


class FrozenClock:
    """Both clocks in hand."""

    def __init__(self, wall: float = NOW) -> None:
        self.seconds = 1000.0
        self.start = wall

    def mono(self) -> float:
        return self.seconds

    def wall(self) -> float:
        return self.start + self.seconds - 1000.0

    def go(self, seconds: float) -> None:
        self.seconds += seconds

    @property
    def clock(self) -> Clock:
        return Clock(self.mono, self.wall)


class FakeSource:
    """A feed without a network: what is published is applied and told at once."""

    def __init__(self, clock: Clock, *, link: str = "local") -> None:
        self.clock = clock
        self.state = FeedState("e1")
        self.capabilities = NO_CAPABILITIES
        self.link = Link(
            link,
            "ws://127.0.0.1:8765/ws",
            clock.mono(),
            last_frame=None if link == "local" else clock.mono(),
            clients=2,
        )
        self.commands: list[tuple[str, dict[str, Any]]] = []
        self.asked: list[str | None] = []
        """The bots that those commands named."""
        self.refuse: str | None = None
        self._watchers: list[Callable[[Wire], None]] = []
        self._seq = 0

    def iso(self, ago: float = 0.0) -> str:
        return datetime.fromtimestamp(self.clock.wall() - ago, UTC).isoformat(
            timespec="milliseconds"
        )

    def publish(self, type_: str, *, ago: float = 0.0, **fields: Any) -> Wire:
        event: Wire = {"type": type_, "timestamp": self.iso(ago), **fields}
        if type_ not in (
            "ACCOUNT_UPDATE",
            "POSITION_UPDATE",
            "ORDERS_UPDATE",
            "QUOTE_UPDATE",
            "HEARTBEAT",
        ):
            self._seq += 1
            event["seq"] = self._seq
        self.state.apply(event, self.clock.mono())
        for watcher in list(self._watchers):
            watcher(event)
        return event

    def watch(self, callback: Callable[[Wire], None]) -> Callable[[], None]:
        self._watchers.append(callback)
        return lambda: self._watchers.remove(callback)

    async def command(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        bot: str | None = None,
    ) -> CommandResult:
        self.commands.append((name, dict(args or {})))
        self.asked.append(bot)
        if self.refuse:
            from streamer.protocol.messages import CommandError

            return CommandResult(
                id=id or "c", ok=False, error=CommandError(code="refused", message=self.refuse)
            )
        return CommandResult(id=id or "c", ok=True, result={})


def position(
    ticket: int,
    symbol: str,
    direction: str,
    lots: float,
    entry: float,
    now: float,
    profit: float,
    digits: int,
    opened: str,
    *,
    sl: float = 0.0,
    tp: float = 0.0,
    risk: float | None = None,
    first_risk: float | None = None,
    owner: str = "bot",
    comment: str = "",
) -> dict[str, Any]:
    return {
        "ticket": ticket, "symbol": symbol, "type": 0 if direction == "BUY" else 1,
        "direction": direction, "volume": lots, "entry_price": entry, "price_current": now,
        "sl_price": sl, "tp_price": tp, "profit": profit, "swap": -0.12, "commission": -0.7,
        "opened_at": opened, "magic": 234000 if owner == "bot" else 0, "comment": comment,
        "digits": digits, "owner": owner, "risk": risk, "initial_risk": first_risk,
    }  # fmt: skip


DETAILS: dict[str, tuple[str, dict[str, Any]]] = {
    "XAUUSD": ("BUY candidate, 78 of 65 needed", {"code": "CANDIDATE", "direction": "BUY",
               "score": 78.0, "need": 65.0, "spread": 21, "atr": 3.41, "regime": "TRENDING",
               "age_s": 0.4, "entry": 2342.63, "sl": 2338.1, "tp": 2351.7, "r": 2.0,
               "components": {"structure": 30.0, "order_block": 20.0, "fvg": 12.0,
                              "momentum": 16.0}}),
    "EURUSD": ("spread 21 points, limit 15", {"code": "SPREAD", "direction": "SELL",
               "score": 71.0, "need": 65.0, "gate": "spread", "spread": 21, "atr": 0.00072,
               "regime": "TRENDING", "age_s": 0.2}),
    "GBPUSD": ("score 48 of 65 needed", {"code": "SCORE", "direction": "BUY", "score": 48.0,
               "need": 65.0, "gate": "score", "spread": 12, "atr": 0.00091, "regime": "RANGING",
               "age_s": 0.3}),
    "USDJPY": ("score 31 of 65 needed", {"code": "SCORE", "direction": "SELL", "score": 31.0,
               "need": 65.0, "gate": "score", "spread": 9, "atr": 0.121, "regime": "TRENDING",
               "age_s": 0.5}),
    "GBPJPY": ("one position is open already", {"code": "BLOCKED", "direction": "BUY",
               "score": 69.0, "need": 65.0, "gate": "one_per_symbol", "spread": 24, "atr": 0.212,
               "regime": "TRENDING", "age_s": 0.6}),
    "BTCUSD": ("cooling down, 9:41 left", {"code": "COOLDOWN", "direction": "SELL", "score": 66.0,
               "need": 65.0, "gate": "cooldown", "spread": 1800, "atr": 412.0,
               "regime": "VOLATILE", "age_s": 0.1}),
    "US30": ("outside its session, opens 14:30", {"code": "SESSION", "gate": "session",
             "spread": None, "age_s": 4021.0}),
    "AUDUSD": ("FOMC at 19:00, no trades 30 min before", {"code": "NEWS", "direction": "SELL",
               "score": 52.0, "need": 65.0, "gate": "news", "spread": 14, "atr": 0.0005,
               "regime": "RANGING", "age_s": 0.9}),
}  # fmt: skip

QUOTES = {
    "XAUUSD": (2342.63, 2342.84, 2), "EURUSD": (1.08461, 1.08482, 5),
    "GBPUSD": (1.26731, 1.26743, 5), "USDJPY": (150.121, 150.130, 3),
    "GBPJPY": (191.234, 191.258, 3), "BTCUSD": (66321.5, 66339.5, 1), "US30": (None, None, 1),
    "AUDUSD": (0.65112, 0.65126, 5),
}  # fmt: skip

POSITIONS = [
    position(2021740420, "XAUUSD", "BUY", 0.20, 2340.52, 2342.63, 42.20, 2,
             "2026-03-04T12:58:01+00:00", sl=2338.10, tp=2347.0, risk=-48.4, first_risk=48.4,
             comment="ib s78"),
    position(2021740388, "EURUSD", "SELL", 0.10, 1.08450, 1.08461, -1.10, 5,
             "2026-03-04T12:52:40+00:00", sl=1.08580, tp=1.08100, risk=-13.0, first_risk=13.0,
             comment="[sl 1.0850]"),
    position(2021740431, "GBPJPY", "BUY", 0.05, 191.204, 191.234, 1.00, 3,
             "2026-03-04T13:02:10+00:00", owner="manual"),
]  # fmt: skip

ORDERS = [
    {"order": 2021740440, "symbol": "USDJPY", "direction": "SELL", "kind": "limit",
     "volume": 0.10, "price": 150.450, "price_current": 150.121, "sl": 150.900, "tp": 149.2,
     "placed_at": "2026-03-04T12:40:00+00:00", "digits": 3, "magic": 234000, "owner": "bot"},
]  # fmt: skip


def account(equity: float = 10042.10, **more: Any) -> dict[str, Any]:
    return {
        "balance": 10000.0, "equity": equity, "profit": equity - 10000.0, "currency": "USD",
        "leverage": 500, "day_pl": 118.40, "margin": 323.5, "margin_free": equity - 323.5,
        "margin_level": 3104.2, "login": 5012345, "server": "Paper-Demo", "name": "Paper",
        "trade_allowed": True, "drawdown_pct": 0.6, "mode": "paper", "margin_mode": "hedging",
        "limits": {
            "daily_loss": {"value": 0.4, "limit": 3.0, "unit": "%"},
            "drawdown": {"value": 0.6, "limit": 10.0, "unit": "%"},
            "open_positions": {"value": 3, "limit": 4, "unit": ""},
        },
        **more,
    }  # fmt: skip


def quotes() -> dict[str, Any]:
    return {
        symbol: {"bid": bid, "ask": ask, "time": None, "digits": digits}
        for symbol, (bid, ask, digits) in QUOTES.items()
    }


def scan(source: FakeSource, ago: float = 0.0) -> None:
    source.publish("SCAN_START", ago=ago + 0.1, count=len(DETAILS))
    source.publish(
        "SCAN_SUMMARY", ago=ago, symbols={s: t for s, (t, _) in DETAILS.items()},
        count=len(DETAILS), candidates=1, details={s: d for s, (_, d) in DETAILS.items()},
        duration_ms=84.0,
    )  # fmt: skip


def trading_day(source: FakeSource) -> FakeSource:
    """Fill the source with a session: closed trades, open ones, a rejected order, scans."""
    rng = random.Random(7)
    equity = 9923.7
    for step in range(300):
        equity += rng.gauss(0.4, 2.2)
        source.publish("ACCOUNT_UPDATE", ago=(300 - step) * 12, account={"equity": equity})
    source.publish("TERMINAL_STATUS", ago=3600, state="connected", backend="paper",
                   market="generated, seed 7", ping_ms=0.2)  # fmt: skip
    source.publish("BOT_STATUS", ago=3590, state="starting", strategy="institutional")
    for ago, symbol, side, lots, price, profit, r, why, held, ticket in (
        (9864, "GBPJPY", "BUY", 0.05, 190.91, 96.80, 2.1, "tp", 2400, 11),
        (4000, "EURUSD", "SELL", 0.10, 1.0861, -9.80, -1.0, "sl", 812, 12),
        (1421, "XAUUSD", "BUY", 0.02, 2334.2, 31.40, 1.4, "strategy", 1266, 13),
    ):
        source.publish("TRADE_EXECUTION", ago=ago + held, symbol=symbol, direction=side,
                       price=price, lot=lots, ticket=ticket, score=71.0)  # fmt: skip
        source.publish("POSITION_CLOSED", ago=ago, ticket=ticket, symbol=symbol, direction=side,
                       volume=lots, profit=profit, swap=0.0, commission=-0.7, r_multiple=r,
                       close_reason=why, duration_s=held)  # fmt: skip
    scan(source, 462)
    for p in POSITIONS:
        if p["owner"] == "bot":
            source.publish("ORDER_UPDATE", ago=424, order=p["ticket"], symbol=p["symbol"],
                           direction=p["direction"], kind="market", status="filled",
                           volume=p["volume"], price=p["entry_price"], sl=p["sl_price"],
                           tp=p["tp_price"])  # fmt: skip
        source.publish("TRADE_EXECUTION", ago=423, symbol=p["symbol"], direction=p["direction"],
                       price=p["entry_price"], lot=p["volume"], ticket=p["ticket"],
                       slippage=2.0, score=78.0)  # fmt: skip
        source.publish("POSITION_OPENED", ago=423, ticket=p["ticket"], symbol=p["symbol"],
                       direction=p["direction"], volume=p["volume"], sl_price=p["sl_price"],
                       entry_price=p["entry_price"], tp_price=p["tp_price"], owner=p["owner"],
                       initial_risk=p["initial_risk"], score=78.0,
                       components=DETAILS["XAUUSD"][1]["components"])  # fmt: skip
    source.publish("POSITION_MODIFIED", ago=173, ticket=2021740420, symbol="XAUUSD",
                   direction="BUY", volume=0.2, entry_price=2340.52, sl_price=2338.10,
                   old_sl_price=2337.2, tp_price=2347.0, old_tp_price=2347.0,
                   reason="trailing")  # fmt: skip
    source.publish("ORDER_UPDATE", ago=64, order=None, symbol="EURUSD", direction="SELL",
                   kind="market", status="rejected", volume=0.1, retcode=10016,
                   reason="INVALID_STOPS")  # fmt: skip
    scan(source, 22)
    scan(source, 12)
    source.publish("QUOTE_UPDATE", quotes=quotes(), server_time="2026-03-04T13:05:04+00:00",
                   speed=1.0)  # fmt: skip
    source.publish("ORDERS_UPDATE", orders=ORDERS)
    source.publish("POSITION_UPDATE", positions=POSITIONS)
    source.publish("ACCOUNT_UPDATE", account=account())
    source.publish("BOT_STATUS", state="waiting", strategy="institutional", mode="paper",
                   reason={"code": "NEXT_SCAN", "text": "waiting for the next scan"},
                   next_scan_at=source.iso(-108), cycle_s=120.0,
                   gates={"spread": 1, "score": 2, "news": 1, "session": 1})  # fmt: skip
    return source


async def play(source: FakeSource) -> None:
    """Let the market move, for a look with one's own eyes."""
    rng = random.Random()
    while True:
        await asyncio.sleep(0.5)
        moved = []
        for p in source.state.positions:
            step = rng.gauss(0, 1) * 10 ** -p["digits"] * 6
            change = step * (1 if p["type"] == 0 else -1) * 10 ** (p["digits"] - 1) * p["volume"]
            moved.append(
                {**p, "price_current": p["price_current"] + step, "profit": p["profit"] + change}
            )
        source.publish("POSITION_UPDATE", positions=moved)
        source.publish("ACCOUNT_UPDATE", account=account(10000 + sum(p["profit"] for p in moved)))
        source.publish("QUOTE_UPDATE", quotes=quotes(), server_time=source.iso()[:19] + "+00:00")
        if rng.random() < 0.1:
            scan(source)


if __name__ == "__main__":
    from tui.app.app import DashApp

    async def main() -> None:
        source = trading_day(FakeSource(Clock()))
        task = asyncio.create_task(play(source))
        app = DashApp(source, owns_bot="--attached" not in sys.argv)
        print(await app.run_async())
        task.cancel()

    asyncio.run(main())
