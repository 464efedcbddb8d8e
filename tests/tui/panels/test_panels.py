"""Panels as lines, without an app; the memory of a session; text that is hostile."""

from __future__ import annotations

from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.style import Style
from support.fake_source import POSITIONS, FakeSource, FrozenClock, account, trading_day

from streamer.protocol.lenient import read
from streamer.protocol.messages import PositionClosed, Quote
from tui.actions import ACTIONS
from tui.app.app import DashApp
from tui.panels.account import limits_line, money_line
from tui.panels.header import header_line
from tui.panels.status import alert_line, key_line
from tui.panels.theme import STYLE_NAMES, Ink
from tui.panels.tiny import tiny_lines
from tui.render import describe
from tui.render.chart import Candle, PriceLevel, area, candles
from tui.render.filtering import Filter
from tui.render.lines import (
    ASCII,
    Part,
    clip,
    fit,
    fit_line,
    line_width,
    pack,
    plain,
    width,
    wrap,
)
from tui.session.price_history import PriceHistory, candles_of
from tui.session.results import Statistics, TradeResult, net_profit
from tui.session.session import LINES_KEPT, Session
from tui.session.view import View

INK = Ink({**dict.fromkeys(STYLE_NAMES, Style.null()), "": Style.null()})
ASCII_INK = Ink({**dict.fromkeys(STYLE_NAMES, Style.null()), "": Style.null()}, ascii_only=True)
ANY_TEXT = st.text(max_size=60)


def session(link: str = "local") -> tuple[Session, FakeSource, FrozenClock]:
    time = FrozenClock()
    source = trading_day(FakeSource(time.clock, link=link))
    one = Session(source, time.clock)
    one.open()
    one.tick()
    return one, source, time


# -- lines ----------------------------------------------------------------------------------


@settings(max_examples=1000, deadline=None)
@given(ANY_TEXT, st.integers(min_value=1, max_value=40))
def test_any_text_becomes_printable_cells_of_exactly_the_asked_width(text: str, cells: int) -> None:
    for ink in (INK, ASCII_INK):
        strip = ink.strip(fit_line([(text, "up"), ("x", "")], cells), cells)
        assert strip.cell_length == cells
        assert {category(c) for c in strip.text}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
    assert ASCII_INK.strip([(text, "")], cells).text.isascii()


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT, st.integers(min_value=1, max_value=40), st.sampled_from("lrc"))
def test_fit_gives_the_width_and_clip_never_more(text: str, cells: int, align: str) -> None:
    if text.isprintable():
        assert width(fit(text, cells, align)) == cells
        assert width(clip(text, cells)) <= cells


@pytest.mark.parametrize("cells", [80, 120, 200])
def test_a_market_of_another_day_says_its_date_at_every_width(cells: int) -> None:
    one, source, _ = session()
    assert "2026-03-04" not in plain(header_line(View.of(one), 80))
    source.publish("QUOTE_UPDATE", quotes={}, server_time="2014-05-13T17:59:02+00:00", speed=60.0)
    line = plain(header_line(View.of(one), cells))
    assert "2014-05-13" in line
    assert "x60" in line
    assert "terminal LIVE" in line or "term LIVE" in line
    assert ("17:59:02" in line) is (cells >= 120)


def test_the_margin_limit_is_rounded_as_the_margin() -> None:
    one, source, _ = session()
    said = account() | {
        "margin_level": 2913.5553,
        "limits": {"margin_level": {"value": 2913.5553, "limit": 150.0, "unit": "%"}},
    }
    source.publish("ACCOUNT_UPDATE", account=said)
    assert "2,914%" in plain(money_line(View.of(one), 200, alone=False))
    assert "2,914% of 150%" in plain(limits_line(View.of(one), 200))


def test_every_sign_has_one_ascii_cell() -> None:
    assert all(len(v) == 1 and v.isascii() for v in ASCII.values())
    drawn = "▁▂▃▄▅▆▇█▀▲▼●◐○◆■□…–·─│╭╮╰╯├┤┼╌┃╵╷→←↑↓◀Σ×✕‖"
    assert all(ord(sign) in ASCII for sign in drawn)


def test_parts_are_shortened_before_the_needed_ones_go() -> None:
    parts = [
        Part(([("Balance 10", "")], [("Bal 10", "")]), 0),
        Part(([("clients 2", "")], [("2c", "")]), 1),
        Part(([("market generated", "")],), 5),
    ]
    assert [plain(p) for p in pack(parts, 60)] == ["Balance 10", "clients 2", "market generated"]
    assert [plain(p) for p in pack(parts, 22)] == ["Balance 10", "clients 2"]
    assert [plain(p) for p in pack(parts, 14)] == ["Balance 10", "2c"]
    assert [plain(p) for p in pack(parts, 9)] == ["Bal 10"]


def test_words_are_wrapped_and_long_ones_cut() -> None:
    assert wrap("aa bb cc", 5) == ["aa bb", "cc"]
    assert wrap("abcdefgh", 3) == ["abc", "def", "gh"]


# -- one-line panels ------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [60, 80, 100, 120, 200])
def test_bars_have_their_width_at_every_size_and_keep_what_matters(cells: int) -> None:
    one, _, _ = session()
    view = View.of(one)
    header, money = header_line(view, cells), money_line(view, cells, alone=True)
    for line in (header, money, limits_line(view, cells), alert_line(view, cells)[0]):
        assert line_width(line) == cells
    assert line_width(key_line(ACTIONS, cells)) <= cells
    assert " PAPER " in plain(header)
    assert "LIVE 0.0s" in plain(header)
    assert cells < 80 or "13:05:04" in plain(header)
    assert "10,042.10" in plain(money)
    assert "+118.40▲" in plain(money)
    assert "quit" in plain(key_line(ACTIONS, cells))


def test_six_lines_say_what_a_tiny_window_can() -> None:
    one, _, _ = session()
    lines = [plain(line) for line in tiny_lines(View.of(one), 40)]
    assert len(lines) == 6
    assert all(width(line) == 40 for line in lines)
    assert "10,042.10" in lines[1]
    assert "3  1 without a stop" in lines[4]
    assert "EURUSD SELL market" in lines[5]


def test_a_limit_is_told_in_red_when_it_is_near() -> None:
    one, source, _ = session()
    for value, style in ((1.0, "ok"), (2.0, "warn"), (2.9, "crit")):
        source.publish(
            "ACCOUNT_UPDATE",
            account={"limits": {"daily_loss": {"value": value, "limit": 3.0, "unit": "%"}}},
        )
        assert style in {s for _, s in limits_line(View.of(one), 120)}


# -- session --------------------------------------------------------------------------------


def test_repeats_are_folded_and_trades_never() -> None:
    one, source, _ = session()
    before = len(one.lines)
    for _ in range(5):
        source.publish("RISK_ALERT", code="SPREAD", level="info", text="spread 2.1 > 1.5")
    for n in range(5):
        source.publish("TRADE_EXECUTION", symbol="EURUSD", direction="BUY", price=1.1, lot=0.1,
                       ticket=n)  # fmt: skip
    one.tick()
    assert [line.count for line in list(one.lines)[before:]] == [5, 1, 1, 1, 1, 1]
    assert one.received == source._seq


def test_the_ring_is_bounded_and_everything_heard_is_counted() -> None:
    one, source, _ = session()
    start = one.received
    for n in range(LINES_KEPT + 500):
        source.publish("ORDER_UPDATE", order=n, status="placed", kind="limit", symbol="A")
    while one._waiting:
        one.tick()
    assert len(one.lines) == LINES_KEPT
    assert one.received - start == LINES_KEPT + 500
    assert one.missed == 0


def test_what_a_new_snapshot_repeats_is_not_shown_twice() -> None:
    one, source, _ = session("live")
    before = one.received
    for watcher in source._watchers:
        watcher({"type": "STATE_SNAPSHOT", "resumed": False, "data": {}})
    one.tick()
    assert one.received == before
    event = source.publish("RISK_ALERT", code="X", level="info", text="x")
    for watcher in source._watchers:
        watcher(event)
    one.tick()
    assert one.received == before + 1


def test_another_epoch_starts_the_memory_anew() -> None:
    one, source, _ = session("live")
    assert one.closed
    source.state.load({"epoch": "e2", "seq": 1, "data": {"events": [
        {"type": "RISK_ALERT", "code": "X", "level": "info", "text": "first", "seq": 1}
    ]}}, 0.0)  # fmt: skip
    one.tick()
    assert [line.text() for line in one.lines] == ["first"]
    assert not one.closed


def test_a_remote_clock_that_is_wrong_does_not_bend_the_ages() -> None:
    one, source, time = session("live")
    time.start -= 3600.0  # this machine is an hour behind the feed
    event = {"type": "SCAN_SUMMARY", "seq": 9_999, "symbols": {}, "count": 0, "candidates": 0,
             "timestamp": "2026-03-04T13:05:04.000+00:00"}  # fmt: skip
    source.state.apply(event, time.mono())
    for watcher in source._watchers:
        watcher(event)
    one.tick()
    time.go(7)
    assert one.scan_age() == pytest.approx(7.0)


def test_a_condition_that_is_over_says_so_until_acknowledged() -> None:
    one, source, time = session()
    one.acknowledge(all_of_them=True)
    time.go(60)
    one.tick()
    texts = [a.text for a in one.open_alerts()]
    assert any("terminal STALE" in t for t in texts)
    source.publish("ACCOUNT_UPDATE", account=account())
    one.tick()
    assert any("(over now)" in a.text for a in one.open_alerts())
    one.acknowledge(all_of_them=True)
    assert one.open_alerts() == []


def test_prices_that_moved_are_known_for_a_moment() -> None:
    one, source, time = session()
    up = [{**p, "price_current": p["price_current"] + 0.1} for p in POSITIONS]
    source.publish("POSITION_UPDATE", positions=up)
    one.tick()
    key = str(POSITIONS[0]["ticket"])
    assert one.move(key) == 1
    time.go(1)
    assert one.move(key) == 0


def test_only_the_digits_that_changed_are_coloured_and_only_for_a_moment() -> None:
    one, source, time = session()
    for bid in (1.08450, 1.08437):
        source.publish("QUOTE_UPDATE", quotes={"EURUSD": {"bid": bid, "ask": 1.09, "digits": 5}})
        one.tick()
    assert View.of(one).price("EURUSD", 1.08437, 5) == [("1.084", "text"), ("37", "down")]
    assert View.of(one, calm=True).price("EURUSD", 1.08437, 5) == [("1.08437", "text")]
    source.publish("QUOTE_UPDATE", quotes={"EURUSD": {"bid": 10.2, "ask": 10.3, "digits": 5}})
    one.tick()
    assert View.of(one).price("EURUSD", 10.2, 5) == [("", "text"), ("10.20000", "up")]
    time.go(0.41)
    assert View.of(one).price("EURUSD", 10.2, 5) == [("10.20000", "text")]


@pytest.mark.parametrize("name", ["NO_COLOR", "SSH_CONNECTION"])
async def test_nothing_flashes_without_colour_or_over_ssh(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for other in ("NO_COLOR", "SSH_CONNECTION"):
        monkeypatch.delenv(other, raising=False)
    source = FakeSource(FrozenClock().clock)
    assert not DashApp(source).view().calm
    monkeypatch.setenv(name, "1")
    assert DashApp(source).view().calm


# -- words, statistics, charts --------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        ({"type": "POSITION_CLOSED", "symbol": "XAUUSD", "direction": "BUY", "volume": 0.2,
          "profit": 42.1, "r_multiple": 0.9, "close_reason": "tp", "duration_s": 424, "ticket": 1},
         describe.INFO, "XAUUSD BUY 0.20  +42.10  +0.9R  target hit after 7m04  #1"),
        ({"type": "POSITION_MODIFIED", "symbol": "XAUUSD", "direction": "BUY",
          "entry_price": 2340.5, "sl_price": 2340.6, "old_sl_price": 2338.1, "ticket": 1},
         describe.INFO, "XAUUSD  SL 2338.10 → 2340.60  (no loss possible)  #1"),
        ({"type": "ORDER_UPDATE", "order": None, "symbol": "EURUSD", "direction": "SELL",
          "kind": "market", "status": "rejected", "volume": 0.1, "retcode": 10016,
          "reason": "INVALID_STOPS"}, describe.ERROR,
         "EURUSD SELL market 0.10  REJECTED INVALID_STOPS (10016)"),
        ({"type": "TERMINAL_STATUS", "state": "disconnected", "backend": "native",
          "last_error": {"code": "IPC", "text": "no IPC connection"}}, describe.ERROR,
         "native terminal disconnected: no IPC connection"),
        ({"type": "MODEL_SWAPPED", "model": "trees-1f2e", "metrics": {"log_loss": 0.61, "auc": 0.6},
          "previous": {"log_loss": 0.7}}, describe.INFO,
         "trees-1f2e takes over  log_loss 0.610  auc 0.600  (before: log_loss 0.700)"),
        ({"type": "RESEARCH_START", "symbol": "EURUSD", "data": {"samples": 382}}, describe.INFO,
         "EURUSD  samples 382"),
        ({"type": "SOMETHING_NEW", "seq": 3, "a": 1}, describe.INFO, 'SOMETHING_NEW {"a":1}'),
    ],
)  # fmt: skip
def test_events_are_told_in_words(event: dict[str, object], level: int, text: str) -> None:
    assert describe.level(event) == level
    assert describe.text(event) == text


def test_hidden_money_is_hidden_in_events_too() -> None:
    event = {"type": "POSITION_CLOSED", "symbol": "A", "profit": 42.1, "r_multiple": 0.9}
    assert "42" not in describe.text(event, mask=True)
    assert "+0.9R" in describe.text(event, mask=True)


def test_statistics_are_net_of_costs_and_know_no_factor_without_a_loss() -> None:
    closed = [{"profit": 10.0, "commission": -1.0, "r_multiple": 1.0}, {"profit": 0.5,
              "commission": -1.0}, {"profit": None}]  # fmt: skip
    events = [event for c in closed if (event := read(c, PositionClosed)) is not None]
    assert len(events) == 3
    stats = Statistics.of([TradeResult(net_profit(e), e.r_multiple) for e in events])
    assert (stats.closed, stats.won) == (2, 1)
    assert stats.total == pytest.approx(8.5)
    assert stats.factor == pytest.approx(18.0)
    assert stats.average_r == 1.0
    assert Statistics.of([TradeResult(1.0, None)]).factor is None


def test_filters_combine_words_and_numbers() -> None:
    f = Filter.parse("usd !btc pl>=10")
    values = {"pl": 12.0}
    assert f.passes("XAUUSD BUY", values.get)
    assert not f.passes("BTCUSD", values.get)
    assert not f.passes("XAUUSD", {"pl": 9.0}.get)
    assert not f.passes("XAUUSD", lambda _: None)
    assert not Filter.parse("")


def test_candles_show_body_wick_and_levels_in_the_asked_size() -> None:
    bars = [Candle(0, 1, 9, 0, 8), Candle(60, 8, 8, 2, 3)]
    lines = candles(bars, 30, 10, digits=2, levels=[PriceLevel("SL", 2.0, "down")])
    assert len(lines) == 10
    assert all(line_width(line) <= 30 for line in lines)
    text = "\n".join(plain(line) for line in lines)
    assert "2.00 SL" in text
    assert "3.00 ◀" in text
    column = [plain(line)[0] for line in lines]
    assert column[0] in "│╷"
    assert "█" in column
    assert candles([], 30, 10) == []
    far = candles(bars, 30, 10, levels=[PriceLevel("TP", 1e6, "up")])
    assert "TP" not in "".join(plain(line) for line in far)


def test_an_area_rises_with_its_values_and_a_flat_one_is_a_line() -> None:
    lines = area([1, 2, 3, 4], 4, 2)
    assert lines == ["  ▃█", "▁▆██"]
    assert area([5, 5], 4, 2) == ["    ", "▁▁▁▁"]


def test_prices_that_were_received_make_candles() -> None:
    prices = PriceHistory()
    for second in range(40):
        quotes = {"A": Quote(bid=second, ask=second), "B": Quote(ask=1)}
        prices.note(quotes, second, 900.0 + second)
    made = prices.candles("A", 15, 10)
    assert made == [
        Candle(900, 0, 14, 0, 14), Candle(915, 15, 29, 15, 29), Candle(930, 30, 39, 30, 39),
    ]  # fmt: skip
    assert prices.candles("A", 15, 2) == made[1:]
    assert prices.candles("A", 15, 1) == made[2:]
    assert prices.candles("B", 15, 10) == []


def test_bars_of_a_feed_that_are_not_complete_are_left_out() -> None:
    good = {"time": 60, "open": 1, "high": 2.5, "low": 0.5, "close": 2, "volume": 7}
    bad = [{**good, "close": None}, {**good, "time": "x"}, {**good, "high": float("nan")}, 7, None]
    assert candles_of([good, *bad]) == [Candle(60, 1.0, 2.5, 0.5, 2.0)]
    assert candles_of("x") == []
