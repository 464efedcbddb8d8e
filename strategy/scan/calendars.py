"""Calendar formats: CSV, iCalendar and JSON to releases. Pure."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streamer.errors import Mt5dashError
from streamer.protocol.sanitise import clean

IMPACTS = ("low", "medium", "high")

COLUMNS = {
    "time": ("time", "date", "datetime"),
    "currency": ("currency", "country"),
    "impact": ("impact", "importance"),
    "title": ("title", "event", "name"),
}
"""Names of a field in CSV and JSON."""


class CalendarError(Mt5dashError):
    """A calendar that cannot be read; the text gives the place and the remedy."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release at ``utc`` (epoch seconds) that concerns one currency; "" means all."""

    utc: float
    currency: str
    title: str
    impact: str = "high"


def parse(text: str) -> list[Release]:
    """Releases in order of time. The format is recognised from the text.

    Raises:
        CalendarError: the text has none of the formats, or a line of it is wrong.
    """
    start = text.lstrip()
    if start.startswith("BEGIN:VCALENDAR"):
        found = _ics(text)
    elif start.startswith(("[", "{")):
        found = _json(text)
    else:
        found = _csv(text)
    return sorted(found, key=lambda release: (release.utc, release.currency, release.title))


def _csv(text: str) -> list[Release]:
    reader = csv.DictReader(io.StringIO(text))
    names = {(name or "").strip().lower(): name for name in reader.fieldnames or []}
    if not any(name in names for name in COLUMNS["time"]):
        raise CalendarError(
            "not a calendar: CSV needs a header with time, currency, impact, title;"
            " iCalendar and JSON are read too"
        )
    out = []
    for row in reader:
        fields = {key: row.get(name) for key, name in names.items()}
        out.append(_release(fields, f"line {reader.line_num}"))
    return out


def _json(text: str) -> list[Release]:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise CalendarError(f"line {error.lineno}: {error.msg}") from None
    if isinstance(rows, dict):
        rows = next((v for v in rows.values() if isinstance(v, list)), None)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise CalendarError("JSON must be a list of objects with time, currency, impact, title")
    return [
        _release({str(k).lower(): v for k, v in row.items()}, f"entry {i}")
        for i, row in enumerate(rows, 1)
    ]


def _release(fields: dict[str, Any], where: str) -> Release:
    def of(name: str) -> str:
        for column in COLUMNS[name]:
            if fields.get(column) is not None:
                return str(fields[column]).strip()
        return ""

    currency, moment = of("currency").upper(), of("time")
    if fields.get("date") and re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", moment):
        hour = moment if moment[1] != ":" else f"0{moment}"
        moment = f"{str(fields['date']).strip()} {hour}"  # day and hour in two columns
    return Release(
        _moment(moment, where),
        "" if currency in ("ALL", "*") else currency,
        clean(of("title") or "release", 80),
        _impact(of("impact")),
    )


def _impact(text: str) -> str:
    """Unknown words count as high: a release that is not understood is not ignored."""
    word = text.lower()
    if word in IMPACTS:
        return word
    return {"1": "low", "2": "medium", "3": "high", "holiday": "low", "non-economic": "low"}.get(
        word, "high"
    )


def _moment(text: str, where: str) -> float:
    """An ISO 8601 moment; one without an offset is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CalendarError(
            f"{where}: {text!r} is no time; write it like 2026-11-25T13:30:00+00:00"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _ics(text: str) -> list[Release]:
    # a line that begins with a blank continues the one before (RFC 5545, 3.1)
    lines = re.sub(r"\r?\n[ \t]", "", text).splitlines()
    out, event = [], None
    for number, line in enumerate(lines, 1):
        name, _, value = line.partition(":")
        key, *parameters = name.upper().split(";")
        if line.strip().upper() == "BEGIN:VEVENT":
            event = {"where": f"event that begins in line {number}"}
        elif line.strip().upper() == "END:VEVENT" and event is not None:
            out.append(_event(event))
            event = None
        elif event is not None:
            event[key] = value.strip()
            for parameter in name.split(";")[1:]:
                if parameter.upper().startswith("TZID="):
                    event[f"{key}.TZID"] = parameter[5:].strip('"')
            if "VALUE=DATE" in parameters:
                event[f"{key}.DATE"] = "1"
    return out


def _event(event: dict[str, str]) -> Release:
    where, text = event["where"], event.get("DTSTART", "")
    try:
        if event.get("DTSTART.DATE") or len(text) == 8:
            day = date(int(text[:4]), int(text[4:6]), int(text[6:8]))
            moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        else:
            moment = datetime.strptime(text.rstrip("Z"), "%Y%m%dT%H%M%S")
            zone = event.get("DTSTART.TZID")
            moment = moment.replace(
                tzinfo=ZoneInfo(zone) if zone and not text.endswith("Z") else UTC
            )
    except (ValueError, ZoneInfoNotFoundError):
        raise CalendarError(f"{where}: DTSTART {text!r} is no time this can read") from None
    title = event.get("SUMMARY", "release").replace("\\,", ",").replace("\\;", ";")
    named = re.match(r"\s*([A-Z]{3})\b[\s:|-]*", title)
    currency = event.get("CATEGORIES", "").strip().upper()
    if not re.fullmatch(r"[A-Z]{3}", currency):
        currency = named.group(1) if named else ""
        title = title[named.end() :] if named else title
    priority = event.get("PRIORITY", "0")
    rank = int(priority) if priority.isdigit() else 0
    impact = "low" if rank >= 7 else "medium" if rank >= 4 else "high"
    return Release(moment.timestamp(), currency, clean(title or "release", 80), impact)
