"""The client: same state as the feed, across cuts, restarts and older servers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.chaos import Proxy
from support.feed_kit import OpenFeed
from support.until import until
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from streamer.client.feed_client import ClientTimings, FeedClient, FeedLost
from streamer.client.frame_iterator import tail
from streamer.protocol.messages import Account, AccountUpdate, Command, CommandResult, ScanStart
from streamer.service import Feed


@asynccontextmanager
async def client_of(feed: Feed, **options: Any) -> AsyncIterator[FeedClient]:
    async with FeedClient(feed.url, **options) as client:
        await until(lambda: client.link.state == "live" and client.state.epoch)
        yield client


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = ClientTimings(first_delay_s=0.02, most_delay_s=0.1)
    monkeypatch.setattr(FeedClient, "default_timings", quick)


async def test_the_client_holds_the_state_of_the_feed(open_feed: OpenFeed) -> None:
    feed = await open_feed(heartbeat_s=0.1)
    feed.publish(ScanStart(count=1))
    told: list[str] = []
    async with FeedClient(feed.url) as client:
        client.watch(lambda event: told.append(event["type"]))
        assert client.link.state == "connecting"
        await until(lambda: client.link.state == "live")
        feed.publish(AccountUpdate(account=Account(balance=3.0, equity=4.0)))
        feed.publish(ScanStart(count=2))
        await until(lambda: client.state.seq == 2)
        assert client.state.snapshot() == feed.state.snapshot()
        assert client.state.updated["account"] > 0
        await until(lambda: client.link.clients == 1)
    assert told[:3] == ["STATE_SNAPSHOT", "ACCOUNT_UPDATE", "SCAN_START"]


async def test_old_data_is_not_taken_for_fresh_when_joining(open_feed: OpenFeed) -> None:
    feed = await open_feed(heartbeat_s=0.5)
    feed.publish(AccountUpdate(account=Account(balance=3.0)))
    feed.state.updated["account"] -= 60.0  # the terminal fell silent a minute ago
    async with client_of(feed) as client:
        assert client.state.account["balance"] == 3.0
        assert "account" not in client.state.updated, "its age is not known yet"
        await until(lambda: "account" in client.state.updated)
        assert 59.0 < time.monotonic() - client.state.updated["account"] < 70.0


@pytest.mark.parametrize("url", ["http://x", "127.0.0.1:8000", "ws://", "feed"])
def test_an_address_that_is_none_is_an_error_with_an_example(url: str) -> None:
    with pytest.raises(ValueError, match=r"ws://127\.0\.0\.1:8000/ws"):
        FeedClient(url)


async def test_commands_go_out_and_come_back(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    token, _ = feed.tokens.new("control")
    given: list[Command] = []

    async def act(command: Command, actor: str) -> CommandResult:
        given.append(command)
        return CommandResult(id=command.id, ok=True, result={"done": command.args})

    feed.set_commander(act)
    async with client_of(feed, token=token) as client:
        result = await client.command("close_position", {"ticket": 5})
        assert result.ok
        assert result.result == {"done": {"ticket": 5}}
        again = await client.command("close_position", {"ticket": 5}, id=given[0].id)
        assert again.ok
        assert len(given) == 1
    async with client_of(feed) as viewer:
        refused = await viewer.command("pause")
        assert refused.error is not None
        assert refused.error.code == "ROLE"
        assert viewer.link.state == "live", "it knew before it asked"
    closed = await viewer.command("pause")
    assert closed.error is not None
    assert closed.error.code == "NOT_CONNECTED"


async def test_a_command_whose_answer_is_lost_is_unknown_and_not_sent_again(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed()
    token, _ = feed.tokens.new("control")
    given: list[str] = []

    async def act(command: Command, actor: str) -> CommandResult:
        given.append(command.name)
        for connection in list(feed.endpoint.connections):
            connection.transport.abort()
        await asyncio.sleep(0.1)
        return CommandResult(id=command.id, ok=True)

    feed.set_commander(act)
    async with client_of(feed, token=token) as client:
        result = await client.command("scan_now")
        assert result.error is not None
        assert result.error.code == "OUTCOME_UNKNOWN"
        await until(lambda: any(e["type"] == "COMMAND_AUDIT" for e in client.state.events))
    assert given == ["scan_now"]


async def test_the_close_codes_are_obeyed(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    async with FeedClient(feed.url, token="wrong") as client:
        await until(lambda: client.lost)
        assert "4501" in str(client.lost)
        assert client.link.state == "lost"
    with pytest.raises(FeedLost, match="4501"):
        async for _ in tail(feed.url, token="wrong"):
            pass
    async with FeedClient(feed.url.replace("/ws", "/nope")) as client:
        await until(lambda: client.lost)
        assert "404" in str(client.lost)


async def test_tail_goes_over_reconnects_and_narrows(open_feed: OpenFeed) -> None:
    feed = await open_feed("j.db")
    seen: list[int] = []

    async def read() -> None:
        async for event in tail(
            feed.url, types=["B"], symbols=["EURUSD"], since=f"{feed.state.epoch}:0"
        ):
            if event["type"] == "B":
                seen.append(event["n"])
                if len(seen) == 20:
                    return

    for number in range(10):
        feed.publish({"type": "B", "symbol": "EURUSD", "n": number})
        feed.publish({"type": "B", "symbol": "XAUUSD", "n": -1})
    await until(lambda: feed.state.seq == 20)
    reading = asyncio.create_task(read())
    await until(lambda: len(seen) == 10)
    for connection in list(feed.endpoint.connections):
        connection.transport.abort()
    for number in range(10, 20):
        feed.publish({"type": "B", "symbol": "EURUSD", "n": number})
    await asyncio.wait_for(reading, 10)
    assert seen == list(range(20))


async def _chaos(
    feed: Feed, clients: int, events: int, faults: int,
    make: Callable[..., FeedClient] = FeedClient,
) -> list[tuple[list[int], int]]:  # fmt: skip
    """Publish through a proxy that hurts; each client's numbers and gaps, event by event."""
    proxy = Proxy(feed.port)
    await proxy.start()
    seen: list[list[int]] = [[] for _ in range(clients)]
    followers = []
    for numbers in seen:
        client = make(f"ws://127.0.0.1:{proxy.port}/ws", since=f"{feed.state.epoch}:0")

        def note(event: dict[str, Any], numbers: list[int] = numbers) -> None:
            if event["type"] == "X":
                numbers.append(event["seq"])

        client.watch(note)
        await client.start()
        followers.append(client)
    await until(lambda: all(c.state.epoch for c in followers), 20)
    every = events // faults
    for number in range(1, events + 1):
        feed.publish({"type": "X", "n": number, "data": "x" * 100})
        if number % 50 == 0:
            await asyncio.sleep(0.001)
        if number % every == 0:
            if proxy.faults % 5 == 4:
                await proxy.stall(0.05)
            else:
                proxy.cut(0.5)
            await asyncio.sleep(0.02)
    await until(lambda: all(c.state.seq == events for c in followers), 60)
    await asyncio.sleep(0.05)
    results = [(numbers, c.gaps) for numbers, c in zip(seen, followers, strict=True)]
    assert proxy.faults >= faults
    for client in followers:
        await client.close()
    await proxy.close()
    return results


async def test_through_a_proxy_that_cuts_and_stalls_every_event_comes_once_and_in_order(
    open_feed: OpenFeed,
) -> None:
    """5,000 events, 25 faults, 8 clients here; benchmarks/feed/chaos.py does 100,000."""
    feed = await open_feed("j.db", outbox_events=1000)
    for numbers, gaps in await _chaos(feed, clients=8, events=5000, faults=25):
        assert numbers == list(range(1, 5001))
        assert gaps == 0


class Forgetful(FeedClient):
    """The planted bug: after a cut it starts from the snapshot as if nothing was missed."""

    def _address(self) -> str:
        return self.url


async def test_the_chaos_test_catches_a_client_that_does_not_resume(open_feed: OpenFeed) -> None:
    feed = await open_feed("j.db", outbox_events=1000)
    results = await _chaos(feed, clients=4, events=2000, faults=10, make=Forgetful)
    assert any(numbers != list(range(1, 2001)) for numbers, _ in results)


async def test_a_new_epoch_starts_from_the_snapshot(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    port = feed.port
    feed.publish(ScanStart(count=1))
    async with client_of(feed) as client:
        await until(lambda: client.state.seq == 1)
        first = client.state.epoch
        await feed.close()
        await until(lambda: client.link.state == "lost")
        assert "1001" in client.link.detail
        assert client.state.seq == 1, "the last known state stays on the screen"
        again = await open_feed(port=port)
        await until(lambda: client.link.state == "live", 10)
        assert client.state.epoch == again.state.epoch != first
        assert client.state.seq == 0
        assert client.gaps == 1


# -- older servers ------------------------------------------------------------------------

SNAPSHOT = {
    "type": "STATE_SNAPSHOT",
    "data": {
        "account": {"equity": 5.0},
        "positions": [],
        "scan_summary": {},
        "recent_trades": [],
        "events": [
            {"type": "SCAN_START", "timestamp": "2026-01-01T00:00:00+00:00", "count": n}
            for n in range(3)
        ],
    },
}


@asynccontextmanager
async def older_server(
    talk: Callable[[ServerConnection], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server as it is deployed: no subprotocol, no numbers, NaN, duplicates."""
    async with serve(talk, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"


async def test_an_older_server_is_understood(caplog: pytest.LogCaptureFixture) -> None:
    connects = 0

    async def talk(ws: ServerConnection) -> None:
        nonlocal connects
        connects += 1
        await ws.send(json.dumps(SNAPSHOT))
        # It publishes again what the snapshot already holds, then goes on.
        for event in SNAPSHOT["data"]["events"][1:]:  # type: ignore[index]
            await ws.send(json.dumps(event))
        await ws.send('{"type":"ACCOUNT_UPDATE","account":{"equity":NaN,"balance":Infinity}}')
        await ws.send('{"type":"STAT_ARB_HEDGE","symbol":"A/B","message":"no time"}')
        await ws.send("not json")
        await ws.send("[1]")
        await ws.send(json.dumps({"type": "SCAN_START", "count": 7}))
        if connects == 1:
            await ws.close(1011)
        else:
            await ws.wait_closed()

    async with older_server(talk) as url, FeedClient(url) as client:
        await until(lambda: connects == 2)
        await until(lambda: client.state.events and client.state.events[-1].get("count") == 7)
        await asyncio.sleep(0.05)
        assert client.legacy
        assert [e["type"] for e in client.state.events] == ["SCAN_START"] * 3 + [
            "STAT_ARB_HEDGE", "SCAN_START",
        ]  # fmt: skip
        assert client.state.account == {"equity": None, "balance": None}
        assert all(e["timestamp"].endswith("+00:00") for e in client.state.events)
        refused = await client.command("pause")
        assert refused.error is not None
        assert refused.error.code == "LEGACY"


async def test_a_server_that_falls_silent_is_left() -> None:
    timings = ClientTimings(first_delay_s=0.02, most_delay_s=0.1, silence_s=0.2)
    connects = 0

    async def talk(ws: ServerConnection) -> None:
        nonlocal connects
        connects += 1
        await ws.send(json.dumps({**SNAPSHOT, "epoch": "e", "seq": 0}))
        await ws.wait_closed()

    async with (
        serve(talk, "127.0.0.1", 0, subprotocols=[Subprotocol("mt5dash.v1")]) as server,
        FeedClient(
            f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws", timings=timings
        ) as client,
    ):
        await until(lambda: connects >= 2)
        assert not client.legacy
