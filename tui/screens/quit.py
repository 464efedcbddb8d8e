"""The dialog before leaving a screen whose process runs a bot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from ..panels.header import mode
from ..panels.positions import side_of, without_stop
from ..render import format as f
from ..render.lines import Line
from ..render.pieces import blank, bold, dim, key, normal, warn
from ..session.view import View, word
from .base import Dialog


class QuitDialog(Dialog):
    """Returns ``quit`` (stop everything), ``detach`` (end only the screen) or ``None``."""

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
        what = "no position is open"
        if positions:
            what = f"{len(positions)} position{'s' * (len(positions) != 1)} open"
        elif "positions" not in session.state.updated:
            what = "open positions are unknown"
        lines: list[Line] = [
            [normal(f"The bot runs in this process (mode {word(mode(view))}).")],
            [],
            [blank(2), bold(what), warn(f", {bare} without a stop" if bare else "")],
        ]
        if positions:
            symbols = ", ".join(
                f"{word(p.symbol, 16)} {word(side_of(p), 4)} {f.lots(p.volume)}"
                for p in positions[:3]
            )
            more = f" and {len(positions) - 3} more" if len(positions) > 3 else ""
            after = "They stay open at the broker; nothing trails or closes them."
            if mode(view) == "paper":
                after = "The paper account ends with this process."
            lines += [[dim(f"  {symbols}{more}")], [dim(f"  {after}")]]
        if clients is None:
            lines.append([dim("  clients of the feed: unknown")])
        elif clients:
            who = bold(f"{clients} client{'s' * (clients != 1)}")
            lines.append([blank(2), who, normal(" of the feed will be disconnected")])
        else:
            lines.append([dim("  no other client of the feed")])
        return lines

    def hints(self, view: View, cells: int) -> Sequence[Line]:
        return [
            [],
            [key("q  "), normal("Stop the bot, the feed and the screen")],
            [key("d  "), normal("Close only the screen; bot and feed go on here")],
            [key("esc"), normal(" Go back")],
        ]
