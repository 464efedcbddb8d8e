"""Going back in time: the screen shows a recording while the live feed goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from streamer.journal.replay import SPEEDS, Replay
from streamer.journal.schema import JournalError

from ..options import Clock
from ..session.session import Session
from .tabs import Tabs

NO_RECORDING = "The recording is where the bot runs: use `mt5dash replay` there"


class ReplayScreen(Protocol):
    """The screen that shows the replay."""

    def show_message(self, text: str, *, error: bool = False) -> None: ...

    def replay_opened(self) -> None:
        """A replay has come to the front."""
        ...

    def replay_moved(self) -> None:
        """The replay shows another moment, or none any more."""
        ...


class TimeTravel:
    """Opens the recording of the feed in front as one more tab, and moves it.

    Reading the journal takes time: each step is a task, and the screen is redrawn after it.
    """

    def __init__(self, tabs: Tabs, screen: ReplayScreen) -> None:
        self._tabs = tabs
        self._screen = screen
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def replay(self) -> Replay | None:
        """The replay in front; ``None`` while a live feed is."""
        source = self._tabs.session.source
        return source if isinstance(source, Replay) else None

    def step(self, events: int) -> None:
        """Go so many log events back (negative) or forward; from a live feed only back."""
        replay = self.replay
        if replay is not None:
            self._run_task(replay.step(events))
        elif events < 0:
            self._run_task(self._step_back_from_live(events))
        else:
            self._screen.show_message("This is live; [ goes back")

    def jump(self, at: float) -> None:
        """Go to a moment, UTC epoch seconds."""
        self._run_task(self._jump(at))

    def change_speed(self, step: int) -> None:
        """Replay faster or slower."""
        replay = self.replay
        if replay is None:
            self._screen.show_message("Only a replay has a speed; [ goes back")
            return
        rates = sorted({*SPEEDS, replay.speed})
        at = min(len(rates) - 1, max(0, rates.index(replay.speed) + step))
        replay.set_speed(rates[at])
        self._screen.replay_moved()

    def play_or_pause(self) -> None:
        """Play, or pause; at the end of the recording play from its begin."""
        replay = self.replay
        if replay is None:
            return
        if replay.playing:
            replay.pause()
        elif replay.ended:
            self._run_task(self._play_again(replay))
        else:
            replay.play()
        self._screen.replay_moved()

    def back_to_live(self) -> bool:
        """Return to the tab that the replay was opened from; whether a replay was in front."""
        replay = self.replay
        if self._tabs.replayed is None or replay is None:
            return False
        self._tabs.leave_replay()
        self._run_task(replay.close())
        self._screen.replay_moved()
        return True

    async def _play_again(self, replay: Replay) -> None:
        await replay.seek(replay.first)
        replay.play()

    async def _jump(self, at: float) -> None:
        replay = self.replay or await self._open(at)
        if replay is not None:
            await replay.seek(at)

    async def _step_back_from_live(self, events: int) -> None:
        replay = await self._open(None)
        if replay is not None:
            await replay.step(events)

    async def _open(self, at: float | None) -> Replay | None:
        """Open the recording of the feed in front at a moment, at its end unless one is given;
        ``None`` when there is none here."""
        path = self._tabs.session.source.capabilities.journal_path
        if path is None:
            self._screen.show_message(NO_RECORDING, error=True)
            return None
        if self._tabs.replayed is not None:
            self._screen.show_message(
                "One recording at a time: press esc in the other one first", error=True
            )
            return None
        replay = Replay(path)
        await replay.open()
        await replay.seek(replay.last if at is None else at)
        session = Session(replay, Clock(replay.now, replay.now), name="replay")
        self._tabs.enter_replay(session)
        self._screen.replay_opened()
        return replay

    def _run_task(self, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            try:
                await work
            except JournalError as error:
                self._screen.show_message(str(error), error=True)
            self._screen.replay_moved()

        task = asyncio.create_task(run(), name="replay step")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
