"""The news calendar: three formats, silence around a release, honesty when it cannot be read."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from strategy.scan.calendars import CalendarError, Release, parse
from strategy.scan.news import Calendar, content_of, load
from strategy.settings import NewsSettings, StrategySettings
from streamer.http_get import HttpResponse

NFP = datetime(2025, 11, 18, 13, 30, tzinfo=UTC).timestamp()

CSV = """Time,Currency,Impact,Title
2025-11-18T13:30:00+00:00,USD,High,"NFP, revised"
2025-11-18T08:30:00-05:00,usd,medium,Wages
2025-11-19T07:00:00,EUR,low,Speech
"""
JSON = """[{"title": "NFP", "country": "USD", "date": "2025-11-18T08:30:00-05:00",
 "impact": "High", "forecast": "1"}, {"title": "Bank holiday", "country": "JPY",
 "date": "2025-11-18T00:00:00+00:00", "impact": "Holiday"}]"""
ICS = """BEGIN:VCALENDAR\r
BEGIN:VEVENT\r
DTSTART;TZID=America/New_York:20251118T083000\r
SUMMARY:USD: Non-Farm\r
  Payrolls\\, revised\r
PRIORITY:1\r
END:VEVENT\r
BEGIN:VEVENT\r
DTSTART:20251118T190000Z\r
CATEGORIES:EUR\r
SUMMARY:ECB\r
PRIORITY:5\r
END:VEVENT\r
BEGIN:VEVENT\r
DTSTART;VALUE=DATE:20251120\r
SUMMARY:Holiday of all\r
END:VEVENT\r
END:VCALENDAR\r
"""


@pytest.mark.parametrize("hour", ["13:30", "13:30:00"])
def test_csv_with_day_and_hour_in_two_columns_is_read(hour: str) -> None:
    (found,) = parse(f"Date,Time,Currency,Impact,Event\n2025-11-18,{hour},USD,High,NFP\n")
    assert found == Release(NFP, "USD", "NFP", "high")
    (early,) = parse("date,time,currency\n2025-11-18,8:05,EUR\n")
    assert early.utc == datetime(2025, 11, 18, 8, 5, tzinfo=UTC).timestamp()
    with pytest.raises(CalendarError, match="line 2"):
        parse("date,time,currency\n18th,8:05,EUR\n")


def test_csv_is_read_with_offsets_and_without() -> None:
    first, second, third = parse(CSV)
    assert first == Release(NFP, "USD", "NFP, revised", "high")
    assert second == Release(NFP, "USD", "Wages", "medium")
    assert third.utc == datetime(2025, 11, 19, 7, tzinfo=UTC).timestamp()


def test_the_json_of_the_common_weekly_calendar_is_read() -> None:
    holiday, nfp = parse(JSON)
    assert nfp == Release(NFP, "USD", "NFP", "high")
    assert holiday.impact == "low"


def test_icalendar_is_read_with_zones_and_folded_lines() -> None:
    nfp, ecb, holiday = parse(ICS)
    assert nfp == Release(NFP, "USD", "Non-Farm Payrolls, revised", "high")
    assert (ecb.currency, ecb.impact) == ("EUR", "medium")
    assert holiday.currency == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "needs a header"),
        ("time,currency\nsoon,USD\n", "line 2: 'soon' is no time"),
        ("[1, 2]", "list of objects"),
        ("[{", "line 1"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:x\nEND:VEVENT\n", "begins in line 2"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, words: str) -> None:
    with pytest.raises(CalendarError, match=words):
        parse(text)


def calendar(**changes: Any) -> Calendar:
    made = Calendar(NewsSettings(before_min=15, after_min=10, **changes))
    made.releases, made.unreadable = parse(CSV), None
    return made


@pytest.mark.parametrize(
    ("minutes", "silent"), [(-16, False), (-15, True), (0, True), (10, True), (11, False)]
)
def test_silence_begins_before_and_ends_after_the_release(minutes: float, silent: bool) -> None:
    found = calendar().blackout({"EUR", "USD"}, NFP + minutes * 60)
    assert (found is not None) == silent


def test_only_the_currencies_of_the_symbol_and_the_asked_impact_count() -> None:
    assert calendar().blackout({"AUD", "NZD"}, NFP) is None
    assert calendar().blackout({"USD", "JPY"}, NFP - 300) == "NFP, revised USD in 5 min"
    early = datetime(2025, 11, 19, 7, tzinfo=UTC).timestamp()
    assert calendar().blackout({"EUR"}, early) is None
    assert calendar(impact="low").blackout({"EUR"}, early) is not None


def test_a_calendar_whose_releases_are_all_past_is_not_relied_on() -> None:
    assert calendar().trouble(NFP) is None
    assert calendar().trouble(NFP + 10 * 86_400) == "its last release was on 2025-11-19"
    assert Calendar(NewsSettings(), (), None).trouble(NFP) == "it holds no release"


def test_a_calendar_is_not_read_over_plain_http() -> None:
    with pytest.raises(CalendarError, match="https only"):
        load("http://example.invalid/calendar.json")


async def test_a_file_that_vanishes_keeps_what_was_read_and_is_told(tmp_path: Path) -> None:
    path = tmp_path / "calendar.csv"
    path.write_text(CSV)
    made = Calendar(NewsSettings(source=str(path)))
    assert made.trouble(NFP) == "not read yet"
    await made.read(str(path))
    assert made.trouble(NFP) is None
    path.unlink()
    told: list[str | None] = []
    task = asyncio.create_task(made.run(told.append))
    async with asyncio.timeout(5):
        while not told:
            await asyncio.sleep(0.01)
    task.cancel()
    assert str(path) in str(told[0])
    assert len(made.releases) == 3


async def test_the_scan_is_silent_around_a_release_and_says_which(
    bench: Any, tmp_path: Path
) -> None:
    path = tmp_path / "calendar.csv"
    at = datetime(2025, 11, 18, 13, 10, tzinfo=UTC)
    path.write_text(f"time,currency,impact,title\n{at.isoformat()},USD,high,CPI\n")
    settings = StrategySettings(news=NewsSettings(source=str(path)))
    b = await bench(settings=settings).open()
    await b.worker.calendar.read(str(path))
    await b.worker.cycle()
    summary = b.told("ScanSummary")[-1]
    assert summary.details["EURUSD"].code == "NEWS"
    assert summary.symbols["EURUSD"].startswith("News Blackout (CPI USD in ")
    assert summary.details["EURJPY"].gate != "news"


@pytest.mark.parametrize(("setting", "stops"), [("trade", False), ("stop", True)])
async def test_an_unreadable_calendar_stops_only_where_the_setting_says_so(
    bench: Any, tmp_path: Path, setting: str, stops: bool
) -> None:
    news = NewsSettings(source=str(tmp_path / "none.csv"), when_unreadable=setting)
    b = await bench(settings=StrategySettings(news=news)).open()
    await b.worker.calendar.read(news.source)
    await b.worker.cycle()
    detail = b.told("ScanSummary")[-1].details["EURUSD"]
    assert (detail.gate == "news") == stops


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (HttpResponse(200, b"x", complete=False), "before the calendar was complete"),
        (HttpResponse(200, b"x", complete=False, too_large=True), "larger than 5 MB"),
        (HttpResponse(302, b"x", complete=True), "HTTP 302"),
        (HttpResponse(404, b"x", complete=True), "HTTP 404"),
    ],
)
def test_half_a_calendar_and_an_error_page_are_no_calendar(
    answer: HttpResponse, words: str
) -> None:
    assert content_of(HttpResponse(200, b"x", complete=True)) == b"x"
    with pytest.raises(CalendarError, match=words):
        content_of(answer)


async def test_an_address_where_nothing_answers_is_told() -> None:
    made = Calendar(NewsSettings())
    await made.read("https://127.0.0.1:1/c.csv")
    assert str(made.unreadable).startswith("https://127.0.0.1:1/c.csv: no connection: ")
