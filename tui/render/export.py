"""Files made from the screen: a panel as CSV, events as JSON lines. All functions block."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FORMULA = ("=", "+", "-", "@")
"""A spreadsheet computes a cell that begins with one of these."""


def as_tsv(table: Sequence[Sequence[str]]) -> str:
    """Rows as lines, tabs between the cells."""
    return "\n".join("\t".join(cell.replace("\t", " ") for cell in row) for row in table)


def as_csv(table: Sequence[Sequence[str]]) -> str:
    """Rows as CSV. Text that a spreadsheet would compute is quoted with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    for row in table:
        writer.writerow([_safe(cell) for cell in row])
    return out.getvalue()


def _safe(cell: str) -> str:
    cell = cell.rstrip("▲▼")
    if not cell.startswith(FORMULA):
        return cell
    number = cell.replace(",", "").rstrip("%Rp")
    try:
        float(number)
    except ValueError:
        return f"'{cell}"
    return cell


def target(folder: Path, name: str, suffix: str, now: float) -> Path:
    """A file that does not exist yet: ``mt5dash-positions-20260304-130504.csv``."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
    path = folder / f"mt5dash-{name}-{stamp}{suffix}"
    number = 2
    while path.exists():
        path = folder / f"mt5dash-{name}-{stamp}-{number}{suffix}"
        number += 1
    return path


def write_text(path: Path, text: str) -> Path:
    """Write the file; it must not exist.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8", newline="") as file:
        file.write(text)
    return path


def as_json_lines(events: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(e, ensure_ascii=False, default=str) + "\n" for e in events)
