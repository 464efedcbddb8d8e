"""Colours: the themes of the dashboard and the named styles that lines are painted with.

A style name stands for a meaning (``up``, ``warn``, ``frame``); ``dash.tcss`` gives each its
colours from the theme. Colour never carries a meaning alone: signs and words carry it too.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.theme import Theme
from textual.widget import Widget

from streamer.protocol.sanitise import clean

from ..render.lines import ASCII, Piece, width

STYLE_NAMES = (
    "text",
    "dim",
    "faint",
    "bold",
    "head",
    "up",
    "down",
    "ok",
    "warn",
    "crit",
    "info",
    "accent",
    "key",
    "title",
    "frame",
    "frame-on",
    "cursor",
    "cursor-off",
    "mark",
    "badge-paper",
    "badge-observe",
    "badge-live",
    "alert",
    "ghost",
    "chart",
    "flash",
)

DEFAULT = "mt5dash-dark"

THEMES = (
    Theme(
        name="mt5dash-dark",
        primary="#5ea1ff",
        secondary="#8a93a6",
        accent="#5fd7d7",
        success="#3ddc97",
        error="#ff6b6b",
        warning="#ffc857",
        foreground="#dfe3ea",
        background="#0d1117",
        surface="#131922",
        panel="#1b2330",
        variables={"faint": "#4b5567", "soft": "#8b95a7"},
    ),
    Theme(
        name="mt5dash-light",
        primary="#0b5cad",
        secondary="#5a6472",
        accent="#00707a",
        success="#0a7d4b",
        error="#b3202c",
        warning="#8a5a00",
        foreground="#1c2129",
        background="#fafafa",
        surface="#f0f2f5",
        panel="#e3e7ee",
        dark=False,
        variables={"faint": "#a3abb8", "soft": "#5a6472"},
    ),
    Theme(
        name="mt5dash-contrast",
        primary="#00b7ff",
        secondary="#ffffff",
        accent="#00ffff",
        success="#00ff7f",
        error="#ff5555",
        warning="#ffff00",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#1a1a1a",
        variables={"faint": "#8a8a8a", "soft": "#d0d0d0"},
    ),
    Theme(
        # Blue and orange keep their difference for every common kind of colour blindness.
        name="mt5dash-blue-orange",
        primary="#7aa2c8",
        secondary="#8a93a6",
        accent="#9bd1ff",
        success="#4aa8ff",
        error="#ff9e3d",
        warning="#ffd966",
        foreground="#dfe3ea",
        background="#0d1117",
        surface="#131922",
        panel="#1b2330",
        variables={"faint": "#4b5567", "soft": "#8b95a7"},
    ),
)

FALLBACK_VARIABLES = {"faint": "#6b7280", "soft": "#9aa3b2"}
"""For themes that are not ours."""


STYLE_CLASSES = {f"dash--{name}" for name in STYLE_NAMES}
"""Component classes of the screens: one set each. A set for every widget would be most of what
opening a screen costs, as Textual works each of them out several times."""


class Ink:
    """Turns lines into Textual strips: style names become styles, text becomes safe."""

    def __init__(self, styles: dict[str, Style], *, ascii_only: bool = False) -> None:
        self._styles = styles
        self._ascii = ascii_only
        self._mixed: dict[tuple[str, str], Style] = {}

    def style(self, base: str, name: str) -> Style:
        """``name`` laid over ``base``; several names are joined by spaces."""
        found = self._mixed.get((base, name))
        if found is None:
            found = self._styles["text"]
            # A row's own background (cursor, alert) lies over the colours of its cells.
            for part in (*name.split(), *base.split()):
                found = found + self._styles[part]
            self._mixed[base, name] = found
        return found

    def text(self, text: str) -> str:
        if not text.isprintable():
            text = clean(text, 4096)
        if self._ascii and not text.isascii():
            text = text.translate(ASCII)
            if not text.isascii():
                text = "".join(c if c.isascii() else "?" * cell_len(c) for c in text)
        return text

    def strip(self, line: Iterable[Piece], cells: int, base: str = "") -> Strip:
        """The line in exactly ``cells`` cells, pieces of one style joined."""
        segments: list[Segment] = []
        text, style, total = "", None, 0
        for part, name in line:
            part = self.text(part)
            this = self.style(base, name)
            total += width(part)
            if this is style:
                text += part
                continue
            if text:
                segments.append(Segment(text, style))
            text, style = part, this
        if text:
            segments.append(Segment(text, style))
        strip = Strip(segments, total)
        if total != cells:
            strip = strip.adjust_cell_length(cells, self.style(base, ""))
        return strip


class Painted(Widget):
    """A widget that paints lines: it resolves styles by name, again after the theme changed."""

    ALLOW_SELECT = False

    _ink: Ink | None = None

    @property
    def ink(self) -> Ink:
        """The styles of this widget, resolved once for each theme."""
        if self._ink is None:
            base, screen = self.rich_style, self.screen
            styles = {
                name: screen.get_component_rich_style(f"dash--{name}", partial=True)
                for name in STYLE_NAMES
            }
            styles[""] = Style.null()
            styles["text"] = base + styles["text"]
            ascii_only = bool(getattr(self.app, "ascii_only", False))
            self._ink = Ink(styles, ascii_only=ascii_only)
        return self._ink

    def forget_ink(self) -> None:
        """Resolve the styles again at the next paint."""
        self._ink = None

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.forget_ink()
