"""Alerts on their way out: real HTTP and SMTP servers, real threads, a feed that never waits."""

from __future__ import annotations

import asyncio
import email
import hashlib
import hmac
import logging
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.alert_servers import HttpServer, SmtpServer, http_server, smtp_server
from support.feed_kit import OpenFeed
from support.until import until

from streamer.alerts.channels import HTTP, Desktop, Message, NotDelivered, open_channels, request
from streamer.alerts.service import Alerts
from streamer.alerts.settings import AlertSettings
from streamer.alerts.timings import AlertTimings
from streamer.service import Feed

SECRET = "12345:VERY-SECRET"
QUICK = AlertTimings(check_s=0.02, retry_delays_s=(0.01, 0.01, 0.01))


@pytest.fixture
def web() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server


@pytest.fixture
def post() -> Iterator[SmtpServer]:
    with smtp_server() as server:
        yield server


@pytest.fixture
async def feed(open_feed: OpenFeed) -> Feed:
    return await open_feed()


@pytest.fixture
async def start(feed: Feed) -> AsyncIterator[Any]:
    """``start(webhook=..., ...)``: alerts of the feed, checked often, tried again at once."""
    made: list[Alerts] = []

    def begin(monotonic: Callable[[], float] = time.monotonic, **settings: Any) -> Alerts:
        alerts = Alerts(feed, AlertSettings(**settings), monotonic=monotonic, timings=QUICK)
        alerts.start()
        made.append(alerts)
        return alerts

    yield begin
    for alerts in made:
        await alerts.close()


def told(text: str, level: str = "warning", code: str | None = None) -> dict[str, Any]:
    return {"type": "RISK_ALERT", "code": code or text, "level": level, "text": text}


def codes(feed: Feed) -> list[str]:
    return [e["code"] for e in feed.state.events if e["type"] == "RISK_ALERT"]


async def test_a_webhook_gets_signed_json(feed: Feed, web: HttpServer, start: Any) -> None:
    start(webhook={"url": web.url("/hook?k=1"), "secret": "key"}, name="desk 1")
    feed.publish(told("spread is wide"))
    await until(lambda: web.got)
    got = web.got[0]
    assert (got.method, got.path) == ("POST", "/hook?k=1")
    assert got.json["title"] == "desk 1 warning"
    assert got.json["text"] == "spread is wide"
    assert got.json["kind"] == "error"
    assert got.json["event"]["code"] == "spread is wide"
    assert got.json["at"].endswith("+00:00")
    signature = hmac.new(b"key", got.body, hashlib.sha256).hexdigest()
    assert got.headers["x-mt5dash-signature"] == f"sha256={signature}"


async def test_telegram_gets_a_message_silent_unless_it_matters(
    feed: Feed, web: HttpServer, start: Any
) -> None:
    start(telegram={"token": SECRET, "chat": "@desk", "api": web.url("/")})
    trade = {"type": "TRADE_EXECUTION", "symbol": "EURUSD", "direction": "BUY", "lot": 0.1,
             "price": 1.0845, "deal": 1}  # fmt: skip
    feed.publish(trade)
    feed.publish(told("fire", "critical"))
    await until(lambda: len(web.got) == 2)
    assert web.got[0].path == f"/bot{SECRET}/sendMessage"
    assert web.got[0].json == {
        "chat_id": "@desk",
        "text": "mt5dash info\nopened BUY EURUSD 0.10 lots at 1.08450",
        "disable_notification": True,
    }
    assert web.got[1].json["disable_notification"] is False


async def test_mail_goes_through_a_server_that_asks_for_a_login(
    feed: Feed, post: SmtpServer, start: Any
) -> None:
    start(
        email={
            "host": "127.0.0.1", "port": post.port, "tls": "none", "user": "me",
            "password": "right", "sender": "bot@desk.example", "to": ["a@x.example", "b@x.example"],
        }
    )  # fmt: skip
    feed.publish(told("größer als gedacht"))
    await until(lambda: post.mails)
    sender, to, text = post.mails[0]
    assert (sender, to) == ("bot@desk.example", ["a@x.example", "b@x.example"])
    mail = email.message_from_bytes(text.encode(), policy=email.policy.default)
    assert mail["Subject"] == "mt5dash warning: größer als gedacht"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().splitlines()[0] == "größer als gedacht"
    assert post.logins == [("me", "right")]


@pytest.mark.parametrize(
    ("change", "words", "again"),
    [
        ({"password": "wrong", "user": "me"}, "SMTP 535: wrong password", False),
        ({"to": ["gone@x.example"]}, "refused for gone@x.example", False),
        ({"to": ["a@x.example", "gone@x.example"]}, "refused for gone@x.example", False),
        ({"tls": "starttls"}, "no mail: STARTTLS", True),
        ({"port": 1}, "no mail: ", True),
    ],
)
def test_mail_that_is_refused_says_why(
    post: SmtpServer, change: dict[str, Any], words: str, again: bool
) -> None:
    post.refuse = {"gone@x.example"}
    settings = {"host": "127.0.0.1", "port": post.port, "tls": "none", "sender": "s@x.example",
                "to": ["a@x.example"]}  # fmt: skip
    [way] = open_channels(AlertSettings(email=settings | change))
    with pytest.raises(NotDelivered) as caught:
        way.send(Message("t", "x", "info", "test", "now"))
    assert str(caught.value).startswith(words)
    assert caught.value.retry is again


async def test_what_a_server_refuses_for_now_is_tried_again(
    feed: Feed, web: HttpServer, start: Any
) -> None:
    alerts = start(webhook={"url": web.url()})
    web.answers = [(503, {}, b""), (429, {"Retry-After": "0"}, b""), (200, {}, b"")]
    feed.publish(told("x"))
    await until(lambda: alerts.couriers[0].delivered)
    assert len(web.got) == 3
    assert len({got.body for got in web.got}) == 1
    assert not alerts.dead_letters


async def test_what_cannot_be_delivered_is_a_dead_letter_that_everyone_sees_without_the_secret(
    feed: Feed, web: HttpServer, start: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mt5dash")
    alerts = start(telegram={"token": SECRET, "chat": "1", "api": web.url()})
    web.answers = [(401, {}, b'{"description":"Unauthorized"}')]
    for n in range(3):
        feed.publish(told(f"trouble {n}"))
    await until(lambda: len(alerts.dead_letters) == 3)
    assert len(web.got) == 3, "a wrong token is not tried again"
    letter = alerts.dead_letters[0]
    assert (letter.channel, letter.message.text, letter.tries) == ("telegram", "trouble 0", 1)
    assert letter.error.startswith("HTTP 401")
    await until(lambda: "ALERT_UNDELIVERED" in codes(feed))
    assert codes(feed).count("ALERT_UNDELIVERED") == 1, "and not one for each"
    health = feed.health.report()["checks"]["alerts"]
    assert health["status"] == "degraded"
    assert "3 dead letters" in health["text"]
    seen = str(list(feed.state.events)) + str(health) + caplog.text + str(alerts.dead_letters)
    assert "VERY-SECRET" not in seen
    web.answers = [(200, {}, b"{}")]
    feed.publish(told("fine"))
    await until(lambda: "ALERT_DELIVERED" in codes(feed))
    assert feed.health.report()["checks"]["alerts"]["status"] == "ok"
    assert [got.json["text"].splitlines()[1] for got in web.got[3:]] == ["fine"], "no echo"


async def test_a_channel_that_hangs_holds_up_neither_the_feed_nor_the_others(
    feed: Feed, web: HttpServer, start: Any
) -> None:
    released, hanging = threading.Event(), threading.Event()

    class Hangs:
        name = "tar pit"

        def send(self, message: Message) -> None:
            hanging.set()
            released.wait(30)

    settings = AlertSettings(webhook={"url": web.url()})
    alerts = Alerts(feed, settings, channels=[Hangs(), *open_channels(settings)])
    alerts.start()
    try:
        feed.publish(told("first"))
        await until(hanging.is_set)
        for n in range(150):
            feed.publish(told(f"a{n}"))
        await until(lambda: alerts.couriers[1].delivered == 151)
        for n in range(100):
            feed.publish(told(f"b{n}"))
        # 250 for a queue of 200, the first one in the hand of the thread that hangs
        assert len([d for d in alerts.dead_letters if d.channel == "tar pit"]) == 50
        assert alerts.dead_letters[0].error == "200 others wait already"
        assert alerts.couriers[0].waiting == 200
        await until(lambda: alerts.couriers[1].delivered == 251)
    finally:
        released.set()
        await alerts.close()


async def test_a_server_that_takes_the_call_and_says_nothing_is_given_up() -> None:
    client = replace(HTTP, timeout_s=0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/SECRET"
        with pytest.raises(NotDelivered) as caught:
            await asyncio.to_thread(request, url, client=client)
    assert str(caught.value).startswith(("no answer", "no connection"))
    assert caught.value.retry
    assert "SECRET" not in str(caught.value)


def test_a_redirect_is_not_followed(web: HttpServer) -> None:
    web.answers = [(302, {"Location": web.url("/elsewhere")}, b"")]
    with pytest.raises(NotDelivered, match="HTTP 302"):
        request(web.url("/"), b"{}")
    assert [got.path for got in web.got] == ["/"]


def test_only_http_is_spoken() -> None:
    with pytest.raises(NotDelivered):
        request("file:///etc/hostname")


async def test_repeats_are_one_message(feed: Feed, web: HttpServer, start: Any) -> None:
    start(webhook={"url": web.url()})
    for _ in range(50):
        feed.publish(told("spread", code="SPREAD"))
    feed.publish(told("last"))
    await until(lambda: len(web.got) >= 2)
    assert [got.json["text"] for got in web.got] == ["spread", "last"]


async def test_a_terminal_that_is_away_for_long_is_told(
    feed: Feed, web: HttpServer, start: Any
) -> None:
    now = [1000.0]
    start(lambda: now[0], webhook={"url": web.url()}, stale_s=60)
    feed.publish({"type": "TERMINAL_STATUS", "state": "stale", "backend": "paper"})
    await asyncio.sleep(0.1)
    assert web.got == []
    now[0] += 61
    await until(lambda: web.got)
    assert web.got[0].json["text"] == "for 60 s the terminal is stale"
    feed.publish({"type": "TERMINAL_STATUS", "state": "connected", "backend": "paper"})
    await until(lambda: len(web.got) == 2)
    assert web.got[1].json["text"] == "over: the terminal is stale"


async def test_the_dead_man_pings_while_all_is_well_and_only_then(
    feed: Feed, web: HttpServer, start: Any
) -> None:
    feed.publish({"type": "TERMINAL_STATUS", "state": "connected", "backend": "paper"})
    alerts = start(dead_man={"url": web.url("/ping"), "every_s": 1})
    assert alerts._ping is not None
    alerts._ping._every_s = 0.02
    await until(lambda: len(web.got) >= 3)
    assert {(got.method, got.path) for got in web.got} == {("GET", "/ping")}
    # Not well: nothing goes out, and health says so.
    alerts._healthy_at = -100.0
    feed.publish({"type": "TERMINAL_STATUS", "state": "disconnected", "backend": "paper"})
    alerts._healthy_at = -100.0
    await until(lambda: "held back" in (alerts._ping.trouble or ""))
    count = len(web.got)
    await asyncio.sleep(0.2)
    assert len(web.got) == count
    assert "held back" in feed.health.report()["checks"]["alerts"]["text"]
    # Well again.
    feed.publish({"type": "TERMINAL_STATUS", "state": "connected", "backend": "paper"})
    await until(lambda: len(web.got) > count)
    # A loop that hangs is not well either: no check has found it well.
    assert alerts._task is not None
    alerts._task.cancel()
    alerts._healthy_at = time.monotonic() - QUICK.healthy_s
    await until(lambda: "held back" in (alerts._ping.trouble or ""))


async def test_without_a_way_out_nothing_is_started(feed: Feed) -> None:
    alerts = Alerts(feed, AlertSettings())
    alerts.start()
    assert not alerts.needed
    assert "alerts" not in feed.health.report()["checks"]
    assert not [t for t in threading.enumerate() if t.name.startswith("alerts")]
    await alerts.close()


async def test_what_waits_goes_out_before_the_end(feed: Feed, web: HttpServer) -> None:
    alerts = Alerts(feed, AlertSettings(webhook={"url": web.url()}))
    alerts.start()
    for n in range(20):
        feed.publish(told(f"n{n}"))
    await alerts.close()
    assert len(web.got) == 20


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="notify-send is of Linux")
def test_the_desktop_gets_texts_as_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "notify-send"
    program.write_text('#!/bin/sh\nfor a in "$@"; do printf "%s\\0" "$a"; done > "$0.args"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    Desktop().send(Message("-t $(id)", "<b>x</b>; rm", "critical", "test", "now"))
    given = (tmp_path / "notify-send.args").read_text().split("\0")[:-1]
    assert given == [
        "-a", "mt5dash", "-u", "critical", "--", "-t $(id)", "&lt;b&gt;x&lt;/b&gt;; rm",
    ]  # fmt: skip
    program.write_text('#!/bin/sh\necho "no bus" >&2\nexit 1\n')
    with pytest.raises(NotDelivered, match="no bus"):
        Desktop().send(Message("t", "x", "info", "test", "now"))
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(NotDelivered, match="libnotify-bin"):
        Desktop().send(Message("t", "x", "info", "test", "now"))


async def test_another_bots_alert_says_whose_it_is_and_hides_no_own_one(
    feed: Feed, web: HttpServer, start: Any
) -> None:
    start(webhook={"url": web.url("/hook")})
    halted = {"type": "BOT_STATUS", "state": "halted", "reason": {"code": "X", "text": "enough"}}
    feed.publish(halted, bot="beta")
    feed.publish(halted)
    feed.publish({"type": "BOT_STATUS", "state": "waiting"}, bot="beta")
    feed.publish(halted)  # sent already, whatever beta publishes meanwhile
    await until(lambda: len(web.got) >= 2)
    await asyncio.sleep(0.1)
    texts = [got.json["text"] for got in web.got if "enough" in got.json["text"]]
    assert len(texts) == 2
    assert texts[0].startswith("beta: ")
    assert not texts[1].startswith("beta")
