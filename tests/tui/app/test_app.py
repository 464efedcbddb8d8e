"""The main screen through Textual's pilot: sizes, keys, freshness, leaving."""

from __future__ import annotations

from typing import Any

import pytest
from support.fake_source import POSITIONS, account, scan
from support.screen_bench import bench
from support.screen_text import same_as_picture
from textual.events import Key

from tui.board import PANELS
from tui.options import Defaults


@pytest.mark.parametrize("size", [(120, 36), (80, 24), (200, 60), (59, 15)])
async def test_the_main_screen_looks_as_its_picture(size: tuple[int, int]) -> None:
    async with bench(size) as b:
        text = await b.now()
        same_as_picture(b.app, f"main-{size[0]}x{size[1]}")
        assert "PAPER" in text
        assert all(len(line) <= size[0] for line in text.splitlines())


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
async def test_each_panel_can_be_reached_and_shows_its_rows(size: tuple[int, int]) -> None:
    async with bench(size) as b:
        for key, words in (
            ("1", ("XAUUSD", "+42.20▲", "Σ 3 open")),
            ("2", ("XAUUSD", "◆ TRADE", "EURUSD", "SPREAD")),
            ("3", ("FILL", "REJECTED INVALID_STOPS", "SCAN")),
            ("4", ("net +116.30▲", "+96.10▲", "won 2")),
        ):
            text = await b.press(key)
            assert b.main.panel.number == int(key)
            assert b.main.panel.has_focus
            for word in words:
                assert word in text, (key, word)


async def test_before_the_first_data_nothing_is_shown_as_zero_or_flat() -> None:
    for size in ((120, 36), (80, 24), (50, 12)):
        async with bench(size, empty=True) as b:
            text = await b.now()
            assert "0.00" not in text
            assert "flat" not in text
            assert "MODE ?" in text
            assert "WAITING" in text or "?" in text


async def test_the_age_of_the_data_turns_from_live_to_slow_to_stale_in_words() -> None:
    async with bench() as b:
        assert "terminal LIVE 0.0s" in await b.now()
        b.time.go(5)
        assert "terminal LIVE 5.0s" in await b.now()
        b.time.go(4)
        assert "terminal SLOW 9.0s" in await b.now()
        b.time.go(6)
        text = await b.now()
        assert "terminal STALE 15s" in text
        assert "STALE ?" in text
        assert "terminal STALE: no account data any more" in text
        b.source.publish("ACCOUNT_UPDATE", account=account())
        assert "terminal LIVE 0.0s" in await b.now()


async def test_a_bot_that_misses_two_scans_is_called_late_though_the_feed_is_alive() -> None:
    async with bench() as b:
        b.time.go(240)
        b.source.publish("ACCOUNT_UPDATE", account=account())
        text = await b.now()
        assert "bot LATE" in text
        assert "bot LATE: no scan for" in text
        scan(b.source)
        assert "bot WAITING" in await b.now()


async def test_a_paused_and_a_halted_bot_say_so_with_their_reason() -> None:
    async with bench(size=(80, 24)) as b:
        await b.press("A")
        b.source.publish(
            "BOT_STATUS", state="paused", reason={"code": "OPERATOR", "text": "paused by hand"}
        )
        text = await b.now()
        assert "PAUSED" in text
        b.source.publish(
            "BOT_STATUS", state="halted", reason={"code": "KILL", "text": "daily loss reached"}
        )
        assert "bot HALTED: daily loss reached" in await b.now()


@pytest.mark.parametrize(
    ("mode", "word"), [("observe", "OBSERVE"), ("paper", "PAPER"), ("live", "LIVE MONEY")]
)
async def test_the_mode_stands_on_every_screen_all_the_time(mode: str, word: str) -> None:
    async with bench() as b:
        b.source.publish("ACCOUNT_UPDATE", account=account(mode=mode))
        for keys in ((), ("4", "m"), ("w",), ("escape", "i")):
            assert f" {word} " in (await b.press(*keys)).splitlines()[0]
        await b.press("escape")
        for size in ((80, 24), (50, 12)):
            await b.pilot.resize_terminal(*size)
            assert f" {word} " in (await b.now()).splitlines()[0]


async def test_replay_shows_the_market_time_and_its_speed() -> None:
    async with bench() as b:
        b.source.publish(
            "QUOTE_UPDATE", quotes={}, server_time="2014-05-05T09:30:00+00:00", speed=60.0
        )
        assert "server 2014-05-05 09:30:00 x60" in await b.now() or "09:30:00 x60" in await b.now()


async def test_quit_asks_when_it_would_stop_a_bot_and_names_what_is_open() -> None:
    async with bench() as b:
        text = await b.press("q")
        assert "Stop the bot, the feed and the screen" in text
        assert "3 positions open, 1 without a stop" in text
        assert "2 clients of the feed will be disconnected" in text
        await b.press("escape")
        assert b.app.is_running
        assert "Stop the bot" not in await b.now()
        await b.press("ctrl+c")
        await b.pilot.press("q")
        assert b.app.return_value == "quit"


async def test_the_screen_alone_can_be_closed() -> None:
    async with bench() as b:
        await b.press("q")
        await b.pilot.press("d")
        assert b.app.return_value == "detach"


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_a_screen_that_only_watches_leaves_at_once(key: str) -> None:
    async with bench(owns_bot=False, link="live") as b:
        await b.pilot.press(key)
        assert b.app.return_value == "detach"


async def test_freezing_holds_the_numbers_and_counts_what_happens() -> None:
    async with bench() as b:
        await b.press("space")
        moved = [{**p, "profit": 777.0} for p in POSITIONS]
        b.source.publish("POSITION_UPDATE", positions=moved)
        b.source.publish("ORDER_UPDATE", order=1, symbol="EURUSD", direction="BUY", kind="limit",
                         status="placed", volume=0.1)  # fmt: skip
        b.time.go(42)
        text = await b.now()
        assert "FROZEN 0:42 +1 events" in text
        assert "+777.00" not in text
        text = await b.press("space")
        assert "FROZEN" not in text
        assert "+777.00" in text


async def test_a_filter_narrows_the_panel_and_escape_clears_it() -> None:
    async with bench() as b:
        await b.press("2", "slash", "u", "s", "d")
        b.type("usd !btc")
        text = await b.now()
        assert "2 Scanner (5 of 8)" in text
        assert "/usd !btc" in text
        await b.press("enter")
        assert b.main.panel.number == 2
        assert "2 Scanner (8)" in await b.press("escape")
        await b.press("slash")
        b.type("score>65")
        assert "2 Scanner (4 of 8)" in await b.now()
        assert "2 Scanner (8)" in await b.press("escape")


async def test_sorting_goes_through_the_columns_and_turns_round() -> None:
    async with bench() as b:
        panel = b.main.panels[1]
        await b.press("2")
        panel.sort_by("symbol")
        assert [r.symbol for r in panel.rows][:2] == ["AUDUSD", "BTCUSD"]
        await b.press("S")
        assert [r.symbol for r in panel.rows][:2] == ["XAUUSD", "USDJPY"]
        await b.press("s")
        assert panel.sort is not None
        assert panel.sort[0] == "stage"


async def test_the_row_under_the_cursor_keeps_its_place_while_profits_change() -> None:
    async with bench() as b:
        panel = b.main.panels[0]
        await b.press("j", "j")
        before = [r.ticket for r in panel.rows]
        held = panel.current.ticket
        turned = [{**p, "profit": -p["profit"]} for p in POSITIONS]
        b.source.publish("POSITION_UPDATE", positions=turned)
        await b.now()
        assert [r.ticket for r in panel.rows] == before
        b.time.go(5)
        await b.now()
        assert [r.ticket for r in panel.rows] != before
        assert panel.current.ticket == held


async def test_a_closed_position_stays_for_ten_seconds_with_its_result() -> None:
    async with bench() as b:
        await b.now()
        b.source.publish("POSITION_CLOSED", ticket=2021740420, symbol="XAUUSD", direction="BUY",
                         volume=0.2, profit=55.5, r_multiple=1.1, close_reason="tp",
                         duration_s=424)  # fmt: skip
        b.source.publish("POSITION_UPDATE", positions=POSITIONS[1:])
        text = await b.now()
        assert "closed tp" in text
        assert "+55.50▲" in text.split("Events")[0]
        b.time.go(11)
        assert "closed tp" not in await b.now()


async def test_alerts_stay_until_they_are_acknowledged_and_repeats_are_counted() -> None:
    async with bench() as b:
        for _ in range(3):
            b.source.publish(
                "RISK_ALERT", code="DAILY_LOSS", level="critical", text="daily loss 2.9%"
            )
        last = (await b.now()).splitlines()[-2]
        assert "[!] 2" in last
        assert "daily loss 2.9% (x3)" in last
        assert "INVALID_STOPS" in (await b.press("a")).splitlines()[-2]
        assert "no alerts" in (await b.press("a")).splitlines()[-2]


async def test_events_are_held_when_scrolled_and_followed_again() -> None:
    async with bench() as b:
        await b.press("3", "k", "k", "k")
        panel = b.main.panels[2]
        assert not panel.follow
        held = panel.current.number
        for n in range(30):
            b.source.publish("ORDER_UPDATE", order=n, symbol="EURUSD", direction="BUY",
                             kind="limit", status="placed", volume=0.1)  # fmt: skip
        text = await b.now()
        assert panel.current.number == held
        assert "newer below" in text
        await b.press("G")
        assert panel.follow
        assert "#29" in await b.now()


async def test_money_is_hidden_but_its_sign_and_r_stay() -> None:
    async with bench() as b:
        text = await b.press("dollar_sign")
        assert "10,042.10" not in text
        assert "+42.20" not in text
        assert "•••▲" in text
        assert "+0.9" in text
        assert "2342.63" in text


async def test_units_of_profit_go_round() -> None:
    async with bench() as b:
        assert "+211.0p▲" in await b.press("u")
        assert "+0.9R▲" in await b.press("u")
        assert "+0.42%▲" in await b.press("u")
        assert "+42.20▲" in await b.press("u")


async def test_a_panel_can_have_the_whole_board_and_give_it_back() -> None:
    for size in ((120, 36), (80, 24)):
        async with bench(size) as b:
            last = PANELS[-1]
            text = await b.press(last.key, "m")
            # The titles of more than four panels are wider than a narrow window.
            among = f"[{last.label}" if size == (120, 36) or len(PANELS) == 4 else last.label
            assert among in text
            assert sum(p.display for p in b.main.panels) == 1
            await b.press("tab")
            assert b.main.panel.number == 1
            await b.press("m")
            assert sum(p.display for p in b.main.panels) == (len(PANELS) if size[0] == 120 else 2)


async def test_a_resize_through_all_layouts_does_no_harm() -> None:
    async with bench() as b:
        for size in ((80, 24), (40, 10), (200, 60), (59, 40), (10, 3), (1, 1), (120, 36)):
            await b.pilot.resize_terminal(*size)
            await b.now()
        assert "Σ 3 open" in await b.now()


async def test_ascii_mode_draws_with_ascii_only() -> None:
    options = Defaults(ascii=True)
    for size in ((120, 36), (80, 24), (50, 12)):
        async with bench(size, settings=options) as b:
            text = await b.now()
            assert text.isascii(), {c for c in text if not c.isascii()}
            assert "XAUUSD" in text or size[0] < 60


async def test_hostile_text_is_shown_as_it_is_and_controls_nothing() -> None:
    nasty = "[@click=app.leave]x[/] [/no] \x1b]52;c;aGk=\x07 \x9b31m \u202e [sl 1.0850]"
    async with bench((200, 60)) as b:
        b.source.publish(
            "POSITION_UPDATE", positions=[{**POSITIONS[0], "symbol": nasty, "comment": nasty}]
        )
        b.source.publish("RISK_ALERT", code=nasty, level="critical", text=nasty)
        b.source.publish("BOT_STATUS", state=nasty, reason={"code": "x", "text": nasty})
        b.source.publish(nasty, field=nasty)
        b.source.publish("SCAN_SUMMARY", symbols={nasty: nasty}, count=1, candidates=0, details={})
        text = await b.now()
        assert "[@click=app.leave]x[/]" in text
        assert "[sl 1.0850]" in text
        for char in text.replace("\n", ""):
            assert char.isprintable(), repr(char)


async def test_fields_of_the_wrong_kind_from_a_foreign_bot_do_not_stop_the_screen() -> None:
    wrong: list[Any] = [None, [], {}, "x", float("nan"), -1, True]
    async with bench() as b:
        for value in wrong:
            keys = POSITIONS[0].keys() - {"type"}
            b.source.publish("POSITION_UPDATE", positions=[dict.fromkeys(keys, value)])
            b.source.publish("ACCOUNT_UPDATE", account=dict.fromkeys(account(), value))
            b.source.publish("SCAN_SUMMARY", symbols={"A": value}, count=value, candidates=value,
                             details={"A": dict.fromkeys(("code", "score", "direction"), value)})  # fmt: skip
            b.source.publish("POSITION_CLOSED", **dict.fromkeys(keys, value))
            b.source.publish("ORDER_UPDATE", **dict.fromkeys(("order", "status", "kind"), value))
            b.source.publish("BOT_STATUS", state=value, reason=value, next_scan_at=value)
            b.source.publish("TERMINAL_STATUS", state=value, last_error=value)
            b.source.publish("RISK_ALERT", code=value, level=value, text=value)
            b.source.publish("COMMAND_AUDIT", args=value, name=value)
            b.source.publish("TRADE_EXECUTION", symbol=value, ticket=value, direction=value)
            await b.now()
        assert b.app.is_running


async def test_the_mouse_focuses_moves_sorts_scrolls_opens_and_changes_tabs() -> None:
    async with bench() as b:
        await b.now()
        await b.pilot.click("#scanner", offset=(3, 3))
        panel = b.main.panels[1]
        assert panel.has_focus
        assert panel.current.symbol == panel.rows[1].symbol
        await b.pilot.click("#scanner", offset=(3, 1))
        assert panel.sort == ("symbol", False)
        await b.pilot.click("#positions", offset=(5, 2), times=2)
        await b.pilot.pause()
        assert "Position #" in await b.now()
    async with bench((80, 24)) as b:
        await b.now()
        await b.pilot.click("#events", offset=(6, 0))
        assert "[2 Scanner" in await b.now()
        assert b.main.panel.number == 2


async def test_a_change_is_drawn_soon_without_waiting_for_the_rhythm() -> None:
    async with bench(settings=Defaults(hz=0.1)) as b:
        b.app.draws_on_events = True
        b.app._drawn_at = -1e9
        b.source.publish("ACCOUNT_UPDATE", account=account(equity=10_555.5))
        await b.pilot.pause(0.3)
        from support.screen_text import text_of

        assert "10,555.50" in text_of(b.app)


async def test_keys_typed_faster_than_the_screen_still_go_where_they_belong() -> None:
    async with bench() as b:
        await b.now()
        for key in ("2", "j", "enter"):
            b.app.post_message(Key(key, key if len(key) == 1 else None))
        await b.pilot.pause()
        assert "Symbol XAUUSD" in await b.now()
