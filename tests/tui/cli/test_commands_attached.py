"""A screen that draws a feed elsewhere: its dialog asks, and answers the feed's own question."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual.widgets import Input

from streamer.client.feed_client import FeedClient
from streamer.protocol.messages import Command, CommandResult
from streamer.server.tokens import TokenStore
from streamer.service import Feed
from streamer.settings import FeedSettings
from tui.app.app import DashApp
from tui.run.screen import _already_confirmed

POSITION = {
    "ticket": 7, "symbol": "EURUSD", "type": 0, "direction": "BUY", "volume": 0.1,
    "entry_price": 1.08452, "price_current": 1.0852, "sl_price": 1.0822, "tp_price": 1.0891,
    "profit": 6.8, "digits": 5, "owner": "bot", "opened_at": "2026-03-02T10:00:00+00:00",
}  # fmt: skip


async def test_everything_is_closed_after_the_typed_word_and_a_close_says_what_was_seen(
    tmp_path: Path,
) -> None:
    done: list[tuple[str, dict[str, object]]] = []

    async def act(command: Command, actor: str) -> CommandResult:
        done.append((command.name, command.args))
        return CommandResult(id=command.id, ok=True, result={})

    feed = Feed(FeedSettings(port=0), tokens=TokenStore(tmp_path / "tokens.json"))
    await feed.start()
    feed.set_commander(act)
    feed.publish({"type": "POSITION_UPDATE", "positions": [POSITION]})
    token, _ = feed.tokens.new("control")
    client = FeedClient(feed.url, token=token, confirm=_already_confirmed)
    await client.start()
    app = DashApp(client, owns_bot=False)
    app.draws_on_events = False
    try:
        async with asyncio.timeout(30), app.run_test(size=(120, 36)) as pilot:
            while not client.state.positions or client.role != "control":
                await pilot.pause(0.02)
            await pilot.press("F")
            await pilot.pause()
            app.screen.query_one("#word", Input).value = "flatten"
            await pilot.press("enter")
            while not done:
                await pilot.pause(0.02)
            assert done == [("flatten", {})]
            while len(app.screen_stack) > 2:
                await pilot.pause(0.02)
            await pilot.press("1", "j", "C")
            await pilot.pause()
            await pilot.press("enter")
            while len(done) == 1:
                await pilot.pause(0.02)
        seen = {"side": "BUY", "volume": 0.1, "symbol": "EURUSD"}
        assert done[1] == ("close_position", {"ticket": 7, "expect": seen})
    finally:
        await client.close()
        await feed.close()
