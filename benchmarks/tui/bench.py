"""What the screen costs: CPU, lag of the loop, change to screen, beside a DataTable.

Each case runs in a process of its own on a pseudo terminal of 120x36 that is read all the time.

    python benchmarks/tui/bench.py                    # all cases, 20 s each
    python benchmarks/tui/bench.py storm --seconds 60

Cases:
    grid         200 positions x 10 columns, all changed 10 times a second
    datatable    the same rows and rate in Textual's DataTable, as the control
    storm        10,000 log events a second into the screen, 200 positions changed 10 times a
                 second, and a feed on the same loop; one-way time to a client in another process
    feed         a feed on the loop of ``grid``, with the same client

How long the program takes to show something is measured by ``start.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
SIZE = (120, 36)
HZ = 10
ROWS = 200
WARM_S = 3.0
FEED_HZ = 50
GOALS = {
    "grid": {"cpu_percent": 15.0, "lag_p99_ms": 25.0, "latency_p50_ms": 25.0},
    "storm": {"lag_p99_ms": 100.0, "lost": 0, "one_way_p99_ms": 50.0, "feed_lost": 0},
    "feed": {"one_way_p99_ms": 50.0, "feed_lost": 0},
}


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


# -- in the child ---------------------------------------------------------------------------


class Meter:
    """CPU, lag of a 10 ms ticker, and the time from a change to the frame that shows it."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.latencies: list[float] = []
        self.changed_at: float | None = None
        self.frames = 0
        self._cpu = self._wall = 0.0

    async def tick(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            self.lags.append((time.perf_counter() - before - 0.01) * 1000)

    def frame(self) -> None:
        self.frames += 1
        if self.changed_at is not None:
            self.latencies.append((time.perf_counter() - self.changed_at) * 1000)
            self.changed_at = None

    def start(self) -> None:
        gc.freeze()  # as the program does once it runs; for the control, too
        self.lags.clear()
        self.latencies.clear()
        self.frames = 0
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def result(self) -> dict[str, float]:
        wall = time.perf_counter() - self._wall
        return {
            "cpu_percent": (time.process_time() - self._cpu) / wall * 100,
            "lag_p50_ms": percentile(self.lags, 0.5),
            "lag_p99_ms": percentile(self.lags, 0.99),
            "latency_p50_ms": percentile(self.latencies, 0.5),
            "latency_p95_ms": percentile(self.latencies, 0.95),
            "frames_per_s": self.frames / wall,
        }


def rows_at(step: int) -> list[dict[str, Any]]:
    """200 positions whose every number differs from those of the step before; made once, as
    making them is the market's work and not the screen's."""
    return STEPS[step % len(STEPS)]


def make_rows(step: int) -> list[dict[str, Any]]:
    out = []
    for i in range(ROWS):
        move = ((step * 7 + i * 13) % 97 - 48) * 1e-5
        out.append(
            {
                "ticket": 530000000 + i, "symbol": f"SYM{i:03d}", "type": i % 2,
                "direction": "BUY" if i % 2 == 0 else "SELL",
                "volume": 0.01 + (step + i) % 90 / 100, "entry_price": 1.1 + i * 1e-4 + move / 9,
                "price_current": 1.1 + i * 1e-4 + move, "sl_price": 1.09 + i * 1e-4 + move / 3,
                "tp_price": 1.11 + i * 1e-4 - move / 3, "profit": move * 1e5 + i / 7,
                "risk": -50.0 - (step + i) % 40, "initial_risk": 50.0, "digits": 5,
                "swap": -(step % 50) / 10, "commission": -0.7, "magic": 234000, "owner": "bot",
                "opened_at": "2026-03-04T12:58:01+00:00", "comment": "bench",
            }
        )  # fmt: skip
    return out


STEPS = [make_rows(step) for step in range(97)] if "--child" in sys.argv else []


def our_app(meter: Meter, source: Any) -> Any:
    from tui.app.app import DashApp
    from tui.options import Defaults
    from tui.terminal.select import screen_driver

    class Measured(DashApp):
        def post_display_hook(self) -> None:
            meter.frame()

    return Measured(source, settings=Defaults(hz=HZ), driver_class=screen_driver())


async def run_beside(app: Any, meter: Meter, work: Any) -> asyncio.Task[dict[str, Any]]:
    """Run the app with the work beside it; an app that ends before its work failed."""
    ticker = asyncio.create_task(meter.tick())
    job = asyncio.create_task(work)
    await app.run_async()
    ticker.cancel()
    done, _ = await asyncio.wait([job], timeout=2)
    if not done:
        job.cancel()
        raise SystemExit(f"the screen ended before its work was done: {app.return_value!r}")
    return job


class Beside:
    """A feed on the screen's loop, and its client in another process; ``FEED_HZ`` events a
    second are told to it."""

    async def open(self, seconds: float) -> None:
        from streamer.service import Feed
        from streamer.settings import FeedSettings

        self.feed = Feed(FeedSettings(port=0))
        await self.feed.start()
        self.sent = 0
        self._reader = subprocess.Popen(  # noqa: ASYNC220 - once, before anything is measured
            [sys.executable, __file__, "--reader", self.feed.url, "--seconds", str(seconds)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while not len(self.feed.fanout):
            await asyncio.sleep(0.01)
        self._task = asyncio.create_task(self._tell(seconds))

    async def _tell(self, seconds: float) -> None:
        due = time.time()
        end = due + seconds
        while due < end:
            # By the time it was due: a loop that is late cannot hide it.
            self.feed.publish({"type": "BENCH", "due": due, "pad": "x" * 200})
            self.sent += 1
            due += 1 / FEED_HZ
            await asyncio.sleep(max(0.0, due - time.time()))

    async def close(self) -> dict[str, float]:
        await self._task
        text, _ = await asyncio.to_thread(self._reader.communicate)
        await self.feed.close()
        told: dict[str, float] = json.loads(text)
        return {**told, "feed_lost": self.sent - told["heard"]}


async def grid(seconds: float, with_feed: bool) -> dict[str, Any]:
    from support.fake_source import FakeSource, trading_day

    from tui.options import Clock

    meter = Meter()
    source = trading_day(FakeSource(Clock()))
    app = our_app(meter, source)
    beside = Beside() if with_feed else None

    async def work() -> dict[str, Any]:
        while not app.is_running or not app.screen_stack:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)
        app.main.maximised = 1
        app.main.fit_window()
        if beside is not None:
            await beside.open(seconds + WARM_S)
        result: dict[str, Any] = {}
        end = time.perf_counter() + WARM_S + seconds
        begun = time.perf_counter() + WARM_S
        step = 0
        next_at = time.perf_counter()
        while time.perf_counter() < end:
            if begun and time.perf_counter() >= begun:
                begun = 0.0
                meter.start()
            rows = rows_at(step)
            step += 1
            meter.changed_at = time.perf_counter()
            source.publish("POSITION_UPDATE", positions=rows)
            next_at += 1 / HZ
            await asyncio.sleep(max(0.0, next_at - time.perf_counter()))
        result = meter.result()
        if beside is not None:
            result |= await beside.close()
        app.exit()
        return result

    job = await run_beside(app, meter, work())
    return await job


async def datatable(seconds: float) -> dict[str, Any]:
    from textual.app import App, ComposeResult
    from textual.widgets import DataTable

    from tui.render import format as f

    meter = Meter()

    class Control(App[None]):
        def compose(self) -> ComposeResult:
            yield DataTable()

        def post_display_hook(self) -> None:
            meter.frame()

    app = Control()

    def cells(p: dict[str, Any]) -> list[str]:
        return [
            p["symbol"], f.side(p["direction"]), f.lots(p["volume"]),
            f.price(p["entry_price"], 5), f.price(p["price_current"], 5), f.money(p["profit"]),
            f.price(p["sl_price"], 5), f.price(p["tp_price"], 5), f.money(p["risk"]),
            f.money(p["swap"]),
        ]  # fmt: skip

    async def work() -> dict[str, Any]:
        while not app.is_running or not app.screen_stack:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)
        table = app.query_one(DataTable)
        columns = table.add_columns(
            *["Sym", "Side", "Lots", "Entry", "Now", "P/L", "SL", "TP", "Risk", "Swap"]
        )
        keys = [table.add_row(*cells(p)) for p in rows_at(0)]
        begun = time.perf_counter() + WARM_S
        end = begun + seconds
        step = 1
        next_at = time.perf_counter()
        while time.perf_counter() < end:
            if begun and time.perf_counter() >= begun:
                begun = 0.0
                meter.start()
            rows = rows_at(step)
            step += 1
            meter.changed_at = time.perf_counter()
            with app.batch_update():
                for key, row in zip(keys, rows, strict=True):
                    for column, text in zip(columns, cells(row), strict=True):
                        table.update_cell(key, column, text)
            next_at += 1 / HZ
            await asyncio.sleep(max(0.0, next_at - time.perf_counter()))
        result = meter.result()
        app.exit()
        return result

    job = await run_beside(app, meter, work())
    return await job


async def storm(seconds: float) -> dict[str, Any]:
    from support.fake_source import FakeSource, trading_day

    from tui.options import Clock

    meter = Meter()
    source = trading_day(FakeSource(Clock()))
    app = our_app(meter, source)
    sent = 0
    beside = Beside()

    async def work() -> dict[str, Any]:
        nonlocal sent
        while not app.is_running or not app.screen_stack:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)
        await beside.open(seconds)
        before = app.session.received
        meter.start()
        start = time.perf_counter()
        step = 0
        while (passed := time.perf_counter() - start) < seconds:
            while sent < passed * 10_000:
                source.publish("ORDER_UPDATE", order=sent, symbol="EURUSD", direction="BUY",
                               kind="limit", status="placed", volume=0.1, price=1.1)  # fmt: skip
                sent += 1
            if passed * HZ >= step:
                source.publish("POSITION_UPDATE", positions=rows_at(step))
                step += 1
            await asyncio.sleep(0.005)
        result: dict[str, Any] = meter.result()
        await asyncio.sleep(2.0)
        result |= {
            "sent": sent,
            "sent_per_s": sent / seconds,
            "lost": sent - (app.session.received - before),
        }
        result |= await beside.close()
        app.exit()
        return result

    job = await run_beside(app, meter, work())
    return await job


async def reader(url: str, seconds: float) -> None:
    """A client in another process: one-way times by the wall clock of this machine."""
    from streamer.client.feed_client import FeedClient

    times: list[float] = []

    def heard(event: dict[str, Any]) -> None:
        if event.get("type") == "BENCH":
            times.append((time.time() - event["due"]) * 1000)

    client = FeedClient(url)
    client.watch(heard)
    await client.start()
    await asyncio.sleep(seconds + 1.5)
    await client.close()
    print(json.dumps({
        "one_way_p50_ms": percentile(times, 0.5), "one_way_p99_ms": percentile(times, 0.99),
        "one_way_max_ms": max(times, default=float("nan")), "heard": len(times),
    }))  # fmt: skip


def child(case: str, seconds: float, out: str) -> None:
    runs: dict[str, Callable[[], Any]] = {
        "grid": lambda: grid(seconds, False),
        "feed": lambda: grid(seconds, True),
        "datatable": lambda: datatable(seconds),
        "storm": lambda: storm(seconds),
    }
    Path(out).write_text(json.dumps(asyncio.run(runs[case]())), encoding="utf-8")


# -- in the parent --------------------------------------------------------------------------


def run(case: str, seconds: float) -> dict[str, Any]:
    """Run a case on a pseudo terminal that is read all the time."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
    out = Path(tempfile.gettempdir()) / f"mt5dash-bench-{os.getpid()}.json"
    out.unlink(missing_ok=True)
    # stderr is Textual's way to the terminal with its stock driver.
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", case, "--seconds", str(seconds), "--out", str(out)],
        stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(slave)
    read = 0
    tail = b""
    stop = threading.Event()

    def drain() -> None:
        nonlocal read, tail
        while not stop.is_set():
            ready, _, _ = select.select([master], [], [], 0.2)
            if ready:
                try:
                    data = os.read(master, 65536)
                except OSError:
                    return
                read += len(data)
                tail = (tail + data)[-4000:]

    thread = threading.Thread(target=drain)
    thread.start()
    code = process.wait(timeout=seconds + 120)
    stop.set()
    thread.join()
    os.close(master)
    if not out.exists():
        print(tail.decode(errors="replace"), file=sys.stderr)
        raise SystemExit(f"{case}: the screen ended with {code} and no result")
    result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    out.unlink()
    return {**result, "kb_per_s": read / 1000 / max(seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("cases", nargs="*", default=["grid", "datatable", "storm", "feed"])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--reader", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.seconds, args.out)
        return
    if args.reader:
        asyncio.run(reader(args.reader, args.seconds))
        return
    print(f"load before: {', '.join(f'{v:.1f}' for v in os.getloadavg())}")
    missed = False
    for case in args.cases:
        result = run(case, args.seconds)
        print(f"\n{case}")
        for name, value in result.items():
            if value != value:  # not measured in this case
                continue
            goal = GOALS.get(case, {}).get(name)
            verdict = (
                "" if goal is None else f"   goal {goal:g}: {'met' if value <= goal else 'MISSED'}"
            )
            missed |= goal is not None and value > goal
            print(f"  {name:<16}{value:>12.1f}{verdict}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
