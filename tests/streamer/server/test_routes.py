"""The HTTP side: shapes that deployed dashboards rely on, errors included."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from support.feed_kit import OpenFeed, http, raw_request

from streamer.feed.health import HealthCheck
from streamer.protocol.messages import (
    Account,
    AccountUpdate,
    PositionClosed,
    PositionOpened,
    Quote,
    QuoteUpdate,
    ScanDetail,
    ScanStart,
    ScanSummary,
    TradeExecution,
)
from streamer.service import Feed

LEGACY = "http://localhost:5173"


async def filled(open_feed: OpenFeed, **settings: Any) -> Feed:
    feed = await open_feed(**settings)
    feed.publish(AccountUpdate(account=Account(balance=1000.0, equity=1010.0, currency="USD")))
    feed.publish(
        QuoteUpdate(
            quotes={
                "EURUSD": Quote(bid=1.1, ask=1.1001, time="2026-03-02T10:00:00+00:00"),
                "XAUUSD": Quote(),
            },
            server_time="2026-03-02T10:00:00+00:00",
        )
    )
    feed.publish(
        ScanSummary(
            symbols={"EURUSD": "CANDIDATE (BUY)"}, count=1, candidates=1,
            details={"EURUSD": ScanDetail(code="CANDIDATE", score=70.0)},
        )
    )  # fmt: skip
    feed.publish(TradeExecution(symbol="EURUSD", direction="BUY", price=1.1, lot=0.1))
    for ticket, profit in ((1, 5.0), (2, -3.0), (3, 4.0)):
        feed.publish(
            PositionOpened(
                ticket=ticket, symbol="EURUSD", direction="BUY", volume=0.1, entry_price=1.1,
                opened_at="2026-03-02T09:00:00+00:00", score=70.0,
                components={"trend": 20.0, "sweep": 0.0},
            )
        )  # fmt: skip
        feed.publish(
            PositionClosed(
                ticket=ticket, symbol="EURUSD", direction="BUY", volume=0.1, exit_price=1.2,
                profit=profit, swap=-0.5, commission=-0.5, r_multiple=1.5,
                closed_at="2026-03-02T09:30:00+00:00",
            )
        )  # fmt: skip
    feed.publish(
        PositionOpened(
            ticket=4, symbol="XAUUSD", direction="SELL", volume=0.2, entry_price=2300.0,
            opened_at="2026-03-02T09:45:00+00:00",
        )
    )  # fmt: skip
    return feed


async def get(feed: Feed, path: str, **headers: str) -> Any:
    status, fields, body = await http(feed, path, **headers)
    assert status == 200, body
    assert fields["content-type"] == "application/json"
    return json.loads(body)


async def test_the_routes_that_deployed_dashboards_poll_have_their_shapes(
    open_feed: OpenFeed,
) -> None:
    feed = await filled(open_feed)
    assert (await get(feed, "/api/account"))["balance"] == 1000.0
    assert await get(feed, "/api/positions") == []
    assert [t["symbol"] for t in await get(feed, "/api/trades")] == ["EURUSD"]
    scan = await get(feed, "/api/scan")
    assert set(scan) == {"symbols", "timestamp", "count", "candidates", "details"}
    state = await get(feed, "/api/state")
    assert state["account"]["balance"] == 1000.0
    assert len(state["events"]) == 9
    root = await get(feed, "/")
    assert (root["service"], root["version"]) == ("mt5dash", "test")
    assert root["status"] in ("ok", "degraded", "down")


async def test_a_quote_that_is_not_known_is_null_and_never_invented(open_feed: OpenFeed) -> None:
    feed = await filled(open_feed)
    known = await get(feed, "/api/quote?symbol=EURUSD")
    assert known == {
        "symbol": "EURUSD", "bid": 1.1, "ask": 1.1001, "time": "2026-03-02T10:00:00+00:00",
    }  # fmt: skip
    empty = await get(feed, "/api/quote?symbol=XAUUSD")
    assert empty == {"symbol": "XAUUSD", "bid": None, "ask": None, "time": None, "stale": True}
    status, _, body = await http(feed, "/api/quote?symbol=NOPE")
    assert status == 404
    assert json.loads(body)["error"]["code"] == "NO_SYMBOL"
    assert (await http(feed, "/api/quote"))[0] == 400


async def test_the_journal_routes_count_closed_trades(open_feed: OpenFeed) -> None:
    feed = await filled(open_feed)
    assert await get(feed, "/api/journal/daily") == {
        "total": 4, "wins": 2, "losses": 1, "total_profit": 3.0, "avg_rr": 1.5,
        "avg_confluence": 70.0, "win_rate": 66.67,
    }  # fmt: skip
    assert await get(feed, "/api/journal/confluence?limit=200") == {
        "trend": {"total": 3, "wins": 2, "win_rate": 66.67}
    }
    trades = await get(feed, "/api/journal/trades?limit=2")
    assert [trade["ticket"] for trade in trades] == [4, 3]
    assert trades[0]["outcome"] == "OPEN"
    assert trades[0]["profit"] is None
    assert trades[0]["exit_price"] is None
    assert trades[1] | {"profit": 3.0, "outcome": "WIN", "lot_size": 0.1} == trades[1]


async def test_an_empty_feed_gives_numbers_where_numbers_are_promised(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    assert await get(feed, "/api/account") == {}
    assert await get(feed, "/api/scan") == {}
    daily = await get(feed, "/api/journal/daily")
    assert all(isinstance(value, int | float) for value in daily.values())
    assert await get(feed, "/api/journal/confluence") == {}
    assert await get(feed, "/api/journal/trades") == []


async def test_events_come_from_memory_or_from_the_journal(open_feed: OpenFeed) -> None:
    feed = await open_feed("j.db", ring_events=256)
    for number in range(600):
        feed.publish(ScanStart(count=number))
    async with asyncio.timeout(5):
        while feed.state.seq < 600:
            await asyncio.sleep(0.01)
    assert feed.ring.first > 300
    for since, first in (("5", 6), (f"{feed.state.epoch}:590", 591)):
        page = await get(feed, f"/api/events?since={since}&limit=10")
        assert [event["seq"] for event in page["events"]] == list(range(first, first + 10))
        assert page["last"] == first + 9
    newest = await get(feed, "/api/events?limit=3")
    assert [event["seq"] for event in newest["events"]] == [598, 599, 600]
    assert (await http(feed, "/api/events?since=other:5"))[0] == 410
    assert (await http(feed, "/api/events?since=x"))[0] == 400
    assert (await http(feed, "/api/events?limit=-1"))[0] == 400
    assert len((await get(feed, "/api/events?since=0&limit=999999"))["events"]) <= 1000


async def test_bars_come_from_whoever_knows_them(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    assert (await http(feed, "/api/bars?symbol=EURUSD&timeframe=M5"))[0] == 404

    async def bars(symbol: str, timeframe: str, count: int) -> list[dict[str, Any]] | None:
        return [{"time": 1, "close": 1.0}] * count if symbol == "EURUSD" else None

    feed.set_bars(bars)
    found = await get(feed, "/api/bars?symbol=EURUSD&timeframe=M5&count=3")
    assert len(found) == 3
    assert (await http(feed, "/api/bars?symbol=X&timeframe=M5"))[0] == 404
    assert (await http(feed, "/api/bars?symbol=X"))[0] == 400


@pytest.mark.parametrize("path", ["/api/account", "/api/quote?symbol=NOPE", "/nope", "/api/bars"])
@pytest.mark.parametrize("origin", [LEGACY, "http://localhost:3000", "http://127.0.0.1:5173"])
async def test_loopback_pages_get_cors_headers_on_answers_and_errors(
    open_feed: OpenFeed, path: str, origin: str
) -> None:
    feed = await open_feed()
    _, fields, _ = await http(feed, path, Origin=origin)
    assert fields["access-control-allow-origin"] == origin
    assert "Origin" in fields["vary"]


async def test_an_internal_error_is_json_with_cors_and_leaves_no_trace_outside(
    open_feed: OpenFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = await open_feed()

    def broken(_: int) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(feed.ledger, "newest", broken)
    status, fields, body = await http(feed, "/api/journal/trades", Origin=LEGACY)
    assert status == 500
    assert fields["access-control-allow-origin"] == LEGACY
    assert b"secret detail" not in body
    assert json.loads(body)["error"]["code"] == "INTERNAL"
    assert (await http(feed, "/api/account"))[0] == 200


async def test_strangers_get_403_without_cors(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    status, fields, body = await http(feed, "/api/account", Origin="http://evil.example")
    assert status == 403
    assert "access-control-allow-origin" not in fields
    assert json.loads(body)["error"]["code"] == "ORIGIN"
    allowed = await open_feed(origins=["https://desk.example.org"])
    token, _ = allowed.tokens.new("view")
    for headers, wanted in (({}, 401), ({"Authorization": f"Bearer {token}"}, 200)):
        status, fields, _ = await http(
            allowed, "/api/account", Origin="https://desk.example.org", **headers
        )
        assert status == wanted, "a page from outside needs a token"
        assert fields["access-control-allow-origin"] == "https://desk.example.org"


async def test_head_options_and_other_methods(open_feed: OpenFeed) -> None:
    feed = await filled(open_feed)
    _, fields, body = await http(feed, "/api/account")
    status, head, nothing = await http(feed, "/api/account", method="HEAD")
    assert (status, nothing) == (200, b"")
    assert head["content-length"] == fields["content-length"] == str(len(body))
    status, fields, body = await http(
        feed, "/api/account", method="OPTIONS", Origin=LEGACY,
        Access_Control_Request_Method="GET",
    )  # fmt: skip
    assert (status, body) == (204, b"")
    assert fields["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    assert fields["access-control-allow-origin"] == LEGACY
    status, fields, body = await http(feed, "/api/account", method="DELETE", Origin=LEGACY)
    assert status == 405
    assert fields["allow"] == "GET, HEAD, OPTIONS"
    assert fields["access-control-allow-origin"] == LEGACY


async def test_the_socket_asked_for_as_a_page_says_what_it_is(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    status, fields, body = await http(feed, "/ws", Origin=LEGACY)
    assert (status, fields["upgrade"]) == (426, "websocket")
    assert json.loads(body)["error"]["code"] == "UPGRADE"
    assert fields["access-control-allow-origin"] == LEGACY


async def test_every_answer_carries_the_security_headers(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    for path in ("/", "/api/account", "/nope", "/metrics"):
        _, fields, _ = await http(feed, path)
        assert fields["x-content-type-options"] == "nosniff"
        assert fields["referrer-policy"] == "no-referrer"
        assert fields["x-frame-options"] == "DENY"
        assert "default-src 'none'" in fields["content-security-policy"]
        assert fields["cache-control"] == "no-store"


async def test_health_goes_by_evidence(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    report = json.loads((await http(feed, "/api/health"))[2])
    assert report["status"] == "degraded"
    assert report["checks"]["data"]["status"] == "degraded"
    feed.publish(AccountUpdate(account=Account(balance=1.0)))
    feed.publish({"type": "TERMINAL_STATUS", "state": "connected", "backend": "paper"})
    report = json.loads((await http(feed, "/api/health"))[2])
    assert report["status"] == "ok"
    assert report["checks"]["data"]["age_s"] < 10
    feed.state.updated["account"] -= 60
    report = json.loads((await http(feed, "/api/health"))[2])
    assert report["checks"]["data"]["status"] == "degraded"
    feed.publish({"type": "TERMINAL_STATUS", "state": "disconnected", "backend": "paper"})
    status, _, body = await http(feed, "/api/health")
    assert (status, json.loads(body)["status"]) == (503, "down")

    def broken() -> HealthCheck:
        raise RuntimeError

    feed.health.register("broken", broken)
    assert json.loads((await http(feed, "/api/health"))[2])["checks"]["broken"]["status"] != "ok"


async def test_metrics_are_prometheus_text(open_feed: OpenFeed) -> None:
    feed, other = await filled(open_feed), await open_feed()
    status, fields, body = await http(feed, "/metrics")
    assert status == 200
    assert fields["content-type"].startswith("text/plain; version=0.0.4")
    text = body.decode()
    assert re.search(r"^mt5dash_seq 9\.0$", text, re.M)
    assert re.search(r"^mt5dash_events_total 11\.0$", text, re.M)
    assert b"mt5dash_seq 0.0" in (await http(other, "/metrics"))[2]


async def test_numbers_that_are_not_finite_do_not_break_any_route(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": float("nan")}})
    feed.publish({"type": "X", "v": float("inf")})
    assert await get(feed, "/api/account") == {"equity": None}
    assert (await get(feed, "/api/state"))["events"][0]["v"] is None


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /api/account HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello",
        b"GET /api/account HTTP/1.1\nHost: 127.0.0.1\n\n",
        b"GET /api/account HTTP/1.1\r\nHost: 127.0.0.1\r\n folded: x\r\n\r\n",
        b"GET /api/account HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"\x00\xff\x00\xff\r\n\r\n",
    ],
)
async def test_hostile_requests_get_no_data(open_feed: OpenFeed, request_bytes: bytes) -> None:
    feed = await filled(open_feed)
    answer = await raw_request(feed.port, request_bytes)
    assert b"1010.0" not in answer
    assert not answer.startswith(b"HTTP/1.1 200")
    good = await raw_request(feed.port, b"GET /api/account HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert b"1010.0" in good
