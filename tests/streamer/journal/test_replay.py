"""Replay: the past as it was, to the second and to the byte."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from support.feed_kit import frame, join
from support.until import until

from streamer.journal.replay import Replay
from streamer.journal.schema import JournalError
from streamer.journal.writer import Journal
from streamer.protocol.codec import iso
from streamer.replay_feed import ReplayFeed
from streamer.service import Feed
from streamer.settings import FeedSettings
from streamer.state.reducer import FeedState

BEGAN = float(int(time.time() - 3600))


def stamp(at: float) -> str:
    from datetime import UTC, datetime

    return iso(datetime.fromtimestamp(at, UTC))


class Past:
    """A feed whose clock is in hand, and what it looked like second by second."""

    def __init__(self, path: Path) -> None:
        self.at = BEGAN
        self.feed = Feed(FeedSettings(port=0, heartbeat_s=60), Journal(path), clock=lambda: self.at)
        assert self.feed.sampler is not None
        self.feed.sampler.due = float("inf")  # samples are taken by hand here
        self.seen: dict[float, bytes] = {}

    async def second(self, n: int) -> None:
        """One second of a bot's life, then a sample, as the feed's own clock takes it."""
        self.at = BEGAN + n
        feed, at = self.feed, stamp(self.at)
        feed.publish(
            {
                "type": "ACCOUNT_UPDATE",
                "account": {"balance": 1000.0, "equity": 1000.0 + n, "login": 4711},
                "timestamp": at,
            }
        )
        feed.publish(
            {
                "type": "QUOTE_UPDATE",
                "quotes": {f"S{n % 7}": {"bid": 1.0 + n / 1e5, "ask": None, "time": at}},
                "server_time": at,
                "speed": 1.0,
                "timestamp": at,
            }
        )
        position = {"ticket": 7, "symbol": "EURUSD", "profit": float((n * 7) % 50 - 20)}
        feed.publish(
            {
                "type": "POSITION_UPDATE",
                "positions": [position] if n % 40 < 30 else [],
                "timestamp": at,
            }
        )
        if n % 10 == 0:
            details = {"S1": {"code": "OK", "score": n}}
            feed.publish(
                {
                    "type": "SCAN_SUMMARY",
                    "symbols": {"S1": "because"},
                    "count": 1,
                    "candidates": 0,
                    "details": details,
                    "timestamp": at,
                }
            )
        if n % 25 == 3:
            feed.publish({"type": "TRADE_EXECUTION", "symbol": "EURUSD", "n": n, "timestamp": at})
        if n == 30:
            feed.publish({"type": "BOT_STATUS", "state": "paused", "timestamp": at})
        await until(lambda: not feed.waiting)
        assert feed.journal is not None
        assert feed.sampler is not None
        feed.sampler.take()
        self.seen[self.at] = picture(feed.state)


def picture(state: FeedState) -> bytes:
    return json.dumps([state.snapshot(), state.seq], sort_keys=True, default=str).encode()


async def record(path: Path, seconds: int, begin: int = 0) -> Past:
    past = Past(path)
    await past.feed.start()
    for n in range(begin, begin + seconds):
        await past.second(n)
    await past.feed.close()
    return past


async def test_every_second_is_shown_as_it_was(tmp_path: Path) -> None:
    past = await record(tmp_path / "j.db", 300)
    replay = Replay(tmp_path / "j.db")
    await replay.open()
    try:
        for at in [BEGAN + n for n in (299, 0, 57, 119, 120, 121, 240, 13, 298)]:
            await replay.seek(at)
            assert (picture(replay.state), replay.position) == (past.seen[at], at)
    finally:
        await replay.close()


async def test_playing_passes_the_same_moments_as_jumping(tmp_path: Path) -> None:
    past = await record(tmp_path / "j.db", 200)
    replay = Replay(tmp_path / "j.db", speed=1e6)
    await replay.open()
    seen: dict[float, bytes] = {}
    replay.on_sample = lambda _: seen.__setitem__(replay.position, picture(replay.state))
    replay.play()
    await until(lambda: replay.ended)
    await replay.close()
    assert len(seen) >= 199
    assert seen == {at: past.seen[at] for at in seen}
    assert picture(replay.state) == past.seen[BEGAN + 199]


async def test_a_restart_in_between_is_seen_as_it_was(tmp_path: Path) -> None:
    first = await record(tmp_path / "j.db", 60)
    second = await record(tmp_path / "j.db", 20, begin=100)
    replay = Replay(tmp_path / "j.db")
    await replay.open()
    try:
        await replay.seek(BEGAN + 119)
        assert picture(replay.state) == second.seen[BEGAN + 119]
        assert replay.state.bot is None, "the second run had not spoken yet"
        await replay.seek(BEGAN + 59)
        assert picture(replay.state) == first.seen[BEGAN + 59]
        assert replay.state.bot is not None
    finally:
        await replay.close()


async def test_log_events_are_served_again_byte_for_byte(tmp_path: Path) -> None:
    past = Past(tmp_path / "j.db")
    await past.feed.start()
    live: list[bytes] = []
    async with await join(past.feed) as ws:
        await frame(ws)
        for n in range(120):
            await past.second(n)
        while True:
            raw = await asyncio.wait_for(ws.recv(decode=False), 5)
            if "seq" in json.loads(raw):
                live.append(raw)
            if len(live) == past.feed.state.seq:
                break
    final = picture(past.feed.state)
    await past.feed.close()

    replay = Replay(tmp_path / "j.db", start=BEGAN - 1, speed=100.0)
    feed = ReplayFeed(replay, FeedSettings(port=0, heartbeat_s=60))
    await replay.open()
    await feed.start()
    try:
        async with await join(feed) as ws:
            snapshot = await frame(ws)
            assert snapshot["epoch"].startswith("replay-")
            have = snapshot["seq"]
            replay.play()
            again: list[bytes] = []
            while len(again) < len(live) - have:
                raw = await asyncio.wait_for(ws.recv(decode=False), 5)
                if "seq" in json.loads(raw):
                    again.append(raw)
            await until(lambda: replay.ended)
        assert again == live[have:]
        assert len(again) > 10
        assert picture(feed.state) == final
    finally:
        await feed.close()
        await replay.close()


async def test_stepping_goes_one_event_at_a_time_both_ways(tmp_path: Path) -> None:
    await record(tmp_path / "j.db", 60)
    replay = Replay(tmp_path / "j.db")
    await replay.open()
    try:
        await replay.seek(BEGAN + 31)
        seqs = [replay.state.seq]
        for by in (-1, -1, 1, 2, -100, 100):
            await replay.step(by)
            seqs.append(replay.state.seq)
        last = max(seqs)
        start = seqs[0]
        assert seqs == [start, start - 1, start - 2, start - 1, start + 1, 1, last]
        assert replay.state.events[-1]["seq"] == last
        assert not replay.playing
    finally:
        await replay.close()


async def test_a_jump_sends_clients_a_snapshot_of_the_other_moment(tmp_path: Path) -> None:
    past = await record(tmp_path / "j.db", 60)
    replay = Replay(tmp_path / "j.db")
    feed = ReplayFeed(replay, FeedSettings(port=0, heartbeat_s=60))
    await replay.open()
    await feed.start()
    try:
        async with await join(feed) as ws:
            epoch = (await frame(ws))["epoch"]
            await replay.seek(BEGAN + 50)
            await asyncio.wait_for(ws.wait_closed(), 5)
            assert ws.close_code == 1012
        async with await join(feed, f"?since={epoch}:1") as ws:
            snapshot = await frame(ws)
            assert snapshot["resumed"] is False
            state = FeedState()
            state.load(snapshot)
            assert state.equity == json.loads(past.seen[BEGAN + 50])[0]["equity"]
            assert [e["seq"] for e in state.events] == list(range(1, state.seq + 1))
    finally:
        await feed.close()
        await replay.close()


async def test_the_past_takes_no_commands(tmp_path: Path) -> None:
    await record(tmp_path / "j.db", 3)
    replay = Replay(tmp_path / "j.db")
    await replay.open()
    answer = await replay.command("flatten")
    assert not answer.ok
    assert answer.error is not None
    assert answer.error.code == "REPLAY"
    await replay.close()


@pytest.mark.parametrize("make", [True, False])
async def test_what_cannot_be_replayed_is_refused_in_words(tmp_path: Path, make: bool) -> None:
    path = tmp_path / "x.db"
    if make:
        feed = Feed(FeedSettings(port=0), Journal(path))
        await feed.start()
        await feed.close()
    with pytest.raises(JournalError, match="journal is empty" if make else "no such"):
        await Replay(path).open()


async def test_a_state_that_cannot_be_written_is_left_out_and_whole_again_later(
    tmp_path: Path,
) -> None:
    past = Past(tmp_path / "j.db")
    await past.feed.start()
    journal: Any = past.feed.journal
    for n in range(20):
        await past.second(n)
    write = journal._write
    broken = True

    def fail(*waiting: Any) -> None:
        if broken:
            raise OSError("disk full")
        write(*waiting)

    journal._write = fail
    past.at = BEGAN + 20
    past.feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 5.0}})
    assert past.feed.sampler is not None
    past.feed.sampler.take()
    past.feed.publish({"type": "SCAN_START", "count": 1, "timestamp": stamp(past.at)})
    await until(lambda: not journal.ok)
    broken = False
    await until(lambda: journal.ok)
    for n in range(21, 25):
        await past.second(n)
    await past.feed.close()
    replay = Replay(tmp_path / "j.db")
    await replay.open()
    await replay.seek(BEGAN + 24)
    assert picture(replay.state) == past.seen[BEGAN + 24]
    await replay.close()
