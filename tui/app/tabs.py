"""The feeds on the screen, one tab each, and which of them is in front."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamer.protocol.sanitise import clean
from streamer.state.source import Source

from ..options import Clock
from ..progress import Steps
from ..render.lines import Line
from ..session.bots import unseen
from ..session.session import Session

NAME_CELLS = 16


class Tabs:
    """One session for each source, and at most one for a replay, which is always the last.

    Attributes:
        sessions: The tabs from left to right.
        front: Index of the tab in front.
        replayed: Index of the tab whose recording is replayed; ``None`` while there is no replay.

    Args:
        sources: The feeds.
        clock: The clocks of live feeds; a replay has its own.
        steps: The steps of the start, shown while there are no data yet.
        on_event: Called with each event of any tab; must be quick.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        clock: Clock,
        steps: Steps | None,
        on_event: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._steps = steps
        self._on_event = on_event
        self._opened = False
        self.sessions = [Session(source, clock, steps=steps) for source in sources]
        self.front = 0
        self.replayed: int | None = None

    @property
    def session(self) -> Session:
        """The session in front."""
        return self.sessions[self.front]

    @property
    def live(self) -> list[Session]:
        """All sessions but the replay."""
        return self.sessions[:-1] if self.replayed is not None else self.sessions

    def open(self) -> None:
        """Begin to listen to the sources."""
        self._opened = True
        for session in self.sessions:
            self._listen(session)

    def close(self) -> None:
        """Stop listening."""
        self._opened = False
        for session in self.sessions:
            session.close()

    def _listen(self, session: Session) -> None:
        session.on_event = self._on_event
        session.open()

    def show(self, sources: Sequence[Source]) -> None:
        """Replace all tabs by one for each of these sources."""
        opened = self._opened
        self.close()
        self.sessions = [Session(source, self._clock, steps=self._steps) for source in sources]
        self.front = min(self.front, len(self.sessions) - 1)
        self.replayed = None
        if opened:
            self.open()

    def add_new_bots(self) -> None:
        """Open a tab for each bot that a feed has begun to publish."""
        for source in unseen(session.source for session in self.live):
            session = Session(source, self._clock, name=source.name)
            at = len(self.live)
            self.sessions.insert(at, session)
            self.front += self.front >= at
            self._listen(session)

    def step(self, step: int) -> None:
        """Bring another tab to the front."""
        self.front = (self.front + step) % len(self.sessions)

    def enter_replay(self, session: Session) -> None:
        """Bring a replay of the tab in front to the front."""
        self.replayed = self.front
        self.sessions.append(session)
        self.front = len(self.sessions) - 1
        self._listen(session)

    def leave_replay(self) -> Session:
        """Remove the replay and return to the tab that it was opened from."""
        assert self.replayed is not None
        session = self.sessions.pop()
        session.close()
        self.front, self.replayed = self.replayed, None
        return session

    def line(self) -> Line | None:
        """The tabs of the live feeds as a line; ``None`` when there is only one."""
        live = self.live
        if len(live) < 2:
            return None
        logins = [s.account.login for s in live]
        line: Line = []
        for i, session in enumerate(live):
            login = logins[i]
            name = clean(str(login if login is not None else session.name or i + 1), NAME_CELLS)
            if session.bot:
                name = clean(session.bot, NAME_CELLS)
            elif logins.count(login) > 1:  # the same account seen through two feeds
                name += ":" + session.source.link.url.removesuffix("/ws").rpartition(":")[2][:8]
            worst = max((a.level for a in session.open_alerts()), default=0)
            mark = "!" if worst >= 2 else ""
            here = i == self.front
            style = "title" if here else "warn" if mark else "dim"
            line += [(" ", ""), (f"[{name}{mark}]" if here else f"{name}{mark}", style)]
        return line
