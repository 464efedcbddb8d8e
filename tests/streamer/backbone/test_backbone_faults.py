"""Any sequence of faults: each log event reaches a node once and in order, or is part of a gap."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st
from support.backbone_kit import Flaky, Node, SmallFeed, store_of, wipe
from support.until import until

from streamer.backbone.timings import ReaderTimings, WriterTimings

FAULTS = ("away", "eat", "hold", "late", "wipe", "restart feed", "restart node", "quiet")
STEPS = st.lists(st.tuples(st.integers(0, 60), st.sampled_from(FAULTS)), min_size=1, max_size=12)
WRITER = WriterTimings(first_delay_s=0.001, max_delay_s=0.002, snapshot_s=0.003, beat_s=0.005)
READER = ReaderTimings(first_delay_s=0.001, max_delay_s=0.002, poll_s=0.002, block_s=0.005)
BOUNDS: dict[str, Any] = {"queue_events": 150, "keep_events": 200, "timings": WRITER}


async def play(steps: Sequence[tuple[int, str]], history: bool) -> None:
    where = ("memory", f"memory:{uuid4().hex}")
    line = Flaky(store_of(where))
    bot = await SmallFeed(line, **BOUNDS).start()
    node = Node(store_of(where), ("E", 0), READER)
    news: list[int] = []
    gaps: list[tuple[int, int]] = []

    def bank() -> None:
        news.extend(node.seqs)
        gaps.extend(node.gaps)

    for count, fault in steps:
        bot.publish(count)
        bot.quote(count)
        if fault == "away":
            line.away = not line.away
        elif fault in ("eat", "hold"):
            setattr(line, fault, 1)
        elif fault == "late":
            await line.late()
        elif fault == "wipe":
            wipe(where)
        elif fault == "restart feed":
            await bot.vanish()
            bot = await SmallFeed(line, seq=bot.seq, history=history, **BOUNDS).start()
        elif fault == "restart node":
            at = node.reader.seq
            await node.close()
            bank()
            node = Node(store_of(where), ("E", at), READER)
        await asyncio.sleep(0.002)
    line.away = False
    line.hold = line.eat = 0
    with contextlib.suppress(TimeoutError):
        await bot.delivered(5)
    await line.late()
    bot.publish(1)
    await until(lambda: node.reader.seq >= bot.seq, 5)
    await asyncio.sleep(0.01)
    bank()
    await node.close()
    await bot.writer.close(0.5)
    missing = [seq for first, last in gaps for seq in range(first, last + 1)]
    assert news == sorted(set(news)), "once, in order"
    assert sorted(news + missing) == list(range(1, bot.seq + 1)), "each is told, or its gap is"


@settings(max_examples=60, deadline=None)
@given(STEPS, st.booleans())
def test_no_sequence_of_faults_loses_repeats_or_reorders_an_event(
    steps: list[tuple[int, str]], history: bool
) -> None:
    asyncio.run(play(steps, history))
