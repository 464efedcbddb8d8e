"""Going back in time on the screen: the past is shown, the live feed goes on."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.screen_text import text_of
from support.until import until
from textual.widgets import Input

from streamer.client.feed_client import FeedClient
from streamer.journal.writer import Journal
from streamer.service import Feed
from streamer.settings import FeedSettings
from tui.app.app import DashApp
from tui.render.moments import parse_moment
from tui.session.unread import LastSeen, away, watch_return

NOW = float(int(time.time()) - 5)


class Live:
    """A feed with an hour behind it: the balance is the minute, each minute has a scan."""

    def __init__(self, path: Path) -> None:
        self.at = NOW - 3600
        self.feed = Feed(FeedSettings(port=0, heartbeat_s=60), Journal(path), clock=lambda: self.at)
        assert self.feed.sampler is not None
        self.feed.sampler.due = float("inf")

    async def minute(self, n: int) -> None:
        self.at = NOW - 3600 + 60 * n
        stamp = datetime.fromtimestamp(self.at, UTC).isoformat()
        self.feed.publish(
            {
                "type": "ACCOUNT_UPDATE",
                "account": {"balance": 1000.0 + n, "equity": 1000.0 + n, "currency": "USD"},
                "timestamp": stamp,
            }
        )
        self.feed.publish(
            {
                "type": "RISK_ALERT",
                "code": "TEST",
                "level": "info",
                "text": f"minute {n}",
                "timestamp": stamp,
            }
        )
        await until(lambda: not self.feed.waiting)
        assert self.feed.journal is not None
        assert self.feed.sampler is not None
        self.feed.sampler.take()


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    made = Live(tmp_path / "j.db")
    await made.feed.start()
    for n in range(60):
        await made.minute(n)
    yield made
    await made.feed.close()


async def test_brackets_step_through_the_past_and_escape_returns_to_now(live: Live) -> None:
    app = DashApp(live.feed, owns_bot=False)
    async with app.run_test(size=(140, 40)) as pilot:
        await pilot.pause()
        assert "1,059.00" in text_of(app)
        await pilot.press("left_square_bracket")
        await until(lambda: app.time_travel.replay is not None and app.session.state.seq == 59)
        await pilot.pause(0.3)
        text = text_of(app)
        assert "REPLAY" in text
        assert "minute 58" in text
        assert "minute 59" not in text
        await pilot.press("left_square_bracket")
        await until(lambda: app.session.state.seq == 58)
        await pilot.press("right_square_bracket")
        await until(lambda: app.session.state.seq == 59)
        await live.minute(60)
        await until(lambda: live.feed.state.seq == 61)
        assert app.session.state.seq == 59, "the past does not move on with the feed"
        await pilot.press("escape")
        await pilot.pause(0.3)
        text = text_of(app)
        assert "REPLAY" not in text
        assert "1,060.00" in text
        assert "minute 60" in text


async def test_at_jumps_to_a_moment_and_space_plays_from_there(live: Live) -> None:
    app = DashApp(live.feed, owns_bot=False)
    async with app.run_test(size=(140, 40)) as pilot:
        await pilot.press("at")
        at = NOW - 3600 + 60 * 20
        await pilot.press("x", "enter")
        await pilot.pause(0.1)
        assert "Not a time" in text_of(app)
        app.screen.query_one("Input", Input).value = str(int(at))
        await pilot.press("enter")
        await until(
            lambda: app.time_travel.replay is not None and app.time_travel.replay.position == at
        )
        await pilot.pause(0.3)
        text = text_of(app)
        assert "1,020.00" in text
        assert datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S") in text
        replay = app.time_travel.replay
        assert replay is not None
        replay.set_speed(3000.0)
        await pilot.press("space")
        await until(lambda: replay.ended)
        await pilot.pause(0.3)
        assert "1,059.00" in text_of(app)
        assert "at the end" in text_of(app)


async def test_a_command_in_the_past_does_nothing_and_says_why(live: Live) -> None:
    app = DashApp(live.feed, owns_bot=False)
    done: list[Any] = []

    async def commander(command: Any, actor: str) -> Any:
        done.append(command)

    live.feed.set_commander(commander)
    async with app.run_test(size=(140, 40)) as pilot:
        await pilot.press("left_square_bracket")
        await until(lambda: app.time_travel.replay is not None and app.session.state.seq == 59)
        await pilot.press("R", "y")
        await pilot.pause(0.3)
        assert "recording" in text_of(app)
        assert done == []


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-04T13:05", 1772629500.0),
        ("2026-03-04 13:05:00+01:00", 1772625900.0),
        ("9:05", 1772615100.0),
        ("10m", 1772629500.0 - 600),
        ("-1.5h", 1772629500.0 - 5400),
        ("1772629500", 1772629500.0),
    ],
)
def test_times_are_read_as_people_write_them(text: str, moment: float) -> None:
    assert parse_moment(text, 1772629500.0) == moment


@pytest.mark.parametrize("text", ["", "soon", "25:00", "12", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_moment(text, 1772629500.0)


def closed(profit: float) -> dict[str, Any]:
    return {"type": "POSITION_CLOSED", "profit": profit, "commission": -0.4}


def test_what_happened_meanwhile_is_told_in_a_sentence() -> None:
    alert = {"type": "RISK_ALERT", "level": "critical", "code": "X", "text": "y"}
    events = [closed(-10.0), closed(-12.0), closed(10.8), alert, {"type": "SCAN_START"}]
    assert away(events, "USD") == "Since you left: 3 trades, -12.40 USD, 1 error"
    assert away([{"type": "SCAN_START"}], "USD") == "Since you left: no trade, no error"
    assert away([], "USD") is None
    assert away([{"type": "POSITION_CLOSED"}], None) == (
        "Since you left: 1 trade, money unknown, no error"
    )


def test_where_a_feed_was_left_is_remembered_by_feed(tmp_path: Path) -> None:
    seen = LastSeen(tmp_path / "seen.json")
    assert seen.get("ws://a/ws") is None
    seen.put("ws://a/ws", "e1", 42)
    seen.put("ws://b/ws", "e2", 7)
    assert (seen.get("ws://a/ws"), seen.get("ws://b/ws")) == ("e1:42", "e2:7")
    (tmp_path / "seen.json").write_text("{")
    assert seen.get("ws://a/ws") is None


async def test_a_client_that_comes_back_hears_what_it_missed_once(live: Live) -> None:
    said: list[str] = []
    since = f"{live.feed.state.epoch}:{live.feed.state.seq}"
    live.feed.publish({"type": "POSITION_CLOSED", "ticket": 1, "profit": -12.4})
    live.feed.publish({"type": "SCAN_START", "count": 1})
    await until(lambda: not live.feed.waiting)
    client = FeedClient(live.feed.url, since=since)
    watch_return(client, said.append)
    await client.start()
    await until(lambda: said)
    live.feed.publish({"type": "POSITION_CLOSED", "ticket": 2, "profit": 1.0})
    await until(lambda: client.state.seq == live.feed.state.seq and not live.feed.waiting)
    await client.close()
    assert said == ["Since you left: 1 trade, -12.40 USD, no error"]
    fresh = FeedClient(live.feed.url)
    watch_return(fresh, said.append)
    await fresh.start()
    await until(lambda: fresh.state.seq)
    await fresh.close()
    assert len(said) == 1
