"""One bot's feed, two relays, 2000 viewers: every log event to every viewer once, and how late.

    python benchmarks/scale/relay.py [--viewers 2000] [--seconds 30] [--rate 10] [--burst 8]

Real processes and sockets: the bot's feed, two `mt5dash relay`, and two programs with half of the
viewers each (C, needs ``cc``). Every viewer checks every event: the feed's own numbers and the
bot's count must rise by exactly one. Late is from `publish` in the bot's process to the viewer's
`read`, through both journals. Exit code 1 when an event is missing, doubled or out of order, or
the 99th percentile is over 150 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIMIT_MS = 150.0
TICKS = os.sysconf("SC_CLK_TCK")


# -- the bot's feed, in a process of its own ------------------------------------------------


async def bot(folder: Path) -> None:
    """Publishes what stdin asks for: {"seconds", "rate", "burst", "size"} a line."""
    sys.path.insert(0, str(ROOT))
    from streamer.journal.writer import Journal
    from streamer.service import Feed
    from streamer.settings import FeedSettings

    settings = FeedSettings(port=0, tokens_file=folder / "tokens.json")
    feed = Feed(settings, Journal(folder / "bot.db"))
    await feed.start()
    print(json.dumps({"url": feed.url}), flush=True)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    number = 0
    chance = random.Random(5)
    while line := await reader.readline():
        order = json.loads(line)
        filler = "".join(chance.choice("0123456789abcdef") for _ in range(order["size"]))
        begin, done = time.perf_counter(), 0
        states = 0
        while (now := time.perf_counter() - begin) < order["seconds"]:
            while done < now * order["rate"]:
                # One event at a time, and once a second a scan's worth of them at once.
                count = order["burst"] if done % order["rate"] == 0 else 1
                for _ in range(count):
                    number += 1
                    at = time.monotonic_ns() // 1000
                    feed.publish({"type": "BENCH", "n": number, "at": at, "data": filler})
                done += 1
            while states < now * 2:
                states += 1
                quotes = {f"SYM{n}": {"bid": chance.random(), "ask": 1.0} for n in range(8)}
                feed.publish({"type": "QUOTE_UPDATE", "quotes": quotes})
            await asyncio.sleep(0.002)
        while feed.waiting:
            await asyncio.sleep(0.01)
        print(json.dumps({"published": number}), flush=True)
    await feed.close()


# -- the run --------------------------------------------------------------------------------


class Program:
    """A process that answers lines with lines of JSON."""

    def __init__(self, *command: str, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args!r} ended")
        return line

    def ask(self, text: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return dict(json.loads(self.line()))

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_mib(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(8)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run(args: argparse.Namespace, folder: Path, running: list[Program]) -> int:
    binary = folder / "viewers"
    subprocess.run(["cc", "-O2", "-o", str(binary), str(HERE / "viewers.c")], check=True)

    def begin(*command: str, env: dict[str, str] | None = None) -> Program:
        running.append(Program(*command, env=env))
        return running[-1]

    source = begin(sys.executable, __file__, "--bot", str(folder))
    url = json.loads(source.line())["url"]
    relays, viewers = [], []
    for number in range(args.relays):
        environ = {**os.environ, "XDG_STATE_HOME": str(folder / f"state{number}")}
        environ["MT5DASH_LOG__LEVEL"] = "warning"
        environ["PYTHONPATH"] = str(ROOT)
        relay = begin(
            sys.executable, "-m", "tui", "relay", "--upstream", url, "--port", "0",
            "--journal", str(folder / f"relay{number}.db"), env=environ,
        )  # fmt: skip
        port = relay.line().rpartition(":")[2].partition("/")[0]
        relays.append((relay, port))
    time.sleep(1.0)
    for _, port in relays:
        viewers.append(begin(str(binary), port, str(args.viewers // args.relays), "/ws"))
    for viewer in viewers:
        if viewer.line().strip() != "ready":
            raise SystemExit("the viewers did not get their snapshots")
    print(f"{args.viewers} viewers behind {args.relays} relays are ready", flush=True)
    order = {"rate": args.rate, "burst": args.burst, "size": args.size}
    source.ask(json.dumps({**order, "seconds": 2}))  # warm
    time.sleep(1.0)
    for viewer in viewers:
        viewer.ask("reset")
    before = {program: program.cpu_s() for program in running}
    published = source.ask(json.dumps({**order, "seconds": args.seconds}))["published"]
    time.sleep(2.0)
    found = [viewer.ask("report") for viewer in viewers]
    spent = {program: program.cpu_s() - before[program] for program in running}

    clients = sum(one["clients"] for one in found)
    events = sum(one["events"] for one in found)
    print(f"{published} events to each of {clients} viewers: {events} deliveries")
    wrong = 0
    for one in found:
        wrong += one["gaps"] + one["repeats"] + one["closed"] + one["strange"]
        wrong += one["least"] != published or one["most"] != published
        wrong += one["last_n"] != published
        print(json.dumps(one))
    p99 = max(one["p99_ms"] for one in found)
    names = ["bot", *["relay"] * len(relays), *["viewers"] * len(viewers)]
    for name, program in zip(names, running, strict=True):
        share = spent[program] / args.seconds
        print(f"{name:8} {share:6.1%} of a core, {program.rss_mib():6.1f} MiB")
    print(f"p99 {p99:.1f} ms (limit {LIMIT_MS:.0f}); {wrong} faults", flush=True)
    return 1 if wrong or p99 > LIMIT_MS else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=2000)
    parser.add_argument("--relays", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rate", type=int, default=10, help="turns a second that publish")
    parser.add_argument("--burst", type=int, default=8, help="events of one turn each second")
    parser.add_argument("--size", type=int, default=250, help="bytes of filler in an event")
    parser.add_argument("--bot", metavar="FOLDER", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.bot:
        asyncio.run(bot(Path(args.bot)))
        return
    running: list[Program] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            code = run(args, Path(folder), running)
        finally:
            for program in reversed(running):
                program.stop()
    raise SystemExit(code)


if __name__ == "__main__":
    main()
