"""A recorded hour, shown again: the same frames byte for byte, and the same state at its end.

    python benchmarks/journal/hour.py [--minutes 60] [--speed 1] [--again 300] [--keep FILE]

The program runs on the paper market (``--speed`` seconds of it in a second) for so many minutes
of real time, with a client on its socket that keeps every log frame and, by the same reducer as
every face, the state. Then ``mt5dash replay`` serves the journal, ``--again`` times as fast, to
another client. Compared are the bytes of all log frames and the state at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from streamer.journal.verify import verify  # noqa: E402
from streamer.protocol.messages import SUBPROTOCOL, is_state  # noqa: E402
from streamer.state.reducer import FeedState  # noqa: E402

SECTIONS = ("account", "positions", "orders", "quotes", "scan_summary", "recent_trades")
REST = ("events", "bot", "terminal", "equity", "server_time", "speed")


@contextlib.asynccontextmanager
async def program(home: Path, *args: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """``mt5dash ARGS`` and where it listens; stopped at the end as a user would."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("MT5DASH_")}
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        env[name] = str(home / name.lower())
    env["PYTHONPATH"] = str(HERE.parents[1])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tui", *args),
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=(home / "errors.log").open("ab"),
    )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        url = next((word for word in line.split() if word.startswith("ws://")), None)
        if url is None:
            sys.exit(f"{' '.join(args)} did not start: {line}; see {home / 'errors.log'}")
        yield process, url
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 20)


class Client:
    """Reads a feed from its first log event on; comes back where it was when it is cut off."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.frames: list[bytes] = []
        self.state = FeedState()
        self.epoch = ""
        self.joins = 0

    async def run(self) -> None:
        """Until the feed goes."""
        if not self.epoch:
            async with self._connect("") as ws:
                self.epoch = json.loads(await ws.recv())["epoch"]
        while True:
            self.joins += 1
            try:
                async with self._connect(f"?since={self.epoch}:{len(self.frames)}") as ws:
                    first = json.loads(await ws.recv())
                    if first["resumed"] is not True:
                        raise RuntimeError("the feed could not resume: frames are missing")
                    self._load(first)
                    async for raw in ws:
                        self._take(raw if isinstance(raw, bytes) else raw.encode())
            except ConnectionClosed as end:
                if end.rcvd is not None and end.rcvd.code == 4008:
                    continue
                return
            except OSError:
                return
            if ws.close_code not in (4008, 1012):
                return

    def _connect(self, query: str) -> Any:
        return connect(
            self.url + query,
            subprotocols=[SUBPROTOCOL],
            compression=None,
            proxy=None,
            max_size=None,
            max_queue=None,
        )

    def _load(self, snapshot: dict[str, Any]) -> None:
        self.state.load(snapshot)

    def _take(self, raw: bytes) -> None:
        event = json.loads(raw)
        kind = event["type"]
        if kind in ("HEARTBEAT", "STATE_SNAPSHOT"):
            return
        if is_state(kind):
            self.state.apply(event)
            return
        if event["seq"] != len(self.frames) + 1:
            raise RuntimeError(f"frame {event['seq']} after {len(self.frames)}")
        self.frames.append(raw)
        if event["seq"] > self.state.seq:
            self.state.apply(event)


async def record(home: Path, path: Path, minutes: float, speed: float) -> tuple[Client, float]:
    """The hour itself: what a client saw, and the CPU seconds the program took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    args = ("tui", "--no-ui", "--port", "0", "--speed", f"{speed:g}", "--journal", str(path))
    async with program(home, *args) as (process, url):
        client = Client(url)
        reading = asyncio.create_task(client.run())
        until = time.monotonic() + minutes * 60
        told = time.monotonic()
        while time.monotonic() < until and not reading.done():
            await asyncio.sleep(min(1.0, max(0.0, until - time.monotonic())))
            if time.monotonic() - told > 60:
                told = time.monotonic()
                left = (until - told) / 60
                print(f"{len(client.frames)} log events, {left:.0f} minutes left", flush=True)
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(reading, 20)
        await process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return client, cpu


async def show_again(home: Path, path: Path, speed: float, events: int) -> Client:
    """The replay, by the program's own command, up to its end."""
    args = ("replay", "--no-ui", "--port", "0", "--speed", f"{speed:g}", "--db", str(path))
    async with program(home, *args) as (process, url):
        client = Client(url)
        reading = asyncio.create_task(client.run())
        quiet, heard = time.monotonic(), -1
        # At the end nothing comes any more: state events of the last second included.
        while time.monotonic() - quiet < 12 and not reading.done():
            if client.state.revision != heard:
                quiet, heard = time.monotonic(), client.state.revision
            await asyncio.sleep(0.1)
            if len(client.frames) < events:
                quiet = max(quiet, time.monotonic() - 6)
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(reading, 20)
    return client


def differences(live: FeedState, again: FeedState) -> list[str]:
    """Names of what is not equal in the two states."""
    one, two = live.snapshot(), again.snapshot()
    return [name for name in (*SECTIONS, *REST) if one[name] != two[name]]


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--again", type=float, default=300.0)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        path = given.keep or home / "hour.db"
        live, cpu = await record(home, path, given.minutes, given.speed)
        found = verify(path)
        began = time.monotonic()
        again = await show_again(home, path, given.again, len(live.frames))
        took = time.monotonic() - began
        same = live.frames == again.frames
        unequal = differences(live.state, again.state)
        size = path.stat().st_size
        print(
            f"{given.minutes:g} minutes at {given.speed:g}x: {len(live.frames)} log events, "
            f"{found.samples} samples, {size / 1e6:.1f} MB, {cpu:.0f} s of CPU; "
            f"verify: {found.findings or 'whole'}\n"
            f"replayed at {given.again:g}x in {took:.0f} s: {len(again.frames)} log frames, "
            f"{'equal byte for byte' if same else 'NOT EQUAL'} "
            f"({sum(map(len, again.frames))} bytes); state at the end: "
            f"{'equal' if not unequal else 'NOT EQUAL in ' + ', '.join(unequal)}; "
            f"joined {live.joins} and {again.joins} times"
        )
        if unequal:
            one, two = live.state.snapshot(), again.state.snapshot()
            for key in unequal:
                print(f"{key}: live {str(one[key])[-300:]}\n{key}: again {str(two[key])[-300:]}")
        ok = same and not unequal and found.ok and live.frames
        return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
