"""The steps of the start: their order, how far they are, and their lines."""

from __future__ import annotations

import threading
import time

import pytest

from tui.progress import Steps
from tui.terminal.first_frame import paint_line


def words(steps: Steps, cells: int = 60, now: float | None = None) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in steps.lines(cells, now)]


def test_a_step_that_begins_ends_those_before_it() -> None:
    steps = Steps("settings", "screen", "feed")
    steps.begin("settings", "reading")
    steps.begin("screen", "loading")
    assert words(steps) == ["✓ settings   reading", "▸ screen     loading", "· feed"]
    assert not steps.over
    steps.end("screen")
    steps.end("feed", "listening")
    assert bool(steps.over)
    assert words(steps)[2] == "✓ feed       listening"


def test_what_is_told_late_does_not_begin_a_step_again() -> None:
    steps = Steps("terminal")
    steps.report("terminal", "too early", 1, 2)
    assert words(steps) == ["· terminal"]
    steps.begin("terminal")
    steps.end("terminal", "connected")
    steps.report("terminal", "too late", 1, 2)
    assert words(steps) == ["✓ terminal   connected"]


def test_how_far_a_step_is_and_how_long_it_takes() -> None:
    steps = Steps("terminal")
    steps.begin("terminal")
    steps.report("terminal", "bars of EURUSD", 5, 20)
    now = time.monotonic()
    assert words(steps, now=now) == ["▸ terminal   bars of EURUSD ███········· 5 of 20"]
    assert words(steps, now=now + 12.4)[0].endswith("5 of 20 12 s")
    steps.end("terminal", "no such file", failed=True)
    assert words(steps)[0].startswith("✕ terminal   no such file")
    assert not steps.over


@pytest.mark.parametrize("cells", [24, 40, 60, 110])
def test_a_line_keeps_its_figures_and_its_width(cells: int) -> None:
    steps = Steps("terminal")
    steps.begin("terminal")
    steps.report("terminal", "a name that is far too long for any line there is " * 3, 20, 20)
    line = words(steps, cells)[0]
    assert "20 of 20" in line
    assert len(line) <= max(cells, 13 + len(" ████████████ 20 of 20"))


def test_changes_are_told_from_whichever_thread_made_them() -> None:
    steps = Steps("feed")
    seen: list[str] = []
    steps.on_change = lambda: seen.append(threading.current_thread().name)
    worker = threading.Thread(target=steps.begin, args=("feed",), name="somewhere else")
    worker.start()
    worker.join()
    assert seen == ["somewhere else"]


def test_no_control_byte_of_a_name_reaches_the_terminal() -> None:
    painted = paint_line([("\x1b]52;c;eA==\x07\x9b6n\u202efile", "dim")], ascii_only=False)
    body = painted.removeprefix("\x1b[2m").removesuffix("\x1b[0m")
    assert body.isprintable()
    assert "file" in body
    assert paint_line([("▸ naïve █", "")], ascii_only=True) == "> na?ve #"
