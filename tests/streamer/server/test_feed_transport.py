"""Compression, TLS, hostile frames, and the parts of websockets that the feed leans on."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from support import needs
from support.feed_kit import OpenFeed, closed, frame, http, join, upgrade
from support.until import until
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.protocol import OPEN, State

from streamer.protocol.frames import DEFLATE_FROM, deflated_frame, text_frame
from streamer.protocol.messages import ScanStart
from streamer.service import Feed


@pytest.fixture
async def far(open_feed: OpenFeed) -> tuple[Feed, str]:
    """A feed that is not on loopback, and a token for it."""
    feed = await open_feed(host="0.0.0.0", plaintext=True)
    text, _ = feed.tokens.new("view")
    return feed, text


async def test_compressed_clients_share_one_frame_and_read_it(far: tuple[Feed, str]) -> None:
    feed, token = far
    factory = ClientPerMessageDeflateFactory(client_max_window_bits=True)
    plain = await join(feed, token=token)
    packed = [await join(feed, token=token, extensions=[factory]) for _ in range(3)]
    header = packed[0].response.headers["Sec-WebSocket-Extensions"]  # type: ignore[union-attr]
    assert "server_no_context_takeover" in header
    assert "client_no_context_takeover" in header
    assert "Sec-WebSocket-Extensions" not in plain.response.headers  # type: ignore[union-attr]
    for ws in (plain, *packed):
        await frame(ws)
    before = feed.fanout.bytes_sent
    events: list[dict[str, Any]] = [{"type": "X", "n": n, "data": "abc" * 1000} for n in range(5)]
    for event in events:
        feed.publish(event)
        feed.publish(ScanStart(count=1))  # too small to be worth it: sent as it is
        for ws in (plain, *packed):
            found = await frame(ws)
            assert found["data"] == event["data"]
            assert (await frame(ws))["type"] == "SCAN_START"
    assert {client.deflate for client in feed.fanout} == {True, False}
    assert feed.fanout.bytes_sent - before < 5 * (3100 + 4 * 400)
    for ws in (plain, *packed):
        await ws.close()


async def test_a_client_with_a_small_window_gets_no_compression(far: tuple[Feed, str]) -> None:
    feed, token = far
    small = ClientPerMessageDeflateFactory(server_max_window_bits=10)
    key_lines = (
        f"Host: 127.0.0.1:{feed.port}",
        f"Authorization: Bearer {token}",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10",
    )
    assert small.server_max_window_bits == 10
    reader, writer = await asyncio.open_connection("127.0.0.1", feed.port)
    writer.write(upgrade(*key_lines))
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"101" in head
    assert b"extensions" not in head.lower()
    writer.close()


async def test_loopback_is_not_compressed(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    async with await join(feed, compression="deflate") as ws:
        assert "Sec-WebSocket-Extensions" not in ws.response.headers  # type: ignore[union-attr]
        assert (await frame(ws))["type"] == "STATE_SNAPSHOT"


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200_000])
def test_frames_are_as_the_rfc_says(size: int) -> None:
    payload = b"x" * size
    made = text_frame(payload)
    assert made[0] == 0x81
    assert made.endswith(payload)
    assert len(made) == size + (2 if size < 126 else 4 if size < 65536 else 10)
    packed = deflated_frame(payload)
    if size < DEFLATE_FROM:
        assert packed == made
    else:
        assert packed[0] == 0xC1
        length = packed[1] & 127
        start = 2 if length < 126 else 4
        inflated = zlib.decompressobj(wbits=-15).decompress(packed[start:] + b"\0\0\xff\xff")
        assert inflated == payload


def _masked(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


async def _close_code(feed: Feed, data: bytes, *lines: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", feed.port)
    writer.write(upgrade(f"Host: 127.0.0.1:{feed.port}", *lines))
    await reader.readuntil(b"\r\n\r\n")
    writer.write(data)
    code = 0
    async with asyncio.timeout(5):
        while code == 0:
            first, length = await reader.readexactly(2)
            size = length & 127
            if size == 126:
                size = int.from_bytes(await reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await reader.readexactly(8), "big")
            payload = await reader.readexactly(size)
            if first & 15 == 8:
                code = int.from_bytes(payload[:2], "big")
            elif first & 15 == 10:
                code = 1
    writer.close()
    return code


def _bomb(size: int) -> bytes:
    deflate = zlib.compressobj(9, wbits=-15)
    body = b""
    for _ in range(size >> 20):
        body += deflate.compress(b" " * (1 << 20))
    return body + deflate.flush(zlib.Z_SYNC_FLUSH)[:-4]


async def test_a_deflate_bomb_is_told_1009_and_a_small_message_is_heard(
    far: tuple[Feed, str],
) -> None:
    feed, token = far
    lines = (f"Authorization: Bearer {token}", "Sec-WebSocket-Extensions: permessage-deflate")
    bomb = _bomb(32 << 20)
    assert len(bomb) < 65536
    assert await _close_code(feed, _masked(0xC1, bomb), *lines) == 1009
    deflate = zlib.compressobj(9, wbits=-15)
    small = deflate.compress(b'{"type":"NOPE"}') + deflate.flush(zlib.Z_SYNC_FLUSH)[:-4]
    ping = _masked(0x89, b"p")
    assert await _close_code(feed, _masked(0xC1, small) + ping, *lines) == 1


async def test_compressed_frames_that_were_not_negotiated_are_told_1002(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed()
    assert await _close_code(feed, _masked(0xC1, _bomb(1 << 20))) == 1002


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x01x", 1002),  # not masked
        (_masked(0x83, b"x"), 1002),  # reserved opcode
        (_masked(0x89, b"x" * 126), 1002),  # control frame too long
        (_masked(0x09, b"x"), 1002),  # control frame in fragments
        (_masked(0x80, b"x"), 1002),  # continuation of nothing
        (_masked(0x88, b"\x03"), 1002),  # close with half a code
        (_masked(0x81, b"x" * 70_000), 1009),
        (_masked(0x01, b"x" * 40_000) + _masked(0x80, b"x" * 40_000), 1009),
        (_masked(0x89, b"ok"), 1),  # the control: a ping is answered
    ],
)
async def test_hostile_frames_are_told_why(open_feed: OpenFeed, data: bytes, code: int) -> None:
    feed = await open_feed()
    assert await _close_code(feed, data) == code


async def test_tls_serves_the_same_feed(open_feed: OpenFeed, tmp_path: Path) -> None:
    openssl = needs.program("openssl", variable="OPENSSL", get="apt-get install openssl")
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    subprocess.run(  # noqa: ASYNC221
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    feed = await open_feed(host="0.0.0.0", tls_cert=cert, tls_key=key)
    token, _ = feed.tokens.new("view")
    assert feed.url.startswith("wss://")
    context = ssl.create_default_context(cafile=str(cert))
    async with connect(
        feed.url, ssl=context, proxy=None, additional_headers={"Authorization": f"Bearer {token}"},
        max_queue=None,
    ) as ws:  # fmt: skip
        assert (await frame(ws))["type"] == "STATE_SNAPSHOT"
        for number in range(500):
            feed.publish({"type": "X", "n": number, "data": "x" * 500})
        assert [(await frame(ws))["n"] for _ in range(500)] == list(range(500))
    with pytest.raises((OSError, EOFError, InvalidHandshake)):
        async with connect(feed.url.replace("wss", "ws"), proxy=None, open_timeout=2):
            pass


async def test_what_the_feed_uses_of_websockets_beyond_its_interface_is_there() -> None:
    """Not documented there: an upgrade that changes it has to fail here, not in the field."""
    served: list[ServerConnection] = []

    async def handler(ws: ServerConnection) -> None:
        served.append(ws)
        await ws.wait_closed()

    async with (
        serve(handler, "127.0.0.1", 0, write_limit=0, ping_interval=None) as server,
        connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", proxy=None) as client,
    ):
        await until(lambda: served)
        ws = served[0]
        assert isinstance(ws.transport, asyncio.Transport)
        assert ws.transport.get_write_buffer_limits() == (0, 0)
        assert ws.paused is False
        for name in ("connection_made", "connection_lost", "data_received", "eof_received",
                     "pause_writing", "resume_writing", "drain", "send_context"):  # fmt: skip
            assert callable(getattr(ServerConnection, name))
        assert ws.protocol.state is OPEN is State.OPEN
        assert isinstance(ws.protocol.extensions, list)
        # A frame that we made ourselves, written past the library, is a message.
        ws.transport.write(text_frame(b'{"a":1}'))
        assert json.loads(await client.recv()) == {"a": 1}
        # A close frame through the sans-I/O core is a proper close.
        ws.protocol.send_close(4008, "slow")
        for data in ws.protocol.data_to_send():
            ws.transport.write(data)
        assert (await closed(client))[0] == 4008


# -- the deployed dashboard ---------------------------------------------------------------


class Dashboard:
    """What the deployed browser client does: its reducer and its polls, rule by rule."""

    def __init__(self) -> None:
        self.account: dict[str, Any] = {}
        self.positions: list[Any] = []
        self.scan: dict[str, Any] = {}
        self.trades: list[Any] = []
        self.events: list[Any] = []

    def reduce(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "STATE_SNAPSHOT":
            data = event["data"]
            self.account, self.positions = data["account"], data["positions"]
            self.scan, self.trades = data["scan_summary"], data["recent_trades"]
            self.events = list(reversed(data["events"]))
            return
        if kind == "ACCOUNT_UPDATE":
            self.account = {**self.account, **event["account"]}
        elif kind == "POSITION_UPDATE":
            self.positions = event["positions"]
        elif kind == "SCAN_SUMMARY":
            self.scan = event
        elif kind == "TRADE_EXECUTION":
            self.trades = [event, *self.trades][:50]
        if kind not in ("ACCOUNT_UPDATE", "POSITION_UPDATE"):
            assert kind not in ("CONNECTED", "DISCONNECTED", "REST_POLL", "UNKNOWN")
            self.events = [event, *self.events][:200]


async def test_the_deployed_dashboard_goes_on_working(open_feed: OpenFeed) -> None:
    feed = await open_feed("j.db", heartbeat_s=0.05)
    feed.publish({"type": "SCAN_START", "count": 2})
    await until(lambda: feed.state.seq == 1)
    page = Dashboard()
    origin = "http://localhost:5173"
    async with await join(feed, legacy=True, origin=origin) as ws:
        page.reduce(await frame(ws))
        feed.publish({"type": "ACCOUNT_UPDATE", "account": {"balance": 1.0, "equity": 2.0}})
        feed.publish({"type": "POSITION_UPDATE", "positions": [{"ticket": 1, "symbol": "X"}]})
        feed.publish({"type": "SCAN_SUMMARY", "symbols": {"X": "ok"}, "count": 1, "candidates": 0})
        feed.publish({"type": "QUOTE_UPDATE", "quotes": {"X": {"bid": 1, "ask": 2}}})
        feed.publish(
            {"type": "TRADE_EXECUTION", "symbol": "X", "direction": "BUY", "price": 1.0, "lot": 0.1}
        )
        feed.publish({"type": "STAT_ARB_HEDGE", "symbol": "A/B", "message": "m"})
        while page.events[0]["type"] != "STAT_ARB_HEDGE":
            page.reduce(await frame(ws))
        polls = [
            await http(feed, path, Origin=origin)
            for path in ("/api/account", "/api/positions", "/api/trades")
        ]
    for status, fields, _ in polls:
        assert (status, fields["access-control-allow-origin"]) == (200, origin)
    account, positions, trades = (json.loads(body) for _, _, body in polls)
    assert account == page.account == {"balance": 1.0, "equity": 2.0}
    assert positions == page.positions
    assert [{**t, "type": "TRADE_EXECUTION"} for t in trades] == page.trades
    assert [e["type"] for e in reversed(page.events)] == [
        "SCAN_START", "SCAN_SUMMARY", "TRADE_EXECUTION", "STAT_ARB_HEDGE",
    ]  # fmt: skip
    assert page.scan["symbols"] == {"X": "ok"}
