"""Compares ways of sending to many clients, in one run, on one machine.

    pip install -r benchmarks/feed/requirements.txt
    python benchmarks/feed/bench.py [--quick] [--only fanout,burst,deflate,storm]

Server on one core, the load (a C reader, needs ``cc``) on the other. Each round runs every
subject; ratios are taken inside a round; medians over the rounds. ``cpu`` is the server's CPU
time in microseconds for one delivered message. Every byte that was sent is counted at the
reader, so that a subject that drops does not win.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

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

    def count(self) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("count\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def settled(self) -> int:
        """Bytes received once nothing comes any more."""
        last = -1
        while (now := self.count()) != last:
            last = now
            time.sleep(0.05)
        return last

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


DEFLATE_OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


def fanout(
    binary: Path, kind: str, clients: int, size: int, per_turn: int, gap: float, deflate: bool,
    budget: int, strict: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """One subject, one setting: the server's numbers, the bytes checked at the reader."""
    server = Server(kind, deflate)
    load = None
    try:
        load = Load(binary, server.port, clients, *([DEFLATE_OFFER] if deflate else []))
        server.ask(do="clients", n=clients)
        before = load.settled()
        turns = max(5, min(3000, budget // (clients * per_turn)))
        found = server.ask(
            do="send", size=size, turns=turns, per_turn=per_turn, gap=gap, strict=strict
        )
        got = load.settled() - before
        sent = found["count"] + per_turn * clients  # the warm-up too
        if not deflate and got < sent * size * 0.8:
            raise RuntimeError(f"{kind}: {got} bytes for {sent} messages: some were not delivered")
        return found
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


def table(title: str, rows: dict[str, list[dict[str, Any]]], key: str = "cpu_us") -> None:
    """Medians, and the median of the ratios inside each round."""
    print(f"\n### {title}\n")
    print("| subject | cpu us a message | fastapi / it | it / raw | longest turn ms |")
    print("|---|---|---|---|---|")
    for kind, found in rows.items():
        value = statistics.median(f[key] for f in found)
        against = statistics.median(
            a[key] / b[key] for a, b in zip(rows["fastapi"], found, strict=True)
        )
        raw = (
            f"{statistics.median(b[key] / a[key] for a, b in zip(rows['raw'], found, strict=True)):.2f}"
            if "raw" in rows
            else "-"
        )
        turn = statistics.median(f["max_turn_ms"] for f in found)
        print(f"| {kind} | {value:.2f} | {against:.2f} | {raw} | {turn:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and messages")
    parser.add_argument("--only", default="fanout,burst,deflate,storm")
    parser.add_argument("--clients", default="1,10,100,1000")
    parser.add_argument("--rounds", type=int, default=0)
    options = parser.parse_args()
    chosen = options.only.split(",")
    rounds = options.rounds or (3 if options.quick else 7)
    budget = 60_000 if options.quick else 300_000
    counts = [int(n) for n in options.clients.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "reader"
        subprocess.run(["cc", "-O2", "-o", str(binary), str(HERE / "reader.c")], check=True)

        def compare(title: str, kinds: list[str], **setting: Any) -> None:
            rows: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
            for _ in range(rounds):
                for kind in kinds:
                    rows[kind].append(fanout(binary, kind, budget=budget, **setting))
            table(title, rows)

        for clients in counts:
            for size in (350, 8192):
                if "fanout" in chosen:
                    compare(
                        f"one event a turn, {size} B, {clients} clients", SUBJECTS,
                        clients=clients, size=size, per_turn=1, gap=0.0, deflate=False,
                    )  # fmt: skip
        for clients in [n for n in counts if n >= 100]:
            if "burst" in chosen:
                for gap, name in ((0.0, "full speed"), (0.25, "four times a second")):
                    compare(
                        f"ten events in one turn, 350 B, {clients} clients, {name}", SUBJECTS,
                        clients=clients, size=350, per_turn=10, gap=gap, deflate=False,
                    )  # fmt: skip
            if "deflate" in chosen:
                compare(
                    f"deflate negotiated, 8 KB, {clients} clients",
                    ["hub", "aiohttp", "broadcast", "fastapi", "fastapi_old"],
                    clients=clients, size=8192, per_turn=1, gap=0.0, deflate=True,
                )  # fmt: skip
        if "storm" in chosen:
            print("\n### 1000 clients connect at once\n")
            print(
                "| subject | seconds | of fastapi | loop held ms | KiB a client |\n|---|---|---|---|---|"
            )
            rows = {kind: [] for kind in SUBJECTS}  # type: dict[str, list[dict[str, Any]]]
            for _ in range(rounds):
                for kind in SUBJECTS:
                    rows[kind].append(storm(binary, kind, 1000))
            for kind, found in rows.items():
                ratio = statistics.median(
                    f["seconds"] / g["seconds"] for f, g in zip(found, rows["fastapi"], strict=True)
                )
                cells = [
                    f"{statistics.median(f[key] for f in found):.{digits}f}"
                    for key, digits in (("seconds", 2), ("worst_ms", 0), ("kib_a_client", 1))
                ]
                print(
                    f"| {kind} | {cells[0]} | {ratio:.2f} | {cells[1]} | {cells[2]} |", flush=True
                )


if __name__ == "__main__":
    main()
