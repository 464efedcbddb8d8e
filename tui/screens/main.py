"""The main screen: header, account, the board of panels, alert and keys; fitted to the window."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.widgets import Input, Label

from ..actions import ACTIONS
from ..board import KEYS, NARROW_TAB, PANELS, ROOMY, TINY, arrange, find
from ..panels.account import AccountBar
from ..panels.base import Panel
from ..panels.events import EventsPanel
from ..panels.header import HeaderBar
from ..panels.status import AlertBar, KeyBar
from ..panels.table import TablePanel
from ..panels.timebar import TimeBar
from ..panels.tiny import TinyView
from ..render import format as f
from ..session.view import View
from .base import FeedScreen

AGAIN_S = 2.0
"""Seconds within which a second press of a panel's key hides the panel."""


class MainScreen(FeedScreen):
    """The screen with the board of panels."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(
                ",".join(a.keys),
                a.call,
                a.title,
                show=False,
                priority=any(k in ("tab", "shift+tab", "ctrl+c", "ctrl+q") for k in a.keys),
                id=a.name,
            )
            for a in ACTIONS
        ),
        Binding("escape", "back", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.panels: tuple[TablePanel[Any], ...] = tuple(find(p.widget)(p) for p in PANELS)
        self.board = Container(*self.panels, id="board")
        self.tab = next(p.number for p in PANELS if p.name == NARROW_TAB)
        """The panel below the first one, in a window that is not roomy."""
        self.maximised: int | None = None
        self.hidden: set[int] = set()
        """Numbers of the hidden panels; their keys show them again."""
        self._pressed: tuple[int, float] = (0, -1e9)
        self.header = HeaderBar()
        self.account = AccountBar()
        self.alert = AlertBar()
        self.keys = KeyBar()
        self.tiny = TinyView()
        self.time = TimeBar()
        self.frozen_at: float | None = None
        self._frozen_at_event = 0
        self._fitted: object = None

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.account
        yield self.time
        yield self.tiny
        yield self.board
        yield self.alert
        with Horizontal(id="filterbar"):
            yield Label("", id="filter-of", markup=False)
            yield Input(id="filter", placeholder="text  !without  pl>10")
            yield Label("enter keeps  esc clears ", markup=False)
        yield self.keys

    def on_mount(self) -> None:
        self.dash.restore_layout()
        self.query_one("#filter", Input).cursor_blink = not self.dash.calm
        self.set_focus(self.panels[0])
        self.fit_window()

    # -- drawing ---------------------------------------------------------------------------

    def refresh_view(self, view: View) -> None:
        if self.has_class("-tiny"):
            self.tiny.draw(view)
            return
        self.header.frozen = self._frozen_words(view)
        self.header.tabs = self.dash.tab_line()
        self.header.draw(view)
        self.set_class(self.dash.in_replay, "-past")
        self.time.draw(view)
        self.alert.draw(view)
        self.keys.hidden = " ".join(str(n) for n in sorted(self.hidden))
        self.keys.draw(view)
        if self.frozen_at is None:
            self.account.draw(view)
            for panel in self.panels:
                if panel.display:
                    panel.draw(view)
                elif panel.tabs:
                    # Its title is in the frame of the panel in front, with its count.
                    panel.collect(view)
                    panel.view = view

    def _frozen_words(self, view: View) -> str:
        if self.frozen_at is None:
            return ""
        held = view.session.clock.mono() - self.frozen_at
        more = view.session.received - self._frozen_at_event
        return f"FROZEN {f.countdown(max(1, held))} +{more} events"

    # -- window ----------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        self.fit_window()

    def fit_window(self) -> None:
        """Lay the panels out for the size of the window."""
        cells, rows = self.app.size
        tiny = cells < TINY[0] or rows < TINY[1]
        narrow = cells < ROOMY[0] or rows < ROOMY[1]
        lower = tuple(p for p in self.panels[1:] if p.number not in self.hidden)
        if narrow and lower and self._panel(self.tab) not in lower:
            self.tab = lower[0].number
        fitted = (tiny, narrow, self.maximised, self.tab, frozenset(self.hidden))
        if fitted == self._fitted:
            return
        self._fitted = fitted
        self.set_class(tiny, "-tiny")
        self.set_class(narrow, "-narrow")
        for panel in self.panels:
            if self.maximised is not None:
                panel.display = panel.number == self.maximised
                panel.tabs = tuple(p for p in self.panels if p.number not in self.hidden)
            else:
                here = not narrow or panel is self.panels[0] or panel.number == self.tab
                panel.display = here and panel.number not in self.hidden
                panel.tabs = lower if narrow and panel in lower else ()
        shown = [p for p in self.panels if p.display]
        grid = arrange([p.spec for p in shown], roomy=not narrow)
        board = self.board.styles
        board.grid_size_columns, board.grid_size_rows = len(grid.columns), len(grid.rows)
        board.grid_columns = " ".join(f"{share}fr" for share in grid.columns)
        board.grid_rows = " ".join(f"{share}fr" for share in grid.rows)
        for panel in shown:
            panel.styles.column_span = 2 if panel.number in grid.wide else 1
        focused = self.focused
        if isinstance(focused, Panel) and not focused.display:
            self.set_focus(shown[0] if self.maximised is None and not narrow else shown[-1])
        self.refresh_view(self.dash.view())

    def _panel(self, number: int) -> TablePanel[Any]:
        return self.panels[number - 1]

    @property
    def panel(self) -> TablePanel[Any]:
        """The panel that keys go to."""
        focused = self.focused
        if isinstance(focused, TablePanel):
            return focused
        return self._panel(self.maximised or 1)

    def show_panel(self, number: int) -> None:
        """Bring a panel to the front and focus it."""
        self.hidden.discard(number)
        if self.maximised is not None:
            self.maximised = number
        if number != self.panels[0].number:
            self.tab = number
        self.fit_window()
        self.set_focus(self._panel(number))

    def on_panel_tab_chosen(self, message: Panel.TabChosen) -> None:
        self.show_panel(message.number)

    def on_panel_opened(self, message: Panel.Opened) -> None:
        self.dash.open_row()

    def on_alert_bar_pressed(self, message: AlertBar.Pressed) -> None:
        self.action_acknowledge(False)

    # -- panels and moving -----------------------------------------------------------------

    def on_panel_title_pressed(self, message: Panel.TitlePressed) -> None:
        self.action_maximise()

    def action_focus_panel(self, number: int) -> None:
        """Go to a panel; hide it when its key is pressed again within ``AGAIN_S``.

        A later press does nothing: an operator who presses 1 to be sure must not lose the
        positions.
        """
        now = self.dash.clock.mono()
        again = self._pressed[0] == number and now - self._pressed[1] < AGAIN_S
        self._pressed = (number, now)
        if self.panel.number != number or not self._panel(number).has_focus:
            self.show_panel(number)
        elif not again:
            return
        elif self.maximised is not None:
            self.action_maximise()
        elif len(self.hidden) < len(self.panels) - 1:
            self.hidden.add(number)
            self.fit_window()
        else:
            self.dash.show_message(f"The last panel stays; {KEYS} show the others again")

    def action_next_panel(self, step: int) -> None:
        there = [p.number for p in self.panels if p.number not in self.hidden]
        at = there.index(self.panel.number) if self.panel.number in there else 0
        self.show_panel(there[(at + step) % len(there)])

    def action_maximise(self) -> None:
        self.maximised = self.panel.number if self.maximised is None else None
        self.fit_window()

    def action_back(self) -> None:
        """Undo one thing: the filter, the maximised panel, the freeze, the held log, or the replay."""
        if self.panel.filter_text:
            self.panel.set_filter("")
        elif self.maximised is not None:
            self.action_maximise()
        elif self.frozen_at is not None:
            self.action_freeze()
        elif self.panel.FOLLOWS and not self.panel.follow:
            self.panel.set_follow(True)
        else:
            self.dash.back_to_live()

    def action_move(self, steps: int) -> None:
        self.panel.move(steps)

    def action_page(self, pages: int) -> None:
        self.panel.move_page(pages)

    def action_end(self, last: bool) -> None:
        self.panel.move_end(last=last)

    # -- what is shown ---------------------------------------------------------------------

    def action_filter(self) -> None:
        box = self.query_one("#filter", Input)
        self._filtered = self.panel
        box.value = self._filtered.filter_text
        self.query_one("#filter-of", Label).update(f" Filter {self._filtered.spec.title} /")
        self.add_class("-filtering")
        self.set_focus(box)

    def on_input_changed(self, event: Input.Changed) -> None:
        if self.has_class("-filtering"):
            self._filtered.set_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._end_filter()

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape" and self.has_class("-filtering"):
            event.stop()
            event.prevent_default()
            self._filtered.set_filter("")
            self._end_filter()

    def _end_filter(self) -> None:
        self.remove_class("-filtering")
        self.set_focus(self._filtered)

    def action_sort(self) -> None:
        self.panel.next_sort()
        self.dash.save_layout()

    def action_reverse(self) -> None:
        self.panel.reverse_sort()
        self.dash.save_layout()

    def action_freeze(self) -> None:
        session = self.dash.session
        if self.dash.in_replay:
            self.dash.play_or_pause()
            return
        if self.frozen_at is None:
            self.frozen_at, self._frozen_at_event = session.clock.mono(), session.received
        else:
            self.frozen_at = None
        self.refresh_view(self.dash.view())

    def action_follow(self) -> None:
        panel = self.query_one(EventsPanel)
        panel.set_follow(not panel.follow)

    def action_level(self) -> None:
        self.dash.show_message(f"Events from level {self.query_one(EventsPanel).next_level()} on")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        # While a filter is typed, its keys are text.
        return not (self.has_class("-filtering") and action in ("next_panel",))

    # -- alerts ----------------------------------------------------------------------------

    def action_acknowledge(self, everything: bool) -> None:
        self.dash.session.acknowledge(all_of_them=everything)
        self.refresh_view(self.dash.view())
