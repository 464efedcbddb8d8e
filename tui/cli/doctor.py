"""``mt5dash doctor``: checks a set-up; ``tui/run/doctor.py`` has the checks."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from .common import Config, load_settings


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    save_profile: Annotated[
        Path | None,
        typer.Option(
            "--save-profile",
            metavar="FILE",
            help="Write how the broker sets up account and symbols, for a paper terminal that is "
            "to be like it (paper.like).",
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Check the set-up, from the settings to the broker; say what is wrong and what to do."""
    loaded = load_settings({}, config)
    from ..run.doctor import run_doctor

    raise typer.Exit(asyncio.run(run_doctor(loaded, as_json=as_json, profile=save_profile)))
