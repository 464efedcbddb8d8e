"""What a call costs on each way to a terminal, and what a hang costs the loop.

    python benchmarks/execution/agent.py [SECONDS_OF_HANG]

Goals: a call through the agent p50 under 1 ms, 50,000 bars under 20 ms, a hang that holds the
GIL stalls the loop under 20 ms and the terminal is back within 2 s of its return.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.serving import PATH, TOKEN, serve_agent  # noqa: E402

from execution.paper import open_paper  # noqa: E402
from execution.settings import PaperSettings, TerminalSettings  # noqa: E402
from execution.transport.backend import Backend, Call, InProcess  # noqa: E402
from execution.transport.client import TerminalClient, TerminalError  # noqa: E402
from execution.transport.remote import Agent, Child  # noqa: E402


async def timed(work: Callable[[], Awaitable[object]], times: int) -> str:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return f"p50 {statistics.median(took):7.3f} ms   p99 {took[int(times * 0.99) - 1]:7.3f} ms"


async def calls(name: str, backend: Backend) -> None:
    await backend.start(60)
    await backend.call("initialize", (), {}, 60)
    ticks: list[Call] = [("symbol_info_tick", ("EURUSD",), {})] * 50
    rates = ("EURUSD", 1, 0, 50_000)
    rows = len((await backend.call("copy_rates_from_pos", rates, {}, 60)).value)
    print(
        f"{name:8} symbol_info_tick      {await timed(lambda: backend.call('symbol_info_tick', ('EURUSD',), {}, 5), 1000)}"
    )
    print(f"{name:8} 50 ticks in a batch   {await timed(lambda: backend.batch(ticks, 5), 200)}")
    print(
        f"{name:8} {rows:6} bars           {await timed(lambda: backend.call('copy_rates_from_pos', rates, {}, 60), 30)}"
    )
    await backend.stop()
    backend.kill()


async def hang(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        flag = Path(folder) / "hang"
        child = Child("support.paper_module", PATH | {"PAPER_HANG": str(flag)})
        said: list[tuple[float, str, str]] = []
        client = TerminalClient(
            child,
            settings=TerminalSettings(),
            on_status=lambda e: said.append(
                (time.monotonic(), e.state, e.last_error.text if e.last_error else "")
            ),
        )
        await client.start()
        await client.wait_connected(60)
        gaps: list[tuple[float, float]] = []

        async def watch() -> None:
            """How late the loop turns, and how much of that is work of its own thread: the rest
            is a machine that had no core free, as the control shows."""
            last, used = time.monotonic(), time.thread_time()
            while True:
                await asyncio.sleep(0.001)
                now, work = time.monotonic(), time.thread_time()
                gaps.append((now - last - 0.001, work - used))
                last, used = now, work

        def worst() -> str:
            late, own = (max(column) * 1000 for column in zip(*gaps, strict=True))
            gaps.clear()
            return f"{late:.1f} ms late at most, own work {own:.1f} ms at most"

        watching = asyncio.create_task(watch())
        await asyncio.sleep(seconds)
        print(f"hang     control, nothing hangs: {worst()}")
        flag.touch()
        began = time.monotonic()
        try:
            await client.positions_get()
        except TerminalError as error:
            print(f"hang     after {time.monotonic() - began:.2f} s: {error}")
        await asyncio.sleep(max(0.0, seconds - (time.monotonic() - began)))
        flag.unlink()
        back = time.monotonic()
        await client.wait_connected(60)
        print(
            f"hang     {seconds:g} s with the GIL held: {worst()}, first told after "
            f"{next(at for at, state, _ in said if at > began and state != 'connected') - began:.2f} s,"
            f" back {time.monotonic() - back:.2f} s after its return"
        )
        watching.cancel()
        await client.close()


async def main() -> None:
    paper = PaperSettings()
    await calls("paper", InProcess(lambda: open_paper(paper)))
    await calls("native", Child("support.paper_module", PATH))
    process, port = serve_agent("--module", "support.paper_module")
    await calls("agent", Agent(f"127.0.0.1:{port}", TOKEN))
    process.kill()
    process.communicate()
    await hang(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)


if __name__ == "__main__":
    asyncio.run(main())
