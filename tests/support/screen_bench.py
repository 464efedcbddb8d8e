"""An app over a fake source in a terminal that is none, its clock in the test's hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input

from support.fake_source import FakeSource, FrozenClock, trading_day
from support.screen_text import text_of
from tui.app.app import DashApp


async def leave_alone(text: str) -> str | None:
    """The clipboard of whoever runs the tests stays as it is."""
    return None


class Bench:
    """An app over a fake source, its clock in hand."""

    def __init__(
        self, app: DashApp, pilot: Pilot[Any], source: FakeSource, time: FrozenClock
    ) -> None:
        self.app, self.pilot, self.source, self.time = app, pilot, source, time

    async def press(self, *keys: str) -> str:
        await self.pilot.press(*keys)
        return await self.now()

    async def now(self) -> str:
        """Draw what the source says, and give the screen's text."""
        self.app.tick()
        await self.pilot.pause()
        return text_of(self.app)

    def type(self, text: str) -> None:
        """Put a text into the field that has the focus, as if typed."""
        field = self.app.focused
        assert isinstance(field, Input)
        field.value = text

    @property
    def main(self) -> Any:
        return self.app.main


@asynccontextmanager
async def bench(
    size: tuple[int, int] = (120, 36), *, empty: bool = False, link: str = "local", **how: Any
) -> AsyncIterator[Bench]:
    time = FrozenClock()
    source = FakeSource(time.clock, link=link)
    if not empty:
        trading_day(source)
    how.setdefault("owns_bot", True)
    app = DashApp(source, clock=time.clock, **how)
    app.draws_on_events = False
    app.system_copy = leave_alone
    async with app.run_test(size=size) as pilot:
        # The timer must not draw between a test's steps.
        assert app._frame_timer is not None
        app._frame_timer.pause()
        await pilot.pause()
        yield Bench(app, pilot, source, time)
