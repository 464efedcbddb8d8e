"""Every key of the table on every page and in every question, at both sizes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from support.screen_bench import Bench, bench
from textual.events import Key

from tui.actions import ACTIONS, key_label
from tui.screens.base import Dialog, Sheet
from tui.screens.confirm import ConfirmDialog
from tui.screens.main import MainScreen
from tui.screens.palette import PaletteDialog

SIZES = [(120, 36), (80, 24)]
PRESSED = [(action, key) for action in ACTIONS for key in action.keys]

SIGN_KEYS = {
    "question_mark": "?", "colon": ":", "slash": "/", "space": " ", "dollar_sign": "$",
    "left_square_bracket": "[", "right_square_bracket": "]", "at": "@", "plus": "+",
    "less_than_sign": "<", "greater_than_sign": ">", "minus": "-",
}  # fmt: skip


async def strike(b: Bench, keys: Iterable[str]) -> None:
    """Press many keys without a look at the screen between them."""
    for key in keys:
        b.app.post_message(Key(key, key if len(key) == 1 else SIGN_KEYS.get(key)))
    for _ in range(3):
        await b.pilot.pause()
    await b.now()


def kept(b: Bench) -> tuple[Any, ...]:
    """What no key may change behind a page."""
    main, app = b.main, b.app
    panel = main.panel
    return (
        panel.number, panel.sort, set(main.hidden), main.maximised, main.frozen_at,
        main.panels[2].follow, main.panels[2].least, app.unit, app.mask, app.theme, app.hz,
    )  # fmt: skip


SHEETS = {
    "position": ("1", "j", "enter"),
    "symbol": ("2", "j", "enter"),
    "event": ("3", "k", "enter"),
    "trade": ("4", "G", "enter"),
    "funnel": ("w",),
    "health": ("i",),
    "settings": ("o",),
    "portfolio": ("0",),
    "help": ("question_mark",),
}
DIALOGS = {
    "palette": ("colon",),
    "columns": ("c",),
    "jump": ("at",),
    "close": ("1", "j", "C"),
    "modify": ("1", "j", "M"),
    "cancel": ("1", "G", "D"),
    "flatten": ("F",),
    "halt": ("K",),
    "pause": ("P",),
    "scan": ("R",),
    "quit": ("q",),
}
LEAVES = {"q", "ctrl+q", "ctrl+c"}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", SHEETS)
async def test_on_a_page_each_key_is_the_page_s_own_or_does_nothing(
    name: str, size: tuple[int, int], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    async with bench(size) as b:
        await b.press(*SHEETS[name])
        page = b.app.screen
        assert isinstance(page, Sheet)
        before = kept(b)
        asks = {"C", "M"} if name == "position" else set()
        await strike(b, (key for _, key in PRESSED if key not in LEAVES | asks))
        assert b.app.screen is page
        for key in asks:  # a position's page can ask to close or to change it
            await b.press(key)
            front: object = b.app.screen
            assert isinstance(front, ConfirmDialog)
            await b.press("escape")
            assert b.app.screen is page
        assert kept(b) == before
        assert b.source.commands == []
        await b.press("escape")
        last: object = b.app.screen
        assert isinstance(last, MainScreen)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", DIALOGS)
async def test_in_a_question_no_key_acts_but_the_one_that_is_named(
    name: str, size: tuple[int, int], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    answers = {"enter", "y"} | LEAVES | {"columns": {"c"}, "quit": {"n", "d"}}.get(name, set())
    async with bench(size) as b:
        await b.press(*DIALOGS[name])
        question = b.app.screen
        assert isinstance(question, Dialog)
        await strike(b, (key for _, key in PRESSED if key not in answers))
        assert b.app.screen is question
        assert b.source.commands == []
        text = await b.now()
        assert " PAPER " in text
        assert "esc" in text
        await b.press("escape")
        last: object = b.app.screen
        assert isinstance(last, MainScreen)
        assert b.source.commands == []


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_each_action_is_found_in_the_palette_by_its_title_and_by_its_key(
    size: tuple[int, int],
) -> None:
    async with bench(size) as b:
        await b.press("colon")
        dialog = b.app.screen
        assert isinstance(dialog, PaletteDialog)
        for action in ACTIONS:
            for text in (action.title, key_label(action.keys[0])):
                b.type(text)
                await b.pilot.pause()
                assert action in dialog.found, text
                if text == action.title:
                    assert dialog.found[0].title.startswith(text)
