"""What one redraw draws from: the feed in front, unit of profit, money mask, clocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streamer.protocol.sanitise import clean

from ..render import format as f
from ..render.lines import Line, Piece
from .session import Session

UNITS = ("money", "pips", "R", "%")
MASK = "•••"


@dataclass(slots=True)
class View:
    """One feed at the moment of one redraw. Nothing in it changes meanwhile."""

    session: Session
    unit: str = "money"
    mask: bool = False
    server_now: float | None = None
    stale: bool = False
    """The terminal's data is too old to be taken as current."""
    calm: bool = False
    """No colour for prices that just moved."""
    message: tuple[str, bool] | None = None
    """A short message of the program, and whether it reports an error."""

    @classmethod
    def of(
        cls, session: Session, *, unit: str = "money", mask: bool = False, calm: bool = False
    ) -> View:
        return cls(session, unit, mask, session.server_now(), session.terminal_badge().stale, calm)

    def cash(self, value: Any, *, sign: bool = False) -> str:
        """Money, or its mask where money is hidden. Unknown stays unknown."""
        if f.known(value) is None:
            return f.UNKNOWN
        return MASK if self.mask else f.money(value, sign=sign)

    def price(self, key: str, value: Any, digits: Any) -> Line:
        """A price; for a moment after it moved, the digits that changed are coloured."""
        text = f.price(value, digits)
        direction = 0 if self.calm else self.session.move(key)
        if not direction:
            return [(text, "text")]
        old = f.price(self.session.moves[key][3], digits)
        same = 0
        while len(old) == len(text) and same < len(text) and old[same] == text[same]:
            same += 1
        return [(text[:same], "text"), (text[same:], "up" if direction > 0 else "down")]

    def gain(self, value: Any, *, show_arrow: bool = True) -> Piece:
        """Won or lost money, coloured and signed; masked money keeps its sign."""
        text = self.cash(value, sign=True)
        if show_arrow:
            text += f.arrow(value)
        return text, tone(value)


def tone(value: Any) -> str:
    """``up``, ``down``, or ``dim`` for zero and for unknown."""
    n = f.known(value)
    if n is None or abs(n) < 0.005:
        return "dim"
    return "up" if n > 0 else "down"


def word(value: Any, limit: int = 120) -> str:
    """Text of the feed, safe to show; ``–`` when there is none."""
    if value is None or value == "":
        return f.UNKNOWN
    return clean(str(value), limit)
