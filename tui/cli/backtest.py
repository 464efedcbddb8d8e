"""``mt5dash backtest``: prints a report; progress goes to standard error."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamer.protocol.sanitise import clean

from .common import USAGE, Config, fail, load_settings

if TYPE_CHECKING:
    from ..run.backtest import BacktestRun

INTERRUPTED = 130
"""Exit code after Ctrl+C, the one that shells use; the report until then is printed."""


class Progress:
    """Prints the progress of a run to standard error and handles Ctrl+C; a second one ends the
    program at once.

    Attributes:
        stopped: Whether Ctrl+C was pressed.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._seconds: float | None = None
        self._terminal = sys.stderr.isatty()
        self._every = 0.2 if self._terminal else 10.0
        self._began: float | None = None
        # A file gets a line only for a market that takes long to open.
        self._printed_at = -math.inf if self._terminal else time.monotonic()
        self._shown = False

    def on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        self.stopped = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def opening(self, what: str, done: int, total: int) -> None:
        """The progress of opening the market."""
        if self._due():
            self._print(f"opening the market: {what}, {done:,} of {total:,}")

    def opened(self, seconds: float) -> None:
        """The market is open; the run takes ``seconds`` of market time at most."""
        self._seconds = seconds if math.isfinite(seconds) else None
        self._printed_at = -math.inf

    def go_on(self, now: float, trades: int) -> bool:
        """Whether to go on; called with the market time and the number of trades."""
        if self._began is None:
            self._began = now
        if self._due():
            share = ""
            if self._seconds:
                share = f"{min(100.0 * (now - self._began) / self._seconds, 100.0):3.0f} %, "
            self._print(f"{share}{_moment(now)}, {trades} trades")
        return not self.stopped

    def _due(self) -> bool:
        real = time.monotonic()
        if real - self._printed_at < self._every:
            return False
        self._printed_at = real
        return True

    def _print(self, text: str) -> None:
        text = clean(text, 100)  # it may contain names of files
        if self._terminal:
            print(f"\rmt5dash: {text}\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = True
        else:
            print(f"mt5dash: {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def backtest(
    market: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Real quotes; default: generated ones.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", "--start", metavar="TIME", help="Where to begin, server time."),
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="TIME", help="Where to end.")] = None,
    hours: Annotated[
        float | None, typer.Option(min=0.1, help="Market hours [all of the quotes, or 24].")
    ] = None,
    symbols: Annotated[str | None, typer.Option(metavar="A,B", help="Only these.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the generated market.")] = None,
    balance: Annotated[float | None, typer.Option(help="First deposit.")] = None,
    strategy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Built in, installed, or FILE.py:Class.")
    ] = None,
    poll: Annotated[
        float, typer.Option(min=0.1, help="Market seconds between two readings of the account.")
    ] = 5.0,
    every: Annotated[
        bool,
        typer.Option("--gates", help="Evaluate the gates at every scan, for their counts; slower."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    config: Config = None,
) -> None:
    """Run the strategy over past or generated quotes, as fast as possible."""
    from ..run.backtest import run_backtest

    if to is not None and hours is not None:
        raise fail("--to and --hours both say where to end: give one of them", USAGE)
    flags = {
        "paper": {"market": market, "start": start, "seed": seed, "balance": balance},
        "strategy": {"name": strategy},
    }
    settings = load_settings(flags, config).settings
    progress = Progress()
    kept = signal.signal(signal.SIGINT, progress.on_interrupt)
    try:
        done = asyncio.run(
            run_backtest(
                settings,
                hours=hours,
                to=to,
                symbols=symbols.split(",") if symbols else (),
                poll_s=poll,
                every=every,
                go_on=progress.go_on,
                opening=progress.opening,
                opened=progress.opened,
            )
        )
    except KeyboardInterrupt:
        raise fail("stopped before there was a report", INTERRUPTED) from None
    finally:
        progress.close()
        signal.signal(signal.SIGINT, kept)
    if as_json:
        print(json.dumps(_as_json(done, interrupted=progress.stopped)))
    else:
        _print(done)
    if progress.stopped:
        raise fail(f"stopped at {_moment(done.report.ended)}; the report ends there", INTERRUPTED)


def _as_json(done: BacktestRun, *, interrupted: bool) -> dict[str, Any]:
    """The report as JSON values; unknown values are null, times are server epoch seconds."""
    report = done.report
    return {
        "market": done.market,
        "began": report.began,
        "ended": report.ended,
        "interrupted": interrupted,
        "currency": done.currency,
        "start_balance": report.start_balance,
        "statistics": _known(report.statistics()),
        "ticks": done.ticks,
        "seconds": round(report.seconds, 3),
        "scans": report.scans,
        "stopped": dict(report.stopped),
        "trades": [_known(asdict(trade)) for trade in report.trades],
        "equity": [[at, value] for at, value in report.equity],
    }


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def _print(done: BacktestRun) -> None:
    report = done.report
    print(done.market)
    print(f"{_moment(report.began)} to {_moment(report.ended)} server time, in {done.currency}")
    for name, value in report.statistics().items():
        shown = f"{value:>12,.2f}" if math.isfinite(value) else f"{'–':>12}"
        print(f"{name:<18} {shown}")
    print("symbol-scans by the gate that blocked them (waiting: no trade was possible)")
    for gate, count in report.stopped.most_common():
        print(f"  {gate:<16} {count:>12,}")
    speed = done.ticks / report.seconds if report.seconds > 0 else math.nan
    print(
        f"{done.ticks:,} ticks in {report.seconds:.1f} s ({speed:,.0f} a second).\n"
        "Past quotes, one path: this describes the past and predicts nothing.",
        file=sys.stderr,
    )


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
