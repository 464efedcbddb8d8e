"""What the page costs the browser: 200 positions ten times a second, and its heap over time.

    python benchmarks/web/page_load.py [--positions 200] [--hz 10] [--minutes 5]

Prints scripting, layout and all main-thread time as shares of one core, frames that came late,
and the heap after garbage collection at the start and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.async_api import async_playwright

from streamer.server.tokens import TokenStore
from streamer.service import Feed
from streamer.settings import FeedSettings

LATE_FRAMES = """() => {
    window.late = 0; window.frames_ = 0;
    let last = performance.now();
    const frame = now => { window.frames_ += 1; if (now - last > 50) window.late += 1; last = now; requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
}"""


def positions(count: int, t: float) -> list[dict[str, Any]]:
    """All of them move at every tick."""
    rows = []
    for i in range(count):
        move = math.sin(t * 1.7 + i) * 0.002
        rows.append({
            "ticket": 2021740420 + i, "symbol": f"SYM{i % 40:02}", "type": i % 2,
            "direction": "SELL" if i % 2 else "BUY", "volume": 0.1, "entry_price": 1.1,
            "price_current": round(1.1 + move, 5), "sl_price": 1.09, "tp_price": 1.12,
            "profit": round(move * 10_000, 2), "swap": -0.1, "commission": -0.7, "digits": 5,
            "opened_at": "2026-03-02T10:00:00+00:00", "magic": 234000, "owner": "bot",
            "comment": "", "risk": -23.0, "initial_risk": 23.0,
        })  # fmt: skip
    return rows


async def publish(feed: Feed, count: int, hz: float) -> None:
    """Positions at ``hz``, account and quotes each second, three log events a second."""
    start, n = time.monotonic(), 0
    while True:
        t = time.monotonic() - start
        rows = positions(count, t)
        feed.publish({"type": "POSITION_UPDATE", "positions": rows})
        if n % max(1, round(hz)) == 0:
            profit = sum(row["profit"] for row in rows)
            account = {"equity": 10_000 + profit, "balance": 10_000.0, "profit": profit}
            feed.publish({"type": "ACCOUNT_UPDATE", "account": account})
            quotes = {f"SYM{i:02}": {"bid": 1.1, "ask": 1.1001, "digits": 5} for i in range(40)}
            feed.publish({"type": "QUOTE_UPDATE", "quotes": quotes})
            for i in range(3):
                feed.publish({
                    "type": "RISK_ALERT", "code": f"X{i}", "level": "info",
                    "text": f"event {n} {i} with some words in it",
                })  # fmt: skip
        n += 1
        await asyncio.sleep(max(0.0, start + n / hz - time.monotonic()))


async def metrics(cdp: Any) -> dict[str, float]:
    found = await cdp.send("Performance.getMetrics")
    return {item["name"]: item["value"] for item in found["metrics"]}


async def heap(cdp: Any) -> float:
    """MB in use after a collection."""
    await cdp.send("HeapProfiler.collectGarbage")
    return (await metrics(cdp))["JSHeapUsedSize"] / 1e6


async def measure(count: int, hz: float, minutes: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = FeedSettings(port=0)
        feed = Feed(settings, tokens=TokenStore(Path(folder) / "tokens.json"))
        await feed.start()
        load = asyncio.create_task(publish(feed, count, hz))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = await browser.new_page(viewport={"width": 1280, "height": 900})
            await page.goto(f"http://127.0.0.1:{feed.port}/")
            cdp = await page.context.new_cdp_session(page)
            await cdp.send("Performance.enable")
            await page.wait_for_selector("#positions-table tbody tr")
            await asyncio.sleep(15)  # compiled, and the log has begun to be trimmed
            first_heap, before = await heap(cdp), await metrics(cdp)
            await page.evaluate(LATE_FRAMES)
            nodes = before["Nodes"]
            for minute in range(max(1, math.ceil(minutes))):
                await asyncio.sleep(min(60.0, 60 * minutes - 60 * minute))
                print(f"  minute {minute + 1}: heap {await heap(cdp):.1f} MB", flush=True)
            after = await metrics(cdp)
            took = after["Timestamp"] - before["Timestamp"]
            late = await page.evaluate("[window.late, window.frames_]")

            def share(name: str) -> float:
                return 100 * (after[name] - before[name]) / took

            print(f"{count} positions x {hz:g} Hz for {took:.0f} s, 1280x900:")
            print(f"  scripting       {share('ScriptDuration'):5.1f} % of a core")
            print(
                f"  style + layout  {share('RecalcStyleDuration') + share('LayoutDuration'):5.1f} %"
            )
            print(f"  main thread     {share('TaskDuration'):5.1f} %")
            print(f"  frames later than 50 ms: {late[0]} of {late[1]}")
            print(
                f"  heap {first_heap:.1f} -> {await heap(cdp):.1f} MB, nodes {nodes:.0f} -> {after['Nodes']:.0f}"
            )
            await browser.close()
        load.cancel()
        await feed.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--positions", type=int, default=200)
    parser.add_argument("--hz", type=float, default=10)
    parser.add_argument("--minutes", type=float, default=5)
    args = parser.parse_args()
    asyncio.run(measure(args.positions, args.hz, args.minutes))
