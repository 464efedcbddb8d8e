"""Who gets in: names, origins, tokens, roles, limits. Every refusal has a control that gets in."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
import sys
import time
from pathlib import Path

import pytest
from support.feed_kit import (
    OpenFeed,
    closed,
    frame,
    frame_of,
    handshake_status,
    http,
    join,
    upgrade,
)
from support.until import until
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from streamer.protocol.messages import Command, CommandResult
from streamer.server.policy import AccessPolicy, FailedTokens, split_host
from streamer.server.tokens import AccessError, TokenStore
from streamer.service import Feed
from streamer.settings import FeedSettings


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Host: 127.0.0.1:{port}"], 101),
        (["Host: localhost:{port}"], 101),
        (["Host: [::1]:{port}"], 101),
        (["Host: localhost:9"], 101),  # through `ssh -L 9:localhost:8000`
        (["Host: LOCALHOST"], 101),
        (["Host: evil.test"], 403),
        (["Host: evil.test:{port}"], 403),
        (["Host: localhost.evil.test"], 403),
        (["Host: localhost."], 403),
        (["Host: 192.168.1.7:{port}"], 403),
        (["Host: 127.0.0.1@evil.test"], 403),
        (["Host: 127.0.0.1:port"], 403),
        (["Host:"], 403),
        ([], 400),
        (["Host: 127.0.0.1", "Host: evil.test"], 400),
        (["Host: 127.0.0.1", "Host: 127.0.0.1"], 400),
        (["Host: 127.0.0.1", "Origin: http://localhost:5173"], 101),
        (["Host: 127.0.0.1", "Origin: http://127.0.0.1:3000"], 101),
        (["Host: 127.0.0.1", "Origin: https://localhost"], 101),
        (["Host: 127.0.0.1", "Origin: http://[::1]:5173"], 101),
        (["Host: 127.0.0.1", "Origin: http://evil.example"], 403),
        (["Host: 127.0.0.1", "Origin: null"], 403),
        (["Host: 127.0.0.1", "Origin:"], 403),
        (["Host: 127.0.0.1", "Origin: http://localhost.evil.example"], 403),
        (["Host: 127.0.0.1", "Origin: http://localhost:5173.evil.example"], 403),
        (["Host: 127.0.0.1", "Origin: http://evil.example#localhost"], 403),
        (["Host: 127.0.0.1", "Origin: http://user@localhost"], 403),
        (["Host: 127.0.0.1", "Origin: http://localhost/"], 403),
        (["Host: 127.0.0.1", "Origin: file://"], 403),
        (["Host: 127.0.0.1", "Origin: chrome-extension://localhost"], 403),
        (["Host: 127.0.0.1", "Origin: http://localhost", "Origin: http://evil.example"], 400),
        (["Host: 127.0.0.1", "Origin: http://localhost", "Origin: http://localhost"], 400),
    ],
)
async def test_a_handshake_is_judged_by_host_and_origin(
    open_feed: OpenFeed, lines: list[str], status: int
) -> None:
    feed = await open_feed()
    filled = [line.format(port=feed.port) for line in lines]
    assert await handshake_status(feed.port, *filled) == status
    assert await handshake_status(feed.port, "Host: 127.0.0.1") == 101


async def test_the_own_page_and_configured_ones_may_connect(open_feed: OpenFeed) -> None:
    feed = await open_feed(origins=["https://desk.example.org"], hosts=["bot.lan"])
    assert await handshake_status(feed.port, "Host: bot.lan:80", "Origin: http://bot.lan:80") == 101
    for origin, status in (
        ("https://desk.example.org", 101),
        ("http://desk.example.org", 403),
        ("https://desk.example.org.evil", 403),
        ("https://bot.lan:80", 403),
    ):
        found = await handshake_status(feed.port, "Host: bot.lan:80", f"Origin: {origin}")
        assert (origin, found) == (origin, status)


async def test_only_what_stays_on_this_machine_needs_no_token(open_feed: OpenFeed) -> None:
    """A proxy on this machine connects from loopback, but not for somebody on it."""
    feed = await open_feed(hosts=["bot.lan"], origins=["https://desk.example.org"])
    for headers, status in (
        ({}, 200),
        ({"Origin": "http://localhost:5173"}, 200),
        ({"Origin": "https://desk.example.org"}, 401),
        ({"Host": "bot.lan"}, 401),
        ({"X_Forwarded_For": "192.0.2.7"}, 401),
        ({"Forwarded": "for=192.0.2.7"}, 401),
    ):
        assert (headers, (await http(feed, "/api/account", **headers))[0]) == (headers, status)
    feed.settings.auth_timeout_s = 0.2
    async with await join(feed, headers={"X-Forwarded-For": "192.0.2.7"}) as ws:
        assert (await closed(ws))[0] == 4501
    async with await join(feed) as ws:
        assert (await frame(ws))["type"] == "STATE_SNAPSHOT"


# -- tokens -------------------------------------------------------------------------------


def test_a_token_is_told_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "tokens.json"
    store = TokenStore(path)
    text, token = store.new("control", "desk\x1b[31m")
    assert len(text) >= 43, "256 bits"
    body = path.read_text()
    assert text not in body
    assert text not in repr(store.list())
    assert "\x1b" not in token.name
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert TokenStore(path).find(text) == token
    for wrong in ("", text[:-1], text + "x", "é\udcff", "x" * 10_000):
        assert store.find(wrong) is None
    other, second = store.new("view")
    assert store.find(other) == second
    assert store.revoke(token.id)
    assert not store.revoke(token.id)
    assert store.find(text) is None
    assert store.find(other) == second
    with pytest.raises(AccessError, match="no role"):
        store.new("admin")  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_a_token_file_that_others_can_read_is_refused_with_the_cure(tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "tokens.json")
    text, _ = store.new("view")
    os.chmod(store.path, 0o644)
    with pytest.raises(AccessError, match="chmod 600"):
        TokenStore(store.path).find(text)
    os.chmod(store.path, 0o600)
    assert TokenStore(store.path).find(text) is not None
    store.path.write_text("{broken")
    with pytest.raises(AccessError, match="not a token file"):
        TokenStore(store.path).list()


async def test_roles_decide_who_commands_and_who_publishes(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    done: list[str] = []

    async def act(command: Command, actor: str) -> CommandResult:
        done.append(actor)
        return CommandResult(id=command.id, ok=True, result={"name": command.name})

    feed.set_commander(act)
    view, _ = feed.tokens.new("view")
    control, entry = feed.tokens.new("control")
    publish, _ = feed.tokens.new("publish")
    command = json.dumps({"type": "COMMAND", "id": "c1", "name": "pause"})
    event = json.dumps({"type": "PUBLISH", "event": {"type": "MINE", "v": 1, "seq": 9}})

    async with await join(feed, token=control) as ws:
        assert (await frame(ws))["role"] == "control"
        await ws.send(command)
        result = await frame_of(ws, "COMMAND_RESULT")
        assert result == {
            "type": "COMMAND_RESULT", "id": "c1", "ok": True, "result": {"name": "pause"},
            "error": None,
        }  # fmt: skip
        await ws.send(command)
        assert (await frame_of(ws, "COMMAND_RESULT"))["ok"]
        assert len(done) == 1, "a repeat acts once"
        assert entry.id in done[0]
        await ws.send(event)
        code, frames = await closed(ws)
        assert (code, frames[-1]["code"]) == (4503, "ROLE")

    async with await join(feed, token=publish) as ws:
        await frame(ws)
        await ws.send(event)
        assert (await frame_of(ws, "MINE"))["v"] == 1
        await ws.send(json.dumps({"type": "PUBLISH", "event": {"type": "CONNECTED"}}))
        assert (await frame_of(ws, "ERROR"))["code"] == "REFUSED"
        await ws.send(json.dumps({"type": "PUBLISH", "event": {"type": "COMMAND_AUDIT"}}))
        assert (await frame_of(ws, "ERROR"))["code"] == "REFUSED"
        await ws.send(command)
        assert (await closed(ws))[0] == 4503

    for token in (view, None):
        for message in (command, event):
            async with await join(feed, token=token) as ws:
                assert (await frame(ws))["role"] == "view"
                await ws.send(message)
                assert (await closed(ws))[0] == 4503
    assert len(done) == 1
    told = [(e["type"], e.get("state")) for e in feed.state.events]
    assert told == [("COMMAND_AUDIT", "given"), ("COMMAND_AUDIT", "done"), ("MINE", None)]


async def test_a_token_travels_in_a_header_a_subprotocol_or_the_first_message(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed(require_token=True, auth_timeout_s=0.5)
    text, _ = feed.tokens.new("view")
    async with await join(feed, token=text) as ws:
        assert (await frame(ws))["type"] == "STATE_SNAPSHOT"
    async with connect(
        feed.url,
        subprotocols=[Subprotocol("mt5dash.v1"), Subprotocol(f"bearer.{text}")],
        proxy=None,
    ) as ws:
        assert ws.subprotocol == "mt5dash.v1"
        assert (await frame(ws))["type"] == "STATE_SNAPSHOT"
    async with await join(feed) as ws:
        await ws.send(json.dumps({"type": "AUTH", "token": text}))
        assert await frame(ws) == {"type": "AUTH_OK", "role": "view"}
        assert (await frame(ws))["type"] == "STATE_SNAPSHOT"
    async with await join(feed) as ws:
        code, frames = await closed(ws)
        assert (code, frames[0]["type"]) == (4501, "ERROR")
        assert len(frames) == 1, "nothing is told before the token"
    for message in (
        "{}",
        "x",
        '{"type":"AUTH"}',
        '{"type":"PING"}',
        '{"type":"AUTH","token":"no"}',
    ):
        async with await join(feed) as ws:
            await ws.send(message)
            code, frames = await closed(ws)
            assert (code, [f["type"] for f in frames]) == (4501, ["ERROR"])


async def test_a_wrong_token_is_accepted_told_and_closed(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    async with await join(feed, token="wrong") as ws:
        code, frames = await closed(ws)
    assert (code, frames[0]["code"]) == (4501, "TOKEN")
    status, fields, _ = await http(feed, "/api/account", Authorization="Bearer wrong")
    assert (status, fields["www-authenticate"]) == (401, "Bearer")
    assert (await http(feed, "/api/account", Authorization="Basic eDp5"))[0] == 401
    assert (await http(feed, "/api/account"))[0] == 200


async def test_http_asks_for_the_token_too(open_feed: OpenFeed) -> None:
    feed = await open_feed(require_token=True)
    text, _ = feed.tokens.new("view")
    for path in ("/api/account", "/api/events", "/metrics", "/api/health", "/nope"):
        status, fields, _ = await http(feed, path, Origin="http://localhost:5173")
        assert (path, status) == (path, 401)
        assert fields["access-control-allow-origin"] == "http://localhost:5173"
    status, _, _ = await http(feed, "/api/account", Authorization=f"Bearer {text}")
    assert status == 200


def _files_with(folder: Path, needle: bytes) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and needle in p.read_bytes()]


async def test_a_token_in_a_url_is_refused_and_never_logged(
    open_feed: OpenFeed, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("mt5dash.feed.ws").setLevel(logging.ERROR)
    feed = await open_feed("j.db", require_token=True)
    text, _ = feed.tokens.new("control")
    status, _, body = await http(feed, f"/api/account?token={text}")
    assert status == 400
    assert text.encode() not in body
    assert await handshake_status(feed.port, "Host: 127.0.0.1", path=f"/ws?token={text}") == 400
    async with await join(feed, token=text) as ws:
        await frame(ws)
        await ws.send(json.dumps({"type": "COMMAND", "id": "i", "name": "pause"}))
        await frame_of(ws, "COMMAND_RESULT")
    async with await join(feed) as ws:
        await ws.send(json.dumps({"type": "AUTH", "token": text}))
        await frame_of(ws, "STATE_SNAPSHOT")
    await http(feed, "/api/nope", Authorization=f"Bearer {text}")
    await feed.close()
    server = [r.getMessage() for r in caplog.records if not r.name.startswith("websockets")]
    assert text not in "\n".join(server)
    assert not _files_with(tmp_path, text.encode())
    assert _files_with(tmp_path, feed.state.epoch.encode()), "the search finds what is there"


async def test_a_revoked_token_ends_its_connections(open_feed: OpenFeed) -> None:
    feed = await open_feed(heartbeat_s=0.1)
    text, token = feed.tokens.new("view")
    async with await join(feed, token=text) as revoked, await join(feed) as other:
        await frame(revoked)
        await frame(other)
        assert TokenStore(feed.tokens.path).revoke(token.id)
        assert (await closed(revoked))[0] == 4501
        assert (await frame(other))["type"] == "HEARTBEAT"


async def test_guessing_is_slowed_down_by_address(open_feed: OpenFeed) -> None:
    feed = await open_feed(failed_tokens_per_minute=3)
    right, _ = feed.tokens.new("control")
    assert (await http(feed, "/api/account", Authorization=f"Bearer {right}"))[0] == 200
    found = [(await http(feed, "/api/account", Authorization=f"Bearer x{n}"))[0] for n in range(5)]
    assert found == [401, 401, 401, 429, 429]
    # Now not even the right one is looked at, over the socket too.
    assert (await http(feed, "/api/account", Authorization=f"Bearer {right}"))[0] == 429
    async with await join(feed, token=right) as ws:
        assert (await closed(ws))[0] == 4029
    assert (await http(feed, "/api/account"))[0] == 200, "viewing without a token goes on"
    assert not feed.access.failures.blocked("192.0.2.7")


def test_a_block_ends_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    failures = FailedTokens(2)
    failures.add("a")
    failures.add("a")
    assert failures.blocked("a")
    now += 61
    assert not failures.blocked("a")


# -- other addresses ----------------------------------------------------------------------


def test_listening_beyond_loopback_needs_tls_or_consent(tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "t.json")
    with pytest.raises(AccessError, match="in the clear"):
        AccessPolicy(FeedSettings(host="0.0.0.0"), store)
    with pytest.raises(AccessError, match="both"):
        AccessPolicy(FeedSettings(tls_cert=Path("x")), store)
    open_access = AccessPolicy(FeedSettings(host="0.0.0.0", plaintext=True), store)
    assert open_access.without_token("127.0.0.1") is None, "a token for everything"
    assert AccessPolicy(FeedSettings(), store).without_token("127.0.0.1") is not None
    assert AccessPolicy(FeedSettings(), store).without_token("192.0.2.1") is None
    assert open_access.check(["192.0.2.1:8000"], []) is None
    refusal = open_access.check(["evil.test:8000"], [])
    assert refusal is not None
    assert refusal.status == 403


@pytest.mark.parametrize(
    ("header", "name"),
    [("a:1", "a"), ("A", "a"), ("[::1]:8", "::1"), ("", None), ("a b", None), ("a/b", None),
     ("a:x", None), ("u@a", None), ("a:99999", None)],
)  # fmt: skip
def test_host_headers_are_taken_apart_strictly(header: str, name: str | None) -> None:
    assert split_host(header) == name


# -- behind a reverse proxy ---------------------------------------------------------------


async def test_a_trusted_proxy_stands_for_its_clients_one_by_one(open_feed: OpenFeed) -> None:
    feed = await open_feed(
        failed_tokens_per_minute=2,
        trusted_proxies=["127.0.0.0/8"],
        hosts=["desk.example.org"],
    )
    token, _ = feed.tokens.new("control")

    async def ask(client: str, token: str | None, **more: str) -> tuple[int, str | None]:
        headers = {"Host": "desk.example.org", "X-Forwarded-For": client, **more}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        status, answer, _ = await http(feed, "/api/account", **headers)
        return status, answer.get("access-control-allow-origin")

    assert (await ask("192.0.2.1", None))[0] == 401, "a view through the proxy is not free"
    assert [(await ask("192.0.2.1", f"x{n}"))[0] for n in range(3)] == [401, 401, 429]
    assert (await ask("192.0.2.2", token))[0] == 200, "another client is not blocked for it"
    # What the client wrote itself stands before what the proxy appended.
    assert (await ask("192.0.2.2, 192.0.2.1", token))[0] == 429
    assert (await ask("192.0.2.1, 192.0.2.2, 127.0.0.9", token))[0] == 200
    # The page that the proxy serves by TLS is our own page.
    origin = {"Origin": "https://desk.example.org"}
    proxied = {"X-Forwarded-Proto": "https", **origin}
    assert await ask("192.0.2.2", token, **proxied) == (200, "https://desk.example.org")
    assert (await ask("127.0.0.1", token, **proxied))[0] == 200, "so it is for who sits beside it"
    assert (await ask("192.0.2.2", token, **origin))[0] == 403
    await until(
        lambda: not feed.endpoint.connections.by_address
    )  # each connection is counted off again


async def test_the_word_of_a_stranger_for_others_counts_nothing(open_feed: OpenFeed) -> None:
    feed = await open_feed(failed_tokens_per_minute=2)
    found = [
        (await http(feed, "/api/account", Authorization="Bearer x", **{"X-Forwarded-For": ip}))[0]
        for ip in ("192.0.2.1", "192.0.2.2", "192.0.2.3")
    ]
    assert found == [401, 401, 429], "all of them are 127.0.0.1"


def test_a_proxy_that_is_no_address_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="trusted_proxies"):
        AccessPolicy(FeedSettings(trusted_proxies=["proxy.local"]), TokenStore(tmp_path / "t.json"))


# -- limits -------------------------------------------------------------------------------


async def test_too_many_clients_are_told_1013(open_feed: OpenFeed) -> None:
    feed = await open_feed(max_clients=2)
    first, second = await join(feed), await join(feed)
    async with await join(feed) as third:
        assert (await closed(third))[0] == 1013
    await first.close()
    await until(lambda: len(feed.endpoint.connections) < 2)
    async with await join(feed) as fourth:
        assert (await frame(fourth))["type"] == "STATE_SNAPSHOT"
    await second.close()


async def test_too_many_clients_of_one_address_are_told_1013(open_feed: OpenFeed) -> None:
    feed = await open_feed(max_clients_per_address=1)
    async with await join(feed) as first, await join(feed) as second:
        assert (await closed(second))[0] == 1013
        assert (await frame(first))["type"] == "STATE_SNAPSHOT"


async def test_few_may_owe_their_token_at_a_time(open_feed: OpenFeed) -> None:
    feed = await open_feed(require_token=True, max_unauthenticated=2, auth_timeout_s=3)
    text, _ = feed.tokens.new("view")
    async with await join(feed) as first, await join(feed) as second:
        await until(lambda: sum(c.owes_token for c in feed.endpoint.connections) == 2)
        async with await join(feed) as third:
            assert (await closed(third))[0] == 1013
        async with await join(feed, token=text) as ready:
            assert (await frame(ready))["type"] == "STATE_SNAPSHOT"
        await first.close()
        await second.close()


async def test_too_many_messages_are_told_4029_and_a_normal_rate_is_fine(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed(messages_per_s=5)
    async with await join(feed) as calm, await join(feed) as wild:
        for _ in range(20):
            await calm.send('{"type":"PING"}')
        await frame(calm)
        for _ in range(20):
            assert (await frame_of(calm, "PONG"))["type"] == "PONG"
        for _ in range(200):
            await wild.send('{"type":"PING"}')
        assert (await closed(wild))[0] == 4029


async def test_malformed_again_and_again_is_told_4500(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    async with await join(feed) as ws:
        for _ in range(20):
            await ws.send('{"type":"NOPE"}')
        code, frames = await closed(ws)
        assert code == 4500
        assert sum(f["type"] == "ERROR" for f in frames) == 10


async def test_a_message_over_64_kib_is_told_1009_and_one_below_is_heard(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed()
    async with await join(feed) as ws:
        await ws.send(json.dumps({"type": "PING", "id": "i", "pad": "x" * 65_000}))
        await frame(ws)
        assert (await frame_of(ws, "PONG"))["id"] == "i"
        await ws.send("x" * (65536 + 1))
        assert (await closed(ws))[0] == 1009


@pytest.mark.parametrize(
    "message",
    [
        "[" * 60_000,
        '{"type":"PING","id":' + "[" * 30_000 + "]" * 30_000 + "}",
        '{"type":"PING","id":1' + "0" * 4400 + "}",
        '{"type":"PING","id":NaN}',
        '{"type":"PING","id":1e999}',
        '{"type":"PING","type":"COMMAND"}',
        '{"type":"SUBSCRIBE","types":' + json.dumps(["x"] * 5000) + "}",
    ],
)
async def test_hostile_json_costs_one_message_at_most(open_feed: OpenFeed, message: str) -> None:
    feed = await open_feed()
    async with await join(feed) as ws:
        await frame(ws)
        await ws.send(message)
        await ws.send('{"type":"PING","id":"after"}')
        assert (await frame_of(ws, "PONG"))["id"] == "after"


async def test_invalid_utf_8_is_told_1007(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    async with await join(feed) as ws:
        await ws.send(b'{"type":"PING"}\xff', text=True)
        assert (await closed(ws))[0] == 1007


async def test_a_handshake_that_never_ends_is_cut(
    open_feed: OpenFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.server.endpoint.OPEN_TIMEOUT_S", 0.5)
    feed = await open_feed()
    reader, writer = await asyncio.open_connection("127.0.0.1", feed.port)
    writer.write(upgrade("Host: 127.0.0.1")[:-2])
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        async with asyncio.timeout(5):
            await reader.readexactly(1)
    writer.close()
    assert await handshake_status(feed.port, "Host: 127.0.0.1") == 101


async def test_a_client_that_ignores_the_close_is_cut(open_feed: OpenFeed) -> None:
    feed: Feed = await open_feed(require_token=True, auth_timeout_s=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", feed.port)
    writer.write(upgrade("Host: 127.0.0.1"))
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        async with asyncio.timeout(5):
            await reader.readexactly(1 << 20)
    assert not feed.endpoint.connections
    writer.close()
