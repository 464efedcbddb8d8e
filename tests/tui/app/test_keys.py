"""Every action of the table, on every screen, at both sizes: each key does what it says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_source import FakeSource, FrozenClock, account, trading_day
from support.screen_bench import Bench, bench

from tui.actions import ACTIONS
from tui.app.app import DashApp
from tui.board import PANELS
from tui.screens.base import Dialog, Sheet
from tui.screens.columns import ColumnsDialog
from tui.screens.confirm import ConfirmDialog
from tui.screens.detail import PositionSheet
from tui.screens.jump import JumpDialog
from tui.screens.main import MainScreen
from tui.screens.overviews import FunnelSheet, HealthSheet, HelpSheet, PortfolioSheet, SettingsSheet
from tui.screens.palette import PaletteDialog
from tui.screens.quit import QuitDialog

SIZES = [(120, 36), (80, 24)]
PRESSED = [(action, key) for action in ACTIONS for key in action.keys]

State = dict[str, Any]


def state(b: Bench) -> State:
    """What a key may change, as far as the table speaks of it."""
    main, app = b.main, b.app
    panel = main.panel
    return {
        "screen": type(app.screen).__name__,
        "panel": panel.number,
        "hidden": set(main.hidden),
        "maximised": main.maximised,
        "index": panel.cursor_index,
        "sort": panel.sort,
        "filtering": main.has_class("-filtering"),
        "frozen": main.frozen_at is not None,
        "follow": main.panels[2].follow,
        "level": main.panels[2].least,
        "unit": app.unit,
        "mask": app.mask,
        "hz": app.hz,
        "theme": app.theme,
        "front": app.tabs.front,
        "clipboard": app.clipboard,
        "alerts": len(app.session.open_alerts()),
        "said": app.message[0] if app.message else "",
        "commands": list(b.source.commands),
    }


Check = Callable[[State, State], bool]


def opens(screen: type) -> Check:
    return lambda before, after: after["screen"] == screen.__name__


def changes(*names: str) -> Check:
    return lambda before, after: all(before[n] != after[n] for n in names)


def says(*words: str) -> Check:
    return lambda before, after: all(w in after["said"] for w in words)


def goes_to(number: int) -> tuple[tuple[str, ...], Check]:
    """The key of a panel, pressed while another one has the focus."""
    return (("2",) if number == 1 else (), lambda b, a: a["panel"] == number)


DOES: dict[str, tuple[tuple[str, ...], Check]] = {
    # action: (keys before it, what must be so after it)
    **{f"focus_panel({panel.number})": goes_to(panel.number) for panel in PANELS},
    "next_panel(1)": ((), lambda b, a: a["panel"] == 2),
    "next_panel(-1)": ((), lambda b, a: a["panel"] == len(PANELS)),
    "maximise": ((), lambda b, a: b["maximised"] is None and a["maximised"] == 1),
    "move(1)": (("j",), lambda b, a: (b["index"], a["index"]) == (0, 1)),
    "move(-1)": (("j", "j"), lambda b, a: (b["index"], a["index"]) == (1, 0)),
    "page(1)": (("j",), lambda b, a: a["index"] > b["index"] + 1),
    "page(-1)": (("G",), lambda b, a: a["index"] < b["index"] - 1),
    "end(False)": (("G",), lambda b, a: a["index"] == 0),
    "end(True)": (("j",), lambda b, a: a["index"] == 3),
    "filter": ((), changes("filtering")),
    "sort": ((), lambda b, a: (b["sort"], a["sort"]) == (("pl", True), ("r", True))),
    "reverse": ((), lambda b, a: a["sort"] == ("pl", False)),
    "columns": ((), opens(ColumnsDialog)),
    "freeze": ((), changes("frozen")),
    "follow": ((), changes("follow")),
    "level": ((), lambda b, a: (b["level"], a["level"]) == (1, 2) and "WARN" in a["said"]),
    "unit": ((), lambda b, a: (b["unit"], a["unit"]) == ("money", "pips")),
    "mask": ((), changes("mask")),
    "rate(1)": ((), lambda b, a: a["hz"] > b["hz"] and "redraws" in a["said"]),
    "rate(-1)": ((), lambda b, a: a["hz"] < b["hz"] and "redraws" in a["said"]),
    "theme": ((), changes("theme", "said")),
    "open": (("j",), opens(PositionSheet)),
    "funnel": ((), opens(FunnelSheet)),
    "health": ((), opens(HealthSheet)),
    "settings": ((), opens(SettingsSheet)),
    "portfolio": ((), opens(PortfolioSheet)),
    "feed(-1)": ((), says("only one account")),
    "feed(1)": ((), says("only one account")),
    # This source has no recording: the live screen stays, and the reason is told.
    "past(-1)": ((), says("recording", "mt5dash replay")),
    "past(1)": ((), says("live")),
    "past_jump": ((), opens(JumpDialog)),
    "past_speed(1)": ((), says("replay")),
    "past_speed(-1)": ((), says("replay")),
    "copy(False)": (("j",), lambda b, a: a["clipboard"].startswith("XAUUSD\t")),
    "copy(True)": ((), lambda b, a: a["clipboard"].startswith("Symbol\t")),
    "export": ((), says("Written", "mt5dash-positions", ".csv")),
    "export_events": ((), says("Written", "mt5dash-events", ".jsonl")),
    "picture": ((), says("Written", "mt5dash-screen", ".svg")),
    "acknowledge(False)": ((), lambda b, a: (b["alerts"], a["alerts"]) == (2, 1)),
    "acknowledge(True)": ((), lambda b, a: (b["alerts"], a["alerts"]) == (2, 0)),
    "pause": ((), opens(ConfirmDialog)),
    "scan_now": ((), opens(ConfirmDialog)),
    "close_position": (("j",), opens(ConfirmDialog)),
    "modify_position": (("j",), opens(ConfirmDialog)),
    "cancel_order": (("G",), opens(ConfirmDialog)),
    "flatten": ((), opens(ConfirmDialog)),
    "halt": ((), opens(ConfirmDialog)),
    "help": ((), opens(HelpSheet)),
    "palette": ((), opens(PaletteDialog)),
    "leave": ((), opens(QuitDialog)),
}


def test_the_table_of_this_test_knows_every_action() -> None:
    assert set(DOES) == {action.name for action in ACTIONS}


async def fresh(b: Bench) -> None:
    """The main screen as at first, with two alerts."""
    app, main = b.app, b.main
    if main.has_class("-filtering") or not isinstance(app.screen, MainScreen):
        await b.press("escape")
    assert isinstance(app.screen, MainScreen)
    main.hidden.clear()
    main.maximised = main.frozen_at = None
    main._pressed = (0, -1e9)
    for panel in main.panels:
        panel.cursor, panel.sort, panel.follow, panel.top = None, panel.SORT, panel.FOLLOWS, 0
    main.panels[2].least = 1
    app.unit, app.mask, app.theme, app.message = "money", False, "mt5dash-dark", None
    app.hz, app._clipboard = 4.0, ""
    app.session.alerts.clear()
    for text in ("daily loss 2.9%", "margin 120%"):
        b.source.publish("RISK_ALERT", code=text, level="critical", text=text)
    main.show_panel(1)
    b.time.go(10)
    b.source.publish("ACCOUNT_UPDATE", account=account())
    await b.now()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("group", sorted({action.group for action in ACTIONS}))
async def test_each_key_does_on_the_main_screen_what_the_table_says(
    group: str, size: tuple[int, int], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    async with bench(size) as b:
        for action, key in PRESSED:
            if action.group != group:
                continue
            before_it, right = DOES[action.name]
            await fresh(b)
            await b.press(*before_it)
            before = state(b)
            await b.press(key)
            await b.app.workers.wait_for_complete()
            after = state(b)
            assert right(before, after), (key, before, after)
            assert after["commands"] == []  # nothing acts without being asked
            text = await b.now()
            assert all(len(line) <= size[0] for line in text.splitlines())
            if isinstance(b.app.screen, Sheet | Dialog):
                assert " PAPER " in text, key


async def with_two_accounts(do: Callable[[Bench], Awaitable[None]]) -> None:
    time = FrozenClock()
    first, second = (trading_day(FakeSource(time.clock, link="live")) for _ in range(2))
    app = DashApp([first, second], clock=time.clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await do(Bench(app, pilot, first, time))


@pytest.mark.parametrize("key", ["h", "left", "right"])
async def test_the_keys_for_accounts_go_round_between_two(key: str) -> None:
    async def look(b: Bench) -> None:
        text = await b.press(key)
        assert b.app.tabs.front == 1
        # The same login seen through two feeds: the port tells them apart.
        assert "5012345:8765" in text.splitlines()[0]
        await b.press(key)
        assert b.app.tabs.front == 0

    await with_two_accounts(look)


async def test_on_the_page_of_all_accounts_the_keys_move_the_mark() -> None:
    async def look(b: Bench) -> None:
        lines = (await b.press("0")).splitlines()
        assert ("> " in lines[2], "> " in lines[3]) == (True, False)
        lines = (await b.press("right")).splitlines()
        assert ("> " in lines[2], "> " in lines[3]) == (False, True)

    await with_two_accounts(look)


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_a_panel_s_key_pressed_twice_hides_it_and_a_third_time_shows_it(
    size: tuple[int, int],
) -> None:
    async with bench(size) as b:
        await b.press("1")
        b.time.go(60)
        await b.press("1")
        assert b.main.panels[0].display  # to be at the positions already does not lose them
        await b.press("1")
        assert not b.main.panels[0].display
        text = await b.now()
        assert "Positions (" not in text
        assert "1 hidden" in text
        assert "1 hidden" in await b.press("tab")
        text = await b.press("1")
        assert b.main.panels[0].display
        assert "hidden" not in text


async def test_the_last_panel_cannot_be_hidden_and_neighbours_take_the_room() -> None:
    async with bench() as b:
        width = b.main.panels[1].size.width
        await b.press("1", "1")
        assert b.main.panels[1].size.width > width * 2
        await b.press("2", "2")
        assert "1 2 hidden" in await b.now()
        keys = [panel.key for panel in PANELS]
        await b.press(*(key for later in keys[4:] for key in (later, later)))
        assert b.main.panels[2].size.height > 25
        text = await b.press(*(key for kept in keys[2:4] for key in (kept, kept)))
        assert [p.display for p in b.main.panels] == [panel.key == "4" for panel in PANELS]
        assert "The last panel stays" in text
        text = await b.press(*(key for key in keys if key != "4"))
        assert [p.display for p in b.main.panels] == [True] * len(PANELS)
        assert "hidden" not in text


async def test_what_is_frozen_stays_and_the_account_with_it() -> None:
    async with bench() as b:
        await b.press("space")
        b.source.publish("ACCOUNT_UPDATE", account=account(equity=12_345.67))
        assert "12,345.67" not in await b.now()
        assert "12,345.67" in await b.press("space")


async def test_a_double_click_on_a_title_gives_the_panel_the_board_and_back() -> None:
    async with bench() as b:
        await b.now()
        await b.pilot.click("#scanner", offset=(4, 0), times=2)
        assert b.main.maximised == 2
        await b.pilot.click("#scanner", offset=(40, 0), times=2)
        assert b.main.maximised is None
