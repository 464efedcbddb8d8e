"""Runs the screen with one panel more than the table has: its row here, its class below.

Prints one JSON object with what the screen made of it. Nothing of ours but the table is imported
before the row is in it, as if it stood in ``tui/board.py``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Hashable, Sequence
from typing import Any

from tui import board

ROW = board.PanelSpec(
    name="extra",
    title="Extra",
    band=board.PANELS[-1].band + 1,
    side="left",
    widget="support.further_panel:ExtraPanel",
    sheet="tui.screens.rows:symbol_sheet",
)
if __name__ == "__main__":
    board.PANELS = (*board.PANELS, ROW)
    board.KEYS = f"{board.PANELS[0].key}-{board.PANELS[-1].key}"

from support.screen_bench import bench  # noqa: E402
from tui.panels.columns import Column  # noqa: E402
from tui.panels.table import TablePanel  # noqa: E402
from tui.progress import Steps  # noqa: E402
from tui.session.view import View  # noqa: E402
from tui.terminal.first_frame import frame_lines  # noqa: E402


class ExtraRow:
    """A row of the panel."""

    def __init__(self, symbol: str, bid: Any) -> None:
        self.symbol, self.bid = symbol, bid


class ExtraPanel(TablePanel[ExtraRow]):
    """The newest bid of every symbol."""

    COLUMNS = (
        Column("symbol", "Symbol", lambda r, v, w: [(r.symbol, "bold")], 0),
        Column("bid", "Bid", lambda r, v, w: [(str(r.bid), "text")], 0),
    )

    def fetch(self, view: View) -> Sequence[ExtraRow]:
        quotes = view.session.state.quotes
        return [ExtraRow(symbol, quote.get("bid")) for symbol, quote in quotes.items()]

    def key(self, row: ExtraRow) -> Hashable:
        return row.symbol


async def main() -> dict[str, Any]:
    found: dict[str, Any] = {}
    async with bench((120, 36)) as b:
        found["text"] = await b.now()
        found["keys"] = found["text"].splitlines()[-1]
        regions = {p.spec.name: p.region for p in b.main.panels}
        found["regions"] = {name: tuple(region) for name, region in regions.items()}
        await b.press("shift+tab")
        found["before the first"] = b.main.panel.number
        await b.press("tab")
        found["after the last"] = b.main.panel.number
        await b.press(ROW.key)
        found["focused"] = b.main.panel.spec.name
        found["sheet"] = await b.press("j", "enter")
        await b.press("escape")
        found["help"] = await b.press("question_mark")
    async with bench((80, 24)) as b:
        found["narrow"] = await b.press(ROW.key)
    steps = Steps("settings")
    lines = frame_lines(steps, 120, 36)
    found["first frame"] = ["".join(text for text, _ in line) for line in lines]
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
