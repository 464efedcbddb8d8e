"""What one bot does too much of, or no more, costs that bot alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from pathlib import Path
from typing import Any

from support.feed_kit import OpenFeed, closed, frame, frame_of, http, join
from support.until import until
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from streamer.client.feed_client import FeedClient
from streamer.journal.writer import Journal
from streamer.service import Feed


async def publisher(feed: Feed, bot: str) -> ClientConnection:
    text, _ = feed.tokens.new("publish", bot=bot)
    ws = await join(feed, token=text)
    await frame_of(ws, "STATE_SNAPSHOT")
    return ws


def publish(event: dict[str, Any]) -> str:
    return json.dumps({"type": "PUBLISH", "event": event})


async def replies(ws: ClientConnection, kept: list[dict[str, Any]]) -> None:
    """Read all that comes and keep the errors."""
    with contextlib.suppress(ConnectionClosed):
        async for text in ws:
            value = json.loads(text)
            if value["type"] == "ERROR":
                kept.append(value)


async def test_a_flood_of_one_bot_loses_nothing_of_another(open_feed: OpenFeed) -> None:
    feed = await open_feed("j.db", publish_per_s=50.0)
    said: list[int] = []
    async with (
        FeedClient(feed.url, bots=["beta"]) as viewer,
        await publisher(feed, "beta") as beta,
        await publisher(feed, "loud") as loud,
    ):
        heard: list[int] = []
        viewer.watch(lambda e: heard.append(e["n"]) if e["type"] == "STEP" else None)
        await until(lambda: viewer.state.epoch)
        errors: list[dict[str, Any]] = []
        reading = asyncio.create_task(replies(loud, errors))
        calm = asyncio.create_task(replies(beta, []))

        async def flood() -> None:
            with contextlib.suppress(ConnectionClosed):
                for n in range(2000):
                    await loud.send(publish({"type": "LOUD", "n": n}))

        flooding = asyncio.create_task(flood())
        for n in range(60):
            await beta.send(publish({"type": "STEP", "n": n}))
            said.append(n)
            await asyncio.sleep(0.005)
        await until(lambda: len(heard) == len(said))
        await until(lambda: bool(errors))
        flooding.cancel()
        reading.cancel()
        calm.cancel()
        loud.transport.abort()  # what it sent is read slowly: it would wait for its goodbye
    assert heard == said
    bot = feed.bots.get_or_add("loud")
    assert errors[0]["code"] == "RATE"
    assert "loud sends more than 50 events a second" in errors[0]["message"]
    assert bot.refused > 0
    assert bot.published < 1000
    assert feed.bots.get_or_add("beta").refused == 0
    assert feed.bots.get_or_add("beta").published == len(said)
    before = bot.refused
    status, _, body = await http(feed, "/metrics")
    assert status == 200
    found = re.search(rb'mt5dash_bot_events_refused_total\{bot="loud"\} ([\d.]+)', body)
    assert found is not None
    assert before <= float(found[1]) <= bot.refused


async def test_state_above_the_rate_is_kept_and_its_newest_is_sent_in_the_end(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed(publish_per_s=40.0)
    async with await join(feed) as viewer, await publisher(feed, "beta") as beta:
        await frame(viewer)
        for n in range(240):
            update = {"type": "ACCOUNT_UPDATE", "account": {"equity": n}}
            await beta.send(publish(update))
        seen: list[Any] = []
        while not seen or seen[-1] != 239:
            seen.append((await frame_of(viewer, "ACCOUNT_UPDATE", timeout=20))["account"]["equity"])
    assert seen == sorted(seen)
    assert len(seen) < 239, "what was replaced meanwhile is not sent"
    assert feed.bots.get_or_add("beta").refused == 0


async def test_malformed_events_of_one_bot_cost_it_alone(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    async with await publisher(feed, "bad") as bad, await publisher(feed, "beta") as beta:
        for event in ({}, {"type": 5}, {"type": "HEARTBEAT"}, {"type": "COMMAND_AUDIT"}):
            await bad.send(publish(event))
            assert (await frame_of(bad, "ERROR"))["code"] == "REFUSED"
        await bad.send(publish({"type": "ACCOUNT_UPDATE", "account": [1]}))
        await bad.send(publish({"type": "POSITION_CLOSED", "ticket": "x"}))
        await bad.send('{"type":"PUBLISH","event":7}')
        assert (await frame_of(bad, "ERROR"))["code"] == "MALFORMED"
        await beta.send(publish({"type": "FINE"}))
        assert (await frame_of(beta, "FINE"))["bot"] == "beta"
    assert feed.state.bots["bad"].account == {}
    assert feed.own.revision == feed.state.revision
    assert not feed.own.events


def known(value: float | None) -> float:
    assert value is not None
    return value


async def test_a_silent_bot_is_stale_by_itself_and_no_other_is(open_feed: OpenFeed) -> None:
    feed = await open_feed(heartbeat_s=0.05)
    async with await publisher(feed, "beta") as beta, FeedClient(feed.url) as client:
        await beta.send(publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 1}}))
        await until(lambda: "beta" in feed.bots.names)
        feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 2}})
        await until(lambda: "beta" in client.pulses)
        silent = feed.bots.get_or_add("beta")
        assert silent.heard is not None
        silent.heard -= 60.0  # as if its last event came a minute ago
        silent.state.updated["account"] -= 60.0
        await until(lambda: known(client.pulses["beta"].data_age_s) >= 60)
        assert known(client.pulses["beta"].heard_s) >= 60
        assert known(client.pulses["main"].data_age_s) < 30
        async with await join(feed) as late:
            await frame(late)
            beat = await frame_of(late, "HEARTBEAT")
        assert beat["data_age_s"] < 30, "of the chosen bot"
        feed.bots.set_unreachable("beta", "no route to host")
        await until(lambda: client.pulses["beta"].lost == "no route to host")
        _, _, body = await http(feed, "/api/bots")
        report = json.loads(body)
        assert (report["beta"]["status"], report["main"]["status"]) == ("down", "ok")
        assert report["beta"]["text"] == "its source is lost: no route to host"
        _, _, mine = await http(feed, "/api/health")
        assert "beta" not in mine.decode()
        status, _, theirs = await http(feed, "/api/health?bot=beta")
        assert status == 503
        assert json.loads(theirs)["checks"]["heard"]["status"] == "down"
        await beta.send(publish({"type": "BACK"}))
        await until(lambda: client.pulses["beta"].lost is None)
        assert known(client.pulses["beta"].heard_s) < 30


async def test_a_late_client_knows_how_old_each_bots_account_is(open_feed: OpenFeed) -> None:
    feed = await open_feed(heartbeat_s=0.05)
    for bot in ("", "beta"):
        feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 1}}, bot=bot)
    feed.state.bots["beta"].updated["account"] -= 100.0
    async with FeedClient(feed.url) as client:
        await until(lambda: "account" in client.state.updated)
        await until(lambda: "account" in client.state.bots["beta"].updated)
        ages = [
            asyncio.get_running_loop().time() - state.updated["account"]
            for state in client.state.each()
        ]
    assert ages[0] < 60 < ages[1]


async def test_a_journal_that_does_not_write_holds_only_a_share_of_each_bot(
    open_feed: OpenFeed, tmp_path: Path
) -> None:
    feed = await open_feed("j.db", publish_per_s=10_000.0, max_bots=4)
    journal = feed.journal
    assert isinstance(journal, Journal)
    share = feed.bots.waiting_share(journal.settings.waiting_events)
    real, journal.append = journal.append, lambda *_: None  # type: ignore[method-assign]
    async with await publisher(feed, "beta") as beta:
        errors: list[dict[str, Any]] = []
        reading = asyncio.create_task(replies(beta, errors))
        for n in range(share + 20):
            await beta.send(publish({"type": "X", "n": n}))
        await until(lambda: len(errors) == 20)
        assert "wait for the journal already" in errors[0]["message"]
        feed.publish({"type": "OWN"})
        assert feed.waiting == share + 1
        assert feed.bots.get_or_add("beta").waiting == share
        journal.append = real  # type: ignore[method-assign]
        feed.core.journal_committed(feed.core._seq)
        await until(lambda: feed.waiting == 0)
        assert feed.bots.get_or_add("beta").waiting == 0
        await beta.send(publish({"type": "Y"}))
        await until(lambda: feed.bots.get_or_add("beta").published == share + 1)
        reading.cancel()


async def test_a_slow_client_gets_the_newest_state_of_every_bot(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    async with await join(feed) as ws:
        await frame(ws)
        (client,) = feed.fanout
        client.paused = True
        for n in range(5):
            for bot in ("", "beta"):
                feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": n}}, bot=bot)
        await until(
            lambda: client.dirty == {("ACCOUNT_UPDATE", "main"), ("ACCOUNT_UPDATE", "beta")}
        )
        feed.fanout.resumed_writing(client)
        found = {}
        for _ in range(2):
            update = await frame_of(ws, "ACCOUNT_UPDATE")
            found[update["bot"]] = update["account"]["equity"]
    assert found == {"main": 4, "beta": 4}


async def test_a_token_of_the_own_bots_name_is_bounded_like_any_client(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    async with await publisher(feed, "main") as ws:
        for n in range(130):
            await ws.send(publish({"type": "X", "n": n}))
        code, _ = await closed(ws)
    assert code == 4029
