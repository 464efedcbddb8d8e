"""Tables and goals from what ``bench.py``, ``slow.py`` and ``journal.py`` saved.

    python benchmarks/feed/report.py RESULTS... > docs/performance.md   # the whole page

A saved line is one measurement; those of one round share its ``round``. Medians over rounds,
ratios inside a round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
import zlib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

Row = dict[str, Any]
NAMES = {
    "raw": "raw `socket.send` of prebuilt bytes", "hub": "**mt5dash**", "picows": "picows",
    "aiohttp": "aiohttp", "broadcast": "`websockets.broadcast`",
    "fastapi": "FastAPI + uvicorn", "fastapi_old": "the same, `ws=\"websockets\"`",
}  # fmt: skip


def save(file: Path, row: Row) -> None:
    """Add a measurement to the file."""
    with file.open("a") as out:
        out.write(json.dumps(row) + "\n")


def load(files: Iterable[Path]) -> list[Row]:
    """All measurements in these files."""
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def median(rows: Iterable[Row], key: str) -> float:
    """Of one figure over the rounds."""
    return statistics.median(row[key] for row in rows)


def ratio(above: list[Row], below: list[Row], key: str) -> float | None:
    """Median of the ratios inside each round; ``None`` without a round that has both."""
    others = {row["round"]: row[key] for row in below}
    found = [row[key] / others[row["round"]] for row in above if row["round"] in others]
    return statistics.median(found) if found else None


def cell(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def by_kind(rows: list[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for name in NAMES:
        if chosen := [row for row in rows if row["kind"] == name]:
            found[name] = chosen
    return found


def title_of(row: Row) -> str:
    """What a fan-out row measures, in words."""
    size = f"{row['size']} B" if row["size"] < 1024 else f"{row['size'] // 1024} KB"
    what = f"{row['clients']} clients, {size}"
    if row["per_turn"] > 1:
        pace = f"every {row['gap']:g} s" if row["gap"] else "at full speed"
        what += f", {row['per_turn']} events in one turn of the loop, {pace}"
    return what + (", permessage-deflate" if row["deflate"] else "")


def setting_of(row: Row) -> tuple[Any, ...]:
    return (row["deflate"], row["per_turn"], row["gap"], -row["clients"], row["size"])


def tables(rows: list[Row]) -> str:
    """Everything that was measured, as Markdown."""
    out: list[str] = []
    fan = [row for row in rows if row["bench"] == "fanout"]
    for setting in sorted({setting_of(row) for row in fan}):
        chosen = [row for row in fan if setting_of(row) == setting]
        kinds = by_kind(chosen)
        rounds = len({row["round"] for row in chosen})
        out += [f"### {title_of(chosen[0])} ({rounds} rounds)", ""]
        out += [
            "| | us a message | FastAPI over it | it over raw | bytes | longest turn ms |",
            "|---|---|---|---|---|---|",
        ]
        for kind, found in kinds.items():
            out.append(
                f"| {NAMES[kind]} | {cell(median(found, 'cpu_us'))} "
                f"| {cell(ratio(kinds.get('fastapi', []), found, 'cpu_us'), 1)} "
                f"| {cell(ratio(found, kinds.get('raw', []), 'cpu_us'))} "
                f"| {median(found, 'bytes'):.0f} | {cell(median(found, 'max_turn_ms'), 1)} |"
            )
        out.append("")
    if storms := by_kind([row for row in rows if row["bench"] == "storm"]):
        rounds = len({row["round"] for found in storms.values() for row in found})
        out += [f"### 1000 clients connect at once ({rounds} rounds)", ""]
        out += [
            "| | seconds until all have their snapshot | of FastAPI | loop held ms | most | KiB a client |",
            "|---|---|---|---|---|---|",
        ]
        for kind, found in storms.items():
            out.append(
                f"| {NAMES[kind]} | {cell(median(found, 'seconds'))} "
                f"| {cell(ratio(found, storms.get('fastapi', []), 'seconds'))} "
                f"| {median(found, 'worst_ms'):.0f} | {max(r['worst_ms'] for r in found):.0f} "
                f"| {cell(median(found, 'kib_a_client'), 1)} |"
            )
        out.append("")
    out += _slow([row for row in rows if row["bench"] == "slow"])
    out += _push([row for row in rows if row["bench"] == "push"])
    out += _journal([row for row in rows if row["bench"] == "journal"])
    return "\n".join(out)


def _slow(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    out = [
        f"### 10,000 events a second to two readers ({len({r['round'] for r in rows})} rounds)", "",
        "| clients that never read | events/s | latency ms p50 | p99 | most | memory MiB | closed after s |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for stopped in sorted({row["stopped"] for row in rows}):
        chosen = [row for row in rows if row["stopped"] == stopped]
        gone = [row["closed_after_s"] for row in chosen if row["closed_after_s"] is not None]
        out.append(
            f"| {stopped} | {median(chosen, 'rate'):.0f} | {cell(median(chosen, 'p50_ms'))} "
            f"| {cell(median(chosen, 'p99_ms'))} | {max(r['max_ms'] for r in chosen):.1f} "
            f"| +{median(chosen, 'grown_mib'):.1f} "
            f"| {cell(statistics.median(gone) if gone else None)} |"
        )
    return [*out, ""]


def _push(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    out = [
        f"### `push_update` from a thread ({len({r['round'] for r in rows})} rounds)", "",
        "| stuck clients | us p50 | p99 | p99 of the worst round |", "|---|---|---|---|",
    ]  # fmt: skip
    for stuck in sorted({row["stuck"] for row in rows}):
        chosen = [row for row in rows if row["stuck"] == stuck]
        out.append(
            f"| {stuck} | {median(chosen, 'p50_us'):.1f} | {median(chosen, 'p99_us'):.1f} "
            f"| {max(r['p99_us'] for r in chosen):.1f} |"
        )
    return [*out, ""]


def _journal(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    out = [
        f"### Journal, `synchronous=FULL` ({len({r['round'] for r in rows})} rounds)", "",
        "| events/s offered | on disk | commits | wait ms p50 | p99 | p99 of the worst round | loop late at most, ms | in the worst round |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for offered, kept in sorted({(row["offered"], not row["journalled"]) for row in rows}):
        chosen = [r for r in rows if r["offered"] == offered and r["journalled"] is not kept]
        name = f"{offered}{', without a journal' if kept else ''}"
        out.append(
            f"| {name} | {median(chosen, 'rate'):.0f} | {median(chosen, 'commits'):.0f} "
            f"| {cell(median(chosen, 'p50_ms'))} | {cell(median(chosen, 'p99_ms'))} "
            f"| {max(r['p99_ms'] for r in chosen):.2f} | {median(chosen, 'late_ms'):.1f} "
            f"| {max(r['late_ms'] for r in chosen):.1f} |"
        )
    return [*out, ""]


Goal = tuple[str, float | None, str, float, float | None]


def goals(rows: list[Row]) -> list[Goal]:
    """What was promised: (what, the figure or ``None`` when not measured, relation, the goal,
    the same figure for raw sockets where that is what any server could reach)."""

    def fan(kind: str, clients: int, size: int, per_turn: int = 1, gap: float = 0.0,
            deflate: bool = False) -> list[Row]:  # fmt: skip
        wanted = (clients, size, per_turn, gap, deflate)
        names = ("clients", "size", "per_turn", "gap", "deflate")
        return [
            row for row in rows
            if row["bench"] == "fanout" and row["kind"] == kind
            and tuple(row[name] for name in names) == wanted
        ]  # fmt: skip

    def over(above: str, below: str, *setting: Any) -> float | None:
        return ratio(fan(above, *setting), fan(below, *setting), "cpu_us")

    def middle(bench: str, key: str, **wanted: Any) -> float | None:
        found = [
            row for row in rows
            if row["bench"] == bench and all(row[k] == v for k, v in wanted.items())
        ]  # fmt: skip
        return median(found, key) if found else None

    storms = [row for row in rows if row["bench"] == "storm"]
    by = by_kind(storms)
    most = max((row["worst_ms"] for row in by.get("hub", [])), default=None)

    def less(setting: tuple[Any, ...], other: str = "fastapi") -> tuple[float | None, float | None]:
        """How many times less than FastAPI it costs, and how many times less raw sockets do."""
        return over(other, "hub", *setting), over(other, "raw", *setting)

    one, ten, squeezed = (1000, 350), (1000, 350, 10), (1000, 8192, 1, 0.0, True)
    at_100, old = (100, 350, 10), "fastapi_old"
    connect = ratio(by.get("hub", []), by.get("fastapi", []), "seconds")
    plain: list[tuple[str, float | None, str, float]] = [
        ("350 B, 1000 clients: over raw sockets", over("hub", "raw", *one), "<=", 1.3),
        ("350 B, 1000 clients: over picows", over("hub", "picows", *one), "<=", 1.1),
        ("350 B, 100 clients: over raw sockets", over("hub", "raw", 100, 350), "<=", 1.4),
        ("10 events in a turn, 1000 clients, four times a second: over raw sockets, joined bytes",
         over("hub", "raw", 1000, 350, 10, 0.25), "<=", 1.4),
        ("1000 connect at once: seconds, of FastAPI's", connect, "<=", 0.6),
        ("1000 connect at once: loop held at most, ms, in the worst round", most, "<=", 100),
        ("KiB of memory for an idle client", middle("storm", "kib_a_client", kind="hub"), "<=", 20),
        ("10,000 events/s, one reader stopped: the others' p99, ms",
         middle("slow", "p99_ms", stopped=1), "<=", 10),
        ("`push_update`: p99, us", middle("push", "p99_us", stuck=0), "<=", 50),
        ("`push_update` with five stuck clients: p99, us",
         middle("push", "p99_us", stuck=5), "<=", 50),
        ("journal, 10,000 events/s: p99 until on disk, ms",
         middle("journal", "p99_ms", offered=10_000, journalled=True), "<=", 20),
        ("journal, 10,000 events/s: loop late at most, ms",
         middle("journal", "late_ms", offered=10_000, journalled=True), "<=", 10),
    ]  # fmt: skip
    beside: list[tuple[str, tuple[float | None, float | None], float]] = [
        ("350 B, 1000 clients: times less than FastAPI", less(one), 2.4),
        ('the same, `ws="websockets"`: times less', less(one, old), 2.4),
        ("10 events in a turn, 1000 clients: times less", less(ten), 11),
        ("10 events in a turn, 100 clients: times less", less(at_100), 11),
        ("8 KB, permessage-deflate, 1000 clients: times less", less(squeezed), 20),
        ('the same, `ws="websockets"`: times less', less(squeezed, old), 20),
    ]
    return [
        *((what, found[0], ">=", goal, found[1]) for what, found, goal in beside),
        *((*row, None) for row in plain),
    ]


def bound(rows: list[Row]) -> str:
    """Why some goals are out of reach, in words."""
    squeezed = [row for row in rows if row["bench"] == "fanout" and row["deflate"]]
    kinds = by_kind([row for row in squeezed if row["clients"] == 1000])
    if "raw" not in kinds or "fastapi" not in kinds:
        return ""
    write, size = median(kinds["raw"], "cpu_us"), median(kinds["raw"], "bytes")
    return (
        f"Out of reach: raw sockets that write prebuilt bytes do not reach it either. A client costs a "
        f"write for each message, and with compression one write of {size:.0f} bytes, compressed "
        f"beforehand, costs the kernel {write:.1f} us; FastAPI's whole message costs "
        f"{median(kinds['fastapi'], 'cpu_us'):.0f} us, most of it zlib's. The ratio is that of zlib's "
        f"speed to the kernel's. What an asyncio server pays on top of raw sockets is mostly that each "
        f"is watched for what the client says (epoll: 0.5 us a write). With one client the feed does "
        f"more for an event than the others do at all: it copies it, applies it to the state, keeps "
        f"it for those that resume.\n\n"
        "FastAPI + uvicorn is measured twice: as uvicorn comes today, and with "
        '`ws="websockets"`, its default until 0.50 (July 2026), which '
        "a server that was deployed before then runs with.\n"
    )


def page(rows: list[Row]) -> str:
    """The whole document."""
    parts = ["websockets", "uvicorn", "fastapi", "aiohttp", "picows", "msgspec"]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in parts)
    latest = max(float(row["round"]) for row in rows)
    out = [
        "# What the feed costs, beside others", "",
        "Made by `benchmarks/feed/report.py` from what `bench.py`, `slow.py` and `journal.py` "
        "measured; how to run them: [benchmarks/feed](../benchmarks/feed/README.md).", "",
        f"{time.strftime('%Y-%m-%d', time.gmtime(latest))}; {os.cpu_count()} virtual cores, "
        f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}, "
        f"zlib {zlib.ZLIB_RUNTIME_VERSION}; {versions}.", "",
        "The server has one core, the load (a C program) the other. `us a message` is the server's "
        "CPU time for one message delivered to one client, making JSON from a dict included (not "
        "for raw sockets: their bytes are made before the clock starts). Every message is counted at "
        "the reader. All sockets have `TCP_NODELAY`. The next turn begins when nothing is buffered, "
        "so that no server gains by joining what waits. Events differ from each other as one scan from "
        "the next. Medians over rounds; ratios are taken inside a round.", "",
        "## Goals", "",
        "| | goal | measured | raw sockets | |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for what, figure, relation, goal, best in goals(rows):
        verdict = "not measured"
        if figure is not None:
            met = figure <= goal if relation == "<=" else figure >= goal
            verdict = "met" if met else "**missed**"
            if not met and best is not None and best < goal:
                verdict = "out of reach"
        sign = "at most" if relation == "<=" else "at least"
        out.append(f"| {what} | {sign} {goal:g} | {cell(figure)} | {cell(best)} | {verdict} |")
    out += ["", bound(rows), "## Measured", "", tables(rows)]
    return "\n".join(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path)
    print(page(load(parser.parse_args().results)), end="")
