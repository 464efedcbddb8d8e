"""The socket: snapshot first, then every number once; what each kind of client is sent."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from support.feed_kit import OpenFeed, frame, frame_of, join, upgrade
from support.until import until
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from streamer.protocol.messages import (
    Account,
    AccountUpdate,
    Command,
    CommandResult,
    PositionUpdate,
    Quote,
    QuoteUpdate,
    ScanStart,
)
from streamer.server.ports import PortTaken
from streamer.service import Feed
from streamer.settings import FeedSettings


def position(ticket: int) -> dict[str, Any]:
    return {"ticket": ticket, "symbol": "EURUSD", "type": 0, "volume": 0.1, "profit": 1.0}


async def test_the_first_frame_is_the_snapshot_with_all_that_was_published(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed()
    feed.publish(AccountUpdate(account=Account(balance=10.0)))
    feed.publish(PositionUpdate(positions=[]))
    feed.publish({"type": "FOREIGN", "x": 1})
    async with await join(feed) as ws:
        snapshot = await frame(ws)
    assert snapshot["type"] == "STATE_SNAPSHOT"
    assert (snapshot["protocol"], snapshot["seq"]) == (1, 1)
    assert snapshot["epoch"] == feed.state.epoch
    assert snapshot["timestamp"].endswith("+00:00")
    assert snapshot["data"]["account"]["balance"] == 10.0
    assert snapshot["data"]["events"][0]["type"] == "FOREIGN"
    assert snapshot["data"]["events"][0]["seq"] == 1
    assert set(snapshot["data"]) >= {
        "account", "positions", "scan_summary", "recent_trades", "events", "orders", "quotes",
        "bot", "terminal", "equity",
    }  # fmt: skip


async def test_an_empty_feed_says_unknown_not_zero(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    async with await join(feed) as ws:
        data = (await frame(ws))["data"]
    assert data["account"] == {}
    assert data["scan_summary"] == {}
    assert data["bot"] is None
    assert data["terminal"] is None


async def _read_numbers(feed: Feed, stop: int, legacy: bool) -> tuple[int, list[int]]:
    async with await join(feed, legacy=legacy) as ws:
        first = await frame(ws, 30)
        assert first["type"] == "STATE_SNAPSHOT"
        held = [event["seq"] for event in first["data"]["events"]]
        assert held == list(range(first["seq"] - len(held) + 1, first["seq"] + 1))
        seen: list[int] = []
        while not seen or seen[-1] < stop:
            event = await frame(ws, 30)
            if "seq" in event and event["type"] != "HEARTBEAT":
                seen.append(event["seq"])
        return first["seq"], seen


@pytest.mark.parametrize("journal", [None, "j.db"])
async def test_200_connects_under_load_see_no_duplicate_and_no_hole(
    open_feed: OpenFeed, journal: str | None
) -> None:
    feed = await open_feed(journal)
    ended = False

    async def load() -> None:
        number = 0
        while not ended:
            for _ in range(5):
                number += 1
                feed.publish(ScanStart(count=number))
            feed.publish(AccountUpdate(account=Account(equity=float(number))))
            await asyncio.sleep(0.002)

    publisher = asyncio.create_task(load())
    results: list[tuple[int, list[int]]] = []
    for turn in range(4):
        await asyncio.sleep(0.05)
        stop = feed.state.seq + 300
        results += await asyncio.gather(
            *(_read_numbers(feed, stop, legacy=turn % 2 == 1) for _ in range(50))
        )
    ended = True
    await publisher
    assert len(results) == 200
    for snapshot_seq, seen in results:
        assert seen == list(range(snapshot_seq + 1, snapshot_seq + 1 + len(seen)))
        assert len(seen) > 50
    assert feed.fanout.closed_slow == 0


async def test_a_client_without_the_subprotocol_gets_only_what_its_reducer_knows(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed(heartbeat_s=0.05)
    legacy, modern = await join(feed, legacy=True), await join(feed)
    assert legacy.subprotocol is None
    assert modern.subprotocol == "mt5dash.v1"
    await frame(legacy)
    await frame(modern)
    feed.publish(QuoteUpdate(quotes={"EURUSD": Quote(bid=1.0, ask=1.1)}))
    feed.publish({"type": "ORDERS_UPDATE", "orders": []})
    feed.publish(AccountUpdate(account=Account(balance=1.0)))
    feed.publish(PositionUpdate(positions=[]))
    feed.publish(ScanStart(count=1))
    await legacy.send('{"type":"PING","id":1}')
    await asyncio.sleep(0.2)
    feed.publish({"type": "LAST"})
    seen: list[Any] = []
    while not seen or seen[-1] != "LAST":
        seen.append((await frame(legacy))["type"])
    # It asked for a PONG itself; nothing else that it does not know comes by itself.
    assert [kind for kind in seen if kind != "PONG"] == [
        "ACCOUNT_UPDATE", "POSITION_UPDATE", "SCAN_START", "LAST",
    ]  # fmt: skip
    heard = set()
    while "LAST" not in heard:
        heard.add((await frame(modern))["type"])
    assert heard >= {"QUOTE_UPDATE", "ORDERS_UPDATE", "HEARTBEAT"}
    await legacy.close()
    await modern.close()


async def test_state_events_have_no_number_and_stay_out_of_the_log(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    async with await join(feed) as ws:
        await frame(ws)
        feed.publish({"type": "ACCOUNT_UPDATE", "account": {"balance": 1}, "seq": 99})
        feed.publish({"type": "X", "seq": 99, "timestamp": "2026-01-01T00:00:00Z"})
        assert "seq" not in await frame_of(ws, "ACCOUNT_UPDATE")
        event = await frame_of(ws, "X")
    assert event["seq"] == 1
    assert event["timestamp"] == "2026-01-01T00:00:00+00:00"
    assert [e["type"] for e in feed.state.events] == ["X"]


async def test_what_is_sent_is_what_the_state_holds(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    told: list[dict[str, Any]] = []
    stop = feed.watch(told.append)
    async with await join(feed) as ws:
        await frame(ws)
        feed.publish({"type": "X", "n": float("nan"), "deep": {"a": (1, 2)}})
        event = await frame_of(ws, "X")
    assert event == told[0] == feed.state.events[0]
    assert event["n"] is None
    stop()
    feed.publish({"type": "Y"})
    assert len(told) == 1


async def test_a_bad_event_is_counted_and_harms_nothing(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    feed.publish({"no": "type"})
    feed.publish({"type": "CONNECTED"})
    feed.publish({"type": "HEARTBEAT"})
    feed.publish({"type": "X", "o": object()})
    feed.publish("not an event")  # type: ignore[arg-type]
    feed.publish({"type": "GOOD"})
    assert feed.refused == 5
    assert [event["type"] for event in feed.state.events] == ["GOOD"]
    assert feed.state.seq == 1


async def test_a_failing_watcher_stops_nobody_and_one_may_publish(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    seen: list[str] = []

    def broken(_: dict[str, Any]) -> None:
        raise RuntimeError("watcher")

    def echo(event: dict[str, Any]) -> None:
        if event["type"] == "FIRST":
            feed.publish({"type": "SECOND"})

    feed.watch(broken)
    feed.watch(echo)
    feed.watch(lambda event: seen.append(event["type"]))
    feed.publish({"type": "FIRST"})
    assert seen == ["FIRST", "SECOND"]
    assert [event["seq"] for event in feed.state.events] == [1, 2]


async def test_heartbeats_tell_what_was_sent_on_this_connection(open_feed: OpenFeed) -> None:
    feed = await open_feed(heartbeat_s=0.05)
    async with await join(feed, "?topics=SCAN_START") as ws:
        await frame(ws)
        for _ in range(3):
            feed.publish(ScanStart(count=1))
            feed.publish({"type": "OTHER"})
        sent = 0
        async with asyncio.timeout(5):
            while sent < 3:
                event = await frame(ws)
                assert event["type"] in ("SCAN_START", "HEARTBEAT")
                sent = event["sent"] if event["type"] == "HEARTBEAT" else sent
        assert event["seq"] == 6
        assert event["epoch"] == feed.state.epoch
        assert event["clients"] == 1
        assert event["journal"] == "none"
        assert event["data_age_s"] is None


async def test_subscribe_narrows_by_type_and_symbol_and_sends_a_fresh_snapshot(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed()
    async with await join(feed) as ws:
        await frame(ws)
        feed.publish({"type": "A"})
        await frame_of(ws, "A")
        await ws.send(json.dumps({"type": "SUBSCRIBE", "types": ["B"], "symbols": ["EURUSD"]}))
        assert (await frame(ws))["seq"] == 1
        feed.publish({"type": "A"})
        feed.publish({"type": "B", "symbol": "XAUUSD", "n": 1})
        feed.publish({"type": "B", "symbol": "EURUSD", "n": 2})
        feed.publish({"type": "B", "n": 3})
        assert (await frame(ws))["n"] == 2
        assert (await frame(ws))["n"] == 3
        await ws.send('{"type":"SUBSCRIBE"}')
        assert (await frame(ws))["type"] == "STATE_SNAPSHOT"
        feed.publish({"type": "A"})
        assert (await frame(ws))["type"] == "A"


@pytest.mark.parametrize("message", ["nonsense", "[1]", "5", '"x"', "NaN", "", "null"])
async def test_what_is_no_json_object_is_ignored(open_feed: OpenFeed, message: str) -> None:
    feed = await open_feed()
    async with await join(feed) as ws:
        await frame(ws)
        await ws.send(message)
        await ws.send('{"type":"PING","id":"p"}')
        assert await frame(ws) == {"type": "PONG", "id": "p"}


@pytest.mark.parametrize(
    ("message", "id"),
    [
        ('{"type":"NOPE","id":"a"}', "a"),
        ('{"id":"b"}', "b"),
        ('{"type":7}', None),
        ('{"type":"COMMAND","id":"c"}', "c"),
        ('{"type":"SUBSCRIBE","types":"all","id":"d"}', "d"),
    ],
)
async def test_an_unknown_or_malformed_message_gets_one_error(
    open_feed: OpenFeed, message: str, id: str | None
) -> None:
    feed = await open_feed()
    async with await join(feed) as ws:
        await frame(ws)
        await ws.send(message)
        reply = await frame(ws)
        assert reply["type"] == "ERROR"
        assert reply.get("id") == id
        assert reply["code"]
        assert reply["message"]
        await ws.send('{"type":"PING"}')
        assert (await frame(ws))["type"] == "PONG"


async def test_commands_of_this_process_act_once_and_are_audited(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    refused = await feed.command("pause")
    assert refused.error is not None
    assert refused.error.code == "NO_COMMANDER"
    given: list[tuple[str, str]] = []

    async def act(command: Command, actor: str) -> CommandResult:
        given.append((command.name, actor))
        await asyncio.sleep(0.01)
        return CommandResult(id=command.id, ok=True, result={"n": len(given)})

    feed.set_commander(act)
    first, again = await asyncio.gather(
        feed.command("pause", id="same"), feed.command("pause", id="same")
    )
    assert first == again
    assert given == [("pause", "local")]
    other = await feed.command("resume", id="same")
    assert other.error is not None
    assert other.error.code == "ID_REUSED"
    audits = [e for e in feed.state.events if e["type"] == "COMMAND_AUDIT"]
    assert [(a["id"], a["actor"], a["ok"]) for a in audits][-1] == ("same", "local", True)


async def test_a_commander_that_raises_is_an_answer_not_a_crash(open_feed: OpenFeed) -> None:
    feed = await open_feed()

    async def act(command: Command, actor: str) -> CommandResult:
        raise RuntimeError("broker on fire")

    feed.set_commander(act)
    result = await feed.command("flatten")
    assert not result.ok
    assert result.error is not None
    assert "broker on fire" in result.error.message


async def test_close_tells_clients_1001_and_is_bounded_by_no_client(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    good = await join(feed)
    await frame(good)
    stuck_reader, stuck_writer = await asyncio.open_connection("127.0.0.1", feed.port, limit=1024)
    stuck_writer.write(upgrade(f"Host: 127.0.0.1:{feed.port}"))
    await stuck_reader.readline()
    stuck_writer.transport.pause_reading()  # type: ignore[attr-defined]
    await until(lambda: len(feed.fanout) == 2)
    reading = asyncio.create_task(_read_to_the_end(good))
    for _ in range(40):
        feed.publish({"type": "BIG", "data": "x" * 20_000})
        await asyncio.sleep(0.002)
    assert any(client.paused for client in feed.fanout)
    await asyncio.wait_for(feed.close(), 2.0)
    assert await asyncio.wait_for(reading, 5) == 1001
    assert len(feed.fanout) == 0
    stuck_writer.transport.abort()


async def _read_to_the_end(ws: ClientConnection) -> int | None:
    try:
        while True:
            await ws.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else None


async def test_what_is_published_before_the_start_is_told_after_it(tmp_path: Path) -> None:
    feed = Feed(FeedSettings(port=0, tokens_file=tmp_path / "t.json"))
    feed.publish({"type": "EARLY"})
    await feed.start()
    try:
        async with await join(feed) as ws:
            assert (await frame(ws))["data"]["events"][0]["type"] == "EARLY"
        assert feed.link.state == "local"
        assert feed.link.url == feed.url == f"ws://127.0.0.1:{feed.port}/ws"
    finally:
        await feed.close()
    feed.publish({"type": "LATE"})
    assert feed.state.seq == 1


async def test_a_port_that_was_asked_for_is_taken_or_refused(open_feed: OpenFeed) -> None:
    first = await open_feed()
    with pytest.raises(PortTaken, match=f"port {first.port} .* is taken"):
        await open_feed(port=first.port)
    async with await join(first) as ws:
        assert (await frame(ws))["type"] == "STATE_SNAPSHOT"


async def test_events_of_other_threads_arrive_in_their_order(open_feed: OpenFeed) -> None:
    feed = await open_feed()

    def push() -> None:
        for number in range(1000):
            feed.publish_threadsafe({"type": "X", "n": number})

    await asyncio.to_thread(push)
    await until(lambda: feed.state.seq == 1000)
    assert [event["n"] for event in feed.state.events] == list(range(800, 1000))
