"""The observer: what changed is told once each, in order, with the money of its deals."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_terminal import BASE, FakeTerminal, symbol
from support.told import Told
from support.until import until

from execution.account.observer import Observation, Observer
from execution.api import constants as c
from execution.orders.intents import Intents
from execution.orders.orders import Orders
from execution.settings import TerminalSettings
from execution.transport.client import TerminalClient
from streamer.protocol.messages import Limit

Connect = Callable[..., Awaitable[TerminalClient]]
Begin = Callable[..., Awaitable[Observer]]

MAGIC = 234_000
LIFE = ("ORDER_UPDATE", "TRADE_EXECUTION", "POSITION_OPENED", "POSITION_MODIFIED",
        "POSITION_CLOSED")  # fmt: skip


@pytest.fixture
async def begin(
    connect: Connect, terminal: FakeTerminal, told: Told, settings: TerminalSettings
) -> Begin:
    """An observer that has read the terminal once; each test then reads when it wants to."""

    async def make(**more: Any) -> Observer:
        client = more.get("client") or await connect(terminal)
        observer = Observer(
            client,
            told.append,
            settings=settings,
            mode="paper",
            symbols=more.get("symbols", []),
            sent=more.get("sent"),
        )
        if more.get("read", True):
            assert await observer.refresh() is not None
        return observer

    return make


async def test_what_stands_at_the_start_is_shown_and_not_told_as_news(
    begin: Begin, terminal: FakeTerminal, told: Told
) -> None:
    ticket = terminal.open(0.5, sl=1.0951, magic=MAGIC)
    terminal.exit(terminal.open(0.1))
    observer = await begin()
    await observer.refresh()
    assert told.of(*LIFE) == []
    (shown,) = told.of("POSITION_UPDATE")[-1].positions
    assert (shown.ticket, shown.owner, shown.commission) == (ticket, "bot", -0.5)
    assert shown.initial_risk == 250.0
    assert shown.risk == -250.0
    assert shown.opened_at.startswith("2023-11-14T22:13")


async def test_a_trade_is_told_once_from_deal_to_close_with_its_whole_money(
    begin: Begin, terminal: FakeTerminal, told: Told
) -> None:
    observer = await begin()
    ticket = terminal.open(0.5, sl=1.0951, tp=1.12)
    await observer.refresh()
    terminal.price("EURUSD", 1.105, 1.1051)
    terminal.exit(ticket, 0.2)
    await observer.refresh()
    terminal.exit(ticket, reason=c.DEAL_REASON_TP, swap=-1.25, comment="[tp 1.10500]")
    await observer.refresh()
    await observer.refresh()
    events = told.of(*LIFE)
    assert [event.__struct_config__.tag for event in events] == list(LIFE[1:])
    execution, opened, modified, closed = events
    assert (execution.price, execution.lot, execution.ticket) == (1.1001, 0.5, ticket)
    assert (opened.sl_price, opened.initial_risk, opened.owner) == (1.0951, 250.0, "manual")
    assert (modified.volume, modified.old_volume) == (0.3, 0.5)
    assert modified.profit == round(0.2 * 490 - 0.5, 2), "net of its own costs"
    assert (closed.volume, closed.exit_price, closed.close_reason) == (0.5, 1.105, "tp")
    assert (closed.profit, closed.swap, closed.commission) == (245.0, -1.25, -1.5)
    assert closed.r_multiple == round((245.0 - 1.25 - 1.5) / 250, 3)
    assert 0 <= closed.duration_s < 60


async def test_what_opened_and_closed_between_two_readings_is_told_whole(
    begin: Begin, terminal: FakeTerminal, told: Told
) -> None:
    observer = await begin()
    ticket = terminal.open(0.1, sl=1.0991)
    terminal.price("EURUSD", 1.0991, 1.0992)
    terminal.exit(ticket, reason=c.DEAL_REASON_SL)
    await observer.refresh()
    assert told.names()[-3:] == ["TRADE_EXECUTION", "POSITION_OPENED", "POSITION_CLOSED"]
    closed = told.of("POSITION_CLOSED")[0]
    assert (closed.close_reason, closed.r_multiple) == ("sl", -1.1)


async def test_a_moved_stop_is_told_with_the_old_one_and_a_profitable_stop_has_no_risk(
    begin: Begin, terminal: FakeTerminal, told: Told
) -> None:
    observer = await begin()
    ticket = terminal.open(1.0, sl=1.0991)
    await observer.refresh()
    terminal.price("EURUSD", 1.11, 1.1101)
    terminal.positions[ticket] = terminal.positions[ticket]._replace(sl=1.105, tp=1.2)
    await observer.refresh()
    modified = told.of("POSITION_MODIFIED")[0]
    assert (modified.old_sl_price, modified.sl_price) == (1.0991, 1.105)
    assert (modified.old_tp_price, modified.tp_price) == (0.0, 1.2)
    (shown,) = told.of("POSITION_UPDATE")[-1].positions
    assert (shown.initial_risk, shown.risk) == (100.0, 490.0), "risk now, and R's measure stays"


@pytest.mark.parametrize(
    ("deal", "by", "reason"),
    [
        ({"reason": c.DEAL_REASON_SL, "magic": MAGIC}, None, "sl"),
        ({"reason": c.DEAL_REASON_SO}, None, "stop_out"),
        ({"reason": c.DEAL_REASON_EXPERT, "magic": MAGIC}, None, "strategy"),
        ({"reason": c.DEAL_REASON_EXPERT, "magic": 5}, None, "external"),
        ({"reason": c.DEAL_REASON_CLIENT}, None, "external"),
        (None, "operator", "operator"),
        (None, "strategy", "strategy"),
    ],
)
async def test_why_a_position_was_closed(
    begin: Begin, connect: Connect, terminal: FakeTerminal, told: Told, settings: TerminalSettings,
    deal: Any, by: Any, reason: str,
) -> None:  # fmt: skip
    client = await connect(terminal)
    orders = Orders(client, told.append, settings)
    observer = await begin(client=client, sent=orders.sent)
    ticket = terminal.open(0.1, magic=MAGIC)
    if deal is not None:
        terminal.exit(ticket, **deal)
    else:
        assert (await orders.close(ticket, by=by)).ok
    await observer.refresh()
    await observer.refresh()
    (closed,) = told.of("POSITION_CLOSED")
    assert (closed.close_reason, closed.owner) == (reason, "bot")


async def test_a_trade_of_the_bots_waits_for_its_reason_and_carries_it(
    begin: Begin, connect: Connect, terminal: FakeTerminal, told: Told, settings: TerminalSettings
) -> None:
    client = await connect(terminal)
    orders = Orders(client, told.append, settings)
    observer = await begin(client=client, sent=orders.sent)
    outcome = await orders.open("EURUSD", "BUY", 0.1, sl=1.09)
    await observer.refresh()
    assert told.of("TRADE_EXECUTION") == []
    observer.justify(outcome.order or 0, score=71.0, components={"bias": 25.0}, initial_risk=99.0)
    await observer.refresh()
    (execution,) = told.of("TRADE_EXECUTION")
    assert (execution.score, execution.slippage, execution.owner) == (71.0, 0.0, "bot")
    (opened,) = told.of("POSITION_OPENED")
    assert (opened.components, opened.initial_risk) == ({"bias": 25.0}, 99.0)


async def test_a_trade_of_the_bots_that_nobody_explains_is_told_at_the_next_reading(
    begin: Begin, terminal: FakeTerminal, told: Told
) -> None:
    observer = await begin()
    terminal.exit(terminal.open(0.1, magic=MAGIC))
    await observer.refresh()
    assert told.of(*LIFE) == []
    await observer.refresh()
    assert told.names()[-3:] == ["TRADE_EXECUTION", "POSITION_OPENED", "POSITION_CLOSED"]


@pytest.mark.parametrize(
    ("state", "filled", "status"),
    [
        (c.ORDER_STATE_CANCELED, 0.0, "cancelled"),
        (c.ORDER_STATE_EXPIRED, 0.0, "expired"),
        (c.ORDER_STATE_FILLED, 0.2, "filled"),
    ],
)
async def test_a_pending_order_is_told_from_placing_to_its_end(
    begin: Begin, connect: Connect, terminal: FakeTerminal, told: Told, settings: TerminalSettings,
    state: int, filled: float, status: str,
) -> None:  # fmt: skip
    client = await connect(terminal)
    orders = Orders(client, told.append, settings)
    observer = await begin(client=client, sent=orders.sent)
    placed = await orders.open("EURUSD", "BUY", 0.2, sl=1.08, kind="limit", price=1.09)
    await observer.refresh()
    (shown,) = told.of("ORDERS_UPDATE")[-1].orders
    assert (shown.order, shown.kind, shown.price, shown.owner) == (
        placed.order,
        "limit",
        1.09,
        "bot",
    )
    terminal.end(placed.order or 0, state, filled)
    await observer.refresh()
    await observer.refresh()
    first, last = told.of("ORDER_UPDATE")
    assert (first.status, first.kind, first.price) == ("placed", "limit", 1.09)
    assert (last.status, last.filled) == (status, filled)
    assert len(told.of("TRADE_EXECUTION")) == bool(filled)
    assert told.of("ORDERS_UPDATE")[-1].orders == []


async def test_a_pending_order_that_came_and_filled_between_two_readings_is_told_as_filled(
    begin: Begin, connect: Connect, terminal: FakeTerminal, told: Told, settings: TerminalSettings
) -> None:
    client = await connect(terminal)
    orders = Orders(client, told.append, settings)
    observer = await begin(client=client, sent=orders.sent)
    placed = await orders.open("EURUSD", "SELL", 0.2, kind="stop", price=1.09)
    observer.justify(placed.order or 0, score=60.0)
    terminal.end(placed.order or 0, c.ORDER_STATE_FILLED, 0.2)
    await observer.refresh()
    assert [event.status for event in told.of("ORDER_UPDATE")] == ["filled"]
    assert told.of("TRADE_EXECUTION")[0].slippage == -1000.0, "better than asked for"


async def test_todays_profit_counts_trades_and_their_costs_but_no_deposit(
    begin: Begin, terminal: FakeTerminal, told: Told
) -> None:
    terminal.deposit(5000)
    ticket = terminal.open(1.0)
    terminal.price("EURUSD", 1.1021, 1.1022)
    terminal.exit(ticket)
    observer = await begin()
    open_now = terminal.open(1.0)
    terminal.price("EURUSD", 1.1032, 1.1033)
    terminal.deposit(700)
    seen = await observer.refresh()
    assert seen is not None
    assert seen.realised_today == pytest.approx(200.0 - 1.0 - 0.5)
    assert seen.day_pl == pytest.approx(198.5 + 100.0)
    assert told.of("ACCOUNT_UPDATE")[-1].account.day_pl == 298.5
    terminal.offset += 2 * 3600  # past the server's midnight
    seen = await observer.refresh()
    assert seen is not None
    assert (seen.realised_today, round(seen.day_pl or 0, 2)) == (0.0, 100.0)
    assert open_now in terminal.positions


async def test_drawdown_is_measured_from_the_peak_and_a_deposit_is_no_gain(
    begin: Begin, terminal: FakeTerminal, told: Told
) -> None:
    observer = await begin()
    terminal.open(1.0)
    terminal.price("EURUSD", 1.0901, 1.0902)
    await observer.refresh()
    drawdown = told.of("ACCOUNT_UPDATE")[-1].account.drawdown_pct
    assert drawdown == pytest.approx((1000 + 0.5) / 10_000 * 100)
    terminal.deposit(10_000)
    await observer.refresh()
    assert observer.peak_equity == pytest.approx(20_000)
    assert told.of("ACCOUNT_UPDATE")[-1].account.drawdown_pct == pytest.approx(
        1000.5 / 200, abs=0.001
    )


async def test_nothing_is_published_while_the_terminal_is_away_and_the_gap_is_told_after(
    begin: Begin, connect: Connect, terminal: FakeTerminal, told: Told
) -> None:
    client = await connect(terminal)
    observer = await begin(client=client)
    ticket = terminal.open(0.1)
    await observer.refresh()
    running = asyncio.create_task(observer.run())
    await until(lambda: told.of("QUOTE_UPDATE"))
    for name in ("positions_get", "account_info", "symbol_info_tick", "initialize"):
        terminal.before[name] = lambda: terminal.fail(-10004, "No IPC connection")
    await until(lambda: client.status.state == "disconnected")
    await asyncio.sleep(0.1)
    count = len(told)
    terminal.exit(ticket)
    second = terminal.open(0.3, buy=False)
    await asyncio.sleep(0.4)
    quiet = [event.__struct_config__.tag for event in told[count:]]
    assert set(quiet) <= {"TERMINAL_STATUS"}, "no empty list, no zero: nothing at all"
    latest = observer.latest
    assert latest is not None
    assert latest.positions[0].ticket == ticket, "the last values stay"
    terminal.before.clear()
    await until(lambda: told.of("POSITION_CLOSED"))
    running.cancel()
    assert [event.ticket for event in told.of("POSITION_CLOSED")] == [ticket]
    assert [event.ticket for event in told.of("POSITION_OPENED")] == [ticket, second]


async def test_a_reading_that_breaks_in_the_middle_is_done_again_and_nothing_is_told_twice(
    begin: Begin, terminal: FakeTerminal, told: Told
) -> None:
    observer = await begin()
    terminal.exit(terminal.open(0.1, sl=1.09))
    terminal.before["history_orders_get"] = lambda: terminal.fail(-1, "Terminal: Call failed")
    assert await observer.refresh() is None
    assert told.of(*LIFE) == []
    terminal.before.clear()
    await observer.refresh()
    await observer.refresh()
    assert told.names()[-3:] == ["TRADE_EXECUTION", "POSITION_OPENED", "POSITION_CLOSED"]
    assert len(told.of(*LIFE)) == 3


async def test_the_account_is_told_at_each_reading_the_lists_when_they_change(
    begin: Begin, terminal: FakeTerminal, told: Told
) -> None:
    observer = await begin()
    for _ in range(5):
        await observer.refresh()
    assert len(told.of("ACCOUNT_UPDATE")) == 6, "a face's freshness rests on it"
    assert len(told.of("POSITION_UPDATE")) == len(told.of("ORDERS_UPDATE")) == 1
    terminal.open(0.1)
    await observer.refresh()
    assert [len(e.positions) for e in told.of("POSITION_UPDATE")] == [0, 1]


async def test_quotes_come_with_the_servers_time_and_a_missing_price_is_null(
    begin: Begin, connect: Connect, told: Told
) -> None:
    terminal = FakeTerminal(symbol(), symbol("XAUUSD", 0.0, 0.0, digits=2))
    client = await connect(terminal)
    observer = await begin(client=client)
    running = asyncio.create_task(observer.run())
    update = (await until(lambda: told.of("QUOTE_UPDATE")))[0]
    running.cancel()
    assert update.quotes["EURUSD"].bid == 1.1
    assert update.quotes["EURUSD"].digits == 5
    assert update.quotes["XAUUSD"].bid is None
    assert update.server_time.startswith("2023-11-14T22:13")


async def test_without_the_servers_clock_the_day_is_not_known_and_no_time_is_invented(
    begin: Begin, connect: Connect, told: Told
) -> None:
    terminal = FakeTerminal(tells_time=False)
    client = await connect(terminal)
    observer = await begin(client=client)
    terminal.open(0.1)
    seen = await observer.refresh()
    assert seen is not None
    assert (seen.server_time, seen.day_pl) == (None, None)
    assert told.of("POSITION_UPDATE")[-1].positions[0].opened_at is None
    client.clock.utc_offset = 7200.0
    await observer.refresh()
    shown = told.of("POSITION_UPDATE")[-1].positions[0]
    assert shown.opened_at.startswith("2023-11-14T20:13"), "server time less its offset"


async def test_symbols_asked_for_are_selected_and_an_unknown_one_is_told_with_what_is_near(
    begin: Begin, connect: Connect, told: Told
) -> None:
    terminal = FakeTerminal(symbol("EURUSD.m", select=False))
    client = await connect(terminal)
    observer = await begin(client=client, symbols=["EURUSD", "EURUSD.m"])
    assert observer.symbols == ["EURUSD.m"]
    assert "symbol_select" in terminal.calls
    (alert,) = told.of("RISK_ALERT")
    assert alert.code == "SYMBOL_UNKNOWN"
    assert "EURUSD.m" in alert.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"volume_max": 0.0}, "volume_max is 0"),
        ({"volume_step": 0.0}, "volume_step is 0"),
        ({"point": 0.0}, "point is 0"),
        ({"currency_profit": ""}, "currency_profit is empty"),
    ],
)
@pytest.mark.parametrize("asked", [[], ["ODD", "EURUSD"]])
async def test_a_symbol_that_cannot_be_computed_with_costs_only_its_own_row_in_words(
    begin: Begin, connect: Connect, told: Told, change: Any, words: str, asked: list[str]
) -> None:
    terminal = FakeTerminal(symbol("ODD", **change), symbol("EURUSD"))
    client = await connect(terminal)
    observer = await begin(client=client, symbols=asked)
    assert observer.symbols == ["EURUSD"]
    (alert,) = told.of("RISK_ALERT")
    assert alert.code == "SYMBOL_ODD"
    assert f"ODD is left out: its {words}" in alert.text
    await observer.refresh()
    assert len(told.of("RISK_ALERT")) == 1, "reported once"


async def test_another_account_is_a_new_beginning(
    begin: Begin, terminal: FakeTerminal, told: Told
) -> None:
    observer = await begin()
    terminal.open(0.1)
    await observer.refresh()
    told.clear()
    terminal.login, terminal.positions, terminal.deals, terminal.done = 2002, {}, [], []
    terminal.open(0.4)
    await observer.refresh()
    assert told.of(*LIFE) == []
    assert [p.volume for p in told.of("POSITION_UPDATE")[-1].positions] == [0.4]


async def test_a_netting_reversal_closes_one_life_and_opens_another(
    begin: Begin, terminal: FakeTerminal, told: Told
) -> None:
    observer = await begin()
    ticket = terminal.open(0.1, sl=1.0951)
    await observer.refresh()
    terminal.price("EURUSD", 1.1101, 1.1102)
    position = terminal.positions[ticket]
    terminal._order(terminal.symbols["EURUSD"], 1, 0.3, 1.1101, 0, position=ticket)
    terminal.deals.append(terminal._deal(
        order=terminal.done[-1].ticket, type=1, entry=c.DEAL_ENTRY_INOUT, position_id=ticket,
        volume=0.3, price=1.1101, profit=100.0, commission=-0.5, symbol="EURUSD",
    ))  # fmt: skip
    terminal.positions[ticket] = position._replace(
        ticket=terminal.done[-1].ticket, type=1, volume=0.2, price_open=1.1101, sl=1.12
    )
    await observer.refresh()
    closed, opened = told.of("POSITION_CLOSED")[0], told.of("POSITION_OPENED")[-1]
    assert (closed.direction, closed.volume, closed.profit) == ("BUY", 0.1, 100.0)
    assert closed.r_multiple == round((100.0 - 1.0) / 50.0, 3), "measured by its own first stop"
    assert (opened.direction, opened.volume, opened.entry_price) == ("SELL", 0.2, 1.1101)
    assert (closed.ticket, opened.ticket) == (ticket, terminal.done[-1].ticket)
    assert opened.initial_risk == 198.0


async def test_the_limits_of_the_worker_and_the_watchers_get_each_reading(
    begin: Begin, terminal: FakeTerminal, told: Told
) -> None:
    observer = await begin()
    seen: list[Observation] = []

    def judge(found: Observation) -> None:
        seen.append(found)
        observer.limits = {"open_positions": Limit(value=len(found.positions), limit=5)}

    stop = observer.watch(judge)
    terminal.open(0.1)
    await observer.refresh()
    assert told.of("ACCOUNT_UPDATE")[-1].account.limits["open_positions"].value == 1
    stop()
    await observer.refresh()
    assert len(seen) == 1
    assert seen[0].server_time == pytest.approx(BASE, abs=120)


async def test_what_happened_while_the_program_was_away_is_told_by_its_next_run_once(
    connect: Connect, terminal: FakeTerminal, told: Told, settings: TerminalSettings, tmp_path: Path
) -> None:
    async def run(*during: Callable[[Observer], Any]) -> list[Any]:
        """One run of the program: its first reading, then one after each thing that happens."""
        told.clear()
        client, intents = await connect(terminal), Intents(tmp_path / "intents.db")
        observer = Observer(client, told.append, settings=settings, mode="live", intents=intents)
        await observer.refresh()
        for thing in during:
            thing(observer)
            await observer.refresh()
        await observer.refresh()
        await until(lambda: observer._marking is None or observer._marking.done())
        await intents.close()
        return [(event.__struct_config__.tag, event.ticket) for event in told.of(*LIFE)]

    stays, goes = terminal.open(0.3), terminal.open(0.2, sl=1.0951)
    assert await run() == [], "what stood before the first run is no news"
    terminal.price("EURUSD", 1.1051, 1.1052)
    terminal.exit(goes, reason=c.DEAL_REASON_TP)
    short = terminal.open(0.1)
    terminal.exit(short)
    new = terminal.open(0.4)
    terminal.exit(stays, 0.1)
    assert await run() == [
        ("POSITION_CLOSED", goes),
        ("TRADE_EXECUTION", short),
        ("POSITION_OPENED", short),
        ("POSITION_CLOSED", short),
        ("TRADE_EXECUTION", new),
        ("POSITION_OPENED", new),
        ("POSITION_MODIFIED", stays),
    ]
    closed = told.of("POSITION_CLOSED")[0]
    assert (closed.close_reason, closed.profit, closed.r_multiple) == ("tp", 100.0, 0.99)
    assert await run() == [], "and only once"
    assert await run(lambda o: terminal.exit(new)) == [("POSITION_CLOSED", new)]
    assert await run() == []


# -- counted and published are one step ------------------------------------------------------------


def constants(prefix: str) -> list[int]:
    return [value for name, value in vars(c).items() if name.startswith(prefix)]


DEAL_TYPES = [*constants("DEAL_TYPE_"), c.DEAL_DIVIDEND, c.DEAL_DIVIDEND_FRANKED, c.DEAL_TAX, 99]


def raw(told: Told) -> list[Any]:
    return [alert for alert in told.of("RISK_ALERT") if alert.code == "NOT_WORDED"]


async def goes_on(observer: Observer, terminal: FakeTerminal, told: Told) -> None:
    """The reading after this one publishes a new trade whole."""
    before = len(told.of("POSITION_OPENED"))
    ticket = terminal.open(0.1)
    assert await observer.refresh() is not None
    opened = told.of("POSITION_OPENED")
    assert [event.ticket for event in opened[before:]] == [ticket]
    terminal.exit(ticket)
    assert await observer.refresh() is not None
    assert told.of("POSITION_CLOSED")[-1].ticket == ticket


@pytest.mark.parametrize("kind", [*constants("ORDER_TYPE_"), 99])
async def test_every_type_of_order_passes_through_a_reading(
    begin: Begin, terminal: FakeTerminal, told: Told, kind: int
) -> None:
    observer = await begin()
    if kind <= c.ORDER_TYPE_SELL_STOP_LIMIT:
        terminal.open(0.1)
    else:
        terminal.exit(terminal.open(0.1))
    terminal.done[-1] = terminal.done[-1]._replace(type=kind)
    waiting = terminal.done[-1]._replace(ticket=77, state=c.ORDER_STATE_PLACED)
    terminal.orders[77] = waiting
    assert await observer.refresh() is not None
    terminal.end(77, c.ORDER_STATE_CANCELED)
    assert await observer.refresh() is not None
    assert len(told.of("POSITION_OPENED")) == 1
    await goes_on(observer, terminal, told)


@pytest.mark.parametrize("kind", DEAL_TYPES)
async def test_every_type_of_deal_passes_through_a_reading(
    begin: Begin, terminal: FakeTerminal, told: Told, kind: int
) -> None:
    observer = await begin()
    ticket = terminal.open(0.1)
    await observer.refresh()
    deal = terminal._deal(type=kind, entry=c.DEAL_ENTRY_OUT, position_id=ticket, volume=0.1,
                          profit=-3.0, price=1.1, symbol="EURUSD")  # fmt: skip
    terminal.deals.append(deal)
    if kind in (c.DEAL_TYPE_BUY, c.DEAL_TYPE_SELL):
        del terminal.positions[ticket]
    assert await observer.refresh() is not None
    assert await observer.refresh() is not None
    trade = kind in (c.DEAL_TYPE_BUY, c.DEAL_TYPE_SELL)
    assert [event.profit for event in told.of("POSITION_CLOSED")] == ([-3.0] if trade else [])
    unworded = kind in (c.DEAL_TYPE_BUY_CANCELED, c.DEAL_TYPE_SELL_CANCELED, 99)
    assert len(raw(told)) == (1 if unworded else 0)
    await goes_on(observer, terminal, told)


@pytest.mark.parametrize("entry", [*constants("DEAL_ENTRY_"), 99])
@pytest.mark.parametrize("known", [True, False])
async def test_every_entry_of_a_deal_passes_through_a_reading_and_leaves_an_event(
    begin: Begin, terminal: FakeTerminal, told: Told, entry: int, known: bool
) -> None:
    observer = await begin()
    ticket = terminal.open(0.1) if known else 4711
    await observer.refresh()
    before = len(told.names())
    deal = terminal._deal(type=c.DEAL_TYPE_SELL, entry=entry, position_id=ticket, volume=0.1,
                          profit=-3.0, price=1.1, symbol="EURUSD")  # fmt: skip
    terminal.deals.append(deal)
    assert await observer.refresh() is not None
    assert len(told.names()) > before, "no trade is counted without an event"
    leaves = entry in (c.DEAL_ENTRY_OUT, c.DEAL_ENTRY_OUT_BY)
    closes = known and (leaves or entry == c.DEAL_ENTRY_INOUT)
    assert len(told.of("POSITION_CLOSED")) == (1 if closes else 0)
    assert len(raw(told)) == (1 if entry == 99 or (leaves and not known) else 0)
    if raw(told):
        assert f'"ticket": {deal.ticket}' in raw(told)[0].text
        assert '"profit": -3.0' in raw(told)[0].text
    count = len(told.names())
    assert await observer.refresh() is not None
    assert len(told.names()) == count, "once"
    await goes_on(observer, terminal, told)


@pytest.mark.parametrize("reason", [*constants("DEAL_REASON_"), 99])
async def test_every_reason_of_a_deal_passes_through_a_reading(
    begin: Begin, terminal: FakeTerminal, told: Told, reason: int
) -> None:
    observer = await begin()
    ticket = terminal.open(0.1)
    await observer.refresh()
    terminal.exit(ticket, reason=reason)
    assert await observer.refresh() is not None
    assert [event.ticket for event in told.of("POSITION_CLOSED")] == [ticket]
    assert raw(told) == []
    await goes_on(observer, terminal, told)


async def test_a_position_closed_by_another_gives_both_closings_with_their_money(
    begin: Begin, terminal: FakeTerminal, told: Told
) -> None:
    observer = await begin()
    long, short = terminal.open(0.1), terminal.open(0.1, buy=False)
    await observer.refresh()
    order = terminal._order(terminal.symbols["EURUSD"], c.ORDER_TYPE_CLOSE_BY, 0.1, 1.1, 0,
                            position=long)  # fmt: skip
    for ticket, kind, profit, commission in ((long, 1, -1.0, -0.5), (short, 0, 0.0, 0.0)):
        del terminal.positions[ticket]
        terminal.deals.append(
            terminal._deal(
                order=order,
                type=kind,
                entry=c.DEAL_ENTRY_OUT_BY,
                position_id=ticket,
                volume=0.1,
                price=1.1,
                profit=profit,
                commission=commission,
                symbol="EURUSD",
            )
        )
        terminal.balance += profit + commission
    for _ in range(2):
        assert await observer.refresh() is not None
    closed = told.of("POSITION_CLOSED")
    assert [(e.ticket, e.profit, e.commission) for e in closed] == [
        (long, -1.0, -1.0),
        (short, 0.0, -0.5),
    ]
    await goes_on(observer, terminal, told)


async def test_an_event_that_cannot_be_worded_is_published_raw_and_the_others_are_whole(
    begin: Begin, terminal: FakeTerminal, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    observer = await begin()
    bad, good = terminal.open(0.1), terminal.open(0.1)
    await observer.refresh()
    reason = observer._announcer._reason

    def broken(deal: Any) -> Any:
        if deal.position_id == bad:
            raise KeyError(8)
        return reason(deal)

    monkeypatch.setattr(observer._announcer, "_reason", broken)
    terminal.exit(bad)
    deal = terminal.deals[-1].ticket
    terminal.exit(good)
    for _ in range(2):
        assert await observer.refresh() is not None
    assert [event.ticket for event in told.of("POSITION_CLOSED")] == [good]
    (alert,) = raw(told)
    assert f'"ticket": {deal}' in alert.text
    await goes_on(observer, terminal, told)


async def test_an_event_that_the_feed_refuses_is_published_raw_once(
    connect: Connect, terminal: FakeTerminal, told: Told, settings: TerminalSettings
) -> None:
    refuse: set[str] = set()

    def publish(event: Any) -> None:
        if event.__struct_config__.tag in refuse:
            raise ValueError("refused")
        told.append(event)

    observer = Observer(await connect(terminal), publish, settings=settings, mode="paper")
    await observer.refresh()
    ticket = terminal.open(0.1)
    await observer.refresh()
    refuse.add("POSITION_CLOSED")
    terminal.exit(ticket)
    for _ in range(2):
        assert await observer.refresh() is not None
    (alert,) = raw(told)
    assert "POSITION_CLOSED" in alert.text
    assert f'"ticket": {ticket}' in alert.text
    refuse.clear()
    await goes_on(observer, terminal, told)


async def test_events_stay_until_the_feed_takes_them_and_are_not_marked_before(
    connect: Connect, terminal: FakeTerminal, told: Told, settings: TerminalSettings,
    tmp_path: Path,
) -> None:  # fmt: skip
    refusing = False

    def publish(event: Any) -> None:
        if refusing:
            raise OSError("the feed is down")
        told.append(event)

    intents = Intents(tmp_path / "intents")
    observer = Observer(
        await connect(terminal), publish, settings=settings, mode="paper", intents=intents
    )
    await observer.refresh()
    assert observer._marking is not None
    await observer._marking
    marked = await intents.marked("1001@Fake-Demo")
    ticket = terminal.open(0.1)
    refusing = True
    for _ in range(3):
        with pytest.raises(OSError, match="down"):
            await observer.refresh()
    await observer._marking
    assert await intents.marked("1001@Fake-Demo") == marked
    refusing = False
    assert await observer.refresh() is not None
    assert [e.ticket for e in told.of("TRADE_EXECUTION", "POSITION_OPENED")] == [ticket, ticket]
    assert raw(told) == []
    await observer._marking
    newest = terminal.deals[-1]
    assert await intents.marked("1001@Fake-Demo") == (newest.time_msc, newest.ticket)
