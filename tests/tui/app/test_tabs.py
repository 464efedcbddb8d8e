"""The tabs of the screen, without a screen."""

from __future__ import annotations

from support.fake_source import FakeSource, FrozenClock

from tui.app.tabs import Tabs
from tui.session.session import Session


def tabs_of(*sources: FakeSource, time: FrozenClock) -> tuple[Tabs, list[str]]:
    events: list[str] = []
    tabs = Tabs(sources, clock=time.clock, steps=None, on_event=lambda: events.append("event"))
    tabs.open()
    return tabs, events


def test_the_keys_go_round_and_each_tab_reports_its_events() -> None:
    time = FrozenClock()
    first, second = FakeSource(time.clock), FakeSource(time.clock)
    tabs, events = tabs_of(first, second, time=time)
    assert tabs.session.source is first
    tabs.step(-1)
    assert tabs.session.source is second
    tabs.step(1)
    assert tabs.session.source is first
    second.publish("SCAN_START", count=1)
    assert events == ["event"]
    tabs.close()
    second.publish("SCAN_START", count=1)
    assert events == ["event"]


def test_a_new_bot_gets_its_tab_before_the_replay_which_stays_in_front() -> None:
    time = FrozenClock()
    live, recorded = FakeSource(time.clock), FakeSource(time.clock)
    tabs, _ = tabs_of(live, time=time)
    replay = Session(recorded, time.clock, name="replay")
    tabs.enter_replay(replay)
    live.publish("SCAN_START", count=1, bot="main")
    live.publish("SCAN_START", count=1, bot="beta")
    # The recording has bots of its own: they are a part of the replay, not feeds.
    recorded.publish("SCAN_START", count=1, bot="main")
    recorded.publish("SCAN_START", count=1, bot="gamma")
    tabs.add_new_bots()
    assert [s.bot for s in tabs.live] == ["main", "beta"]
    assert tabs.session is replay
    tabs.add_new_bots()
    assert len(tabs.sessions) == 3
    assert tabs.leave_replay() is replay
    assert tabs.session.source is live
    assert len(tabs.sessions) == 2


def test_a_feed_that_replaces_another_is_heard_once_the_tabs_are_open() -> None:
    time = FrozenClock()
    pending, feed = FakeSource(time.clock), FakeSource(time.clock)
    events: list[str] = []
    tabs = Tabs([pending], clock=time.clock, steps=None, on_event=lambda: events.append("event"))
    tabs.show([feed])
    feed.publish("SCAN_START", count=1)
    assert events == []
    tabs.open()
    feed.publish("SCAN_START", count=2)
    assert events == ["event"]
    tabs.show([pending])
    feed.publish("SCAN_START", count=3)
    assert events == ["event"]
