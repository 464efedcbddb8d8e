"""Everything that can be done on the screen, in one table.

Key bindings, the key line, the help page and the palette are made from it, so they always agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .board import KEYS, PANELS, PanelSpec

_LABELS = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "space": "space",
    "dollar_sign": "$",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "at": "@",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "plus": "+",
    "minus": "-",
    "escape": "esc",
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "home",
    "end": "end",
    "f1": "F1",
}


class Group(StrEnum):
    """The headings of the help page, in its order."""

    PANELS = "Panels"
    MOVING = "Moving"
    VIEW = "View"
    DETAILS = "Details"
    REPLAY = "Replay"
    EXPORT = "Copy and export"
    ALERTS = "Alerts"
    COMMANDS = "Commands (each asks first)"
    PROGRAM = "Program"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do.

    Attributes:
        name: The method that does it is ``action_<name>``; arguments in brackets.
        keys: Textual's names of the keys; the first one is shown.
        title: Its name in the palette and in the help.
        text: What it does, in a sentence.
        group: The heading in the help.
        on_app: Whether the method is the app's; otherwise it is the main screen's.
        bar: Its word in the key line; ``None``: not in the line.
        rank: The highest rank is the first to leave the key line when room is short.
        label: The keys as the key line shows them; empty: the first key.
    """

    name: str
    keys: tuple[str, ...]
    title: str
    text: str
    group: Group
    on_app: bool = True
    bar: str | None = None
    rank: int = 5
    label: str = ""

    @property
    def call(self) -> str:
        """The action as Textual's bindings name it."""
        name = self.name if self.name.endswith(")") else f"{self.name}()"
        return f"app.{name}" if self.on_app else name

    @property
    def key_label(self) -> str:
        """The keys in the key line."""
        return self.label or key_label(self.keys[0])

    @property
    def all_keys(self) -> str:
        """All keys, as they are written on a keyboard."""
        return " ".join(key_label(k) for k in self.keys)


def key_label(key: str) -> str:
    """A key's name for people: ``question_mark`` is ``?``."""
    if key in _LABELS:
        return _LABELS[key]
    if key.startswith("ctrl+"):
        return "^" + key_label(key[5:])
    return key


def _focus(panel: PanelSpec) -> Action:
    first = panel is PANELS[0]
    return Action(
        f"focus_panel({panel.number})",
        (panel.key,),
        panel.title,
        f"Go to the {panel.title} panel; press again to hide it, and again to show it.",
        Group.PANELS,
        on_app=False,
        bar="panel" if first else None,
        rank=2,
        label=KEYS if first else "",
    )


ACTIONS: tuple[Action, ...] = (
    *(_focus(panel) for panel in PANELS),
    Action(
        "next_panel(1)",
        ("tab",),
        "Next panel",
        "Go to the next panel.",
        Group.PANELS,
        on_app=False,
    ),
    Action(
        "next_panel(-1)",
        ("shift+tab",),
        "Previous panel",
        "Go to the previous panel.",
        Group.PANELS,
        on_app=False,
    ),
    Action(
        "maximise",
        ("m",),
        "Maximise panel",
        "Give the panel the whole board, and back; a double click on its title does it too.",
        Group.PANELS,
        on_app=False,
        bar="max",
        rank=4,
    ),
    Action(
        "move(1)",
        ("j", "down"),
        "Down",
        "Move the cursor down.",
        Group.MOVING,
        on_app=False,
    ),
    Action(
        "move(-1)",
        ("k", "up"),
        "Up",
        "Move the cursor up.",
        Group.MOVING,
        on_app=False,
    ),
    Action(
        "page(1)",
        ("pagedown", "ctrl+d"),
        "Page down",
        "Move down a page.",
        Group.MOVING,
        on_app=False,
    ),
    Action(
        "page(-1)",
        ("pageup", "ctrl+u"),
        "Page up",
        "Move up a page.",
        Group.MOVING,
        on_app=False,
    ),
    Action(
        "end(False)",
        ("g", "home"),
        "First row",
        "Go to the first row.",
        Group.MOVING,
        on_app=False,
    ),
    Action(
        "end(True)",
        ("G", "end"),
        "Last row",
        "Go to the last row; in the events: follow the newest.",
        Group.MOVING,
        on_app=False,
    ),
    Action(
        "filter",
        ("slash",),
        "Filter rows",
        "Show only rows with a text; !text without it; column>number by value.",
        Group.VIEW,
        on_app=False,
        bar="filter",
        rank=3,
    ),
    Action(
        "sort",
        ("s",),
        "Sort by next column",
        "Sort by the next column.",
        Group.VIEW,
        on_app=False,
        bar="sort",
    ),
    Action(
        "reverse",
        ("S",),
        "Reverse the sort",
        "Reverse the sort order.",
        Group.VIEW,
        on_app=False,
    ),
    Action(
        "columns",
        ("c",),
        "Choose columns",
        "Show, hide and order columns; remembered.",
        Group.VIEW,
        bar="columns",
        rank=7,
    ),
    Action(
        "freeze",
        ("space",),
        "Freeze the screen",
        "Keep the numbers as they are; events that arrive meanwhile are counted.",
        Group.VIEW,
        on_app=False,
        bar="freeze",
        rank=4,
    ),
    Action(
        "follow",
        ("f",),
        "Follow events",
        "Follow the newest event, or stop following.",
        Group.VIEW,
        on_app=False,
    ),
    Action(
        "level",
        ("l",),
        "Level of events",
        "Lowest level of events that is shown.",
        Group.VIEW,
        on_app=False,
    ),
    Action(
        "unit",
        ("u",),
        "Unit of profit",
        "Profit in money, pips, R or %.",
        Group.VIEW,
        bar="unit",
        rank=8,
    ),
    Action(
        "mask",
        ("dollar_sign",),
        "Hide money",
        "Hide amounts of money; percent, pips and R stay.",
        Group.VIEW,
        bar="hide",
        rank=7,
    ),
    Action(
        "rate(1)",
        ("plus",),
        "Draw more often",
        "Redraw more often.",
        Group.VIEW,
    ),
    Action(
        "rate(-1)",
        ("minus",),
        "Draw less often",
        "Redraw less often.",
        Group.VIEW,
    ),
    Action(
        "theme",
        ("t",),
        "Next theme",
        "Next colour theme; remembered.",
        Group.VIEW,
    ),
    Action(
        "open",
        ("enter",),
        "Open row",
        "Details of the row: position, symbol, trade, or the event as JSON.",
        Group.DETAILS,
        bar="open",
        rank=3,
    ),
    Action(
        "funnel",
        ("w",),
        "Why no trade: gate funnel",
        "How many symbols each gate stopped.",
        Group.DETAILS,
        bar="why",
        rank=6,
    ),
    Action(
        "health",
        ("i",),
        "Health",
        "Terminal, bot, feed, clients, journal and this screen.",
        Group.DETAILS,
    ),
    Action(
        "settings",
        ("o",),
        "Settings",
        "The settings in force, each with its source.",
        Group.DETAILS,
    ),
    Action(
        "portfolio",
        ("0",),
        "All accounts",
        "All connected feeds in one table.",
        Group.DETAILS,
    ),
    Action(
        "feed(-1)",
        ("h", "left"),
        "Previous account",
        "Go to the previous feed.",
        Group.DETAILS,
    ),
    Action(
        "feed(1)",
        ("right",),
        "Next account",
        "Go to the next feed.",
        Group.DETAILS,
    ),
    Action(
        "past(-1)",
        ("left_square_bracket",),
        "Back in time",
        "One event back in the recording; the live feed goes on, esc returns to it.",
        Group.REPLAY,
    ),
    Action(
        "past(1)",
        ("right_square_bracket",),
        "Forward in time",
        "One event forward.",
        Group.REPLAY,
    ),
    Action(
        "past_jump",
        ("at",),
        "Go to a moment",
        "Show the screen as it was at a moment.",
        Group.REPLAY,
    ),
    Action(
        "past_speed(1)",
        ("greater_than_sign",),
        "Replay faster",
        "Space starts and stops the replay.",
        Group.REPLAY,
    ),
    Action(
        "past_speed(-1)",
        ("less_than_sign",),
        "Replay slower",
        "Space starts and stops the replay.",
        Group.REPLAY,
    ),
    Action(
        "copy(False)",
        ("y",),
        "Copy row",
        "Copy the row, columns separated by tabs.",
        Group.EXPORT,
        bar="copy",
        rank=8,
    ),
    Action(
        "copy(True)",
        ("Y",),
        "Copy panel",
        "Copy all rows of the panel.",
        Group.EXPORT,
    ),
    Action(
        "export",
        ("x",),
        "Export panel",
        "Write the panel to a CSV file.",
        Group.EXPORT,
    ),
    Action(
        "export_events",
        ("X",),
        "Export events",
        "Write the events kept by this screen to a JSON lines file.",
        Group.EXPORT,
    ),
    Action(
        "picture",
        ("p",),
        "Picture",
        "Write the screen to an SVG file.",
        Group.EXPORT,
    ),
    Action(
        "acknowledge(False)",
        ("a",),
        "Acknowledge alert",
        "Acknowledge the alert in the last line but one.",
        Group.ALERTS,
        on_app=False,
    ),
    Action(
        "acknowledge(True)",
        ("A",),
        "Acknowledge all",
        "Acknowledge all alerts.",
        Group.ALERTS,
        on_app=False,
    ),
    Action(
        "pause",
        ("P",),
        "Pause or resume the bot",
        "Stop opening trades, or resume; positions stay managed.",
        Group.COMMANDS,
    ),
    Action(
        "scan_now",
        ("R",),
        "Scan now",
        "Scan all symbols at once.",
        Group.COMMANDS,
    ),
    Action(
        "close_position",
        ("C",),
        "Close position",
        "Close the position under the cursor.",
        Group.COMMANDS,
    ),
    Action(
        "modify_position",
        ("M",),
        "Change stop or target",
        "Change SL or TP of the position under the cursor.",
        Group.COMMANDS,
    ),
    Action(
        "cancel_order",
        ("D",),
        "Delete pending order",
        "Delete the order under the cursor.",
        Group.COMMANDS,
    ),
    Action(
        "flatten",
        ("F",),
        "Close everything",
        "Close all positions; needs a typed word.",
        Group.COMMANDS,
    ),
    Action(
        "halt",
        ("K",),
        "Kill switch",
        "No new trades until it is released; can close all positions too. Needs a typed word.",
        Group.COMMANDS,
    ),
    Action(
        "help",
        ("question_mark", "f1"),
        "Help",
        "All keys, and what the signs mean.",
        Group.PROGRAM,
        bar="help",
        rank=1,
    ),
    Action(
        "palette",
        ("colon", "ctrl+p"),
        "Palette",
        "Find an action by a part of its name.",
        Group.PROGRAM,
        bar="command",
        rank=6,
    ),
    Action(
        "leave",
        ("q", "ctrl+q", "ctrl+c"),
        "Quit",
        "Leave the screen; asks when that would stop a bot.",
        Group.PROGRAM,
        bar="quit",
        rank=0,
    ),
)
