"""From a candidate to an order: what refuses it, and when a refused position rule is tried again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from execution.api import constants as c
from execution.api.structs import Tick
from execution.api.terminal import TerminalError
from execution.orders.orders import OrderOutcome
from strategy.scan.gate_context import AccountView, GateInput
from strategy.scan.scanner import SymbolResult
from strategy.settings import RiskSettings
from strategy.trade.executor import RETRY_S, Executor
from strategy.trade.exit_rules import Close, Move
from strategy.trade.trade_book import TradeBook
from strategy.trade.trade_history import ClosedTrade

Make = Callable[..., GateInput]

DONE = OrderOutcome("done", c.TRADE_RETCODE_DONE, "done", order=11)
REJECTED = OrderOutcome("rejected", c.TRADE_RETCODE_REJECT, "rejected")
UNKNOWN = OrderOutcome("unknown", None, "the answer was lost", order=11)


@dataclass
class Market:
    """Prices and money as a test sets them."""

    tick: Tick
    loss: float = -100.0
    margin: float = 50.0
    asked: list[Any] = field(default_factory=list)

    async def spec(self, symbol: str, /) -> Any:
        raise AssertionError("the gate input carries the specification")

    async def symbol_info_tick(self, symbol: str, /) -> Tick:
        return self.tick

    async def order_calc_profit(self, *args: Any) -> float:
        self.asked.append(args)
        return self.loss

    async def order_calc_margin(self, *args: Any) -> float:
        return self.margin


@dataclass
class Sender:
    """Orders as they were sent; each answered by ``answer``, or failed by it."""

    answer: OrderOutcome | TerminalError = DONE
    sent: list[tuple[Any, ...]] = field(default_factory=list)

    def _answer(self, *order: Any) -> OrderOutcome:
        self.sent.append(order)
        if isinstance(self.answer, TerminalError):
            raise self.answer
        return self.answer

    async def open(self, *args: Any) -> OrderOutcome:
        return self._answer("open", *args)

    async def close(self, ticket: int, volume: float | None = None) -> OrderOutcome:
        return self._answer("close", ticket, volume)

    async def modify(
        self, ticket: int, sl: float | None = None, tp: float | None = None
    ) -> OrderOutcome:
        return self._answer("modify", ticket, sl, tp)


@dataclass
class Bench:
    executor: Executor
    market: Market
    sender: Sender
    reasons: list[tuple[Any, ...]]
    case: GateInput

    async def take(self, **view: Any) -> Any:
        account: AccountView = replace(self.case.account, **view)
        return await self.executor.take(SymbolResult(self.case, None), account)


@pytest.fixture
def bench(case: Make) -> Callable[..., Bench]:
    def make(risk: dict[str, Any] | None = None, **settings: Any) -> Bench:
        good = case()
        assert good.tick is not None
        market, sender, reasons = Market(good.tick), Sender(), []
        limits = RiskSettings(**{"risk_per_trade_pct": 0.5, **(risk or {})})
        plan = good.account.settings.model_copy(update=settings)
        executor = Executor(
            market, sender, TradeBook(7), plan, limits, lambda *reason: reasons.append(reason)
        )
        return Bench(executor, market, sender, reasons, good)

    return make


async def test_a_candidate_is_sized_by_its_loss_at_the_stop_and_sent_with_its_reason(
    bench: Any,
) -> None:
    b = bench(commission_per_lot=25.0)
    taken = await b.take()
    assert taken.block is None
    assert taken.outcome is DONE
    # 0.5 % of 10,000 over 100 and 25 a lot
    ((_, symbol, direction, volume, sl, tp, comment),) = b.sender.sent
    assert (symbol, direction, volume) == ("EURUSD", "BUY", 0.4)
    assert (sl, tp, comment) == (b.case.setup.sl, b.case.setup.tp, "mt5dash")
    assert taken.risk == pytest.approx(50.0)
    ((order, setup, risk),) = b.reasons
    assert (order, setup.symbol, risk) == (11, "EURUSD", taken.risk)


@pytest.mark.parametrize("answer", [REJECTED, UNKNOWN])
async def test_an_order_that_is_not_known_to_stand_has_no_reason_noted(
    bench: Any, answer: OrderOutcome
) -> None:
    b = bench()
    b.sender.answer = answer
    taken = await b.take()
    assert taken.outcome is answer
    assert b.reasons == []


async def test_a_price_that_ran_away_is_refused_by_the_gates_and_nothing_is_sent(
    bench: Any,
) -> None:
    b = bench()
    b.market.tick = b.market.tick._replace(bid=1.1014, ask=1.10151)
    taken = await b.take()
    assert taken.block.gate == "minimum_r"
    assert taken.outcome is None
    assert b.sender.sent == b.market.asked == []


async def test_the_account_of_now_counts_not_that_of_the_scan(bench: Any) -> None:
    b = bench()
    taken = await b.take(halted="enough")
    assert taken.block.gate == "halted"
    assert b.sender.sent == []


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (math.nan, "Loss at the Stop Unknown"),
        (0.0, "Loss at the Stop Unknown"),
        (100.0, "Loss at the Stop Unknown"),
        (-6000.0, "Min Lot Risks Too Much"),
    ],
)
async def test_a_size_that_cannot_be_or_risks_too_much_is_no_trade(
    bench: Any, loss: float, words: str
) -> None:
    b = bench()
    b.market.loss = loss
    taken = await b.take()
    assert (taken.block.code, taken.block.gate) == ("RISK", "size")
    assert words in taken.block.text
    assert b.sender.sent == []


@pytest.mark.parametrize(
    ("margin", "used", "ok"), [(50.0, 4950.0, True), (50.1, 4950.0, False), (math.nan, 0.0, False)]
)
async def test_margin_beyond_the_limit_or_unknown_is_no_trade(
    bench: Any, margin: float, used: float, ok: bool
) -> None:
    b = bench(risk={"max_margin_pct": 50.0})
    b.market.margin = margin
    taken = await b.take(margin=used)
    assert (taken.block is None) == ok
    assert len(b.sender.sent) == ok
    if not ok:
        assert (taken.block.code, taken.block.gate) == ("RISK", "margin")
        assert "Margin Too High" in taken.block.text


def closed(ticket: int, r: float) -> ClosedTrade:
    return ClosedTrade(ticket, "EURUSD", 1, 0.0, 1.0, 1.1, 1.1, 0.1, r, "tp", r=r)


async def test_a_kelly_stake_lowers_the_risk_and_without_an_edge_there_is_no_trade(
    bench: Any,
) -> None:
    b = bench(risk={"kelly_fraction": 0.01, "kelly_min_trades": 5})
    b.executor.book.closed = [closed(i, r) for i, r in enumerate((1.0, 1.0, 1.0, 1.0, -1.0))]
    taken = await b.take()
    # 0.01 of (0.8 - 0.2) is 0.6 %: the 0.5 % of the settings is less
    assert taken.risk == pytest.approx(50.0)
    b.executor.book.closed = [closed(i, r) for i, r in enumerate((1.0, 1.0, 1.0, -1.0, -1.0))]
    taken = await b.take()
    assert taken.risk == pytest.approx(20.0), "0.01 of 0.2"
    b.executor.book.closed = [closed(i, -1.0) for i in range(5)]
    taken = await b.take()
    assert (taken.block.gate, taken.block.text) == ("size", "Exec Block: No Money to Risk")


@pytest.mark.parametrize(
    ("action", "sent"),
    [
        (Close(None, "time stop"), ("close", 5, None)),
        (Close(0.05, "partial"), ("close", 5, 0.05)),
        (Move(1.1, "trail"), ("modify", 5, 1.1, None)),
    ],
)
@pytest.mark.parametrize(
    "answer", [REJECTED, UNKNOWN, TerminalError(-10004, "not connected", "order_send")]
)
async def test_a_rule_that_is_refused_waits_before_it_is_tried_again(
    bench: Any, action: Close | Move, sent: tuple[Any, ...], answer: Any
) -> None:
    b = bench()
    b.sender.answer = answer
    outcome = await b.executor.apply(5, action, 100.0)
    assert outcome is (None if isinstance(answer, TerminalError) else answer)
    assert await b.executor.apply(5, action, 100.0 + RETRY_S - 0.1) is None
    assert b.sender.sent == [sent], "nothing is sent while it waits"
    b.sender.answer = DONE
    assert await b.executor.apply(6, action, 100.0) is DONE, "another position does not wait"
    assert await b.executor.apply(5, action, 100.0 + RETRY_S) is DONE
    assert await b.executor.apply(5, action, 100.0 + RETRY_S) is DONE, "accepted: no wait"
    assert [order[1] for order in b.sender.sent] == [5, 6, 5, 5]


async def test_the_wait_of_a_position_that_is_gone_is_forgotten(bench: Any) -> None:
    b = bench()
    b.sender.answer = REJECTED
    await b.executor.apply(5, Close(None, "x"), 100.0)
    await b.executor.apply(6, Close(None, "x"), 100.0)
    b.executor.forget({6: object()})
    assert await b.executor.apply(6, Close(None, "x"), 101.0) is None
    assert await b.executor.apply(5, Close(None, "x"), 101.0) is REJECTED
