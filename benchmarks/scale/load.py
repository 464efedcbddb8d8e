"""Viewers for a measurement: ``load.py HOST PORT N [deflate]``, real sockets that count bytes.

On stdin ``count`` prints bytes received and connections closed; ``end`` ends it. ``ready`` is
printed once all have their snapshot's first bytes.
"""

from __future__ import annotations

import base64
import os
import select
import socket
import sys


def main() -> None:
    """Connect N clients one after the other, then read until told to end."""
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    deflate = "deflate" in sys.argv[4:]
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    buffer = bytearray(1 << 18)
    received = closed = 0

    def read(budget: float) -> None:
        nonlocal received, closed
        for descriptor, _ in poll.poll(budget):
            if descriptor == 0:
                continue
            try:
                got = sockets[descriptor].recv_into(buffer)
            except BlockingIOError:
                continue
            except OSError:
                got = 0
            received += got
            if got == 0:
                closed += 1
                poll.unregister(descriptor)
                sockets.pop(descriptor).close()

    lines = [
        "GET /ws HTTP/1.1",
        f"Host: {host}:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: mt5dash.1",
    ]
    if deflate:
        lines.append(
            "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover"
        )
    for _ in range(count):
        key = base64.b64encode(os.urandom(16)).decode()
        client = socket.create_connection((host, port))
        client.sendall("\r\n".join([*lines, f"Sec-WebSocket-Key: {key}", "", ""]).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(65536)
            if not more:
                raise SystemExit("the server refused a viewer")
            head += more
        client.setblocking(False)
        sockets[client.fileno()] = client
        poll.register(client.fileno(), select.EPOLLIN)
        read(0)
    print("ready", flush=True)
    poll.register(0, select.EPOLLIN)
    while True:
        read(0.2)
        if not select.select([0], [], [], 0)[0]:
            continue
        word = sys.stdin.readline().strip()
        if word != "count":
            return
        print(received, closed, flush=True)


if __name__ == "__main__":
    main()
