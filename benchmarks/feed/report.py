"""Tables and goals from what ``bench.py``, ``slow.py`` and ``journal.py`` saved.

    python benchmarks/feed/report.py RESULTS... > docs/performance.md

A saved line is one measurement; those of one round share its ``round``. Medians over rounds,
ratios inside a round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable
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
    return "\n".join(out)
