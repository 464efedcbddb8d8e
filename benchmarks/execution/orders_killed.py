"""1000 commands, 200 kill -9, answers lost and late: doubled and made-up orders are counted.

    python benchmarks/execution/orders_killed.py [COMMANDS] [KILLS]

Runs the careful way and then, smaller, the naive one as the control. Takes about ten minutes.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.order_killer import Tally, run  # noqa: E402


def show(kind: str, tally: Tally, seconds: float) -> None:
    print(
        f"{kind:8} {tally.commands} commands, {tally.kills} kills, {seconds:.0f} s: "
        f"{tally.orders} orders, {tally.acknowledged} acknowledged, {tally.missing} never arrived, "
        f"{len(tally.doubled)} doubled, {len(tally.invented)} acknowledged without an order, "
        f"{len(tally.hidden)} orders of commands said to have failed",
        flush=True,
    )


async def main() -> int:
    commands = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    bad = 0
    for kind, share in (("careful", 1.0), ("naive", 0.2)):
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            tally = await run(kind, int(commands * share), int(kills * share), Path(folder), seed=7)
            show(kind, tally, time.monotonic() - began)
            if kind == "careful":
                bad = len(tally.doubled) + len(tally.invented) + len(tally.hidden)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
