"""The Textual app: draws a source, on the loop it is given, and leaves nothing behind.

``DashApp(source, settings=..., owns_bot=...)`` runs with ``run_async()`` and returns ``quit``
(stop everything) or ``detach`` (only the screen went).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.timer import Timer

from streamer.protocol.sanitise import clean
from streamer.state.source import Source

from ..options import Clock, Defaults, Memory, UiOptions
from ..progress import Steps
from ..render.lines import Line, width
from ..render.theme import DEFAULT, FALLBACK_VARIABLES, THEMES
from ..screens.base import Looking
from ..screens.main import MainScreen
from ..screens.quit import QuitDialog
from ..session.bots import unseen
from ..session.session import Session
from ..session.view import UNITS, View
from ..terminal.clipboard import system_copy
from .time_travel import Past

RATES = (1.0, 2.0, 4.0, 10.0)
SOONEST, IDLE = 0.8, 1.5
"""In periods of ``hz``: the least time between two frames, and the quiet after which one is
drawn for the ages alone. Less than 1, so that frames fall into step with a feed that beats at
the same rate, and show its changes at once."""
TOLD_S, READ_PER_S = 3.0, 20.0
"""A message stays so long, and a second more for so many characters."""
TOGETHER_S = 0.003
"""Events that come so close together are drawn together."""


class DashApp(Past):
    """The dashboard of one feed, or of several."""

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
            settings: How it looks and how often it is drawn.
            owns_bot: Whether leaving may stop a bot that runs in this process.
            driver_class: Textual's way to the terminal; ``None``: its own.
            version: The program's, for the health page.
            memory: Columns, sort order, theme and unit of the last time (already loaded).
            clock: The clocks; tests give frozen ones.
            values: Settings in force with their sources (``tui.settings.Value``), to be shown.
            steps: What is still being done before there is anything to draw.
        """
        super().__init__(driver_class=driver_class)
        self.options: UiOptions = settings or Defaults()
        sources = list(source) if isinstance(source, Sequence) else [source]
        self.clock = clock or Clock()
        self.steps = steps
        self.sessions = [Session(s, self.clock, steps=steps) for s in sources]
        self.front = 0
        self.owns_bot = owns_bot
        self.version = version
        self.values = values
        self.memory = memory or Memory()
        self.ascii_only = self.options.ascii
        self.system_copy = system_copy
        # Where colour is unwanted or every byte travels, nothing flashes.
        self.calm = self.options.calm or any(
            os.environ.get(name) for name in ("NO_COLOR", "SSH_CONNECTION")
        )
        self.unit = "money"
        self.mask = self.options.hide_money
        self.hz = self.options.hz
        self._timer: Timer | None = None
        self._saving: asyncio.Task[None] | None = None
        self._rung = 0
        self.prompt = True
        """Draw soon after something happened, not only in the rhythm."""
        self._soon: asyncio.TimerHandle | None = None
        self._drawn_at = 0.0
        self._due: float | None = None
        self._late: list[tuple[float, float]] = []
        self.on_painted: Callable[[], object] | None = None
        """Called once, when the main screen stands for the first time."""
        self.said: tuple[str, bool] | None = None
        """The last short message, and whether it tells of something that went wrong."""
        self._said_until = -1e9

    # -- start and end ---------------------------------------------------------------------

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return FALLBACK_VARIABLES

    def on_mount(self) -> None:
        for theme in THEMES:
            self.register_theme(theme)
        wanted = str(self.memory.values.get("theme") or self.options.theme)
        self.theme = wanted if wanted in self.available_themes else DEFAULT
        for session in self.sessions:
            session.on_event = self.news
            session.open()
        self.push_screen(MainScreen())
        self._timer = self.set_interval(1 / self.hz, self.beat, name="draw")

    def post_display_hook(self) -> None:
        if self.on_painted is not None and isinstance(self.screen, MainScreen):
            told, self.on_painted = self.on_painted, None
            told()

    def show(self, *sources: Source) -> None:
        """Draw other sources from now on, a tab each; to be called in the app's context."""
        for session in self.sessions:
            session.close()
        self.sessions = [Session(s, self.clock, steps=self.steps) for s in sources]
        self.front = min(self.front, len(sources) - 1)
        if self._timer is None:
            return  # not on a screen yet: they are opened when it is
        for session in self.sessions:
            session.on_event = self.news
            session.open()
        self.refresh_rows()

    def on_unmount(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
        for session in self.sessions:
            session.close()

    @property
    def session(self) -> Session:
        """The feed in front."""
        return self.sessions[self.front]

    @property
    def own(self) -> Session:
        """The tab of the bot that this process runs; where it runs none, the one in front."""
        if not self.owns_bot:
            return self.session
        state = self.sessions[0].source.capabilities.own
        return next((s for s in self.sessions if s.state is state), self.sessions[0])

    def view(self) -> View:
        view = View.of(self.session, unit=self.unit, mask=self.mask, calm=self.calm)
        view.said = self.said if self.clock.mono() < self._said_until else None
        return view

    def news(self) -> None:
        """Something happened: draw it at once, but never more often than ``hz``."""
        if self._soon is None and self.prompt:
            loop = asyncio.get_running_loop()
            wait = self._drawn_at + SOONEST / self.hz - loop.time()
            self._soon = loop.call_later(max(TOGETHER_S, wait), self._news_due)

    def _news_due(self) -> None:
        self._soon = None
        # The feed called from its own context; drawing belongs into the app's.
        self.call_later(self.tick)

    def beat(self) -> None:
        """Draw in the rhythm of ``hz``, for the ages, unless that was done just now."""
        now = self.clock.mono()
        if self._due is not None:
            self._late = [(at, ms) for at, ms in self._late if now - at < 60]
            self._late.append((now, max(0.0, (now - self._due) * 1000)))
        self._due = now + 1 / self.hz
        if asyncio.get_running_loop().time() - self._drawn_at > IDLE / self.hz:
            self.tick()

    def tick(self) -> None:
        """Take in what the feeds told, and draw the screen in front."""
        self._drawn_at = asyncio.get_running_loop().time()
        self.meet_bots()
        for session in self.sessions:
            session.tick()
        if self.options.bell:
            alerts = sum(len(s.alerts) for s in self.sessions)
            if alerts > self._rung:
                self.bell()
            self._rung = alerts
        self.draw()

    @property
    def late_ms(self) -> float:
        """The latest redraw of the last minute came so late."""
        return max((ms for _, ms in self._late), default=0.0)

    def draw(self) -> None:
        screen = self.screen
        if isinstance(screen, Looking) and screen.is_mounted:
            screen.look(self.view())

    def tell(self, text: str, *, wrong: bool = False) -> None:
        """A short message in the line of keys, for as long as it takes to read it."""
        self.said = clean(text, 300), wrong
        self._said_until = self.clock.mono() + TOLD_S + len(text) / READ_PER_S
        self.draw()

    # -- remembering -----------------------------------------------------------------------

    def recall(self, main: MainScreen) -> None:
        """Put columns and sort order back as they were left."""
        unit = self.memory.values.get("unit")
        if unit in UNITS:
            self.unit = unit
        panels = self.memory.values.get("panels")
        for panel in main.panels:
            said = panels.get(panel.id) if isinstance(panels, dict) else None
            if not isinstance(said, dict):
                continue
            order, hidden, sort = said.get("order"), said.get("hidden"), said.get("sort")
            if isinstance(order, list) and isinstance(hidden, list):
                panel.set_columns([str(k) for k in order], {str(k) for k in hidden})
            if isinstance(sort, list) and len(sort) == 2:
                panel.sort = (str(sort[0]), bool(sort[1]))

    @property
    def main(self) -> MainScreen:
        return next(s for s in self.screen_stack if isinstance(s, MainScreen))

    def remember(self) -> None:
        """Keep columns, sort order, theme and unit; written in a thread."""
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

        self._saving = asyncio.create_task(save(), name="remember")

    # -- several feeds ---------------------------------------------------------------------

    def meet_bots(self) -> None:
        """Open a tab for each further bot that a feed tells of."""
        for source in unseen(session.source for session in self.sessions):
            session = Session(source, self.clock, name=source.name)
            at = len(self.sessions) if self._past_at is None else self._past_at
            self.sessions.insert(at, session)
            self.front += self.front >= at
            session.on_event = self.news
            session.open()

    def tab_line(self) -> Line | None:
        """The accounts as tabs; nothing where there is only one. A replay is not one of them."""
        live = [(i, s) for i, s in enumerate(self.sessions) if i != self._past_at]
        if len(live) < 2:
            return None
        logins = [s.account.login for _, s in live]
        line: Line = []
        for i, session in live:
            login = session.account.login
            name = clean(str(login if login is not None else session.name or i + 1), 16)
            if session.bot:
                name = clean(session.bot, 16)
            elif logins.count(login) > 1:  # the same account seen through two feeds
                name += ":" + session.source.link.url.removesuffix("/ws").rpartition(":")[2][:8]
            worst = max((a.level for a in session.open_alerts()), default=0)
            mark = "!" if worst >= 2 else ""
            style = "title" if i == self.front else "warn" if mark else "dim"
            line += [(" ", ""), (f"[{name}{mark}]" if i == self.front else f"{name}{mark}", style)]
        return line

    # -- leaving ---------------------------------------------------------------------------

    def bot_runs(self) -> bool:
        """Whether leaving would stop a bot: this process has one and it is not known to stand."""
        if self.session.source.link.state == "starting":
            return False
        bot = self.own.state.typed.bot
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

    # -- what is shown ---------------------------------------------------------------------

    def action_unit(self) -> None:
        self.unit = UNITS[(UNITS.index(self.unit) + 1) % len(UNITS)]
        self.refresh_rows()
        self.remember()

    def action_mask(self) -> None:
        self.mask = not self.mask
        self.refresh_rows()

    def refresh_rows(self) -> None:
        """Collect the rows of all panels anew: how they are shown has changed."""
        for panel in self.main.panels:
            panel.stale_rows()
        self.draw()

    def action_rate(self, step: int) -> None:
        rates = sorted({*RATES, self.hz})
        at = min(len(rates) - 1, max(0, rates.index(self.hz) + step))
        self.hz = rates[at]
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_interval(1 / self.hz, self.beat, name="draw")
        self.tell(f"{self.hz:g} redraws a second")

    def action_theme(self) -> None:
        ours = [t.name for t in THEMES] + ["ansi-dark", "ansi-light"]
        names = [n for n in ours if n in self.available_themes]
        at = names.index(self.theme) + 1 if self.theme in names else 0
        self.theme = names[at % len(names)]
        self.tell(f"Theme {self.theme}")
        self.remember()

    def action_feed(self, step: int) -> None:
        """Bring another feed to the front."""
        if len(self.sessions) < 2:
            self.tell("There is only one account here; --connect may be repeated")
        elif not self.back_to_now():
            self.front = (self.front + step) % len(self.sessions)
            self.main.frozen_at = None
            self.refresh_rows()

    def copy(self, text: str) -> None:
        """Text to the clipboard: through the terminal (OSC 52), and the system's own."""
        self.copy_to_clipboard(text)

        async def also() -> None:
            program = await self.system_copy(text)
            how = f"with {program} and through" if program else "through"
            self.tell(f"Copied {width(text)} characters {how} the terminal (OSC 52)")

        self.run_worker(also(), exit_on_error=False)
