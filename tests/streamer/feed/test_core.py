"""The core of a feed, without a socket: numbers, journal, state, watchers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.until import until

from streamer.feed.core import FeedCore
from streamer.feed.sampler import Sampler
from streamer.journal.recorder import EVERY_S
from streamer.journal.writer import Journal
from streamer.protocol.codec import EventRefused, pack
from streamer.settings import FeedSettings
from streamer.state.ring import Item


def started(core: FeedCore) -> FeedCore:
    core.run()
    return core


async def test_log_events_are_numbered_and_state_events_are_not() -> None:
    core = started(FeedCore(FeedSettings()))
    items: list[Item] = []
    events: list[dict[str, Any]] = []
    core.items.add(items.append)
    core.watchers.add(events.append)
    core.publish({"type": "SCAN_START", "count": 3})
    core.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 5.0}})
    core.publish({"type": "SCAN_START", "count": 4}, bot="beta")
    assert [(item.kind, item.seq, item.bot) for item in items] == [
        ("SCAN_START", 1, "main"),
        ("ACCOUNT_UPDATE", 0, "main"),
        ("SCAN_START", 2, "beta"),
    ]
    assert core.state.seq == 2
    assert core.state.account == {"equity": 5.0}
    assert [event["bot"] for event in events] == ["main", "main", "beta"]


async def test_a_watcher_of_items_gets_the_bytes_of_what_a_watcher_gets_as_a_dict() -> None:
    core = started(FeedCore(FeedSettings()))
    order: list[str] = []
    items: list[Item] = []
    events: list[dict[str, Any]] = []
    core.watchers.add(lambda event: order.append("dict"))
    core.items.add(lambda item: order.append("item"))
    core.items.add(items.append)
    core.watchers.add(events.append)
    core.publish({"type": "ACCOUNT_UPDATE", "account": {"login": 7, "server": "Demo"}})
    for event in (
        {"type": "TRADE_EXECUTION", "symbol": "EURUSD", "timestamp": "2026-03-02T10:00:00Z"},
        {"type": "QUOTE_UPDATE", "quotes": {"EURUSD": {"bid": 1.1, "ask": None}}, "seq": 9},
        {"type": "POSITION_CLOSED", "ticket": 4, "bot": "somebody else", "profit": 1.5},
    ):
        core.publish(event)
    assert [json.loads(item.raw) for item in items] == events
    assert order == ["item", "dict"] * 4, "the state has the event before any watcher has"


async def test_nothing_is_announced_before_it_is_on_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    core = FeedCore(FeedSettings(), journal)
    await core.open()
    core.run()
    seen: list[int] = []
    core.items.add(lambda item: seen.append(item.seq))
    for n in range(20):
        core.publish({"type": "X", "n": n})
    assert seen == []
    assert core.waiting == 20
    await until(lambda: seen == list(range(1, 21)))
    assert core.waiting == 0
    core.stop_threads("closed")
    await core.close()
    core.stop()

    again = FeedCore(FeedSettings(), Journal(tmp_path / "j.db"))
    await again.open()
    assert (again.state.seq, again.state.epoch) == (20, core.state.epoch)
    assert [e["n"] for e in again.state.events] == list(range(20))
    await again.close()


async def test_a_core_that_stopped_refuses_other_programs_in_words() -> None:
    core = started(FeedCore(FeedSettings()))
    core.stop_threads("this is a recording")
    core.stop()
    with pytest.raises(EventRefused, match="this is a recording"):
        core.publish_packed(pack({"type": "X"}), bot="beta", foreign=True)
    with pytest.raises(EventRefused, match="this is a recording"):
        core.publish_relayed({"type": "X"})
    assert core.publish_packed(pack({"type": "X"})) is False
    assert core.published == 0


async def test_a_sample_is_taken_when_due_and_only_when_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "j.db")
    core = FeedCore(FeedSettings(), journal)
    await core.open()
    core.run()
    taken: list[Any] = []
    monkeypatch.setattr(journal, "record", taken.append)
    sampler = Sampler(journal, core.state, core.bots, core.clock)
    core.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 1.0}})
    sampler.tick(0.25)
    assert len(taken) == 1
    core.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 2.0}})
    sampler.tick(0.25)
    assert len(taken) == 1, "a second has not passed"
    sampler.due -= EVERY_S
    sampler.tick(0.25)
    assert len(taken) == 2
    sampler.take()
    assert len(taken) == 2, "nothing has changed since"
    core.stop_threads("closed")
    await core.close()
