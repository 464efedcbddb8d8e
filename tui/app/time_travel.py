"""Going back in time: the screen turns to what was recorded, while the live feed goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from streamer.journal.replay import SPEEDS, Replay
from streamer.journal.writer import JournalError

from ..options import Clock
from ..screens.jump import JumpDialog
from ..session.session import Session
from .row_actions import Doing

ELSEWHERE = "The recording is where the bot runs: use `mt5dash replay` there"


class Past(Doing):
    """Part of the app: one session more, whose source is a ``Replay``."""

    if TYPE_CHECKING:
        sessions: list[Session]
        front: int

        def news(self) -> None: ...
        def refresh_rows(self) -> None: ...

    _leads_back: int | None = None
    """Which session was left for the past; ``None`` while none was."""

    @property
    def _past_at(self) -> int | None:
        """Which of the sessions is the past of a live one."""
        return len(self.sessions) - 1 if self._leads_back is not None else None

    @property
    def replay(self) -> Replay | None:
        """What is shown of the past."""
        source = self.session.source
        return source if isinstance(source, Replay) else None

    def action_past(self, events: int) -> None:
        """Go so many log events back or forward; from the live screen, back only."""
        replay = self.replay
        if replay is not None:
            self._do(replay.step(events))
        elif events < 0:
            self._do(self._leave_now(events))
        else:
            self.tell("This is live; [ goes back")

    def action_past_jump(self) -> None:
        """Ask for a moment and go there."""
        replay = self.replay
        shown = self.clock.wall() if replay is None else replay.position

        def answered(at: Any) -> None:
            if isinstance(at, float | int):
                self._do(self._go(float(at)))

        self.push_screen(JumpDialog(shown if replay is None else replay.last, shown), answered)

    def action_past_speed(self, step: int) -> None:
        """Faster or slower."""
        replay = self.replay
        if replay is None:
            self.tell("Only a replay has a speed; [ goes back")
            return
        rates = sorted({*SPEEDS, replay.speed})
        at = min(len(rates) - 1, max(0, rates.index(replay.speed) + step))
        replay.set_speed(rates[at])
        self.draw_past()

    def past_play(self) -> None:
        """Play, or hold."""
        replay = self.replay
        if replay is not None:
            if replay.playing:
                replay.pause()
            elif replay.ended:
                self._do(self._again(replay))
            else:
                replay.play()
            self.draw_past()

    async def _again(self, replay: Replay) -> None:
        await replay.seek(replay.first)
        replay.play()

    def back_to_now(self) -> bool:
        """Leave the past for the session it was entered from; whether there was one."""
        if self._leads_back is None or self.replay is None:
            return False
        session, replay = self.session, self.replay
        self.sessions.remove(session)
        self.front, self._leads_back = self._leads_back, None
        session.close()
        self._do(replay.close())
        self.refresh_rows()
        return True

    async def _go(self, at: float) -> None:
        replay = self.replay or await self._open(at)
        if replay is not None:
            await replay.seek(at)

    async def _leave_now(self, events: int) -> None:
        replay = await self._open(None)
        if replay is not None:
            await replay.step(events)

    async def _open(self, at: float | None) -> Replay | None:
        """Turn to the recording of the feed in front, at its end unless told where."""
        live, front = self.session, self.front
        path = live.source.capabilities.journal_path
        if path is None:
            self.tell(ELSEWHERE, wrong=True)
            return None
        if self._leads_back is not None:
            self.tell("One recording at a time: esc in the other one first", wrong=True)
            return None
        replay = Replay(path)
        await replay.open()
        await replay.seek(replay.last if at is None else at)
        session = Session(replay, Clock(replay.now, replay.now), name="replay")
        session.on_event = self.news
        session.open()
        self._leads_back = front
        self.sessions.append(session)
        self.front = len(self.sessions) - 1
        self.main.frozen_at = None
        return replay

    def draw_past(self) -> None:
        """Show where the replay is now."""
        if self.main.is_mounted:
            self.refresh_rows()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        async def carefully() -> None:
            try:
                await work
            except JournalError as error:
                self.tell(str(error), wrong=True)
            self.draw_past()

        task = asyncio.create_task(carefully(), name="replay step")
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    _working: set[asyncio.Task[None]] = set()  # noqa: RUF012 - held until they are done
