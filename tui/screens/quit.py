"""The question before leaving a screen whose process runs a bot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from ..panels.header import mode
from ..panels.positions import side_of, without_stop
from ..render import format as f
from ..render.lines import Line
from ..session.view import View, word
from .base import Dialog


class QuitDialog(Dialog):
    """Answers ``quit`` (stop all), ``detach`` (only the screen goes) or ``None``."""

    heading = "Leave the screen"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c,ctrl+q", "dismiss('quit')", show=False, priority=True),
        Binding("d", "dismiss('detach')", show=False),
        Binding("n", "dismiss(None)", show=False),
    ]

    def content(self, view: View, cells: int) -> Sequence[Line]:
        session = self.dash.own_session
        view = View.of(session, unit=view.unit, mask=view.mask, calm=view.calm)
        positions = session.state.typed.positions
        clients = session.source.link.clients
        bare = sum(1 for p in positions if without_stop(p))
        open_ = "no position is open"
        if positions:
            open_ = f"{len(positions)} position{'s' * (len(positions) != 1)} open"
        elif "positions" not in session.state.updated:
            open_ = "open positions: not known"
        lines: list[Line] = [
            [("The bot runs in this process", "text"), (f" (mode {word(mode(view))}).", "text")],
            [],
            [("  ", ""), (open_, "bold"), (f", {bare} without a stop" if bare else "", "warn")],
        ]
        if positions:
            symbols = ", ".join(
                f"{word(p.symbol, 16)} {word(side_of(p), 4)} {f.lots(p.volume)}"
                for p in positions[:3]
            )
            more = f" and {len(positions) - 3} more" if len(positions) > 3 else ""
            lines.append([(f"  {symbols}{more}", "dim")])
            after = "They stay open at the broker; nothing trails or closes them."
            if mode(view) == "paper":
                after = "The paper account ends with this process."
            lines.append([(f"  {after}", "dim")])
        if clients is None:
            lines.append([("  clients of the feed: not known", "dim")])
        elif clients:
            lines.append(
                [
                    ("  ", ""),
                    (f"{clients} client{'s' * (clients != 1)}", "bold"),
                    (" of the feed will be cut off", "text"),
                ]
            )
        else:
            lines.append([("  no other client of the feed", "dim")])
        return lines

    def hints(self, view: View, cells: int) -> Sequence[Line]:
        return [
            [],
            [("q  ", "key"), ("Stop the bot, the feed and the screen", "text")],
            [("d  ", "key"), ("Close only the screen; bot and feed go on here", "text")],
            [("esc", "key"), (" Go back", "text")],
        ]
