"""Screens and dialogs: what they say, what they ask, and what they send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.fake_source import FakeSource, FrozenClock, account, scan, trading_day
from support.screen_bench import bench
from support.screen_text import same_as_picture

from streamer.state.source import Capabilities
from tui.actions import ACTIONS
from tui.options import Memory
from tui.screens.main import MainScreen

SIZES = [(120, 36), (80, 24)]

SCREENS = {
    "position": (("1", "j", "enter"), ("Position #2021740420", "If SL is hit", "-48.40")),
    "symbol": (("2", "j", "enter"), ("Symbol XAUUSD", "score 78 of 65 needed")),
    "event": (("3", "k", "k", "enter"), ('"retcode": 10016', "REJECTED INVALID_STOPS")),
    "trade": (("G", "enter"), ("Trade #11", "+96.80", "target hit")),
    "funnel": (("w",), ("gate funnel", "Candidates: XAUUSD", "US30")),
    "health": (("i",), ("ws://127.0.0.1:8765/ws", "Terminal", "generated, seed 7")),
    "help": (("question_mark",), ("Help", "Maximise panel")),
    "palette": (("colon", "c", "l", "o", "s"), ("Close position", "Close everything")),
    "columns": (("1", "c"), ("Columns of Positions", "[x] Symbol")),
    "close": (("1", "j", "C"), ("Close position", "+42.20", "PAPER", "5012345")),
    "modify": (("1", "j", "M"), ("2338.10", "2347.00", "-48.40")),
    "flatten": (("F",), ("3 positions", "+42.10", "after typing the word")),
    "halt": (("K",), ("halt flatten", "3 positions stay open", "+42.10", "1 of them without")),
    "pause": (("P",), ("Pause the bot", "3 positions stay open", "+42.10")),
    "scan": (("R",), ("Scan now", "instead of in 1:48", "Open 3 of 4 positions")),
    "cancel": (("1", "G", "D"), ("Delete pending order", "USDJPY @ 150.450")),
    "jump": (("at",), ("Go to a moment", "Times are UTC")),
    "settings": (("o",), ("Settings in force", "This screen has no settings")),
    "quit": (("q",), ("Stop the bot, the feed and the screen",)),
}


@pytest.mark.parametrize("size", SIZES)
async def test_each_screen_looks_as_its_picture_and_goes_with_escape(size: tuple[int, int]) -> None:
    async with bench(size) as b:
        for name, (keys, words) in SCREENS.items():
            b.main.show_panel(4)
            for panel in b.main.panels:
                panel.cursor = None
            text = await b.press(*keys)
            for word in words:
                assert word in text, (name, word)
            assert " PAPER " in text
            same_as_picture(b.app, f"{name}-{size[0]}x{size[1]}")
            await b.press("escape")
            assert isinstance(b.app.screen, MainScreen), name


async def test_every_action_of_the_table_exists_and_no_key_has_two() -> None:
    async with bench() as b:
        for action in ACTIONS:
            where, _, rest = action.call.rpartition("app.")
            name = rest.partition("(")[0]
            target: Any = b.app if action.call.startswith("app.") else b.main
            assert callable(getattr(target, f"action_{name}", None)), (where, action.name)
            assert action.text.endswith("."), action.name
        keys = [key for action in ACTIONS for key in action.keys]
        assert len(keys) == len(set(keys))


async def test_the_help_names_every_action_of_the_table() -> None:
    async with bench((120, 200)) as b:
        text = await b.press("question_mark")
        for action in ACTIONS:
            assert action.title in text


async def test_the_palette_carries_out_what_it_finds() -> None:
    async with bench() as b:
        await b.press("colon")
        b.type("hide mon")
        await b.press("enter")
        await b.pilot.pause()
        assert b.app.mask
        await b.press("colon")
        b.type("funnel")
        await b.press("enter")
        await b.pilot.pause()
        assert "gate funnel" in await b.now()


SEEN = {"side": "BUY", "volume": 0.2, "symbol": "XAUUSD"}
"""What stands on the screen goes along: the bot refuses when it is something else by now."""


async def test_closing_a_position_asks_first_and_sends_its_ticket() -> None:
    async with bench() as b:
        await b.press("j", "C")
        assert b.source.commands == []
        await b.press("escape")
        assert b.source.commands == []
        await b.press("C", "enter")
        await b.pilot.pause()
        assert b.source.commands == [("close_position", {"ticket": 2021740420, "expect": SEEN})]
        assert isinstance(b.app.screen, MainScreen)


async def test_a_part_of_a_position_can_be_closed_but_not_more_than_all() -> None:
    async with bench() as b:
        await b.press("j", "C")
        b.type("0.3")
        await b.press("enter")
        assert "at most 0.20" in await b.now()
        assert b.source.commands == []
        b.type("0.05")
        await b.press("enter")
        await b.pilot.pause()
        sent = {"ticket": 2021740420, "expect": SEEN, "volume": 0.05}
        assert b.source.commands == [("close_position", sent)]


async def test_a_changed_stop_is_told_in_money_and_only_what_changed_is_sent() -> None:
    async with bench() as b:
        await b.press("j", "M")
        b.type("2339.31")
        assert "If the new stop is hit: about -24.20" in await b.now()
        await b.press("enter")
        await b.pilot.pause()
        sent = {"ticket": 2021740420, "expect": SEEN, "sl": 2339.31}
        assert b.source.commands == [("modify_position", sent)]


async def test_taking_the_stop_away_is_told_as_unbounded() -> None:
    async with bench() as b:
        await b.press("j", "M")
        b.type("0")
        assert "Without a stop the loss has no bound" in await b.now()


@pytest.mark.parametrize(
    ("key", "word", "name"), [("F", "flatten", "flatten"), ("K", "halt", "halt")]
)
async def test_dangerous_commands_want_a_typed_word(key: str, word: str, name: str) -> None:
    async with bench() as b:
        await b.press(key, "y", "enter")
        assert b.source.commands == []
        assert f"Type {word} " in await b.now()
        b.type(word)
        await b.press("enter")
        await b.pilot.pause()
        assert [c for c, _ in b.source.commands] == [name]


async def test_the_kill_switch_closes_everything_too_when_both_words_are_typed() -> None:
    async with bench() as b:
        await b.press("K")
        b.type("halt  flatten")
        await b.press("enter")
        await b.pilot.pause()
        sent = {"reason": "operator, from the screen", "flatten": True}
        assert b.source.commands == [("halt", sent)]


async def test_a_refusal_is_shown_where_it_was_asked() -> None:
    async with bench() as b:
        b.source.refuse = "observing only: no order is sent"
        await b.press("j", "C", "enter")
        await b.pilot.pause()
        assert "observing only: no order is sent" in await b.now()
        await b.press("escape")
        assert isinstance(b.app.screen, MainScreen)


async def test_pause_turns_to_resume_and_halt_to_release() -> None:
    async with bench() as b:
        await b.press("P", "y")
        await b.pilot.pause()
        b.source.publish("BOT_STATUS", state="paused", reason={"code": "x", "text": "by hand"})
        await b.now()
        assert "Resume the bot" in await b.press("P")
        await b.press("y")
        await b.pilot.pause()
        b.source.publish("BOT_STATUS", state="halted", reason={"code": "x", "text": "by hand"})
        await b.now()
        assert "Release the kill switch" in await b.press("K")
        assert [c for c, _ in b.source.commands] == ["pause", "resume"]


async def test_a_command_needs_the_cursor_on_the_right_kind_of_row() -> None:
    async with bench() as b:
        await b.press("2", "C")
        assert isinstance(b.app.screen, MainScreen)
        await b.press("1", "j", "D")
        assert isinstance(b.app.screen, MainScreen)
        await b.press("G", "D", "y")
        await b.pilot.pause()
        seen = {"side": "SELL", "volume": 0.1, "symbol": "USDJPY"}
        assert b.source.commands == [("cancel_order", {"order": 2021740440, "expect": seen})]


async def test_candles_of_the_feed_are_drawn_with_their_levels() -> None:
    asked: list[tuple[str, str, int]] = []

    async def bars(symbol: str, timeframe: str, count: int) -> list[dict[str, Any]]:
        asked.append((symbol, timeframe, count))
        return [
            {"time": i, "open": 2338 + i / 10, "high": 2340 + i / 10, "low": 2337 + i / 10,
             "close": 2339 + i / 10}
            for i in range(60)
        ]  # fmt: skip

    async with bench() as b:
        b.source.capabilities = Capabilities(bars=bars)
        await b.press("j", "enter")
        await b.pilot.pause()
        text = await b.now()
        assert asked[0][:2] == ("XAUUSD", "M5")
        assert "XAUUSD M5" in text
        assert "2338.10 SL" in text
        assert "2340.52 in" in text
        assert "█" in text.split("XAUUSD M5")[1]
        await b.press("t")
        await b.pilot.pause()
        assert asked[-1][1] == "M15"


async def test_without_bars_the_chart_says_what_it_is_made_of() -> None:
    async with bench() as b:
        for step in range(8):
            b.time.go(15)
            bid = 2342 + step % 3
            b.source.publish(
                "QUOTE_UPDATE", quotes={"XAUUSD": {"bid": bid, "ask": bid + 0.2, "digits": 2}}
            )
            await b.now()
        text = await b.press("2", "j", "enter")
        assert "from prices this screen saw" in text


async def test_hidden_columns_and_sort_are_remembered(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "screen.json"
    async with bench(memory=Memory(path)) as b:
        await b.press("c", "j", "j", "space", "escape")
        assert "Lots" not in (await b.now()).split("Scanner")[1].split("Why")[0]
        b.main.panels[0].sort_by("symbol")
        await b.press("u")
        assert b.app._saving is not None
        await b.app._saving
    memory = Memory(path)
    memory.load()
    async with bench(memory=memory) as b:
        await b.now()
        panel = b.main.panels[0]
        assert panel.hidden == {"lots"}
        assert panel.sort == ("symbol", False)
        assert b.app.unit == "pips"


async def test_a_broken_memory_is_left_aside(tmp_path: Path) -> None:
    path = tmp_path / "screen.json"
    path.write_text('{"panels": [1], "unit": 7, "theme": []}')
    memory = Memory(path)
    memory.load()
    async with bench(memory=memory) as b:
        assert "XAUUSD" in await b.now()
    path.write_text("{")
    memory = Memory(path)
    memory.load()
    assert memory.values == {}


async def test_a_panel_is_exported_as_csv_and_events_as_json_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with bench() as b:
        b.source.publish("RISK_ALERT", code="X", level="warning", text="=cmd()")
        await b.now()
        await b.press("x", "X", "p")
        await b.app.workers.wait_for_complete()
        (csv,) = tmp_path.glob("mt5dash-positions-*.csv")
        rows = csv.read_text().splitlines()
        assert rows[0].startswith("Symbol,Side,Lots,Entry,Now,P/L,R")
        assert rows[1].startswith("XAUUSD,▲BUY,0.20,2340.52,2342.63,+42.20,+0.9")
        (lines,) = tmp_path.glob("mt5dash-events-*.jsonl")
        events = [json.loads(line) for line in lines.read_text().splitlines()]
        assert events[-1]["text"] == "=cmd()"
        (picture,) = tmp_path.glob("mt5dash-screen-*.svg")
        assert "<svg" in picture.read_text()


async def test_a_row_and_a_panel_are_copied_as_tabs(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench() as b:
        await b.press("j", "y")
        assert b.app.clipboard.startswith("XAUUSD\t▲BUY\t0.20\t2340.52")
        await b.press("2", "Y")
        assert b.app.clipboard.splitlines()[0].startswith("Symbol\tStage")
        assert len(b.app.clipboard.splitlines()) == 9


async def test_several_feeds_are_tabs_and_a_portfolio() -> None:
    time = FrozenClock()
    first, second = (trading_day(FakeSource(time.clock, link="live")) for _ in range(2))
    second.publish(
        "ACCOUNT_UPDATE",
        account=account(login=77, server="ICM-Live", mode="live", equity=500.0, profit=3.0),
    )
    second.publish("POSITION_UPDATE", positions=[])
    second.publish("ORDERS_UPDATE", orders=[])
    from tui.app.app import DashApp

    app = DashApp([first, second], clock=time.clock)
    async with app.run_test(size=(120, 36)) as pilot:
        from support.screen_text import text_of

        app.tick()
        await pilot.pause()
        assert "[5012345!] 77!" in text_of(app) or "[5012345!]" in text_of(app)
        await pilot.press("right")
        app.tick()
        await pilot.pause()
        text = text_of(app)
        assert "LIVE MONEY" in text
        assert "flat: no open position" in text
        await pilot.press("0")
        app.tick()
        await pilot.pause()
        text = text_of(app)
        assert "77@ICM-Live" in text
        assert "10,542.10" in text
        same_as_picture(app, "portfolio-120x36")


async def test_a_lost_feed_is_said_and_its_numbers_are_not_taken_for_now() -> None:
    from dataclasses import replace

    async with bench(owns_bot=False, link="live") as b:
        await b.now()
        b.source.link = replace(b.source.link, state="lost", detail="connection refused")
        b.time.go(30)
        text = await b.now()
        assert "feed LOST" in text
        assert "STALE ?" in text
        b.source.link = replace(b.source.link, state="live", last_frame=b.time.mono())
        b.source.publish("ACCOUNT_UPDATE", account=account())
        scan(b.source)
        text = await b.now()
        assert "feed LIVE" in text
        assert "STALE" not in text.splitlines()[0]


async def test_themes_go_round_and_every_style_has_its_colour_in_each() -> None:
    async with bench() as b:
        seen = set()
        for _ in range(6):
            await b.press("t")
            seen.add(b.app.theme)
            ink = b.main.panels[0].ink
            for name in ("up", "down", "warn", "crit", "badge-live"):
                assert ink.style("", name).color is not None
        assert {"mt5dash-light", "mt5dash-contrast", "mt5dash-blue-orange"} <= seen
