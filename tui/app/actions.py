"""Everything that can be done on the screen, in one table.

Key bindings, the key line, the help page and the palette are all made from it, so that they
cannot tell different things.
"""

from __future__ import annotations

from dataclasses import dataclass

ON_APP = frozenset(
    {
        "unit",
        "mask",
        "rate",
        "theme",
        "open",
        "funnel",
        "health",
        "settings",
        "portfolio",
        "feed",
        "copy",
        "export",
        "export_events",
        "picture",
        "pause",
        "scan_now",
        "close_position",
        "modify_position",
        "cancel_order",
        "flatten",
        "halt",
        "columns",
        "help",
        "past",
        "past_jump",
        "past_speed",
        "palette",
        "leave",
    }
)
"""Actions that the app carries out; the others are the main screen's."""

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


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do.

    Attributes:
        name: What the screen calls: ``action_<name>``, arguments in brackets.
        keys: Textual's names of the keys, the one that is shown first.
        title: In the palette and in the help.
        text: What it does, in a sentence.
        group: The heading in the help.
        bar: Its word in the key line; ``None``: not in the line.
        rank: The highest rank is the first to leave the key line when room is short.
        control: Whether it acts on bot or account: asks first, and may be refused.
    """

    name: str
    keys: tuple[str, ...]
    title: str
    text: str
    group: str
    bar: str | None = None
    rank: int = 5
    control: bool = False
    label: str = ""

    @property
    def call(self) -> str:
        """How Textual is asked for it: on the app or on the main screen."""
        name = self.name if self.name.endswith(")") else f"{self.name}()"
        return f"app.{name}" if name.partition("(")[0] in ON_APP else name

    @property
    def key_label(self) -> str:
        """The first key as it is written on a keyboard."""
        return self.label or key_label(self.keys[0])

    @property
    def all_keys(self) -> str:
        return " ".join(key_label(k) for k in self.keys)


def key_label(key: str) -> str:
    """A key's name for people: ``question_mark`` is ``?``."""
    if key in _LABELS:
        return _LABELS[key]
    if key.startswith("ctrl+"):
        return "^" + key_label(key[5:])
    return key


PANELS, MOVING, SHOWING, LOOKING, PAST, TAKING, ALERTS, CONTROL, PROGRAM = (
    "Panels",
    "Moving",
    "What is shown",
    "Looking closer",
    "The past",
    "Taking along",
    "Alerts",
    "Acting (asks first)",
    "Program",
)

ACTIONS: tuple[Action, ...] = (
    Action(
        "focus_panel(1)",
        ("1",),
        "Positions",
        "Go to the positions; twice: hide them, and once more shows them.",
        PANELS,
        "panel",
        2,
        label="1-4",
    ),
    Action(
        "focus_panel(2)",
        ("2",),
        "Scanner",
        "Go to the scanner; twice: hide it, and once more shows it.",
        PANELS,
    ),
    Action(
        "focus_panel(3)",
        ("3",),
        "Events",
        "Go to the events; twice: hide them, and once more shows them.",
        PANELS,
    ),
    Action(
        "focus_panel(4)",
        ("4",),
        "Trades",
        "Go to the trades; twice: hide them, and once more shows them.",
        PANELS,
    ),
    Action("next_panel(1)", ("tab",), "Next panel", "Go to the next panel.", PANELS),
    Action("next_panel(-1)", ("shift+tab",), "Previous panel", "Go to the panel before.", PANELS),
    Action(
        "maximise",
        ("m",),
        "Maximise panel",
        "Give the panel the whole board, and back; a double click on its title does it too.",
        PANELS,
        "max",
        4,
    ),
    Action("move(1)", ("j", "down"), "Down", "Move the cursor down.", MOVING),
    Action("move(-1)", ("k", "up"), "Up", "Move the cursor up.", MOVING),
    Action("page(1)", ("pagedown", "ctrl+d"), "Page down", "Move down a page.", MOVING),
    Action("page(-1)", ("pageup", "ctrl+u"), "Page up", "Move up a page.", MOVING),
    Action("end(False)", ("g", "home"), "First row", "Go to the first row.", MOVING),
    Action(
        "end(True)",
        ("G", "end"),
        "Last row",
        "Go to the last row; in the events: follow the newest.",
        MOVING,
    ),
    Action(
        "filter",
        ("slash",),
        "Filter rows",
        "Show only rows with a text; !text without it; column>number by value.",
        SHOWING,
        "filter",
        3,
    ),
    Action("sort", ("s",), "Sort by next column", "Sort by the next column.", SHOWING, "sort", 5),
    Action("reverse", ("S",), "Reverse the sort", "Turn the order round.", SHOWING),
    Action(
        "columns",
        ("c",),
        "Choose columns",
        "Show, hide and order columns; remembered.",
        SHOWING,
        "columns",
        7,
    ),
    Action(
        "freeze",
        ("space",),
        "Freeze the screen",
        "Hold what is shown; what happens meanwhile is counted.",
        SHOWING,
        "freeze",
        4,
    ),
    Action("follow", ("f",), "Follow events", "Follow the newest event, or hold.", SHOWING),
    Action("level", ("l",), "Level of events", "Least level of event that is shown.", SHOWING),
    Action("unit", ("u",), "Unit of profit", "Profit in money, pips, R or %.", SHOWING, "unit", 8),
    Action(
        "mask",
        ("dollar_sign",),
        "Hide money",
        "Hide amounts of money; percent, pips and R stay.",
        SHOWING,
        "hide",
        7,
    ),
    Action("rate(1)", ("plus",), "Draw more often", "Redraw more often.", SHOWING),
    Action("rate(-1)", ("minus",), "Draw less often", "Redraw less often.", SHOWING),
    Action("theme", ("t",), "Next theme", "Next colour theme; remembered.", SHOWING),
    Action(
        "open",
        ("enter",),
        "Open row",
        "Details of the row: position, symbol, trade, or the event as sent.",
        LOOKING,
        "open",
        3,
    ),
    Action(
        "funnel",
        ("w",),
        "Why no trade: gate funnel",
        "How many symbols each gate stopped.",
        LOOKING,
        "why",
        6,
    ),
    Action(
        "health",
        ("i",),
        "Health",
        "Terminal, bot, feed, clients, journal and this screen.",
        LOOKING,
    ),
    Action("settings", ("o",), "Settings", "Settings in force, and where each came from.", LOOKING),
    Action(
        "portfolio", ("0",), "All accounts", "All feeds that are joined, in one table.", LOOKING
    ),
    Action("feed(-1)", ("h", "left"), "Previous account", "Go to the feed before.", LOOKING),
    Action("feed(1)", ("right",), "Next account", "Go to the next feed.", LOOKING),
    Action(
        "past(-1)",
        ("left_square_bracket",),
        "Back in time",
        "One event back in the recording; the live feed goes on, esc returns to it.",
        PAST,
    ),
    Action("past(1)", ("right_square_bracket",), "Forward in time", "One event forward.", PAST),
    Action("past_jump", ("at",), "Go to a moment", "Show the screen as it was then.", PAST),
    Action("past_speed(1)", ("greater_than_sign",), "Replay faster", "Space plays it.", PAST),
    Action("past_speed(-1)", ("less_than_sign",), "Replay slower", "Space holds it.", PAST),
    Action(
        "copy(False)", ("y",), "Copy row", "Copy the row, tabs between columns.", TAKING, "copy", 8
    ),
    Action("copy(True)", ("Y",), "Copy panel", "Copy all rows of the panel.", TAKING),
    Action("export", ("x",), "Export panel", "Write the panel to a CSV file.", TAKING),
    Action(
        "export_events",
        ("X",),
        "Export events",
        "Write the events held here to a JSON lines file.",
        TAKING,
    ),
    Action("picture", ("p",), "Picture", "Write the screen to an SVG file.", TAKING),
    Action(
        "acknowledge(False)",
        ("a",),
        "Acknowledge alert",
        "The alert at the bottom is seen.",
        ALERTS,
    ),
    Action("acknowledge(True)", ("A",), "Acknowledge all", "All alerts are seen.", ALERTS),
    Action(
        "pause",
        ("P",),
        "Pause or resume the bot",
        "Stop scanning, or go on; positions stay managed.",
        CONTROL,
        control=True,
    ),
    Action("scan_now", ("R",), "Scan now", "Scan all symbols at once.", CONTROL, control=True),
    Action(
        "close_position",
        ("C",),
        "Close position",
        "Close the position under the cursor.",
        CONTROL,
        control=True,
    ),
    Action(
        "modify_position",
        ("M",),
        "Change stop or target",
        "Change SL or TP of the position under the cursor.",
        CONTROL,
        control=True,
    ),
    Action(
        "cancel_order",
        ("D",),
        "Delete pending order",
        "Delete the order under the cursor.",
        CONTROL,
        control=True,
    ),
    Action(
        "flatten",
        ("F",),
        "Close everything",
        "Close all positions; wants a typed word.",
        CONTROL,
        control=True,
    ),
    Action(
        "halt",
        ("K",),
        "Kill switch",
        "No new trades until released, if wanted all positions closed; wants a typed word.",
        CONTROL,
        control=True,
    ),
    Action(
        "help",
        ("question_mark", "f1"),
        "Help",
        "All keys, and what the signs mean.",
        PROGRAM,
        "help",
        1,
    ),
    Action(
        "palette",
        ("colon", "ctrl+p"),
        "Palette",
        "Find any of these by typing.",
        PROGRAM,
        "command",
        6,
    ),
    Action(
        "leave",
        ("q", "ctrl+q", "ctrl+c"),
        "Quit",
        "Leave the screen; asks when that would stop a bot.",
        PROGRAM,
        "quit",
        0,
    ),
)


def by_name(name: str) -> Action:
    """The action of this name, arguments included."""
    return next(a for a in ACTIONS if a.name == name)
