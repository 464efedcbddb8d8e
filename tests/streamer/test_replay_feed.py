"""A recording that is served: it takes neither commands nor events, and says so."""

from __future__ import annotations

from pathlib import Path

from support.feed_kit import frame, frame_of, join
from support.until import until

from streamer.journal.replay import Replay
from streamer.journal.writer import Journal
from streamer.replay_feed import ReplayFeed
from streamer.server.tokens import TokenStore
from streamer.service import Feed
from streamer.settings import FeedSettings


async def test_a_recording_answers_commands_and_events_with_a_refusal(tmp_path: Path) -> None:
    live = Feed(FeedSettings(port=0, tokens_file=tmp_path / "t.json"), Journal(tmp_path / "j.db"))
    await live.start()
    for n in range(5):
        live.publish({"type": "X", "n": n})
    await until(lambda: not live.waiting)
    await live.close()

    store = TokenStore(tmp_path / "t.json")
    replay = Replay(tmp_path / "j.db")
    feed = ReplayFeed(replay, FeedSettings(port=0, tokens_file=store.path))
    await replay.open()
    await feed.start()
    try:
        control, _ = store.new("control")
        async with await join(feed, token=control) as ws:
            await frame(ws)
            await ws.send('{"type":"COMMAND","id":"c1","name":"pause","args":{}}')
            result = await frame_of(ws, "COMMAND_RESULT")
            assert (result["id"], result["error"]["code"]) == ("c1", "REPLAY")
        publish, _ = store.new("publish", bot="beta")
        async with await join(feed, token=publish) as ws:
            await frame(ws)
            await ws.send('{"type":"PUBLISH","event":{"type":"X"}}')
            error = await frame_of(ws, "ERROR")
            assert error["code"] == "REFUSED"
            assert "recording" in error["message"]
        here = await feed.command("pause", id="c2")
        assert here.error is not None
        assert here.error.code == "REPLAY"
        assert feed.state.seq <= 5, "nothing was added to the recording"
        assert feed.published == 0
    finally:
        await replay.close()
        await feed.close()
