"""The worker over a paper terminal: it trades, explains itself, and stays inside its limits."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from typing import Any

import pytest
from support.present import present

from execution.api import constants as c
from execution.paper.market.symbols import SPECS
from strategy.base import Setup
from strategy.institutional.strategy import InstitutionalStrategy
from strategy.scan.gates import GATES
from strategy.scan.worker_thread import Thread
from strategy.settings import ExitSettings, RiskSettings, StrategySettings
from streamer.protocol.messages import ScanDetail
from streamer.protocol.payloads import Direction

CODES = {
    *("CANDIDATE", "OK", "SCORE", "SPREAD", "SESSION", "NEWS", "COOLDOWN", "DATA", "REGIME"),
    *("COST", "RISK", "BLOCKED", "TERMINAL", "PAUSED", "ERROR"),
}
NO_EXITS = ExitSettings(enabled=False)


class Eager:
    """Always wants to buy, with a stop and a target of its own size in points."""

    name = "eager"
    timeframes = ("M1", "M5", "M15")

    def __init__(self, settings: StrategySettings, only: str = "", points: float = 400.0) -> None:
        self.settings, self.only, self.points = settings, only, points
        self.side: Direction = "BUY"

    def prepare(self, fresh: Any) -> None:
        pass

    def evaluate(self, context: Any) -> Setup:
        if self.only and context.symbol != self.only:
            return Setup(context.symbol, self.side, score=0.0, regime="NORMAL", atr=1.0)
        sign = 1 if self.side == "BUY" else -1
        far = self.points * context.info.point
        entry = context.tick.ask if sign > 0 else context.tick.bid
        return Setup(
            context.symbol,
            self.side,
            score=90.0,
            components={"eager": 90.0},
            regime="NORMAL",
            atr=far,
            trigger="always",
            entry=entry,
            sl=round(entry - sign * far, context.info.digits),
            tp=round(entry + sign * 2 * far, context.info.digits),
        )


def eager(only: str = "EURUSD", **kwargs: Any) -> dict[str, Any]:
    settings = StrategySettings(**{"exits": NO_EXITS, "cooldown_s": 60.0, **kwargs})
    return {"settings": settings, "strategy": Eager(settings, only)}


async def trade(b: Any) -> int:
    """One scan that opens one position; its ticket."""
    await b.worker.cycle()
    opened = b.told("PositionOpened")
    assert opened
    ticket: int = opened[-1].ticket
    return ticket


async def test_at_default_settings_it_trades_within_minutes_and_says_why(bench: Any) -> None:
    b = await bench(settings=StrategySettings(), risk=RiskSettings()).open()
    opened = await b.cycle_until("PositionOpened", minutes=15)
    assert opened.owner == "bot"
    assert opened.score >= b.settings.min_score
    assert sum(opened.components.values()) == pytest.approx(opened.score, abs=0.5)
    assert 0 < opened.initial_risk <= 10_000 * b.risk.risk_per_trade_pct / 100 + 0.01
    position = b.observer.latest.positions[0]
    assert position.sl > 0
    assert position.tp > 0
    lost = b.terminal.order_calc_profit(
        position.type, position.symbol, position.volume, position.price_open, position.sl
    )
    assert -lost == pytest.approx(opened.initial_risk, rel=0.05)


async def test_every_symbol_has_a_row_with_reason_and_numbers_in_every_scan(bench: Any) -> None:
    b = await bench().open()
    gates = {gate.__name__ for gate in GATES} | {"size", "margin", "order"}
    for _ in range(12):
        await b.step(10.0)
        await b.worker.cycle()
    summaries = b.told("ScanSummary")
    assert len(summaries) == len(b.told("ScanStart")) == 12
    for summary in summaries:
        assert summary.count == len(summary.symbols) == len(summary.details) == len(SPECS)
        assert set(summary.symbols) == set(b.observer.symbols)
        assert sum(d.code == "CANDIDATE" for d in summary.details.values()) == summary.candidates
        for symbol, detail in summary.details.items():
            assert isinstance(detail, ScanDetail)
            assert summary.symbols[symbol]
            assert detail.code in CODES
            assert (detail.gate in gates) == (detail.code != "CANDIDATE")
            assert detail.score is not None
            assert sum(present(detail.components).values()) == pytest.approx(detail.score, abs=0.5)
            for number in (detail.score, detail.spread, detail.atr, detail.r, detail.age_s):
                assert number is None or math.isfinite(number)
    b.worker.publish_status()
    assert sum(b.told("BotStatus")[-1].gates.values()) == len(SPECS)


async def test_it_never_holds_more_than_it_may(bench: Any) -> None:
    settings = StrategySettings(cooldown_s=0.0, exits=NO_EXITS)
    b = await bench(
        settings=settings,
        strategy=Eager(settings),
        risk=RiskSettings(max_open=3, max_currency_risk_pct=50, max_correlation=1.0),
    ).open()
    for _ in range(20):
        await b.step(10.0)
        await b.worker.cycle()
        held = [p.symbol for p in b.observer.latest.positions]
        assert len(held) <= 3
        assert len(set(held)) == len(held)
    assert len(held) == 3
    assert "Max Concurrent Trades (3) reached" in " ".join(
        b.told("ScanSummary")[-1].symbols.values()
    )


async def test_a_symbol_that_raises_costs_its_own_row_only(bench: Any) -> None:
    class Fragile(InstitutionalStrategy):
        def evaluate(self, context: Any) -> Any:
            if context.symbol == "GBPUSD":
                raise KeyError("no such level")
            return super().evaluate(context)

    settings = StrategySettings()
    b = await bench(settings=settings, strategy=Fragile(settings)).open()
    await b.worker.cycle()
    summary = b.told("ScanSummary")[-1]
    assert summary.symbols["GBPUSD"] == "Error: KeyError: 'no such level'"
    assert summary.details["GBPUSD"].code == "ERROR"
    others = [d for s, d in summary.details.items() if s != "GBPUSD"]
    assert all(d.score is not None and d.code != "ERROR" for d in others)


async def test_a_batch_that_raises_costs_speed_only(bench: Any) -> None:
    class NoBatch(InstitutionalStrategy):
        def prepare(self, fresh: Any) -> None:
            raise MemoryError

    settings = StrategySettings()
    b = await bench(settings=settings, strategy=NoBatch(settings)).open()
    await b.worker.cycle()
    assert all(d.score is not None for d in b.told("ScanSummary")[-1].details.values())


async def test_a_symbol_that_hangs_is_cut_and_the_others_are_seen_again(bench: Any) -> None:
    release = threading.Event()

    class Slow(InstitutionalStrategy):
        def evaluate(self, context: Any) -> Any:
            if context.symbol == "USDJPY":
                release.wait(20)
            return super().evaluate(context)

    settings = StrategySettings(scan_deadline_s=1.0)
    b = await bench(settings=settings, strategy=Slow(settings), compute=Thread()).open()
    await b.worker.cycle()
    first = b.told("ScanSummary")[-1]
    assert "too slow" in first.symbols["USDJPY"]
    await b.worker.cycle()
    second = b.told("ScanSummary")[-1]
    release.set()
    assert "hangs" in second.symbols["USDJPY"]
    assert all(d.score is not None for s, d in second.details.items() if s != "USDJPY")


async def test_observing_shows_candidates_and_sends_nothing(bench: Any) -> None:
    b = await bench(mode="observe", **eager()).open()
    await b.worker.cycle()
    await b.step(10.0)
    assert b.told("ScanSummary")[-1].symbols["EURUSD"] == "CANDIDATE (BUY)"
    assert b.terminal.positions_get() == ()
    assert not b.told("OrderUpdate")
    b.worker.publish_status()
    assert b.told("BotStatus")[-1].reason.code == "OBSERVE"
    answer = await b.command("flatten")
    assert answer.error.code == "OBSERVE"


@pytest.mark.parametrize(
    ("how", "state", "code", "gate"),
    [
        ("pause", "paused", "PAUSED", "paused"),
        ("halt", "halted", "KILL_SWITCH", "halted"),
        ("journal", "waiting", "JOURNAL", "journal"),
    ],
)
async def test_a_gate_that_stops_all_says_so_and_opens_nothing(
    bench: Any, how: Any, state: Any, code: Any, gate: Any
) -> None:
    b = await bench(**eager()).open()
    if how == "journal":
        b.journal_ok = False
    else:
        assert (await b.command(how)).ok
    await b.worker.cycle()
    b.worker.publish_status()
    status = b.told("BotStatus")[-1]
    assert (status.state, status.reason.code) == (state, code)
    assert status.gates == {gate: len(SPECS)}
    assert b.terminal.positions_get() == ()
    assert all(d.score is not None for d in b.told("ScanSummary")[-1].details.values())


async def test_the_status_is_told_once_for_each_change(bench: Any) -> None:
    b = await bench().open()
    for _ in range(3):
        b.worker.publish_status()
    assert len(b.told("BotStatus")) == 1
    await b.command("pause")
    await b.command("pause")
    assert [s.state for s in b.told("BotStatus")] == ["waiting", "paused"]


async def test_a_refused_order_is_shown_and_not_tried_again_each_scan(bench: Any) -> None:
    b = await bench(**eager()).open()
    b.terminal.faults.retcodes = [c.TRADE_RETCODE_REJECT] * 10
    await b.worker.cycle()
    detail = b.told("ScanSummary")[-1].details["EURUSD"]
    assert (detail.code, detail.gate) == ("BLOCKED", "order")
    sent = len(b.told("OrderUpdate"))
    assert sent == 1
    await b.step(10.0)
    await b.worker.cycle()
    assert b.told("ScanSummary")[-1].symbols["EURUSD"].startswith("Cooldown")
    assert len(b.told("OrderUpdate")) == sent


async def test_after_an_order_of_unknown_outcome_nothing_is_sent_until_it_is_found(
    bench: Any,
) -> None:
    b = await bench(**eager(cooldown_s=0.0), risk=RiskSettings(max_per_symbol=5)).open()
    b.terminal.faults.lost_answers = 1
    await b.worker.cycle()
    assert b.told("ScanSummary")[-1].symbols["EURUSD"] == "Exec Block: Order Outcome Unknown"
    assert b.worker.orders.unknown
    b.terminal.faults.ipc_lost = False
    await b.client.open()
    b.clock.step(10.0)
    await b.worker.cycle()
    assert b.told("ScanSummary")[-1].details["EURUSD"].gate == "unknown_order"
    assert len(b.terminal.positions_get()) == 1


async def test_only_the_bots_own_positions_are_managed(bench: Any) -> None:
    settings = StrategySettings(exits=ExitSettings(time_stop_bars=1, time_stop_keep_r=None))
    b = await bench(settings=settings, strategy=Eager(settings, "EURUSD")).open()
    ticket = await trade(b)
    info = b.terminal.symbol_info("GBPUSD")
    manual = b.terminal.order_send(
        {
            "action": c.TRADE_ACTION_DEAL,
            "symbol": "GBPUSD",
            "volume": 0.1,
            "type": c.ORDER_TYPE_BUY,
            "price": info.ask,
            "type_filling": c.ORDER_FILLING_FOK,
            "sl": info.bid - 0.01,
        }
    )
    assert manual.retcode == c.TRADE_RETCODE_DONE
    await b.step(61.0)
    await b.step(1.0)
    left = [p.ticket for p in b.terminal.positions_get()]
    assert left == [manual.order]
    assert ticket not in left
    closed = b.told("PositionClosed")[-1]
    assert (closed.ticket, closed.close_reason) == (ticket, "strategy")
    review = b.told("CriticReview")[-1]
    assert review.ticket == ticket
    assert "opened on eager 90" in review.analysis


async def test_the_daily_loss_stops_trading_on_the_observation_that_shows_it(bench: Any) -> None:
    b = await bench(**eager(), risk=RiskSettings(daily_loss_pct=0.001)).open()
    await trade(b)  # the spread alone is more than a thousandth of a percent
    await b.step(1.0)
    alert = b.told("RiskAlert")[-1]
    assert (alert.code, alert.level) == ("DAILY_LOSS", "critical")
    assert alert.value >= alert.limit
    assert b.told("BotStatus")[-1].state == "halted"
    limits = b.told("AccountUpdate")[-1].account.limits
    assert limits["daily_loss"].value >= limits["daily_loss"].limit
    assert len(b.terminal.positions_get()) == 1  # flatten_on_limit is off
    b.worker.executor.settings = b.settings.model_copy(update={"cooldown_s": 0.0})
    await b.worker.cycle()
    assert len(b.terminal.positions_get()) == 1


async def test_a_limit_flattens_the_bots_positions_where_the_setting_says_so(bench: Any) -> None:
    risk = RiskSettings(daily_loss_pct=0.001, flatten_on_limit=True)
    b = await bench(**eager(), risk=risk).open()
    await trade(b)
    await b.step(1.0)
    await b.step(1.0)
    assert b.terminal.positions_get() == ()


async def test_losing_trades_in_a_row_make_a_pause(bench: Any) -> None:
    risk = RiskSettings(max_consecutive_losses=2, loss_pause_s=600, daily_loss_pct=None)
    b = await bench(**eager(cooldown_s=0.0), risk=risk).open()
    for _ in range(2):
        ticket = await trade(b)
        assert (await b.command("close_position", ticket=ticket)).ok  # costs the spread
        await b.step(1.0)
    await b.step(1.0)
    await b.worker.cycle()
    assert b.told("ScanSummary")[-1].details["EURUSD"].gate == "consecutive_losses"
    assert b.told("RiskAlert")[-1].code == "CONSECUTIVE_LOSSES"
    await b.step(601.0)
    await b.worker.cycle()
    assert b.told("ScanSummary")[-1].details["EURUSD"].code == "CANDIDATE"


async def test_a_restart_repeats_no_partial_and_keeps_first_stop_and_best_price(bench: Any) -> None:
    exits = ExitSettings(breakeven_r=None, trail_start_r=None, time_stop_bars=None, partial_r=0.02)
    settings = StrategySettings(exits=exits)
    b = await bench(settings=settings, strategy=Eager(settings, "EURUSD")).open()
    ticket = await trade(b)
    before = b.worker.book.trades
    for _ in range(600):
        await b.step(5.0)
        position = next(p for p in b.observer.latest.positions if p.ticket == ticket)
        if before[ticket].first_volume > position.volume:
            break
    else:
        pytest.fail("the price never went the position's way")
    await b.step(130.0)
    position = next(p for p in b.observer.latest.positions if p.ticket == ticket)
    old = b.worker.book.position_view(position, 1.0, turned=False)
    await b.client.order_send(  # the stop was moved since: it is not the first one any more
        {
            "action": c.TRADE_ACTION_SLTP,
            "symbol": "EURUSD",
            "position": ticket,
            "sl": position.sl + 10 * 1e-5,
            "tp": position.tp,
        }
    )
    parts = len(b.terminal.history_deals_get(position=ticket))
    await b.open()
    position = next(p for p in b.observer.latest.positions if p.ticket == ticket)
    new = b.worker.book.position_view(position, 1.0, turned=False)
    assert new.first_sl == old.first_sl
    assert new.first_volume == old.first_volume
    assert new.reduced
    assert new.opened == old.opened
    assert abs(new.best - old.best) <= 2e-5 or new.best >= old.best
    for _ in range(20):
        await b.step(5.0)
    assert len(b.terminal.history_deals_get(position=ticket)) == parts


async def test_a_restart_remembers_cooldown_and_losses(bench: Any) -> None:
    b = await bench(**eager(cooldown_s=300.0)).open()
    ticket = await trade(b)
    await b.command("close_position", ticket=ticket)
    await b.step(1.0)
    await b.open()
    assert len(b.worker.book.losses()) == 1
    await b.worker.cycle()
    assert b.told("ScanSummary")[-1].symbols["EURUSD"].startswith("Cooldown")


async def test_a_position_without_a_stop_blocks_its_currencies(bench: Any) -> None:
    b = await bench(**eager(cooldown_s=0.0), risk=RiskSettings(max_per_symbol=3)).open()
    ticket = await trade(b)
    assert (await b.command("modify_position", ticket=ticket, sl=0)).ok
    await b.step(10.0)
    await b.worker.cycle()
    row = b.told("ScanSummary")[-1]
    assert row.details["EURUSD"].gate == "exposure"
    assert "a position has no stop" in row.symbols["EURUSD"]


async def test_the_smallest_lot_is_not_forced_on_a_small_account(bench: Any) -> None:
    b = await bench(**eager(), risk=RiskSettings(risk_per_trade_pct=0.01)).open()
    await b.worker.cycle()
    row = b.told("ScanSummary")[-1]
    assert row.details["EURUSD"].gate == "size"
    assert row.symbols["EURUSD"].startswith("Exec Block: Min Lot Risks Too Much")


async def test_a_price_that_ran_away_between_scan_and_order_is_looked_at_again(bench: Any) -> None:
    b = await bench(**eager()).open()
    view = await b.worker._account_view()
    scan = await b.worker.scanner.scan(
        ["EURUSD"], view, now=b.terminal.server_now(), utc_offset=0.0, since_last_trade_s={}
    )
    row = scan.rows["EURUSD"]
    assert row.block is None
    moved = replace(row.case.setup_or_raise, tp=row.case.setup_or_raise.entry + 1e-5)
    taken = await b.worker.executor.take(replace(row, case=replace(row.case, setup=moved)), view)
    assert taken.outcome is None
    assert taken.block.gate in {"levels", "minimum_r"}


async def test_after_a_day_that_was_lost_it_trades_again_the_next_day_and_says_so(
    bench: Any, busy: Any
) -> None:
    b = await bench(
        start=1_763_506_800.0,  # an hour before midnight
        settings=busy(min_score=30.0),
        risk=RiskSettings(risk_per_trade_pct=0.25, daily_loss_pct=0.02),
    ).open()
    alert = await b.cycle_until("RiskAlert", 55)
    assert (alert.code, alert.level) == ("DAILY_LOSS", "critical")
    assert "Daily Loss" in b.told("BotStatus")[-1].reason.text
    known, deals = len(b.told("RiskAlert")), len(b.terminal.ledger.deals)
    midnight = b.terminal.server_now() // 86_400 * 86_400 + 86_400
    while b.terminal.server_now() < midnight + 3600:
        await b.step(30.0)
        await b.worker.cycle()
    told = [a for a in b.told("RiskAlert")[known:] if a.code == "DAILY_LOSS"]
    assert told[0].level == "info"
    assert "next day has begun" in told[0].text
    opened = [d.time for d in b.terminal.ledger.deals[deals:] if d.entry == 0]
    assert opened
    assert min(opened) >= midnight


async def test_limits_are_published_with_the_observation_that_they_were_judged_by(
    bench: Any,
) -> None:
    b = await bench().open()
    first = b.told("AccountUpdate")[-1].account.limits
    assert first["daily_loss"].value == 0.0
    assert first["open_positions"].value == 0.0
    await b.orders.open("EURUSD", "BUY", 0.1)
    await b.observer.refresh()  # nobody managed it yet
    account = b.told("AccountUpdate")[-1].account
    assert account.limits["open_positions"].value == 1.0
    assert account.limits["daily_loss"].value == pytest.approx(-account.day_pl, abs=1e-4)


async def test_limits_that_cannot_be_judged_let_nothing_through_and_are_alerted_once(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = await bench().open()
    real = b.worker.risk_limits.judge

    def broken(*args: Any) -> Any:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(b.worker.risk_limits, "judge", broken)
    for _ in range(2):
        await b.step(1.0)
    (alert,) = [e for e in b.told("RiskAlert") if e.code == "WORKER_ERROR"]
    assert alert.level == "critical"
    assert "ZeroDivisionError: oh" in alert.text
    assert [block.gate for block in b.worker.risk_limits.blocks] == ["daily_loss"]
    monkeypatch.setattr(b.worker.risk_limits, "judge", real)
    await b.step(1.0)
    assert b.worker.risk_limits.blocks == ()
