"""Compares ways of sending to many clients, in one run, on one machine.

    pip install -r benchmarks/feed/requirements.txt
    python benchmarks/feed/bench.py [--rounds 7] [--quick] [--only fanout,burst,deflate,storm]
        [--clients 1,10,100,1000] [--save FILE]

Server on one core, the load (a C reader, needs ``cc``) on the other. Each round runs every
subject; ratios are taken inside a round; medians over the rounds. ``cpu`` is the server's CPU
time in microseconds for one delivered message. Every message is counted at the reader, so that
a subject that drops does not win. ``--save`` adds what was measured to a file, so that a long run
can be made in pieces; ``report.py`` makes the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import report

HERE = Path(__file__).parent
SUBJECTS = ["raw", "picows", "hub", "aiohttp", "broadcast", "fastapi"]


def pinned(core: int, command: list[str]) -> list[str]:
    """The command on one core, where that can be had."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > 1:
        return ["taskset", "-c", str(core), *command]
    return command


class Server:
    """One subject in its process."""

    def __init__(self, kind: str, deflate: bool = False) -> None:
        command = [
            sys.executable,
            str(HERE / "servers.py"),
            kind,
            "deflate" if deflate else "plain",
        ]
        self.process = subprocess.Popen(
            pinned(0, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        hello = self._read()
        self.port, self.rss = hello["port"], hello["rss"]

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the server ended")
        return dict(json.loads(line))

    def ask(self, **order: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self._read()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Load:
    """The reader with its clients."""

    def __init__(self, binary: Path, port: int, clients: int, *headers: str) -> None:
        self.process = subprocess.Popen(
            pinned(1, [str(binary), str(port), str(clients), "/ws", *headers]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("ready"):
            raise RuntimeError("the clients did not get their snapshot")
        self.ready_us = float(line.split()[1])

    def count(self) -> tuple[int, int, int]:
        """Messages and bytes received, connections closed, so far."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("count\n")
        self.process.stdin.flush()
        messages, size, closed = map(int, self.process.stdout.readline().split())
        return messages, size, closed

    def settled(self) -> tuple[int, int, int]:
        """The same once nothing comes any more."""
        last = (-1, -1, -1)
        while (now := self.count()) != last:
            last = now
            time.sleep(0.05)
        return last

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


DEFLATE_OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


Setting = dict[str, Any]
"""``size`` of an event, events ``per_turn`` of the loop, ``gap`` between turns in seconds, the
``budget`` of messages to deliver."""


def settings(chosen: list[str], clients: int, quick: bool) -> list[Setting]:
    """What is measured with this many clients, without compression."""
    found: list[Setting] = []
    budget = 30_000 if quick else 60_000
    if "fanout" in chosen:
        alone: Setting = {"per_turn": 1, "gap": 0.0, "budget": budget}
        found += [{"size": 350, **alone}, {"size": 8192, **alone}]
    if "burst" in chosen and clients >= 100:
        found.append({"size": 350, "per_turn": 10, "gap": 0.0, "budget": 2 * budget})
        found.append({"size": 350, "per_turn": 10, "gap": 0.25, "budget": clients * 80})
    return found


DEFLATE: Setting = {"size": 8192, "per_turn": 1, "gap": 0.0, "budget": 40_000}
DEFLATE_SUBJECTS = ["raw", "hub", "aiohttp", "broadcast", "fastapi", "fastapi_old"]


def fanout(
    binary: Path, kind: str, clients: int, deflate: bool, wanted: list[Setting]
) -> list[dict[str, Any]]:
    """One subject with so many clients: a result for each setting, checked at the reader.

    Raises:
        RuntimeError: a message was not delivered, or a client was closed.
    """
    server = Server(kind, deflate)
    load = None
    try:
        load = Load(binary, server.port, clients, *([DEFLATE_OFFER] if deflate else []))
        server.ask(do="clients", n=clients)
        results = []
        for setting in wanted:
            per_turn = setting["per_turn"]
            before, bytes_before, _ = load.settled()
            turns = max(5, min(3000, setting["budget"] // (clients * per_turn)))
            found = server.ask(
                do="send", size=setting["size"], turns=turns, per_turn=per_turn,
                gap=setting["gap"], strict=True,
            )  # fmt: skip
            after, bytes_after, closed = load.settled()
            sent = found["count"] + per_turn * clients  # the warm-up too
            if closed or after - before != sent:
                raise RuntimeError(f"{kind}: {after - before} of {sent} messages, {closed} closed")
            found["bytes"] = (bytes_after - bytes_before) / sent
            results.append(found)
        return results
    finally:
        if load is not None:
            load.stop()
        server.stop()


def storm(binary: Path, kind: str, clients: int) -> dict[str, Any]:
    """All connect at once: until each has its snapshot; memory; longest hold of the loop."""
    server = Server(kind)
    load = None
    try:
        server.ask(do="watch")
        load = Load(binary, server.port, clients)
        found = server.ask(do="clients", n=clients)
        time.sleep(0.3)
        after = server.ask(do="clients", n=clients)
        return {
            "seconds": load.ready_us / 1e6,
            "worst_ms": found["worst_ms"],
            "kib_a_client": (after["rss"] - server.rss) / clients,
        }
    finally:
        if load is not None:
            load.stop()
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and messages")
    parser.add_argument("--only", default="fanout,burst,deflate,storm")
    parser.add_argument("--clients", default="1,10,100,1000")
    parser.add_argument("--subjects", default=",".join(SUBJECTS))
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--save", type=Path, help="a file that the results are added to")
    options = parser.parse_args()
    chosen = options.only.split(",")
    kinds = options.subjects.split(",")
    results: list[dict[str, Any]] = []

    def keep(result: dict[str, Any]) -> None:
        results.append(result)
        if options.save:
            report.save(options.save, result)

    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "reader"
        subprocess.run(["cc", "-O2", "-o", str(binary), str(HERE / "reader.c")], check=True)
        for number in range(options.rounds or (3 if options.quick else 7)):
            this = f"{time.time():.3f}"
            turned = kinds[number % len(kinds) :] + kinds[: number % len(kinds)]
            for clients in map(int, options.clients.split(",")):
                for deflate in (False, True):
                    wanted = settings(chosen, clients, options.quick)
                    if deflate:
                        wanted = [DEFLATE] if "deflate" in chosen and clients >= 100 else []
                    extra = ["fastapi_old"] if deflate and "fastapi" in kinds else []
                    for kind in turned + extra if wanted else []:
                        if deflate and kind not in DEFLATE_SUBJECTS:
                            continue
                        found = fanout(binary, kind, clients, deflate, wanted)
                        for setting, result in zip(wanted, found, strict=True):
                            key = {"bench": "fanout", "clients": clients, "deflate": deflate}
                            keep({**key, **setting, "kind": kind, "round": this, **result})
            if "storm" in chosen:
                for kind in turned:
                    found_one = storm(binary, kind, 1000)
                    keep({"bench": "storm", "kind": kind, "round": this, **found_one})
    print(report.tables(results))


if __name__ == "__main__":
    main()
