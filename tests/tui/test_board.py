"""The table of panels: what is made from it, and that a further row is enough for a new panel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import program
from support.paths import TESTS

from tui.board import NARROW_TAB, PANELS, PanelSpec, arrange, find, split
from tui.panels.table import TablePanel


def test_the_rows_stand_in_the_order_of_the_grid_and_name_what_there_is() -> None:
    assert [p.number for p in PANELS] == list(range(1, len(PANELS) + 1))
    assert len({p.name for p in PANELS}) == len(PANELS)
    places = [(p.band, p.side) for p in PANELS]
    assert places == sorted(set(places))  # left comes before right
    assert all(p.number <= 9 for p in PANELS), "one key is one digit"
    assert NARROW_TAB in {p.name for p in PANELS[1:]}
    for panel in PANELS:
        assert issubclass(find(panel.widget), TablePanel)
        for path in (panel.sheet, panel.target):
            assert not path or callable(find(path))


def test_panels_share_the_board_and_one_that_is_alone_in_its_band_takes_all_of_it() -> None:
    one, two, three, four = PANELS[:4]
    grid = arrange([one, two, three, four], roomy=True)
    assert (grid.columns, grid.rows, grid.wide) == ((60, 40), (6, 7), frozenset())
    assert arrange([two, three, four], roomy=True).wide == {two.number}
    assert arrange([one, two], roomy=True).rows == (6,)
    assert arrange([three], roomy=True) == arrange([three], roomy=False)
    assert arrange([one, four], roomy=False).rows == (9, 11)


@pytest.mark.parametrize(("cells", "shares"), [(120, (60, 40)), (33, (6, 7)), (31, (6, 7, 7)),
                                               (22, (9, 11)), (7, (1,)), (0, (6, 7))])  # fmt: skip
def test_parts_are_whole_cells_and_make_up_the_whole(cells: int, shares: tuple[int, ...]) -> None:
    parts = split(cells, shares)
    assert sum(parts) == cells
    assert all(abs(p - cells * s / sum(shares)) <= 1 for p, s in zip(parts, shares, strict=True))


def test_a_further_panel_is_its_file_and_its_row(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(TESTS / "support" / "further_panel.py")],
        env=program.environment(tmp_path) | {"PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    number = len(PANELS) + 1
    assert f"{number} Extra" in found["text"]
    assert f"1-{number} panel" in found["keys"]
    x, _, width, _ = found["regions"]["extra"]
    assert (x, width) == (0, 120)
    # All panels together cover the board without overlap.
    areas = [w * h for _, _, w, h in found["regions"].values()]
    tops = {y for _, y, _, _ in found["regions"].values()}
    assert len(tops) == len({p.band for p in PANELS}) + 1
    assert sum(areas) == 120 * (36 - 3 - 2)
    assert found["before the first"] == number
    assert found["after the last"] == 1
    assert found["focused"] == "extra"
    assert "Symbol " in found["sheet"].splitlines()[0]
    assert "Go to the Extra panel" in found["help"]
    assert f"[{number} Extra" in found["narrow"]
    # The first frame has the panels where the screen has them.
    frame = found["first frame"]
    for name, (left, top, _, _) in found["regions"].items():
        title = next(p.title for p in [*PANELS, PanelSpec("extra", "Extra", 9, "left", "")]
                     if p.name == name)  # fmt: skip
        assert title in frame[top][left : left + 20], name
