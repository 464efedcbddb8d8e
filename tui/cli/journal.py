"""``mt5dash journal``: verifies, backs up, prunes and exports a journal."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from .common import USAGE, Config, fail, load_settings
from .journal_file import Db, find_journal, journal_errors, parse_option

journal = typer.Typer(help="The journal: verify, back up, prune, export.", no_args_is_help=True)


@journal.command("verify")
def verify(
    db: Db = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    config: Config = None,
) -> None:
    """Check every row against its hash; list the rows that have changed since they were written."""
    from streamer.journal.verify import verify as verify_file

    path = find_journal(db, config)
    with journal_errors():
        found = verify_file(path)
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
    """Write a complete, checked copy, also while the journal is in use."""
    import sqlite3

    from streamer.journal import schema

    path = find_journal(db, config)
    if target.exists():
        raise fail(f"{target}: exists already; choose another name", USAGE)
    with journal_errors():
        source = schema.read_only(path)
    try:
        schema.backup(source, target)
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
    """Delete old rows now and free their space. A running program prunes by itself."""
    from streamer.journal.prune import prune_file

    settings = load_settings({}, config).settings.journal
    if keep_days is not None:
        days = min(keep_days, settings.keep_samples_days)
        settings = settings.model_copy(update={"keep_days": keep_days, "keep_samples_days": days})
    if keep_mb is not None:
        settings = settings.model_copy(update={"keep_bytes": keep_mb << 20})
    path = find_journal(db, config)
    with journal_errors():
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
    trades: Annotated[
        bool, typer.Option("--trades", help="The trades instead of the events.")
    ] = False,
    begin: Annotated[str | None, typer.Option("--from", metavar="TIME")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME")] = None,
    db: Db = None,
    config: Config = None,
) -> None:
    """Write the log events or the trades for other programs."""
    from streamer.journal import export as exports
    from streamer.journal import schema
    from streamer.protocol.codec import encode

    kind = format or (out.suffix.lstrip(".") if out is not None else "") or "jsonl"
    if kind not in exports.FORMATS:
        raise fail(f"--format {kind}: one of {', '.join(exports.FORMATS)}", USAGE)
    if kind == "parquet" and out is None:
        raise fail("--format parquet needs --out FILE", USAGE)
    first, last = parse_option(begin, "--from"), parse_option(end, "--to")
    if trades and (first, last) != (None, None):
        raise fail("--from and --to are for events; trades are written whole", USAGE)
    with journal_errors():
        source = schema.read_only(find_journal(db, config))
    raws = (
        (encode(row) for row in exports.trade_rows(source))
        if trades
        else exports.events(source, first, last)
    )
    rows = (
        exports.trade_rows(source)
        if trades
        else (exports.event_row(raw) for raw in exports.events(source, first, last))
    )
    try:
        with journal_errors():
            if kind == "parquet" and out is not None:
                count = exports.write_parquet(rows, out)
            elif kind == "csv" and out is not None:
                with out.open("w", encoding="utf-8", newline="") as text:
                    count = exports.write_csv(rows, text)
            elif kind == "csv":
                count = exports.write_csv(rows, sys.stdout)
            elif out is not None:
                with out.open("wb") as lines:
                    count = exports.write_lines(raws, lines)
            else:
                count = exports.write_lines(raws, sys.stdout.buffer)
    except BrokenPipeError:
        # The reader (head, jq) has enough. Nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    except OSError as error:
        raise fail(f"{out or 'standard output'}: not written: {error}") from None
    finally:
        source.close()
    print(f"mt5dash: {count} {'trades' if trades else 'events'} written", file=sys.stderr)
