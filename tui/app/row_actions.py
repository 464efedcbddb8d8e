"""The actions of the app that open a screen, take something along, or ask the bot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import App

from streamer.protocol.sanitise import clean

from ..actions import Action
from ..board import find
from ..options import Clock
from ..panels.positions import PositionRow, RowKind
from ..panels.table import TablePanel
from ..render import export
from ..screens import command_plans as control
from ..screens.choose import ColumnsDialog, PaletteDialog
from ..screens.confirm import ConfirmDialog
from ..screens.detail import PositionSheet
from ..screens.main import MainScreen
from ..screens.pages import FunnelSheet, HealthSheet, HelpSheet, PortfolioSheet, SettingsSheet
from ..session.session import Session
from ..session.view import View

log = logging.getLogger("mt5dash.ui")


class Doing(App[str]):
    """Part of the app: it only orders what others know. ``DashApp`` has the rest."""

    clock: Clock

    if TYPE_CHECKING:

        @property
        def main(self) -> MainScreen: ...
        @property
        def session(self) -> Session: ...
        def view(self) -> View: ...
        def tell(self, text: str, *, wrong: bool = False) -> None: ...
        def copy(self, text: str) -> None: ...

    # -- looking closer --------------------------------------------------------------------

    def action_open(self) -> None:
        """Open the page of the row under the cursor."""
        panel = self.main.panel
        if panel.spec.sheet and panel.current is not None:
            self.push_screen(find(panel.spec.sheet)(panel.current))

    def action_funnel(self) -> None:
        self.push_screen(FunnelSheet())

    def action_health(self) -> None:
        self.push_screen(HealthSheet())

    def action_settings(self) -> None:
        self.push_screen(SettingsSheet())

    def action_help(self) -> None:
        self.push_screen(HelpSheet())

    def action_portfolio(self) -> None:
        self.push_screen(PortfolioSheet())

    def action_columns(self) -> None:
        self.push_screen(ColumnsDialog(self.main.panel))

    def action_palette(self) -> None:
        def chosen(action: Any) -> None:
            if isinstance(action, Action):
                self.call_later(self.run_action, action.call, self.main)

        self.push_screen(PaletteDialog(), chosen)

    # -- taking along ----------------------------------------------------------------------

    def action_copy(self, everything: bool) -> None:
        panel: TablePanel[Any] = self.main.panel
        if everything:
            self.copy(export.as_tsv(panel.table()))
        elif panel.current is not None:
            self.copy(export.as_tsv(panel.table([panel.current])[1:]))

    def action_export(self) -> None:
        panel = self.main.panel
        table = panel.table()
        self._write(panel.spec.name, ".csv", lambda: export.as_csv(table))

    def action_export_events(self) -> None:
        events = [line.event for line in self.session.lines]
        self._write("events", ".jsonl", lambda: export.as_json_lines(events))

    def action_picture(self) -> None:
        picture = self.export_screenshot()
        self._write("screen", ".svg", lambda: picture)

    def _write(self, name: str, suffix: str, text: Callable[[], str]) -> None:
        path = export.target(Path.cwd(), name, suffix, self.clock.wall())

        async def write() -> None:
            try:
                await asyncio.to_thread(lambda: export.write_text(path, text()))
            except OSError as error:
                self.tell(f"Not written: {error}", wrong=True)
            else:
                self.tell(f"Written: {path}")

        self.run_worker(write(), exit_on_error=False)

    # -- asking the bot --------------------------------------------------------------------

    async def command(self, name: str, args: Mapping[str, Any]) -> str | None:
        """Ask the feed in front; ``None`` when it was done, else what went wrong."""
        try:
            session = self.session
            result = await session.source.command(name, args, bot=session.bot or None)
        except (OSError, ConnectionError, TimeoutError) as error:
            return f"{name}: no answer: {error}"
        if result.ok:
            words = name.replace("_", " ")
            self.tell(f"Done: {words}")
            return None
        problem = result.error
        log.info("command %s refused: %s", name, problem)
        return clean(problem.message, 300) if problem else "refused without a reason"

    def _ask(self, plan: control.Plan) -> None:
        self.push_screen(ConfirmDialog(plan))

    def _position(self) -> PositionRow | None:
        """The position that is meant: of the sheet in front, or under the cursor."""
        if isinstance(self.screen, PositionSheet):
            return self.screen.row
        panel = self.main.panel
        if not panel.spec.target or panel.current is None:
            return None
        row: PositionRow | None = find(panel.spec.target)(panel.current)
        return row

    def _on_row(
        self, kind: RowKind, what: str, make: Callable[[PositionRow, View], control.Plan]
    ) -> None:
        row = control.rows_of(kind, self._position())
        if row is None:
            self.tell(f"Put the cursor on {what} first", wrong=True)
        else:
            self._ask(make(row, self.view()))

    def action_close_position(self) -> None:
        self._on_row(control.OPEN, "an open position", control.close_position)

    def action_modify_position(self) -> None:
        self._on_row(control.OPEN, "an open position", control.modify_position)

    def action_cancel_order(self) -> None:
        self._on_row(control.PENDING, "a pending order", control.cancel_order)

    def action_flatten(self) -> None:
        self._ask(control.flatten(self.view()))

    def action_pause(self) -> None:
        self._ask(control.pause_or_resume(self.view()))

    def action_halt(self) -> None:
        self._ask(control.halt_or_release(self.view()))

    def action_scan_now(self) -> None:
        self._ask(control.scan_now(self.view()))
