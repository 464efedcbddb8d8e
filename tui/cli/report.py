"""``mt5dash report``: the results of a day or a month, from a journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from .common import USAGE, Config, fail
from .journal_file import Db, find_journal, journal_errors


def report(
    day: Annotated[
        str | None, typer.Option("--day", metavar="DATE", help="One day, UTC [today].")
    ] = None,
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="One month, UTC.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page instead.")
    ] = None,
    bot: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which bot's, of several [the feed's own].")
    ] = None,
    db: Db = None,
    config: Config = None,
) -> None:
    """Report on a day or a month: equity, drawdown, results by symbol, session, factor and gate."""
    import sqlite3

    from strategy.sessions import sessions_at
    from streamer.journal import schema
    from streamer.reports import report as reports
    from streamer.reports.html import as_html

    if day is not None and month is not None:
        raise fail("--day or --month, not both", USAGE)
    begin, end, title = _period(day, month)
    path = find_journal(db, config)
    with journal_errors():
        source = schema.read_only(path)
    try:
        with journal_errors():
            found = reports.build(source, begin.timestamp(), end.timestamp(), sessions_at, bot)
    except (sqlite3.Error, ValueError) as error:
        raise fail(f"{path}: {error}; `mt5dash journal verify` names what is damaged") from None
    finally:
        source.close()
    if html is None:
        print(reports.as_text(found))
        return
    try:
        html.write_text(as_html(found, f"mt5dash report {title}"), encoding="utf-8")
    except OSError as error:
        raise fail(f"{html}: not written: {error}") from None
    print(html)


def _period(day: str | None, month: str | None) -> tuple[datetime, datetime, str]:
    if month is not None:
        try:
            begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
        except ValueError:
            raise fail(f"--month {month}: such as 2026-03", USAGE) from None
        return begin, (begin + timedelta(days=32)).replace(day=1), month
    try:
        begin = datetime.now(UTC) if day is None else datetime.strptime(day, "%Y-%m-%d")
    except ValueError:
        raise fail(f"--day {day}: such as 2026-03-04", USAGE) from None
    begin = begin.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
    return begin, begin + timedelta(days=1), begin.date().isoformat()
