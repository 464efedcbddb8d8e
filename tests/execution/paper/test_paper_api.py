"""The paper terminal keeps the package's conventions: call forms, failures, types, layouts."""

from __future__ import annotations

import queue
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pytest
from support.paper_desk import START, Desk
from support.present import present

from execution.api import constants as mt5
from execution.api.structs import RATES_DTYPE, TICKS_DTYPE
from execution.paper.server.faults import Faults
from execution.paper.server.masks import group_matches

GOOD: dict[str, Any] = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0}


def _error(desk: Desk) -> tuple[int, str]:
    return desk.mt5.last_error()


def test_nothing_works_before_initialize_or_after_shutdown() -> None:
    desk = Desk()
    desk.mt5.shutdown()
    paper = desk.mt5
    assert paper.account_info() is None
    assert _error(desk) == (-10004, "No IPC connection")
    assert paper.symbol_select("EURUSD", True) is False
    assert paper.initialize(login=desk.account.login) is True
    assert paper.account_info() is not None
    assert _error(desk) == (1, "Success")


def test_another_login_is_refused() -> None:
    desk = Desk()
    assert desk.mt5.login(1, "secret") is False
    assert _error(desk)[0] == mt5.RES_E_AUTH_FAILED
    assert desk.mt5.login(desk.account.login) is True


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("volume", 1),
        ("sl", 0),
        ("price", np.float32(1.1)),
        ("type", np.int64(0)),
        ("expiration", datetime(2030, 1, 1, tzinfo=UTC)),
        ("comment", "x" * 30),
        ("comment", None),
        ("symbol", "E" * 30),
        ("deviation", 10.0),
    ],
)
def test_a_field_of_another_type_is_refused_before_it_is_sent(key: str, value: object) -> None:
    desk = Desk()
    assert desk.mt5.order_send({**GOOD, key: value}) is None
    assert _error(desk) == (-2, f'Invalid "{key}" argument')


def test_fields_that_the_package_takes_are_taken() -> None:
    desk = Desk()
    fine = {**GOOD, "volume": np.float64(0.1), "comment": "x" * 29, "unknown": object()}
    sent = desk.mt5.order_send(fine)
    assert sent is not None
    assert (sent.retcode, sent.request.comment) == (10009, "x" * 29)
    assert desk.mt5.order_send(**GOOD) is not None
    assert desk.mt5.order_send() is None
    assert desk.mt5.order_send(GOOD, **GOOD) is None
    assert _error(desk)[0] == -2


def test_requests_are_read_before_the_connection_is_looked_at() -> None:
    desk = Desk()
    desk.mt5.shutdown()
    assert desk.mt5.order_send({"volume": 1}) is None
    assert _error(desk) == (-2, 'Invalid "volume" argument')


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda t: t.copy_rates_from_pos("EURUSD", 1, 0), "arguments"),
        (lambda t: t.symbol_info(5), "arguments"),
        (lambda t: t.copy_ticks_from("EURUSD", "today", 5, -1), "arguments"),
        (lambda t: t.history_deals_get(0), "arguments"),
        (lambda t: t.history_deals_get(date_from=0, date_to=1), "arguments"),
        (lambda t: t.history_deals_get(0, 1, group=None), '"group" argument'),
        (lambda t: t.positions_get(ticket=None), '"ticket" argument'),
        (lambda t: t.positions_get(symbol=None), '"symbol" argument'),
        (lambda t: t.orders_get(group=None), '"group" argument'),
    ],
)
def test_wrong_arguments_give_none_and_minus_two(call: Any, text: str) -> None:
    desk = Desk()
    desk.deal("buy")
    assert call(desk.mt5) is None
    assert _error(desk) == (-2, f"Invalid {text}")


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.initialize(login=None),
        lambda t: t.initialize(timeout=1.5),
        lambda t: t.initialize(path=None),
        lambda t: t.login(1, password=None),
        lambda t: t.symbols_get("*", "*"),
    ],
)
def test_functions_that_answer_false_do_so_for_wrong_arguments_too(call: Any) -> None:
    desk = Desk()
    assert call(desk.mt5) is False
    assert _error(desk)[0] == -2


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda t: t.copy_rates_from_pos("EURUSD", 1, 0, "5"), -2),
        (lambda t: t.copy_rates_from_pos("EURUSD", 1, 0, 5.0), -2),
        (lambda t: t.positions_get(ticket=-1), -2),
        (lambda t: t.order_send({**GOOD, "magic": -1}), -2),
        (lambda t: t.copy_rates_from("EURUSD", 1, 2**31, 5), 1),
    ],
)
def test_numbers_of_a_wrong_kind_or_range_raise(call: Any, code: int) -> None:
    desk = Desk()
    with pytest.raises(SystemError, match="returned a result with an exception set"):
        call(desk.mt5)
    assert _error(desk)[0] == code
    assert desk.positions() == ()


def test_what_the_package_takes_is_taken() -> None:
    desk = Desk({"EURUSD": [(each, 1.1, 1.1001) for each in range(0, 300, 10)]})
    desk.at(299)
    paper = desk.mt5
    bars = paper.copy_rates_from_pos("EURUSD", np.int64(1), np.int32(0), np.int64(3))
    assert bars is not None
    assert len(bars) == 3
    first, second = desk.deal("buy").order, desk.deal("buy").order
    far = datetime(2050, 1, 1, tzinfo=UTC)
    assert len(paper.history_deals_get(0, far) or ()) == 3, "the deposit and both"
    (deal,) = paper.history_deals_get(ticket=first, position=second, group="NO*") or ()
    assert deal.order == first, "the ticket counts, the group belongs to dates"
    assert len(paper.history_deals_get(0, 2**31 - 1, ticket=first) or ()) == 3, "dates count"
    masked = paper.symbols_get("EUR*", group="*JPY")
    assert masked is not None
    assert {info.name for info in masked} == {n for n in paper.tapes if n.endswith("JPY")}
    assert paper.symbols_get(symbol="EURUSD") is not None
    assert paper.initialize(foo=1, portable=None) is True
    empty = paper.order_send({})
    assert empty is not None
    assert empty.retcode == mt5.TRADE_RETCODE_INVALID


def test_positional_only_and_keyword_only_calls() -> None:
    desk = Desk()
    with pytest.raises(TypeError):
        desk.mt5.copy_rates_from_pos(symbol="EURUSD", timeframe=1, start_pos=0, count=1)
    with pytest.raises(TypeError):
        desk.mt5.symbol_info(symbol="EURUSD")
    assert desk.mt5.positions_get("EURUSD") is None
    assert _error(desk) == (-2, "Unnamed arguments not allowed")


def test_positions_are_found_by_ticket_then_symbol_then_group() -> None:
    desk = Desk()
    euro = desk.deal("buy").order
    yen = desk.deal("buy", symbol="USDJPY").order
    get = desk.mt5.positions_get
    assert [each.ticket for each in present(get())] == [euro, yen]
    assert [each.ticket for each in present(get(ticket=yen, symbol="EURUSD"))] == [yen]
    assert [each.ticket for each in present(get(symbol="EURUSD", group="*JPY"))] == [euro]
    assert [each.ticket for each in present(get(group="*JPY"))] == [yen]
    assert get(ticket=1) == ()
    assert get(symbol="NOSUCH") == ()


@pytest.mark.parametrize(
    ("mask", "name", "matches"),
    [
        ("*", "EURUSD", True),
        ("*,!*EUR*", "EURUSD", False),
        ("*,!*EUR*", "GBPUSD", True),
        ("!*EUR*", "GBPUSD", False),
        ("eur*", "EURUSD", False),
        (" *USD , *JPY ", "USDJPY", True),
        ("EURUS?", "EURUSD", False),
    ],
)
def test_group_masks(mask: str, name: str, matches: bool) -> None:
    assert group_matches(mask, name) is matches


def test_unknown_and_hidden_symbols() -> None:
    desk = Desk()
    assert desk.mt5.symbol_info("NOSUCH") is None
    assert _error(desk)[0] == mt5.RES_E_NOT_FOUND
    assert desk.mt5.symbol_select("GBPUSD", False) is True
    info = desk.mt5.symbol_info("GBPUSD")
    assert info is not None
    assert info.select is False
    assert desk.mt5.symbol_info_tick("GBPUSD") is None
    assert desk.mt5.copy_rates_from_pos("GBPUSD", 1, 0, 1) is None
    assert desk.mt5.symbol_select("GBPUSD") is True
    assert desk.mt5.symbol_info_tick("GBPUSD") is not None
    desk.deal("buy")
    assert desk.mt5.symbol_select("EURUSD", False) is False


def test_bars_and_ticks_have_the_packages_layout_and_limits() -> None:
    quotes = [(second, 1.1 + second * 1e-5, 1.1001 + second * 1e-5) for second in range(0, 300, 10)]
    desk = Desk({"EURUSD": quotes})
    desk.at(299)
    paper = desk.mt5
    bars = paper.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_M1, 0, 10)
    assert bars is not None
    assert bars.dtype == RATES_DTYPE
    assert bars.dtype.itemsize == 60
    assert bars["time"].tolist() == [START + 60 * each for each in range(5)]
    assert bars["tick_volume"].tolist() == [6] * 5
    assert bars[1]["open"] == pytest.approx(1.1006)
    assert bars[1]["high"] == bars[1]["close"] == pytest.approx(1.1011)
    assert set(bars["spread"].tolist()) == {10}
    one_back = paper.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_M1, 1, 2)
    assert one_back is not None
    assert one_back["time"].tolist() == [START + 120, START + 180]
    ending = paper.copy_rates_from("EURUSD", mt5.TIMEFRAME_M1, START + 130, 2)
    assert ending is not None
    assert ending["time"].tolist() == [START + 60, START + 120]
    between = paper.copy_rates_range("EURUSD", mt5.TIMEFRAME_M1, START + 60, START + 180)
    assert between is not None
    assert between["time"].tolist() == [START + 60, START + 120, START + 180]
    ticks = paper.copy_ticks_from("EURUSD", START + 15, 3, mt5.COPY_TICKS_ALL)
    assert ticks is not None
    assert ticks.dtype == TICKS_DTYPE
    assert ticks["time_msc"].tolist() == [int((START + each) * 1000) for each in (20, 30, 40)]
    assert set((ticks["flags"] & 0x7E).tolist()) == {6}
    span = paper.copy_ticks_range("EURUSD", START + 20, START + 40, mt5.COPY_TICKS_INFO)
    assert span is not None
    assert len(span) == 3
    none = paper.copy_ticks_range("EURUSD", START + 20, START + 40, mt5.COPY_TICKS_TRADE)
    assert none is not None
    assert len(none) == 0
    assert paper.copy_rates_from_pos("EURUSD", 7777, 0, 1) is None


def test_a_naive_datetime_is_local_time_and_an_aware_one_is_not() -> None:
    desk = Desk({"EURUSD": [(each, 1.1, 1.1001) for each in range(0, 300, 10)]})
    desk.at(299)
    aware = datetime.fromtimestamp(START + 120, UTC)
    naive = datetime.fromtimestamp(START + 120)  # local, as the package reads it
    for moment in (aware, naive):
        bars = desk.mt5.copy_rates_from("EURUSD", mt5.TIMEFRAME_M1, moment, 1)
        assert bars is not None
        assert bars["time"].tolist() == [START + 120]


def test_the_pipe_breaks_once_and_is_gone_until_initialize() -> None:
    desk = Desk()
    desk.mt5.faults.ipc_lost = True
    assert desk.mt5.positions_get() is None
    assert _error(desk)[0] == -10001
    assert desk.mt5.positions_get() is None
    assert _error(desk)[0] == -10004
    assert desk.mt5.initialize() is False
    desk.mt5.faults.ipc_lost = False
    assert desk.mt5.initialize() is True
    assert desk.mt5.positions_get() == ()


@pytest.mark.parametrize(("fault", "stands"), [("lost_answers", 1), ("lost_requests", 0)])
def test_a_lost_answer_looks_like_a_lost_request(fault: str, stands: int) -> None:
    desk = Desk(faults=replace(Faults(), **{fault: cast("Any", 1)}))
    assert desk.mt5.order_send(GOOD) is None
    assert _error(desk)[0] == -10002
    assert desk.mt5.initialize()
    assert len(desk.positions()) == stands


def test_a_disabled_python_api_gives_minus_eight() -> None:
    desk = Desk(faults=Faults(api_disabled=True))
    assert desk.mt5.order_send(GOOD) is None
    assert _error(desk)[0] == -8
    info = desk.mt5.terminal_info()
    assert info is not None
    assert info.tradeapi_disabled is True


def test_a_zero_tick_is_zero_in_all_fields() -> None:
    desk = Desk(faults=Faults(zero_tick=True))
    assert desk.mt5.symbol_info_tick("EURUSD") == (0, 0.0, 0.0, 0.0, 0, 0, 0, 0.0)


def test_a_clock_that_jumps_back_undoes_nothing() -> None:
    desk = Desk({"EURUSD": [(0, 1.1, 1.1001), (50, 1.2, 1.2001)]})
    desk.at(60)
    desk.deal("buy")
    desk.clock.jump(-3600)
    tick = desk.mt5.symbol_info_tick("EURUSD")
    assert tick is not None
    assert tick.bid == 1.2
    assert len(desk.positions()) == 1


def test_latency_is_spent_in_each_call() -> None:
    spent: list[float] = []
    desk = Desk(faults=Faults(latency_s=0.25, sleep=spent.append))
    desk.mt5.account_info()
    desk.mt5.positions_get()
    assert spent[-2:] == [0.25, 0.25]


def test_a_hung_terminal_answers_only_when_it_is_let_go() -> None:
    let_go, answers = threading.Event(), queue.SimpleQueue[Any]()
    desk = Desk(faults=Faults(hang=let_go, hang_in=frozenset({"positions_get"})))
    assert desk.mt5.account_info() is not None
    caller = threading.Thread(target=lambda: answers.put(desk.mt5.positions_get()), daemon=True)
    caller.start()
    with pytest.raises(queue.Empty):
        answers.get(timeout=0.1)
    let_go.set()
    assert answers.get(timeout=10) == ()
    caller.join(10)
