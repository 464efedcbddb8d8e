"""Clients that keep up are served together: whatever they do in between, each gets its own."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from typing import Any

import pytest
from support.feed_kit import OpenFeed, frame, frame_of, join, upgrade
from support.until import until

from streamer.server import fanout
from streamer.server.lane import Lane
from streamer.service import Feed


class Reader:
    """A client with a small buffer that can stop reading; keeps what it got."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self._data = b""

    async def open(self, feed: Feed) -> None:
        loop = asyncio.get_running_loop()
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self.sock.setblocking(False)
        await loop.sock_connect(self.sock, ("127.0.0.1", feed.port))
        lines = (f"Host: 127.0.0.1:{feed.port}", "Sec-WebSocket-Protocol: mt5dash.v1")
        await loop.sock_sendall(self.sock, upgrade(*lines))
        self.task = asyncio.create_task(self._read())
        await until(lambda: self.got)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        headed = False
        while True:
            await self.reading.wait()
            chunk = await loop.sock_recv(self.sock, 1 << 16)
            if not chunk:
                return
            self._data += chunk
            if not headed and b"\r\n\r\n" in self._data:
                headed, self._data = True, self._data.partition(b"\r\n\r\n")[2]
            while headed and (whole := self._frame()) is not None:
                self.got.append(whole)

    def _frame(self) -> dict[str, Any] | None:
        data = self._data
        size, start = data[1] & 127 if len(data) > 1 else 0, 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        if len(data) < 2 or len(data) < start + size:
            return None
        self._data = data[start + size :]
        if data[0] != 0x81:
            return {"type": "END", "opcode": data[0] & 15}
        return dict(json.loads(data[start : start + size]))

    async def say(self, **message: Any) -> None:
        raw = json.dumps(message).encode()
        head = bytes((0x81, 0x80 | len(raw))) + b"\0\0\0\0"
        await asyncio.get_running_loop().sock_sendall(self.sock, head + raw)

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        self.sock.close()


def check(client: Reader) -> None:
    """Every log event once, in order, from where the last snapshot ended."""
    due, counted = 0, 0
    for event in client.got:
        if event["type"] == "STATE_SNAPSHOT":
            assert event["seq"] >= due - 1, "a snapshot never goes back"
            due = event["seq"] + 1
        elif event["type"] == "HEARTBEAT":
            assert event["sent"] == counted
            assert event["seq"] == due - 1
        elif "seq" in event:
            assert event["seq"] == due
            due, counted = due + 1, counted + 1


async def drive(feed: Feed, seed: int, steps: int) -> list[Reader]:
    """Publish while clients come, go, ask, subscribe, stop reading and read on; all that stayed."""
    chance = random.Random(seed)
    clients: list[Reader] = []
    for _ in range(6):
        clients.append(Reader())
        await clients[-1].open(feed)
    for step in range(steps):
        for number in range(chance.choice((1, 1, 3, 10))):
            feed.publish({"type": "X", "n": number, "data": "y" * chance.choice((10, 10_000))})
        if chance.random() < 0.5:
            feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": step}})
        client = chance.choice(clients)
        match chance.randrange(8):
            case 0:
                client.reading.clear()
            case 1 | 2:
                client.reading.set()
            case 3 if client.reading.is_set():
                await client.say(type="PING", id=str(step))
            case 4 if client.reading.is_set():
                await client.say(type="SUBSCRIBE")
            case 5 if len(clients) > 4:
                clients.remove(client)
                await client.close()
            case 6 if len(clients) < 10:
                clients.append(Reader())
                await clients[-1].open(feed)
        for _ in range(chance.choice((0, 1, 1, 5))):
            await asyncio.sleep(0)
    for client in clients:
        client.reading.set()
    last = feed.state.seq
    await until(lambda: all(any(e.get("seq") == last for e in c.got) for c in clients))
    await feed.fanout.send_heartbeats(feed.heartbeats.encode)
    await until(lambda: all(c.got[-1]["type"] == "HEARTBEAT" for c in clients))
    return clients


@pytest.mark.parametrize("seed", range(4))
async def test_every_client_gets_every_log_event_once_whatever_they_do(
    open_feed: OpenFeed, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(fanout, "AT_ONCE", 1)
    monkeypatch.setattr(fanout, "SLICE_S", 2e-5)  # a slice is a client or two
    feed = await open_feed(heartbeat_s=60, ping_s=60, messages_per_s=1000, outbox_events=100_000,
                           outbox_bytes=1 << 28)  # fmt: skip
    clients = await drive(feed, seed, 250)
    try:
        for client in clients:
            check(client)
            last = [e for e in client.got if e["type"] == "ACCOUNT_UPDATE"][-1:]
            known = [e for e in client.got if e["type"] == "STATE_SNAPSHOT"][-1]
            equity = (last or [{"account": known["data"]["account"]}])[0]["account"]["equity"]
            assert equity == feed.state.account["equity"], "the newest state reached everyone"
        assert feed.fanout.closed_slow == 0
    finally:
        for client in clients:
            await client.close()


async def test_the_check_finds_a_lane_that_serves_a_client_again(
    open_feed: OpenFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: one that leaves in the middle of a round is taken for not served."""

    def forgetful(lane: Lane, client: Any) -> None:
        served = client.slot < lane.done
        right(lane, client)
        if served and lane.logs:
            client.alone_cursor = lane.cursor

    right = Lane.leave
    monkeypatch.setattr(Lane, "leave", forgetful)
    monkeypatch.setattr(fanout, "AT_ONCE", 1)
    monkeypatch.setattr(fanout, "SLICE_S", 2e-5)
    feed = await open_feed(heartbeat_s=60, ping_s=60, messages_per_s=1000, outbox_events=100_000,
                           outbox_bytes=1 << 28)  # fmt: skip
    wrong = 0
    for client in await drive(feed, 0, 250):
        try:
            check(client)
        except AssertionError:
            wrong += 1
        await client.close()
    assert wrong > 0


async def test_clients_in_step_share_a_lane_and_one_that_asks_is_back_in_it(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed(heartbeat_s=60)
    async with await join(feed) as one, await join(feed) as other, await join(feed) as third:
        for ws in (one, other, third):
            await frame(ws)
        feed.publish({"type": "X"})
        for ws in (one, other, third):
            await frame_of(ws, "X")
        lanes = {client.lane for client in feed.fanout}
        assert len(lanes) == 1
        assert None not in lanes
        await one.send('{"type":"PING","id":"1"}')
        assert (await frame(one))["type"] == "PONG"
        await other.send('{"type":"SUBSCRIBE","types":["Y"]}')
        assert (await frame(other))["type"] == "STATE_SNAPSHOT"
        feed.publish({"type": "X"})
        feed.publish({"type": "Y"})
        assert (await frame_of(one, "X", "Y"))["type"] == "X"
        assert (await frame_of(other, "X", "Y"))["type"] == "Y"
        sizes = sorted(len(client.lane) for client in feed.fanout if client.lane is not None)
        assert sizes == [1, 2, 2], "the narrowed one is in a lane of its own"
        assert [client.sent for client in feed.fanout] == [3, 2, 3]
