"""Requests to other servers: bounded in time and size, proxies and redirects by rule."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support import needs
from support.alert_servers import HttpServer, http_server

from streamer import http_get
from streamer.http_get import HttpClient, NoResponse

CLIENT = HttpClient(timeout_s=5.0, max_bytes=1000, use_proxies=False)
QUICK = replace(CLIENT, timeout_s=0.4)


@pytest.fixture
def web() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server


@contextlib.contextmanager
def raw_server(
    parts: Sequence[bytes], pause_s: float = 0.0, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Answers each connection with ``parts``, a pause before each, and closes it."""
    stop = threading.Event()

    def serve() -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), plain:
                link = tls.wrap_socket(plain, server_side=True) if tls is not None else plain
                with link:
                    link.recv(65536)
                    for part in parts:
                        if stop.wait(pause_s):
                            return
                        link.sendall(part)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        scheme = "http" if tls is None else "https"
        try:
            yield f"{scheme}://localhost:{listening.getsockname()[1]}/SECRET"
        finally:
            stop.set()
            with contextlib.suppress(OSError):  # only Linux can, where it ends the accept()
                listening.shutdown(socket.SHUT_RDWR)


def test_any_status_is_a_response_with_its_body(web: HttpServer) -> None:
    web.answers = [(200, {}, b"one"), (503, {"Retry-After": "7"}, b"two"), (404, {}, b"")]
    first = CLIENT.get(web.url("/a"), {"X-Own": "1"})
    assert (first.status, first.body, first.ok, first.complete) == (200, b"one", True, True)
    second = CLIENT.post(web.url("/b"), b"{}")
    assert (second.status, second.body, second.ok) == (503, b"two", False)
    assert second.retry_after_s == 7.0
    third = CLIENT.get(web.url("/c"))
    assert (third.status, third.complete, third.retry_after_s) == (404, True, None)
    assert [(got.method, got.path, got.body) for got in web.got] == [
        ("GET", "/a", b""),
        ("POST", "/b", b"{}"),
        ("GET", "/c", b""),
    ]
    assert web.got[0].headers["x-own"] == "1"
    assert web.got[0].headers["user-agent"] == "mt5dash"


def test_a_body_is_cut_off_at_the_bound_and_says_so(web: HttpServer) -> None:
    web.answers = [(200, {}, b"x" * 1000), (200, {}, b"x" * 1001), (404, {}, b"x" * 1001)]
    assert CLIENT.get(web.url()).complete
    for _ in range(2):
        found = CLIENT.get(web.url())
        assert len(found.body) == 1000
        assert not found.complete
        assert found.too_large


def test_an_answer_that_ends_early_is_not_complete() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    with raw_server([head, b"half"]) as url:
        found = CLIENT.get(url)
    assert (found.body, found.complete, found.too_large) == (b"half", False, False)


@pytest.mark.parametrize(
    "parts",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b"x"] * 1000],
        [b"HTTP/1.1 200 OK\r\n", *[b"X: 1\r\n"] * 1000],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 1000],
        [b"HTTP/1.1 404 No\r\nContent-Length: 1000\r\n\r\n", *[b"x"] * 1000],
    ],
    ids=["body", "headers", "chunks", "error"],
)
def test_a_server_that_drips_is_given_up_in_time(parts: list[bytes]) -> None:
    with raw_server(parts, pause_s=0.05) as url:
        begun = time.monotonic()
        with pytest.raises(NoResponse, match="timed out") as caught:
            QUICK.get(url)
    assert 0.3 < time.monotonic() - begun < 2.0
    assert caught.value.retry


def test_redirects_share_the_time_and_their_bodies_are_bounded(web: HttpServer) -> None:
    client = replace(QUICK, follow_redirects=True)
    head = b"HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n" % web.url("/there").encode()
    drips = raw_server([head, *[b"x"] * 1000], pause_s=0.05)
    with drips as url, pytest.raises(NoResponse, match="timed out"):
        client.get(url)
    with raw_server([head, b"x" * (4 << 20)]) as url:
        assert replace(client, timeout_s=5.0).get(url).body == b"ok"


def test_a_slow_answer_is_waited_for_and_a_stalled_one_is_not() -> None:
    client = replace(CLIENT, stall_s=0.3)
    parts = [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", *[b"x"] * 10]
    with raw_server(parts, pause_s=0.1) as url:
        assert client.get(url).body == b"x" * 10
    begun = time.monotonic()
    with raw_server(parts, pause_s=3.0) as url, pytest.raises(NoResponse, match="timed out"):
        client.get(url)
    assert time.monotonic() - begun < 2.0


def test_silence_and_nobody_there_say_which_without_the_address() -> None:
    with raw_server([b"x"], pause_s=5.0) as url:
        with pytest.raises(NoResponse, match="timed out") as caught:
            QUICK.get(url)
        assert caught.value.retry
        assert not caught.value.connected
    with pytest.raises(NoResponse, match="no connection: ") as caught:
        CLIENT.get("http://127.0.0.1:1/SECRET")
    assert caught.value.retry
    assert "SECRET" not in str(caught.value)


def test_an_answer_in_another_protocol_is_told_apart() -> None:
    with raw_server([b"SSH-2.0-OpenSSH\r\n"]) as url, pytest.raises(NoResponse) as caught:
        CLIENT.get(url)
    assert caught.value.connected
    assert str(caught.value) == "no answer: BadStatusLine"


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://x/", "data:,x", "nothing", "http://", "http://a b/"]
)
def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(NoResponse) as caught:
        replace(CLIENT, follow_redirects=True).get(url)
    assert "hostname" not in str(caught.value)


def test_a_redirect_is_followed_only_where_that_is_the_rule(web: HttpServer) -> None:
    there = {"Location": web.url("/there")}
    web.answers = [(302, there, b""), (302, there, b""), (200, {}, b"ok")]
    found = CLIENT.get(web.url("/here"), {"Authorization": "Bearer SECRET"})
    assert (found.status, found.ok) == (302, False)
    assert [got.path for got in web.got] == ["/here"]
    following = replace(CLIENT, follow_redirects=True)
    assert following.get(web.url("/here"), {"Authorization": "Bearer SECRET"}).body == b"ok"
    assert [got.path for got in web.got] == ["/here", "/here", "/there"]
    assert "authorization" in web.got[1].headers
    assert "authorization" not in web.got[2].headers, "a secret goes to the named server only"


def test_a_proxy_of_the_environment_is_used_only_where_that_is_the_rule(
    web: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_server() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url())
        monkeypatch.delenv("no_proxy", raising=False)
        assert CLIENT.get(web.url("/straight")).ok
        assert replace(CLIENT, use_proxies=True).get(web.url("/around")).ok
        assert [got.path for got in web.got] == ["/straight"]
        assert [got.path for got in proxy.got] == [web.url("/around")]


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A server's TLS with a certificate for localhost that this process trusts."""
    openssl = needs.program("openssl", variable="OPENSSL", get="apt-get install openssl")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    http_get._tls.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    yield context
    monkeypatch.undo()
    http_get._tls.cache_clear()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"


def test_tls_is_bounded_like_the_rest(tls: ssl.SSLContext) -> None:
    with raw_server([HEAD, b"x" * 500], tls=tls) as url:
        assert replace(CLIENT, https_only=True).get(url).body == b"x" * 500
    drips = raw_server([HEAD, *[b"x"] * 500], pause_s=0.05, tls=tls)
    with drips as url, pytest.raises(NoResponse, match="timed out"):
        QUICK.get(url)
    with raw_server([], pause_s=5.0) as plain:  # no handshake
        begun = time.monotonic()
        with pytest.raises(NoResponse):
            QUICK.get(plain.replace("http:", "https:"))
        assert time.monotonic() - begun < 2.0


def test_a_certificate_that_is_not_trusted_is_not_tried_again(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    http_get._tls.cache_clear()
    with raw_server([HEAD, b"x" * 500], tls=tls) as url, pytest.raises(NoResponse) as caught:
        CLIENT.get(url)
    assert not caught.value.retry
    assert "certificate" in str(caught.value)


def test_https_only_holds_for_redirects_too(tls: ssl.SSLContext, web: HttpServer) -> None:
    client = replace(CLIENT, follow_redirects=True, https_only=True)
    with pytest.raises(NoResponse, match="only https"):
        client.get(web.url())
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n" % web.url().encode()
    with raw_server([head], tls=tls) as url:
        assert client.get(url).status == 302
    assert not web.got
