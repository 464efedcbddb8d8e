"""How many nodes and how much bandwidth so many viewers need: a simulation fed with measured costs.

    python benchmarks/scale/cost.py --save costs.json
    python benchmarks/scale/simulate.py costs.json [--write docs/scale.md] [--seed 7]

The model. A node is one process on one core: a queue that is served in order. A *turn* (what is
published at once) costs it ``event_us`` for each event, plus ``delivery_us`` for each of its
children, in their order. A child hears when its turn in that order is done, a hop later. The
tree has one root (the bot's feed), a layer of relays that read the broker, and more layers where
the viewers are more than one layer can bear. Of each layer some nodes at random places are
simulated, of each leaf some viewers at random places: all nodes of a layer do the same.

Turns come at random moments (Poisson) at the measured rate of the default bot; every ten seconds a
scan brings a burst. A node dies once: its viewers come back at random moments of their back-off
and are spread over the others, which go on delivering meanwhile.

A layout is good when the p99 of publish to viewer stays under 150 ms, each core is at most half
used, and the viewers of a dead node are back within 15 s. The largest fan-out that is good wins.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

P99_MS, BUSY, BACK_S = 150.0, 0.5, 15.0
HOP_S = 0.001
"""One hop in a data centre; the viewer's own line is not ours and is left out."""
SECONDS = 120.0
BURST_EVERY_S, BURST = 10.0, 12
BACKOFF_S = 2.0
"""Reconnects are spread over so much: FeedClient and page wait a random part of it."""
PACKET = 66
"""Ethernet, IP and TCP headers of a small frame."""
FANOUTS = (100, 250, 500, 1000, 2000, 4000, 8000)
NODES, PLACES = 8, 24
MARK = ("<!-- figures: benchmarks/scale/simulate.py -->", "<!-- end of figures -->")


@dataclass(frozen=True)
class Costs:
    """Seconds and bytes of one core here."""

    event: float
    delivery: float
    connect: float
    client_bytes: float
    idle: float

    @classmethod
    def of(cls, found: dict[str, float]) -> Costs:
        """From one section of cost.py's file."""
        return cls(
            found["event_us"] / 1e6,
            found["delivery_us"] / 1e6,
            found["connect_us"] / 1e6,
            found["client_bytes"],
            found["idle_us_s"] / 1e6,
        )


@dataclass
class Layout:
    """A tree: ``layers[i]`` nodes of layer i below the root, ``fans[i]`` children of each node of
    the layer above it; ``fans[-1]`` viewers a leaf."""

    layers: list[int]
    fans: list[int]
    p50_ms: float = math.nan
    p99_ms: float = math.nan
    busy: float = math.nan
    back_s: float = math.nan
    notes: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Within all three bounds."""
        return self.p99_ms <= P99_MS and self.busy <= BUSY and self.back_s <= BACK_S

    @property
    def nodes(self) -> int:
        """Relays in all."""
        return sum(self.layers)


def turns(
    rng: random.Random, frames_s: float, bots: int, seconds: float
) -> list[tuple[float, int]]:
    """(moment, events) of what is published, in order."""
    found: list[tuple[float, int]] = []
    at = 0.0
    while (at := at + rng.expovariate(frames_s * bots)) < seconds:
        found.append((at, 1))
    for _ in range(bots):
        start = rng.uniform(0, BURST_EVERY_S)
        found += [(start + k * BURST_EVERY_S, BURST) for k in range(int(seconds / BURST_EVERY_S))]
    return sorted(found)


def served(
    arrivals: np.ndarray, events: np.ndarray, costs: Costs, children: int
) -> tuple[np.ndarray, float]:
    """When a node begins to send each turn, seconds, and how much of its core is used."""
    begin = np.empty_like(arrivals)
    free = 0.0
    for i, (at, count) in enumerate(zip(arrivals, events, strict=True)):
        start = max(at, free)
        begin[i] = start + costs.event * count
        # What one turn publishes is one write a child: its events are joined.
        free = begin[i] + costs.delivery * children
    busy = float((costs.event * events + costs.delivery * children).sum() / arrivals[-1])
    return begin, busy + costs.idle * children


def latencies(
    layout: Layout, root: Costs, costs: Costs, work: list[tuple[float, int]], rng: random.Random
) -> None:
    """Fill in the layout's latencies and load."""
    published = np.array([at for at, _ in work])
    events = np.array([count for _, count in work])
    heard = [published]
    busiest = 0.0
    for depth, fan in enumerate(layout.fans):
        below = []
        node = root if depth == 0 else costs
        for arrivals in heard:
            begin, busy = served(arrivals, events, node, fan)
            busiest = max(busiest, busy)
            count = PLACES if fan == layout.fans[-1] else NODES
            below += [
                begin + node.delivery * rng.randrange(1, fan + 1) + HOP_S for _ in range(count)
            ]
        heard = below if len(below) <= NODES * PLACES else rng.sample(below, NODES * PLACES)
        if fan != layout.fans[-1]:
            heard = heard[:NODES]
    late = np.concatenate([moments - published for moments in heard]) * 1000
    layout.p50_ms, layout.p99_ms = (float(np.percentile(late, q)) for q in (50, 99))
    layout.busy = busiest


def storm(layout: Layout, costs: Costs, work: list[tuple[float, int]], rng: random.Random) -> None:
    """A leaf dies: seconds until the last of its viewers has its snapshot elsewhere."""
    leaves, viewers = layout.layers[-1], layout.fans[-1]
    if leaves < 2:
        layout.back_s = viewers * costs.connect + BACKOFF_S  # it starts again itself
        return
    extra = math.ceil(viewers / (leaves - 1))
    knocks = [(rng.uniform(0, BACKOFF_S), 0) for _ in range(extra)]
    jobs = sorted(knocks + [turn for turn in work if turn[0] < 60])
    free = last = 0.0
    here = viewers
    for at, count in jobs:
        start = max(at, free)
        if count:
            free = start + costs.event * count + costs.delivery * here
        else:
            here += 1
            free = last = start + costs.connect
    layout.back_s = last


def lay(viewers: int, leaf: int, upper: int) -> Layout:
    """The tree with ``leaf`` viewers a leaf and at most ``upper`` relays below a node. One leaf
    more than needed, so that a dead one is borne."""
    layers = [math.ceil(viewers / leaf) + 1]
    while layers[0] > upper:
        layers.insert(0, math.ceil(layers[0] / upper))
    fans = [layers[0]]
    fans += [math.ceil(b / a) for a, b in itertools.pairwise(layers)]
    return Layout(layers, [*fans, leaf])


def best(viewers: int, bots: int, root: Costs, costs: Costs, frames_s: float, seed: int) -> Layout:
    """The layout with the fewest nodes that is good; the least bad when none is."""
    tried = []
    for leaf in FANOUTS:
        rng = random.Random(seed)
        layout = lay(viewers, leaf, 100)
        work = turns(rng, frames_s, bots, SECONDS)
        latencies(layout, root, costs, work, rng)
        storm(layout, costs, work, rng)
        tried.append(layout)
    good = [layout for layout in tried if layout.good]
    return min(good or tried[:1], key=lambda layout: layout.nodes)


def tables(found: dict[str, Any], seed: int) -> str:
    """The two tables of docs/scale.md."""
    seen = found["traffic"]
    frames_s = seen["frames_s"]
    lines = [
        f"Costs of one core here: an event {found['plain']['event_us']:.0f} us (journal, state and",
        f"ring), its delivery to a viewer {found['plain']['delivery_us']:.1f} us (deflated, 350 B: "
        f"{found['deflate']['delivery_us']:.1f}), a connection with its snapshot "
        f"{found['plain']['connect_us']:.0f} us,",
        f"a viewer {found['plain']['client_bytes'] / 1024:.0f} KiB of memory and "
        f"{found['plain']['idle_us_s']:.1f} us a second when nothing happens. One viewer of the",
        f"default bot gets {frames_s:.1f} frames and {seen['bytes_s'] / 1000:.1f} kB a second "
        f"({seen['deflated_bytes_s'] / 1000:.1f} kB deflated), "
        f"{seen['snapshot_bytes'] / 1000:.0f} kB when it joins.",
        "",
        "| viewers | bots | relays, by layer | viewers a relay | busiest core | p50 | p99 | back after a relay died | out, plain | out, deflated |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for viewers in (1_000, 100_000, 10_000_000):
        for bots in (1, 20):
            costs = Costs.of(found["plain"])
            root = Costs.of({**found["plain"], **found.get("broker", {})})
            layout = best(viewers, bots, root, costs, frames_s, seed)
            overhead = frames_s * PACKET
            plain, deflated = (
                (size + overhead) * bots * viewers * 8
                for size in (seen["bytes_s"], seen["deflated_bytes_s"])
            )
            mark = "" if layout.good else " (not within bounds)"
            lines.append(
                f"| {viewers:,} | {bots} | {' + '.join(f'{n:,}' for n in layout.layers)}{mark} "
                f"| {layout.fans[-1]:,} | {layout.busy:.0%} | {layout.p50_ms:.0f} ms "
                f"| {layout.p99_ms:.0f} ms | {layout.back_s:.1f} s | {rate(plain)} "
                f"| {rate(deflated)} |"
            )
    return "\n".join(lines)


def rate(bits: float) -> str:
    """Bits a second for people."""
    for unit, size in (("Tbit/s", 1e12), ("Gbit/s", 1e9), ("Mbit/s", 1e6)):
        if bits >= size:
            return f"{bits / size:.3g} {unit}"
    return f"{bits / 1e3:.0f} kbit/s"


def predict(found: dict[str, Any], relays: int, viewers: int, per_s: float, seed: int) -> str:
    """What the model says of the set-up that relay.py measures: all processes on two cores."""
    costs = Costs.of(found["plain"])
    rng = random.Random(seed)
    layout = Layout([relays], [relays, viewers // relays])
    work: list[tuple[float, int]] = []
    at = 0.0
    while (at := at + rng.expovariate(per_s)) < 60:
        work.append((at, 1))
    latencies(layout, costs, costs, work, rng)
    return (
        f"{relays} relays, {viewers} viewers, {per_s:g} events/s: p50 {layout.p50_ms:.1f} ms, "
        f"p99 {layout.p99_ms:.1f} ms, busiest core {layout.busy:.0%} (each relay on a core of "
        "its own)"
    )


def main() -> None:
    """Simulate and print, or write the page's tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("costs", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--write", type=Path, help="put the tables into this page")
    parser.add_argument("--check", nargs=3, metavar=("RELAYS", "VIEWERS", "PER_S"))
    arguments = parser.parse_args()
    found = json.loads(arguments.costs.read_text())
    if arguments.check:
        relays, viewers, per_s = arguments.check
        print(predict(found, int(relays), int(viewers), float(per_s), arguments.seed))
        return
    text = tables(found, arguments.seed)
    if arguments.write is None:
        print(text)
        return
    page = arguments.write.read_text()
    before, rest = page.split(MARK[0], 1)
    after = rest.split(MARK[1], 1)[1]
    arguments.write.write_text(f"{before}{MARK[0]}\n{text}\n{MARK[1]}{after}")


if __name__ == "__main__":
    main()
