"""Real servers that alerts are delivered to in tests: HTTP and SMTP, on this machine."""

from __future__ import annotations

import base64
import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Got:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class HttpServer:
    """What came, and what is answered: (status, headers, body), the last one for ever."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(
        default_factory=lambda: [(200, {}, b"ok")]
    )

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def http_server() -> Iterator[HttpServer]:
    server = HttpServer()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.got.append(Got(self.command, self.path, headers, body))
            answers = server.answers
            status, extra, text = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            for name, value in {**extra, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = answer

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


@dataclass
class SmtpServer:
    """Mails that came as (from, to, text). ``refuse`` holds addresses that get a 550."""

    port: int = 0
    mails: list[tuple[str, list[str], str]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    greeting: bytes = b"220 test ESMTP"


@contextlib.contextmanager
def smtp_server() -> Iterator[SmtpServer]:
    server = SmtpServer()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: bytes) -> None:
            self.wfile.write(line + b"\r\n")

        def handle(self) -> None:
            self.say(server.greeting)
            if not server.greeting.startswith(b"220"):
                return
            sender, to = "", []
            while line := self.rfile.readline():
                text = line.decode().strip()
                verb = text.upper()
                if verb.startswith("EHLO"):
                    self.say(b"250-test\r\n250 AUTH PLAIN")
                elif verb.startswith("AUTH PLAIN"):
                    _, name, password = base64.b64decode(text.split()[2]).decode().split("\0")
                    server.logins.append((name, password))
                    self.say(b"235 in" if password == "right" else b"535 wrong password")
                elif verb.startswith("MAIL FROM:"):
                    sender = text[10:].split("<")[1].split(">")[0]
                    self.say(b"250 ok")
                elif verb.startswith("RCPT TO:"):
                    address = text[8:].split("<")[1].split(">")[0]
                    if address in server.refuse:
                        self.say(b"550 no such user")
                    else:
                        to.append(address)
                        self.say(b"250 ok")
                elif verb == "DATA":
                    self.say(b"354 go on")
                    lines = []
                    while (part := self.rfile.readline()) != b".\r\n":
                        lines.append(part)
                    server.mails.append((sender, to, b"".join(lines).decode()))
                    self.say(b"250 taken")
                elif verb == "QUIT":
                    self.say(b"221 bye")
                    return
                else:
                    self.say(b"250 ok")

    class Listening(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Listening(("127.0.0.1", 0), Handler) as listening:
        server.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()
