"""Commands about the past: the journal, replay, incident files, reports.

Each imports what it needs when it is called; ``tui/cli/main.py`` hangs them into the command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from ..render.moments import HINT, parse_moment
from .common import IN_USE, USAGE, Config, fail, load_settings, open_log

journal = typer.Typer(help="The journal: verify, back up, prune, export.", no_args_is_help=True)

Db = Annotated[
    Path | None,
    typer.Option("--db", metavar="FILE", help="The journal [the one of the last run]."),
]


def _moment(text: str | None, name: str, day: float | None = None) -> float | None:
    if text is None:
        return None
    try:
        return parse_moment(text, time.time(), day)
    except (ValueError, OverflowError):
        raise fail(f"{name} {text}: not a time; {HINT}", USAGE) from None


def find_journal(db: Path | None, config: Path | None) -> Path:
    """The journal that is meant: named, of the settings, or the newest there is."""
    if db is not None:
        return db
    from ..paths import state_dir
    from ..run.runtime import journal_path, journals_of_runs

    settings = load_settings({}, config).settings
    if settings.journal.path is not None or settings.backend_traits.outlives_program:
        return journal_path(settings)
    found = journals_of_runs(state_dir(), settings.terminal.backend)
    found.sort(key=lambda path: path.stat().st_mtime)
    if not found:
        raise fail(f"no journal in {state_dir()} yet; name one with --db", USAGE)
    return found[-1]


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What is wrong with a journal, in words, with its exit code."""
    from streamer.journal.schema import JournalError, JournalLocked

    try:
        yield
    except JournalLocked as error:
        raise fail(str(error), IN_USE) from None
    except JournalError as error:
        raise fail(str(error)) from None


@journal.command("verify")
def verify(
    db: Db = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    config: Config = None,
) -> None:
    """Check every row against its hash; name what is not as it was written."""
    from streamer.journal.verify import verify as look

    path = find_journal(db, config)
    with told():
        found = look(path)
    if as_json:
        print(
            json.dumps(
                {
                    "file": str(path),
                    "ok": found.ok,
                    "events": found.events,
                    "samples": found.samples,
                    "kept": found.kept,
                    "head": found.head,
                    "findings": found.findings,
                    "notes": found.notes,
                }
            )
        )
    else:
        for line in (*found.findings, *found.notes):
            print(line)
        state = "whole" if found.ok else f"{len(found.findings)} findings"
        print(
            f"{path}: {state}; {found.events} events, {found.samples} samples, "
            f"{found.kept} kept events, head {found.head}"
        )
    if not found.ok:
        raise typer.Exit(1)


@journal.command("backup")
def backup(
    target: Annotated[Path, typer.Argument(help="The copy; it must not exist yet.")],
    db: Db = None,
    config: Config = None,
) -> None:
    """Write a whole, checked copy, also while the journal is in use."""
    import sqlite3

    from streamer.journal import schema as file

    path = find_journal(db, config)
    if target.exists():
        raise fail(f"{target}: exists already; choose another name", USAGE)
    with told():
        source = file.read_only(path)
    try:
        file.backup(source, target)
    except (sqlite3.Error, OSError) as error:
        raise fail(f"{target}: not written: {error}") from None
    finally:
        source.close()
    print(target)


@journal.command("prune")
def prune(
    keep_days: Annotated[
        float | None, typer.Option(min=0.001, help="Keep events of so many days.")
    ] = None,
    keep_mb: Annotated[
        int | None, typer.Option("--keep-mb", min=1, help="Keep so many megabytes.")
    ] = None,
    db: Db = None,
    config: Config = None,
) -> None:
    """Delete old rows now and give the space back. A running program prunes by itself."""
    from streamer.journal.prune import prune_file

    settings = load_settings({}, config).settings.journal
    if keep_days is not None:
        days = min(keep_days, settings.keep_samples_days)
        settings = settings.model_copy(update={"keep_days": keep_days, "keep_samples_days": days})
    if keep_mb is not None:
        settings = settings.model_copy(update={"keep_bytes": keep_mb << 20})
    path = find_journal(db, config)
    with told():
        rows, before, after = prune_file(path, settings, time.time())
    print(f"{path}: {rows} rows deleted, {before} -> {after} bytes")


@journal.command("export")
def export(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="[standard output]")
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="jsonl, csv or parquet [by the file's ending].")
    ] = None,
    trades: Annotated[bool, typer.Option("--trades", help="The trades, not the events.")] = False,
    begin: Annotated[str | None, typer.Option("--from", metavar="TIME")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME")] = None,
    db: Db = None,
    config: Config = None,
) -> None:
    """Write log events, or the trades, for other programs."""
    from streamer.journal import export as ex
    from streamer.journal import schema as file
    from streamer.protocol.codec import encode

    kind = format or (out.suffix.lstrip(".") if out is not None else "") or "jsonl"
    if kind not in ex.FORMATS:
        raise fail(f"--format {kind}: one of {', '.join(ex.FORMATS)}", USAGE)
    if kind == "parquet" and out is None:
        raise fail("--format parquet needs --out FILE", USAGE)
    first, last = _moment(begin, "--from"), _moment(end, "--to")
    if trades and (first, last) != (None, None):
        raise fail("--from and --to are for events; trades are written whole", USAGE)
    with told():
        source = file.read_only(find_journal(db, config))
    raws = (
        (encode(row) for row in ex.trade_rows(source)) if trades else ex.events(source, first, last)
    )
    rows = (
        ex.trade_rows(source)
        if trades
        else (ex.event_row(raw) for raw in ex.events(source, first, last))
    )
    try:
        with told():
            if kind == "parquet" and out is not None:
                count = ex.write_parquet(rows, out)
            elif kind == "csv" and out is not None:
                with out.open("w", encoding="utf-8", newline="") as text:
                    count = ex.write_csv(rows, text)
            elif kind == "csv":
                count = ex.write_csv(rows, sys.stdout)
            elif out is not None:
                with out.open("wb") as lines:
                    count = ex.write_lines(raws, lines)
            else:
                count = ex.write_lines(raws, sys.stdout.buffer)
    except BrokenPipeError:
        # The reader (head, jq) has enough. Nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    except OSError as error:
        raise fail(f"{out or 'standard output'}: not written: {error}") from None
    finally:
        source.close()
    print(f"mt5dash: {count} {'trades' if trades else 'events'} written", file=sys.stderr)


def incident(
    around: Annotated[str, typer.Option("--around", metavar="TIME", help="When it happened.")],
    minutes: Annotated[float, typer.Option(min=0.1, help="So long before and after it.")] = 5.0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="[incident-TIME.db]")
    ] = None,
    db: Db = None,
    config: Config = None,
) -> None:
    """Write the minutes around a moment to a file for others: no login, name or comment in it."""
    from streamer.journal.incident import write_incident

    at = _moment(around, "--around")
    assert at is not None
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%S")
    target = out or Path(f"incident-{stamp}.db")
    with told():
        made = write_incident(
            find_journal(db, config), target, at - minutes * 60, at + minutes * 60
        )
    print(target)
    print(
        f"mt5dash: {made['events']} events and {made['samples']} samples, head {made['head']}; "
        f"see it with `mt5dash replay --db {target}`",
        file=sys.stderr,
    )


def replay(
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Where to begin [its start].")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Where to stop [its end].")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.01, max=10_000, metavar="N", help="Seconds a second.")
    ] = 1.0,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Only the feed, no screen.")] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the feed [first free of 8000-8009]."),
    ] = None,
    db: Db = None,
    config: Config = None,
) -> None:
    """Show the past again: a screen, and a feed that other programs can join."""
    from streamer.server.ports import PortTaken

    from ..progress import Steps
    from ..terminal import first_frame

    steps = first_frame.steps() or Steps()
    loaded = load_settings({"feed": {"port": port}}, config)
    path = find_journal(db, config)
    first, last = _moment(begin, "--from"), _moment(end, "--to")
    screen = not no_ui and first_frame.has_terminal()
    steps.end("settings", str(loaded.file or "defaults"))
    steps.begin("screen", "loading")
    log = open_log(loaded, screen=screen)
    options: dict[str, Any] = {"start": first, "end": last, "speed": speed}
    try:
        with told():
            if screen:
                from ..run.screen import run_replay_screen

                steps.begin("recording", f"reading {path.name}")
                raise typer.Exit(asyncio.run(run_replay_screen(loaded, path, options)))
            from ..run.headless import run_replay

            raise typer.Exit(asyncio.run(run_replay(loaded, path, options)))
    except PortTaken as error:
        raise fail(str(error), IN_USE) from None
    finally:
        log.close()


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
    """What a day or a month brought: equity, drawdown, by symbol, session, factor, gate."""
    import sqlite3

    from strategy.institutional.sessions import sessions_at
    from streamer.journal import schema as file
    from streamer.reports import report as made
    from streamer.reports.html import as_html

    if day is not None and month is not None:
        raise fail("--day or --month, not both", USAGE)
    begin, end, title = _period(day, month)
    path = find_journal(db, config)
    with told():
        source = file.read_only(path)
    try:
        with told():
            found = made.build(source, begin.timestamp(), end.timestamp(), sessions_at, bot)
    except (sqlite3.Error, ValueError) as error:
        raise fail(f"{path}: {error}; `mt5dash journal verify` names what is damaged") from None
    finally:
        source.close()
    if html is None:
        print(made.as_text(found))
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
