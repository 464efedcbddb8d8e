"""The board: which panels the main screen has, and the place of each.

A new panel is a file in ``tui/panels/`` and a row in ``PANELS``. Key bindings, key line, help,
palette, layout, first frame and the page that Enter opens are made from this table. It imports
nothing of ours: the first frame is drawn from it before Textual is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import accumulate
from typing import Any, Literal

TINY = (60, 16)
"""Columns and rows; a smaller window gets six lines instead of the board."""
ROOMY = (100, 30)
"""Columns and rows; a smaller window shows the first panel, and below it one of the others."""

COLUMNS = (60, 40)
"""Shares of the width: left and right."""
FIRST_BAND, BAND = 6, 7
"""Shares of the height: of the first band of panels, and of each further one."""
NARROW = (9, 11)
"""Shares of the height in a window that is not roomy: the first panel, and the one below it."""


@dataclass(frozen=True, slots=True)
class PanelSpec:
    """One panel.

    Attributes:
        name: Its id as a widget, and its key in the file that keeps columns and sort order.
        title: Its name on the screen.
        band: Its row on the board, from 0. A panel that is alone in its band
            takes the whole width.
        side: The half of the band.
        widget: Import path of its class, ``module:Class``.
        sheet: Import path of the function that makes the page of one of its rows, ``module:function``
            (row -> sheet); empty: Enter does nothing.
        target: Import path of the function that gives the position or order that commands act on
            (row -> ``tui.panels.positions.PositionRow`` or ``None``); empty: none.
    """

    name: str
    title: str
    band: int
    side: Literal["left", "right"]
    widget: str
    sheet: str = ""
    target: str = ""

    @property
    def number(self) -> int:
        """Its number on the screen, from 1."""
        return PANELS.index(self) + 1

    @property
    def key(self) -> str:
        """The key that focuses it."""
        return str(self.number)

    @property
    def label(self) -> str:
        """Number and title."""
        return f"{self.number} {self.title}"


PANELS: tuple[PanelSpec, ...] = (
    PanelSpec(
        name="positions",
        title="Positions",
        band=0,
        side="left",
        widget="tui.panels.positions:PositionsPanel",
        sheet="tui.screens.rows:position_sheet",
        target="tui.screens.rows:position_target",
    ),
    PanelSpec(
        name="scanner",
        title="Scanner",
        band=0,
        side="right",
        widget="tui.panels.scanner:ScannerPanel",
        sheet="tui.screens.rows:symbol_sheet",
    ),
    PanelSpec(
        name="events",
        title="Events",
        band=1,
        side="left",
        widget="tui.panels.events:EventsPanel",
        sheet="tui.screens.rows:event_sheet",
    ),
    PanelSpec(
        name="trades",
        title="Trades",
        band=1,
        side="right",
        widget="tui.panels.trades:TradesPanel",
        sheet="tui.screens.rows:trade_sheet",
        target="tui.screens.rows:trade_target",
    ),
)
"""All panels, by band and then from left to right: this is the order of their numbers, of the tab
key, and of the grid."""

NARROW_TAB = "events"
"""The panel that a window that is not roomy shows first below the first one."""

KEYS = f"{PANELS[0].key}-{PANELS[-1].key}"
"""The keys of the panels in words, such as ``1-4``."""


def find(path: str) -> Any:
    """What an import path of the table names: ``module:name``."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid of the panels that are shown, filled row by row in their order.

    Attributes:
        columns: Shares of the width.
        rows: Shares of the height.
        wide: Numbers of the panels that take the whole width.
    """

    columns: tuple[int, ...]
    rows: tuple[int, ...]
    wide: frozenset[int] = frozenset()


def arrange(shown: Sequence[PanelSpec], *, roomy: bool) -> Grid:
    """The grid for these panels; in a window that is not roomy they are stacked."""
    if len(shown) == 1:
        return Grid((1,), (1,))
    if not roomy:
        return Grid((1,), NARROW)
    bands = [panel.band for panel in shown]
    return Grid(
        COLUMNS,
        tuple(BAND if band else FIRST_BAND for band in sorted(set(bands))),
        frozenset(panel.number for panel in shown if bands.count(panel.band) == 1),
    )


def split(cells: int, shares: Sequence[int]) -> list[int]:
    """``cells`` in parts of these shares, rounded as Textual's grid does."""
    ends = [cells * share // sum(shares) for share in accumulate(shares)]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
