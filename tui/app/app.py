"""The Textual app: draws feeds on the event loop that it is given.

``DashApp(source, settings=..., owns_bot=...)`` runs with ``run_async()`` and returns ``quit``
(stop everything) or ``detach`` (only the screen has ended).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.timer import Timer

from streamer.protocol.sanitise import clean
from streamer.state.source import Source

from ..actions import Action
from ..board import find
from ..options import Clock, Defaults, Memory, UiOptions
from ..panels.positions import PositionRow, RowKind
from ..panels.table import TablePanel
from ..panels.theme import DEFAULT, FALLBACK_VARIABLES, THEMES
from ..progress import Steps
from ..render import export
from ..render.lines import Line, width
from ..screens import command_plans as plans
from ..screens.base import FeedScreen
from ..screens.columns import ColumnsDialog
from ..screens.confirm import ConfirmDialog
from ..screens.dash import Dash
from ..screens.detail import PositionSheet
from ..screens.jump import JumpDialog
from ..screens.main import MainScreen
from ..screens.overviews import FunnelSheet, HealthSheet, HelpSheet, PortfolioSheet, SettingsSheet
from ..screens.palette import PaletteDialog
from ..screens.quit import QuitDialog
from ..session.session import Session
from ..session.view import UNITS, View
from ..terminal.clipboard import system_copy
from .tabs import Tabs
from .time_travel import TimeTravel

log = logging.getLogger("mt5dash.ui")

RATES = (1.0, 2.0, 4.0, 10.0)
LEAST_WAIT, IDLE = 0.8, 1.5
"""In periods of ``hz``: the least time between two frames, and the time without a frame after
which one is drawn because ages have changed. The first is less than 1, so that frames keep in step
with a feed that publishes at the same rate."""
MESSAGE_S, READ_PER_S = 3.0, 20.0
"""How long a message is shown: seconds, and one more for so many characters."""
TOGETHER_S = 0.003
"""Events that arrive within so many seconds are drawn together."""


class DashApp(App[str]):
    """The screens over one feed or several, and what their keys do.

    ``Tabs`` holds the sessions, ``TimeTravel`` the replay. A screen knows the app as ``Dash``.
    """

    CSS_PATH = Path(__file__).with_name("dash.tcss")
    TITLE = "mt5dash"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q,ctrl+c", "leave", show=False, priority=True)
    ]

    def __init__(
        self,
        source: Source | Sequence[Source],
        *,
        settings: UiOptions | None = None,
        owns_bot: bool = False,
        driver_class: type[Driver] | None = None,
        version: str = "",
        memory: Memory | None = None,
        clock: Clock | None = None,
        values: Sequence[Any] = (),
        steps: Steps | None = None,
    ) -> None:
        """
        Args:
            source: What is drawn; several sources become tabs and a portfolio.
            settings: Look and redraw rate.
            owns_bot: Whether leaving may stop a bot that runs in this process.
            driver_class: Textual's driver of the terminal; ``None``: its default.
            version: The version of the program, for the health sheet.
            memory: Columns, sort order, theme and unit of the last run (already loaded).
            clock: The clocks; tests give frozen ones.
            values: Settings in force with their sources (``tui.settings.Value``), for their sheet.
            steps: Steps of the start that are not finished yet.
        """
        super().__init__(driver_class=driver_class)
        self.options: UiOptions = settings or Defaults()
        self.clock = clock or Clock()
        self.tabs = Tabs(
            list(source) if isinstance(source, Sequence) else [source],
            clock=self.clock,
            steps=steps,
            on_event=self.request_draw,
        )
        self.time_travel = TimeTravel(self.tabs, self)
        self.owns_bot = owns_bot
        self.version = version
        self.values = values
        self.memory = memory or Memory()
        self.ascii_only = self.options.ascii
        self.system_copy = system_copy
        # Without colour, and where every byte counts, nothing flashes.
        self.calm = self.options.calm or any(
            os.environ.get(name) for name in ("NO_COLOR", "SSH_CONNECTION")
        )
        self.unit = "money"
        self.mask = self.options.hide_money
        self.hz = self.options.hz
        self.draws_on_events = True
        """Whether a frame is drawn soon after an event, not only at the rate of ``hz``."""
        self.on_painted: Callable[[], object] | None = None
        """Called once, when the main screen is painted for the first time."""
        self.message: tuple[str, bool] | None = None
        """The last short message, and whether it reports an error."""
        self._message_until = -1e9
        self._frame_timer: Timer | None = None
        self._next_frame: asyncio.TimerHandle | None = None
        self._drawn_at = 0.0
        self._frame_due: float | None = None
        self._delays: list[tuple[float, float]] = []
        self._alerts_rung = 0
        self._saving: asyncio.Task[None] | None = None

    # -- start and end ---------------------------------------------------------------------

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return FALLBACK_VARIABLES

    def on_mount(self) -> None:
        for theme in THEMES:
            self.register_theme(theme)
        wanted = str(self.memory.values.get("theme") or self.options.theme)
        self.theme = wanted if wanted in self.available_themes else DEFAULT
        self.tabs.open()
        self.push_screen(MainScreen())
        self._start_frame_timer()

    def post_display_hook(self) -> None:
        if self.on_painted is not None and isinstance(self.screen, MainScreen):
            painted, self.on_painted = self.on_painted, None
            painted()

    def show(self, *sources: Source) -> None:
        """Draw other sources from now on, a tab each; call it in the app's context."""
        self.tabs.show(sources)
        if self._frame_timer is not None:
            self.refresh_rows()

    def on_unmount(self) -> None:
        if self._next_frame is not None:
            self._next_frame.cancel()
        self.tabs.close()

    # -- what is in front ------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session in front."""
        return self.tabs.session

    @property
    def sessions(self) -> Sequence[Session]:
        """The sessions of all tabs."""
        return self.tabs.sessions

    @property
    def own_session(self) -> Session:
        """The session of the bot in this process; without one, the session in front."""
        if not self.owns_bot:
            return self.session
        state = self.sessions[0].source.capabilities.own
        return next((s for s in self.sessions if s.state is state), self.sessions[0])

    @property
    def main(self) -> MainScreen:
        """The main screen."""
        return next(s for s in self.screen_stack if isinstance(s, MainScreen))

    def view(self) -> View:
        """The feed in front as it is drawn now."""
        view = View.of(self.session, unit=self.unit, mask=self.mask, calm=self.calm)
        view.message = self.message if self.clock.mono() < self._message_until else None
        return view

    def tab_line(self) -> Line | None:
        """The tabs as a line; ``None`` when there is only one."""
        return self.tabs.line()

    # -- drawing ---------------------------------------------------------------------------

    def request_draw(self) -> None:
        """An event has arrived: draw it soon, but not more often than ``hz`` allows."""
        if self._next_frame is None and self.draws_on_events:
            loop = asyncio.get_running_loop()
            wait = self._drawn_at + LEAST_WAIT / self.hz - loop.time()
            self._next_frame = loop.call_later(max(TOGETHER_S, wait), self._on_next_frame)

    def _on_next_frame(self) -> None:
        self._next_frame = None
        # The feed called in its own context; drawing needs the app's.
        self.call_later(self.tick)

    def _start_frame_timer(self) -> None:
        if self._frame_timer is not None:
            self._frame_timer.stop()
        self._frame_timer = self.set_interval(1 / self.hz, self.on_frame_timer, name="draw")

    def on_frame_timer(self) -> None:
        """Draw because ages have changed, unless a frame was drawn just now."""
        now = self.clock.mono()
        if self._frame_due is not None:
            self._delays = [(at, ms) for at, ms in self._delays if now - at < 60]
            self._delays.append((now, max(0.0, (now - self._frame_due) * 1000)))
        self._frame_due = now + 1 / self.hz
        if asyncio.get_running_loop().time() - self._drawn_at > IDLE / self.hz:
            self.tick()

    def tick(self) -> None:
        """Take in the events of all feeds and draw the screen in front."""
        self._drawn_at = asyncio.get_running_loop().time()
        self.tabs.add_new_bots()
        for session in self.sessions:
            session.tick()
        if self.options.bell:
            alerts = sum(len(s.alerts) for s in self.sessions)
            if alerts > self._alerts_rung:
                self.bell()
            self._alerts_rung = alerts
        self.draw()

    @property
    def late_ms(self) -> float:
        """How late the latest redraw of the last minute came, milliseconds."""
        return max((ms for _, ms in self._delays), default=0.0)

    def draw(self) -> None:
        """Draw the screen in front."""
        screen = self.screen
        if isinstance(screen, FeedScreen) and screen.is_mounted:
            screen.refresh_view(self.view())

    def refresh_rows(self) -> None:
        """Collect the rows of all panels again: they are shown differently from now on."""
        for panel in self.main.panels:
            panel.stale_rows()
        self.draw()

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show a short message instead of the key line, for as long as reading it takes."""
        self.message = clean(text, 300), error
        self._message_until = self.clock.mono() + MESSAGE_S + len(text) / READ_PER_S
        self.draw()

    # -- what is remembered ----------------------------------------------------------------

    def restore_layout(self) -> None:
        """Give unit, columns and sort order the values of the last run."""
        unit = self.memory.values.get("unit")
        if unit in UNITS:
            self.unit = unit
        panels = self.memory.values.get("panels")
        for panel in self.main.panels:
            kept = panels.get(panel.id) if isinstance(panels, dict) else None
            if not isinstance(kept, dict):
                continue
            order, hidden, sort = kept.get("order"), kept.get("hidden"), kept.get("sort")
            if isinstance(order, list) and isinstance(hidden, list):
                panel.set_columns([str(k) for k in order], {str(k) for k in hidden})
            if isinstance(sort, list) and len(sort) == 2:
                panel.sort = (str(sort[0]), bool(sort[1]))

    def save_layout(self) -> None:
        """Save theme, unit, columns and sort order for the next run, in a thread."""
        self.memory.values = {
            "theme": self.theme,
            "unit": self.unit,
            "panels": {
                str(p.id): {
                    "order": p.order,
                    "hidden": sorted(p.hidden),
                    "sort": list(p.sort) if p.sort else None,
                }
                for p in self.main.panels
            },
        }
        before, values = self._saving, dict(self.memory.values)

        async def save() -> None:
            if before is not None:
                await asyncio.gather(before, return_exceptions=True)
            await asyncio.to_thread(self.memory.save, values)

        self._saving = asyncio.create_task(save(), name="save layout")

    # -- leaving ---------------------------------------------------------------------------

    def bot_runs(self) -> bool:
        """Whether leaving would stop a bot: this process has one that is not known to be stopped."""
        if self.session.source.link.state == "starting":
            return False
        bot = self.own_session.state.typed.bot
        return self.owns_bot and (bot is None or bot.state != "stopped")

    def action_leave(self) -> None:
        if isinstance(self.screen, QuitDialog):
            self.exit("quit")
            return
        if not self.bot_runs():
            self.exit("quit" if self.owns_bot else "detach")
            return

        def answered(answer: Any) -> None:
            if answer in ("quit", "detach"):
                self.exit(answer)

        self.push_screen(QuitDialog(), answered)

    # -- how it is shown -------------------------------------------------------------------

    def action_unit(self) -> None:
        self.unit = UNITS[(UNITS.index(self.unit) + 1) % len(UNITS)]
        self.refresh_rows()
        self.save_layout()

    def action_mask(self) -> None:
        self.mask = not self.mask
        self.refresh_rows()

    def action_rate(self, step: int) -> None:
        rates = sorted({*RATES, self.hz})
        at = min(len(rates) - 1, max(0, rates.index(self.hz) + step))
        self.hz = rates[at]
        self._start_frame_timer()
        self.show_message(f"{self.hz:g} redraws per second")

    def action_theme(self) -> None:
        ours = [t.name for t in THEMES] + ["ansi-dark", "ansi-light"]
        names = [n for n in ours if n in self.available_themes]
        at = names.index(self.theme) + 1 if self.theme in names else 0
        self.theme = names[at % len(names)]
        self.show_message(f"Theme {self.theme}")
        self.save_layout()

    def action_feed(self, step: int) -> None:
        """Bring another tab to the front."""
        if len(self.sessions) < 2:
            self.show_message("There is only one account here; --connect may be repeated")
        elif not self.back_to_live():
            self.tabs.step(step)
            self.main.frozen_at = None
            self.refresh_rows()

    def action_columns(self) -> None:
        self.push_screen(ColumnsDialog(self.main.panel))

    # -- sheets and dialogs ----------------------------------------------------------------

    def open_row(self) -> None:
        """Open the sheet of the row under the cursor."""
        panel = self.main.panel
        if panel.spec.sheet and panel.current is not None:
            self.push_screen(find(panel.spec.sheet)(panel.current))

    def action_open(self) -> None:
        self.open_row()

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

    def action_palette(self) -> None:
        def chosen(action: Any) -> None:
            if isinstance(action, Action):
                self.call_later(self.run_action, action.call, self.main)

        self.push_screen(PaletteDialog(), chosen)

    # -- copy and export -------------------------------------------------------------------

    def copy(self, text: str) -> None:
        """Copy to the clipboard: through the terminal (OSC 52), and to the system's own."""
        self.copy_to_clipboard(text)

        async def copy_to_system() -> None:
            program = await self.system_copy(text)
            how = f"with {program} and through" if program else "through"
            self.show_message(f"Copied {width(text)} characters {how} the terminal (OSC 52)")

        self.run_worker(copy_to_system(), exit_on_error=False)

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
                self.show_message(f"Not written: {error}", error=True)
            else:
                self.show_message(f"Written: {path}")

        self.run_worker(write(), exit_on_error=False)

    # -- replay ----------------------------------------------------------------------------

    @property
    def in_replay(self) -> bool:
        """Whether a replay is in front."""
        return self.time_travel.replay is not None

    def play_or_pause(self) -> None:
        """Play or pause the replay in front."""
        self.time_travel.play_or_pause()

    def back_to_live(self) -> bool:
        """Leave the replay in front; whether there was one."""
        return self.time_travel.back_to_live()

    def replay_opened(self) -> None:
        """A replay has come to the front: nothing is frozen there."""
        self.main.frozen_at = None

    def replay_moved(self) -> None:
        """The replay shows another moment, or none any more."""
        if self.main.is_mounted:
            self.refresh_rows()

    def action_past(self, events: int) -> None:
        self.time_travel.step(events)

    def action_past_jump(self) -> None:
        """Ask for a moment and go there."""
        replay = self.time_travel.replay
        shown = self.clock.wall() if replay is None else replay.position

        def answered(at: Any) -> None:
            if isinstance(at, float | int):
                self.time_travel.jump(float(at))

        self.push_screen(JumpDialog(shown if replay is None else replay.last, shown), answered)

    def action_past_speed(self, step: int) -> None:
        self.time_travel.change_speed(step)

    # -- commands --------------------------------------------------------------------------

    async def send_command(self, name: str, args: Mapping[str, Any]) -> str | None:
        """Send a command to the feed in front.

        Returns:
            ``None`` when it was carried out, otherwise why not.
        """
        try:
            session = self.session
            result = await session.source.command(name, args, bot=session.bot or None)
        except (OSError, ConnectionError, TimeoutError) as error:
            return f"{name}: no answer: {error}"
        if result.ok:
            words = name.replace("_", " ")
            self.show_message(f"Done: {words}")
            return None
        problem = result.error
        log.info("command %s refused: %s", name, problem)
        return clean(problem.message, 300) if problem else "refused without a reason"

    def _ask(self, plan: plans.Plan) -> None:
        self.push_screen(ConfirmDialog(plan))

    def _target(self) -> PositionRow | None:
        """The position or order of a command: of the sheet in front, or under the cursor."""
        if isinstance(self.screen, PositionSheet):
            return self.screen.row
        panel = self.main.panel
        if not panel.spec.target or panel.current is None:
            return None
        row: PositionRow | None = find(panel.spec.target)(panel.current)
        return row

    def _ask_about_row(
        self, kind: RowKind, what: str, make: Callable[[PositionRow, View], plans.Plan]
    ) -> None:
        row = self._target()
        if row is None or row.kind != kind:
            self.show_message(f"Put the cursor on {what} first", error=True)
        else:
            self._ask(make(row, self.view()))

    def action_close_position(self) -> None:
        self._ask_about_row(plans.OPEN, "an open position", plans.close_position)

    def action_modify_position(self) -> None:
        self._ask_about_row(plans.OPEN, "an open position", plans.modify_position)

    def action_cancel_order(self) -> None:
        self._ask_about_row(plans.PENDING, "a pending order", plans.cancel_order)

    def action_flatten(self) -> None:
        self._ask(plans.flatten(self.view()))

    def action_pause(self) -> None:
        self._ask(plans.pause_or_resume(self.view()))

    def action_halt(self) -> None:
        self._ask(plans.halt_or_release(self.view()))

    def action_scan_now(self) -> None:
        self._ask(plans.scan_now(self.view()))


def as_seen_by_screens(app: DashApp) -> Dash:
    """The app as its screens know it; mypy checks here that it has all that they read."""
    return app
