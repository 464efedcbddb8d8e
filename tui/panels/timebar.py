"""The line of a replay: the moment that is shown, its place in the recording, the speed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from streamer.journal.replay import Replay

from ..render import format as f
from ..render.lines import Line, Part, bar, width
from ..session.view import View
from .base import LineView, Styled

KEYS = "[ ] step  @ jump  < > speed  space play  esc back"


def moment(at: float) -> str:
    """Date and time, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def time_line(replay: Replay, cells: int) -> Line:
    """State, moment, scale and keys of a replay in ``cells`` cells."""
    state = "playing" if replay.playing else "at the end" if replay.ended else "held"
    speed = f" x{replay.speed:g}"
    left: Line = [(" REPLAY ", "badge-observe"), (f" {moment(replay.position)} UTC ", "text")]
    left += [(f"{state}{speed if replay.playing else ''}", "warn")]
    if replay.damaged:
        left.append((f"  {replay.damaged} rows unreadable", "crit"))
    keys: Line = [(KEYS, "dim")]
    room = cells - sum(width(text) for text, _ in left) - width(KEYS) - 6
    if room < 10:
        keys, room = [("@ jump  esc back", "dim")], room + width(KEYS) - 16
    scale: Line = []
    if room >= 24:
        begin, end = f.stamp(replay.first), f.stamp(replay.last)
        inner = room - width(begin) - width(end) - 2
        span = replay.last - replay.first
        share = 0.0 if span <= 0 else (replay.position - replay.first) / span
        at = min(inner - 1, max(0, round(share * (inner - 1))))
        scale = [
            (f"{begin} ", "dim"),
            ("─" * at, "chart"),
            ("●", "title"),
            ("─" * (inner - at - 1), "faint"),
            (f" {end}", "dim"),
        ]
    return bar([Part((left,), 0), Part((scale,), 2)], [Part((keys,), 1)], cells)


class TimeBar(LineView):
    """The widget of that line, drawn while a replay is in front."""

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        source = view.session.source
        return [(time_line(source, cells), "")] if isinstance(source, Replay) else []
