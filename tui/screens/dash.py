"""What the screens know of the app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..options import Clock
from ..render.lines import Line
from ..session.session import Session
from ..session.view import View


class Dash(Protocol):
    """The app as its screens see it; ``tui.app.app.DashApp`` is one.

    Attributes:
        ascii_only: Whether only ASCII is drawn.
        calm: Whether nothing flashes or blinks.
        clock: The clocks of the live feeds.
        hz: Redraws per second.
        owns_bot: Whether a bot runs in this process.
        values: The settings in force (``tui.settings.Value``).
        version: The version of the program.
    """

    ascii_only: bool
    calm: bool
    clock: Clock
    hz: float
    owns_bot: bool
    values: Sequence[Any]
    version: str

    @property
    def session(self) -> Session:
        """The session in front."""
        ...

    @property
    def sessions(self) -> Sequence[Session]:
        """The sessions of all tabs."""
        ...

    @property
    def own_session(self) -> Session:
        """The session of the bot in this process; without one, the session in front."""
        ...

    @property
    def late_ms(self) -> float:
        """How late the latest redraw of the last minute came, milliseconds."""
        ...

    @property
    def in_replay(self) -> bool:
        """Whether a replay is in front."""
        ...

    def view(self) -> View:
        """The feed in front as it is drawn now."""
        ...

    def tab_line(self) -> Line | None:
        """The tabs as a line; ``None`` when there is only one."""
        ...

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show a short message instead of the key line, for as long as reading it takes."""
        ...

    def copy(self, text: str) -> None:
        """Copy to the clipboard."""
        ...

    async def send_command(self, name: str, args: Mapping[str, Any]) -> str | None:
        """Send a command to the feed in front; ``None`` when it was carried out, otherwise why
        not."""
        ...

    def restore_layout(self) -> None:
        """Give unit, columns and sort order the values of the last run."""
        ...

    def save_layout(self) -> None:
        """Save unit, theme, columns and sort order for the next run."""
        ...

    def open_row(self) -> None:
        """Open the sheet of the row under the cursor."""
        ...

    def play_or_pause(self) -> None:
        """Play or pause the replay in front."""
        ...

    def back_to_live(self) -> bool:
        """Leave the replay in front; whether there was one."""
        ...
